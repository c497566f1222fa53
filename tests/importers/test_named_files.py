"""Parameters with their names in files and spreadsheets: every bit kept, hostile files refused."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from spiking_lmu.errors import FileError, SpecError
from spiking_lmu.importers import parameters
from spiking_lmu.importers.parameters import Parameter

NUMBERS = st_numpy.arrays(
    st.sampled_from(["<f4", "<f8", "<i4"]), st_numpy.array_shapes(min_dims=0, max_dims=3)
)


@given(st.dictionaries(st.text(min_size=1, max_size=20), NUMBERS, max_size=5))
@settings(max_examples=40, deadline=None)
def test_named_files_keep_every_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("named") / "w.npz"
    written = {
        name: Parameter(name, "weights", value, "a", "b", trainable, "text")
        for (name, value), trainable in zip(values.items(), [True, False, None] * 99, strict=False)
    }
    parameters.save(written, path)
    read = parameters.load(path)
    assert list(read) == list(written)
    for name, parameter in read.items():
        assert parameter.value.tobytes() == written[name].value.tobytes()
        assert parameter.value.dtype == written[name].value.dtype
        assert parameter.value.shape == written[name].value.shape
        assert parameter.trainable == written[name].trainable
    first = path.read_bytes()
    parameters.save(read, path)
    assert path.read_bytes() == first


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return {
        "lmu.m_to_h": Parameter("lmu.m_to_h", "weights", rng.normal(size=(2, 3)), "m", "h"),
        "h.bias": Parameter("h.bias", "bias", np.float32([0.1, np.nan]), post="h"),
    }


def test_numpy_reads_a_named_file_by_itself(weights, tmp_path):
    parameters.save(weights, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["lmu.m_to_h"], weights["lmu.m_to_h"].value)
        told = json.loads(file["parameters.json"])
    assert told["parameters"][0]["pre"] == "m"


def rewritten(path, change=None, **entries):
    """A copy of a named file with a changed manifest and other entries."""
    with zipfile.ZipFile(path) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(inside["parameters.json"])
    if change:
        change(manifest)
    inside["parameters.json"] = json.dumps(manifest).encode()
    inside.update({key.replace("__", "."): value for key, value in entries.items()})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in inside.items():
            archive.writestr(name, data)


def object_array():
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([{"never": "unpickled"}], dtype=object))
    return buffer.getvalue()


HOSTILE = {
    "another format": (lambda m: m.update(format="x"), {}, "format 'x'"),
    "a later version": (lambda m: m.update(format_version=2), {}, "version 2"),
    "an undeclared entry": (None, {"extra__npy": b""}, "other entries"),
    "a missing entry": (lambda m: m["parameters"].pop(), {}, "other entries"),
    "another shape": (lambda m: m["parameters"][0].update(shape=[3, 2]), {}, "of shape (2, 3)"),
    "another dtype": (lambda m: m["parameters"][0].update(dtype="<f4"), {}, "dtype <f8"),
    "no name": (lambda m: m["parameters"][0].update(name=""), {}, "parameters[0].name"),
    "a long name": (lambda m: m["parameters"][0].update(name="x" * 500), {}, "parameters[0].name"),
    "numbers for words": (lambda m: m["parameters"][0].update(kind=3), {}, "parameters[0].kind"),
    "a number for trainable": (
        lambda m: m["parameters"][0].update(trainable=7),
        {},
        "parameters[0].trainable",
    ),
    "no list": (lambda m: m.update(parameters=3), {}, "$.parameters"),
    "a list for all": (None, {"parameters__json": b"[]"}, "format 'None'"),
    "no JSON": (None, {"parameters__json": b"{"}, "not JSON"),
    "objects": (None, {"h__bias__npy": object_array()}, "dtype object"),
    "no array": (None, {"h__bias__npy": b"no array"}, "no NPY array"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_named_files_are_refused(weights, tmp_path, case):
    change, entries, message = HOSTILE[case]
    path = tmp_path / "bad.npz"
    parameters.save(weights, path)
    rewritten(path, change, **entries)
    with pytest.raises(FileError) as caught:
        parameters.load(path)
    assert message in str(caught.value)
    assert "bad.npz" in str(caught.value)


def test_damaged_named_files_never_escape_the_error_family(weights, tmp_path):
    path = tmp_path / "w.npz"
    parameters.save(weights, path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for keep in (0, 1, 100, len(data) - 30):
        path.write_bytes(data[:keep])
        with pytest.raises(FileError, match=r"w\.npz"):
            parameters.load(path)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            parameters.load(path)
        except FileError:
            refused += 1
    assert refused > 100


def test_what_could_not_be_read_is_not_written(tmp_path):
    for name in ("x" * 500, "half of \ud83d\ude00: \ud83d"):
        with pytest.raises(SpecError, match="cannot hold"):
            parameters.save({name: Parameter(name, "bias", np.zeros(1))}, tmp_path / "w.npz")
    assert list(tmp_path.iterdir()) == []


def test_sheets_read_back_as_the_same_numbers(weights, tmp_path):
    cube = Parameter("a/b:=c", "kernel", np.arange(24.0).reshape(2, 3, 4) / 7)
    formula = Parameter("=1+1", "bias", np.array([5e-324, 1e300]), description="@x")
    twin = Parameter("A/B:=C", "bias", np.array([2]), trainable=None)
    every = {**weights, **{p.name: p for p in (cube, formula, twin)}}
    paths = parameters.write_csv(every, tmp_path / "sheets")
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == sorted(p.name for p in paths)
    with paths[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [
        "lmu.m_to_h.csv",
        "h.bias.csv",
        "a_b__c.csv",
        "_1_1.csv",
        "A_B__C-2.csv",
    ]
    for row, parameter in zip(rows, every.values(), strict=True):
        sheet = np.loadtxt(tmp_path / "sheets" / row["file"], delimiter=",", ndmin=2)
        np.testing.assert_array_equal(
            sheet.astype(parameter.value.dtype).reshape(parameter.value.shape), parameter.value
        )
    assert rows[2]["shape"] == "2 x 3 x 4"
    assert (rows[3]["name"], rows[3]["description"]) == ("'=1+1", "'@x")
    assert rows[1]["not finite"] == "1"
    with pytest.raises(FileError, match="got File exists"):
        parameters.write_csv(every, paths[0])
