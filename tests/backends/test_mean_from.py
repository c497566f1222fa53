"""A count of spikes that feeds back, on every target and engine."""

from __future__ import annotations

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.conversion import Options, convert, measure_activity
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

INPUTS = 9


def installed(name):
    target = spiking_lmu.get_target(name)
    if problem := target.available():
        pytest.skip(problem)
    return target


def counted(kind, neuron):
    """A cell that reads counts from step 2 of 7 on, with steps to settle after the last."""
    spec = LmuSpec(order=3, theta=5.0, units=8, cell="recurrent", neuron=Neuron(kind))
    graph, rng = build(spec, seed=2), np.random.default_rng(0)
    x = rng.uniform(-1, 1, (4, INPUTS, 1))
    rate = Model(graph, activity=measure_activity(graph, x))
    options = Options(neuron, 400.0, 7, 5, feedback="count", count_from=2)
    return convert(rate, options), x


def of_definition(model, x):
    counts = {}

    def observe(step, values, totals):
        for p in model.graph.spiking:
            spikes = np.rint(values[p.name] / p.spike_size(model.timing.dt))
            counts[p.name] = counts.get(p.name, 0) + spikes

    return run_reference(model.graph, x, model.timing, observe), counts


@pytest.mark.parametrize("target", ["reference", pytest.param("nengo-dl", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "neuron"), [("relu", "relu"), ("tanh", "lif")])
def test_targets_give_the_spikes_of_the_definition(target, kind, neuron):
    found = installed(target)
    model, x = counted(kind, neuron)
    outputs, counts = of_definition(model, x)
    assert all(count.sum() > 50 for count in counts.values())
    with found.deploy(model, INPUTS) as deployment:
        run = deployment.run(x)
        if target == "reference":
            deployment.verify(x, run)
    for name, count in counts.items():
        np.testing.assert_array_equal(run.spikes[name], count)
    np.testing.assert_allclose(run.outputs, outputs, atol=1e-9 if target == "reference" else 1e-4)


@pytest.mark.parametrize(("kind", "neuron"), [("relu", "relu"), ("tanh", "lif")])
def test_the_emulator_runs_them_as_its_batched_engine_does(kind, neuron):
    target = installed("loihi")
    model, x = counted(kind, neuron)
    with target.deploy(model, INPUTS, engine="batched") as deployment:
        run = deployment.run(x)
        deployment.verify(x[:2], run.take([0, 1]))
    assert all(counts.sum() > 50 for counts in run.spikes.values())


@pytest.mark.parametrize("target", ["reference", pytest.param("nengo-dl", marks=pytest.mark.slow)])
def test_a_mean_that_begins_later(target):
    found = installed(target)
    h = Population("h", 2, Neuron("spiking_relu"), scale=60.0)
    links = (Projection("x", "h"), Projection("h", "y", delay=1, mean_from=1, begins=3))
    graph = Graph((Population("x", 2), h, Population("y", 2)), links, "x", "y")
    model = Model(graph, Timing(4, 3))
    x = np.random.default_rng(0).uniform(0, 9, (3, INPUTS, 2))
    outputs = run_reference(graph, x, model.timing)
    assert not outputs[:, :12].any()
    assert outputs[:, 12:].any(axis=1).all()
    with found.deploy(model, INPUTS) as deployment:
        np.testing.assert_allclose(deployment.run(x).outputs, outputs, rtol=1e-5, atol=1e-9)
