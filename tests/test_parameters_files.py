"""Named parameters without NengoDL: files, tables, statistics, shapes and models."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from spiking_lmu import artifact, parameters
from spiking_lmu.cli import main
from spiking_lmu.errors import FileError, SpecError
from spiking_lmu.lmu import LmuSpec, build
from spiking_lmu.model import Activity, Model
from spiking_lmu.neurons import Neuron
from spiking_lmu.parameters import Parameter, Place, named_file, statistics
from spiking_lmu.parameters.shapes import readings

NUMBERS = st_numpy.arrays(
    st.sampled_from(["<f4", "<f8", "<i4"]), st_numpy.array_shapes(min_dims=0, max_dims=3)
)


@given(st.dictionaries(st.text(st.characters(), min_size=1, max_size=20), NUMBERS, max_size=5))
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
    "no name": (lambda m: m["parameters"][0].update(name=""), {}, "without a name"),
    "a long name": (lambda m: m["parameters"][0].update(name="x" * 500), {}, "without a name"),
    "numbers for words": (lambda m: m["parameters"][0].update(kind=3), {}, "else than text"),
    "a number for trainable": (
        lambda m: m["parameters"][0].update(trainable=7),
        {},
        "trainable 7",
    ),
    "no list": (lambda m: m.update(parameters=3), {}, "cannot be read"),
    "a list for all": (None, {"parameters__json": b"[]"}, "cannot be read"),
    "no JSON": (None, {"parameters__json": b"{"}, "cannot be read"),
    "objects": (None, {"h__bias__npy": object_array()}, "dtype object"),
    "no array": (None, {"h__bias__npy": b"no array"}, "cannot be read"),
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


def test_entries_beyond_the_limits_are_refused_unread(weights, tmp_path, monkeypatch):
    parameters.save(weights, tmp_path / "w.npz")
    monkeypatch.setattr(named_file, "MAX_ARRAY", 100)
    with pytest.raises(FileError, match="176 bytes, more than 100"):
        parameters.load(tmp_path / "w.npz")
    monkeypatch.setattr(named_file, "MAX_TOTAL", 100)
    with pytest.raises(FileError, match="of arrays"):
        parameters.load(tmp_path / "w.npz")


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
        "lmu.m_to_h.csv", "h.bias.csv", "a_b__c.csv", "_1_1.csv", "A_B__C-2.csv",
    ]  # fmt: skip
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


@given(st_numpy.arrays("<f8", st.integers(0, 30)))
def test_statistics_are_numpys_where_it_has_any(values):
    found = statistics(values)
    finite = values[np.isfinite(values)]
    assert found.non_finite == values.size - finite.size
    assert sum(found.counts) == finite.size
    assert len(found.bars) == 10
    if not finite.size:
        assert found.mean is None
        return
    assert (found.smallest, found.largest) == (finite.min(), finite.max())
    assert np.isfinite([found.mean, found.std]).all()
    if 1e-100 < np.abs(finite).max() < 1e100:
        scale = np.abs(finite).max()
        assert found.mean == pytest.approx(finite.mean(), abs=1e-12 * scale)
        assert found.std == pytest.approx(finite.std(), abs=1e-7 * scale)


def test_the_histogram_counts_as_numpy_does():
    values = np.random.default_rng(0).normal(size=10_000)
    assert list(statistics(values).counts) == list(np.histogram(values, 10)[0])
    assert statistics(np.array([0.0] * 800 + [1.0])).bars == "█        ▁"


@given(st.permutations(range(8)), st.booleans())
def test_places_take_what_they_put(order, batched):
    rows = tuple((i, i + 1) for i in order[:5])
    place = Place(0, rows, int(batched))
    array = np.arange(48.0).reshape((2, 8, 3) if batched else (8, 6))
    shape = (2, 5, 3) if batched else (5, 6)
    value = -np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    changed = place.put(array, value)
    np.testing.assert_array_equal(place.take(changed, shape), value)
    assert np.count_nonzero(changed != array) == value.size
    assert (array >= 0).all()


def test_shapes_alone_are_read_honestly():
    lines = readings([(3136,), (1, 4), (4,), (3136, 4), (4,)])
    assert lines[0].startswith("3,136 inputs of the later Dense layers: biases")
    assert "3,136 = 784 positions of the 4 units" in lines[3]
    assert readings([(7,), (1, 1), (1,), (2, 2), (2,), (2, 3), (3,), (3, 4), (4,)])[0].startswith(
        "7 = 2 + 2 + 3 inputs of the later Dense layers"
    )
    lmu = readings([(12, 12), (12, 8), (3, 3, 1, 2), (5,), (2, 2, 2)])
    assert "recurrent" in lmu[0]
    assert "(post, pre) from 8" in lmu[1]
    assert "convolution" in lmu[2]
    assert "several layers in one vector" in lmu[3]
    assert all("?" in line for line in [*lines, *lmu[:4]])
    assert readings([]) == []


@pytest.fixture
def model():
    graph = build(LmuSpec(order=4, units=8))
    return Model(graph, activity={"lmu.h": Activity(1, 1, 1, 1)}, provenance={"accuracy": 0.9})


def test_a_models_parameters_and_new_values(model):
    found = parameters.from_model(model)
    assert {"lmu.m_to_m", "lmu.m_to_h", "lmu.h.bias", "lmu.h.gain", "readout"} <= set(found)
    assert not found["lmu.m_to_m"].trainable
    assert found["readout"].connects == "lmu.h → readout"
    same = parameters.with_parameters(model, found)
    assert same is model
    new = {"readout": found["readout"].value * 2, "lmu.h.bias": np.arange(8.0)}
    changed = parameters.with_parameters(model, new)
    read = parameters.from_model(changed)
    for name, parameter in read.items():
        expected = new.get(name, found[name].value)
        assert parameter.value.tobytes() == expected.tobytes()
    # nothing that was measured on other weights is claimed for these
    assert changed.activity == {}
    assert "accuracy" not in changed.provenance
    assert changed.provenance["changed_parameters"] == list(new)
    assert changed.provenance["changed_model"]["digest"] == model.digest


def test_values_for_a_model_are_checked(model):
    with pytest.raises(SpecError, match="such as readout"):
        parameters.with_parameters(model, {"readouts": np.ones(1)})
    with pytest.raises(SpecError, match=r"expected shape \(8,\)"):
        parameters.with_parameters(model, {"lmu.h.bias": np.ones(7)})
    hidden = replace(model.graph["lmu.h"], neuron=Neuron("spiking_relu"))
    spiking = replace(model, graph=model.graph.with_populations([hidden]))
    with pytest.raises(SpecError, match="a spiking model"):
        parameters.with_parameters(spiking, {})


def test_the_command_line_on_a_model(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    artifact.save(model, "m.slmu")
    for width in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main(["inspect", "m.slmu"]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= max(width, 120)
    assert main(["export", "m.slmu", "-o", "w.npz"]) == 0
    assert main(["inspect", "w.npz", "--json"]) == 0
    shown = capsys.readouterr().out
    told = json.loads(shown[shown.index("{") :])
    assert told["holds"] == "named"
    assert {row["name"] for row in told["parameters"]} == set(parameters.from_model(model))
    assert main(["apply", "w.npz", "--to", "m.slmu", "-o", "again.slmu"]) == 0
    assert (tmp_path / "again.slmu").read_bytes() == (tmp_path / "m.slmu").read_bytes()
    capsys.readouterr()
    assert main(["apply", "w.npz", "-o", "never.slmu"]) == 1
    assert "--to MODEL" in capsys.readouterr().err
    assert main(["inspect", "w.npz", "--network", "a:b"]) == 1
    assert "whose parameters have names" in capsys.readouterr().err


def test_a_terminal_obeys_no_name_in_a_file(tmp_path, monkeypatch, capsys):
    name = "a\x1b[31m\ud800"
    parameters.save({name: Parameter(name, "bias", np.zeros(1))}, tmp_path / "w.npz")
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "w.npz"]) == 0
    assert "a�[31m�" in capsys.readouterr().out


def test_numbers_that_are_not_finite_are_counted_and_complained_about(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    np.savez("p.npz", np.array([np.nan, np.inf, 1.0]), np.ones((2, 2)))
    assert main(["inspect", "p.npz"]) == 1
    shown = capsys.readouterr()
    assert "p.npz: arr_0: got NaN or infinity (2 of 3)" in shown.err
    assert "could be" in shown.out
    assert main(["inspect", "p.npz", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["parameters"]
    assert [row["not_finite"] for row in rows] == [2, 0]
    assert [row["trainable"] for row in rows] == [None, None]
