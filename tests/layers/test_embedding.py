"""Embedding: what it looks up, what it refuses, and that rows which were not seen do not move."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, DTypeError, LabelError, ShapeError
from enilnets.init import EMBEDDING_INITIALIZERS, init_embedding_weights
from enilnets.layers import Embedding
from enilnets.optim import OPTIMIZERS

IDS = np.array([[1, 4, 4], [0, 1, 4]])
SEEN = [0, 1, 4]


def network(optimizer="adam", l2_lambda=0.0, dtype="float64", vocab=9, dim=4):
    return NeuralNet(0.1, optimizer, l2_lambda=l2_lambda, dtype=dtype, rng=0).add_embedding(vocab, dim)


@pytest.mark.contract("L13")
def test_ids_become_rows():
    layer = Embedding(9, 4, rng=0)
    y, _ = layer.forward(IDS)
    assert y.shape == (2, 3, 4)
    assert np.array_equal(y, layer["weights"][IDS])
    assert layer["weights"].shape == (9, 4) and layer["vocab_size"] == 9 and layer["embed_dim"] == 4


@pytest.mark.contract("L13")
@pytest.mark.defect("Y5")
@pytest.mark.parametrize("call", ["Forward", "predict"])
def test_a_vector_of_ids_is_a_batch_of_sequences_of_one(call):
    net = network()
    y = getattr(net, call)(np.array([5, 0, 8]))
    assert y.shape == (3, 1, 4)
    assert np.array_equal(y[:, 0], net.layers[0]["weights"][[5, 0, 8]])
    assert net.forward(np.array([5, 0, 8]))[0].shape == net.infer(np.array([5, 0, 8])).shape == (3, 1, 4)


@pytest.mark.contract("L13")
def test_the_last_input_can_be_read():
    net = network()
    assert "_last_input" not in net.layers[0]
    net.Forward(IDS)
    assert np.array_equal(net.layers[0]["_last_input"], IDS)
    assert net.layers[0]["_last_input"].dtype == np.int64 and net.outputs[0].dtype == np.int64


BAD = [
    ([[0, -1]], "-1 at index (0, 1)"),
    ([[0, 9]], "9 at index (0, 1)"),
    ([[2.7, 1]], "2.7 at index (0, 0)"),
    ([[0.0, np.nan]], "nan at index (0, 1)"),
    ([[0.0, np.inf]], "inf at index (0, 1)"),
    ([[0.0, 1e30]], "1e+30 at index (0, 1)"),
    (np.array([[0, 2**64 - 1]], np.uint64), "18446744073709551615 at index (0, 1)"),
    ([[-0.5, 0]], "-0.5 at index (0, 0)"),
]


@pytest.mark.defect("Y5")
@pytest.mark.parametrize("ids, said", BAD)
def test_ids_that_are_no_rows_are_refused_and_change_nothing(ids, said):
    net = network()
    before = net.layers[0]["weights"].copy()
    target = np.ones((1, 2, 4))
    for call in (
        lambda: net.Forward(ids),
        lambda: net.predict(ids),
        lambda: net.TrainBatch(ids, target),
        lambda: net.Train(np.concatenate([np.zeros((64, 2)), ids]), np.ones((65, 2, 4)), epochs=1, verbose=0),
    ):
        with pytest.raises(LabelError, match=r"from 0 to 8") as error:
            call()
        assert said in str(error.value) or "index (64" in str(error.value)
    assert np.array_equal(net.layers[0]["weights"], before) and net.t == 0
    with pytest.raises(LabelError, match="Embedding"):
        Embedding(9, 4, rng=0).forward(np.asarray(ids))


def test_other_things_than_ids_are_refused():
    net = network()
    for ids in ([[True, False]], [["a", "b"]], [[1 + 2j]], [[None]], [[1, 2], [3]]):
        with pytest.raises(DTypeError):
            net.Forward(ids)
    with pytest.raises(DTypeError, match="masked"):
        net.Forward(np.ma.masked_equal([[1, 2]], 2))
    with pytest.raises(ShapeError):
        net.Forward(np.zeros((2, 3, 4), int))
    assert net.Forward([[1.0, 2.0]]).shape == net.Forward(np.array([[1, 2]], np.uint8)).shape == (1, 2, 4)


@pytest.mark.contract("L13")
def test_large_ids_keep_their_digits_in_float32():
    """float32 would round 2**24 + 1 to 2**24."""
    net = network("sgd", dtype="float32", vocab=2**24 + 3, dim=1)
    net.layers[0]["weights"][2**24 :, 0] = [1, 2, 3]
    ids = np.array([[2**24, 2**24 + 1, 2**24 + 2]])
    for y in (net.Forward(ids), net.predict(ids), net.infer(ids), net.forward(ids)[0], net.Forward(ids.tolist())):
        assert y.ravel().tolist() == [1, 2, 3]
    net.Train(ids, np.zeros((1, 3, 1)), epochs=1, verbose=0)
    assert (net.layers[0]["weights"][2**24 :, 0] < [1, 2, 3]).all()


@pytest.mark.contract("L13", "A6")
@pytest.mark.defect("Y5")
def test_the_initialiser_is_the_one_asked_for():
    assert not Embedding(20, 5, "zeros", rng=0)["weights"].any()
    for name in EMBEDDING_INITIALIZERS:
        assert np.array_equal(Embedding(20, 5, name, rng=3)["weights"], init_embedding_weights(20, 5, name, rng=3))
    many = init_embedding_weights(400, 100, rng=0)
    assert many.dtype == np.float64 and many.std() == pytest.approx(0.1, rel=0.02)
    assert np.abs(init_embedding_weights(400, 100, "xavier_uniform", rng=0)).max() <= np.sqrt(6 / 500)
    assert init_embedding_weights(400, 100, "xavier_normal", rng=0).std() == pytest.approx(np.sqrt(2 / 500), rel=0.02)
    for make in (lambda: Embedding(20, 5, "bogus"), lambda: init_embedding_weights(20, 5, "bogus")):
        with pytest.raises(ConfigError, match="normal, xavier_uniform, xavier_normal, zeros"):
            make()


@pytest.mark.contract("L13", "O6")
@pytest.mark.defect("O4")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("l2_lambda", [0.0, 0.1])
def test_rows_that_were_not_seen_do_not_move(optimizer, l2_lambda, dtype, rng):
    net = network(optimizer, l2_lambda, dtype)
    weights = net.layers[0]["weights"]
    net.TrainBatch(np.arange(9)[None], rng.normal(size=(1, 9, 4)))  # now every row has momentum
    state = [{name: a.copy() for name, a in entry.items()} for entry in net.opt_state]
    before = weights.copy()
    for _ in range(3):
        net.TrainBatch(IDS, rng.normal(size=(2, 3, 4)))
    moved = (weights != before).any(axis=1)
    assert np.flatnonzero(moved).tolist() == SEEN
    for name, a in net.opt_state[0].items():
        changed = (a != state[0][name]).any(axis=1)
        assert set(np.flatnonzero(changed)) <= set(SEEN)


@pytest.mark.contract("O5")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_seen_rows_move_as_a_dense_table_would(optimizer, rng):
    """Where every row is seen, the table is an ordinary parameter, L2 penalty included."""
    net = network(optimizer, 0.05, vocab=3)
    dense = NeuralNet(0.1, optimizer, l2_lambda=0.05, rng=0).add_dense(3, 4, "linear", use_bias=False)
    dense.layers[0]["weights"] = net.layers[0]["weights"].T
    ids = np.array([[2, 0, 1, 1]])
    for _ in range(3):
        y = rng.normal(size=(1, 4, 4))
        net.TrainBatch(ids, y)
        dense.TrainBatch(np.eye(3)[ids[0]], y[0])
    np.testing.assert_allclose(net.layers[0]["weights"], dense.layers[0]["weights"].T, rtol=1e-9)


def test_repeated_ids_are_summed():
    layer = Embedding(4, 2, rng=0)
    _, saved = layer.forward(np.array([[3, 1, 3]]))
    layer.backward(np.array([[[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]]), saved)
    assert layer["d_weights"].tolist() == [[0, 0], [10, 20], [0, 0], [101, 202]]
    table = layer.parameters["weights"]
    assert table.rows.tolist() == [1, 3]
    table.fresh = False
    _, saved = layer.forward(np.array([[0]]))
    layer.backward(np.ones((1, 1, 2)), saved)
    assert layer["d_weights"].tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]] and table.rows.tolist() == [0]


@pytest.mark.contract("N9")
def test_norm_clipping_and_copies_know_the_rows(rng):
    net = network().add_dense(4, 2, "linear")
    net.Forward(IDS, training=True)
    net.Backward(rng.normal(size=(2, 3, 2)))
    gradients = [p.grad.copy() for p in net.arena.parameters]
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    assert net.clip_gradients(np.inf) == pytest.approx(norm, rel=1e-12)
    twin, dumped, arena = net.copy(), pickle.loads(pickle.dumps(net)), copy.deepcopy(net.arena)
    assert twin.arena.gradient_norm() == arena.gradient_norm() == pytest.approx(norm, rel=1e-12)
    assert np.array_equal(dumped.layers[0]["weights"], net.layers[0]["weights"])
    assert twin.arena.parameters[0].rows.tolist() == arena.parameters[0].rows.tolist() == SEEN
    net.clip_gradients(norm / 4)
    for p, g in zip(net.arena.parameters, gradients, strict=True):
        np.testing.assert_allclose(p.grad, g / 4, rtol=1e-12)
    net.update()
    assert net.arena.spans[:, 0].tolist() == sorted(net.arena.spans[:, 0])


def test_a_frozen_table_stays(rng):
    net = network().add_dense(4, 2, "linear")
    net.freeze(0)
    before = net.layers[0]["weights"].copy()
    net.TrainBatch(IDS, rng.normal(size=(2, 3, 2)))
    assert np.array_equal(net.layers[0]["weights"], before)
    net.unfreeze(0)
    net.TrainBatch(IDS, rng.normal(size=(2, 3, 2)))
    assert not np.array_equal(net.layers[0]["weights"], before)


def test_a_bad_gradient_of_a_row_is_reported_and_not_applied():
    net = network("sgd")
    net.Forward(IDS, training=True)
    net.Backward(output_gradient=np.ones((2, 3, 4)))
    net.arena.parameters[0].grad[4, 2] = np.nan
    before = net.layers[0]["weights"].copy()
    with pytest.raises(ValueError, match="shape \\(9, 4\\)"):
        net.update()
    assert np.isfinite(net.layers[0]["weights"]).all() and np.array_equal(net.layers[0]["weights"][4], before[4])
    with pytest.raises(ValueError, match="finite gradients"):
        net.clip_gradients(1.0)


@pytest.mark.defect("O4")
def test_a_step_touches_no_memory_of_the_size_of_the_table(rng):
    """Not a timing: nothing as long as the table is made on the way."""
    net = network("adam", dtype="float32", vocab=200_000, dim=16)
    ids, y = rng.integers(0, 200_000, (8, 5)), rng.normal(size=(8, 5, 16))
    net.TrainBatch(ids, y)
    tracemalloc.start()
    for _ in range(3):
        net.TrainBatch(ids, y)
        net.clip_gradients(1e9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < net.layers[0]["weights"].nbytes / 20


def test_training_resumes_bit_for_bit(tmp_path, rng):
    net = network().add_layernorm(4).add_dense(4, 3, "softmax")
    x, y = rng.integers(0, 9, (20, 5)), np.eye(3)[rng.integers(0, 3, (20, 5))]
    net.TrainBatch(x[:7], y[:7])
    net.Save(tmp_path / "net.safetensors")
    twin = NeuralNet().Load(tmp_path / "net.safetensors")
    for one in (net, twin):
        one.TrainBatch(x[7:], y[7:])
    assert np.array_equal(net.arena.values, twin.arena.values)


@pytest.mark.contract("N16")
def test_summary_line(capsys):
    NeuralNet().add_embedding(50, 4).summary()
    assert "Layer 0: EMBEDDING    Vocab:     50 Dim:    4 Params: 200\n" in capsys.readouterr().out
