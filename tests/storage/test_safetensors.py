"""Files come back bit for bit, or are refused by name; no file runs code, takes memory or passes damaged."""

import copy
import hashlib
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from enilnets.errors import ConfigError, DTypeError, ModelFormatError, ShapeError, StateError
from enilnets.storage import safetensors
from enilnets.storage.safetensors import DTYPES, MAX_HEADER_BYTES, TensorInfo, load, read_header, save

ROOT = Path(__file__).parents[2]

# Written by the reference implementation, version 0.8.0, from GOLDEN_ARRAYS.
GOLDEN = (
    b'@\x01\x00\x00\x00\x00\x00\x00{"__metadata__":{"made by":"reference"},'
    b'"n":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},'
    b'"w":{"dtype":"F32","shape":[2,3],"data_offsets":[16,40]},'
    b'"h":{"dtype":"F16","shape":[],"data_offsets":[40,42]},'
    b'"e":{"dtype":"U8","shape":[0,2],"data_offsets":[42,42]},'
    b'"b":{"dtype":"BOOL","shape":[3],"data_offsets":[42,45]}}   '
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x80>\x00\x00\x00?\x00\x00@?\x00\x00\x80?\x00\x00\xa0?\x00>\x01\x00\x01"
)
GOLDEN_ARRAYS = {
    "n": np.array([-1, 2], np.int64),
    "w": np.array([[0, 0.25, 0.5], [0.75, 1, 1.25]], np.float32),
    "h": np.array(1.5, np.float16),
    "e": np.zeros((0, 2), np.uint8),
    "b": np.array([True, False, True]),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype.newbyteorder("="), name
        assert got[name].shape == array.shape, name
        little = array.dtype.newbyteorder("<")
        assert got[name].astype(little).tobytes() == array.astype(little).tobytes(), name  # NaN payloads too


def file_of(header, data=b""):
    """Return the bytes of a file with this header: bytes as they are, anything else as JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def refused(path, content, match=None):
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=match) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1500 + len(str(path))
    return caught.value


# Round trips


def test_all_dtypes_and_shapes(path, rng):
    arrays = {}
    for tag, dtype in DTYPES.items():
        for shape in [(), (0,), (1,), (7,), (2, 3), (3, 0, 2), (2, 1, 3, 1)]:
            bits = rng.integers(0, 2 if tag == "BOOL" else 256, (*shape, dtype.itemsize), np.uint8)
            arrays[f"{tag}/{'x'.join(map(str, shape))}"] = bits.view(dtype).reshape(shape)
    metadata = {"": "", "text": 'ü\n"\\\0 \U0001f600', "sha256 ": "x", "fake": f'"sha256":"{"0" * 64}"'}
    save(path, arrays, metadata)
    got, got_metadata = load(path, require_digest=True)
    assert_same(got, arrays)
    assert got_metadata == metadata


def test_extreme_values_keep_their_bits(path):
    arrays = {
        "f32": np.array([0x7FA00001, 0xFFC12345, 0x80000000, 1, 0x7F800000], "<u4").view("<f4"),  # sNaN, qNaN, -0, ...
        "u64": np.array([0, 2**64 - 1], np.uint64),
        "i64": np.array([-(2**63), 2**63 - 1], np.int64),
    }
    save(path, arrays, {})
    assert_same(load(path)[0], arrays)


def test_any_memory_layout_can_be_saved(path, rng):
    x = rng.standard_normal((6, 8))
    unaligned = np.frombuffer(b"?" + x.tobytes(), np.uint8)[1:].view(np.float64).reshape(6, 8)
    read_only = x.copy()
    read_only.flags.writeable = False
    arrays = {
        "fortran": np.asfortranarray(x),
        "transposed": x.T,
        "negative": x[::-2, ::-1],
        "broadcast": np.broadcast_to(x[0], (3, 8)),
        "big": x.astype(">f8"),
        "big_integers": np.arange(5, dtype=">u2"),
        "unaligned": unaligned,
        "read_only": read_only,
        "longlong": np.arange(3, dtype=np.longlong),
        "matrix_view": x.view(type("Sub", (np.ndarray,), {})),
    }
    save(path, arrays, {})
    assert_same(load(path)[0], arrays)


def test_foreign_booleans_are_stored_as_0_and_1(path):
    save(path, {"b": np.array([0, 1, 2, 255], np.uint8).view(np.bool_)}, {})
    assert load(path)[0]["b"].view(np.uint8).tolist() == [0, 1, 1, 1]


def test_nothing_at_all(path):
    save(path, {}, {})
    assert load(path, require_digest=True) == ({}, {})


def test_data_larger_than_one_chunk(path, rng):
    arrays = {"a": rng.standard_normal(300_001), "b": rng.integers(0, 2, 1_500_000).astype(bool)}
    save(path, arrays, {})
    assert_same(load(path)[0], arrays)


def test_loaded_arrays_are_ordinary(path):
    save(path, {"a": np.ones(3, np.int8), "b": np.ones((2, 2), ">f8"), "c": np.ones((), np.float16)}, {})
    arrays, _ = load(path)
    for array in arrays.values():
        flags = array.flags
        assert type(array) is np.ndarray
        assert flags.owndata and flags.writeable and flags.aligned and flags.c_contiguous and array.dtype.isnative


def test_same_content_gives_the_same_bytes(tmp_path):
    a, b = np.arange(3), np.arange(4, dtype=np.int8)
    save(tmp_path / "1", {"a": a, "b": b}, {"k": "v"})
    save(tmp_path / "2", {"b": b, "a": a.astype(">i8")}, {"k": "v"})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


# The layout


def test_layout_by_hand(path):
    save(path, {"b": np.array([1, 2], np.uint8), "a": np.array([1.0], np.float32), "c": np.array([3], np.uint8)}, {})
    header = (
        b'{"__metadata__":{"integrity":"sha256","sha256":"%s"},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},'
        b'"c":{"dtype":"U8","shape":[1],"data_offsets":[6,7]}}'
    )
    length = len(header) - len(b"%s") + 64
    padding = -length % 8
    data = b" " * padding + b"\x00\x00\x80\x3f\x01\x02\x03"
    start = struct.pack("<Q", length + padding)
    digest = hashlib.sha256(start + header % (b"0" * 64) + data).hexdigest().encode()
    assert path.read_bytes() == start + header % digest + data


def test_data_is_aligned(path, rng):
    arrays = {f"{tag}.{n}": np.zeros(n, dtype) for tag, dtype in DTYPES.items() for n in (0, 1, 3)}
    save(path, arrays, {"k": "v"})
    start = 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]
    assert start % 8 == 0
    for info in read_header(path).tensors.values():
        assert (start + info.begin) % DTYPES[info.dtype].itemsize == 0


def test_file_of_the_reference_implementation(path):
    path.write_bytes(GOLDEN)
    arrays, metadata = load(path)
    assert_same(arrays, GOLDEN_ARRAYS)
    assert metadata == {"made by": "reference"}
    assert list(arrays) == ["n", "w", "h", "e", "b"]
    with pytest.raises(ModelFormatError, match="expected a SHA-256 digest in the metadata, got none"):
        load(path, require_digest=True)


def test_data_order_matches_the_reference_implementation(path):
    """With metadata and names aside, which the reference orders by chance within one item size."""
    save(path, GOLDEN_ARRAYS, {})
    assert path.read_bytes()[-45:-3] == GOLDEN[-45:-3]
    assert read_header(path).tensors["w"] == TensorInfo("F32", (2, 3), 16, 40)


def test_header_alone(path):
    save(path, {"w": np.zeros((2, 3), np.float32), "t": np.zeros((), np.int64)}, {"epoch": "3"})
    header = read_header(path)
    assert header.tensors == {"t": TensorInfo("I64", (), 0, 8), "w": TensorInfo("F32", (2, 3), 8, 32)}
    assert header.metadata == {"epoch": "3"}
    assert re.fullmatch("[0-9a-f]{64}", header.digest)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelFormatError):
        read_header(path)
    path.write_bytes(GOLDEN)
    assert read_header(path).digest is None


# What cannot be saved

BAD_ARRAYS = [
    (np.array([None]), "dtype object"),
    (np.zeros(2, complex), "dtype complex128"),
    (np.array(["a"]), "dtype <U1"),
    (np.array([b"a"]), "dtype |S1"),
    (np.zeros(2, "M8[s]"), "dtype datetime64"),
    (np.zeros(2, "m8[s]"), "dtype timedelta64"),
    (np.zeros(2, [("x", "f4")]), "dtype [('x', '<f4')]"),
    (np.zeros(2, "V2"), "dtype |V2"),
    (np.ma.masked_equal([1, 2], 2), "MaskedArray"),
    ([1.0, 2.0], "list"),
    (1.0, "float"),
    (np.float64(1), "float64"),
    (None, "NoneType"),
]
if np.dtype(np.longdouble).itemsize > 8:
    BAD_ARRAYS.append((np.zeros(2, np.longdouble), "dtype float128"))


@pytest.mark.parametrize(("array", "got"), BAD_ARRAYS, ids=[got for _, got in BAD_ARRAYS])
def test_bad_arrays_are_refused(path, array, got):
    with pytest.raises(DTypeError, match=re.escape(f"got {got}")) as caught:
        save(path, {"good": np.zeros(2), "bad": array}, {})
    assert "array 'bad'" in str(caught.value)
    assert not path.exists()


BAD_NAMES = ["", "../../etc/x", "a..b", "/etc/x", "a b", "ü", "a\n", "a\0", "x" * 257, "__metadata__", "a\\b", "\ud800"]
BAD_NAMES += ["a:b", '"']


@pytest.mark.parametrize("name", [*BAD_NAMES, 3, None, b"a", ("a",)], ids=ascii)
def test_bad_names_are_refused(path, name):
    with pytest.raises(ConfigError, match="expected array names of"):
        save(path, {name: np.zeros(2)}, {})
    assert not path.exists()


def test_longest_name(path):
    save(path, {"x" * 256: np.zeros(2), "-._A/9": np.ones(1)}, {})
    assert set(load(path)[0]) == {"x" * 256, "-._A/9"}


@pytest.mark.parametrize("metadata", [{"k": 1}, {"k": None}, {1: "v"}, {"k": b"v"}, {"k": {"a": "b"}}], ids=repr)
def test_metadata_must_be_text(path, metadata):
    with pytest.raises(DTypeError, match="expected str to str"):
        save(path, {}, metadata)


@pytest.mark.parametrize("metadata", [{"sha256": "x"}, {"integrity": "x"}, {"k": "\ud800"}, {"\udfff": "v"}], ids=ascii)
def test_bad_metadata_is_refused(path, metadata):
    with pytest.raises(ConfigError):
        save(path, {}, metadata)
    assert not path.exists()


def test_what_could_not_be_loaded_is_not_saved(path):
    save(path, {}, {"k": "x" * (MAX_HEADER_BYTES - 200)})
    old = path.read_bytes()
    assert load(path)[1] == {"k": "x" * (MAX_HEADER_BYTES - 200)}
    with pytest.raises(ConfigError, match="a header of at most"):
        save(path, {}, {"k": "x" * MAX_HEADER_BYTES})
    with pytest.raises(ConfigError, match="20000 arrays"):
        save(path, {f"{i}": np.zeros(0) for i in range(20_000)}, {})
    assert path.read_bytes() == old


def test_number_of_axes(path, monkeypatch):
    save(path, {"x": np.zeros((1,) * 32)}, {})
    assert load(path)[0]["x"].shape == (1,) * 32
    monkeypatch.setattr(safetensors, "MAX_AXES", 3)  # an older NumPy cannot make 33
    with pytest.raises(ShapeError, match="at most 3 axes, got 4"):
        save(path, {"x": np.zeros((1, 1, 1, 1))}, {})


def test_array_changed_during_the_save_keeps_the_old_file(path, monkeypatch):
    """A background save of weights in training must not replace a good file by one whose digest is wrong."""
    save(path, {"w": np.zeros(4)}, {})
    old = path.read_bytes()
    weights = np.ones(4)
    real = safetensors.write_atomically

    def write(target, chunks):
        weights[2] = 7.0
        real(target, chunks)

    monkeypatch.setattr(safetensors, "write_atomically", write)
    with pytest.raises(StateError, match="arrays that do not change during the save"):
        save(path, {"w": weights}, {})
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


# What cannot be loaded

EMPTY = tensor("F32", (0,), (0, 0))
CORRUPTIONS = {
    "empty file": (b"", "at least 8 bytes, got 0 bytes"),
    "seven bytes": (b"\2" + bytes(6), "at least 8 bytes, got 7 bytes"),
    "length only": (struct.pack("<Q", 100), "header length 100"),
    "header length 0": (struct.pack("<Q", 0) + b"{}", "header length 0"),
    "header length 2^63": (struct.pack("<Q", 2**63) + b"{}", "header length 9223372036854775808"),
    "header length 2^64-1": (struct.pack("<Q", 2**64 - 1) + b"{}", "header length 18446744073709551615"),
    "header length 200 MB": (struct.pack("<Q", 200_000_000) + b"{}", "header length 200000000"),
    "header cut": (file_of({"a": tensor()}, bytes(8))[:40], "a header of 2 to"),
    "data cut": (file_of({"a": tensor()}, bytes(7)), "tensor 'a'.*inside the 7 bytes"),
    "no data": (file_of({"a": tensor()}), "tensor 'a'"),
    "zip behind": (file_of({"a": tensor()}, bytes(8) + b"PK\5\6"), "8 bytes of data, got 12 bytes"),
    "data without tensor": (file_of({}, b"x"), "0 bytes of data, got 1 bytes"),
    "pickle": (b"\x80\x04\x95\x05\0\0\0\0" + b"cos\nsystem\n(S'x'\ntR.", "header length"),
    "no JSON": (file_of(b"{hello}"), "valid JSON header"),
    "no object": (file_of([tensor()]), "a JSON object"),
    "space before": (file_of(b" {}"), "a JSON object"),
    "JSON behind": (file_of(b"{}{}"), "Extra data"),
    "NUL padding": (file_of(b"{}\0\0"), "valid JSON header"),
    "UTF-16": (file_of("{}".encode("utf-16")), "a JSON object"),
    "not UTF-8": (file_of(b'{"__metadata__":{"a":"\xff"}}'), "utf-8"),
    "depth 1e5 lists": (file_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nesting"),
    "depth 1e5 objects": (file_of(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "nesting"),
    "depth 1e5 open": (file_of(b'{"a":' * 100_000), "nesting"),
    "depth 500": (file_of(b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"), "got a list"),
    "duplicate tensor": (
        file_of(
            b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
        ),
        "'a' twice",
    ),
    "duplicate field": (file_of(b'{"a":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}}'), "'shape' twice"),
    "duplicate metadata": (file_of(b'{"__metadata__":{"x":"1","\\u0078":"2"}}'), "'x' twice"),
    "two metadata": (file_of(b'{"__metadata__":{},"__metadata__":{}}'), "'__metadata__' twice"),
    "metadata number": (file_of({"__metadata__": {"a": 1}}), "__metadata__ 'a'.*got 1"),
    "metadata null": (file_of({"__metadata__": {"a": None}}), "got None"),
    "metadata nested": (file_of({"__metadata__": {"a": {"b": "c"}}}), "got a dict"),
    "metadata list": (file_of({"__metadata__": []}), "an object of strings"),
    "metadata missing": (file_of({"__metadata__": None}), "an object of strings"),
    "metadata surrogate": (file_of({"__metadata__": {"a": "\ud800"}}), "a string"),
    "entry no object": (file_of({"a": 3}), "tensor 'a'.*got 3"),
    "entry long text": (file_of({"a": "x" * 100_000}), "100000 characters"),
    "missing field": (file_of({"a": {"dtype": "F32", "shape": []}}), "tensor 'a'.*keys 'dtype', 'shape'"),
    "extra field": (file_of({"a": tensor(offset=0)}, bytes(8)), "tensor 'a'"),
    "unknown dtype": (file_of({"a": tensor("BF16", (4,))}, bytes(8)), "'BF16'; convert"),
    "numpy dtype": (file_of({"a": tensor("float32")}, bytes(8)), "'float32'"),
    "object dtype": (file_of({"a": tensor("O", (1,))}, bytes(8)), "'O'"),
    "dtype list": (file_of({"a": tensor(["F32"])}, bytes(8)), "got a list"),
    "dtype null": (file_of({"a": tensor(None)}, bytes(8)), "got None"),
    "negative shape": (file_of({"a": tensor(shape=(-2,))}, bytes(8)), r"got \[-2\]"),
    "two negative sizes": (file_of({"a": tensor(shape=(-1, -2))}, bytes(8)), r"got \[-1, -2\]"),
    "bool shape": (file_of({"a": tensor("F64", (True,))}, bytes(8)), "a shape of"),
    "float shape": (file_of({"a": tensor(shape=(2.0,))}, bytes(8)), "the number 2.0"),
    "text shape": (file_of({"a": tensor(shape=("2",))}, bytes(8)), "a shape of"),
    "shape number": (file_of({"a": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}, bytes(8)), "got 2"),
    "shape overflow": (file_of({"a": tensor(shape=(2**32, 2**32))}), "73786976294838206464 bytes for shape"),
    "shape wraps to size": (file_of({"a": tensor("U8", (2**32 + 1, 2**32), (0, 2**32))}), "for shape"),
    "empty shape overflow": (file_of({"a": tensor("F64", (0, 2**62, 2**62), (0, 0))}), "axes of less than"),
    "33 axes": (file_of({"a": tensor("F64", (1,) * 33)}, bytes(8)), "at most 32 sizes"),
    "huge number": (file_of(b'{"a":{"dtype":"U8","shape":[1%s],"data_offsets":[0,0]}}' % (b"0" * 999_000)), "digits"),
    "many long numbers": (  # their product would be too long for Python to print
        file_of(b'{"a":{"dtype":"U8","shape":[%s],"data_offsets":[0,0]}}' % b",".join([b"9" * 4000] * 32)),
        "a number of 4000 digits",
    ),
    "exponent": (file_of(b'{"a":{"dtype":"U8","shape":[1e9],"data_offsets":[0,0]}}'), "1e9"),
    "NaN": (file_of(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,0]}}'), "NaN"),
    "wrong size": (file_of({"a": tensor(shape=(3,))}, bytes(8)), "12 bytes for shape.*got 8 bytes"),
    "offsets swapped": (file_of({"a": tensor(offsets=(8, 0))}, bytes(8)), "got -8 bytes"),
    "offset negative": (file_of({"a": tensor(offsets=(-8, 0))}, bytes(8)), "data_offsets"),
    "offset bool": (file_of({"a": tensor("U8", (1,), (False, True))}, b"x"), "data_offsets"),
    "one offset": (file_of({"a": tensor(offsets=(8,))}, bytes(8)), "data_offsets"),
    "three offsets": (file_of({"a": tensor(offsets=(0, 8, 8))}, bytes(8)), "data_offsets"),
    "offsets beyond": (file_of({"a": tensor("U8", (2**40,), (0, 2**40))}, bytes(8)), "inside the 8 bytes"),
    "begin beyond": (file_of({"a": tensor("U8", (0,), (2**63, 2**63))}), "inside the 0 bytes"),
    "overlap": (file_of({"a": tensor(), "b": tensor(offsets=(4, 12))}, bytes(12)), "tensor 'b'.*begins at byte 8"),
    "same data twice": (file_of({"a": tensor(), "b": tensor()}, bytes(8)), "tensor 'b'.*begins at byte 8"),
    "hole": (file_of({"a": tensor(), "b": tensor(offsets=(12, 20))}, bytes(20)), "tensor 'b'.*begins at byte 8"),
    "hole at the start": (file_of({"a": tensor(offsets=(4, 12))}, bytes(12)), "tensor 'a'.*begins at byte 0"),
    "empty inside": (file_of({"a": tensor(), "b": tensor("U8", (0,), (4, 4))}, bytes(8)), "tensor 'b'"),
    "boolean 2": (file_of({"a": tensor("BOOL", (3,), (0, 3))}, b"\0\2\1"), "tensor 'a'.*booleans 0 and 1, got 2"),
    "200000 tensors": (file_of({f"{i}": EMPTY for i in range(200_000)}), f"a header of 2 to {MAX_HEADER_BYTES} bytes"),
    "digest of another content": (file_of({"__metadata__": {"sha256": "0" * 64}}), "spelling"),
    "digest no hex": (file_of({"__metadata__": {"sha256": "g" * 64}}), "64 hex digits"),
    "digest short": (file_of({"__metadata__": {"sha256": "0" * 63}}), "64 hex digits"),
    "digest missing": (file_of({"__metadata__": {"integrity": "sha256"}}), "64 hex digits, got None"),
    "digest wrong": (file_of(b'{"__metadata__":{"sha256":"%s"}}' % (b"1" * 64)), "the content with SHA-256 1111"),
}


@pytest.mark.parametrize("case", CORRUPTIONS)
def test_corrupt_files_are_refused(path, case):
    content, match = CORRUPTIONS[case]
    refused(path, content, match)


@pytest.mark.parametrize("name", BAD_NAMES[:-2], ids=ascii)
def test_bad_names_in_files_are_refused(path, name):
    if name == "__metadata__":
        refused(path, file_of({name: EMPTY}), "__metadata__")
    else:
        refused(path, file_of({name: EMPTY}), "expected tensor names of")


def test_too_many_tensors(path, monkeypatch):
    monkeypatch.setattr(safetensors, "MAX_TENSORS", 3)
    path.write_bytes(file_of({f"{i}": EMPTY for i in range(3)}))
    assert len(load(path)[0]) == 3
    refused(path, file_of({f"{i}": EMPTY for i in range(4)}), "at most 3 tensors, got 4")
    with pytest.raises(ConfigError, match="3 arrays"):
        save(path, {f"{i}": np.zeros(0) for i in range(4)}, {})


def test_unusual_but_valid_headers_load(path):
    """Any order of entries, spaces, escapes, empty tensors between others and unaligned data are allowed."""
    header = (
        b'{ "z" : {"shape":[2],"data_offsets":[1,9],"dtype":"F32"} ,\n"\\u0061":{"dtype":"U8","shape":[1],'
        b'"data_offsets":[0,1]},"e":{"dtype":"F64","shape":[3,0],"data_offsets":[1,1]}, '
        b'"__metadata__":{"k":"\\u00fc"} } '
    )
    path.write_bytes(file_of(header, b"\7" + np.array([1.5, -2], "<f4").tobytes()))
    arrays, metadata = load(path)
    assert_same(arrays, {"a": np.array([7], np.uint8), "e": np.zeros((3, 0)), "z": np.array([1.5, -2], np.float32)})
    assert list(arrays) == ["a", "e", "z"]
    assert arrays["z"].flags.aligned
    assert metadata == {"k": "ü"}


def test_missing_file_stays_file_not_found(path):
    for function in (load, read_header):
        with pytest.raises(FileNotFoundError):
            function(path)
    path.symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        load(path)


@pytest.mark.parametrize("kind", ["directory", "FIFO", "/dev/zero", "/dev/null", "/dev/full"])
def test_special_files_are_refused_without_waiting(path, kind):
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        path = kind
    got = "a character device" if kind.startswith("/dev") else f"a {kind}"
    for function in (load, read_header):
        with pytest.raises(ModelFormatError, match=f"expected a regular file, got {got}"):
            function(path)


def test_fifo_that_takes_the_place_of_the_file_is_refused(path, monkeypatch):
    os.mkfifo(path)
    regular = os.stat(__file__)
    monkeypatch.setattr(os, "stat", lambda _path: regular)
    with pytest.raises(ModelFormatError, match="got a FIFO"):
        load(path)


def test_link_is_followed(path):
    save(path, {"a": np.ones(2)}, {})
    link = path.with_name("link")
    link.symlink_to(path)
    assert_same(load(link)[0], {"a": np.ones(2)})


# Damage


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "model.safetensors"
    arrays = {"w": np.array([[1.0, -2.0]], np.float32), "b": np.array([True, False]), "t": np.array(7, np.int64)}
    save(path, arrays, {"kind": "dense"})
    return path.read_bytes()


def test_every_prefix_is_refused(path, small):
    for content in (small, GOLDEN):
        for length in range(len(content)):
            refused(path, content[:length])


def test_every_flipped_bit_is_refused(path, small):
    path.write_bytes(small)
    load(path)
    for position in range(len(small)):
        for bit in range(8):
            damaged = bytearray(small)
            damaged[position] ^= 1 << bit
            refused(path, damaged)


def test_every_changed_byte_and_added_byte_is_refused(path, small):
    generator = random.Random(3)
    for position in range(len(small) + 1):
        byte = bytes([generator.randrange(256)])
        refused(path, small[:position] + byte + small[position:])
        if small[position : position + 1] not in (b"", byte):
            refused(path, small[:position] + byte + small[position + 1 :])
            refused(path, small[:position] + small[position + 1 :])


def test_damage_anywhere_in_large_data_is_refused(path, rng):
    save(path, {"w": rng.standard_normal(200_000)}, {})
    content = bytearray(path.read_bytes())
    for position in rng.integers(8, len(content), 20):
        content[position] ^= 16
        refused(path, content)
        content[position] ^= 16
    path.write_bytes(content)
    load(path)


@pytest.mark.parametrize("change", ["shrink", "shrink to the header", "grow", "overwrite"])
def test_file_that_changes_while_it_is_read(path, monkeypatch, change):
    save(path, {"w": np.arange(50_000.0), "x": np.zeros(3, np.int8)}, {})
    real = safetensors._read_header

    def read_then_change(*args):
        result = real(*args)
        with open(path, "r+b") as file:
            if change == "grow":
                file.seek(0, os.SEEK_END)
                file.write(b"x")
            elif change == "overwrite":
                file.seek(300_000)
                file.write(b"x" * 100)
            else:
                file.truncate(300_000 if change == "shrink" else 400)
        return result

    monkeypatch.setattr(safetensors, "_read_header", read_then_change)
    expected = "the file is damaged" if change == "overwrite" else "another process is writing"
    with pytest.raises(ModelFormatError, match=expected):
        load(path)


def test_header_cut_between_size_and_read(path, monkeypatch):
    path.write_bytes(GOLDEN[:200])
    with open(path, "rb") as file, pytest.raises(ModelFormatError, match="another process is writing"):
        safetensors._read_header(path, file, len(GOLDEN))


# Hostile files

NUMBERS = [-1, 0, 1, 2, 3, 7, 2**31, 2**32, 2**40, 2**53, 2**63 - 1, 2**63, 2**64, 10**19, True, None, 1.5, "2", [], {}]
TEXTS = [
    "F32",
    "BOOL",
    "BF16",
    "",
    "U8",
    "os.system",
    "__class__",
    "\ud800",
    "..",
    "/",
    "\0",
    "x" * 300,
    "__metadata__",
]


def hostile_file(generator):
    """Return a valid file of a few tensors with none to four places changed."""

    def pick(values):
        return copy.deepcopy(generator.choice(values))  # a list picked here may be changed below

    tensors, at = [], 0
    for index in range(generator.randrange(5)):
        tag = generator.choice(list(DTYPES))
        shape = [generator.randrange(4) for _ in range(generator.randrange(4))]
        size = int(np.prod(shape, dtype=int)) * DTYPES[tag].itemsize
        tensors.append([f"layer{index}", {"dtype": tag, "shape": shape, "data_offsets": [at, at + size]}])
        at += size
    header = [["__metadata__", {"k": "v"}], *tensors]
    data = bytes(at)
    length_change, cut, tail = 0, None, b""
    for _ in range(generator.randrange(5)):
        entry = generator.choice(header)
        what = generator.randrange(13)
        field = generator.choice(["dtype", "shape", "data_offsets"])
        if what == 0:
            entry[0] = generator.choice(TEXTS)
        elif what == 1 and isinstance(entry[1], dict):
            entry[1][field] = pick(NUMBERS + TEXTS)
        elif what in (2, 3) and isinstance(entry[1], dict) and isinstance(entry[1].get("shape"), list):
            values = entry[1].get(generator.choice(["shape", "data_offsets"]))
            if isinstance(values, list):
                values.insert(generator.randrange(len(values) + 1), pick(NUMBERS))
                if generator.random() < 0.7:
                    values.pop(generator.randrange(len(values)))
        elif what == 4 and isinstance(entry[1], dict):
            entry[1].pop(field, None)
        elif what == 5 and isinstance(entry[1], dict):
            entry[1][generator.choice(TEXTS)] = pick(NUMBERS + TEXTS)
        elif what == 6:
            header.append([generator.choice(TEXTS), entry[1]])
        elif what == 7:
            header.append(list(entry))
        elif what == 8:
            length_change = generator.choice([-8, -1, 1, 8, 2**20, 2**40, 2**62])
        elif what == 9:
            cut = generator.randrange(64)
        elif what == 10:
            tail = generator.randbytes(generator.randrange(9))
        elif what == 11:
            entry[1] = pick([*NUMBERS, [[[[]]]]])
        else:
            generator.shuffle(header)
    text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(entry)}" for name, entry in header) + "}"
    raw = bytearray(text.encode() + b" " * (-len(text) % 8))
    if generator.random() < 0.2:
        raw[generator.randrange(len(raw))] = generator.randrange(256)
    content = struct.pack("<Q", max(len(raw) + length_change, 0)) + raw + data + tail
    return content[: len(content) - cut] if cut else content


def test_twenty_thousand_hostile_files(path):
    generator = random.Random(20240607)
    loaded = slowest = 0
    path.write_bytes(GOLDEN)
    load(path)
    tracemalloc.start()
    try:
        # One open file rewritten in place: creating 20 000 would take longer than reading them.
        with open(path, "r+b", buffering=0) as file:
            for _ in range(20_000):
                content = hostile_file(generator)
                file.seek(0)
                file.write(content)
                file.truncate()
                start = time.perf_counter()
                try:
                    arrays, metadata = load(path)
                except ModelFormatError as error:
                    assert str(path) in str(error)
                else:
                    loaded += 1
                    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
                    header.pop("__metadata__", None)
                    assert header.keys() == arrays.keys()
                    for name, array in arrays.items():
                        assert array.dtype == DTYPES[header[name]["dtype"]]
                        assert list(array.shape) == header[name]["shape"]
                    assert all(type(value) is str for value in metadata.values())
                slowest = max(slowest, time.perf_counter() - start)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 2_000 < loaded < 15_000  # the fuzz reaches both ends
    assert peak < 8 << 20
    assert slowest < 1.0


BIG_HEADERS = {
    "lists": b'{"a":[' + b"[]," * 349_000 + b"[]]}",
    "objects": b'{"a":[' + b"{}," * 349_000 + b"{}]}",
    "numbers": b'{"a":[' + b"0," * 523_000 + b"0]}",
    "text": b'{"__metadata__":{"a":"' + b"\\ud83d\\ude00" * 87_000 + b'","b":1}}',
    "keys": ("{" + ",".join(f'"{i}":0' for i in range(100_000)) + "}").encode(),
}


@pytest.mark.parametrize("kind", BIG_HEADERS)
def test_largest_headers_cost_little_memory_and_time(path, kind):
    content = file_of(BIG_HEADERS[kind])
    assert len(content) <= MAX_HEADER_BYTES + 8
    path.write_bytes(content)
    start = time.perf_counter()
    with pytest.raises(ModelFormatError):
        load(path)
    assert time.perf_counter() - start < 2.0
    tracemalloc.start()
    try:
        with pytest.raises(ModelFormatError):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", ["header length 200 MB", "offsets beyond", "shape overflow", "shape wraps to size"])
def test_claims_beyond_the_file_take_no_memory(path, content):
    path.write_bytes(CORRUPTIONS[content][0])
    tracemalloc.start()
    try:
        with pytest.raises(ModelFormatError):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


AUDIT = """
import os, pathlib, random, sys
sys.path.insert(0, os.getcwd())
from enilnets.errors import ModelFormatError
from enilnets.storage.safetensors import load
from tests.storage.test_safetensors import CORRUPTIONS, GOLDEN, hostile_file

path = pathlib.Path(sys.argv[1])
generator = random.Random(1)
contents = [content for content, _ in CORRUPTIONS.values() if len(content) < 300_000]
contents += [GOLDEN] + [hostile_file(generator) for _ in range(300)]
forbidden = ("exec", "compile", "import", "marshal", "pickle", "os.system", "os.exec", "os.fork", "os.posix_spawn",
             "os.spawn", "os.remove", "os.rename", "subprocess", "socket", "ctypes", "shutil", "builtins.input")
seen, loading, opened = [], False, 0

def hook(event, args):
    global opened
    if not loading:
        return
    if event.startswith(forbidden):
        seen.append((event, str(args)))
    if event == "open":
        opened += 1
        name, mode, flags = args
        if name not in (path, str(path)) and not isinstance(name, int):
            seen.append((event, str(args)))
        if mode not in (None, "r", "rb") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            seen.append((event, str(args)))

sys.addaudithook(hook)
results = {True: 0, False: 0}
for content in contents:
    path.write_bytes(content)
    loading = True
    try:
        load(path)
        good = True
    except ModelFormatError as error:
        str(error)
        good = False
    loading = False
    results[good] += 1
loading = True
exec("1")  # the hook works
loading = False
assert len(seen) == 2 and {event for event, _ in seen} == {"compile", "exec"}, seen[:5]
assert opened >= 2 * len(contents), opened
assert min(results.values()) > 50, results
"""


def test_loading_runs_no_code_and_writes_nothing(path):
    result = subprocess.run(
        [sys.executable, "-c", AUDIT, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


def test_source_has_no_way_to_run_code():
    source = Path(safetensors.__file__).read_text(encoding="utf-8")
    source += Path(safetensors.write_atomically.__code__.co_filename).read_text(encoding="utf-8")
    words = r"\b(pickle|marshal|shelve|eval|exec|__import__|importlib|compile\(|np\.load|setattr|globals|locals)\b"
    assert set(re.findall(words, source.replace("re.compile(", ""))) == set()


# Crashes

KILLED = textwrap.dedent(
    """
    import itertools, sys
    import numpy as np
    from enilnets.storage.safetensors import save

    for generation in itertools.count():
        arrays = {f"w{i}": np.full(20_000, generation, np.float32) for i in range(5)}
        save(sys.argv[1], arrays, {"generation": str(generation)})
        if generation == 0:
            sys.stdout.write("saved")
            sys.stdout.flush()
    """
)


def test_kill_during_save_leaves_an_old_or_new_file(path):
    generator = random.Random(5)
    interrupted = 0
    for _ in range(15):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert process.stdout.read(5) == b"saved"
            time.sleep(generator.uniform(0, 0.03))
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=30)
        arrays, metadata = load(path, require_digest=True)
        assert len(arrays) == 5
        for array in arrays.values():
            assert array.shape == (20_000,)
            assert np.all(array == int(metadata["generation"]))
        others = [name for name in os.listdir(path.parent) if name != path.name]
        interrupted += bool(others)
        for name in others:
            assert re.fullmatch(r"\.model\.safetensors\.[0-9a-f]{16}\.tmp", name)
            os.utime(path.with_name(name), (0, 0))
        save(path, arrays, metadata)
        assert os.listdir(path.parent) == [path.name]
    assert interrupted > 0  # some kills did hit the middle of a save


def test_disk_that_fills_up_keeps_the_old_file(path):
    old = {"w": np.arange(1000.0)}
    save(path, old, {})
    script = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from enilnets.storage.safetensors import save\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "try:\n"
        "    save(sys.argv[1], {'w': np.ones(500_000)}, {})\n"
        "except OSError as error:\n"
        "    sys.stdout.write(str(error.strerror))\n"
    )
    for limit in (0, 100, 1_000_000, 4_000_000):
        result = subprocess.run(
            [sys.executable, "-c", script, str(path), str(limit)], cwd=ROOT, capture_output=True, timeout=60, check=True
        )
        assert result.stdout == b"File too large"
        assert_same(load(path, require_digest=True)[0], old)
        assert os.listdir(path.parent) == [path.name]


def test_threads_can_load_while_another_saves(path):
    save(path, {"w": np.zeros(1000)}, {"i": "0"})
    errors, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                arrays, metadata = load(path, require_digest=True)
                assert np.all(arrays["w"] == int(metadata["i"]))
            except BaseException as error:
                errors.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(100):
        save(path, {"w": np.full(1000, float(i))}, {"i": str(i)})
    stop.set()
    for reader in readers:
        reader.join()
    assert errors == []
