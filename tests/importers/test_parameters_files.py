"""Parameters of models and of arrays without names; their statistics."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from spiking_lmu.cli.main import main
from spiking_lmu.errors import SpecError
from spiking_lmu.files import slmu
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.importers import parameters
from spiking_lmu.importers.parameters import Parameter, Place, statistics
from spiking_lmu.importers.parameters.shapes import readings


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
    slmu.save(model, "m.slmu")
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
    name = "a\x1b[31m"
    parameters.save({name: Parameter(name, "bias", np.zeros(1))}, tmp_path / "w.npz")
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "w.npz"]) == 0
    assert "a�[31m" in capsys.readouterr().out


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
