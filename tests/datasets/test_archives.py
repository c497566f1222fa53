"""Data of other packages and by seed."""

import sys
import types
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from spiking_lmu.datasets import Splits, from_arrays, load, source_names, sources
from spiking_lmu.datasets.generated import band_limited, mackey_glass_series
from spiking_lmu.errors import DatasetError, MissingExtraError


def test_aeon():
    pytest.importorskip("aeon", reason="needs: pip install 'spiking-lmu[aeon]'")
    from aeon.datasets import load_classification

    vowels = load("aeon:JapaneseVowels")
    assert (len(vowels.train), len(vowels.test)) == (270, 370)
    assert (vowels.test.lengths.min(), vowels.test.lengths.max()) == (7, 29)
    assert vowels.train.task.names == tuple("123456789")
    series, labels = load_classification("JapaneseVowels", split="test")
    for i in (0, 200, 369):
        np.testing.assert_allclose(vowels.test.x[i, : vowels.test.lengths[i]], series[i].T, 1e-6)
        assert vowels.test.task.names[vowels.test.y[i]] == labels[i]
    assert load("aeon:Covid3Month").train.y.shape == (140, 1)
    with pytest.raises(DatasetError):
        load("aeon:../secret")


@pytest.mark.parametrize("package", ["aeon", "tonic"])
def test_a_package_that_is_not_installed(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'spiking-lmu\[{package}\]'"):
        load(f"{package}:SHD")


def test_events_become_counts(monkeypatch):
    """A stand-in with the fields of tonic's SHD; the real one needs a download."""
    kind = np.dtype([("t", "i8"), ("x", "i8"), ("p", "i8")])

    class SHD:
        sensor_size = (700, 1, 1)
        classes = ("zero", "one")

        def __init__(self, save_to, train):
            self.size = 6 if train else 2

        def __iter__(self):
            for i in range(self.size):
                events = [(0, 0, 1), (9_999, 9, 1), (10_000, 10, 1), (25_000 + 10_000 * i, 699, 1)]
                yield np.array(events, kind), i % 2

    module = types.ModuleType("tonic")
    module.datasets = types.SimpleNamespace(SHD=SHD)
    monkeypatch.setitem(sys.modules, "tonic", module)
    data = load("tonic:SHD")
    assert data.train.x.shape == (6, 8, 70)
    assert data.train.lengths.tolist() == [3, 4, 5, 6, 7, 8]
    assert data.train.x[0, 0, :2].tolist() == [2, 0]
    assert data.train.x[0, 1, :2].tolist() == [0, 1]
    assert data.train.x[0, 2, 69] == 1
    assert data.train.x.sum() == 6 * 4
    assert (data.train.task.names, data.train.dt) == (("zero", "one"), 0.010)
    with pytest.raises(DatasetError, match="divisor"):
        load("tonic:SHD?pool=11")


def test_mackey_glass_is_its_equation():
    """Against an integrator with another step and method, from the same beginning."""
    series = np.arctanh(mackey_glass_series(np.random.default_rng(0), 1, 300, 17)[0]) + 1
    slope = np.gradient(series)[17:-1]
    delayed, now = series[:-18], series[17:-1]
    expected = 0.2 * delayed / (1 + delayed**10) - 0.1 * now
    assert np.sqrt(np.mean((slope - expected) ** 2)) < 0.1 * np.std(expected)
    assert 0.4 < series.min() < series.max() < 1.5


def test_what_a_seed_decides():
    data = load("mackey-glass?ahead=3&length=50&samples=8&seed=2")
    np.testing.assert_array_equal(data.train.x[:, 3:, 0], data.train.y[:, :-3, 0].astype("f4"))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 2, 2)
    same = load("mackey-glass?ahead=3&length=50&samples=8&seed=2")
    other = load("mackey-glass?ahead=3&length=50&samples=8&seed=3")
    assert same.train.digest == data.train.digest != other.train.digest
    assert not np.allclose(data.train.x[:2], data.test.x)
    coarse = load("mackey-glass?ahead=1&step=6&length=20&samples=4").train
    fine = load("mackey-glass?ahead=6&length=115&samples=4").train
    np.testing.assert_array_equal(coarse.x, fine.x[:, ::6])
    np.testing.assert_array_equal(coarse.y, fine.y[:, ::6])
    for wrong in ("step=0", "ahead=0", "length=1", "samples=two", "seed=-1"):
        with pytest.raises(DatasetError):
            load(f"mackey-glass?{wrong}")


def test_noise_is_band_limited_and_delayed():
    x = band_limited(np.random.default_rng(0), 3, 400, 0.1)
    power = np.abs(np.fft.rfft(x, axis=1)) ** 2
    assert power[:, np.fft.rfftfreq(400) > 0.1].max() < 1e-12 * power.max()
    np.testing.assert_allclose(np.sqrt((x**2).mean(axis=1)), 0.5)
    data = load("noise?delay=4&length=60&samples=4").train
    np.testing.assert_array_equal(data.y[:, 4:, 0].astype("f4"), data.x[:, :-4, 0])
    assert not data.y[:, :4].any()
    with pytest.raises(DatasetError, match="band"):
        load("noise?band=0.6")


def test_a_source_of_another_package(monkeypatch):
    made = from_arrays(np.arange(24.0).reshape(8, 3), np.arange(8) % 2)
    module = types.ModuleType("somebodys_data")
    module.good = lambda request: made
    module.bad = lambda request: 1 / 0
    module.odd = lambda request: "data"
    monkeypatch.setitem(sys.modules, "somebodys_data", module)
    entries = [
        EntryPoint(name, f"somebodys_data:{name}", sources.GROUP)
        for name in ("good", "bad", "odd", "absent")
    ]
    monkeypatch.setattr(sources, "entry_points", lambda group: entries)
    assert source_names() == ("absent", "bad", "good", "odd")
    assert isinstance(load("good:whatever"), Splits)
    for name in ("bad", "odd", "absent"):
        with pytest.raises(DatasetError) as error:
            load(name)
        assert "\n" not in str(error.value)
