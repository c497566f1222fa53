"""Operations and energy: closed forms, and a count by hand of everything that happens."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spiking_lmu
from spiking_lmu.analysis.energy import (
    Counts,
    Device,
    active_shares,
    connection_sparsity,
    count_operations,
    counts_of,
    energy_report,
    estimate,
    footprint,
    load_devices,
    parameter_count,
)
from spiking_lmu.analysis.energy.report import (
    ACTIVE_ONLY,
    IDLE_CHEAPER,
    RATE,
    RATE_FOLDED,
    RATE_LAST_STEP,
)
from spiking_lmu.conversion import convert, measure_activity
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing
from spiking_lmu.report.energy_table import as_json

from ..helpers.counted import counted_lmu
from ..helpers.strategies import graphs

PLAIN = Device("plain", False, 2.0, 3.0, "a test")
CHIP = Device("chip", True, 5.0, 7.0, "a test")


def lmu(hidden):
    """Input 1, memory 4 with its recurrence, 3 hidden neurons, 2 outputs."""
    return Graph(
        (
            Population("x", 1),
            Population("m", 4),
            Population("h", 3, hidden, bias=np.array([1.0, 0.0, 0.0])),
            Population("y", 2),
        ),
        (
            Projection("x", "m", np.ones((4, 1))),
            Projection("m", "m", np.tril(np.ones((4, 4))), delay=1),
            Projection("m", "h", np.ones((3, 4))),
            Projection("h", "y", np.ones((2, 3)), tau=0.005),
        ),
        "x",
        "y",
    )


def test_closed_form_of_an_lmu():
    operations = count_operations(lmu(Neuron("spiking_relu")), 100, {"h": 30.0})
    assert operations.effective_acs == 30 * 2
    # input 4, the memory's 10 nonzero weights of 16, the hidden layer's current 12
    assert operations.effective_macs == 100 * (4 + 10 + 12)
    assert operations.dense == 100 * (4 + 16 + 12 + 6)
    assert operations.dense_macs == 100 * (4 + 16 + 12)
    assert (operations.spiking_updates, operations.rate_updates) == (300, 0)
    assert operations.activation_sparsity == pytest.approx(1 - 30 / 300)


def test_closed_form_of_its_rate_graph():
    graph = replace(
        lmu(Neuron("relu")),
        projections=(*lmu(Neuron("relu")).projections[:3], Projection("h", "y", np.ones((2, 3)))),
    )
    every = count_operations(graph, 100)
    assert (every.effective_acs, every.effective_macs) == (0, 100 * (4 + 10 + 12 + 6))
    assert every.activation_sparsity is None
    measured = count_operations(graph, 100, shares={"h": 0.25})
    assert measured.effective_macs == 100 * (4 + 10 + 12 + 1.5)
    assert measured.activation_sparsity == 0.75
    last = count_operations(graph, 100, last_step_only=True)
    assert last.effective_macs == 100 * (4 + 10) + 12 + 6
    assert last.rate_updates == 3


@pytest.mark.parametrize("late", [{"delay": 1}, {"tau": 0.005}])
def test_a_recurrent_hidden_layer_is_computed_at_every_step(late):
    graph = lmu(Neuron("relu"))
    looped = replace(
        graph,
        projections=(
            *graph.projections[:3],
            Projection("h", "h", np.ones((3, 3)), **late),
            Projection("h", "y", np.ones((2, 3))),
        ),
    )
    last = count_operations(looped, 100, last_step_only=True)
    assert last.dense == 100 * (4 + 16 + 12 + 9) + 6
    assert last.rate_updates == 300


def test_all_upstream_of_a_delay_is_computed_at_every_step():
    sizes = {"x": 1, "a": 2, "b": 3, "c": 4, "y": 5}
    chain = [
        Projection(pre, post, np.ones((sizes[post], sizes[pre])))
        for pre, post in zip("xabc", "abcy", strict=True)
    ]
    graph = Graph(
        tuple(Population(name, size, Neuron("linear")) for name, size in sizes.items()),
        (*chain, Projection("c", "c", delay=1)),
        "x",
        "y",
    )
    assert count_operations(graph, 10, last_step_only=True).dense == 10 * (2 + 6 + 12 + 4) + 20


def test_static_metrics():
    graph = lmu(Neuron("spiking_relu"))
    assert connection_sparsity(graph) == 6 / 38
    assert parameter_count(graph) == 38 + 3
    assert footprint(graph) == 4 * 41
    one_to_one = Graph((Population("x", 3), Population("y", 3)), (Projection("x", "y"),), "x", "y")
    assert (parameter_count(one_to_one), connection_sparsity(one_to_one)) == (0, 0.0)
    assert count_operations(one_to_one, 10).dense == 30


def test_energy_by_hand():
    spiking = count_operations(lmu(Neuron("spiking_relu")), 100, {"h": 30.0})
    joules = estimate(spiking, (PLAIN, CHIP))
    assert joules["plain"] == 3800 * 2 + 300 * 3
    assert joules["chip alone"] == 60 * 5 + 300 * 7
    assert joules["chip with plain"] == joules["chip alone"] + 3200 * 2
    rate = estimate(count_operations(lmu(Neuron("relu")), 100), (PLAIN, CHIP))
    assert rate == {"plain": 3800 * 2 + 300 * 3, "chip alone": None, "chip with plain": None}


def test_agrees_with_keras_spikings_documentation():
    """784 inputs, Dense(128), relu: the figures printed in its ``ModelEnergy`` docstring."""
    weights = Projection("x", "h", np.ones((128, 784)))
    graph = Graph(
        (Population("x", 784), Population("h", 128, Neuron("relu"))), (weights,), "x", "h"
    )
    mine = Device("my-cpu", False, 1e-10, 2e-9, "its example")
    joules = estimate(count_operations(graph, 1), (*load_devices(), mine))
    assert (f"{joules['cpu']:.2e}", f"{joules['my-cpu']:.2e}") == ("8.64e-04", "1.03e-05")


def by_hand(graph, x, timing):
    """Dense operations, ACs, MACs, spikes, active outputs of a batch, one value at a time."""
    counted = {"dense": 0, "acs": 0, "macs": 0, "active": 0, "outputs": 0, "updates": 0}
    spikes = {p.name: 0 for p in graph.spiking}

    def observe(_, values, __):
        for projection in graph.projections:
            pre = graph[projection.pre]
            unit = pre.neuron.amplitude / (timing.dt * pre.scale) if pre.neuron.spiking else 1.0
            for sample in values[pre.name]:
                for i, value in enumerate(sample):
                    for weight in projection.weights[:, i]:
                        counted["dense"] += 1
                        if weight and pre.neuron.spiking:
                            counted["acs"] += round(value / unit)
                        elif weight and value:
                            counted["macs"] += 1
        for p in graph.populations:
            outputs = values[p.name]
            if p.neuron.spiking:
                spikes[p.name] += round(outputs.sum() * timing.dt * p.scale / p.neuron.amplitude)
            if p.neuron.kind != "linear":
                counted["outputs"] += outputs.size
                counted["updates"] += outputs.size
                counted["active"] += np.count_nonzero(outputs)

    run_reference(graph, x, timing, observe)
    return counted, spikes


@settings(max_examples=25, deadline=None)
@given(
    graphs(kinds=("spiking_relu", "lif", "relu")),
    st.integers(1, 3),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
)
def test_agrees_with_a_count_by_hand(graph, steps_per_input, settle_steps, seed):
    # brighter than the strategy's unit currents, so that neurons spike within a few steps
    graph = graph.with_populations(
        replace(p, bias=400.0 * p.bias) for p in graph.populations if p.neuron.spiking
    )
    timing = Timing(steps_per_input, settle_steps)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 4, graph.input_size)) * rng.integers(0, 2, (2, 4, 1))
    counted, spikes = by_hand(graph, x, timing)
    steps = timing.total_steps(4)
    shares = active_shares(graph, x, timing)
    operations = count_operations(
        graph, steps, {name: n / len(x) for name, n in spikes.items()}, shares
    )
    assert operations.dense * len(x) == pytest.approx(counted["dense"])
    assert operations.effective_acs * len(x) == pytest.approx(counted["acs"])
    assert operations.effective_macs * len(x) == pytest.approx(counted["macs"])
    assert operations.neuron_updates * len(x) == counted["updates"]
    # spikes tell how many outputs were not zero where a neuron spikes at most once a step
    if counted["outputs"] and all(p.neuron.kind == "lif" for p in graph.spiking):
        sparsity = 1 - counted["active"] / counted["outputs"]
        assert operations.activation_sparsity == pytest.approx(sparsity)


def test_report_of_a_run():
    model, x, outcome = counted_lmu()
    report = energy_report(model, [counts_of(outcome)], load_devices())
    spiking, rate, last, folded = report.entries
    labels = [e.label for e in report.entries]
    assert labels == ["reference", RATE, RATE_LAST_STEP, RATE_FOLDED]
    assert spiking.operations.effective_acs == pytest.approx(outcome.spikes_per_sample * 3)
    assert spiking.macs_by_place == {"host": spiking.operations.effective_macs}
    assert spiking.acs_by_place == {"host": spiking.operations.effective_acs}
    assert spiking.spikes == pytest.approx(outcome.spikes_per_sample)
    assert rate.operations.steps == x.shape[1]
    assert rate.operations.effective_acs == 0
    assert last.joules["cpu"] < rate.joules["cpu"] < spiking.joules["cpu"]
    assert rate.joules["loihi alone"] is None
    # One product of all inputs with what the hidden neurons read, and the readout.
    hidden, outputs = model.rate["lmu.h"].size, model.rate.output_size
    assert folded.operations.dense == hidden * (x.shape[1] + outputs)
    assert folded.joules["cpu"] < last.joules["cpu"]
    json.dumps(as_json(report), allow_nan=False)


def test_operations_are_where_graded_values_come_from_and_spikes_go():
    model, _, outcome = counted_lmu()
    counts = replace(counts_of(outcome), placement={**outcome.placement, "lmu.h": "chip"})
    entry = energy_report(model, [counts], load_devices()).entries[0]
    assert entry.macs_by_place == {"host": entry.operations.effective_macs}
    assert entry.acs_by_place == {"host": entry.operations.effective_acs}


def test_memory_is_counted():
    model, _, outcome = counted_lmu()
    report = energy_report(model, [counts_of(outcome)], load_devices())
    recurrence = [p for p in report.entries[0].operations.projections if p.pre == p.post]
    assert [p.dense for p in recurrence] == [4 * 4 * outcome.steps]


def test_refuses_what_it_cannot_count():
    model, _, outcome = counted_lmu()
    with pytest.raises(SpecError, match="does not spike"):
        energy_report(Model(model.rate), [counts_of(outcome)], load_devices())
    with pytest.raises(SpecError, match="no counted run"):
        energy_report(model, [], load_devices())
    with pytest.raises(SpecError, match=r"spikes of lmu\.h"):
        energy_report(model, [Counts("a", 1, 262, {}, {})], load_devices())
    empty = replace(outcome, indices=np.zeros(0, int), problem="no chip here")
    with pytest.raises(SpecError, match="no finished sample"):
        counts_of(empty)


def test_neurons_that_stay_on_the_host_are_no_cost_of_the_chip():
    """Input → 2 neurons on the host → 3 on the chip; and a copy for the host itself."""
    spiking = Neuron("lif")
    graph = Graph(
        (
            Population("x", 1),
            Population("code", 2, spiking, on_host=True),
            Population("chip", 3, spiking),
            Population("y", 1),
        ),
        (
            Projection("x", "code", np.ones((2, 1))),
            Projection("code", "chip", np.ones((3, 2))),
            Projection("code", "y", np.ones((1, 2)), name="aside"),
            Projection("chip", "y", np.ones((1, 3))),
        ),
        "x",
        "y",
    )
    operations = count_operations(graph, 10, {"code": 4, "chip": 5})
    assert operations.host_updates == 20
    joules = estimate(operations, (CHIP, PLAIN))
    # 4 spikes to 3 neurons and 5 to the host; 3 neurons for 10 steps.
    assert joules["chip alone"] == (12 + 5) * 5.0 + 30 * 7.0
    # Beside it 4 spikes that stay, and 2 neurons for 10 steps, each of which compares one value.
    assert operations.comparisons == 20
    assert joules["chip with plain"] == joules["chip alone"] + 4 * 2.0 + 20 * 3.0


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_memory_as_a_line_needs_no_multiplications(reset):
    rng = np.random.default_rng(0)
    graph = build(LmuSpec(1, 3, 4, 10.0, 5), seed=0)
    x = rng.random((4, 10, 1))
    model = Model(graph, activity=measure_activity(graph, x))
    spiking = convert(model, memory="line", bits=2, reset=reset, training_inputs=x)
    with spiking_lmu.get_target("reference").deploy(spiking, 10) as deployment:
        run = deployment.run(x)
    steps = spiking.timing.total_steps(10)
    means = {name: float(counts.sum(axis=1).mean()) for name, counts in run.spikes.items()}
    operations = count_operations(spiking.graph, steps, means)
    assert operations.effective_macs == 0
    # Two bits of one input, and the pulse.
    assert operations.comparisons == 3 * steps
    rows = {row.name: row for row in operations.projections}
    for bit in range(2):
        # A spike of the line leads to the next stage, but for the last, and to the gate.
        line = means[f"line.{bit}"]
        assert rows[f"line.{bit}.shift"].effective == pytest.approx(line * 9 / 10)
        assert rows[f"line.gate{bit}.stage"].effective == line
    arriving = sum(
        row.effective
        for row in operations.projections
        if row.post in ("line.0", "line.1", "line.gate0", "line.gate1")
    )
    # Neurons that subtract their threshold keep a current that decays for seconds.
    assert operations.idle_updates == pytest.approx(40 * steps - arriving)
    joules = estimate(operations, load_devices())
    saved = joules["loihi alone"] - joules[f"loihi {ACTIVE_ONLY}"]
    assert saved == pytest.approx(81e-12 * operations.idle_updates)
    cheaper = joules["loihi alone"] - joules[f"loihi {IDLE_CHEAPER}"]
    assert cheaper == pytest.approx((81e-12 - 52e-12) * operations.idle_updates)
