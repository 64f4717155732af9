"""Pruning and the sparse form. Ids are those of the specification, section A."""

import copy

import numpy as np
import pytest

from enilnets import optim
from enilnets.sequence import RealNet, RealNetTrainer, SparseRealNet, SynapticPruner


def test_counts_and_the_strict_threshold():
    """A1.10: strictly below, only what was alive before; a second call finds nothing more."""
    model = RealNet(3, [0], [2], rng=0)
    model.weights = [[0.5, 0.25, 0.1], [-0.25, -0.1, 0.0], [1, 2, 3]]
    assert SynapticPruner.prune(model, 0.25) == (3, 3, 9)
    assert SynapticPruner.prune(model, 0.25) == (0, 3, 9)
    assert SynapticPruner.prune(model, 0.3) == (2, 5, 9)
    assert SynapticPruner.prune(RealNet(3, [0], [2], rng=0))[1:] == (0, 9)  # by default 0.001


def test_sparsity_in_percent():
    """A1.12."""
    model = RealNet(2, [0], [1], rng=0)
    model.weights = [[0.5, 0.001], [0.5, 0.5]]
    assert SynapticPruner.get_sparsity(model) == 0
    model.prune_synapses(0.01)
    assert SynapticPruner.get_sparsity(model) == 25


@pytest.mark.parametrize("optimizer", sorted(optim.OPTIMIZERS))
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_dead_synapses_stay_dead(optimizer, decay, rng, tmp_path):
    """A1.11, A3.9, A-5: weight exactly 0, gradient 0 and moments 0, whatever moved before, and through a file."""
    trainer = RealNetTrainer(RealNet(20, [0, 1], [19], rng=0), optimizer, gradient_decay=decay)
    x, y = rng.normal(size=(16, 2)), rng.normal(size=(16, 1))
    for _ in range(10):
        trainer.train_batch(x, y, 4)
    trainer.prune(float(np.median(np.abs(trainer.model.weights))))
    dead = ~trainer.model.mask
    assert dead.sum() == 200
    for _ in range(100):
        trainer.train_batch(x, y, 4)
    trainer.Save(tmp_path / "trainer.safetensors")
    for end in (trainer, RealNetTrainer.Load(tmp_path / "trainer.safetensors"), copy.deepcopy(trainer)):
        for _ in range(3):
            end.train_batch(x, y, 4)
        weights = end.model.parameters["weights"]
        np.testing.assert_array_equal(~end.model.mask, dead)
        assert not weights.value[dead].any() and not weights.grad[dead].any()
        for vector in end.optimizer.state.values():
            of_dead = vector[weights.start : weights.start + weights.size].reshape(20, 20)[dead]
            assert not of_dead.any() and vector.any()


def test_what_is_assigned_to_dead_synapses_has_no_effect(rng):
    """A1.11."""
    model = RealNet(6, [0], [5], rng=0).eval()
    model.prune_synapses(0.01)
    model.weights = rng.normal(size=(6, 6))
    assert not model.weights[~model.mask].any() and model.weights[model.mask].all()
    with pytest.raises(ValueError):
        model.mask[0, 0] = True


def test_writing_into_the_weights_wakes_no_synapse(rng):
    """A1.11: weights is a view, and so is the arena, into which older numbers may come back."""
    model = RealNet(6, [0], [5], rng=0).eval()
    model.prune_synapses(0.01)
    x, twin, dead = rng.normal(size=(3, 6)), model.clone(), ~model.mask
    twin.weights = np.ones((6, 6))
    expected = twin.forward(x, 4)[0]
    for view in (model.weights, model.arena.values[:36].reshape(6, 6)):
        view[...] = 1
        np.testing.assert_array_equal(model.forward(x, 4)[0], expected)
        view[...] = 1
        assert not model.weights[dead].any() and len(model.make_sparse().weights.values) == model.mask.sum()


def pruned(n, share, rng, dtype="float32", **settings):
    model = RealNet(n, [0, 1], [n - 1], rng=0, dtype=dtype, **settings).eval()
    model.weights, model.bias = rng.normal(0, 1 / np.sqrt(n), (n, n)), rng.normal(0, 0.3, n)
    model.gamma, model.beta = rng.normal(1, 0.1, n), rng.normal(0, 0.1, n)
    model.prune_synapses(float(np.quantile(np.abs(model.weights), share)))
    return model


@pytest.mark.parametrize("batch", [1, 5, 32, 70])
@pytest.mark.parametrize("kind", ["pulse", "stream", "sequence", "state", "none"])
def test_the_sparse_form_has_the_same_outputs(kind, batch, dtype, rng):
    """A1.13, A-5: all states and the final one as the dense network's."""
    model = pruned(90, 0.9, rng, dtype, pulse_mode=kind != "stream")
    sparse = SparseRealNet.from_dense(model)
    x = rng.normal(size=(batch, 3, 90) if kind == "sequence" else (batch, 90))
    state = rng.normal(size=(batch, 90)) if kind in ("state", "none") else None
    x = None if kind == "none" else x
    for steps in (1, 5):
        for mine, theirs in zip(sparse.forward(x, steps, state), model.forward(x, steps, state), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 if dtype == "float32" else 1e-12)


def test_the_old_names(rng):
    """A1.13: make_sparse() and prune_synapses(); predict reads the outputs."""
    model = pruned(30, 0.5, rng)
    sparse = model.make_sparse()
    assert isinstance(sparse, SparseRealNet) and len(sparse.weights.values) == model.mask.sum()
    x = rng.normal(size=(4, 2))
    np.testing.assert_allclose(sparse.predict(x, 4), RealNetTrainer(model).predict(x, 4), atol=1e-5)
    model.weights = np.zeros((30, 30))  # does not reach the sparse form
    assert sparse.weights.values.all()


def test_a_network_without_synapses(rng):
    model = pruned(10, 0.5, rng)
    assert model.prune_synapses(100)[1] == 100
    x = rng.normal(size=(3, 10))
    np.testing.assert_allclose(SparseRealNet.from_dense(model).forward(x, 3)[0], model.forward(x, 3)[0], atol=1e-6)
