"""A linear memory as a line of spikes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.analysis.fitting import out_of_range
from spiking_lmu.conversion import convert
from spiking_lmu.conversion.convert import Options, default_options
from spiking_lmu.conversion.line import CODES, RESETS, LineCode, code_of, line_memory
from spiking_lmu.conversion.measure import measure_activity
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build, window
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference

INPUTS, UNITS = 18, 9


def installed(target: str) -> None:
    reason = spiking_lmu.get_target(target).available()
    if reason:
        pytest.skip(reason)


def rate_model(
    channels: int = 1, biases: bool = True, low: float = 0.0
) -> tuple[Model, np.ndarray]:
    """A small untrained LMU and inputs to it, from ``low`` to 1."""
    rng = np.random.default_rng(3)
    graph = build(LmuSpec(channels, 3, 6, float(INPUTS), UNITS), seed=1)
    if biases:
        hidden = replace(graph["lmu.h"], bias=0.2 * rng.normal(size=UNITS))
        readout = replace(graph["readout"], bias=np.array([0.1, -0.2, 0.3]), gain=np.full(3, 1.5))
        graph = graph.with_populations([hidden, readout])
    x = rng.uniform(low, 1.0, (6, INPUTS, channels))
    return Model(graph, activity=measure_activity(graph, x)), x


def line_model(
    bits: int = 1, channels: int = 1, low: float = 0.0, **options
) -> tuple[Model, Model, np.ndarray]:
    model, x = rate_model(channels, low=low)
    chosen = default_options(model, memory="line", bits=bits, **options)
    return convert(model, chosen, training_inputs=x), model, x


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    steps = 2**bits - 1
    return np.sign(x) * np.floor(np.abs(x) * steps + 0.5) / steps


def spikes(model: Model, x: np.ndarray) -> dict[str, np.ndarray]:
    """By population (samples, steps, size), as the definition has them."""
    trains: dict[str, list[np.ndarray]] = {p.name: [] for p in model.graph.spiking}

    def observe(step, values, totals):
        for name, train in trains.items():
            train.append(values[name] > 0)

    run_reference(model.graph, x, model.timing, observe)
    return {name: np.stack(train, axis=1) for name, train in trains.items()}


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize(("channels", "low"), [(1, 0.0), (2, -1.0)])
def test_it_computes_the_memory_of_rounded_inputs(bits, channels, low):
    errors = []
    for steps in (100, 800):
        spiking, rate, x = line_model(
            bits, channels, low, settle_steps=steps, synapse_tau=steps / 3000.0, readout_tau=5.0
        )
        wanted = run_reference(rate.graph, rounded(x, bits))[:, -1]
        got = run_reference(spiking.graph, x, spiking.timing)[:, -1]
        errors.append(np.abs(got - wanted).max() / np.abs(wanted).max())
    assert errors[0] < 0.12
    assert errors[1] < errors[0] / 4


@pytest.mark.parametrize("options", [{}, {"reset": "subtract"}, {"code": "level", "levels": 17}])
@pytest.mark.parametrize("line_code", CODES)
def test_inputs_of_any_size_are_held_as_those_from_minus_one_to_one(options, line_code):
    rate, x = rate_model(2, low=-1.0)
    sizes = np.array([30.0, 0.25]) / np.abs(x).max(axis=(0, 1))
    into = next(p for p in rate.graph.projections if p.pre == "x")
    smaller = into.with_weights(into.transform.matrix(2) * np.abs(x).max(axis=(0, 1)))
    larger = into.with_weights(into.transform.matrix(2) / sizes)
    answers = []
    for scaled, projection in ((x / np.abs(x).max(axis=(0, 1)), smaller), (sizes * x, larger)):
        others = (p for p in rate.graph.projections if p is not into)
        graph = replace(rate.graph, projections=(projection, *others))
        model = Model(graph, activity=measure_activity(graph, scaled))
        spiking = convert(
            model, memory="line", bits=3, line_code=line_code, training_inputs=scaled, **options
        )
        answers.append(run_reference(spiking.graph, scaled, spiking.timing)[:, -1])
        code = code_of(spiking.graph)
        assert (code.bits, code.signed, code.code) == (3, True, line_code)
    np.testing.assert_allclose(code.spans, [30.0, 0.25])
    np.testing.assert_allclose(*answers, rtol=1e-6, atol=1e-6 * np.abs(answers[0]).max())
    held = code.rounded(sizes * x) if line_code == "magnitude" else sizes * x
    assert np.abs(held - sizes * x).max() <= 30.0 / 14 + 1e-9
    assert not code.beyond(sizes * x).any()
    assert code.beyond(np.array([[31.0, 0.1], [0.0, -0.3]])).tolist() == [[1, 0], [0, 1]]


def test_what_a_line_cannot_hold_of_other_data_is_told():
    rate, x = rate_model()
    spiking = convert(rate, memory="line", training_inputs=x)
    labels = np.arange(len(x)) % 3
    for data, told in ((x, ""), (x - 0.5, "beyond what the line of spikes holds, in 1 of 1")):
        splits = spiking_lmu.datasets.from_arrays(data, labels, test=(data, labels))
        assert told in out_of_range(spiking, splits.test)
        assert bool(told) == bool(out_of_range(spiking, splits.test))
    assert code_of(rate.graph) is None


def test_the_whole_window_leaves_at_once_and_the_line_is_empty_afterwards():
    spiking, _, x = line_model(bits=2)
    trains = spikes(spiking, x)
    levels = np.floor(x[:, :, 0] * 3 + 0.5).astype(int)
    for bit in range(2):
        gate = trains[f"line.gate{bit}"]
        # "Go" comes in the step after the last input, the volley a step later, newest first.
        np.testing.assert_array_equal(gate[:, INPUTS + 1], (levels[:, ::-1] >> bit) & 1)
        assert gate.sum() == gate[:, INPUTS + 1].sum()
        line = trains[f"line.{bit}"]
        assert line[:, : INPUTS + 1].any()
        assert not line[:, INPUTS + 1 :].any()
        # A spike moves one stage a step.
        np.testing.assert_array_equal(line[:, 1:INPUTS, 1:], line[:, : INPUTS - 1, :-1])


@pytest.mark.parametrize("bits", [1, 3])
def test_sigma_delta_hands_what_is_rounded_off_to_the_next_input(bits):
    model, x = rate_model(low=-1.0)
    slow = np.repeat(0.3 * x[:, :1], INPUTS, axis=1)
    chosen = default_options(model, memory="line", bits=bits, line_code="sigma-delta")
    trains = spikes(convert(model, chosen, training_inputs=x), slow)
    sent = sum(
        value * trains[f"line.bit{bit}"][:, :INPUTS]
        for bit, value in enumerate(LineCode(bits).values())
    )
    signed = sent[:, :, 0] - sent[:, :, 1]
    code = LineCode(bits, signed=True, code="sigma-delta")
    np.testing.assert_allclose(signed, code.rounded(slow)[:, :, 0], atol=1e-12)
    total = np.cumsum(slow[:, :, 0], axis=1)
    assert np.abs(np.cumsum(signed, axis=1) - total).max() < 1.0 / (2**bits - 1) + 1e-9
    # Rounding each by itself is off by as much at every input.
    alone = np.cumsum(LineCode(bits, signed=True).rounded(slow)[:, :, 0], axis=1)
    assert np.abs(alone - total).max() > 1.0 / (2**bits - 1)


@pytest.mark.parametrize("bits", [3, 6])
@pytest.mark.parametrize("code", CODES)
def test_what_rounding_does_to_a_memory_follows_from_its_impulse_response(bits, code):
    front = split(build(LmuSpec(1, 2, 5, 40.0, 4)))
    steps = np.arange(3000.0)
    x = 0.5 + 0.4 * np.sin(0.05 * steps) + 0.1 * np.sin(0.0831 * steps + 1.0)
    x = x[None, :, None]
    error = front.deliver(LineCode(bits, code=code).rounded(x)) - front.deliver(x)
    response = front.impulse_response(200)[0]
    if code == "sigma-delta":
        # Each error is taken off again with the next input.
        response = np.diff(response, axis=0, prepend=0.0)
    wanted = np.sqrt((response**2).sum() / 12) / (2**bits - 1)
    got = np.sqrt((error[:, 200:] ** 2).mean(axis=(0, 1)).sum())
    # Rounding is no noise: neighbouring errors of so slow a signal are alike.
    alike = 1.35 if code == "sigma-delta" else 2.5
    assert wanted / 1.35 < got < alike * wanted


def whole_spikes(rate: Model, x: np.ndarray, spiking: Model) -> np.ndarray:
    """How many thresholds the current of each hidden neuron holds, (samples, units)."""
    current = np.zeros((len(x), UNITS))

    def observe(step, values, totals):
        current[...] = values["lmu.h"]

    run_reference(rate.graph, x, observe=observe)
    spikes = spiking.graph.dt / spiking.graph["lmu.h"].neuron.amplitude
    most = spiking.timing.settle_steps - 3
    return np.clip(np.floor(spikes * current + 0.5), 0, most)


@pytest.mark.parametrize(
    ("target", "gain"),
    [
        ("reference", 1.0),
        ("reference", -2.0),
        pytest.param("nengo-dl", -2.0, marks=pytest.mark.slow),
        ("loihi", -2.0),
    ],
)
def test_a_neuron_that_subtracts_its_threshold_counts_what_is_in_a_volley(target, gain):
    installed(target)
    rate, x = rate_model(2, low=-1.0)
    hidden = replace(rate.graph["lmu.h"], gain=np.full(UNITS, gain))
    rate = replace(rate, graph=rate.graph.with_populations([hidden]))
    rate = replace(rate, activity=measure_activity(rate.graph, x))
    spiking = convert(rate, memory="line", bits=2, reset="subtract", training_inputs=x)
    wanted = whole_spikes(rate, rounded(x, 2), spiking)
    assert wanted.max() >= 4
    with spiking_lmu.get_target(target).deploy(spiking, INPUTS) as deployment:
        run = deployment.run(x)
        deployment.verify(x[:2], run.take([0, 1]))
    counts = run.spikes["lmu.h"]
    if target == "loihi":
        # Weights have eight bits there: a current near the middle of two counts may fall.
        assert np.abs(counts - wanted).max() <= 1
        assert (counts == wanted).mean() > 0.8
    else:
        np.testing.assert_array_equal(counts, wanted)
    # What the readout says is what the counts say.
    amplitude = spiking.graph["lmu.h"].spike_size(spiking.timing.dt)
    by_name = {p.name: p for p in rate.graph.projections}
    readout = rate.graph["readout"]
    said = readout.gain * (amplitude * counts @ by_name["readout_weights"].weights.T)
    said = said + readout.bias
    np.testing.assert_allclose(run.outputs[:, -1], said, rtol=3e-3, atol=3e-3 * np.abs(said).max())


def test_more_steps_are_finer_counts():
    rate, x = rate_model()
    wanted = run_reference(rate.graph, rounded(x, 1))[:, -1]
    errors = []
    chosen = {"memory": "line", "reset": "subtract", "max_rate": 400.0}
    for steps in (12, 120):
        spiking = convert(rate, settle_steps=steps, training_inputs=x, **chosen)
        got = run_reference(spiking.graph, x, spiking.timing)[:, -1]
        errors.append(np.abs(got - wanted).max() / np.abs(wanted).max())
    assert errors[0] < 0.25
    assert errors[1] < errors[0] / 4


@pytest.mark.parametrize("target", ["reference", "nengo-dl", "loihi"])
def test_targets_give_the_spikes_of_the_definition(target):
    installed(target)
    spiking, _, x = line_model(bits=2, channels=2, low=-1.0)
    wanted = {name: train.sum(axis=1) for name, train in spikes(spiking, x).items()}
    adapter = spiking_lmu.get_target(target)
    with adapter.deploy(spiking, INPUTS) as deployment:
        run = deployment.run(x)
        deployment.verify(x[:2], run.take([0, 1]))
    assert {n for n, p in deployment.placement.items() if p == "host"} >= (
        {"line.go", "line.bit0", "line.bit1"} if target == "loihi" else set()
    )
    hidden = [run.spikes.pop("lmu.h"), wanted.pop("lmu.h")]
    for name, counts in wanted.items():
        np.testing.assert_array_equal(run.spikes[name], counts, err_msg=name)
    if target == "reference":
        np.testing.assert_array_equal(*hidden)
    elif target == "nengo-dl":
        assert np.abs(hidden[0] - hidden[1]).max() <= 1
    else:
        # Weights have eight bits there, and a neuron forgets what is above its threshold.
        assert np.abs(hidden[0] - hidden[1]).max() <= 0.2 * hidden[1].max()
    outputs = run_reference(spiking.graph, x, spiking.timing)[:, -1]
    tolerance = {"reference": 1e-9, "nengo-dl": 0.03, "loihi": 0.15}[target]
    assert np.abs(run.outputs[:, -1] - outputs).max() < tolerance * np.abs(outputs).max()


def test_a_window_without_a_legendre_memory():
    rng = np.random.default_rng(0)
    graph = window(INPUTS, UNITS, 3)
    projections = [
        p.with_weights(rng.normal(size=p.weights.shape)) if p.trainable else p
        for p in graph.projections
    ]
    graph = replace(graph, projections=tuple(projections))
    x = rng.random((4, INPUTS, 1))
    by_name = {p.name: p for p in graph.projections}
    hidden = np.maximum(x[:, :, 0] @ by_name["lmu.m_to_h"].weights.T, 0.0)
    np.testing.assert_allclose(
        run_reference(graph, x)[:, -1], hidden @ by_name["readout_weights"].weights.T
    )
    model = Model(graph, activity=measure_activity(graph, x))
    spiking = convert(model, default_options(model, memory="line"), training_inputs=x)
    assert spiking.graph["line.0"].size == INPUTS


def test_without_data_the_window_is_as_long_as_the_memory():
    model, _ = rate_model()
    spiking = convert(model, default_options(model, memory="line"))
    # A little longer than theta: the Legendre window has no sharp end.
    assert INPUTS <= spiking.graph["line.0"].size < 2 * INPUTS


@pytest.mark.parametrize("dt", [0.0005, 0.004])
@pytest.mark.parametrize("reset", RESETS)
def test_a_window_in_seconds_is_so_many_steps_of_any_length(dt, reset):
    """A memory of 9 ms, say, has 18 inputs at 0.5 ms, and what it does depends on inputs alone."""
    theta = INPUTS * dt
    graph = build(LmuSpec(1, 3, 6, theta / dt, UNITS), seed=1)
    x = np.random.default_rng(3).random((4, INPUTS, 1))
    model = Model(graph, activity=measure_activity(graph, x))
    spiking, usual = (
        convert(
            model,
            memory="line",
            reset=reset,
            training_inputs=x,
            dt=step,
            readout_tau=1000 * step,
            synapse_tau=50 * step,
            max_rate=0.5 / step,
        )
        for step in (dt, 0.001)
    )
    got, wanted = (run_reference(m.graph, x, m.timing)[:, -1] for m in (spiking, usual))
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def feeding_back() -> Graph:
    graph = build(LmuSpec(1, 3, 6, 18.0, 5))
    back = Projection("lmu.h", "lmu.u", np.ones((1, 5)), delay=1, name="back")
    return replace(graph, projections=(*graph.projections, back))


def stacked() -> Graph:
    return build(LmuSpec(1, 3, 6, 18.0, 5, layers=2))


def recurrent() -> Graph:
    return build(LmuSpec(1, 3, 6, 18.0, 5, cell="recurrent"))


def gathering() -> Graph:
    graph = build(LmuSpec(1, 3, 6, 18.0, 5))
    back = Projection("readout", "readout", np.full(3, 0.9), delay=1, name="gathers")
    return replace(graph, projections=(*graph.projections, back))


def no_memory() -> Graph:
    return Graph(
        (Population("x", 2), Population("h", 3, Neuron("relu")), Population("y", 2)),
        (Projection("x", "h", np.ones((3, 2))), Projection("h", "y", np.ones((2, 3)))),
        "x",
        "y",
    )


@pytest.mark.parametrize(
    ("make", "reason", "levels"),
    [
        (feeding_back, "lmu.m, which is driven by lmu.h|lmu.h, which feeds back into lmu.u", False),
        (recurrent, "lmu.h, which feeds back into lmu.h", True),
        (stacked, "lmu2.m, which is driven by lmu.h", True),
        (gathering, "readout, which is driven by lmu.h", True),
        (no_memory, "no memory that only the input drives", False),
    ],
)
def test_what_a_line_cannot_hold_is_refused_with_a_way_out_that_works(make, reason, levels):
    graph = make()
    x = np.random.default_rng(0).random((3, 18, graph.input_size))
    model = Model(graph, activity=measure_activity(graph, x))
    with pytest.raises(SpecError, match=reason) as refused:
        convert(model, default_options(model, memory="line"))
    assert ("code='level'" in refused.value.fix) == levels
    assert "memory='host'" in refused.value.fix
    if levels:
        spiking = convert(model, memory="line", code="level", training_inputs=x)
        assert run_reference(spiking.graph, x, spiking.timing).shape[1] == 18
    assert convert(model, memory="host", training_inputs=x).graph.spiking


def test_lif_neurons_and_short_timings_are_refused():
    model, _ = rate_model()
    with pytest.raises(SpecError, match="neuron: got 'lif' with memory='line'"):
        convert(model, default_options(model, memory="line", neuron="lif"))
    for wrong in ({"steps_per_input": 2}, {"settle_steps": 2}, {"readout_tau": 0.0}):
        with pytest.raises(SpecError, match=next(iter(wrong))):
            convert(model, default_options(model, memory="line", **wrong))
    with pytest.raises(SpecError, match="bits"):
        Options(memory="line", bits=9)
    with pytest.raises(SpecError, match="line_code"):
        LineCode(2, code="delta")
    with pytest.raises(SpecError, match="reset: got 'soft'"):
        Options(memory="line", reset="soft")
    with pytest.raises(SpecError, match="reset: got 'subtract' with memory='host'"):
        Options(reset="subtract")
    with pytest.raises(
        SpecError, match="reset: got 'subtract' with memory='line' and code='level'"
    ):
        Options(memory="line", code="level", reset="subtract")
    with pytest.raises(SpecError, match="memory"):
        Options(memory="chip")


def test_the_pass_leaves_the_graph_it_was_given_alone():
    model, _ = rate_model()
    options = default_options(model, memory="line")
    before = model.digest
    convert(model, options)
    assert model.digest == before
    assert callable(line_memory)
