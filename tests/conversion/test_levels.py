"""Level coding: the spikes of a step are a rate network's rounded activations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import spiking_lmu
from spiking_lmu.backends.registry import load_target
from spiking_lmu.conversion import Options, convert
from spiking_lmu.conversion import levels as coding
from spiking_lmu.conversion.levels import (
    FIRES_ABOVE,
    MOST_COPIES,
    Levels,
    code_model,
    comparator,
    current_of,
    fit_levels,
    input_digits,
    level_code,
    levels_at,
    lloyd_max,
    record,
    rounding,
    rounding_inputs,
    schedule,
    split_currents,
)
from spiking_lmu.conversion.measure import measure_activity, run_rate
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron, SpikingState, response
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.transforms import Convolution

from ..helpers.strategies import graphs

#: Rate neurons that can be level-coded, in ranges where all of them respond.
KINDS = ("linear", "relu", "tanh", "sigmoid", "lif_rate", "soft_lif")
INPUTS = 9


def lmu(kind="tanh", cell="recurrent", units=7, **options):
    graph = build(
        LmuSpec(order=6, theta=12.0, units=units, cell=cell, neuron=Neuron(kind), **options), seed=1
    )
    rng = np.random.default_rng(5)
    biased = [replace(graph["lmu.h"], bias=0.2 * rng.normal(size=units))]
    return graph.with_populations(biased), rng.uniform(-1, 1, (12, INPUTS, 1))


def fitted(graph, x, count=5, per_unit=False):
    recording = record(graph, x)
    levels = {
        name: fit_levels(graph[name].neuron, outputs, count, per_unit=per_unit)
        for name, outputs in recording.outputs.items()
    }
    return levels, recording.drives


def rounded_twin(graph, levels, drives, digits, x):
    """The rate graph with activations and host currents rounded: what the spikes should be.

    And which samples come nowhere so near a threshold that what a comparator keeps from the
    step before, e^-10 of it, could tip a spike.
    """
    split = split_currents(graph, schedule(graph))
    sure = np.ones(len(x), bool)

    def written(name):
        gain, largest = graph[name].gain, drives[name]
        return lambda current: rounding_inputs(gain * current, largest, digits) / gain

    def observe(step, values, totals):
        for name, fit in levels.items():
            current = graph[name].gain * totals[name] + graph[name].bias
            distance = np.abs(current[..., None] - fit.thresholds).min(axis=(1, 2))
            np.logical_and(sure, distance > 1e-4, out=sure)
            if drives.get(name, 0) > 0 and f"{name}.current" in totals:
                size = np.abs(graph[name].gain * totals[f"{name}.current"])
                size = size / drives[name] * (2**digits - 1)
                np.logical_and(sure, (np.abs(size % 1 - 0.5) > 1e-4).all(axis=1), out=sure)

    alter = dict(rounding(levels))
    alter |= {f"{n}.current": written(n) for n in levels if drives.get(n, 0) > 0}
    return run_reference(split, x, observe=observe, alter=alter), sure


def silent_at_zero(levels):
    """Whether units without spikes are 0, as all are before the first input."""
    return all((f.values[np.arange(len(f.values)), f.silent] == 0).all() for f in levels.values())


@pytest.mark.parametrize("per_unit", [False, True])
@pytest.mark.parametrize("cell", ["feedforward", "recurrent"])
@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_the_definition_is_the_rounded_rate_network(kind, cell, per_unit):
    graph, x = lmu(kind, cell)
    levels, drives = fitted(graph, x, 5, per_unit)
    coded, timing = level_code(graph, levels, drives, digits=6)
    assert timing.total_steps(INPUTS) == INPUTS
    got = run_reference(coded, x, timing)
    want, sure = rounded_twin(graph, levels, drives, 6, x)
    assert sure.sum() > 6
    if cell == "recurrent" and not silent_at_zero(levels):
        assert per_unit
        return
    np.testing.assert_allclose(got[sure], want[sure], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(graphs(kinds=KINDS, synapses=False), st.integers(2, 6), st.integers(3, 7), st.booleans())
def test_any_graph(graph, count, digits, per_unit):
    """At the end of each presentation every graph has the values of its rounded rate network."""
    x = np.random.default_rng(count).normal(size=(3, 5, graph.input_size))
    try:
        levels, drives = fitted(graph, x, count, per_unit)
        coded, timing = level_code(graph, levels, drives, digits=digits)
    except SpecError as error:
        if "never change" not in str(error) and "0 at most" not in str(error):
            raise
        return
    got = run_reference(coded, x, timing)[:, timing.presentation_ends(5)]
    want, sure = rounded_twin(graph, levels, drives, digits, x)
    if timing.steps_per_input > 1 or silent_at_zero(levels):
        scale = max(1.0, np.abs(want).max())
        np.testing.assert_allclose(got[sure], want[sure], atol=1e-7 * scale)


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float64, (4, 3), elements=st.floats(-3, 3, width=32)),
    st.integers(1, 10),
    st.floats(0.1, 2.0),
)
def test_digits_are_the_rounded_current(values, digits, largest):
    """Sign and digits, read as a binary number, are the current rounded and cut off."""
    gain = np.array([1.0, -0.5, 2.0])
    parts, links = input_digits("h", "x", gain, largest, digits, 0.001)
    weights = np.array([p.name for p in parts])
    assert list(weights) == [f"h.bit{b}" for b in reversed(range(digits))]
    read = [
        Projection(
            part.name,
            "out",
            2.0**b * np.concatenate([np.eye(3), -np.eye(3)], axis=1),
            name=f"read{b}",
        )
        for b, part in zip(reversed(range(digits)), parts, strict=True)
    ]
    graph = Graph((Population("x", 3), *parts, Population("out", 3)), (*links, *read), "x", "out")
    got = run_reference(graph, values[None])[0]
    unit = largest / (2**digits - 1)
    want = rounding_inputs(gain * values, largest, digits) / unit
    # A current within rounding of half a unit may fall on either side.
    sure = np.abs((np.abs(gain * values) / unit) % 1 - 0.5) > 1e-4
    np.testing.assert_allclose(got[sure], want[sure], atol=1e-9)
    assert np.abs(got).max() <= 2**digits - 1


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, st.integers(2, 60), elements=st.floats(-5, 5)), st.integers(2, 9))
def test_levels_lose_least(values, count):
    """Each level is the mean of its values, but for one at 0; more levels lose no more."""
    levels = lloyd_max(values, count)
    assert (np.diff(levels) >= 0).all()
    nearest = np.abs(values[:, None] - levels).min(axis=1)
    spread = np.abs(values - values.mean())
    allowed = (spread**2).sum() + 1e-9
    if values.min() <= 0 <= values.max():
        assert 0.0 in levels
        allowed = (values**2).sum() + 1e-9
    assert (nearest**2).sum() <= allowed


@given(
    st.sampled_from([k for k in KINDS if k != "linear"]),
    st.floats(0.2, 3.0),
    arrays(np.float64, 4, elements=st.floats(0.05, 0.9)),
)
def test_thresholds_invert_the_response(kind, amplitude, shares):
    scale = 0.01 if kind in ("lif_rate", "soft_lif") else 1.0
    neuron = Neuron(kind, amplitude=amplitude * scale)
    outputs = shares * amplitude
    np.testing.assert_allclose(
        response(neuron, current_of(neuron, outputs)), outputs, atol=1e-3 * amplitude
    )


@given(arrays(np.float64, (30, 5), elements=st.floats(-50, 50)))
def test_a_comparator_forgets(currents):
    """What it does in a step follows from that step's current alone, but for 5e-5 of it."""
    state = SpikingState(comparator(0.001), currents.shape[1:], 0.001)
    for current in currents:
        spiked = state.step(current)
        sure = np.abs(current - FIRES_ABOVE) > 1e-4
        np.testing.assert_array_equal(spiked[sure], (current > FIRES_ABOVE)[sure])


def test_spikes_count_outward_from_the_silent_level():
    """A unit at 0 costs nothing, one at either end as many spikes as levels are between."""
    values = np.array([[-1.0, -0.5, 0.0, 0.7]])
    graph = Graph(
        (Population("x", 1), Population("h", 1, Neuron("tanh")), Population("y", 1)),
        (Projection("x", "h"), Projection("h", "y")),
        "x",
        "y",
    )
    levels = {"h": levels_at(Neuron("tanh"), values)}
    coded, timing = level_code(graph, levels, {"h": 4.0}, digits=8)
    counts = []
    x = np.array([-4.0, -0.5, 0.05, 3.0])[None, :, None]
    outputs = run_reference(
        coded, x, timing, lambda step, seen, _: counts.append(seen["h.spikes"].sum())
    )
    assert counts == [2, 1, 0, 1]
    np.testing.assert_allclose(outputs[0, :, 0], values[0])


@pytest.mark.parametrize(
    "target", ["reference", pytest.param("nengo-dl", marks=pytest.mark.slow), "loihi"]
)
@pytest.mark.parametrize("feedback", [False, True])
def test_on_targets(target, feedback):
    """Spike for spike on hosts; on the chip, where weights have 8 bits, as its own emulator."""
    chosen = spiking_lmu.get_target(target)
    if problem := chosen.available():
        pytest.skip(problem)
    graph, x = lmu()
    if feedback:
        back = Projection("lmu.h", "lmu.u", 0.1 * np.ones((1, 7)), delay=1, name="back")
        graph = replace(graph, projections=(*graph.projections, back))
    model = convert(Model(graph), Options(code="level", levels=5), training_inputs=x)
    assert model.timing.steps_per_input == (3 if feedback else 1)
    outputs = run_reference(model.graph, x, model.timing)
    assert not [p for p in chosen.check(model) if p.severity == "error"]
    with chosen.deploy(model, INPUTS) as deployment:
        run = deployment.run(x)
        deployment.verify(x[:2], run.take([0, 1]))
    ends = model.timing.presentation_ends(INPUTS)
    if target != "loihi":
        np.testing.assert_allclose(run.outputs, outputs, atol=1e-5)
        return
    want = run_rate(graph, x)
    close = [np.sqrt(((o[:, ends] - want) ** 2).mean()) for o in (run.outputs, outputs)]
    assert close[0] < 1.5 * close[1] + 0.02


@pytest.mark.parametrize("count", [3, 8])
def test_a_recurrence_begins_at_rest_on_the_chip(count):
    """The chip runs a step before the first input comes, and its units have biases."""
    chosen = spiking_lmu.get_target("loihi")
    if problem := chosen.available():
        pytest.skip(problem)
    graph, x = lmu()
    graph = graph.with_populations([replace(graph["lmu.h"], bias=np.linspace(-2, 2, 7))])
    model = convert(Model(graph), Options(code="level", levels=count), training_inputs=x)
    outputs = run_reference(model.graph, x, model.timing)
    with chosen.deploy(model, INPUTS, arithmetic="real") as deployment:
        run = deployment.run(x)
    np.testing.assert_allclose(run.outputs, outputs, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (5, 3), elements=st.floats(-2, 2, width=32)), st.floats(0.4, 40.0))
def test_a_heavy_digit_is_sent_over_several_neurons(values, most):
    """What they stand for together is the digit; none stands for more than it may."""
    gain = np.array([1.0, -0.5, 2.0])
    one, _ = input_digits("h", "x", gain, 2.0, 5, 0.001)
    assert {p.size for p in one} == {6}
    parts, links = input_digits("h", "x", gain, 2.0, 5, 0.001, most)
    read = []
    for bit, part in zip(reversed(range(5)), parts, strict=True):
        times = part.size // 6
        assert 2.0**bit / times <= most or times == MOST_COPIES
        weights = np.tile(np.concatenate([np.eye(3), -np.eye(3)], axis=1), times)
        read.append(Projection(part.name, "out", 2.0**bit / times * weights, name=f"read{bit}"))
    graph = Graph((Population("x", 3), *parts, Population("out", 3)), (*links, *read), "x", "out")
    unit = 2.0 / 31
    want = rounding_inputs(gain * values, 2.0, 5) / unit
    sure = np.abs((np.abs(gain * values) / unit) % 1 - 0.5) > 1e-4
    got = run_reference(graph, values[None])[0]
    np.testing.assert_allclose(got[sure], want[sure], atol=1e-9)


@pytest.mark.parametrize("digits", [8, 10])
@pytest.mark.parametrize("start", [0.0, 3.0, 1000.0])
def test_many_digits_are_whole_numbers_on_the_chip(digits, start):
    """Each has twice the weight of the next, of both signs: nothing of a number is lost."""
    chosen = spiking_lmu.get_target("loihi")
    if problem := chosen.available():
        pytest.skip(problem)
    from spiking_lmu.targets.loihi.deployment import build as emulation

    graph, x = lmu(cell="feedforward")
    bias = np.full(7, start) if start < 10 else np.linspace(-start, start, 7)
    graph = graph.with_populations([replace(graph["lmu.h"], bias=bias)])
    options = Options(code="level", levels=5, input_bits=digits)
    model = convert(Model(graph), options, training_inputs=x)
    with emulation(model, model.graph, INPUTS, 0).simulator() as simulator:
        (block,) = simulator.model.blocks
        sizes = [np.unique(np.abs(np.concatenate(s.weights))) for s in block.synapses]
    of_digits = {int(size) for found in sizes for size in found if found.size == 1}
    lowest = min(of_digits)
    whole = {lowest * 2**k for k in range(7)}
    assert whole <= of_digits
    assert max(of_digits - whole) == 127 * 2 * 64  # of the neuron that sets the scale
    assert all(found.size == 1 for found in sizes)
    want = run_reference(model.graph, x, model.timing)
    with chosen.deploy(model, INPUTS) as deployment:
        got = deployment.run(x).outputs
    assert np.abs(got - want).max() < 0.02 * np.abs(want).max()


def heaviest(model):
    """The largest weights onto the units: from the host, and from one another."""
    found = {True: 0.0, False: 0.0}
    for p in model.graph.projections:
        if p.post == "lmu.h.spikes":
            values = p.transform.values if p.weights is None else p.weights
            on_host = model.graph[p.pre].on_host
            found[on_host] = max(found[on_host], np.abs(values).max())
    return found[True], found[False]


def test_weights_from_the_host_leave_those_between_units_their_bits(monkeypatch):
    """A chip has one scale for both; the finer the levels, the smaller a part a neuron carries."""
    graph, x = lmu(units=24)
    found = {}
    for share in (0.05, np.inf):
        monkeypatch.setattr(coding, "ROUNDING_SHARE", share)
        for count in (3, 33):
            options = Options(code="level", levels=count)
            found[share, count] = heaviest(convert(Model(graph), options, training_inputs=x))
    for host, between in found.values():
        assert host <= 64 * between * (1 + 1e-9)
    fine, coarse = found[0.05, 33], found[0.05, 3]
    assert fine[0] < 0.5 * found[np.inf, 33][0]
    assert fine[0] < 0.5 * coarse[0]


@pytest.mark.parametrize("kind", ["tanh", "relu", "sigmoid"])
def test_error_falls_as_levels_grow(kind):
    graph, x = lmu(kind, units=12)
    want, errors = run_rate(graph, x), []
    for count in (3, 9, 33):
        options = Options(code="level", levels=count, input_bits=10)
        model = convert(Model(graph), options, training_inputs=x)
        got = run_reference(model.graph, x, model.timing)
        errors.append(np.sqrt(((got - want) ** 2).mean() / (want**2).mean()))
    assert errors[2] < 0.6 * errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("dt", [0.0005, 0.001, 0.002])
def test_a_model_knows_that_it_is_level_coded_at_any_step(dt):
    graph, x = lmu()
    model = Model(graph, activity=measure_activity(graph, x))
    assert convert(model, code="level", training_inputs=x, dt=dt).level_coded
    assert not convert(model, code="rate", neuron="lif", dt=dt).level_coded


def test_without_data_levels_are_even():
    graph, x = lmu()
    model = Model(graph, activity=measure_activity(graph, x))
    coded = convert(model, Options(code="level", levels=9))
    got, want = run_reference(coded.graph, x, coded.timing), run_rate(graph, x)
    assert np.sqrt(((got - want) ** 2).mean() / (want**2).mean()) < 0.5
    with pytest.raises(SpecError, match="no measured activity"):
        code_model(Model(graph), 5)


def test_timing_follows_from_the_ways_through_a_chip():
    """One step where all that arrives together was sent together; else room for the longest."""
    recurrent, _ = lmu()
    assert schedule(recurrent).steps_per_input == 1
    stacked = build(LmuSpec(order=4, theta=9.0, units=5, layers=2, neuron=Neuron("relu")), seed=0)
    # The second layer has the first one's spikes a step later, and its memory's two.
    skip = Projection("x", "lmu2.h", np.ones((5, 1)), name="skip")
    assert schedule(stacked).steps_per_input == 1
    skipping = replace(stacked, projections=(*stacked.projections, skip))
    assert schedule(skipping).steps_per_input > 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"levels": 1}, "levels"),
        ({"levels": 66}, "levels"),
        ({"input_bits": 0}, "input_bits"),
        ({"code": "phase"}, "code"),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(SpecError, match=said):
        Options(**options)


def test_a_population_that_never_changes_is_named():
    graph, x = lmu("relu", "feedforward")
    dead = graph.with_populations([replace(graph["lmu.h"], bias=np.full(7, -100.0))])
    with pytest.raises(SpecError, match="never change"):
        convert(Model(dead), Options(code="level"), training_inputs=x)


@pytest.mark.parametrize("cell", ["feedforward", "recurrent"])
@pytest.mark.parametrize("every", [False, True])
def test_padding_decides_no_levels(cell, every):
    """Whatever comes after a sample's end, in batches as one by one."""
    graph, x = lmu("tanh", cell)
    lengths = np.array([3, INPUTS, 5, 1] * 3)
    padded = x.copy()
    padded[np.arange(INPUTS) >= lengths[:, None]] = 50.0
    got = record(graph, padded, every=every, lengths=lengths)
    ones = [record(graph, x[i : i + 1, :n], every=every) for i, n in enumerate(lengths)]
    # A batch adds in another order than one sample does.
    assert got.drives["lmu.h"] == pytest.approx(max(one.drives["lmu.h"] for one in ones), 1e-12)
    want = np.concatenate([one.outputs["lmu.h"] for one in ones])
    assert len(want) == (sum(lengths) if every or cell == "recurrent" else len(lengths))
    np.testing.assert_allclose(np.sort(got.outputs["lmu.h"], axis=0), np.sort(want, axis=0))


def test_each_batch_has_its_own_lengths(monkeypatch):
    graph, x = lmu("tanh", "feedforward")
    lengths = np.array([3, INPUTS, 5, 1] * 3)
    whole = record(graph, x, every=True, lengths=lengths).outputs["lmu.h"]
    monkeypatch.setattr(run_rate, "__kwdefaults__", {**run_rate.__kwdefaults__, "batch": 5})
    parts = record(graph, x, every=True, lengths=lengths).outputs["lmu.h"]
    np.testing.assert_allclose(np.sort(parts, axis=0), np.sort(whole, axis=0))


@pytest.mark.parametrize("memory", [{}, {"memory": "line", "bits": 2}])
def test_ragged_data_convert_as_if_there_were_no_padding(memory):
    """Levels, digits and signs of a line, of data whose padding would change them if it could."""
    graph, x = lmu("relu", "feedforward")
    data = spiking_lmu.datasets.from_arrays(
        [one[:n] + 3.0 for one, n in zip(x, [4, INPUTS, 6] * 4, strict=True)],
        np.arange(12) % 2,
        test=(x, np.arange(12) % 2),
    ).train
    scaling = spiking_lmu.graph.task.Scaling((1.0,), (2.0,))
    model = Model(graph, scaling=scaling)
    coded = convert(model, Options(code="level", **memory), training_inputs=data)
    beside = replace(data, x=np.where(data.mask[..., None], data.x, -90.0).astype(np.float32))
    again = convert(model, Options(code="level", **memory), training_inputs=beside)
    assert again.digest == coded.digest
    if memory:  # No negative inputs: none of the line's neurons are for them.
        assert coded.graph["line.bit0"].size == 1


def test_rounding_per_unit_and_together_agree():
    values = np.array([-0.9, -0.2, 0.0, 0.3, 0.8])
    one = levels_at(Neuron("tanh"), np.array([[-1.0, 0.0, 0.5]]))
    each = Levels(*(np.repeat(a, 5, axis=0) for a in (one.values, one.thresholds, one.middles)))
    np.testing.assert_array_equal(one.round(values[None]), each.round(values[None]))
    np.testing.assert_array_equal(one.round(values[None])[0], [-1.0, 0.0, 0.0, 0.5, 0.5])


@pytest.mark.parametrize("count", [2, 5, 65])
def test_rounding_takes_the_level_between_whose_middles_a_value_is(count):
    rng = np.random.default_rng(count)
    fitted = levels_at(Neuron("tanh"), np.sort(rng.uniform(-1, 1, (1, count))))
    values = np.concatenate([rng.uniform(-1, 1, 200), fitted.middles[0]])[None]
    expected = fitted.values[0][np.searchsorted(fitted.middles[0], values)]
    np.testing.assert_array_equal(fitted.round(values), expected)


@pytest.mark.parametrize("cell", ["recurrent", "feedforward"])
def test_no_result_depends_on_threads(cell):
    spec = LmuSpec(order=6, theta=20.0, units=9, cell=cell, output_size=3, neuron=Neuron("tanh"))
    graph, x = build(spec, seed=1), np.random.default_rng(2).normal(size=(23, 20, 1))
    alone = run_rate(graph, x, batch=4)
    np.testing.assert_array_equal(run_rate(graph, x, batch=4, threads=3), alone)
    np.testing.assert_allclose(run_rate(graph, x), alone, rtol=1e-10, atol=1e-12)


def convolutional(seed=0):
    """A rate graph of two convolutions and a readout, and inputs."""
    rng = np.random.default_rng(seed)
    first = Convolution((6, 6, 1), rng.normal(size=(3, 3, 1, 3)))
    second = Convolution(first.output_shape, rng.normal(size=(3, 3, 3, 4)))
    graph = Graph(
        (
            Population("image", 36),
            Population("one", first.shape[0], Neuron("relu"), gain=rng.uniform(0.5, 1.5, 48)),
            Population("two", second.shape[0], Neuron("tanh"), bias=rng.normal(size=16)),
            Population("classes", 3),
        ),
        (
            Projection("image", "one", first),
            Projection("one", "two", second),
            Projection("two", "classes", rng.normal(size=(3, 16))),
        ),
        "image",
        "classes",
    )
    return graph, rng.uniform(-1, 1, (20, 1, 36))


@pytest.mark.parametrize("most", [0, 1 << 24])
def test_convolutions_between_levels_are_numbers_where_weights_would_be_too_many(monkeypatch, most):
    monkeypatch.setattr(coding, "MOST_STRAIGHT", most)
    graph, x = convolutional()
    levels, drives = fitted(graph, x)
    coded, timing = level_code(graph, levels, drives, digits=12)
    numbers = coding.through_numbers(graph, schedule(graph), 5)
    assert numbers is (most == 0)
    kept = [p for p in coded.projections if isinstance(p.transform, Convolution)]
    assert [p.transform.kernel.size for p in kept] == ([27, 108] if numbers else [27])
    want = run_rate(graph, x, alter=rounding(levels))
    got = run_reference(coded, x, timing)
    # Twelve binary digits of what enters are not quite the number.
    assert np.isclose(got, want).all(axis=2).mean() >= (1.0 if numbers else 0.9)


def test_a_chip_refuses_levels_that_numbers_decide(monkeypatch):
    monkeypatch.setattr(coding, "MOST_STRAIGHT", 0)
    graph, x = convolutional()
    spiking = convert(Model(graph), Options(code="level"), training_inputs=x)
    (one, two) = load_target("loihi").check(spiking)
    assert one.severity == two.severity == "error"
    assert "code='rate'" in one.fix
