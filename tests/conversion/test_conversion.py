import numpy as np
import pytest
from hypothesis import given, settings

from spiking_lmu.conversion import Options, convert, default_options, measure_activity
from spiking_lmu.conversion.fit import (
    current_for_rate,
    fit_lif_to_relu,
    odd_part,
    saturating_lif,
    saturating_relu,
)
from spiking_lmu.conversion.passes import (
    MOST_FROM_HOST,
    first_layers_on_host,
    scale_rates,
    swap_neurons,
)
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron, response
from spiking_lmu.graph.reference import run_reference

from ..helpers.strategies import graphs


def model(kind="relu", cell="feedforward"):
    neuron = Neuron(kind, amplitude=0.01 if kind.endswith(("rate", "lif")) else 1.0)
    graph = build(LmuSpec(order=6, theta=20.0, units=16, cell=cell, neuron=neuron), seed=1)
    if kind in ("lif_rate", "soft_lif"):
        hidden = Population("lmu.h", 16, neuron, np.full(16, 20.0), np.full(16, 2.0))
        graph = graph.with_populations([hidden])
    x = np.random.default_rng(0).uniform(-1, 1, (4, 20, 1))
    return Model(graph, activity=measure_activity(graph, x)), x


def error(converted, x):
    timing = converted.timing
    got = run_reference(converted.graph, x, timing)[:, timing.presentation_ends(x.shape[1])]
    want = run_reference(converted.rate, x)
    return np.sqrt(((got - want) ** 2).mean() / (want**2).mean())


@pytest.mark.parametrize("cell", ["feedforward", "recurrent"])
@pytest.mark.parametrize(
    ("kind", "neuron"),
    [
        ("relu", "relu"),
        *(
            pytest.param(kind, neuron, marks=pytest.mark.slow)
            for kind, neuron in (
                ("relu", "lif"),
                ("tanh", "relu"),
                ("tanh", "lif"),
                ("sigmoid", "relu"),
                ("sigmoid", "lif"),
                ("lif_rate", "lif"),
                ("soft_lif", "lif"),
            )
        ),
    ],
)
def test_error_falls_as_steps_grow(cell, kind, neuron):
    """Whatever becomes whatever, longer presentations come closer to the rate model."""
    rate, x = model(kind, cell)

    def converted(steps):
        tau = 0.001 * steps / 5
        return convert(
            rate,
            Options(neuron, 200.0, steps, 0, readout_tau=tau, synapse_tau=tau),
        )

    short, long = (error(converted(steps), x) for steps in (20, 160))
    assert long < 0.5
    assert long < 0.6 * short


def test_scaling_sets_the_rate_and_nothing_else():
    rate, _ = model()
    graph, known = swap_neurons(rate.graph, "spiking_relu", rate.activity, 250.0)
    scaled = scale_rates(graph, known, 250.0)
    assert scaled["lmu.h"].scale == pytest.approx(250.0 / rate.activity["lmu.h"].p999)
    np.testing.assert_array_equal(scaled["lmu.h"].bias, rate.graph["lmu.h"].bias)
    np.testing.assert_array_equal(scaled["lmu.h"].gain, rate.graph["lmu.h"].gain)


@settings(max_examples=25, deadline=None)
@given(graphs(("linear", "relu", "tanh"), synapses=False))
def test_conversion_keeps_the_interface_and_the_rate_graph(graph):
    x = np.random.default_rng(0).normal(size=(3, 3, graph.input_size))
    activity = measure_activity(graph, x)
    if any(a.p999 == 0 for a in activity.values()):
        return
    converted = convert(Model(graph, activity=activity), Options(steps_per_input=3))
    assert converted.rate_graph is graph
    assert (converted.graph.input, converted.graph.output_size) == (graph.input, graph.output_size)
    assert all(p.neuron.spiking or p.neuron.kind == "linear" for p in converted.graph.populations)
    assert {p.name for p in converted.graph.spiking} <= set(converted.activity)
    assert np.isfinite(run_reference(converted.graph, x, converted.timing)).all()


def test_measured_activity_against_all_values():
    rate, x = model()
    seen = []
    run_reference(rate.graph, x, observe=lambda step, values, totals: seen.append(values["lmu.h"]))
    assert rate.activity["lmu.h"].p999 == pytest.approx(
        np.percentile(np.stack(seen), 99.9), rel=1e-5
    )
    assert rate.activity["lmu.h"].largest == pytest.approx(np.max(seen), rel=1e-5)


def test_measured_current_is_what_the_synapses_give():
    """Summed input by a plain loop, through a delay, a lowpass and an immediate projection."""
    graph = Graph(
        (Population("x", 1), Population("h", 1, Neuron("relu"), gain=np.array([3.0]))),
        (
            Projection("x", "h", np.array([[2.0]]), name="now"),
            Projection("x", "h", np.array([[5.0]]), delay=1, name="late"),
            Projection("x", "h", np.array([[7.0]]), tau=0.002, name="slow"),
        ),
        "x",
        "h",
    )
    x = np.array([1.0, 4.0, 2.0, 8.0])
    keep, late, slow, totals = np.exp(-0.5), 0.0, 0.0, []
    for value in x:
        totals.append(2 * value + 5 * late + 7 * slow)
        late, slow = value, keep * slow + (1 - keep) * value
    measured = measure_activity(graph, x[None, :, None])["h"]
    assert measured.largest_current == pytest.approx(max(totals), rel=1e-6)
    assert measured.largest == pytest.approx(3 * max(totals), rel=1e-6)


def test_lif_fit_reaches_the_rate_at_the_top():
    neuron = Neuron("lif")
    unit = fit_lif_to_relu(3.0, 180.0, neuron)
    assert response(neuron, np.array([unit.gain * 3.0 + unit.bias]))[0] == pytest.approx(180.0)
    assert response(neuron, np.array([current_for_rate(neuron, 77.0)]))[0] == pytest.approx(77.0)


@pytest.mark.parametrize("kind", ["tanh", "sigmoid"])
def test_saturating_fits(kind):
    z = np.linspace(-8, 8, 201)
    pieces = sum(u.weight * np.maximum(u.gain * z + u.bias, 0) for u in saturating_relu(kind, 8.0))
    limit = odd_part(kind, np.array(8.0))
    assert np.abs(pieces - odd_part(kind, z)).max() < 0.06 * limit
    neuron, units = saturating_lif(kind, 4.0, 200.0, Neuron("lif"))
    z = np.linspace(-4, 4, 201)
    pair = sum(u.weight * response(neuron, u.gain * z + u.bias) for u in units)
    assert np.abs(pair - odd_part(kind, z)).max() < 0.12 * limit


def test_refuses():
    rate, _ = model()
    spiking = convert(rate, Options())
    with pytest.raises(SpecError, match="a spiking model"):
        convert(spiking, Options())
    with pytest.raises(SpecError, match="no measured activity"):
        convert(Model(rate.graph), Options())
    lif, _ = model("lif_rate")
    with pytest.raises(SpecError, match="spiking_relu for lif_rate"):
        convert(lif, Options(neuron="relu"))
    for bad in ({"neuron": "izhikevich"}, {"max_rate": 0.0}, {"synapse_tau": 0.0}):
        with pytest.raises(SpecError):
            Options(**bad)


def test_defaults_follow_the_targets():
    rate, _ = model()
    assert default_options(rate, {"max_rate": 1000.0}).max_rate == 1000.0
    assert default_options(rate, max_rate=77.0).max_rate == 77.0
    recurrent, _ = model("tanh", "recurrent")
    assert default_options(recurrent).steps_per_input > 1
    # What goes round is averaged over as large a part of a longer presentation.
    longer = [default_options(recurrent, steps_per_input=n) for n in (20, 60, 200)]
    assert [o.synapse_tau / longer[0].synapse_tau for o in longer] == pytest.approx([1, 3, 10])
    assert [o.settle_steps >= o.steps_per_input for o in longer] == [True] * 3


def test_spikes_between_layers_are_averaged_for_longer_where_there_is_time():
    """Nengo's neurons rectify a noisy current in each step, and fire too much."""
    rng, names, width = np.random.default_rng(2), ["a", "b", "c", "d"], 60
    populations = (
        Population("x", width),
        *(Population(name, width, Neuron("relu")) for name in names),
        Population("y", width),
    )
    projections = tuple(
        Projection(pre, post, rng.normal(scale=1.4 * width**-0.5, size=(width, width)))
        for pre, post in zip(["x", *names], [*names, "y"], strict=True)
    )
    graph = Graph(populations, projections, "x", "y")
    x = rng.uniform(0, 1, (12, 1, width))
    rate = Model(graph, activity=measure_activity(graph, x))
    chosen = [default_options(rate, settle_steps=n, on_chip=n == 300) for n in (20, 200, 300)]
    assert [o.synapse_tau for o in chosen] == pytest.approx([0.005, 0.02, 0.005])
    times = {"settle_steps": 200, "readout_tau": 0.04}
    usual, short = (
        error(convert(rate, default_options(rate, **times, **tau)), x)
        for tau in ({}, {"synapse_tau": 0.005})
    )
    assert usual < 0.7 * short
    recurrent, _ = model("relu", "recurrent")
    assert default_options(recurrent, settle_steps=400).synapse_tau == pytest.approx(0.004)


def filtered_model():
    spec = LmuSpec(
        order=6,
        theta=20.0,
        units=16,
        cell="recurrent",
        neuron=Neuron("relu"),
        current_tau=2.0,
        recurrence_tau=5.0,
    )
    graph = build(spec, seed=1)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 20, 1))
    return Model(graph, activity=measure_activity(graph, x)), x


def test_a_trained_filter_averages_spikes_at_one_step_an_input():
    """No copy is added, and the more spikes, the nearer to the rate model."""
    rate, x = filtered_model()
    assert default_options(rate).steps_per_input == 1

    def converted(max_rate):
        options = default_options(rate, max_rate=max_rate, readout_tau=0.0, settle_steps=0)
        return convert(rate, options)

    assert {p.name for p in converted(1e3).graph.populations} == {
        p.name for p in rate.graph.populations
    }
    coarse, fine = error(converted(2e3), x), error(converted(1e5), x)
    assert fine < 0.02
    assert fine < 0.1 * coarse


def test_a_trained_filter_gets_a_copy_where_an_input_takes_several_steps():
    rate, _ = filtered_model()
    graph = convert(rate, default_options(rate, steps_per_input=5)).graph
    (copy,) = graph.incoming("lmu.h.filtered")
    assert (copy.pre, copy.tau) == ("lmu.h", 0.005)
    assert "lmu.h.filtered" in {p.pre for p in graph.incoming("lmu.h.trace")}


@pytest.mark.parametrize(
    ("links", "size", "placed"),
    [
        ({"x": "first", "first": "second"}, 3, ["first"]),
        ({"x": "first", "first": "second", "second": "y"}, 3, ["first"]),
        # Alone, or read by what is on the host too.
        ({"x": "first", "first": "y"}, 3, []),
        ({"x": "first"}, 3, []),
        ({"x": "first", "first": "y", "y": "second"}, 3, []),
        ({"x": "first", "first": "y"}, MOST_FROM_HOST + 1, ["first"]),
    ],
)
def test_a_first_layer_that_neurons_read_stays_on_the_host(links, size, placed):
    names = {"x": "linear", "first": "spiking_relu", "y": "linear", "second": "spiking_relu"}
    used = [name for name in names if name in links or name in links.values()]
    populations = tuple(
        Population(n, 1 if names[n] == "linear" else size, Neuron(names[n])) for n in used
    )
    sizes = {p.name: p.size for p in populations}
    projections = tuple(
        Projection(pre, post, np.ones((sizes[post], sizes[pre]))) for pre, post in links.items()
    )
    graph = Graph(populations, projections, "x", list(links.values())[-1])
    found = first_layers_on_host(graph)
    assert [p.name for p in found.populations if p.on_host] == placed
    # Switched off, it holds for what would be too large for the chip to be driven.
    found = first_layers_on_host(graph, only_large=True)
    assert [p.name for p in found.populations if p.on_host] == placed * (size > MOST_FROM_HOST)


def test_a_first_layer_that_reads_itself_stays_on_the_chip():
    populations = (
        Population("x", 2),
        Population("h", 3, Neuron("spiking_relu")),
        Population("out", 2, Neuron("spiking_relu")),
    )
    projections = (
        Projection("x", "h", np.ones((3, 2))),
        Projection("h", "h", np.ones((3, 3)), delay=1),
        Projection("h", "out", np.ones((2, 3))),
    )
    graph = Graph(populations, projections, "x", "out")
    assert not any(p.on_host for p in first_layers_on_host(graph).populations)


def test_clipping_cuts_off_only_weights_between_spiking_neurons():
    from spiking_lmu.conversion.passes import clip_weights

    from ..helpers.faulty import two_layers

    spiking = convert(two_layers(), Options())
    before = {p.name: p.weights for p in spiking.graph.projections}
    clipped = {p.name: p.weights for p in clip_weights(spiking.graph, 90.0).projections}
    sizes = np.abs(before["between"])
    limit = np.percentile(sizes, 90)
    np.testing.assert_array_equal(
        clipped["between"][sizes <= limit], before["between"][sizes <= limit]
    )
    assert np.abs(clipped["between"]).max() == pytest.approx(limit)
    assert all(np.array_equal(clipped[n], before[n]) for n in before if n != "between")


def test_a_population_that_was_silent_in_training_converts():
    """NEF networks have such: of a Fourier transform of real signals one part is always 0."""
    silent = Population("h", 2, Neuron("relu"), bias=np.full(2, -9.0))
    graph = Graph(
        (Population("in", 1), silent, Population("out", 2)),
        (Projection("in", "h", [[1.0], [1.0]]), Projection("h", "out", np.eye(2))),
        "in",
        "out",
    )
    x = np.linspace(-1, 1, 20).reshape(20, 1, 1)
    for neuron in ("relu", "lif"):
        spiking = convert(Model(graph), neuron=neuron, training_inputs=x)
        assert not run_reference(spiking.graph, x, spiking.timing).any()
        # A current that training did not have makes it fire.
        assert run_reference(spiking.graph, 20 * x[-1:], spiking.timing)[:, -1].any()
