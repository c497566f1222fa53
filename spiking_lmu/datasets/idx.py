"""IDX files of unsigned bytes, known by their length and checksum, and read strictly.

The format, from http://yann.lecun.com/exdb/mnist/: two zero bytes, 0x08 (unsigned bytes), the
number of dimensions, each dimension as a big-endian 32-bit integer, then the values, last
dimension fastest.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spiking_lmu.errors import DatasetError, FileError


@dataclass(frozen=True)
class IdxFile:
    """One IDX file of unsigned bytes: its name, its array's shape, the MD5 of its bytes."""

    name: str
    shape: tuple[int, ...]
    md5: str

    @property
    def header(self) -> bytes:
        """The bytes before the first value."""
        sizes = b"".join(size.to_bytes(4, "big") for size in self.shape)
        return bytes([0, 0, 8, len(self.shape)]) + sizes

    @property
    def length(self) -> int:
        """The length of the uncompressed file, in bytes."""
        return len(self.header) + math.prod(self.shape)


Pair = tuple[IdxFile, IdxFile]  # images, labels
Contents = tuple[bytes, bytes]  # their uncompressed bytes


def _pair(prefix: str, samples: int, images: str, labels: str) -> Pair:
    return (
        IdxFile(f"{prefix}-images-idx3-ubyte", (samples, 28, 28), images),
        IdxFile(f"{prefix}-labels-idx1-ubyte", (samples,), labels),
    )


# MNIST: MD5 of the four files of http://yann.lecun.com/exdb/mnist/, uncompressed.
# Fashion-MNIST: MD5 of the uncompressed files in Debian's dataset-fashion-mnist; compressed with
# the original gzip headers they have the MD5 that Zalando publishes for its four .gz files
# (https://github.com/zalandoresearch/fashion-mnist#get-the-data).
FILES: dict[tuple[str, str], Pair] = {
    ("mnist", "train"): _pair(
        "train", 60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"
    ),
    ("mnist", "test"): _pair(
        "t10k", 10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"
    ),
    ("fashion-mnist", "train"): _pair(
        "train", 60_000, "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"
    ),
    ("fashion-mnist", "test"): _pair(
        "t10k", 10_000, "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"
    ),
}


def read_idx(path: Path, file: IdxFile) -> bytes:
    """Read a file, plain or ``.gz``, that must be exactly ``file``; at most one byte too many.

    Returns the uncompressed bytes, header included.  Raises FileError for a file of another
    kind, shape or length, DatasetError for the right kind with another checksum.
    """
    if not os.path.isfile(path):
        expected = f"{file.name}, plain or .gz"
        raise FileError(str(path), got="no such file", expected=expected, fix="check the folder")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            data = stream.read(file.length + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise unusable(path, str(error)) from error
    return check_idx(data, file, str(path))


def check_idx(data: bytes, file: IdxFile, what: str) -> bytes:
    """Return ``data`` when it is exactly ``file``; otherwise raise as :func:`read_idx` does."""
    fix = "get a new copy of the original file"
    if not data.startswith(file.header):
        got = f"header {data[: len(file.header)].hex() or '(empty)'}"
        expected = f"{file.header.hex()} (IDX, unsigned bytes, shape {file.shape})"
        raise FileError(what, got=got, expected=expected, fix=fix)
    if len(data) != file.length:
        got = f"{len(data)} bytes" if len(data) < file.length else "more bytes than that"
        raise FileError(what, got=got, expected=f"exactly {file.length} bytes", fix=fix)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 != file.md5:
        raise DatasetError(what, got=f"MD5 {md5}", expected=f"MD5 {file.md5}", fix=fix)
    return data


def values(data: bytes, file: IdxFile) -> np.ndarray:
    """The values of a file's uncompressed bytes, in its shape."""
    return np.frombuffer(data, np.uint8, offset=len(file.header)).reshape(file.shape)


def unusable(what: str | Path, got: str) -> FileError:
    """The error for a place that does not have the original file."""
    fix = "get a new copy of the original file"
    return FileError(str(what), got=got, expected="the original IDX file", fix=fix)
