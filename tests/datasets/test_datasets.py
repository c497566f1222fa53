"""Datasets: what ships, permutation, sampling, digests."""

import gzip
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu import datasets
from spiking_lmu.datasets import load
from spiking_lmu.datasets import mnist_files as sources
from spiking_lmu.errors import DatasetError

from ..helpers.dataset_files import isolate, one_line, stand_ins, write_files


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def small(monkeypatch):
    return stand_ins(monkeypatch)


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
    plain = load("smnist", "test", samples=30)
    permuted = load(f"psmnist?permutation_seed={seed}", "test", samples=30)
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
        load(name, split, folder=folder, samples=2).digest
        for name in (*datasets.DATASETS, "psmnist?permutation_seed=1")
        for split in ("train", "test")
    ]
    assert len(set(digests)) == len(digests) == 12
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("arguments", "options", "word"),
    [
        (("cifar", "test"), {}, "fashion-mnist, mackey-glass, mnist, noise"),
        (("mnist", "dev"), {}, "train, test"),
        (("mnist", "test"), {"samples": 0}, "1 to 10000"),
        (("mnist", "test"), {"samples": 10_001}, "1 to 10000"),
        (("mnist", "test"), {"samples": 2.5}, "1 to 10000"),
        (("mnist", "test"), {"samples": True}, "1 to 10000"),
        (("mnist", "test"), {"seed": -1}, "sample seed"),
        (("mnist?permutation_seed=1", "test"), {}, "no options"),
        (("psmnist?permutation_seed=4294967296", "test"), {}, "permutation seed"),
        (("psmnist:x", "test"), {}, "expected psmnist"),
    ],
)
def test_choices_that_do_not_exist(arguments, options, word):
    with pytest.raises(DatasetError) as error:
        load(*arguments, **options)
    assert word in one_line(error)
