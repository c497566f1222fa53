"""Faults planted in networks: the ladder blames the right rung, and its advice repairs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu import datasets
from spiking_lmu.analysis.explain import Explanation, advise, explain
from spiking_lmu.analysis.explain.onward import Onward
from spiking_lmu.backends.registry import get_target
from spiking_lmu.conversion import convert, default_options, measure_activity
from spiking_lmu.errors import DatasetError, SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task

from ..helpers.decoded import decoded
from ..helpers.faulty import dense, images, recurrence, row_by_row, two_layers
from ..helpers.strategies import graphs

SAMPLES = 200


def ladder(model, target="loihi", rows=False):
    return climbed(model, images(SAMPLES, rows), target)


def climbed(model, data, target="reference"):
    return explain(model, data, target, samples=None, workers=1, verify=0, progress=False).ladder


def spiking(model, **options):
    return convert(model, default_options(model, **options))


def lost(found):
    """Points, from the rate model to the target."""
    return -found.steps[-1].total.difference


def repaired(rate, options, advice, rows=False, target="loihi"):
    """Convert again as the first advice says, and climb again."""
    assert advice[0].options
    return ladder(spiking(rate, **{**options, **advice[0].options}), target, rows)


#: Two layers of neurons need longer to settle.
SLOW = {"settle_steps": 200, "readout_tau": 0.05}
CONVERSIONS = [
    (dense, {"max_rate": 40_000.0}, "response curve"),
    (dense, {"max_rate": 5.0}, "spikes"),
    (row_by_row, {"readout_tau": 3.0, "settle_steps": 10}, "synapses and timing"),
    (two_layers, {**SLOW, "synapse_tau": 0.3}, "synapses and timing"),
]


@pytest.mark.parametrize(("rate", "options", "rung"), CONVERSIONS)
def test_a_bad_option_is_blamed_on_its_rung_and_the_advice_repairs_it(rate, options, rung):
    rows = rate is row_by_row
    model = spiking(rate(), **options)
    found = ladder(model, rows=rows)
    assert lost(found) > 5
    assert found.blamed.name == rung
    advice = advise(found, model)
    assert next(iter(advice[0].options)) in options
    assert lost(repaired(rate(), options, advice, rows)) < 0.3 * lost(found)


def test_without_a_fault_nothing_is_blamed():
    model = spiking(dense(), settle_steps=200, readout_tau=0.04)
    found = ladder(model)
    assert found.blamed is None
    assert found.suspected is None
    assert advise(found, model) == ()
    assert [step.name for step in found.steps[:4]] == [
        "rate model",
        "response curve",
        "synapses and timing",
        "spikes",
    ]


@pytest.mark.parametrize(
    ("rate", "options", "target"),
    [
        (dense, {"levels": 2, "input_bits": 6}, "loihi"),
        (dense, {"levels": 17, "input_bits": 1}, "reference"),
        (two_layers, {"levels": 2, "input_bits": 6}, "reference"),
    ],
)
def test_levels_and_digits_that_are_too_coarse_are_blamed_and_the_advice_repairs_it(
    rate, options, target
):
    options = {"code": "level", **options}
    model = spiking(rate(), **options)
    found = ladder(model, target)
    assert [s.name for s in found.steps][:2] == ["rate model", "quantisation"]
    assert lost(found) > 5
    assert found.blamed.name == "quantisation"
    again = repaired(rate(), options, advise(found, model), target=target)
    assert lost(again) < 0.3 * lost(found)
    # A chip adds little, and shows the activity of the sample and not of the step before it.
    last = again.steps[-1].layers[0]
    assert last.relative_error < again["quantisation"].layers[0].relative_error + 0.1


def test_finer_steps_leave_each_input_its_time():
    from spiking_lmu.analysis.explain.advice import _finer

    memory = convert(row_by_row(), default_options(row_by_row(), settle_steps=10))
    assert memory.timing.steps_per_input == 1
    assert _finer(memory) == {"dt": 0.0005, "steps_per_input": 2, "settle_steps": 20}
    still = convert(dense(), default_options(dense(), settle_steps=10))
    assert _finer(still) == {"dt": 0.0005, "settle_steps": 20}


@pytest.mark.slow
def test_decoders_of_another_curve_are_blamed_on_it_and_finer_steps_repair_it():
    x = np.random.default_rng(0).uniform(-1, 1, (60, 1, 1))
    data = datasets.from_arrays(x, x[:, 0], task="regression last")
    fit, seen = data.train, data.test
    options = {"settle_steps": 150, "readout_tau": 0.03}

    def there(**changes):
        rate = decoded()
        chosen = default_options(rate, **{**options, **changes})
        model = convert(rate, chosen, training_inputs=fit.x)
        return model, climbed(model, seen, "loihi")

    model, found = there()
    assert found.suspected.name == "response curve"
    (first,) = advise(found, model)
    assert first.options == {"dt": 0.0005, "settle_steps": 300}
    again = there(**first.options)[1]
    added = [rungs["response curve"].layers[0].relative_error for rungs in (found, again)]
    assert added[1] < 0.6 * added[0]
    assert again.steps[-1].error < found.steps[-1].error


@pytest.mark.parametrize("target", ["reference", pytest.param("loihi", marks=pytest.mark.slow)])
def test_a_recurrence_as_rates_is_blamed_on_spikes_and_levels_repair_it(target):
    rate, walks = recurrence()
    coarse = {"feedback": "lowpass", "neuron": "relu"}
    model = spiking(rate, **coarse)
    assert model.timing.steps_per_input == 20
    found = climbed(model, walks, target)
    assert lost(found) > 20
    assert found.blamed.name == "spikes"
    first, second, third = advise(found, model)
    assert "code=level" in first.fix
    assert "feeds back" in first.finding
    again = climbed(spiking(rate, **first.options), walks, target)
    assert lost(again) < 0.1 * lost(found)
    # A count does so too, with the neurons that it is meant for.
    assert second.options == {"feedback": "count", "neuron": "lif"}
    counted = spiking(rate, **second.options, count_from=10 if target == "loihi" else 0)
    assert lost(climbed(counted, walks, target)) < 0.1 * lost(found)
    assert third.options["steps_per_input"] == 40
    longer = spiking(rate, **coarse, **third.options)
    assert longer.timing.total_steps(15) == 15 * 40 + 100
    assert max(p.tau for p in longer.graph.projections if p.tau) == pytest.approx(0.008)


def test_levels_are_not_told_to_raise_their_rates():
    model = spiking(two_layers(), code="level", levels=33)
    for problem in get_target("loihi").check(model):
        assert "max_rate" not in problem.fix
        assert "clip_weights" not in problem.fix


def test_a_rate_that_is_too_low_is_blamed_on_spikes_on_the_reference_too():
    found = ladder(spiking(dense(), max_rate=5.0), "reference")
    assert found.blamed.name == "spikes"
    # Nengo's own simulator is the same as its neurons in float64.
    np.testing.assert_allclose(found.steps[-1].outputs, found["spikes"].outputs, atol=1e-9)


def test_an_outlier_is_blamed_on_quantised_weights_and_clipping_repairs_it():
    rate = two_layers()
    between = next(p for p in rate.graph.projections if p.name == "between")
    silent = replace(rate.graph[between.pre], bias=_with_silent(rate.graph[between.pre].bias))
    weights = np.array(between.weights)
    # The first hidden neuron never fires, so that its weight changes nothing but the scale.
    weights[0, 0] = 200 * np.abs(weights).max()
    graph = rate.graph.with_populations([silent])
    healthy = replace(rate, graph=graph)
    projections = tuple(
        p.with_weights(weights) if p.name == "between" else p for p in graph.projections
    )
    faulty = replace(rate, graph=replace(graph, projections=projections))
    model = spiking(faulty, **SLOW)
    found = ladder(model)
    assert lost(found) > 5
    assert found.blamed.name == "quantised weights"
    assert "clip_weights" in advise(found, model)[0].fix
    clipped = ladder(spiking(faulty, **SLOW, clip_weights=99.0))
    assert lost(clipped) < 0.3 * lost(found)
    assert lost(clipped) < lost(ladder(spiking(healthy, **SLOW))) + 5


def _with_silent(bias):
    changed = np.array(bias)
    changed[0] = -1000.0
    return changed


def test_a_synapse_mismatch_is_blamed_on_the_chip_and_equal_synapses_repair_it():
    model = spiking(two_layers(), **SLOW)
    between = next(p for p in model.graph.projections if p.name == "between")
    # So slow that the chip, which has one filter for a neuron, slows all the others down.
    slow = replace(between, transform=1e-2 * between.weights, tau=0.3, name="slow")
    graph = replace(model.graph, projections=(*model.graph.projections, slow))
    faulty = replace(model, graph=graph)
    found = ladder(faulty)
    assert lost(found) > 5
    assert found.blamed.name == "chip dynamics"
    assert "give all the same" in advise(found, faulty)[0].fix
    same = replace(graph, projections=(*model.graph.projections, replace(slow, tau=between.tau)))
    assert lost(ladder(replace(model, graph=same))) < 0.3 * lost(found)


def test_rungs_add_up_to_the_whole():
    found = ladder(spiking(dense(), max_rate=20.0))
    steps = sum(step.step.difference for step in found.steps[1:])
    assert steps == pytest.approx(found.steps[-1].total.difference)
    assert found.steps[0].error == 0


def test_warnings_of_the_target_name_rungs_that_it_has():
    target = get_target("loihi")
    model = spiking(dense(), max_rate=40_000.0)
    names = {rung.name for rung in target.rungs(model, 1)} | {"response curve", "loihi"}
    rungs = {problem.rung for problem in target.check(model)} - {""}
    assert rungs
    assert rungs <= names


@pytest.fixture(scope="module")
def saturating():
    """A small random classifier with tanh neurons, and inputs for it."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (30, 1, 5)).astype(np.float32)
    graph = Graph(
        (Population("x", 5), Population("hidden", 8, Neuron("tanh")), Population("out", 3)),
        (
            Projection("x", "hidden", rng.normal(size=(8, 5))),
            Projection("hidden", "out", rng.normal(size=(3, 8))),
        ),
        "x",
        "out",
    )
    model = Model(graph, activity=measure_activity(graph, x))
    y = rng.integers(0, 3, 30)
    return model, datasets.Dataset("random", "test", x, y, Task(names=("a", "b", "c")))


@pytest.mark.parametrize("neuron", ["relu", "lif"])
def test_a_layer_that_became_on_and_off_neurons_is_one_layer(saturating, neuron):
    rate, data = saturating
    model = convert(rate, default_options(rate, neuron=neuron, settle_steps=400, readout_tau=0.05))
    found = climbed(model, data)
    units = model.graph["hidden.spikes"].size
    for step in found.steps[1:]:
        (layer,) = step.layers
        assert layer.name == "hidden"
        assert layer.histogram.sum() == units * len(data.y)
        assert layer.correlation > 0.97
        assert layer.relative_error < 0.2


def test_another_kind_of_model_is_refused(saturating):
    rate, data = saturating
    model = convert(rate, default_options(rate))
    renamed = Graph(
        tuple(replace(p, name="h") if p.name == "hidden" else p for p in rate.graph.populations),
        tuple(
            replace(q, **{end: "h" for end in ("pre", "post") if getattr(q, end) == "hidden"})
            for q in rate.graph.projections
        ),
        "x",
        "out",
    )
    for wrong, says in (
        (rate, "a rate model"),
        (replace(model, rate_graph=None), "no rate graph"),
        (replace(model, rate_graph=renamed), "population h"),
    ):
        with pytest.raises(SpecError, match=says):
            climbed(wrong, data)
    with pytest.raises(DatasetError, match="expected regression at every step"):
        climbed(replace(model, task="regression"), data)


def test_advice_without_a_filter_names_one():
    model = spiking(dense(), max_rate=900.0, settle_steps=0, readout_tau=0.0)
    found = ladder(model)
    assert found.blamed.name in ("spikes", "synapses and timing")
    for one in advise(found, model):
        assert one.options.get("readout_tau", 1) > 0
        assert one.options.get("settle_steps", 1) > 0


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_going_on_from_a_layer_is_the_rate_network_with_it_altered(data):
    graph = data.draw(graphs(("linear", "relu", "tanh", "lif_rate")))
    names = [p.name for p in graph.populations if p.name != graph.input]
    name = data.draw(st.sampled_from(names))
    lengths = np.array([3, 5, 5, 2])
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.normal(size=(4, 5, graph.input_size))
    activity = rng.normal(size=(4, graph[name].size))
    got = Onward(graph, x, lengths).outputs(name, activity)
    for sample, last in enumerate(lengths):
        steps = iter(range(last))
        alter = {name: lambda v, s=steps, n=last, b=sample: activity[b] if next(s) == n - 1 else v}
        want = run_reference(graph, x[sample : sample + 1, :last], alter=alter)
        np.testing.assert_allclose(got[sample], want[0, -1], atol=1e-9)


def test_a_layer_that_the_output_hears_of_too_late_has_nothing_to_go_on_from():
    populations = (Population("x", 1), Population("h", 2, Neuron("relu")), Population("out", 1))
    into, onto = Projection("x", "h", np.ones((2, 1))), np.ones((1, 2))
    x, lengths = np.ones((2, 3, 1)), np.array([3, 3])
    for delay in (0, 1):
        graph = Graph(populations, (into, Projection("h", "out", onto, delay=delay)), "x", "out")
        onward = Onward(graph, x, lengths)
        assert onward.reaches("h") == (delay == 0)
        changed = onward.outputs("h", np.full((2, 2), 7.0)) - run_reference(graph, x)[:, -1]
        assert (np.abs(changed) > 0).all() == onward.reaches("h")
    model = Model(graph, activity=measure_activity(graph, x))
    data = datasets.from_arrays(
        np.random.default_rng(0).uniform(0, 1, (8, 3, 1)), np.ones((8, 1)), task="regression last"
    )
    found = climbed(spiking(replace(model, task=data.test.task)), data.test)
    assert [layer.onward_error for step in found.steps for layer in step.layers][-1] is None


@pytest.mark.parametrize(("slow", "other"), [("hidden", "second"), ("second", "hidden")])
def test_the_layer_that_fires_too_little_is_told_from_the_other(slow, other):
    rates = {slow: 20.0, other: 500.0}
    found = climbed(spiking(two_layers(), rates=rates), images(12))
    last = found.steps[-1]
    first, second = last.layers
    added = {first.name: first.onward_error, second.name: second.onward_error - first.onward_error}
    assert added[slow] > 3 * abs(added[other])
    # The readout is linear, and activity is what it reads but for the last step's spikes.
    assert second.onward_error == pytest.approx(last.error, rel=0.2)
    page = Explanation(found, ()).to_markdown()
    assert "From here" in page
