"""Files of small data sets, and tests that see nobody's cache and no network."""

import gzip
import hashlib
import io
import tarfile

import numpy as np

from spiking_lmu.datasets import idx
from spiking_lmu.datasets import mnist_files as sources
from spiking_lmu.datasets.idx import FILES, IdxFile

SMALL = 20  # samples in the stand-in for a training set


def idx_bytes(array):
    """The IDX format, written independently of the package."""
    header = b"\x00\x00\x08" + bytes([array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.astype("u1").tobytes()


def described(name, array):
    data = idx_bytes(array)
    return IdxFile(name, array.shape, hashlib.md5(data).hexdigest()), data


def isolate(monkeypatch, tmp_path):
    """No cache of the person who runs the tests, and no network."""
    monkeypatch.delenv("SPIKING_LMU_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(sources, "SYSTEM", tmp_path / "system")

    def offline(what, command, folder, reason):
        raise idx.unusable(what, "the network is off in tests")

    monkeypatch.setattr(sources, "_run", offline)
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(sources.shutil, "which", lambda name: f"/bin/{name}")


def stand_ins(monkeypatch):
    """Stand-ins for all files except the shipped ones: (family, split) -> {name: bytes}."""
    rng, contents = np.random.default_rng(0), {}
    for key, (images, labels) in list(FILES.items()):
        if key == ("mnist", "test"):
            continue
        x = rng.integers(0, 256, (SMALL, 28, 28), np.uint8)
        x[0, 0, :2] = 0, 255
        first, a = described(images.name, x)
        second, b = described(labels.name, rng.integers(0, 10, SMALL, np.uint8))
        monkeypatch.setitem(FILES, key, (first, second))
        contents[key] = {first.name: a, second.name: b}
    return contents


def write_files(folder, files, *, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


def keras_file(files):
    """The two arrays as np.savez writes them."""
    x, y = files.values()
    stream = io.BytesIO()
    np.savez(
        stream,
        x_train=np.frombuffer(x, np.uint8, offset=16).reshape(-1, 28, 28),
        y_train=np.frombuffer(y, np.uint8, offset=8),
    )
    return stream.getvalue()


def npm_file(files, *, kind=tarfile.REGTYPE):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in {"../evil": b"evil", **files}.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.type, member.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)
