"""Level-coded units that read a line at every step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.conversion import convert
from spiking_lmu.conversion.levels import fit_levels, record, rounding
from spiking_lmu.conversion.line import LineCode
from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task
from spiking_lmu.graph.timing import Timing

INPUTS, UNITS, LEVELS = 15, 7, 4


def made(cell: str = "recurrent", channels: int = 1, layers: int = 1, **spec) -> Graph:
    """An untrained network whose neurons do feed back, if they can."""
    graph = build(LmuSpec(channels, 2, 4, 9.0, UNITS, cell=cell, layers=layers, **spec), seed=2)
    rng = np.random.default_rng(0)
    projections = [
        p.with_weights(rng.normal(size=p.weights.shape) / 3) if p.name == "lmu.h_to_h" else p
        for p in graph.projections
    ]
    return replace(graph, projections=tuple(projections))


def signals(channels: int = 1, low: float = -1.0, samples: int = 20) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform(low, 1.0, (samples, INPUTS, channels))


def converted(graph: Graph, x: np.ndarray, bits: int = 3, **options) -> Model:
    return convert(
        Model(graph),
        memory="line",
        code="level",
        bits=bits,
        levels=LEVELS,
        window=INPUTS,
        training_inputs=x,
        **options,
    )


def expected(graph: Graph, x: np.ndarray, code: LineCode) -> np.ndarray:
    """The rate network on inputs as the line rounds them, its activations rounded to levels."""
    rounded = code.rounded(x)
    recording = record(graph, rounded)
    names = [p.name for p in graph.populations if p.neuron.kind != "linear"]
    levels = {n: fit_levels(graph[n].neuron, recording.outputs[n], LEVELS) for n in names}
    return run_rate(graph, rounded, alter=rounding(levels))


@pytest.mark.parametrize("cell", ["feedforward", "recurrent"])
@pytest.mark.parametrize(("channels", "low"), [(1, 0.0), (2, -1.0)])
def test_it_is_the_rate_network_with_rounded_inputs_and_activations(cell, channels, low):
    graph, x = made(cell, channels), signals(channels, low)
    spiking = converted(graph, x)
    assert spiking.timing == Timing(1, 0, 0.0)
    # Nothing but comparators stays on the host, besides the input and the readout.
    linear = {p.name for p in spiking.graph.populations if p.neuron.kind == "linear"}
    assert linear == {"x", "lmu.h", "readout"}
    got = run_reference(spiking.graph, x, spiking.timing)
    wanted = expected(graph, x, LineCode(3, signed=low < 0))
    # An answer at every input, not at the last alone.
    np.testing.assert_allclose(got, wanted, atol=1e-9)


def test_a_second_layer_keeps_its_memory_on_the_host():
    graph, x = made("feedforward", layers=2), signals()
    spiking = converted(graph, x, input_bits=12)
    assert {"lmu2.m", "lmu2.h.bit11"} <= {p.name for p in spiking.graph.populations}
    assert "lmu.m" not in {p.name for p in spiking.graph.populations}
    got = run_reference(spiking.graph, x, spiking.timing)[:, -1]
    wanted = expected(graph, x, LineCode(3, signed=True))[:, -1]
    # Its currents have twelve bits: now and then a unit near a threshold is a level off.
    assert np.median(np.abs(got - wanted)) < 0.01 * np.abs(wanted).max()


def test_sigma_delta_codes_slow_signals():
    graph = made("feedforward")
    x = np.sin(np.linspace(0.0, 3.0, INPUTS) + np.linspace(0, 6, 20)[:, None])[:, :, None]
    spiking = converted(graph, x, bits=1, line_code="sigma-delta")
    got = run_reference(spiking.graph, x, spiking.timing)
    wanted = expected(graph, x, LineCode(1, True, "sigma-delta"))
    np.testing.assert_allclose(got, wanted, atol=1e-9)


@pytest.mark.parametrize("target", ["reference", "nengo-dl", "loihi"])
@pytest.mark.parametrize(
    ("cell", "layers"),
    [("feedforward", 1), ("recurrent", 1), pytest.param("feedforward", 2, marks=pytest.mark.slow)],
)
def test_targets_give_the_spikes_of_the_definition(target, cell, layers):
    adapter = spiking_lmu.get_target(target)
    if adapter.available():
        pytest.skip(adapter.available())
    x = signals(2, samples=6)
    spiking = converted(made(cell, 2, layers), x, bits=2, input_bits=8)
    outputs = run_reference(spiking.graph, x, spiking.timing)
    with adapter.deploy(spiking, INPUTS) as deployment:
        run = deployment.run(x)
        deployment.verify(x[:2], run.take([0, 1]))
    size = np.abs(outputs).max()
    if target == "loihi":
        # Weights of eight bits: a current near a threshold may fall on its other side.
        assert np.median(np.abs(run.outputs - outputs)) < 1e-6 * size
    else:
        np.testing.assert_allclose(run.outputs, outputs, atol=1e-5 * size)


def answering(cell: str = "feedforward", activation: str = "relu", channels: int = 1) -> Model:
    """A network with an answer at every input, and units that would spike without a volley."""
    graph = made(cell, channels)
    rng = np.random.default_rng(4)
    hidden = replace(
        graph["lmu.h"],
        neuron=Neuron(activation),
        bias=rng.normal(size=UNITS),
        gain=np.full(UNITS, -2),
    )
    readout = replace(graph["readout"], bias=np.array([0.5, -1.0]))
    return Model(graph.with_populations([hidden, readout]), task=Task("regression", "every"))


def at_gates(model: Model, x: np.ndarray, bits: int, every: int) -> np.ndarray:
    """What the rate network, rounded, says where the gate opens; from the first time on, held."""
    graph, rounded = model.graph, LineCode(bits, signed=bool((x < 0).any())).rounded(x)
    outputs = record(graph, rounded, every=True).outputs["lmu.h"]
    levels = {"lmu.h": fit_levels(graph["lmu.h"].neuron, outputs, LEVELS)}
    said = run_rate(graph, rounded, alter=rounding(levels))
    return np.repeat(said[:, every - 1 :: every], every, axis=1)[:, : INPUTS - every + 1]


@pytest.mark.parametrize(
    ("target", "every", "activation", "channels"),
    [
        ("reference", 4, "relu", 2),
        ("reference", 2, "tanh", 1),
        ("nengo-dl", 4, "relu", 1),
        ("loihi", 4, "relu", 1),
        ("loihi", 7, "tanh", 2),
    ],
)
def test_a_gate_asks_for_an_answer_at_every_nth_input(target, every, activation, channels):
    adapter = spiking_lmu.get_target(target)
    if adapter.available():
        pytest.skip(adapter.available())
    model, x = answering(activation=activation, channels=channels), signals(channels, samples=6)
    options = {"memory": "line", "code": "level", "bits": 2, "levels": LEVELS, "window": INPUTS}
    spiking = convert(model, training_inputs=x, every=every, **options)
    assert spiking.level_coded
    assert spiking.graph.answers_every == every
    wanted = at_gates(model, x, 2, every)
    outputs = run_reference(spiking.graph, x, spiking.timing)
    np.testing.assert_allclose(outputs[:, every - 1 :], wanted, atol=1e-9)
    # Before the first answer all is silent.
    assert np.ptp(outputs[:, : every - 1], axis=(0, 1)).max() == 0
    with adapter.deploy(spiking, INPUTS) as deployment:
        run = deployment.run(x)
        deployment.verify(x[:2], run.take([0, 1]))
    if target == "loihi":
        assert np.median(np.abs(run.outputs - outputs)) < 1e-6 * np.abs(outputs).max()
    else:
        np.testing.assert_allclose(run.outputs, outputs, atol=1e-5 * np.abs(outputs).max())
    # Units are asked as often as the gate opens, and answer then alone.
    plain = convert(model, training_inputs=x, **options)
    with adapter.deploy(plain, INPUTS) as deployment:
        often = deployment.run(x).spikes["lmu.h.spikes"].sum()
    assert 0 < run.spikes["lmu.h.spikes"].sum() < 1.6 * often * (INPUTS // every) / INPUTS


def test_what_a_gate_cannot_ask_every_nth_input_is_refused_with_the_reason():
    x = signals()
    options = {"memory": "line", "code": "level", "training_inputs": x, "every": 3}
    with pytest.raises(SpecError, match=r"every: got lmu\.h, which reads what lmu\.h was"):
        convert(answering("recurrent"), **options)
    stacked = Model(made("feedforward", layers=2), task=Task("regression", "every"))
    with pytest.raises(SpecError, match=r"every: got lmu2\.m, which reads what lmu2\.m was"):
        convert(stacked, **options)
    with pytest.raises(SpecError, match="every: got 3 for a network with one answer a sequence"):
        convert(Model(made("feedforward")), **options)
    with pytest.raises(SpecError, match="every: got 3 with memory='line' and code='rate'"):
        convert(answering(), memory="line", every=3)
    for wrong in (0, True, 2.5, "3"):
        with pytest.raises(SpecError, match=r"every: got .*expected a whole number"):
            convert(answering(), memory="line", code="level", every=wrong)


def test_without_a_window_it_is_as_long_as_the_memory_and_no_longer_than_the_data():
    graph, x = made(), signals()
    spiking = convert(Model(graph), memory="line", code="level", training_inputs=x)
    assert 8 <= spiking.graph["line.0"].size // 2 <= INPUTS - 1


def test_what_does_not_fit_is_refused_with_the_reason():
    x = signals()
    back = made("feedforward")
    feeding = Projection("lmu.h", "lmu.u", np.ones((1, UNITS)), delay=1, name="back")
    back = replace(back, projections=(*back.projections, feeding))
    with pytest.raises(SpecError, match="no memory that only the input drives"):
        converted(back, x)
    plain = made("feedforward")
    order = plain["lmu.m"].size
    past = Projection("lmu.m", "readout", np.ones((2, order)), name="past the neurons")
    plain = replace(plain, projections=(*plain.projections, past))
    with pytest.raises(SpecError, match="readout, which reads it and has no neurons"):
        converted(plain, x)
    with pytest.raises(SpecError, match="training data for levels on a line: got none"):
        convert(Model(made()), memory="line", code="level")
    no_memory = Graph(
        (Population("x", 1), Population("h", 3, Neuron("relu")), Population("y", 2)),
        (Projection("x", "h", np.ones((3, 1))), Projection("h", "y", np.ones((2, 3)))),
        "x",
        "y",
    )
    with pytest.raises(SpecError, match="no memory that only the input drives"):
        converted(no_memory, x)


def test_rate_coded_units_have_one_answer_and_say_what_has_more():
    graph, x = made("feedforward"), signals()
    model = Model(graph, task=Task("regression", "every"))
    with pytest.raises(SpecError, match=r"answer at every input.*code='level'"):
        convert(model, memory="line", training_inputs=x)
    spiking = convert(model, memory="line", code="level", training_inputs=x, window=INPUTS)
    assert run_reference(spiking.graph, x, spiking.timing).shape == (20, INPUTS, 2)
