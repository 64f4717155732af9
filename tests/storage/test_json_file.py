"""JSON model files: valid whatever the weights, shown as documented, and nothing but a network is read from them."""

import json

import numpy as np
import pytest

from enilnets import NeuralNet, optim
from enilnets.errors import ModelFormatError
from enilnets.storage import encoding
from tests.test_net import cnn, mlp, same, snapshot

X = np.random.default_rng(0).normal(size=(30, 1, 8, 8))
Y = np.random.default_rng(1).integers(0, 3, 30)


def strict(path):
    """Parse as RFC 8259 has it: without NaN and Infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.contract("I1")
def test_the_documented_entries(tmp_path):
    net = mlp(optimizer="sgd", learning_rate=0.25, l2_lambda=0.5, momentum=0.75)
    net.TrainBatch(np.ones((2, 4)), [0, 1])
    net.freeze(1)
    net.Save(tmp_path / "x.json")
    document = strict(tmp_path / "x.json")
    assert document["version"] == 3
    assert [document[name] for name in ("optimizer", "learning_rate", "l2_lambda", "momentum", "t")] == [
        *("sgd", 0.25, 0.5, 0.75, 1)
    ]
    first, second = document["layers"]
    assert (first["type"], first["activation"], first["use_bias"]) == ("dense", "tanh", True)
    assert first["weights"] == net.layers[0]["weights"].tolist() and second["bias"] == net.layers[1]["bias"].tolist()
    assert (first["_frozen"], second["_frozen"]) == (False, True)


@pytest.mark.defect("I1", "I2")
def test_nothing_of_the_last_batch_is_written(tmp_path):
    net = cnn()
    net.TrainBatch(X, Y)
    net.Forward(X, training=True)
    net.Save(tmp_path / "x.json")
    for layer, entry in zip(net.layers, strict(tmp_path / "x.json")["layers"], strict=True):
        assert set(entry) == {"type", "_frozen", *layer.settings, *layer.arrays()}


@pytest.mark.defect("I1")
def test_dropout_comes_back_without_a_mask(tmp_path):
    net = NeuralNet(rng=0).add_dense(2, 2).add_dropout(0.5)
    net.Forward(np.ones((1, 2)))
    net.Save(tmp_path / "x.json")
    twin = NeuralNet().Load(tmp_path / "x.json")
    assert "mask" not in twin.layers[1] and twin.get_weights()[1] == {}


@pytest.mark.defect("I2")
@pytest.mark.parametrize("arrays", ["lists", "base64"])
@pytest.mark.filterwarnings("ignore:.*holds NaN or infinity")
def test_valid_json_whatever_the_weights(tmp_path, arrays, dtype):
    net = mlp(dtype=dtype)
    net.layers[0]["weights"] = np.resize([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).max, 5e-324], (6, 4))
    net.Save(tmp_path / "x.json", arrays=arrays)
    strict(tmp_path / "x.json")
    assert same(snapshot(net)[1:], snapshot(NeuralNet().Load(tmp_path / "x.json"))[1:])
    got, wanted = (n.layers[0]["weights"] for n in (NeuralNet().Load(tmp_path / "x.json"), net))
    assert np.array_equal(got, wanted, equal_nan=True) and np.array_equal(np.signbit(got), np.signbit(wanted))


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_decimals_give_every_bit_back(kind, rng):
    """Any bit pattern but NaN, through JSON text."""
    bits = rng.integers(0, 2**32, 100_000, np.uint64) << np.uint64(32) | rng.integers(0, 2**32, 100_000, np.uint64)
    array = bits.view(kind)
    array = array[np.isfinite(array)]
    again = encoding.as_array("x", "a", json.loads(json.dumps(encoding.to_lists(array))), np.dtype(kind))
    assert np.array_equal(again.view(np.uint8), array.view(np.uint8))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3)),
        np.array(2.5),
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.array([True, False]),
        np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
        np.arange(3, dtype=">f8"),
    ],
)
def test_base64(array):
    again = encoding.as_array("x", "a", json.loads(json.dumps(encoding.to_base64(array))), np.dtype("f8"))
    assert again.shape == array.shape and again.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(again, array) and again.flags.writeable


def edit(path, value):
    def change(document):
        *parents, last = path
        for key in parents:
            document = document[key]
        if value is None:
            del document[last]
        else:
            document[last] = value

    return change


W = ["layers", 0, "weights"]
OURS = "enilnets"
EDITS = {
    "version": edit(["version"], 99),
    "version of the original": edit(["version"], 6),
    "version text": edit(["version"], "3"),
    "version missing": edit(["version"], None),
    "own version": edit([OURS, "version"], 99),
    "own version missing": edit([OURS, "version"], None),
    "own part": edit([OURS], []),
    "layers missing": edit(["layers"], None),
    "layers of wrong type": edit(["layers"], 3),
    "layer of wrong type": edit(["layers", 0], "dense"),
    "layer type": edit(["layers", 0, "type"], "os.system"),
    "layer type missing": edit(["layers", 0, "type"], None),
    "layer type list": edit(["layers", 0, "type"], []),
    "setting missing": edit(["layers", 0, "in_ch"], None),
    "huge": edit(["layers", 0, "out_ch"], 10**15),
    "superfluous": edit(["layers", 0, "device"], "cuda"),
    "superfluous array": edit(["layers", 0, "extra"], [1.0]),
    "frozen": edit(["layers", 0, "_frozen"], "yes"),
    "frozen missing": edit(["layers", 0, "_frozen"], None),
    "weights missing": edit(W, None),
    "weights ragged": edit(W, [[1.0], [1.0, 2.0]]),
    "weights empty": edit(W, []),
    "weights number": edit(W, 3.0),
    "weights text": edit([*W, 0, 0, 0, 0], "1.0"),
    "weights null": edit(["layers", 0, "bias"], [None, 1.0, 2.0]),
    "weights flag": edit(["layers", 0, "bias"], [True, 1.0, 2.0]),
    "weights object": edit(["layers", 0, "bias"], [{}, 1.0, 2.0]),
    "weights huge number": edit(["layers", 0, "bias"], [10**60, 1.0, 10**400]),
    "base64 entries": edit(W, {"base64": "AAAA"}),
    "base64 dtype": edit(W, {"dtype": "object", "shape": [1], "base64": ""}),
    "base64 dtype list": edit(W, {"dtype": [], "shape": [1], "base64": ""}),
    "base64 shape": edit(W, {"dtype": "float64", "shape": [2**62, 2**62], "base64": ""}),
    "base64 empty shape": edit(W, {"dtype": "float64", "shape": [0, 2**62, 2**62], "base64": ""}),
    "base64 negative": edit(W, {"dtype": "float64", "shape": [-1], "base64": ""}),
    "base64 flag": edit(W, {"dtype": "float64", "shape": [True], "base64": "AAAAAAAAAAA="}),
    "base64 text": edit(W, {"dtype": "float64", "shape": [1], "base64": "?"}),
    "base64 number": edit(W, {"dtype": "float64", "shape": [1], "base64": 3}),
    "optimizer": edit(["optimizer"], "adamm"),
    "optimizer object": edit(["optimizer"], {"name": "adam"}),
    "t": edit(["t"], -1),
    "learning rate": edit(["learning_rate"], "x"),
    "learning rate missing": edit(["learning_rate"], None),
    "dtype": edit(["dtype"], "object"),
    "training": edit(["training"], 1),
    "random state": edit([OURS, "rng"], {}),
    "optimizer state": edit([OURS, "arrays", "optimizer.m.0.weights"], None),
    "optimizer state shape": edit([OURS, "arrays", "optimizer.m.0.weights"], [1.0]),
    "arrays": edit([OURS, "arrays"], None),
    "arrays list": edit([OURS, "arrays"], []),
    "deep layer": edit(["layers", 0, "type"], json.loads("[" * 900 + "]" * 900)),
}


@pytest.fixture
def document(tmp_path):
    net = cnn(optimizer=optim.Adam(0.8))
    net.TrainBatch(X, Y)
    net.Save(tmp_path / "net.json")
    return strict(tmp_path / "net.json")


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_edited_documents_are_refused_and_nothing_is_half_loaded(document, tmp_path, change):
    change(document)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    net = mlp()
    before = snapshot(net)
    with pytest.raises(ModelFormatError) as caught:
        net.Load(path)
    assert "bad.json" in str(caught.value) and same(before, snapshot(net))


def test_the_dtype_may_be_changed_by_hand(document, tmp_path):
    document["dtype"] = "float32"
    (tmp_path / "x.json").write_text(json.dumps(document))
    net = NeuralNet().Load(tmp_path / "x.json")
    assert net.dtype == np.float32 and net.layers[0]["weights"].dtype == np.float32
    assert np.array_equal(net.layers[0]["weights"], np.float32(document["layers"][0]["weights"]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"[]",
        b"3",
        b"{}",
        b"null",
        b'{"version": 3}',
        b'{"layers": []}',
        b"\xff\xfe",
        b"\x00" * 50,
        b"[" * 100_000,
        b'{"version": ' + b"9" * 10**6 + b"}",
        b'{"version": 3, "layers": [',
    ],
)
def test_what_is_no_document(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ModelFormatError):
        NeuralNet().Load(tmp_path / "x.json")


def test_cut_files_are_refused(tmp_path, rng):
    mlp().Save(tmp_path / "x.json")
    content = (tmp_path / "x.json").read_bytes()
    for cut in rng.integers(0, len(content) - 3, 60):  # the last brace and line break may go
        (tmp_path / "x.json").write_bytes(content[:cut])
        with pytest.raises(ModelFormatError):
            NeuralNet().Load(tmp_path / "x.json")


@pytest.mark.filterwarnings("ignore:.*")
def test_mutated_files_load_or_are_refused(tmp_path, rng):
    net = cnn()
    net.TrainBatch(X, Y)
    net.Save(tmp_path / "x.json")
    content = (tmp_path / "x.json").read_bytes()
    refused = 0
    for _ in range(500):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[at] = rng.choice(bytearray(b'0123456789.,:[]{}"eE-nt \\'))
        (tmp_path / "x.json").write_bytes(damaged)
        try:
            NeuralNet().Load(tmp_path / "x.json")
        except ModelFormatError:
            refused += 1
    assert refused > 50


def test_a_byte_order_mark_of_an_editor_is_passed_over(tmp_path):
    net, path = mlp(), tmp_path / "net.json"
    net.Save(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert same(snapshot(NeuralNet().Load(path)), snapshot(net))
