"""The reinforcement-learning verbs of NeuralNet: gradients through whole networks, return values, bad input, Evolve."""

import math

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, DataError, DTypeError, EnilnetsError, LabelError, NonFiniteError, ShapeError
from enilnets.layers import Concat, Dense, Dropout, Embedding, Flatten, LayerNorm, Residual, Sequential, Sparse
from tests.gradients import check_direction

N = 40


def network(head, seed=0, **settings):
    """Plain gradient descent with rate 1: an update is minus the gradient."""
    net = NeuralNet(1.0, "sgd", l2_lambda=0.0, momentum=0.0, rng=seed, **settings)
    return net.add_dense(4, 8, activation="tanh").add_batchnorm(8).add_dense(8, 3, activation=head)


def log_probs(net, states, actions, std):
    """Log-probabilities by the textbook from what the network says in training, and entropies."""
    y = net.copy().Forward(states, training=True)
    if actions.ndim == 1:
        p = y if net.head == "softmax" else np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
        return np.log(p[np.arange(len(p)), actions]), -(p * np.log(p)).sum(axis=1)
    return (-((actions - y) ** 2) / (2 * std**2) - 0.5 * np.log(2 * np.pi * std**2)).sum(axis=1), np.zeros(len(y))


def check_step(net, objective, step, rng):
    """The step must go down the objective's gradient, as finite differences in all parameters have it."""
    start, twin = net.arena.values.copy(), net.copy()  # a copy from before draws the dropout masks that the step draws

    def at(values):
        probe = twin.copy()
        probe.arena.values[...] = values
        return objective(probe)

    step()
    check_direction(at, start, start - net.arena.values, rng, rtol=1e-5)


HEADS = pytest.mark.parametrize(
    "head, kind", [("softmax", "discrete"), ("linear", "discrete"), ("linear", "continuous"), ("tanh", "continuous")]
)


def experience(kind, rng):
    states = rng.normal(size=(N, 4))
    return states, rng.integers(3, size=N) if kind == "discrete" else rng.normal(size=(N, 3))


INSIDES = {
    "dropout": lambda head: [Dense(4, 8, "swish", rng=1), Dropout(0.3), Dense(8, 3, head, rng=2)],
    "block": lambda head: [
        Residual(Sparse(4, 4, 0.5, "tanh", rng=1), LayerNorm(4), shortcut=Dense(4, 4, rng=3)),
        Dense(4, 3, head, rng=2),
    ],
    "branches": lambda head: [Concat([Dense(4, 5, "gelu", rng=1)], None), Dense(9, 3, head, rng=2)],
    "embedding": lambda head: [Embedding(9, 4, rng=1), Flatten(), Dense(16, 3, head, rng=2)],
    "chain at the end": lambda head: [Dense(4, 8, "tanh", rng=1), Sequential([Sequential([Dense(8, 3, head, rng=2)])])],
}


@pytest.mark.defect("R1", "R5")
@HEADS
@pytest.mark.parametrize("inside", INSIDES)
def test_gradient_through_every_kind_of_layer(inside, head, kind, rng):
    net = NeuralNet(1.0, "sgd", l2_lambda=0.0, momentum=0.0, rng=0)
    for layer in INSIDES[inside](head):
        net.add(layer)
    states, actions = experience(kind, rng)
    states = rng.integers(9, size=(N, 4)) if inside == "embedding" else states
    advantages = rng.normal(size=N)
    old = log_probs(net, states, actions, 0.7)[0] - rng.normal(0, 0.3, size=N)

    def surrogate(net):
        log_prob, entropy = log_probs(net, states, actions, 0.7)
        ratio = np.exp(log_prob - old)
        gain = np.minimum(ratio * advantages, np.clip(ratio, 0.8, 1.2) * advantages)
        return -gain.mean() - 0.1 * entropy.mean()

    def step():
        net.PPO(states, actions, old, advantages, kind, std=0.7, entropy_coeff=0.1)

    check_step(net, surrogate, step, rng)


class TestReinforce:
    @pytest.mark.contract("R2")
    @pytest.mark.defect("R5")
    @HEADS
    @pytest.mark.parametrize("normalize", [True, False])
    def test_step(self, head, kind, normalize, rng):
        net, (states, actions), returns = network(head), experience(kind, rng), rng.normal(3, 2, size=N)
        weights = (returns - returns.mean()) / (returns.std() + 1e-8) if normalize else returns

        def step():
            got = net.Reinforce(states, actions, returns[:, None], kind, std=0.7, normalize_returns=normalize)
            assert got == pytest.approx(returns.mean(), rel=1e-12) and type(got) is float

        check_step(net, lambda net: -np.mean(weights * log_probs(net, states, actions, 0.7)[0]), step, rng)

    def test_documented_deltas(self, rng):
        states, returns = rng.normal(size=(N, 4)), rng.normal(size=N)
        net, actions = network("softmax"), rng.integers(3, size=N)
        net.Reinforce(states, actions, returns, normalize_returns=False)
        expected = (net.outputs[-1] - np.eye(3)[actions]) * returns[:, None] / N
        np.testing.assert_allclose(net.deltas[-1], expected, atol=1e-15)
        net, actions = network("linear"), rng.normal(size=(N, 3))
        net.Reinforce(states, actions, returns, "continuous", std=0.5, normalize_returns=False)
        expected = -(actions - net.outputs[-1]) / 0.25 * returns[:, None] / N
        np.testing.assert_allclose(net.deltas[-1], expected, atol=1e-14)

    def test_equal_returns_move_nothing_when_normalised(self, rng):
        net, (states, actions) = network("softmax"), experience("discrete", rng)
        before = net.arena.values.copy()
        assert net.Reinforce(states, actions, np.full(N, 2.0)) == 2.0
        np.testing.assert_array_equal(net.arena.values, before)


class TestActorCritic:
    @pytest.mark.contract("R4")
    @pytest.mark.defect("R5")
    @HEADS
    def test_step(self, head, kind, rng):
        net, (states, actions), (returns, values) = network(head), experience(kind, rng), rng.normal(1, 2, size=(2, N))

        def step():
            got = net.ActorCritic(states, actions, returns[:, None], values, kind, std=0.7)
            assert got == pytest.approx(np.mean((returns - values) ** 2), rel=1e-12) and type(got) is float

        check_step(net, lambda net: -np.mean((returns - values) * log_probs(net, states, actions, 0.7)[0]), step, rng)


class TestPPO:
    @pytest.mark.contract("R3")
    @pytest.mark.defect("R1", "R2", "R3", "R4")
    @HEADS
    @pytest.mark.parametrize("spread", [0.0, 0.05, 0.6])  # all ratios 1, all within the clip, on all sides of it
    @pytest.mark.parametrize("entropy_coeff", [0.0, 0.5])
    def test_step(self, head, kind, spread, entropy_coeff, rng):
        net, (states, actions), advantages = network(head), experience(kind, rng), rng.normal(size=N)
        shift = spread * rng.choice([-1, 1], size=N) * rng.uniform(0.5, 1, size=N)
        old = log_probs(net, states, actions, 0.7)[0] - shift

        def policy_loss(net):
            r = np.exp(log_probs(net, states, actions, 0.7)[0] - old)
            return -np.minimum(r * advantages, np.clip(r, 0.8, 1.2) * advantages).mean()

        def objective(net):
            return policy_loss(net) - entropy_coeff * log_probs(net, states, actions, 0.7)[1].mean()

        expected = policy_loss(net)

        def step():
            got = net.PPO(states, actions, old, advantages, kind, std=0.7, entropy_coeff=entropy_coeff)
            assert got == pytest.approx(expected, rel=1e-9) and type(got) is float

        if spread == 0:  # the kinks of the objective are at ratio 1 for no sample: nothing is clipped
            assert expected == pytest.approx(-advantages.mean())
        check_step(net, objective, step, rng)

    @pytest.mark.defect("R2")
    def test_ratios_beyond_the_clip_bring_no_further_gain(self, rng):
        net, (states, actions) = network("softmax"), experience("discrete", rng)
        now, before = log_probs(net, states, actions, 1.0)[0], net.arena.values.copy()
        assert net.PPO(states, actions, now - 0.5, np.ones(N), entropy_coeff=0.0) == pytest.approx(-1.2)
        assert net.PPO(states, actions, now + 0.5, -np.ones(N), entropy_coeff=0.0) == pytest.approx(0.8)
        np.testing.assert_array_equal(net.arena.values, before)
        assert net.PPO(states, actions, now - 0.5, -np.ones(N), entropy_coeff=0.0) == pytest.approx(math.exp(0.5))
        assert (net.arena.values != before).any()

    @pytest.mark.defect("R3")
    def test_entropy_bonus_raises_entropy(self, rng):
        net = NeuralNet(0.5, "sgd", l2_lambda=0.0, momentum=0.0, rng=1).add_dense(4, 3, activation="softmax")
        states, actions = experience("discrete", rng)
        entropies = []
        for _ in range(200):
            old, entropy = log_probs(net, states, actions, 1.0)
            entropies.append(entropy.mean())
            net.PPO(states, actions, old, np.zeros(N), entropy_coeff=1.0)
        assert entropies[0] < 1.0 < 1.08 < entropies[-1] <= math.log(3)

    @pytest.mark.contract("R3")
    @pytest.mark.defect("R5")
    @pytest.mark.parametrize("value_head", ["linear", "softplus"])
    def test_value_head(self, value_head, rng):
        policy, (states, actions) = network("softmax"), experience("discrete", rng)
        old, advantages, targets = log_probs(policy, states, actions, 1.0)[0], rng.normal(size=N), rng.normal(size=N)
        value = NeuralNet(1.0, "sgd", l2_lambda=0.0, momentum=0.0, rng=3)
        value.add_dense(4, 6, activation="tanh").add_dense(6, 1, activation=value_head)
        alone = policy.copy()
        expected = alone.PPO(states, actions, old, advantages)

        def step():
            got = policy.PPO(
                states, actions, old, advantages, value_targets=targets, value_coeff=0.7, value_network=value
            )
            assert got == expected

        check_step(value, lambda net: 0.7 * np.mean((net.predict(states)[:, 0] - targets) ** 2), step, rng)
        np.testing.assert_array_equal(policy.arena.values, alone.arena.values)
        assert value.t == policy.t == 1

    def test_value_head_refuses(self, rng):
        policy, (states, actions) = network("softmax"), experience("discrete", rng)
        value, wide = NeuralNet(rng=0).add_dense(4, 1, "linear"), NeuralNet(rng=0).add_dense(4, 2, "linear")
        networks, before = (policy, value, wide), [net.arena.values.copy() for net in (policy, value, wide)]
        for error, options, message in (
            (ConfigError, {"value_targets": np.ones(N)}, "value_targets and value_network together, got no value_netw"),
            (ConfigError, {"value_network": value}, "no value_targets"),
            (ConfigError, {"value_targets": np.ones(N), "value_network": policy}, "the policy itself"),
            (ConfigError, {"value_targets": np.ones(N), "value_network": np.sum}, "a NeuralNet of its own"),
            (ShapeError, {"value_targets": np.ones(N), "value_network": wide}, rf"outputs of shape \({N}, 1\)"),
            (ShapeError, {"value_targets": np.ones((1, N)), "value_network": value}, "value_targets"),
            (DataError, {"value_targets": np.full(N, np.nan), "value_network": value}, "value_targets"),
            (NonFiniteError, {"value_targets": np.full(N, 1e300), "value_network": value}, "gradient"),
        ):
            with pytest.raises(error, match=message):
                policy.PPO(states, actions, np.zeros(N), np.ones(N), **options)
        for net, values in zip(networks, before, strict=True):
            np.testing.assert_array_equal(net.arena.values, values)
            assert net.t == 0

    @pytest.mark.contract("P6")
    def test_quick_start(self):
        """The third of the documented programs, with experience as an environment would bring it."""
        random = np.random.default_rng(0)
        policy = NeuralNet(learning_rate=3e-4, optimizer="adam")
        policy.add_dense(4, 64, activation="tanh")
        policy.add_dense(64, 2, activation="softmax")
        states, actions = random.normal(size=(256, 4)), random.integers(2, size=256)
        advantages = random.normal(size=(256, 1))
        old_log_probs = np.log(policy.Forward(states)[np.arange(256), actions])[:, None]
        loss = policy.PPO(states, actions, old_log_probs, advantages, action_type="discrete")
        assert loss == pytest.approx(-advantages.mean())
        assert policy.PPO(states, actions, old_log_probs, advantages, action_type="discrete") < loss

    @pytest.mark.parametrize("kind", ["float32", "float64"])
    def test_logits_of_1e4(self, kind):
        net = NeuralNet(0.1, "sgd", 0.0, 0.0, dtype=kind, rng=0).add_dense(2, 2, activation="softmax")
        net.layers[0]["weights"] = [[1e4, 0], [-1e4, 0]]  # probabilities 1 and 0
        states, actions = np.eye(2)[[0, 0]], np.array([0, 1])
        value = net.PPO(states, actions, np.log([0.5, 0.5]), np.array([1.0, 1.0]))
        assert value == pytest.approx(-0.6)  # clip(2) and 0
        net.Reinforce(states, actions, [0.0, 1.0], normalize_returns=False)
        assert net.arena.values.dtype == kind and np.isfinite(net.arena.values).all()
        # The impossible action pulls with its full weight: p - onehot = (1, -1), times 1/2.
        np.testing.assert_allclose(net.deltas[-1], [[0, 0], [0.5, -0.5]])


def verbs(kind, net, states, actions, column, **options):
    """Every verb on the same experience."""
    yield lambda: net.Reinforce(states, actions, column, kind, **options)
    yield lambda: net.PPO(states, actions, column, column, kind, **options)
    yield lambda: net.ActorCritic(states, actions, column, column, kind, **options)


@pytest.mark.defect("R5")
@pytest.mark.parametrize(
    "error, kind, head, change, message",
    [
        (ConfigError, "disrete", "softmax", {}, "one of discrete, continuous"),
        (ConfigError, "discrete", "relu", {}, "a softmax or linear one, got relu"),
        (ConfigError, "discrete", "tanh", {}, "a softmax or linear one, got tanh"),
        (ConfigError, "continuous", "softmax", {}, "any but softmax, got softmax"),
        (ConfigError, "continuous", "linear", {"std": 0.0}, "std"),
        (ConfigError, "continuous", "linear", {"std": -1.0}, "std"),
        (ConfigError, "continuous", "linear", {"std": math.nan}, "std"),
        (LabelError, "discrete", "softmax", {"actions": np.full(N, 3)}, r"actions in \[0, 3\)"),
        (LabelError, "discrete", "softmax", {"actions": np.full(N, -1)}, r"actions in \[0, 3\)"),
        (LabelError, "discrete", "softmax", {"actions": np.zeros(N)}, "integers"),
        (ShapeError, "discrete", "softmax", {"actions": np.zeros((N, 3), int)}, "actions"),
        (ShapeError, "discrete", "softmax", {"actions": np.zeros(1, int)}, "actions"),
        (ShapeError, "continuous", "linear", {"actions": np.zeros(N)}, "actions"),
        (ShapeError, "continuous", "linear", {"actions": np.zeros((N, 1))}, "actions"),
        (DataError, "continuous", "linear", {"actions": np.full((N, 3), np.nan)}, "actions"),
        (DTypeError, "continuous", "linear", {"actions": np.full((N, 3), 1j)}, "actions"),
        (ShapeError, "discrete", "softmax", {"column": np.ones((1, N))}, "one number per state"),
        (ShapeError, "discrete", "softmax", {"column": np.ones((N, 3))}, "one number per state"),
        (ShapeError, "discrete", "softmax", {"column": 1.0}, "one number per state"),
        (DataError, "discrete", "softmax", {"column": np.full(N, np.nan)}, "finite"),
        (DataError, "discrete", "softmax", {"column": np.full(N, np.inf)}, "finite"),
        (ShapeError, "discrete", "softmax", {"states": np.ones((N, 5))}, "states"),
        (ShapeError, "discrete", "softmax", {"states": np.ones((0, 4)), "actions": [], "column": []}, "at least one"),
        (DataError, "discrete", "softmax", {"states": np.full((N, 4), np.nan)}, "states"),
    ],
)
def test_bad_input_changes_nothing(error, kind, head, change, message, rng):
    net, (states, actions) = network(head), experience(kind, rng)
    change = {"states": states, "actions": actions, "column": np.zeros(N), **change}
    before = net.get_weights()
    for verb in verbs(kind, net, **change):
        with pytest.raises(error, match=message):
            verb()
    for was, layer in zip(before, net.layers, strict=True):
        for name in was:
            np.testing.assert_array_equal(layer[name], was[name])
    assert net.t == 0


def test_softmax_that_is_not_the_head_is_refused(rng):
    states, actions = experience("discrete", rng)
    net = NeuralNet(rng=0).add_dense(4, 3, activation="softmax").add_dropout(0.5)
    for verb in verbs("discrete", net, states, actions, np.ones(N)):
        with pytest.raises(ConfigError, match="a softmax or linear one, got dropout"):
            verb()
    net = NeuralNet(rng=0).add(Sequential([Dense(4, 3, "softmax", rng=0)]))
    for verb in verbs("continuous", net, states, rng.normal(size=(N, 3)), np.ones(N)):
        with pytest.raises(ConfigError, match="any but softmax, got softmax"):
            verb()
    net = NeuralNet(rng=0).add_dense(4, 3, activation="linear").add_activation("softmax")
    for verb in verbs("discrete", net, states, actions, np.ones(N)):
        assert math.isfinite(verb())
    with pytest.raises(EnilnetsError, match="at least one layer"):
        NeuralNet().Reinforce(states, actions, np.ones(N))


def test_settings_are_checked(rng):
    net, (states, actions) = network("softmax"), experience("discrete", rng)
    for options in ({"epsilon": -0.1}, {"epsilon": math.nan}, {"value_coeff": -1}, {"entropy_coeff": "0.1"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            net.PPO(states, actions, np.zeros(N), np.ones(N), **options)
    with pytest.raises(ConfigError, match="normalize_returns"):
        net.Reinforce(states, actions, np.ones(N), normalize_returns=1)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_numbers_that_overflow_are_refused_without_warnings(kind, rng):
    """Warnings are errors in the tests: none may come before the refusal."""
    states, huge = rng.normal(size=(4, 4)), float(np.finfo(kind).max)
    discrete, continuous = np.array([0, 1, 2, 0]), np.ones((4, 3))
    column, alternating = np.ones(4), huge * np.array([1, -1, 1, -1])
    net, gauss = network("softmax", dtype=kind), network("linear", dtype=kind)
    value = NeuralNet(dtype=kind, rng=0).add_dense(4, 1, activation="linear")
    before = [each.arena.values.copy() for each in (net, gauss, value)]
    for step in (
        lambda: net.Reinforce(states, discrete, np.full(4, huge), normalize_returns=False),
        lambda: net.ActorCritic(states, discrete, alternating, -alternating),
        lambda: net.PPO(states, discrete, np.full(4, -huge), -column),
        lambda: net.PPO(
            states, discrete, -column, column, value_targets=column, value_network=value, value_coeff=1e308
        ),
    ):
        with pytest.raises(NonFiniteError):
            step()
    if kind == "float64":  # of float32, mean and deviation are taken in float64
        with pytest.raises(NonFiniteError):
            net.Reinforce(states, discrete, np.full(4, huge))
    else:
        for std in (1e-50, 1e50):
            with pytest.raises(ConfigError, match=r"Reinforce\(std\)"):
                gauss.Reinforce(states, continuous, column, "continuous", std=std)
    for each, was in zip((net, gauss, value), before, strict=True):
        np.testing.assert_array_equal(each.arena.values, was)
    assert net.PPO(states, discrete, np.full(4, -huge), column) == pytest.approx(-1.2)


class TestEvolve:
    def rich(self, **settings):
        net = NeuralNet(rng=5, **settings)
        net.add_dense(4, 6, use_bias=False).add_batchnorm(6).add_dense(6, 6).add_dense(6, 2, activation="linear")
        net.freeze(2)
        return net

    @pytest.mark.contract("R1")
    @pytest.mark.parametrize("kind", ["float32", "float64"])
    def test_keeps_the_best_of_all_candidates(self, rng, kind):
        net, x, scores = self.rich(dtype=kind), rng.normal(size=(10, 4)), []

        def score(output):
            assert output.dtype == kind
            scores.append(-np.abs(output - 1).mean())
            return scores[-1]

        best = net.Evolve(x, score, noise=0.1, tries=30, sigma=2.0)
        assert len(scores) == 31 and best == max(scores) > scores[0] and type(best) is float
        assert -np.abs(net.predict(x) - 1).mean() == best
        assert net.Evolve(x, lambda output: -np.abs(output - 1).mean(), tries=0) == best

    @pytest.mark.contract("R1")
    def test_baseline_stays_if_nothing_is_better(self, rng):
        net, x, seen = self.rich(), rng.normal(size=(10, 4)), []
        before = net.arena.values.copy()
        assert net.Evolve(x, lambda output: seen.append(1) or -len(seen), tries=20) == -1
        np.testing.assert_array_equal(net.arena.values, before)

    @pytest.mark.contract("R1")
    def test_learns_xor(self):
        x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
        net = NeuralNet(rng=0).add_dense(2, 8, activation="tanh").add_dense(8, 1, activation="sigmoid")
        scores = [net.Evolve(x, lambda output: -np.mean((output - y) ** 2), noise=0.3, tries=20) for _ in range(60)]
        assert scores == sorted(scores) and scores[0] < -0.15 and scores[-1] > -0.02

    @pytest.mark.contract("R1")
    def test_noise_is_normal_around_the_original_each_time(self, rng):
        net = NeuralNet(rng=0).add_dense(100, 100, activation="linear")
        start, moved = net.arena.values.copy(), []
        net.Evolve(
            np.ones((1, 100)), lambda y: moved.append(net.arena.values - start) or 0, noise=0.03, tries=3, sigma=2
        )
        assert not moved[0].any()
        used = np.concatenate([p.value.reshape(-1) for p in net.arena.parameters]).size
        for change in moved[1:]:
            change = change[change != 0]
            assert len(change) == used and np.abs(change.mean()) < 5 * 0.06 / 100
            assert change.std() == pytest.approx(0.06, rel=0.05)
            assert np.mean(np.abs(change) < 0.06) == pytest.approx(0.6827, abs=0.03)
        assert abs(np.corrcoef(moved[1][:10000], moved[2][:10000])[0, 1]) < 0.05

    @pytest.mark.defect("R6", "O3")
    def test_what_moves_and_what_does_not(self, rng):
        net, x = self.rich(), rng.normal(size=(10, 4))
        before, calls = net.get_weights(), []
        net.Evolve(x, lambda output: calls.append(1) or len(calls), tries=3)  # every candidate is better
        moved = [
            {name: (was[name] != layer[name]).all() for name in was}
            for was, layer in zip(before, net.layers, strict=True)
        ]
        same = dict.fromkeys(("running_mean", "running_var"), False)
        assert moved[0] == {"weights": True, "bias": False}
        assert moved[1] == {"gamma": True, "beta": True, **same}
        assert moved[2] == {"weights": False, "bias": False}
        assert moved[3] == {"weights": True, "bias": True}
        gaps = np.ones(len(net.arena), bool)
        for p in net.arena.parameters:
            gaps[p.start : p.start + p.size] = False
        assert gaps.any() and not net.arena.values[gaps].any()

    @pytest.mark.contract("R1")
    @pytest.mark.parametrize("place", ["alone", "chain", "block", "shortcut", "branch"])
    def test_missing_connections_stay_missing(self, place):
        sparse = Sparse(4, 4, connectivity=0.5, rng=1)
        layer = {
            "alone": sparse,
            "chain": Sequential([sparse]),
            "block": Residual(sparse),
            "shortcut": Residual(Dense(4, 4, rng=2), shortcut=sparse),
            "branch": Concat(None, [Dense(4, 4, rng=2), Residual(sparse)]),
        }[place]
        net, calls = NeuralNet(rng=0).add(layer), []
        net.Evolve(np.ones((2, 4)), lambda output: calls.append(1) or len(calls), tries=2)
        np.testing.assert_array_equal(sparse["weights"] != 0, sparse["mask"] == 1)

    @pytest.mark.defect("R6")
    def test_frozen_layers_inside_containers_do_not_move(self):
        still, free, calls = Dense(4, 4, rng=1), Dense(4, 4, rng=2), []
        net = NeuralNet(rng=0).add(Concat([still, free], None))
        still.frozen = True
        before = still["weights"].copy(), free["weights"].copy()
        net.Evolve(np.ones((2, 4)), lambda output: calls.append(1) or len(calls), tries=2)
        np.testing.assert_array_equal(still["weights"], before[0])
        assert (free["weights"] != before[1]).all()

    @pytest.mark.defect("R6")
    def test_embeddings_have_no_bias_and_move(self):
        net = NeuralNet(rng=0).add_embedding(5, 3).add_flatten().add_dense(6, 1)
        before, calls = net.layers[0]["weights"].copy(), []
        assert net.Evolve(np.array([[0, 4], [1, 2]]), lambda output: calls.append(1) or len(calls), tries=2) == 3
        assert (net.layers[0]["weights"] != before).all()

    def test_unchanged_if_the_score_fails(self, rng):
        net, x = self.rich(), rng.normal(size=(10, 4))
        before, calls = net.arena.values.copy(), []

        def fails(output):
            calls.append(1)
            if len(calls) > 3:
                raise ZeroDivisionError
            return len(calls)

        with pytest.raises(ZeroDivisionError):
            net.Evolve(x, fails)
        for bad in (math.nan, None, "1", np.ones(2)):
            calls.clear()
            with pytest.raises(DataError, match=r"Evolve\(score_fn\): expected a number"):
                net.Evolve(x, lambda output, bad=bad: calls.append(1) or (bad if len(calls) > 2 else len(calls)))
        np.testing.assert_array_equal(net.arena.values, before)

    def test_randomness_is_the_networks(self, rng):
        x = rng.normal(size=(10, 4))
        first, second = self.rich(), self.rich()
        for net in (first, second):
            net.Evolve(x, lambda output: output.mean())
        np.testing.assert_array_equal(first.arena.values, second.arena.values)

    def test_settings_are_checked(self):
        net = self.rich()
        for options in ({"noise": -1}, {"sigma": math.inf}, {"tries": -1}, {"tries": 1.5}):
            with pytest.raises(ConfigError, match=next(iter(options))):
                net.Evolve(np.ones((1, 4)), np.mean, **options)
        for kind, noise, sigma in (("float64", 1e200, 1e200), ("float32", 1e39, 1.0)):
            net = self.rich(dtype=kind)
            with pytest.raises(ConfigError, match=r"Evolve\(noise \* sigma\)"):
                net.Evolve(np.ones((1, 4)), lambda output: 1.0, noise=noise, sigma=sigma)
            assert np.isfinite(net.arena.values).all()
        with pytest.raises(ConfigError, match="score_fn"):
            net.Evolve(np.ones((1, 4)), 1.0)
        with pytest.raises(ShapeError, match="Evolve"):
            net.Evolve(np.ones((1, 5)), np.mean)
