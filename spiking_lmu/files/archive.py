"""The one reader of files that nobody vouches for: plain files, JSON, NPY arrays, ZIP archives.

Whatever the file says, a reader here takes bounded time and memory, runs nothing, and answers
with one :class:`~spiking_lmu.errors.FileError` in the words of its :class:`Wanted`:

- Only regular files are opened: a FIFO would wait for ever, a device has no end.
- A ZIP archive is a list of entries without comments or gaps; its list is looked at before
  :mod:`zipfile` is.  Entries are read in memory, by name, up to the size that was declared.
- An NPY header is three known words in a fixed grammar.  It is never evaluated, as
  :func:`numpy.load` does; the array is a view of bytes that are already there.
- JSON has no infinities, no names twice, no lone surrogates, and a bounded depth.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

import numpy as np

from spiking_lmu.errors import FileError

Array = np.ndarray

MIB = 1 << 20
#: Entries of an archive; bytes of its list of entries; bytes of a name in it.
MAX_ENTRIES, MAX_LIST, MAX_NAME = 10_000, 4 * MIB, 2_000
#: Bytes of all entries: so many in any case, more only if the file is at least 1/16 of them.
SMALL, RATIO, MAX_TOTAL = 32 * MIB, 16, 4 << 30
#: Bytes, depth, digits of one number, and numbers of values of a JSON document.
MAX_JSON, MAX_DEPTH, MAX_DIGITS, MAX_VALUES = 3 * MIB, 100, 40, 400_000
#: An NPY header that NumPy writes has 118 bytes; dimensions of an array.
MAX_HEADER, MAX_DIMENSIONS = 2_000, 8

_END = struct.Struct("<4s4H2LH")
_ITEM = (
    r"\s*['\"](?:descr|fortran_order|shape)['\"]\s*:"
    r"\s*(?:['\"][<>|=]?[a-zA-Z][0-9]{0,4}['\"]|True|False|\([0-9, ]*\))\s*"
)
_HEADER = re.compile(rf"\{{{_ITEM},{_ITEM},{_ITEM},?\s*\}}\s*")
_DESCR = re.compile(r"descr['\"]\s*:\s*['\"]([<>|=]?)([a-zA-Z])([0-9]{1,4})['\"]")
_ORDER = re.compile(r"fortran_order['\"]\s*:\s*(True|False)")
_SHAPE = re.compile(r"shape['\"]\s*:\s*\(([0-9, ]*)\)")
#: Sizes in bytes by kind (of text, in characters).
_SIZES: dict[str, Sequence[int]] = {
    "b": (1,),
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": (2, 4, 8),
    "U": range(1, 1_001),
}
Order = Literal["C", "F"]


@dataclass(frozen=True)
class Wanted:
    """What a file should be, in the words of the error if it is not.

    Parameters
    ----------
    name
        Of the file.
    expected, fix
        As in :class:`~spiking_lmu.errors.SpikingLmuError`.

    >>> print(Wanted("a.slmu", "an intact .slmu file", "fetch a fresh copy").refused("nothing"))
    a.slmu: got nothing, expected an intact .slmu file; fetch a fresh copy
    """

    name: str
    expected: str
    fix: str

    def refused(self, got: str, expected: str = "", fix: str = "") -> FileError:
        """The error for a file that is something else."""
        return FileError(
            self.name, got=got, expected=expected or self.expected, fix=fix or self.fix
        )


class Refused(Exception):
    """Something that a reader does not take; :func:`reading` makes a FileError of it."""


@contextmanager
def reading(wanted: Wanted) -> Iterator[None]:
    """Turn whatever goes wrong in the block into a FileError in the words of ``wanted``.

    For the reading of files only: an error there is the file's, whatever its type.
    """
    try:
        yield
    except FileError:
        raise
    except Refused as error:
        raise wanted.refused(str(error)) from error
    except MemoryError as error:
        raise wanted.refused("more than fits into memory") from error
    except Exception as error:  # zipfile alone raises a dozen unrelated kinds
        raise wanted.refused(f"something unreadable ({type(error).__name__}: {error})") from error


@contextmanager
def open_regular(path: str | Path, wanted: Wanted) -> Iterator[BinaryIO]:
    """Open a regular file for reading; a link to one will do.

    Raises
    ------
    FileError
        Nothing there, a folder, a FIFO, a device, or no permission.
    """
    require_regular(path, wanted)
    # Without waiting, if the file has become a FIFO by now.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with _finding(wanted):
        handle = os.open(path, flags)
    with os.fdopen(handle, "rb") as file:
        with _finding(wanted):
            _check_mode(os.fstat(handle).st_mode)
        yield file


def require_regular(path: str | Path, wanted: Wanted) -> int:
    """The size in bytes of a regular file, or of the one that a link leads to.

    Raises
    ------
    FileError
        Nothing there, a folder, a FIFO, a device, or no permission.
    """
    with _finding(wanted):
        found = os.stat(path)
        _check_mode(found.st_mode)
        return found.st_size


@contextmanager
def _finding(wanted: Wanted) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise wanted.refused("nothing there", fix="check the path") from error
    except (Refused, OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise wanted.refused(got, fix="check the path") from error


def _check_mode(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    raise Refused(kinds.get(stat.S_IFMT(mode), "a device"))


def read_bytes(path: str | Path, limit: int, wanted: Wanted) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises
    ------
    FileError
        No such file, or a larger one.
    """
    with open_regular(path, wanted) as file, reading(wanted):
        content = file.read(limit + 1)
    if len(content) > limit:
        raise wanted.refused(f"more than {limit:,} bytes")
    return content


def parse_json(content: bytes, *, limit: int = MAX_JSON, values: int = MAX_VALUES) -> Any:
    """A JSON document of at most ``limit`` bytes and about ``values`` values.

    Raises
    ------
    Refused
        No JSON, or more than JSON should be: see the module.

    >>> parse_json(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    if len(content) > limit:
        raise Refused(f"JSON of {len(content):,} bytes, more than {limit:,}")
    if content.count(b",") > values:
        raise Refused(f"JSON of more than {values:,} values")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("text that is not UTF-8") from error
    if _depth(content) > MAX_DEPTH:
        raise Refused(f"JSON nested more than {MAX_DEPTH} deep")
    try:
        document = json.loads(
            text,
            object_pairs_hook=_names_once,
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=_no_constant,
        )
        if "\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Refused("half a surrogate pair, which is no text") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"text that is not JSON ({error})") from error
    return document


def _depth(content: bytes) -> int:
    """How deep brackets are nested outside of strings."""
    if content.count(b"[") + content.count(b"{") <= MAX_DEPTH:
        return 0
    deepest = depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', content, re.DOTALL):
        if token[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in b"]}":
            depth -= 1
    return deepest


def _names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:80]!r} twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]}, which is infinite")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"the number {text}")


def parse_npy(content: bytes, kinds: str = "fiu") -> Array:
    """The array in the bytes of an NPY file: a view of them, which cannot be written to.

    Parameters
    ----------
    kinds
        Kinds of values that are taken: ``f`` real, ``i`` and ``u`` whole, ``b`` true or false,
        ``U`` text.

    Raises
    ------
    Refused
        Another magic number or header, a dtype of another kind, or another length than the
        header says.
    """
    dtype, shape, order, start = _header(content, kinds)
    _require_length(dtype, shape, len(content) - start)
    flat = np.frombuffer(content, dtype, math.prod(shape), min(start, len(content)))
    return _require_text(flat.reshape(shape, order=order))


def map_npy(path: str | Path, wanted: Wanted, kinds: str = "fiu") -> Array:
    """The array in an NPY file, mapped into memory: what is not used is not read.

    Raises
    ------
    FileError
        As :func:`open_regular`, and for what :func:`parse_npy` refuses.
    """
    with open_regular(path, wanted) as file, reading(wanted):
        dtype, shape, order, start = _header(file.read(MAX_HEADER + 12), kinds)
        _require_length(dtype, shape, os.fstat(file.fileno()).st_size - start)
        if not math.prod(shape):  # of which nothing can be mapped
            return np.empty(shape, dtype)
        return _require_text(np.memmap(file, dtype, "r", start, shape, order))


def _header(content: bytes, kinds: str) -> tuple[np.dtype[Any], tuple[int, ...], Order, int]:
    """Dtype, shape and order of an NPY file, and where its numbers start."""
    if content[:6] != b"\x93NUMPY" or len(content) < 12:
        raise Refused("no NPY array")
    version = content[6], content[7]
    if version == (1, 0):
        (length,), start = struct.unpack_from("<H", content, 8), 10
    elif version in ((2, 0), (3, 0)):
        (length,), start = struct.unpack_from("<L", content, 8), 12
    else:
        raise Refused(f"an NPY array of format {version[0]}.{version[1]}")
    if length > MAX_HEADER:
        raise Refused(f"an NPY header of {length:,} bytes")
    header = content[start : start + length].decode("latin-1")
    found = _HEADER.fullmatch(header) and [p.findall(header) for p in (_DESCR, _ORDER, _SHAPE)]
    if not found or any(len(values) != 1 for values in found):
        if re.search(r"['\"]\|?O[0-9]*['\"]", header):
            raise Refused("an array of dtype object, which only a pickle could fill")
        raise Refused("an NPY header that is not dtype, order and shape of numbers")
    (descr,), (order,), (sizes,) = found
    dtype, shape = _dtype(*descr, kinds=kinds), _shape(sizes)
    return dtype, shape, "F" if order == "True" else "C", start + length


def _require_length(dtype: np.dtype[Any], shape: tuple[int, ...], length: int) -> None:
    size = dtype.itemsize * math.prod(shape)
    if size != length:
        raise Refused(f"an NPY header for {size:,} bytes and {length:,} bytes of array")


def _require_text(array: Array) -> Array:
    """Raise unless text is text: NumPy takes any number for a character."""
    if array.dtype.kind == "U" and array.size:
        codes = np.frombuffer(array.tobytes(), array.dtype.byteorder.replace("=", "<") + "u4")
        if codes.max() > 0x10FFFF or ((codes >= 0xD800) & (codes < 0xE000)).any():
            raise Refused("text with characters that do not exist")
    return array


def _dtype(order: str, kind: str, size: str, *, kinds: str) -> np.dtype[Any]:
    if kind not in kinds or int(size) not in _SIZES[kind]:
        raise Refused(f"an array of dtype {order}{kind}{size}")
    return np.dtype(f"{order if int(size) > 1 or kind == 'U' else '|'}{kind}{size}")


def _shape(text: str) -> tuple[int, ...]:
    sizes = [part.strip() for part in text.split(",")]
    if sizes[-1] == "":
        sizes.pop()
    if len(sizes) > MAX_DIMENSIONS or not all(re.fullmatch("[0-9]{1,15}", s) for s in sizes):
        raise Refused(f"an array of shape ({text[:80]})")
    return tuple(int(size) for size in sizes)


class Archive:
    """Entries of a ZIP archive by name; see :func:`open_archive`."""

    def __init__(self, archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> None:
        self._archive, self._entries = archive, entries

    @property
    def names(self) -> list[str]:
        """Names of the entries in the order of the archive."""
        return list(self._entries)

    def size(self, name: str) -> int:
        """Bytes that the entry ``name`` declares, uncompressed."""
        return self._entries[name].file_size

    def read(self, name: str, limit: int = MAX_TOTAL) -> bytes:
        """The entry ``name`` of at most ``limit`` bytes.

        Raises
        ------
        Refused
            No such entry, a larger one, or one of another length than declared.
        """
        if name not in self._entries:
            raise Refused(f"no entry {name[:80]!r}")
        info = self._entries[name]
        if info.file_size > limit:
            raise Refused(f"the entry {name[:80]!r} of {info.file_size} bytes, more than {limit}")
        try:
            with self._archive.open(info) as file:
                content = file.read(info.file_size + 1)
        except MemoryError:
            raise
        except Exception as error:  # a damaged entry: zipfile and zlib have many ways to say so
            why = f"{type(error).__name__}: {error}"
            raise Refused(f"the entry {name[:80]!r}, which cannot be unpacked ({why})") from error
        if len(content) != info.file_size:
            raise Refused(f"the entry {name[:80]!r} of another length than declared")
        return content

    def array(self, name: str, kinds: str = "fiu") -> Array:
        """The array in the entry ``name``; see :func:`parse_npy`."""
        content = self.read(name)
        try:
            return parse_npy(content, kinds)
        except Refused as error:
            raise Refused(f"{error} in {name[:80]!r}") from error

    def json(self, name: str) -> Any:
        """The JSON document in the entry ``name``; see :func:`parse_json`."""
        return parse_json(self.read(name, MAX_JSON))


@contextmanager
def open_archive(
    path: str | Path | BinaryIO, wanted: Wanted, *, ratio: int = RATIO
) -> Iterator[Archive]:
    """Open a ZIP archive of arrays, by its path or as an open file.

    Whatever goes wrong in the block is an error of the file.

    Parameters
    ----------
    ratio
        How many times larger than the file its entries may be, beyond :data:`SMALL`.

    Raises
    ------
    FileError
        No whole archive, or one with more entries, names or bytes than the limits allow; also
        for :class:`Refused` and other errors out of the block.
    """
    if isinstance(path, str | Path):
        with open_regular(path, wanted) as file, _archive(file, wanted, ratio) as archive:
            yield archive
    else:
        with _archive(path, wanted, ratio) as archive:
            yield archive


@contextmanager
def _archive(file: BinaryIO, wanted: Wanted, ratio: int) -> Iterator[Archive]:
    with reading(wanted):
        size = _require_list(file)
        try:
            opened = zipfile.ZipFile(file)
        except MemoryError:
            raise
        except Exception as error:
            raise Refused(f"a file that is not a whole ZIP archive ({error})") from error
        with opened:
            yield Archive(opened, _entries(opened, size, ratio))


def _require_list(file: BinaryIO) -> int:
    """Check the record at the end, which says where the list of entries is; returns the size."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size))
    end = file.read(_END.size)
    if len(end) != _END.size or end[:4] != b"PK\x05\x06":
        raise Refused("a file that is not a whole ZIP archive (it does not end as one)")
    _, disk, other_disk, here, entries, length, start, comment = _END.unpack(end)
    if disk or other_disk or here != entries or comment:
        raise Refused("a ZIP archive in parts or with a comment")
    if entries > MAX_ENTRIES or length > MAX_LIST:
        raise Refused(f"{entries:,} entries, more than {MAX_ENTRIES:,}")
    if start + length + _END.size != size:
        raise Refused("a file that is not a whole ZIP archive (its list of entries is elsewhere)")
    file.seek(0)
    return size


def _entries(archive: zipfile.ZipFile, size: int, ratio: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    entries = {info.filename: info for info in infos}
    if len(entries) != len(infos):
        raise Refused(f"{len(infos)} entries, some twice")
    for name, info in entries.items():
        if len(name) > MAX_NAME:
            raise Refused(f"an entry whose name has {len(name):,} characters")
        if info.flag_bits & 1:
            raise Refused(f"the encrypted entry {name[:80]!r}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"{name[:80]!r} with compression method {info.compress_type}")
    if sum(info.compress_size for info in infos) > size:
        raise Refused("entries that overlap")
    total = sum(info.file_size for info in infos)
    if total > min(MAX_TOTAL, max(SMALL, ratio * size)):
        raise Refused(f"{total:,} bytes of entries in a file of {size:,}")
    return entries


def write_archive(file: BinaryIO, entries: Mapping[str, bytes], *, compress: bool = True) -> None:
    """Write a ZIP archive that :func:`open_archive` reads; equal entries give equal bytes.

    An entry that would shrink so far that a reader had to take it for a bomb is stored as it is.
    """
    small = sum(map(len, entries.values())) <= SMALL
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            deflate = small or len(content) < RATIO // 2 * len(zlib.compress(content, 1))
            method = zipfile.ZIP_DEFLATED if compress and deflate else zipfile.ZIP_STORED
            archive.writestr(info, content, method)


def npy(array: Array) -> bytes:
    """The bytes of ``array`` as an NPY file of version 1.0, little-endian."""
    array = np.asarray(array)
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    buffer = io.BytesIO()
    np.lib.format.write_array(
        buffer, little.reshape(array.shape), version=(1, 0), allow_pickle=False
    )
    return buffer.getvalue()
