"""Feedback that is read as a count of spikes: how good it is, and what the pass makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu as sl
from spiking_lmu.conversion import Options, convert, default_options, measure_activity
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

RATE, STEPS = 250.0, 20
#: Spikes of an input at the highest rate.
N = RATE * STEPS * 0.001


def errors(lowpass=None):
    """Of activations from 0 to 1 as they are read after an input, at random phases.

    The inputs before have other values, so that voltages, which keep what is left over, are
    anywhere between reset and threshold.
    """
    neurons = 400
    h = Population("h", neurons, Neuron("spiking_relu"), scale=RATE)
    parts, links = [Population("x", neurons), h, Population("y", neurons)], [Projection("x", "h")]
    if lowpass is None:
        links.append(Projection("h", "y", delay=1, mean_from=0))
    else:
        parts.append(Population("copy", neurons))
        links += [Projection("h", "copy", tau=lowpass), Projection("copy", "y", delay=1)]
    x = np.random.default_rng(0).uniform(0, 1, (20, 4, neurons))
    outputs = run_reference(Graph(tuple(parts), tuple(links), "x", "y"), x, Timing(STEPS))
    return outputs[:, -1] - x[:, 2]


def test_a_count_is_as_good_as_its_closed_form_says():
    """Of a spikes that are due, n or n + 1 come, by chance of phase: variance f (1 - f) of the
    fraction f, 1/6 on average.  So the error is below one spike of N, and 1/(√6 N) on average.
    """
    found = errors()
    assert np.abs(found).max() <= 1.0 / N + 1e-9
    assert abs(found.mean()) < 0.002
    assert found.std() == pytest.approx(1 / (np.sqrt(6) * N), rel=0.02)


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_no_lowpass_is_as_good(share):
    """Whatever its time constant, as a share of an input: too short is coarse, too long is late."""
    assert np.sqrt((errors(share * STEPS * 0.001) ** 2).mean()) > 1.4 / (np.sqrt(6) * N)


def cell(kind="relu", layers=1):
    spec = LmuSpec(
        order=4, theta=8.0, units=12, cell="recurrent", neuron=Neuron(kind), layers=layers
    )
    graph = build(spec, seed=1)
    x = np.random.default_rng(0).uniform(-1, 1, (6, 20, 1))
    return Model(graph, activity=measure_activity(graph, x)), x


COUNT = Options(
    max_rate=RATE, steps_per_input=STEPS, settle_steps=0, feedback="count", readout_tau=0.0
)


def links(model):
    return {p.name: (p.pre, p.tau, p.mean_from) for p in model.graph.projections}


def test_neurons_are_counted_in_a_copy():
    rate, _ = cell("relu")
    found = links(convert(rate, replace(COUNT, count_from=2)))
    assert found["lmu.h_to_h"] == ("lmu.h.counted", None, 2)
    assert found["lmu.h_to_counted"] == ("lmu.h", None, None)
    assert found["readout_weights"] == ("lmu.h", None, None)
    assert found["lmu.m_to_m"] == ("lmu.m", None, None)


@pytest.mark.parametrize("neuron", ["relu", "lif"])
def test_decoded_values_are_counted_and_others_go_on_reading_a_lowpass(neuron):
    rate, _ = cell("tanh", layers=2)
    found = links(convert(rate, replace(COUNT, neuron=neuron)))
    assert found["lmu.h.decoder"] == ("lmu.h.spikes", None, None)
    assert found["lmu.h_to_h"] == ("lmu.h", None, 0)
    assert found["lmu2.x_to_h"] == ("lmu.h", COUNT.synapse_tau, None)
    assert found["lmu2.h_to_h"] == ("lmu2.h", None, 0)
    assert found["readout_weights"] == ("lmu2.h", None, None)
    lowpass = links(convert(rate, replace(COUNT, neuron=neuron, feedback="lowpass")))
    assert lowpass["lmu.h.decoder"] == ("lmu.h.spikes", COUNT.synapse_tau, None)


def values(graph, name, x, timing=None):
    """Of a population in each step, (steps, batch, size)."""
    seen = []
    run_reference(graph, x, timing, lambda step, values, totals: seen.append(values[name]))
    return np.array(seen)


def probed(graph):
    """The graph with a population ``seen`` of what the recurrence reads, before its weights."""
    (back,) = (p for p in graph.projections if p.name == "lmu.h_to_h")
    seen = Population("seen", graph[back.pre].size)
    reads = Projection(back.pre, "seen", delay=1, mean_from=back.mean_from)
    return replace(
        graph, populations=(*graph.populations, seen), projections=(*graph.projections, reads)
    )


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_what_a_cell_reads_of_itself_is_nearer_to_its_rates(kind):
    rate, x = cell(kind)
    want = values(rate.graph, "lmu.h", x)[:-1]

    def error(**options):
        spiking = convert(rate, replace(COUNT, **options))
        starts = spiking.timing.presentation_ends(x.shape[1])[1:]
        got = values(probed(spiking.graph), "seen", x, spiking.timing)[starts]
        return np.sqrt(((got - want) ** 2).mean()) / want.std()

    assert error() < 0.6 * error(feedback="lowpass", synapse_tau=0.004)


def test_what_feeds_back_is_counted_unless_one_says_otherwise():
    relu, tanh = cell("relu")[0], cell("tanh")[0]
    usual = default_options(tanh)
    assert (usual.feedback, usual.count_from, usual.neuron) == ("count", 0, "lif")
    assert default_options(relu).neuron == "relu"
    chip = default_options(tanh, {"max_rate": 250.0}, on_chip=True, steps_per_input=60)
    assert (chip.feedback, chip.count_from) == ("count", 10)
    finer = default_options(tanh, on_chip=True, steps_per_input=60, dt=0.0005)
    assert finer.count_from == 18
    # One step has nothing to count, levels and a line need no count, a feedforward cell neither.
    assert default_options(tanh, steps_per_input=1).neuron == "relu"
    assert default_options(tanh, steps_per_input=1, on_chip=True).neuron == "lif"
    assert default_options(tanh, memory="line", on_chip=True).neuron == "relu"
    for other in ({"steps_per_input": 1}, {"code": "level"}, {"feedback": "lowpass"}):
        assert default_options(tanh, **other).feedback == "lowpass"
    forward = Model(build(LmuSpec(order=4, theta=8.0, units=12, neuron=Neuron("tanh"))))
    assert default_options(forward, steps_per_input=5).feedback == "lowpass"
    assert default_options(forward).neuron == "relu"
    assert default_options(forward, on_chip=True).neuron == "lif"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps_per_input": 1}, "'count' from step 0 of 1 an input.*steps_per_input=2 or more"),
        ({"count_from": 20}, "from step 20 of 20 an input.*steps_per_input=21 or more"),
        ({"count_from": -1}, "count_from: got -1, expected a whole number of steps"),
        ({"feedback": "sum"}, "feedback: got 'sum', expected lowpass or count"),
        ({"code": "level"}, "'count' with memory='host' and code='level'"),
        ({"memory": "line"}, "'count' with memory='line' and code='rate'"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong, said):
    with pytest.raises(SpecError, match=said):
        replace(COUNT, **wrong)


def test_tanh_units_on_a_chip_are_nearer_as_pairs():
    """Each of ten pieces is some of a spike off; a pair, whose curve is another, is off by less."""
    target = sl.get_target("loihi")
    if problem := target.available():
        pytest.skip(problem)
    rng = np.random.default_rng(0)
    populations = Population("x", 20), Population("h", 40, Neuron("tanh")), Population("y", 5)
    projections = (
        Projection("x", "h", rng.normal(size=(40, 20)) / 3),
        Projection("h", "y", rng.normal(size=(5, 40)) / 7),
    )
    model, x = Model(Graph(populations, projections, "x", "y")), rng.normal(size=(60, 1, 20))
    exact, off = run_reference(model.graph, x)[:, -1], {}
    for neuron in ("lif", "relu"):
        options = default_options(
            model,
            target.defaults.chosen(),
            on_chip=True,
            neuron=neuron,
            settle_steps=50,
            readout_tau=0.01,
        )
        spiking = convert(model, options, training_inputs=x)
        with target.deploy(spiking, 1) as deployment:
            off[neuron] = np.square(deployment.run(x).outputs[:, -1] - exact).mean()
    assert off["lif"] < 0.5 * off["relu"]


def test_a_count_that_nobody_makes_begins_nowhere():
    """One step an input reads a lowpass; the option would be dropped without a word."""
    with pytest.raises(SpecError, match="count_from: got 3 with feedback='lowpass'"):
        Options(count_from=3)
