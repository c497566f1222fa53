"""Where a memory is kept: tried, counted and chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.analysis.memories import (
    LEVELS,
    MANY,
    TriedMemory,
    choose_memory,
    divided,
    has_line,
    line_coding,
    pick,
    reads_rates,
)
from spiking_lmu.cli.main import main
from spiking_lmu.conversion.measure import measure_activity
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.files.slmu import save
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task

INPUTS = 14


def made(cell: str = "feedforward", samples: int = 60) -> tuple[Model, Dataset]:
    """An untrained LMU, and data that it decides rightly."""
    graph = build(LmuSpec(1, 3, 6, float(INPUTS), 12, cell=cell), seed=1)
    x = np.random.default_rng(0).random((samples, INPUTS, 1))
    outputs = run_reference(graph, x)[:, -1]
    # Each class is decided for now and then.
    middle = replace(graph["readout"], bias=-outputs.mean(axis=0))
    graph = graph.with_populations([middle])
    y = (outputs - outputs.mean(axis=0)).argmax(axis=1)
    data = Dataset("mine", "train", x, y, Task(names=("a", "b", "c")))
    activity = measure_activity(graph, np.asarray(data.x, float))
    record = {"training": {"settings": {"data": "mine", "held_out": 30}}}
    return Model(graph, task=data.task, activity=activity, provenance=record), data


def test_each_place_is_measured_and_the_cheapest_that_keeps_is_taken():
    model, data = made()
    choice = choose_memory(model, data, "reference", samples=20, tolerate=10.0, bits=(1, 2, 3))
    assert [t.what for t in choice.tried] == ["host", "line, 1 bit", "line, 2 bits", "line, 3 bits"]
    host, *lines = choice.tried
    assert host.macs > 0
    assert all(line.macs == 0 for line in lines)
    # More bits are nearer to the rate model and take more of everything.
    assert choice.rate == 1.0
    assert lines[2].loss <= lines[0].loss
    assert lines[0].synops < lines[1].synops < lines[2].synops
    assert lines[0].energy < lines[2].energy < host.energy
    within = [t for t in choice.tried if t.loss <= 10.0]
    assert choice.chosen is min(within, key=lambda t: t.energy)
    assert choice.model.provenance["conversion"]["options"]["memory"] == choice.chosen.memory
    # The last 30 samples were held out of training, as the model says.
    assert choice.unseen
    assert "not trained on" in choice.summary
    text = str(choice)
    assert "line, 3 bits" in text
    assert "→" in text
    assert choice.to_dict()["chosen"] == choice.chosen.what
    assert len(choice.to_dict()["tried"]) == 4
    assert "<table" in choice.to_html()


def test_judged_samples_are_the_held_out_ones_and_not_those_that_are_fitted_to():
    model, data = made()
    fitted, judged, unseen = divided(model, data, 20)
    assert unseen
    assert judged.indices.min() >= 30 > fitted.indices.max()
    fitted, judged, unseen = divided(replace(model, provenance={}), data, 20)
    assert not unseen
    assert not set(fitted.indices) & set(judged.indices)


def test_neurons_that_feed_back_are_level_coded_in_every_place():
    model, data = made("recurrent")
    assert has_line(model)
    assert not reads_rates(model)
    choice = choose_memory(model, data, "reference", samples=20, bits=(2,), levels=17)
    assert [t.what for t in choice.tried] == ["host, 17 levels", "line, 2 bits, 17 levels"]
    assert all(t.score is not None for t in choice.tried)


def test_the_fewest_bits_and_levels_that_the_rate_model_bears():
    model, data = made(samples=MANY + 20)
    coding = line_coding(model, data, levels=False, tolerate=8.0)
    assert coding.within
    assert coding.levels == 0
    assert coding.loss <= 4.0
    # All that come before it lose more, with either code.
    *worse, last = coding.tried
    assert last[:4] == (coding.bits, coding.line_code, 0, coding.loss)
    assert all(loss > 4.0 for *_, loss, _ in worse)
    assert [t[:2] for t in worse[:2]] == [(1, "magnitude"), (1, "sigma-delta")]
    with_levels = line_coding(model, data, tolerate=8.0, levels=True)
    assert with_levels.bits == coding.bits
    assert with_levels.levels in LEVELS
    assert with_levels.loss <= 6.0
    # Nothing is rounded as finely as this asks for.
    assert not line_coding(model, data, levels=False, tolerate=-1.0).within


def test_few_samples_that_are_all_decided_alike_are_no_proof():
    model, data = made(samples=240)
    two = np.sort(run_reference(model.graph, data.x)[:, -1], axis=1)[:, -2:]
    # Those that are decided most surely, as samples are that a network learned.
    data = data.subset(np.argsort(two[:, 0] - two[:, 1])[:20])
    coding = line_coding(model, data, levels=False, tolerate=1.0)
    assert coding.within
    # With fewer bits all are decided alike, too, and outputs move too far.
    errors = [error for *_, loss, error in coding.tried if loss <= 0.5]
    changed = 100 * np.arctan(errors) / np.pi
    assert len(changed) > 1
    assert changed[-1] <= 1.0 < changed[:-1].min()


def test_without_bits_those_about_the_fewest_are_tried():
    model, data = made()
    fitted, many, _ = divided(model, data, 500)
    bits = line_coding(model, many, fitted=fitted, levels=False, tolerate=8.0).bits
    assert bits > 1
    choice = choose_memory(model, data, "reference", samples=30, tolerate=8.0)
    assert [t.bits for t in choice.tried] == [0, bits - 1, bits, bits + 1]
    options = choice.model.provenance["conversion"]["options"]
    assert options["reset"] == ("subtract" if choice.chosen.memory == "line" else "zero")


def test_what_cannot_be_tried_says_why():
    graph = build(LmuSpec(1, 3, 6, float(INPUTS), 12, layers=2), seed=1)
    model, data = made()
    model = Model(
        graph, task=model.task, activity=measure_activity(graph, np.asarray(data.x, float))
    )
    choice = choose_memory(model, data, "reference", samples=10, bits=(1,))
    assert choice.tried[1].score is None
    assert "lmu2.m, which is driven by lmu.h" in choice.tried[1].problem
    assert choice.chosen is choice.tried[0]
    assert "lmu2.m" in str(choice)
    with pytest.raises(SpecError, match="choice of a memory"):
        choose_memory(model, data, "reference", samples=10, bits=(1,), max_rate=-1.0)


def test_the_rule():
    model, _ = made()
    cheap = TriedMemory("line", 1, loss=2.0, joules={"chip with cpu": 1.0, "cpu": 0.1})
    dear = TriedMemory("line", 2, loss=0.4, joules={"chip with cpu": 2.0})
    dearest = TriedMemory("host", 0, loss=0.1, joules={"chip with cpu": 9.0})
    ran = [(t, model) for t in (dearest, cheap, dear)]
    assert pick(ran, 0.5)[0] is dear
    assert pick(ran, 3.0)[0] is cheap
    assert pick(ran, 0.0)[0] is dearest


def test_a_spiking_model_is_refused():
    model, data = made()
    spiking = spiking_lmu.convert(model, memory="line")
    with pytest.raises(SpecError, match="a spiking model"):
        choose_memory(spiking, data, "reference")


def test_the_command_chooses(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    model, data = made()
    source, archive = tmp_path / "rate.slmu", tmp_path / "mine.npz"
    save(model, source)
    names = np.array(["a", "b", "c"])
    np.savez(
        archive, x_train=data.x, y_train=names[data.y], x_test=data.x[:9], y_test=names[data.y[:9]]
    )
    made_file = tmp_path / "spiking.slmu"
    command = ["convert", str(source), "--memory", "auto", "--data", str(archive)]
    command += ["--target", "reference", "-o", str(made_file), "--tolerate", "20"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "Where the memory is kept" in said
    assert "…" not in said.partition("Where the memory is kept")[2]
    assert "In a wider terminal: Synops, MACs, Updates" in " ".join(said.split())
    assert "memory: line, " in said
    assert made_file.exists()
    assert main([*command, "--bits", "2"]) == 1
    assert "--bits" in capsys.readouterr().err
    assert main([*command, "--target", "nengo-dl"]) == 1
    assert "auto for 2 targets" in capsys.readouterr().err
