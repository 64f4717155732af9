"""PolicySearch: the reinforcement-learning verbs of NeuralNet, one step each.

What they minimise stands in policy_gradients.py; agents that choose actions themselves are another matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from . import checks, losses
from .errors import ConfigError, DataError, ShapeError
from .layers import Layer, Sequential
from .layers.base import ActivatedLayer
from .parameters import Arena
from .policy_gradients import (
    POLICIES,
    Categorical,
    Gaussian,
    Objective,
    Policy,
    as_actions,
    as_column,
    clipped_surrogate,
    reinforce,
)
from .returns import compute_returns

__all__ = ["PolicySearch"]


class Learner(Protocol):
    """What the verbs ask of the network they belong to; see NeuralNet."""

    arena: Arena
    dtype: np.dtype

    @property
    def layers(self) -> list[Layer]: ...
    @property
    def rng(self) -> np.random.Generator: ...
    @property
    def pre_activations(self) -> list[np.ndarray | None]: ...
    def _inputs(self, where: str, inputs: Any, name: str = ..., *, batch: bool = ...) -> np.ndarray: ...
    def _output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]: ...
    def _run(self, x: np.ndarray, training: bool) -> np.ndarray: ...
    def _propagate(self, gradient: np.ndarray, at_pre_activation: bool) -> None: ...
    def _forget_pass(self) -> None: ...
    def predict(self, inputs: Any) -> np.ndarray: ...
    def update(self) -> None: ...


class PolicySearch:
    """Verbs that improve a network as a policy: by trying (``Evolve``) or along a gradient.

    The network maps states to what the actions are drawn from. ``action_type="discrete"``: it ends in a softmax of one
    probability per action, or in linear outputs, which are then read as logits. ``"continuous"``: its outputs are the
    means of normal distributions with standard deviation ``std``; any activation but softmax may stand at its end, and
    its derivative is part of the gradient.
    """

    def Evolve(
        self: Learner,
        inputs: Any,
        score_fn: Callable[[np.ndarray], float],
        noise: float = 0.05,
        tries: int = 10,
        sigma: float = 1.0,
    ) -> float:
        """Try random changes of all parameters and keep the best: a random search, best of ``tries + 1``.

        Every candidate is the network as it was plus normal noise; neither gradients nor earlier candidates guide it.

        Parameters
        ----------
        inputs : array_like
            What ``predict`` takes.
        score_fn : callable
            Maps the output to a number, higher is better; -infinity is allowed, NaN is not. While it runs, the network
            has the parameters that are being scored.
        noise, sigma : float >= 0
            Their product is the standard deviation of the noise.
        tries : int >= 0, default 10
            Number of candidates.

        Returns
        -------
        score : float
            Of the network as it now is: the best candidate's, or its own if none was better.

        Raises
        ------
        DataError
            If ``score_fn`` does not return a number. The network is unchanged, whatever ``score_fn`` raises.

        Notes
        -----
        Weights, biases, gamma and beta change; frozen layers, missing connections of sparse layers, biases that are
        switched off and running statistics do not. The noise comes from ``rng``. State of the optimizer stays.
        """
        std = checks.number("Evolve", "noise", noise, 0.0) * checks.number("Evolve", "sigma", sigma, 0.0)
        if std > float(np.finfo(self.dtype).max):
            raise ConfigError("Evolve(noise * sigma)", f"a number that {self.dtype} holds", f"{std}")
        tries = checks.integer("Evolve", "tries", tries, 0)
        if not callable(score_fn):
            raise ConfigError("Evolve(score_fn)", "a function of the output", repr(score_fn))
        x = self._inputs("Evolve", inputs)
        scale = self.dtype.type(std) * _changeable(self)
        values = self.arena.values
        kept = start = values.copy()
        try:
            best = start
            best_score = _score(score_fn(self.predict(x)))
            for _ in range(tries):
                values[...] = start + scale * self.rng.standard_normal(len(start), self.dtype.type)
                score = _score(score_fn(self.predict(x)))
                if score > best_score:
                    best, best_score = values.copy(), score
            kept = best
        finally:
            values[...] = kept
        self._forget_pass()
        return best_score

    def Reinforce(
        self: Learner,
        states: Any,
        actions: Any,
        returns: Any,
        action_type: str = "discrete",
        std: float = 1.0,
        normalize_returns: bool = True,
    ) -> float:
        """One step of REINFORCE: down the gradient of ``-mean(returns log p(actions))``.

        Parameters
        ----------
        states : array_like (n, ...)
        actions : array_like
            Discrete: integers (n,). Continuous: (n, outputs).
        returns : array_like (n,) or (n, 1)
            Discounted returns, such as ``compute_returns`` makes them.
        action_type : {"discrete", "continuous"}
        std : float > 0, default 1.0
            Standard deviation of continuous actions.
        normalize_returns : bool, default True
            Use ``(returns - mean) / (standard deviation + 1e-8)`` instead; equal returns then move nothing.

        Returns
        -------
        float
            Mean of the returns as given.

        Raises
        ------
        ConfigError, ShapeError, LabelError, DataError, DTypeError
            For arguments that do not fit; the network is unchanged.

        References
        ----------
        Williams 1992, "Simple statistical gradient-following algorithms".

        Examples
        --------
        >>> import numpy as np
        >>> from enilnets import NeuralNet
        >>> net = NeuralNet(0.1, l2_lambda=0.0, rng=0).add_dense(2, 3, activation="softmax")
        >>> net.Reinforce(np.eye(2), actions=[0, 2], returns=[1.0, 3.0])
        2.0
        """
        normalize = checks.flag("Reinforce", "normalize_returns", normalize_returns)
        x, a = _batch(self, "Reinforce", states, actions, action_type, std)
        given = as_column("Reinforce", "returns", returns, len(x), self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # the objective refuses what is not finite
            mean, deviation = given.mean(dtype=np.float64), given.std(dtype=np.float64)
            weights = ((given - mean) / (deviation + 1e-8)).astype(self.dtype) if normalize else given
        _descend(self, x, action_type, std, lambda policy: reinforce(policy, a, weights))
        return float(mean)

    def PPO(
        self: Learner,
        states: Any,
        actions: Any,
        old_log_probs: Any,
        advantages: Any,
        action_type: str = "discrete",
        epsilon: float = 0.2,
        std: float = 1.0,
        value_targets: Any = None,
        value_coeff: float = 0.5,
        entropy_coeff: float = 0.01,
        value_network: Learner | None = None,
    ) -> float:
        """One step of proximal policy optimization; call it several times per batch of experience.

        Parameters
        ----------
        states : array_like (n, ...)
        actions : array_like
            Discrete: integers (n,). Continuous: (n, outputs).
        old_log_probs : array_like (n,) or (n, 1)
            Log-probabilities of the actions under the policy that chose them.
        advantages : array_like (n,) or (n, 1)
            Such as ``gae`` estimates them.
        action_type : {"discrete", "continuous"}
        epsilon : float >= 0, default 0.2
            Ratios beyond 1 ± epsilon bring no further gain.
        std : float > 0, default 1.0
            Standard deviation of continuous actions.
        value_targets : array_like (n,) or (n, 1), optional
            Returns that ``value_network`` is trained towards in the same call.
        value_coeff : float >= 0, default 0.5
            Weight of the value loss.
        entropy_coeff : float >= 0, default 0.01
            Weight of the entropy bonus, which keeps a discrete policy trying. That of a Gaussian of fixed ``std`` is
            constant.
        value_network : NeuralNet, optional
            The value head: a network of its own that maps states to one output and has an optimizer of its own.

        Returns
        -------
        float
            The policy loss, ``mean(-min(r A, clip(r, 1 - epsilon, 1 + epsilon) A))``, before the step.

        Raises
        ------
        ConfigError, ShapeError, LabelError, DataError, DTypeError
            For arguments that do not fit, and for ``value_targets`` without ``value_network`` or the reverse; both
            networks are unchanged.

        Notes
        -----
        Minimised is ``policy loss - entropy_coeff mean(H) + value_coeff mean((V - value_targets)^2)``, with its exact
        gradient; see ``policy_gradients.clipped_surrogate``.

        References
        ----------
        Schulman, Wolski, Dhariwal, Radford & Klimov 2017, "Proximal policy optimization algorithms", equation 9.

        Examples
        --------
        >>> import numpy as np
        >>> from enilnets import NeuralNet
        >>> policy = NeuralNet(0.1, l2_lambda=0.0, rng=0).add_dense(2, 2, activation="softmax")
        >>> states, actions = np.eye(2), np.array([0, 1])
        >>> old = np.log(policy.predict(states)[[0, 1], actions])
        >>> losses = [policy.PPO(states, actions, old, advantages=[1.0, 3.0]) for _ in range(3)]
        >>> round(losses[0], 6), losses[2] < losses[1] < losses[0]
        (-2.0, True)
        """
        epsilon, value_coeff, entropy_coeff = (
            checks.number("PPO", name, value, 0.0)
            for name, value in (
                ("epsilon", epsilon),
                ("value_coeff", value_coeff),
                ("entropy_coeff", entropy_coeff),
            )
        )
        x, a = _batch(self, "PPO", states, actions, action_type, std)
        old = as_column("PPO", "old_log_probs", old_log_probs, len(x), self.dtype)
        gains = as_column("PPO", "advantages", advantages, len(x), self.dtype)
        values = _value_batch(self, value_network, states, value_targets, len(x))

        def objective(policy: Policy) -> Objective:
            return clipped_surrogate(policy, a, old, gains, epsilon, entropy_coeff)

        if value_network is not None and values is not None:
            _regress(value_network, *values, value_coeff)
        value = _descend(self, x, action_type, std, objective)
        if value_network is not None:
            value_network.update()
        return value

    def ActorCritic(
        self: Learner,
        states: Any,
        actions: Any,
        returns: Any,
        values: Any,
        action_type: str = "discrete",
        std: float = 1.0,
    ) -> float:
        """One step of REINFORCE with a baseline: down the gradient of ``-mean((returns - values) log p(actions))``.

        The network is the actor; ``values`` come from a critic that is trained elsewhere, such as with ``TrainBatch``.

        Parameters
        ----------
        states : array_like (n, ...)
        actions : array_like
            Discrete: integers (n,). Continuous: (n, outputs).
        returns, values : array_like (n,) or (n, 1)
            Discounted returns and what the critic had predicted; their differences are used as they are.
        action_type : {"discrete", "continuous"}
        std : float > 0, default 1.0
            Standard deviation of continuous actions.

        Returns
        -------
        float
            ``mean((returns - values)^2)``, the critic's error.

        Raises
        ------
        ConfigError, ShapeError, LabelError, DataError, DTypeError
            For arguments that do not fit; the network is unchanged.

        References
        ----------
        Sutton & Barto 2018, "Reinforcement learning", section 13.4.
        """
        x, a = _batch(self, "ActorCritic", states, actions, action_type, std)
        g = as_column("ActorCritic", "returns", returns, len(x), self.dtype)
        predicted = as_column("ActorCritic", "values", values, len(x), self.dtype)
        with np.errstate(over="ignore"):  # the objective refuses what is not finite
            advantages = g - predicted
        _descend(self, x, action_type, std, lambda policy: reinforce(policy, a, advantages))
        return float(np.mean(advantages.astype(np.float64) ** 2))

    def compute_returns(self, rewards: Any, gamma: float = 0.99, dones: Any = None) -> np.ndarray:
        """Return discounted returns; see ``enilnets.compute_returns``."""
        return compute_returns(rewards, gamma, dones)


def _changeable(net: Learner) -> np.ndarray:
    """1 where ``Evolve`` may change an element of the arena, else 0."""
    changes = np.zeros(len(net.arena), net.dtype)
    for parameter in net.arena.parameters:
        changes[parameter.start : parameter.start + parameter.size] = not parameter.frozen
    for layer in net.layers:
        for name, mask in layer.buffers.items():  # those of the layers inside containers are among them
            *owner, last = name.split(".")
            if last == "mask":
                weights = layer.parameters[".".join([*owner, "weights"])]
                changes[weights.start : weights.start + weights.size] *= mask.reshape(-1)
    return changes


def _score(value: Any) -> float:
    try:
        score = float(value) if not isinstance(value, (str, bytes)) else math.nan
    except (TypeError, ValueError):
        score = math.nan
    if math.isnan(score):
        raise DataError("Evolve(score_fn)", "a number for every output, higher is better", repr(value))
    return score


def _batch(
    net: Learner, where: str, states: Any, actions: Any, action_type: str, std: float
) -> tuple[np.ndarray, np.ndarray]:
    """Check all that states, actions and policy must be before anything runs."""
    checks.choice(where, "action_type", action_type, POLICIES)
    deviation = checks.number(where, "std", std, 0.0, above=True)
    limits = np.finfo(net.dtype)
    if not float(limits.tiny) <= deviation <= float(limits.max):
        raise ConfigError(f"{where}(std)", f"a positive number that {net.dtype} holds", repr(std))
    x = net._inputs(where, states, "states", batch=True)
    shape = (len(x), *net._output_shape(x.shape[1:]))
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(where, "at least one state, and outputs of shape (n, actions)", f"outputs of shape {shape}")
    last = net.layers[-1]
    while isinstance(last, Sequential) and last.layers:
        last = last.layers[-1]
    head = last.head if isinstance(last, ActivatedLayer) else last.type
    if (head not in ("softmax", "linear")) if action_type == "discrete" else head == "softmax":
        wanted = "a softmax or linear one" if action_type == "discrete" else "any but softmax"
        raise ConfigError(f"{where}: last activation for {action_type} actions", wanted, head)
    return x, as_actions(where, action_type, actions, (shape[0], shape[1]), net.dtype)


def _descend(
    net: Learner, x: np.ndarray, action_type: str, std: float, objective: Callable[[Policy], Objective]
) -> float:
    """One update of the network down the objective of its policy; returns the objective's value before."""
    y = net._run(x, True)
    policy: Policy
    if action_type == "discrete":
        logits = net.pre_activations[-1]
        policy = Categorical(y if logits is None else logits)
    else:
        policy = Gaussian(y, std)
    value, _, gradient = objective(policy)
    net._propagate(gradient, at_pre_activation=action_type == "discrete")
    net.update()
    return value


def _value_batch(
    net: Learner, value_network: Learner | None, states: Any, value_targets: Any, n: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Check what the value network learns from; None if there is none."""
    if (value_network is None) != (value_targets is None):
        missing, way_out = ("value_targets", "") if value_targets is None else ("value_network", "it is the value head")
        raise ConfigError("PPO", "value_targets and value_network together", f"no {missing}", way_out)
    if value_network is None:
        return None
    if not isinstance(value_network, PolicySearch) or value_network is net:
        got = "the policy itself" if value_network is net else type(value_network).__name__
        raise ConfigError("PPO(value_network)", "a NeuralNet of its own", got)
    x = value_network._inputs("PPO", states, "states for value_network", batch=True)
    shape = value_network._output_shape(x.shape[1:])
    if shape != (1,):
        raise ShapeError("PPO(value_network)", f"outputs of shape ({n}, 1)", f"{(n, *shape)}", "end it in one output")
    return x, as_column("PPO", "value_targets", value_targets, n, value_network.dtype).reshape(n, 1)


def _regress(net: Learner, x: np.ndarray, targets: np.ndarray, coefficient: float) -> None:
    """Fill the gradients of ``coefficient mean((V - targets)^2)``; NonFiniteError if they are not finite."""
    _, gradient, _ = losses.value_and_gradient("mse", net._run(x, True), targets)
    with np.errstate(over="ignore", invalid="ignore"):  # the norm refuses what is not finite
        net._propagate(gradient * net.dtype.type(coefficient), at_pre_activation=False)
    net.arena.gradient_norm()
