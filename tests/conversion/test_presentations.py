"""What was trained with one step an input is the same under every timing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.conversion import Options, convert, default_options, rate_model
from spiking_lmu.conversion.passes import add_synapses
from spiking_lmu.errors import SpecError
from spiking_lmu.files.slmu import load, save
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.rate_twin import on_presentations, rate_twin
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

from ..helpers.strategies import graphs


def filtered(tau=0.005, hidden="relu", dt=0.001):
    """Lowpass synapses on input, recurrence and readout; and one that Nengo takes for none."""
    rng = np.random.default_rng(0)
    w = {key: rng.normal(size=size) / 2 for key, size in (("in", (6, 2)), ("h", (6, 6)))}
    neuron = Neuron(hidden, amplitude=0.01) if hidden.endswith(("lif", "rate")) else Neuron(hidden)
    gain, bias = (np.full(6, 3.0), np.full(6, 2.0)) if neuron.amplitude != 1 else (1.0, 0.0)
    return Graph(
        (
            Population("x", 2),
            Population("h", 6, neuron, np.asarray(gain), np.asarray(bias)),
            Population("y", 3),
        ),
        (
            Projection("x", "h", w["in"], tau=tau),
            Projection("h", "h", 0.5 * w["h"], tau=2 * tau, name="again"),
            Projection("h", "y", rng.normal(size=(3, 6)), tau=tau, name="out"),
            Projection("x", "y", rng.normal(size=(3, 2)), tau=1e-6, name="late"),
        ),
        "x",
        "y",
        dt,
    )


def by_hand(graph, x, dt):
    """The same network step by step, in a plain loop."""
    w = {p.name: p.weights for p in graph.projections}
    tau = {p.name: p.tau for p in graph.projections}
    keep = {n: np.exp(-dt / t) if t > 0.03 * dt else 0.0 for n, t in tau.items()}
    state, outputs = {n: 0.0 for n in w}, []
    for value in x:
        h = np.maximum(
            w["x_to_h"] @ (state["x_to_h"] + np.zeros(2))
            + w["again"] @ (state["again"] + np.zeros(6)),
            0,
        )
        out = w["out"] @ (state["out"] + np.zeros(6)) + w["late"] @ (state["late"] + np.zeros(2))
        outputs.append(out)
        for name, source in (("x_to_h", value), ("again", h), ("out", h), ("late", value)):
            state[name] = keep[name] * state[name] + (1 - keep[name]) * source
    return np.array(outputs)


@pytest.mark.parametrize("dt", [0.001, 0.01])
def test_a_lowpass_is_carried_over_exactly(dt):
    graph = filtered(dt=dt)
    x = np.random.default_rng(1).normal(size=(2, 12, 2))
    want = np.stack([by_hand(graph, sample, dt) for sample in x])
    np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-12)
    moved = on_presentations(graph, dt)
    assert all(p.tau is None for p in moved.projections)
    for timing in (Timing(), Timing(20, 9), Timing(3, 1, dt=0.002)):
        got = run_reference(moved, x, timing)[:, timing.presentation_ends(12)]
        np.testing.assert_allclose(got, want, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(graphs(("linear", "relu", "tanh"), synapses=True), st.sampled_from([0.0005, 0.001, 0.02]))
def test_every_rate_graph_keeps_its_presentations(graph, dt):
    x = np.random.default_rng(0).normal(size=(2, 6, graph.input_size))
    want = run_reference(graph, x, Timing(dt=dt))
    moved, timing = on_presentations(graph, dt), Timing(4, 2)
    scale = max(1.0, np.abs(want).max())
    got = run_reference(moved, x, timing)[:, timing.presentation_ends(6)]
    np.testing.assert_allclose(got / scale, want / scale, atol=1e-9)


def test_conversion_keeps_the_trained_filters_and_its_own_dt():
    graph = filtered(dt=0.01)
    x = np.random.default_rng(1).normal(size=(3, 12, 2))
    model = Model(graph)
    assert model.timing == Timing(dt=0.01)
    spiking = convert(model, Options(max_rate=5000.0, steps_per_input=20), training_inputs=x)
    assert spiking.timing.dt == 0.001
    want = run_reference(graph, x)
    np.testing.assert_allclose(run_reference(spiking.rate, x), want, atol=1e-12)
    timing = replace(spiking.timing, readout_tau=0.0)
    ends = timing.presentation_ends(12)
    got = run_reference(spiking.graph, x, timing)[:, ends]
    assert np.sqrt(((got - want) ** 2).mean() / (want**2).mean()) < 0.1


@pytest.mark.parametrize(
    "target", ["reference", "loihi", pytest.param("nengo-dl", marks=pytest.mark.slow)]
)
def test_targets_run_the_trained_filters(target):
    """The host's part of a filter is the same everywhere: with no spikes, to rounding."""
    from spiking_lmu.backends.registry import get_target

    found = get_target(target)
    if found.available():
        pytest.skip(found.available())
    graph = Graph(
        (Population("x", 2), Population("y", 2), Population("h", 1, Neuron("spiking_relu"))),
        (Projection("x", "y", tau=0.004), Projection("y", "h", np.ones((1, 2)), tau=0.005)),
        "x",
        "y",
    )
    known = {"h": Activity(1.0, 1.0, 1.0, 1.0)}
    model = Model(on_presentations(graph, 0.001), timing=Timing(4, 2), activity=known)
    x = np.random.default_rng(1).normal(size=(2, 5, 2))
    want = run_reference(model.graph, x, model.timing)
    with found.deploy(model, 5) as deployed:
        np.testing.assert_allclose(deployed.run(x).outputs, want, atol=1e-5)


def test_a_model_trained_with_several_steps_an_input_is_refused_where_filters_differ():
    x = np.random.default_rng(0).normal(size=(2, 6, 2))
    model = Model(filtered(), timing=Timing(steps_per_input=5))
    with pytest.raises(SpecError, match=r"rate model under the new timing.*steps_per_input=5"):
        convert(model, Options(), training_inputs=x)


def test_a_filtered_copy_has_seen_the_last_step():
    """One step a presentation: h[t] reads the average of h up to t - 1, not t - 2."""
    graph = Graph(
        (Population("x", 1), Population("h", 1, Neuron("spiking_relu"))),
        (
            Projection("x", "h", 1000 * np.ones((1, 1))),
            Projection("h", "h", 100.0 * np.ones(1), delay=1),
        ),
        "x",
        "h",
    )
    seen = []
    copied = add_synapses(graph, 0.005, 1, dt=0.001)
    x = np.array([1.0, 0, 0, 0]).reshape(1, 4, 1)
    run_reference(
        copied,
        x,
        observe=lambda step, values, totals: seen.append(totals["h"][0, 0]),
    )
    first = 1000 * (1 - np.exp(-0.2))
    np.testing.assert_allclose(seen[:2], [1000.0, 100 * first], rtol=1e-9)


def test_a_network_written_with_spikes_converts_as_what_was_trained(tmp_path):
    spiking = filtered(hidden="lif")
    twin = rate_twin(spiking)
    assert [p.neuron.kind for p in twin.populations][:3] == ["linear", "lif_rate", "linear"]
    x = np.random.default_rng(0).normal(size=(3, 10, 2))
    model = Model(spiking)
    np.testing.assert_array_equal(run_reference(model.rate, x), run_reference(twin, x))
    from_spikes = convert(model, training_inputs=x)
    from_rates = convert(Model(twin), training_inputs=x)
    assert [p.neuron.kind for p in from_spikes.graph.spiking] == ["lif"]
    timing = from_spikes.timing
    np.testing.assert_array_equal(
        run_reference(from_spikes.graph, x, timing), run_reference(from_rates.graph, x, timing)
    )
    with pytest.raises(SpecError, match="a spiking model"):
        convert(from_spikes, training_inputs=x)
    # A file keeps the step that the twin's filters follow.
    other = Model(filtered(hidden="lif", dt=0.01), timing=Timing(30))
    save(other, tmp_path / "spiking.slmu")
    again = load(tmp_path / "spiking.slmu")
    assert again.digest == other.digest
    np.testing.assert_array_equal(run_reference(again.rate, x), run_reference(other.rate, x))


def test_lif_neurons_never_fire_faster_than_they_can():
    graph = filtered(tau=0.005)
    x = np.random.default_rng(0).normal(size=(3, 10, 2))
    options = default_options(Model(graph), {"max_rate": 1000.0}, neuron="lif")
    assert options.max_rate == 250.0
    spiking = convert(Model(graph), options, training_inputs=x)
    assert np.isfinite(spiking.graph["h"].neuron.amplitude)
    with pytest.raises(SpecError, match=r"max_rate: got 500 Hz .* less than 500 Hz.*max_rate=250"):
        convert(Model(graph), replace(options, max_rate=500.0), training_inputs=x)
    # Curves that were trained as LIF's fire as they were trained.
    assert default_options(Model(filtered(hidden="lif_rate"))).neuron == "lif"
    assert rate_model(Model(filtered(hidden="lif"))).graph["h"].neuron.kind == "lif_rate"


def test_options_in_the_place_of_a_target_are_refused():
    import spiking_lmu

    with pytest.raises(SpecError, match="target: got an Options"):
        spiking_lmu.convert(Model(filtered()), Options())
