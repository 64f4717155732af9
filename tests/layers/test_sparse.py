"""Sparse: the mask holds in forward, backward and update, whatever is done to the weights."""

import copy

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError
from enilnets.layers import Sparse
from enilnets.optim import OPTIMIZERS


@pytest.mark.contract("L2")
def test_entries_and_output(rng):
    layer = Sparse(5, 4, rng=1, activation="linear")
    mask, weights = layer["mask"], layer["weights"]
    assert mask.shape == weights.shape == (4, 5) and layer["bias"].shape == (4,) and layer["activation"] == "linear"
    assert set(mask.ravel()) == {0.0, 1.0} and not weights[mask == 0].any()
    x = rng.normal(size=(3, 5))
    np.testing.assert_allclose(layer.forward(x)[0], x @ (weights * mask).T + layer["bias"], rtol=1e-12)


@pytest.mark.contract("L2")
@pytest.mark.parametrize("connectivity, kept", [(0.0, 0), (0.1, 10), (0.5, 50), (0.333, 33), (1.0, 100)])
def test_the_fraction_is_kept_exactly(connectivity, kept):
    masks = [Sparse(10, 10, connectivity, rng=seed)["mask"] for seed in range(3)]
    assert [int(mask.sum()) for mask in masks] == [kept] * 3
    assert kept in (0, 100) or not np.array_equal(masks[0], masks[1])


@pytest.mark.parametrize("connectivity", [-0.1, 1.1, "half", True, np.nan, None])
def test_other_fractions_are_refused(connectivity):
    with pytest.raises(ConfigError, match="connectivity"):
        Sparse(4, 4, connectivity)


@pytest.mark.contract("L2")
@pytest.mark.defect("Y8")
def test_assigning_weights_brings_no_connection_back():
    net = NeuralNet(rng=0).add_sparse(4, 4, activation="linear")
    mask = net.layers[0]["mask"].copy()
    for assign in (
        lambda: net.set_weights([{"weights": np.ones((4, 4))}]),
        lambda: net.layers[0].update(weights=np.ones((4, 4))),
        lambda: net.layers[0]["weights"].fill(1.0),  # through the view, past every check
        lambda: net.arena.values.fill(1.0),
    ):
        assign()
        net.layers[0]["bias"] = np.zeros(4)
        assert net.Forward(np.ones((1, 4)))[0].tolist() == mask.sum(axis=1).tolist()
        net.arena.zero_grad()
        dx = net.chain.propagate(np.ones((1, 4)), net._passed, inputs=True)
        assert dx[0].tolist() == mask.sum(axis=0).tolist()
        assert np.array_equal(net.layers[0]["d_weights"], mask)
    net.set_weights([{"weights": np.ones((4, 4))}])
    assert np.array_equal(net.get_weights()[0]["weights"], mask)


@pytest.mark.contract("L2", "O5", "O6")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("l2_lambda", [0.0, 0.1])
def test_no_optimizer_moves_what_is_masked(optimizer, l2_lambda, rng):
    net = NeuralNet(0.05, optimizer, l2_lambda=l2_lambda, rng=0).add_sparse(6, 5, 0.4).add_dense(5, 1, "linear")
    layer = net.layers[0]
    mask, before = layer["mask"].copy(), layer["weights"].copy()
    for _ in range(5):
        net.TrainBatch(rng.normal(size=(8, 6)), rng.normal(size=(8, 1)))
    assert not layer["weights"][mask == 0].any() and (layer["weights"] != before)[mask == 1].any()
    assert not layer["d_weights"][mask == 0].any()
    for name, a in net.opt_state[0].items():
        assert not name.endswith("weights") or not a[mask == 0].any()
    assert np.array_equal(layer["mask"], mask)


@pytest.mark.contract("L2")
def test_the_mask_is_fixed_for_life(tmp_path):
    net = NeuralNet(rng=0).add_sparse(6, 5)
    layer, mask = net.layers[0], net.layers[0]["mask"].copy()
    with pytest.raises(ConfigError, match="made with"):
        layer["mask"] = 1 - mask
    with pytest.raises(ValueError):
        mask_view = layer["mask"]
        mask_view[...] = 1
    layer["mask"] = mask  # what it is already
    net.set_weights(net.get_weights())
    net.Save(tmp_path / "net.safetensors")
    for twin in (net.copy(), NeuralNet().Load(tmp_path / "net.safetensors"), copy.deepcopy(net)):
        assert np.array_equal(twin.layers[0]["mask"], mask)
        assert np.array_equal(twin.layers[0]["weights"], layer["weights"])
        with pytest.raises(ConfigError, match="made with"):
            twin.layers[0]["mask"] = 1 - mask
    blank = Sparse.blank(layer.config(), "float64")
    with pytest.raises(ConfigError, match="zeros and ones"):
        blank["mask"] = np.full((5, 6), 0.5)


@pytest.mark.contract("N11")
@pytest.mark.parametrize("inside", [False, True])
def test_weights_are_restored_with_their_mask(inside, rng):
    def build(seed):
        net = NeuralNet(0.1, "sgd", rng=seed)
        return net.add_residual(lambda block: block.add_sparse(6, 6)) if inside else net.add_sparse(6, 6)

    x, y = rng.normal(size=(2, 8, 6))
    first, second = build(1), build(2)
    second.TrainBatch(x, y)
    weights = first.get_weights()
    second.set_weights(weights)
    for mine, theirs in zip(weights, second.get_weights(), strict=True):
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert np.array_equal(first.predict(x), second.predict(x))
    second.TrainBatch(x, y)  # the momentum of connections that are no more is gone with them
    own = second.get_weights()[0]
    mask, moved = (own[name] for name in own if name.endswith(("mask", "weights")))
    mask, moved = (mask, moved) if set(mask.ravel()) == {0.0, 1.0} else (moved, mask)
    assert not moved[mask == 0].any()
    with pytest.raises(ConfigError, match="zeros and ones"):
        second.set_weights([{name: np.full_like(value, 0.5) for name, value in weights[0].items()}])
    with pytest.raises(ValueError):
        second.layers[0]["0.mask" if inside else "mask"][...] = 1


@pytest.mark.contract("N16")
def test_summary_line(capsys):
    NeuralNet(rng=0).add_sparse(784, 256).summary()
    assert "Layer 0: SPARSE       Input:    784 Output:    256 Params: 200960\n" in capsys.readouterr().out
