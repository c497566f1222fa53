"""What is lost where a memory is a line: to bits, or to spikes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.analysis.explain.rungs import BITS, RATE_MODEL, SPIKES, changes
from spiking_lmu.conversion.line import RESETS, LineCode
from spiking_lmu.conversion.measure import measure_activity, run_rate
from spiking_lmu.datasets import Dataset
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.task import Task

INPUTS = 12


def made() -> tuple[Model, Dataset]:
    """An untrained LMU, and inputs labelled with what it decides."""
    graph = build(LmuSpec(1, 3, 6, float(INPUTS), 10), seed=1)
    x = np.random.default_rng(0).random((40, INPUTS, 1))
    outputs = run_rate(graph, x)[:, -1]
    data = Dataset("mine", "train", x, outputs.argmax(axis=1), Task(names=("a", "b", "c")))
    return Model(graph, task=data.task, activity=measure_activity(graph, x)), data


@pytest.mark.parametrize("reset", RESETS)
def test_bits_and_spikes_are_told_apart(reset):
    if problem := spiking_lmu.get_target("loihi").available():
        pytest.skip(problem)
    model, data = made()
    spiking = spiking_lmu.convert(model, memory="line", bits=1, reset=reset, data=data)
    found = spiking_lmu.explain(spiking, data, target="loihi", samples=40, workers=1)
    steps = {step.name: step for step in found.ladder.steps}
    assert list(steps)[:3] == [RATE_MODEL, BITS, SPIKES]
    assert list(steps)[-1] == "loihi"
    x = data.subset(found.ladder.indices).x
    rounded = run_rate(model.graph, LineCode(1).rounded(x))[:, -1]
    np.testing.assert_allclose(steps[BITS].outputs, rounded, atol=1e-9)
    # One bit moves the outputs far, and what spikes add is little beside it.
    assert steps[BITS].error > 0.3
    moved = np.sqrt(((steps[SPIKES].outputs - rounded) ** 2).mean())
    assert moved < 0.3 * np.sqrt(((rounded - steps[RATE_MODEL].outputs) ** 2).mean())
    # The layer is read in the units of the rate network, on rounded inputs.
    (layer,) = steps[SPIKES].layers
    assert layer.correlation > 0.3
    assert layer.relative_error < 1.5
    assert found.advice[0].options == {"bits": 2}
    assert "bits" in str(found)
    assert "bits" in found.to_html()


def test_without_a_record_there_is_no_rung_of_bits():
    model, data = made()
    spiking = spiking_lmu.convert(model, memory="line", bits=1, data=data)
    assert list(changes(spiking)) == [RATE_MODEL, BITS, SPIKES]
    assert list(changes(replace(spiking, provenance={}))) == [RATE_MODEL, SPIKES]


def test_neurons_that_subtract_are_not_told_to_fire_less():
    if problem := spiking_lmu.get_target("loihi").available():
        pytest.skip(problem)
    model, data = made()
    spiking = spiking_lmu.convert(model, memory="line", reset="subtract", data=data)
    fixes = [problem.fix for problem in spiking_lmu.check(spiking, "loihi").problems]
    assert fixes
    assert not any("max_rate" in fix for fix in fixes)
