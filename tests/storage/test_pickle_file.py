"""Pickles: what plain containers and arrays are written as comes back; everything else is refused and runs nothing."""

import collections
import datetime
import os
import pickle
import pickletools
import struct
import subprocess
import sys

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ModelFormatError, StateError
from enilnets.layers import Dense, Sequential
from enilnets.storage import pickle_file
from tests.test_net import cnn, mlp, same, snapshot

RAN = []


def ran(*arguments):
    """What a hostile pickle calls."""
    RAN.append(arguments)
    return {}


class Calls:
    """Pickles as a call of ``function`` with ``arguments``, and as ``state`` for what comes out."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


def plain(value):
    """Return ``value`` with arrays as comparable tuples."""
    if isinstance(value, np.ndarray):
        return value.dtype.newbyteorder("="), value.shape, value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)(plain(entry) for entry in value)
    return {key: plain(entry) for key, entry in value.items()} if isinstance(value, dict) else (type(value), value)


SHARED = {"alpha": 0.1}
NUMBERS = [0, 1, -1, 255, 256, 65536, -(2**31), 2**31, 2**127, -(2**200), 1.5, -0.0, float("inf"), True, False, None]
VALUES = {
    "numbers": NUMBERS,
    "texts": ["", "weights", "ÿ", "日本", "x" * 300, "z" * 70_000],
    "bytes": [b"", b"\x00\xff", b"y" * 70_000],
    "lists": [[], [[[[{"a": ({},)}]]]], [0] * 3000],
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "keys": {**{str(i): i for i in range(2500)}, 3: 4},
    "sharing": [SHARED, SHARED, [SHARED], "alpha"],
    "shapes": [np.arange(6.0).reshape(2, 3), np.zeros((0, 4), np.float32), np.array(3.0), np.arange(300)],
    "order": [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(12).reshape(3, 4).T, np.arange(6)[::2]],
    "endian": [np.arange(3, dtype=">f8"), np.arange(3, dtype="<i4"), np.array([True, False]), np.array([1, 2], ">u2")],
    "same array twice": [np.ones(3)] * 2,
}


@pytest.mark.parametrize("protocol", [3, 4, 5])  # 2 has no word for bytes
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_plain_containers_and_arrays(value, protocol):
    assert plain(pickle_file.decode(pickle.dumps(value, protocol), "x")) == plain(value)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("scalar", [np.float64(0.1), np.float32(0.1), np.int64(-3), np.bool_(True)])
def test_scalars_become_numbers(scalar, protocol):
    number = pickle_file.decode(pickle.dumps([scalar], protocol), "x")[0]
    assert type(number) is type(scalar.item()) and number == scalar.item()


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_both_names_of_numpy(core):
    data = pickle.dumps(np.arange(3.0), 3)
    other = b"numpy._core" if b"numpy._core" in data else b"numpy.core"
    assert pickle_file.decode(data.replace(other, core), "x").tolist() == [0, 1, 2]


def test_what_is_written_is_read_by_anybody():
    net = cnn()
    parts = pickle.loads(pickle_file.encode({"layers": [dict(layer) for layer in net.layers]}))
    assert np.array_equal(parts["layers"][0]["weights"], net.layers[0]["weights"])


OBJECTS = np.array([None, {}], dtype=object)
HOSTILE = {
    "system": Calls(os.system, "true"),
    "call": Calls(ran, 1),
    "state": Calls(collections.Counter, state={"a": 1}),
    "eval": Calls(eval, "ran()"),
    "getattr": Calls(getattr, "x", "upper"),
    "popen": Calls(subprocess.Popen, ["true"]),
    "class": ran,
    "type": dict,
    "object": object(),
    "date": datetime.date(2020, 1, 1),
    "ordered": collections.OrderedDict(a=1),
    "set": {1, 2},
    "frozenset": frozenset({1}),
    "complex": 1j,
    "range": range(3),
    "object array": OBJECTS,
    "array of calls": np.array([Calls(ran, 2)], dtype=object),
    "text array": np.array(["a", "b"]),
    "complex array": np.array([1j]),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "records": np.zeros(2, dtype=[("a", "f8"), ("b", "O")]),
    "void": np.zeros(2, dtype="V8"),
    "dtype": np.dtype("f8"),
    "object dtype": np.dtype("O"),
    "dtype with metadata": np.dtype("f8", metadata={"a": 1}),
    "array class": np.ndarray,
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "matrix": np.ones(2).view(np.recarray),
    "generator": np.random.default_rng(0),
    "text scalar": np.str_("a"),
    "call of an array": Calls(np.ndarray, (3,)),
    "call of a dtype": Calls(np.dtype, "f8"),
    "float keys": {1.5: 1},
    "huge keys": {2**61: 1},
    "tuple keys": {(1, 2): 1},
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.defect("I2")
def test_everything_else_is_refused_and_runs_nothing(value, protocol, tmp_path):
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps({"version": 3, "layers": [value]}, protocol))
    RAN.clear()
    with pytest.raises(ModelFormatError, match="pickle of plain containers"):
        NeuralNet().Load(path)
    assert not RAN


def hand_made(*parts):
    """Join opcodes; texts become the names of symbols."""
    return b"\x80\x04" + b"".join(b"\x8c" + bytes([len(p)]) + p.encode() if isinstance(p, str) else p for p in parts)


DTYPE = ("numpy", "dtype", b"\x93", "f8", b"\x89\x88\x87R")
EMPTY = ("numpy.core.multiarray", "_reconstruct", b"\x93", "numpy", "ndarray", b"\x93", b"K\x00\x85C\x01b\x87R")
HUGE = b"\x8a\x08" + b"\xff" * 7 + b"\x3f"
LAUGHS = b"]" + b"".join(b"\x94" + b"]" + b"(" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(60))
BAD = {
    "nothing": b"",
    "no end": b"\x80\x04N",
    "end alone": b"\x80\x04.",
    "two objects": b"\x80\x04NN.",
    "more behind": b"\x80\x04N.N.",
    "future": b"\x80\x06N.",
    "mark alone": b"\x80\x04(.",
    "mark inside": b"\x80\x04](a.",
    "no mark": b"\x80\x04]NNe.",
    "tuple without mark": b"\x80\x04NNt.",
    "empty stack": b"\x80\x04\x87.",
    "append to nothing": b"\x80\x04Na.",
    "append to a dict": b"\x80\x04}Na.",
    "items of a list": b"\x80\x04](K\x01K\x02u.",
    "odd items": b"\x80\x04}(K\x01u.",
    "no memo": b"\x80\x04h\x00.",
    "put of nothing": b"\x80\x04q\x00.",
    "build of nothing": b"\x80\x04b.",
    "build of a list": b"\x80\x04])b.",
    "instance": b"(cos\nsystem\no.",
    "instance by name": b"(ios\nsystem\n.",
    "old call": b"cos\nsystem\n(S'true'\ntR.",
    "new object": b"\x80\x04cos\nsystem\n)\x81.",
    "extension": b"\x80\x04\x82\x01.",
    "persistent": b"\x80\x04K\x01Q.",
    "next buffer": b"\x80\x05\x97.",
    "long text": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"a.",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**63 - 1) + b"a.",
    "long number": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",
    "frame": b"\x80\x04\x95\xff",
    "decimal": b"I" + b"1" * 100_000 + b"\n.",
    "no text": b"\x80\x04\x8c\x01\xff.",
    "surrogate": b"\x80\x04X\x03\x00\x00\x00\xed\xa0\x80.",
    "name without end": b"\x80\x04cnumpy",
    "name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "call of a text": b"\x80\x04" + b"\x8c\x01a)R.",
    "call without tuple": hand_made("numpy", "dtype", b"\x93]R."),
    "empty array": hand_made(*EMPTY, b"."),
    "dtype alone": hand_made(*DTYPE, b"."),
    "dtype of objects": hand_made("numpy", "dtype", b"\x93", "O8", b"\x89\x88\x87R."),
    "dtype of a dtype": hand_made("numpy", "dtype", b"\x93", *DTYPE, b"\x89\x88\x87R."),
    "other array class": hand_made("numpy.core.multiarray", "_reconstruct", b"\x93", *DTYPE, b"K\x00\x85C\x01b\x87R."),
    "wrong size": hand_made(*EMPTY, b"(K\x01K\x03\x85", *DTYPE, b"\x89C\x08" + bytes(8) + b"tb."),
    "negative size": hand_made(*EMPTY, b"(K\x01J\xff\xff\xff\xff\x85", *DTYPE, b"\x89C\x08" + bytes(8) + b"tb."),
    "shape of texts": hand_made(*EMPTY, b"(K\x01", "a", b"\x85", *DTYPE, b"\x89C\x08" + bytes(8) + b"tb."),
    "list of objects": hand_made(*EMPTY, b"(K\x01K\x01\x85", *DTYPE, b"\x89]tb."),
    "impossible shape": hand_made(*EMPTY, b"(K\x01K\x00", HUGE, HUGE, b"\x87", *DTYPE, b"\x89C\x00tb."),
    "many axes": hand_made(*EMPTY, b"(K\x01(" + b"K\x01" * 40 + b"t", *DTYPE, b"\x89C\x08" + bytes(8) + b"tb."),
    "inside itself": b"\x80\x04]\x94h\x00a.",
    "dict inside itself": b"\x80\x04}\x94\x8c\x01ah\x00s.",
    "deep": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep tuple": b"\x80\x04N" + b"\x85" * 200_000 + b".",
    "billion laughs": b"\x80\x04" + LAUGHS + b".",
}  # fmt: skip


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
@pytest.mark.defect("I2")
def test_pickles_by_hand(data):
    with pytest.raises(ModelFormatError):  # at once, where bombs would take hours or all memory
        pickle_file.decode(data, "x")


def test_an_array_referred_to_many_times_is_counted_every_time():
    array = np.zeros(100_000)
    assert len(pickle_file.decode(pickle.dumps([array] * 2), "x")) == 2
    with pytest.raises(ModelFormatError, match="far more content"):
        pickle_file.decode(pickle.dumps([array] * 3), "x")


@pytest.mark.defect("I2")
def test_mutated_files_never_run_nor_crash(rng):
    """Flip, cut, double and exchange bytes of good and hostile pickles."""
    document = {"version": 3, "layers": [dict(layer) for layer in mlp().layers], "call": Calls(ran, 1)}
    sources = [pickle.dumps(document, protocol) for protocol in (2, 4, 5)]
    del document["call"]
    sources += [pickle.dumps(document, protocol) for protocol in (3, 4, 5)]
    opcodes = b"".join(opcode.code.encode("latin-1") for opcode in pickletools.opcodes)
    RAN.clear()
    outcomes = collections.Counter()
    for _ in range(4000):
        data = bytearray(sources[rng.integers(len(sources))])
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(len(data)))
            match rng.integers(4):
                case 0:
                    data[at] = rng.integers(256)
                case 1:
                    data[at] = opcodes[rng.integers(len(opcodes))]
                case 2:
                    del data[at : at + int(rng.integers(1, 9))]
                case 3:
                    data[at:at] = data[at - 9 : at]
        try:
            pickle_file.decode(bytes(data), "x")
            outcomes["read"] += 1
        except ModelFormatError:
            outcomes["refused"] += 1
    assert not RAN and min(outcomes["read"], outcomes["refused"]) > 100


@pytest.mark.filterwarnings("ignore:.*holds NaN or infinity")
def test_mutated_model_files_leave_the_network_alone(tmp_path, rng):
    path = tmp_path / "net.pkl"
    mlp().Save(path)
    good = path.read_bytes()
    net = cnn()
    before = snapshot(net)
    refused = 0
    for _ in range(400):
        data = bytearray(good)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            NeuralNet().Load(path)
        except ModelFormatError:
            refused += 1
            with pytest.raises(ModelFormatError):
                net.Load(path)
    assert refused > 50 and same(before, snapshot(net))


def test_loading_needs_none_of_the_pickle_module(tmp_path):
    mlp().Save(tmp_path / "net.pkl")
    code = (
        "import pickle\n"
        "from enilnets import NeuralNet\n"
        "def refuse(*arguments, **settings): raise SystemExit('loaded by pickle')\n"
        "pickle.load = pickle.loads = pickle.Unpickler = pickle._Unpickler = refuse\n"
        f"NeuralNet().Load({str(tmp_path / 'net.pkl')!r})\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "", "")


def test_memory_stays_in_proportion_to_the_file():
    """Lists of one list, over and over: what is unfolded is given up before it is large."""
    import tracemalloc

    row = [[] for _ in range(1000)]
    data = pickle.dumps([row] * 5000)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFormatError, match="far more content"):
            pickle_file.decode(data, "x")
        assert tracemalloc.get_traced_memory()[1] < 300 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("levels", [15, 40])
def test_what_could_not_be_read_again_is_not_written(levels, tmp_path):
    layer = Dense(2, 2, rng=0)
    for _ in range(levels):
        layer = Sequential([layer])
    net, path = NeuralNet(rng=0).add(layer), tmp_path / "net.pkl"
    path.write_bytes(b"old")
    if levels == 15:
        net.Save(path)
        assert same(snapshot(NeuralNet().Load(path)), snapshot(net))
    else:
        with pytest.raises(StateError, match=r"a \.pkl file: expected at most 64 levels.*safetensors"):
            net.Save(path)
        assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["net.pkl"]
