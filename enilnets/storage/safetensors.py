"""Named arrays and string metadata in one file of the safetensors layout.

Reading a file never runs code: it uses ``struct``, ``json`` and NumPy, and nothing a file contains is looked up,
imported or evaluated. Everything the header claims is checked against the size of the file before memory is taken.

Layout, all little-endian: 8 bytes length of the header; the header, JSON padded with spaces to a multiple of 8; the
data of all tensors, row-major, without holes. Tensors are ordered by falling item size, then by name, so that each is
aligned and equal content gives equal bytes.

Files written here carry two entries in ``__metadata__``: ``"integrity": "sha256"`` and ``"sha256"``, the hex digest of
the whole file with these 64 characters replaced by zeros. Either entry demands the other, so that a damaged key does
not pass for a file without digest. The digest finds accidents; it is no signature.

References
----------
.. [1] The safetensors format, https://github.com/huggingface/safetensors#format

>>> save("digits.safetensors", {"dense/weights": np.zeros((10, 784), np.float32)}, {"epoch": "3"})
>>> arrays, metadata = load("digits.safetensors")
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError, DTypeError, ModelFormatError, ShapeError, StateError
from .atomic import open_regular, write_atomically

__all__ = ["Header", "TensorInfo", "load", "read_header", "save"]

MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 65536
MAX_AXES = 32  # what NumPy 1.26 can hold

# The dtype tags of the format that NumPy has itself.
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_TAGS = {dtype.str[1:]: tag for tag, dtype in DTYPES.items()}

_NAME = re.compile(r"[A-Za-z0-9_.\-][A-Za-z0-9_.\-/]{0,255}")
_NAME_RULE = "1 to 256 letters, digits, '_', '.', '-' or '/', no leading '/' and no '..'"
_METADATA = "__metadata__"
_DIGEST_KEY = "sha256"
_MARK_KEY, _MARK = "integrity", "sha256"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NO_DIGEST = "0" * 64
_MAX_INTEGER_DIGITS = 20  # 2**64 has 20; Python before 3.10.7 takes seconds for a number of 10**6 digits
_CHUNK_BYTES = 1 << 20
_DAMAGED = "the file is damaged or no safetensors file; use another copy"


class TensorInfo(NamedTuple):
    """What the header says about one tensor."""

    dtype: str
    """Tag of the format, a key of ``DTYPES``."""
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the end of the header."""
    end: int
    """One past the last byte."""


class Header(NamedTuple):
    """The checked header of a file."""

    tensors: dict[str, TensorInfo]
    """Name to description, in the order of the data."""
    metadata: dict[str, str]
    """String metadata without the two entries of the digest."""
    digest: str | None
    """SHA-256 that the file states for itself, None if it was written by another tool."""


def save(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays and metadata to ``path`` atomically.

    Parameters
    ----------
    path : str or path-like
        See :func:`enilnets.storage.atomic.write_atomically`.
    arrays : mapping of str to ndarray
        float16/32/64, signed and unsigned integers, booleans; any shape, strides and byte order. They are stored
        row-major and little-endian.
    metadata : mapping of str to str
        Free, except for the keys ``sha256`` and ``integrity``.

    Raises
    ------
    DTypeError
        If a value is no array, is masked, holds objects, complex numbers, strings or dates, or metadata is no string.
    ShapeError
        If an array has more than 32 axes.
    ConfigError
        If a name or key is not allowed, or names and metadata need a header above 1 MiB.
    StateError
        If another thread changed an array during the save. The old file stays.
    OSError
        If the file cannot be written. The old file stays.
    """
    where = f"save({path})"
    tags = {name: _check_array(where, name, array) for name, array in arrays.items()}
    _check_metadata(where, metadata)
    order = sorted(arrays, key=lambda name: (-DTYPES[tags[name]].itemsize, name))
    ordered = [(arrays[name], tags[name]) for name in order]
    header = _encode_header(where, order, ordered, metadata)
    digest = _sha256(header)
    for chunk in _payload(ordered):
        digest.update(chunk)
    write_atomically(path, _file(where, header, digest.hexdigest(), ordered))


def load(path: str | os.PathLike[str], *, require_digest: bool = False) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read all arrays and the metadata of a file.

    Parameters
    ----------
    path : str or path-like
        A regular file of at least 8 bytes.
    require_digest : bool, default False
        Refuse a file that carries no digest, such as one written by another tool.

    Returns
    -------
    arrays : dict of str to ndarray
        In the order of the data. Each owns its memory and is writable, aligned, C-contiguous and in native byte order.
    metadata : dict of str to str
        Without the two entries of the digest.

    Raises
    ------
    ModelFormatError
        If anything about the file is wrong; the message names the file and, where there is one, the tensor.
    FileNotFoundError
        If there is no such file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        raw, header = _read_header(path, file, size)
        if header.digest is None and require_digest:
            raise ModelFormatError(
                f"{path}", "a SHA-256 digest in the metadata", "none", "load it without require_digest and save it anew"
            )
        digest = _sha256(_without_digest(path, raw, header.digest))
        arrays = {name: _read_tensor(path, name, info, file, digest) for name, info in header.tensors.items()}
        if file.read(1):
            raise ModelFormatError(f"{path}", f"{size} bytes", "more", "another process is writing to the file")
    if header.digest is not None and digest.hexdigest() != header.digest:
        raise ModelFormatError(
            f"{path}",
            f"the content with SHA-256 {header.digest}",
            digest.hexdigest(),
            "the file is damaged, or another tool changed it and kept the old digest; use another copy",
        )
    return arrays, header.metadata


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check the header alone: names, dtypes, shapes and metadata, without the data and without the digest.

    Parameters
    ----------
    path : str or path-like
        A regular file of at least 8 bytes.

    Returns
    -------
    Header
        Consistent with the size of the file.

    Raises
    ------
    ModelFormatError
        If the header is wrong or does not fit the size of the file.
    FileNotFoundError
        If there is no such file.
    """
    with open_regular(path) as file:
        return _read_header(path, file, os.fstat(file.fileno()).st_size)[1]


# Writing


def _sha256(data: bytes) -> Any:
    """Return a digest under way; OpenSSL takes 3 ms to load, which only saving and loading should cost."""
    import hashlib

    return hashlib.sha256(data)


def _check_array(where: str, name: Any, array: Any) -> str:
    """Return the dtype tag of an array that can be stored."""
    if not isinstance(name, str) or not _is_name(name):
        raise ConfigError(where, f"array names of {_NAME_RULE}", _short(name), "rename the array")
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise DTypeError(f"{where}, array {name!r}", "an ndarray", type(array).__name__, "convert it with np.asarray")
    tag = _TAGS.get(array.dtype.str[1:])
    if tag is None:
        raise DTypeError(
            f"{where}, array {name!r}", f"one of {', '.join(DTYPES)}", f"dtype {array.dtype}", "convert it to one"
        )
    if array.ndim > MAX_AXES:
        raise ShapeError(f"{where}, array {name!r}", f"at most {MAX_AXES} axes", array.ndim, "merge some axes")
    return tag


def _check_metadata(where: str, metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        for text in (key, value):
            if not isinstance(text, str):
                raise DTypeError(
                    f"{where}, metadata {_short(key)}", "str to str", type(text).__name__, "encode it, e.g. as JSON"
                )
            if not _is_unicode(text):
                raise ConfigError(f"{where}, metadata {_short(key)}", "valid Unicode", "a lone surrogate")
        if key in (_DIGEST_KEY, _MARK_KEY):
            raise ConfigError(
                where, f"metadata without {_DIGEST_KEY!r} and {_MARK_KEY!r}", repr(key), "choose another key"
            )


def _encode_header(
    where: str, names: list[str], ordered: list[tuple[np.ndarray, str]], metadata: Mapping[str, str]
) -> bytes:
    """Return length and header with zeros in the place of the digest."""
    header: dict[str, Any] = {_METADATA: {_MARK_KEY: _MARK, _DIGEST_KEY: _NO_DIGEST, **metadata}}
    begin = 0
    for name, (array, tag) in zip(names, ordered, strict=True):
        header[name] = {"dtype": tag, "shape": list(array.shape), "data_offsets": [begin, begin + array.nbytes]}
        begin += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES or len(names) > MAX_TENSORS:
        raise ConfigError(
            where,
            f"a header of at most {MAX_HEADER_BYTES} bytes and {MAX_TENSORS} arrays",
            f"{len(text)} bytes and {len(names)} arrays",
            "store long texts as uint8 arrays, and many small arrays as one",
        )
    return struct.pack("<Q", len(text)) + text


def _payload(ordered: Iterable[tuple[np.ndarray, str]]) -> Iterator[bytes]:
    """Yield the data of all arrays in copies of at most 1 MiB."""
    for array, tag in ordered:
        data = np.ascontiguousarray(array, DTYPES[tag]).reshape(-1).view(np.uint8)
        for start in range(0, data.size, _CHUNK_BYTES):
            chunk = data[start : start + _CHUNK_BYTES]
            # A boolean array over foreign memory may hold bytes other than 0 and 1, which no reader should meet.
            yield (chunk != 0).tobytes() if tag == "BOOL" else chunk.tobytes()


def _file(where: str, header: bytes, digest: str, ordered: list[tuple[np.ndarray, str]]) -> Iterator[bytes]:
    """Yield the file, and cancel it at the end if its data is no longer that of the digest."""
    written = _sha256(header)
    yield header.replace(_digest_entry(_NO_DIGEST), _digest_entry(digest), 1)
    for chunk in _payload(ordered):
        written.update(chunk)
        yield chunk
    if written.hexdigest() != digest:
        raise StateError(
            where, "arrays that do not change during the save", "different data", "save copies, or pause the training"
        )


def _digest_entry(digest: str) -> bytes:
    # Unescaped quotes cannot stand inside a JSON string, so no metadata text can contain these bytes.
    return f'"{_DIGEST_KEY}":"{digest}"'.encode()


# Reading


def _read_header(path: str | os.PathLike[str], file: BufferedReader, size: int) -> tuple[bytes, Header]:
    """Return length and header as bytes, and what they say, checked against the ``size`` of the file."""
    where = f"{path}"
    if size < 8:
        raise ModelFormatError(where, "at least 8 bytes", f"{size} bytes", _DAMAGED)
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
        raise ModelFormatError(
            where,
            f"a header of 2 to {MAX_HEADER_BYTES} bytes inside the file of {size} bytes",
            f"header length {length}",
            _DAMAGED,
        )
    raw = start + file.read(length)
    if len(raw) != 8 + length:
        raise ModelFormatError(where, f"{size} bytes", f"{len(raw)} bytes", "another process is writing to the file")
    entries = _parse(where, raw[8:])
    metadata = _read_metadata(where, entries.pop(_METADATA, {}))
    if len(entries) > MAX_TENSORS:
        raise ModelFormatError(where, f"at most {MAX_TENSORS} tensors", len(entries), "split the file")
    tensors = {name: _read_info(where, name, entry) for name, entry in entries.items()}
    tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)))
    _check_coverage(where, tensors, size - 8 - length)
    return raw, Header(tensors, metadata, _take_digest(where, metadata))


def _parse(where: str, text: bytes) -> dict[str, Any]:
    if text[:1] != b"{":
        raise ModelFormatError(where, "a header that is a JSON object", f"one that starts with {text[:16]!r}", _DAMAGED)
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except (ValueError, RecursionError) as error:
        reason = "too deep nesting" if isinstance(error, RecursionError) else str(error)
        raise ModelFormatError(where, "a valid JSON header", reason, _DAMAGED) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise ValueError(f"the key {_short(key)} twice")
        entries[key] = value
    return entries


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _refuse_number(text: str) -> float:
    raise ValueError(f"the number {text[:20]}, which is no integer")


def _read_metadata(where: str, metadata: Any) -> dict[str, str]:
    if type(metadata) is not dict:
        raise ModelFormatError(f"{where}, {_METADATA}", "an object of strings", _short(metadata), _DAMAGED)
    for key, value in metadata.items():
        if type(value) is not str or not (_is_unicode(key) and _is_unicode(value)):
            raise ModelFormatError(f"{where}, {_METADATA} {_short(key)}", "a string", _short(value), _DAMAGED)
    return metadata


def _take_digest(where: str, metadata: dict[str, str]) -> str | None:
    """Remove the digest and its mark from ``metadata`` and return the digest."""
    digest = metadata.pop(_DIGEST_KEY, None)
    marked = metadata.get(_MARK_KEY) == _MARK
    if marked:
        del metadata[_MARK_KEY]
    if digest is None and not marked:
        return None
    if digest is None or not _DIGEST.fullmatch(digest):
        raise ModelFormatError(f"{where}, {_METADATA}", "a SHA-256 of 64 hex digits", _short(digest), _DAMAGED)
    return digest


def _read_info(where: str, name: str, entry: Any) -> TensorInfo:
    if not _is_name(name):
        raise ModelFormatError(where, f"tensor names of {_NAME_RULE}", _short(name), "rename the tensor")
    where = f"{where}, tensor {name!r}"
    if type(entry) is not dict or entry.keys() != {"dtype", "shape", "data_offsets"}:
        got = f"keys {', '.join(_short(key) for key in list(entry)[:5])}" if type(entry) is dict else _short(entry)
        raise ModelFormatError(where, "an object with dtype, shape and data_offsets", got, _DAMAGED)
    tag, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(tag) is not str or tag not in DTYPES:
        raise ModelFormatError(where, f"a dtype of {', '.join(DTYPES)}", _short(tag), "convert it to one of these")
    if not _are_sizes(shape) or len(shape) > MAX_AXES:
        raise ModelFormatError(where, f"a shape of at most {MAX_AXES} sizes >= 0", _short(shape), _DAMAGED)
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ModelFormatError(where, "data_offsets [begin, end] >= 0", _short(offsets), _DAMAGED)
    begin, end = offsets
    itemsize = DTYPES[tag].itemsize
    if end - begin != math.prod(shape) * itemsize:
        raise ModelFormatError(
            where, f"{math.prod(shape) * itemsize} bytes for shape {_short(shape)}", f"{end - begin} bytes", _DAMAGED
        )
    # NumPy refuses an empty array whose other axes would overflow, such as (0, 2**62, 2**62).
    if math.prod(max(size, 1) for size in shape) * itemsize > sys.maxsize:
        raise ModelFormatError(where, f"axes of less than {sys.maxsize} bytes", f"shape {_short(shape)}", _DAMAGED)
    return TensorInfo(tag, tuple(shape), begin, end)


def _are_sizes(values: Any) -> bool:
    # type() rather than isinstance(): True is an int.
    return type(values) is list and all(type(value) is int and value >= 0 for value in values)


def _check_coverage(where: str, tensors: dict[str, TensorInfo], size: int) -> None:
    """Check that the tensors, sorted by offset, cover the ``size`` bytes of data without hole, overlap or rest."""
    reached = 0
    for name, info in tensors.items():
        if info.begin != reached or info.end > size:
            raise ModelFormatError(
                f"{where}, tensor {name!r}",
                f"data that begins at byte {reached} and ends inside the {size} bytes of data",
                f"bytes {info.begin} to {info.end}",
                _DAMAGED,
            )
        reached = info.end
    if reached != size:
        raise ModelFormatError(where, f"{reached} bytes of data", f"{size} bytes", _DAMAGED)


def _without_digest(path: str | os.PathLike[str], raw: bytes, digest: str | None) -> bytes:
    """Return length and header as they were hashed: with zeros for the digest."""
    if digest is None:
        return raw
    if raw.count(_digest_entry(digest)) != 1:
        raise ModelFormatError(
            f"{path}, {_METADATA}",
            f"one entry {_digest_entry('...').decode()} without spaces",
            "another spelling",
            "remove the entry if another tool wrote the file",
        )
    return raw.replace(_digest_entry(digest), _digest_entry(_NO_DIGEST))


def _read_tensor(
    path: str | os.PathLike[str], name: str, info: TensorInfo, file: BufferedReader, digest: Any
) -> np.ndarray:
    """Read the next tensor into memory of its own, adding its bytes to ``digest`` while they are in the cache."""
    array = np.empty(info.shape, DTYPES[info.dtype].newbyteorder("="))
    data = array.reshape(-1).view(np.uint8)
    for start in range(0, data.size, _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES]
        count = file.readinto(chunk.data)
        if count != chunk.size:
            raise ModelFormatError(
                f"{path}, tensor {name!r}",
                f"{data.size} bytes",
                start + count,
                "another process is writing to the file",
            )
        digest.update(chunk)
        if info.dtype == "BOOL" and chunk.max() > 1:
            raise ModelFormatError(f"{path}, tensor {name!r}", "booleans 0 and 1", int(chunk.max()), _DAMAGED)
    if sys.byteorder == "big":
        array.byteswap(inplace=True)
    return array


# Both


def _is_name(name: str) -> bool:
    return name != _METADATA and ".." not in name and _NAME.fullmatch(name) is not None


def _is_unicode(text: str) -> bool:
    """Tell whether ``text`` is free of lone surrogates, which JSON can express and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    """Describe a value from a file within one line, whatever its size or depth."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:60]!r}... ({len(value)} characters)"
    if type(value) is list and len(value) <= 8 and all(type(item) is int for item in value):
        return repr(value)
    return repr(value) if value is None or type(value) in (bool, int) else f"a {type(value).__name__}"
