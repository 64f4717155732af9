"""RealNetTrainer: the documented training, against its equations. Ids are those of the specification, section A."""

import numpy as np
import pytest

from enilnets import optim
from enilnets.sequence import RealNet, RealNetTrainer

X = [[-1, -1], [-1, 1], [1, -1], [1, 1]]
Y = [[-1], [1], [1], [-1]]


def trainer_of(n=8, *, dropout=0.0, seed=0, dtype="float64", **settings):
    return RealNetTrainer(RealNet(n, [0, 1], [n - 1], dropout_rate=dropout, rng=seed, dtype=dtype), **settings)


def data(rng, n=32):
    return rng.normal(size=(n, 2)), rng.normal(size=(n, 1))


def test_defaults():
    """A1.14: AdamW and mean squared error, no ghost gradients; cuda is taken for the CPU."""
    trainer = RealNetTrainer(RealNet(3, [0, 1], [2]))
    assert type(trainer.optimizer) is optim.AdamW and trainer.optimizer.weight_decay == 0.01
    assert (trainer.loss_fn, trainer.gradient_decay, trainer.device) == ("mse", 0.0, "cpu")
    assert trainer.learning_rate == 0.007 and trainer_of(100).learning_rate == 0.001


@pytest.mark.parametrize("as_what", [list, np.asarray])
def test_fit_returns_a_loss_per_epoch(as_what, capsys):
    """A1.15: lists and arrays; progress every ten epochs, none if not verbose."""
    trainer = trainer_of()
    history = trainer.fit(as_what(X), as_what(Y), epochs=25, thinking_steps=3)
    assert len(history) == 25 and all(isinstance(loss, float) for loss in history)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["epoch 10/25", "epoch 20/25", "epoch 25/25"]
    trainer.fit(X, Y, epochs=10, thinking_steps=3, verbose=False)
    assert not capsys.readouterr().out


def test_history_is_the_mean_over_samples(rng):
    """A1.15: with a rate of 0 every epoch has the loss of all samples, the ragged last batch included."""
    trainer, (x, y) = trainer_of(learning_rate=0.0), data(rng, 10)
    history = trainer.fit(x, y, epochs=2, batch_size=4, thinking_steps=3, verbose=False)
    np.testing.assert_allclose(history, trainer.evaluate(x, y, 3), rtol=1e-12)


def test_pruning_after_every_epoch():
    """A1.16."""
    trainer = trainer_of(20)
    trainer.fit(X, Y, epochs=1, thinking_steps=3, pruning_threshold=0.01, verbose=False)
    alive = np.abs(trainer.model.weights[trainer.model.mask])
    assert 0 < len(alive) < 400 and alive.min() >= 0.01


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_accumulation_is_exact(decay, rng):
    """A1.17, A1.23, A-6: four quarter batches make the step of the whole batch; the loss is not divided."""
    x, y = data(rng, 32)
    whole, parts = trainer_of(gradient_decay=decay), trainer_of(gradient_decay=decay)
    for _ in range(3):
        loss = whole.train_batch(x, y, 5)
        before = parts.model.arena.values.copy()
        losses = []
        for i in range(4):
            assert np.array_equal(parts.model.arena.values, before) and parts.optimizer.t == whole.optimizer.t - 1
            losses.append(parts.train_batch(x[8 * i : 8 * i + 8], y[8 * i : 8 * i + 8], 5, 4))
        np.testing.assert_allclose(np.mean(losses), loss, rtol=1e-10)
        np.testing.assert_allclose(parts.model.arena.values, whole.model.arena.values, rtol=1e-6, atol=1e-9)


def gradient_of(model, x, y, steps):
    """Gradient of the mean squared error, without a trainer."""
    states, saved = model.run(model.prepare_input(x), steps, train=False, keep=True)
    model.arena.zero_grad()
    model.backward(saved, 2 * (model.read(states[-1]) - y) / len(y))
    gradient = model.arena.gradients.copy()
    model.arena.zero_grad()
    return gradient


def clipped(gradient):
    return gradient / max(1.0, np.linalg.norm(gradient))


def test_ghost_gradients_have_their_closed_form(rng):
    """A1.20, A1.23, A-6: g_t = clip(gradient + d g_{t-1}); SGD shows it as the difference of the parameters."""
    trainer = trainer_of(optimizer=optim.SGD(momentum=0.0), gradient_decay=0.4, learning_rate=0.1)
    ghost = 0.0
    for _ in range(6):
        x, y = data(rng)
        before = trainer.model.arena.values.copy()
        ghost = clipped(gradient_of(trainer.model.clone(), x, 5 * y, 4) + 0.4 * ghost)
        trainer.train_batch(x, 5 * y, 4)
        np.testing.assert_allclose(trainer.model.arena.values, before - 0.1 * ghost, atol=1e-12)


def test_no_ghost_without_decay(rng):
    """A1.20: a decay of 0 forgets every gradient."""
    trainer, (x, y) = trainer_of(optimizer="sgd"), data(rng)
    trainer.train_batch(x, y, 4)
    assert not trainer.model.arena.gradients.any()


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_left_out_and_reported(where, rng):
    """A1.20, A3.7: the model keeps its numbers, the ghost is forgotten, the next step is an ordinary one."""

    def bad(output, target):
        return (np.nan, output) if where == "loss" else (1.0, output * np.inf)

    trainer, (x, y) = trainer_of(gradient_decay=0.5), data(rng)
    trainer.train_batch(x, y, 4)
    before, t = trainer.model.arena.values.copy(), trainer.optimizer.t
    trainer.loss_fn = bad
    with pytest.warns(RuntimeWarning, match="not finite"), np.errstate(invalid="ignore"):
        trainer.train_batch(x, y, 4)
    np.testing.assert_array_equal(trainer.model.arena.values, before)
    assert trainer.skipped == 1 and trainer.optimizer.t == t and not trainer.model.arena.gradients.any()
    trainer.loss_fn = "mse"
    trainer.train_batch(x, y, 4)
    assert trainer.optimizer.t == t + 1 and np.isfinite(trainer.model.arena.values).all()


def test_predict_reads_the_outputs_without_dropout(rng):
    """A1.18."""
    trainer, x = trainer_of(10, dropout=0.5), rng.normal(size=(600, 2))
    one, two = trainer.predict(x, 4), trainer.predict(x, 4)
    np.testing.assert_array_equal(one, two)
    model = trainer.model.clone().eval()
    np.testing.assert_allclose(one, model.forward(model.prepare_input(x), 4)[1][:, [9]], atol=1e-12)
    assert trainer.predict([1.0, 2.0, 3.0], 4).shape == (3, 1) and trainer.model.training


def test_evaluate_and_prune(rng):
    """A1.19: the loss of the predictions, and nothing learned; prune with 0.01 by default."""
    trainer, (x, y) = trainer_of(20), data(rng)
    before = trainer.model.arena.values.copy()
    np.testing.assert_allclose(trainer.evaluate(x, y, 3), ((trainer.predict(x, 3) - y) ** 2).mean(), rtol=1e-12)
    np.testing.assert_array_equal(trainer.model.arena.values, before)
    weak = int((np.abs(trainer.model.weights) < 0.01).sum())
    assert trainer.prune() == (weak, weak, 400) and trainer.prune(0.01) == (0, weak, 400)


@pytest.mark.parametrize("optimizer", sorted(optim.OPTIMIZERS))
def test_every_optimizer_learns_xor_or_moves(optimizer):
    trainer = trainer_of(3, optimizer=optimizer)
    first = trainer.evaluate(X, Y, 5)
    trainer.fit(X, Y, epochs=60, thinking_steps=5, verbose=False)
    assert trainer.evaluate(X, Y, 5) < first


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "hinge", "bce_logits", "softmax_cross_entropy"])
def test_losses_by_name(loss, rng):
    model = RealNet(12, [0, 1], [9, 10, 11], dropout_rate=0.0, rng=0)
    trainer = RealNetTrainer(model, loss_fn=loss, learning_rate=0.01)
    x, labels = rng.normal(size=(48, 2)), rng.integers(0, 3, 48)
    rows = np.eye(3)[labels]
    y = {"softmax_cross_entropy": labels, "hinge": 2 * rows - 1}.get(loss, rows)
    history = trainer.fit(x, y, epochs=20, thinking_steps=4, verbose=False)
    assert history[-1] < history[0]


def test_a_callable_loss_has_the_gradient_it_returns(rng):
    x, y = data(rng)
    named, called = trainer_of(), trainer_of(loss_fn=lambda o, t: (((o - t) ** 2).mean(), 2 * (o - t) / o.size))
    for trainer in (named, called):
        trainer.train_batch(x, y, 4)
    np.testing.assert_allclose(called.model.arena.values, named.model.arena.values, atol=1e-12)


def test_thinking_steps_from_a_range(rng, monkeypatch):
    """A3.3: (low, high) draws a number of steps for every batch, both ends included."""
    trainer, seen, run = trainer_of(), set(), RealNet.run

    def noticed(self, x, steps, *rest, **settings):
        seen.add(steps)
        return run(self, x, steps, *rest, **settings)

    monkeypatch.setattr(RealNet, "run", noticed)
    trainer.fit(*data(rng), epochs=40, batch_size=8, thinking_steps=(3, 6), verbose=False)
    assert seen == {3, 4, 5, 6}


def test_full_sequences_and_masks(rng):
    """Losses over all steps, weighted by a mask; a mask of the last step alone is the loss of the last step."""
    x, y = rng.normal(size=(6, 4, 2)), rng.normal(size=(6, 5, 1))
    last = np.zeros((6, 5))
    last[:, -1] = 1
    sequence, single = trainer_of(), trainer_of()
    assert sequence.predict(x, 5, full_sequence=True).shape == (6, 5, 1)
    mine = sequence.train_batch(x, y, 5, full_sequence=True, mask=last)
    assert mine == pytest.approx(single.train_batch(x, y[:, -1], 5), rel=1e-10)
    np.testing.assert_allclose(sequence.model.arena.values, single.model.arena.values, atol=1e-10)
    whole = sequence.evaluate(x, y, 5, full_sequence=True)
    assert whole == pytest.approx(((sequence.predict(x, 5, full_sequence=True) - y) ** 2).mean())


def test_a_vector_of_targets_is_a_column(rng):
    x, y = data(rng)
    one, two = trainer_of(), trainer_of()
    assert one.train_batch(x, y, 3) == two.train_batch(x, y[:, 0], 3)


def test_unlike_numbers_of_threads_give_the_same_bits(rng):
    from enilnets.ops.threads import num_threads

    x, y = rng.normal(size=(64, 190)), rng.normal(size=(64, 10))
    seen = set()
    for threads in (1, 2, 4):
        model = RealNet(200, list(range(190)), list(range(190, 200)), rng=0)
        trainer = RealNetTrainer(model, learning_rate=1e-3)
        with num_threads(threads):
            for _ in range(3):
                trainer.train_batch(x, y, 5)
        seen.add(model.arena.values.tobytes())
    assert len(seen) == 1
