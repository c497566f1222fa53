"""Rates of single populations, and the command that calibrates them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spiking_lmu import datasets
from spiking_lmu.analysis.calibration import calibration_data
from spiking_lmu.cli.main import main
from spiking_lmu.conversion import Options, convert, measure_activity
from spiking_lmu.datasets import sources
from spiking_lmu.errors import SpecError
from spiking_lmu.files.slmu import load, save
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Task

RNG = np.random.default_rng(0)

KERAS = Path(__file__).parents[1] / "importers" / "fixtures" / "keras"


def two_layers():
    x = RNG.uniform(0, 1, (8, 1, 5))
    graph = Graph(
        (
            Population("x", 5),
            Population("a", 6, Neuron("relu"), bias=np.full(6, 0.3)),
            Population("b", 7, Neuron("tanh"), bias=np.full(7, 0.3)),
            Population("readout", 3),
        ),
        (
            Projection("x", "a", RNG.normal(size=(6, 5))),
            Projection("a", "b", RNG.normal(size=(7, 6))),
            Projection("b", "readout", RNG.normal(size=(3, 7))),
        ),
        "x",
        "readout",
    )
    return Model(graph, activity=measure_activity(graph, x))


def test_populations_have_rates_of_their_own():
    model = two_layers()
    plain = convert(model, Options(max_rate=200.0))
    own = convert(model, Options(max_rate=200.0, rates={"b": 400.0}))
    assert own.graph["a"].scale == plain.graph["a"].scale
    assert own.graph["b.spikes"].scale == pytest.approx(2 * plain.graph["b.spikes"].scale)
    assert own.provenance["conversion"]["options"]["rates"] == {"b": 400.0}
    for neuron in ("relu", "lif"):
        same = convert(model, Options(neuron, 200.0, rates={"a": 200.0, "b": 200.0}))
        assert same.digest == convert(model, Options(neuron, 200.0)).digest
        other = convert(model, Options(neuron, 200.0, rates={"a": 100.0}))
        assert other.graph["a"].gain[0] / other.graph["a"].scale != pytest.approx(
            same.graph["a"].gain[0] / same.graph["a"].scale
        )
    with pytest.raises(SpecError, match="'c'"):
        convert(model, Options(rates={"c": 100.0}))
    with pytest.raises(SpecError, match="rate of a"):
        Options(rates={"a": 0.0})


@pytest.fixture
def pictures(monkeypatch):
    """Twenty inputs of five numbers in the place of any data set; tells which were asked for."""
    asked = []

    def fake(name, *, folder=None):
        asked.append(name)
        rng = np.random.default_rng(3)
        x, y = rng.uniform(0, 1, (20, 1, 5)), rng.integers(0, 3, 20)
        task = Task(names=("a", "b", "c"))
        parts = {part: datasets.Dataset(name, part, x, y, task) for part in ("train", "test")}
        return datasets.Splits(name, parts)

    monkeypatch.setattr(datasets, "load", fake)
    monkeypatch.setattr(sources, "open_data", lambda name, folder: fake(name))
    return asked


def test_the_command_calibrates_and_records(tmp_path, pictures, capsys):
    source, made = tmp_path / "rate.slmu", tmp_path / "spiking.slmu"
    training = {"settings": {"data": "mnist", "held_out": 0}}
    save(replace(two_layers(), provenance={"training": training}), source)
    command = ["convert", str(source), "--calibrate", "--target", "reference", "-o", str(made)]
    command += ["--workers", "1"]
    assert main([*command, "--calibration-samples", "10", "--readout-tau", "0.02"]) == 0
    printed = capsys.readouterr().out
    assert "→" in printed
    assert "10 samples" in printed
    assert "response curve" in printed
    assert pictures == ["mnist"]
    model = load(made)
    record = model.provenance["conversion"]["calibration"]
    assert record["target"] == "reference"
    assert record["samples"] == 10
    chosen = record["chosen"]
    assert model.timing.settle_steps == chosen["settle_steps"]
    assert model.timing.readout_tau == chosen["readout_tau"] == 0.02
    kept = model.provenance["conversion"]["options"]
    rates = kept["rates"] or dict.fromkeys(chosen["rates"], kept["max_rate"])
    assert rates == chosen["rates"]
    # Every option is given: one run, and nothing left to choose.
    fixed = ["--max-rate", "300", "--settle-steps", "30", "--calibration-samples", "4"]
    fixed += ["--synapse-tau", "0.005"]
    fixed += ["--readout-tau", "0.02", "--pick", "knee", "--engine", "stock"]
    assert main([*command, *fixed]) == 0
    model = load(made)
    assert (model.timing.settle_steps, model.timing.readout_tau) == (30, 0.02)
    assert model.provenance["conversion"]["options"]["max_rate"] == 300
    assert model.provenance["conversion"]["calibration"]["screened"] == []


def test_samples_that_were_held_out_are_preferred(pictures):
    training = {"settings": {"data": "mnist", "held_out": 6}}
    model = replace(two_layers(), provenance={"training": training})
    data = datasets.load("mnist").train
    few = calibration_data(model, data, 4, seed=0)
    assert len(few) == 4
    assert few.indices.min() >= 14
    assert len(calibration_data(model, data, 8, seed=0)) == 8
    other = replace(model, provenance={"training": {"settings": {"data": "x", "held_out": 6}}})
    assert calibration_data(other, data, 4, seed=0).digest == data.digest
    drawn = data.draw(4, 0).indices
    np.testing.assert_array_equal(calibration_data(other, data, 4, seed=0).indices, drawn)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--calibrate"], "0 targets"),
        (["--calibrate", "--target", "reference", "--target", "loihi"], "2 targets"),
        (["--pick", "best"], "without --calibrate"),
        (["--calibration-samples", "3"], "without --calibrate"),
        (["--engine", "stock"], "--engine: got without --calibrate"),
        (["--calibrate", "--target", "reference", "--engine", "warp"], "--engine"),
        (["--calibrate", "--target", "reference"], "--data"),
    ],
)
def test_what_does_not_fit_together_is_said_in_one_line(tmp_path, capsys, arguments, says):
    source = tmp_path / "rate.slmu"
    save(two_layers(), source)
    assert main(["convert", str(source), "-o", str(tmp_path / "s.slmu"), *arguments]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_keras_model_answers_what_the_data_ask(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("mine.npz", x=rng.uniform(size=(32, 1, 6)), y=rng.normal(size=(32, 3)))
    command = ["convert", str(KERAS / "dense.keras"), "--target", "reference", "-o", "s.slmu"]
    command += ["--calibrate", "--calibration-samples", "4", "--workers", "1", "--data", "mine.npz"]
    given = ["--max-rate", "300", "--settle-steps", "10", "--readout-tau", "0.01"]
    assert main([*command, *given, "--synapse-tau", "0.005"]) == 0, capsys.readouterr().err
    assert str(load("s.slmu").task) == "regression at the last step"


def test_data_of_another_task_are_refused_before_the_search(tmp_path, pictures, capsys):
    source = tmp_path / "rate.slmu"
    save(replace(two_layers(), task="regression"), source)
    command = ["convert", str(source), "-o", str(tmp_path / "s.slmu"), "--calibrate"]
    assert main([*command, "--target", "reference", "--data", "mnist"]) == 1
    error = capsys.readouterr().err
    assert "expected regression at every step" in error
    assert error.count("\n") == 1
