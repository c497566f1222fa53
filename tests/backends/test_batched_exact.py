"""Batched execution against nengo-loihi's own simulator, step by step."""

from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest

from spiking_lmu.backends.batched import BatchedSimulator, extract
from spiking_lmu.backends.batched.chip import program as program_module
from spiking_lmu.compat import import_nengo

from ..helpers.controls import CONTROLS
from ..helpers.exactness import (
    batched_run,
    closed_simulator,
    compare,
    differences,
    quiet,
    stock_run,
)
from ..helpers.random_networks import Case, Feeder, hold_process, random_network

nengo = import_nengo()
ENGINES = ["numpy", "numba"]
STEPS, SAMPLES = 120, 4


@pytest.fixture(autouse=True)
def _engine_installed(request):
    if "engine" in request.fixturenames and request.getfixturevalue("engine") == "numba":
        pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")


def made(kind, recurrent=False, feedback=False, strong=False, together=False):
    """Input → host memory → two populations on the chip → readout.

    ``strong`` has all weights positive, fast neurons and a slow synapse; in ``together`` the
    neurons of the first population are many and all alike, so they spike at the same time.
    """
    rng = np.random.default_rng(5)
    neuron = {
        "relu": nengo.SpikingRectifiedLinear(),
        "lif": nengo.LIF(tau_ref=0.002, min_voltage=-1),
    }[kind]
    with quiet(), nengo.Network(seed=1) as network:
        feeder = Feeder()
        node = nengo.Node(feeder, size_out=2)
        memory = nengo.Node(size_in=6)
        nengo.Connection(node, memory, transform=rng.normal(size=(6, 2)), synapse=None)
        turn = np.linalg.qr(rng.normal(size=(6, 6)))[0] * 0.95
        nengo.Connection(memory, memory, transform=turn, synapse=0)
        first, tau = 200 if together else 30, 0.2 if strong else 0.005
        biases = rng.uniform(0, 90, first), rng.uniform(0, 90, 20)
        into = 40 * rng.normal(size=(first, 6))
        if together:
            biases[0][:], into[:] = 60, into[0]
        layers = [
            nengo.Ensemble(len(bias), 1, neuron_type=neuron, gain=np.ones(len(bias)), bias=bias)
            for bias in (biases[0] * (6 if strong else 1), biases[1])
        ]
        nengo.Connection(memory, layers[0].neurons, transform=into, synapse=None)
        weights = rng.uniform(0.5 if strong or together else -0.2, 1, (20, first))
        nengo.Connection(layers[0].neurons, layers[1].neurons, transform=weights, synapse=tau)
        if recurrent:
            again = rng.normal(size=(20, 20)) * 0.3
            nengo.Connection(layers[1].neurons, layers[1].neurons, transform=again, synapse=tau)
        readout = nengo.Node(size_in=3)
        out = rng.normal(size=(3, 20)) / 20
        nengo.Connection(layers[1].neurons, readout, transform=out, synapse=None)
        if feedback:
            back = nengo.Node(hold_process(3, 2, batched=True))
            nengo.Connection(readout, back, synapse=0.005)
            nengo.Connection(back, layers[0].neurons, transform=into[:, :3], synapse=None)
        nengo.Probe(readout, synapse=0.01)
        for layer in layers:
            nengo.Probe(layer.neurons)
            nengo.Probe(layer.neurons, "voltage")
            nengo.Probe(layer.neurons, "input", synapse=0.01)
    return Case(network, node, feeder, 2)


@pytest.fixture(scope="module")
def reference():
    """A network, its data and what the stock simulator does with it, by keyword arguments."""
    made_before = {}

    def get(**options):
        key = tuple(sorted(options.items()))
        if key not in made_before:
            case = made(**options)
            x = case.data(1, SAMPLES, STEPS)
            stock = [stock_run(case, sample) for sample in x]
            made_before[key] = case, x, stock, closed_simulator(case)
        return made_before[key]

    return get


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "options",
    [
        {"kind": "relu"},
        {"kind": "lif"},
        {"kind": "relu", "feedback": True},
        {"kind": "lif", "recurrent": True, "feedback": True},
    ],
    ids=["relu", "lif", "relu bidirectional", "lif recurrent bidirectional"],
)
def test_same_as_stock_at_every_step(reference, options, engine, strict):
    case, x, stock, sim = reference(**options)
    assert sim.precompute is not options.get("feedback", False)
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=strict)
    assert differences(stock, batched_run(batched, STEPS), strict) == []
    assert 0.005 < np.mean([one.state["spiked"].mean() for one in stock]) < 0.5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "options",
    [{"kind": "lif", "strong": True}, {"kind": "relu", "together": True}],
    ids=["current wraps", "input wraps"],
)
def test_overflow_wraps_as_in_stock(reference, options, engine):
    case, x, stock, sim = reference(**options)
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=True)
    assert differences(stock, batched_run(batched, STEPS), strict=True) == []
    assert batched.engine.overflowed[-20:].any()
    assert not batched.engine.overflowed[:-20].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_sums_in_float64_where_float32_would_not_be_exact(reference, monkeypatch, engine):
    case, x, stock, sim = reference(kind="relu")
    assert extract(sim.model).sums_dtype is np.float32
    monkeypatch.setattr(program_module, "FLOAT32_EXACT", 1)
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=True)
    assert batched.program.sums_dtype is np.float64
    assert differences(stock, batched_run(batched, STEPS), strict=True) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name",
    [
        "one bit of a weight",
        "no refractory period",
        "decay of currents by one unit",
        "bias by one unit",
    ],
)
def test_comparison_notices_a_planted_fault(reference, engine, name):
    case, x, stock, sim = reference(kind="lif", recurrent=True, feedback=True)
    program = extract(sim.model)
    assert CONTROLS[name](program, np.random.default_rng(0))
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=True, program=program)
    assert differences(stock, batched_run(batched, STEPS), strict=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_comparison_notices_one_threshold(reference, engine):
    case, x, stock, sim = reference(kind="relu")
    program = extract(sim.model)
    program.compartments.vth[:] -= 64
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=True, program=program)
    assert differences(stock, batched_run(batched, STEPS), strict=True)


#: Seeds of a dozen random networks that have between them every part that there is.
SEEDS = range(12)
network = cache(random_network)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks(seed):
    engines = [("numpy", True), ("numpy", False)]
    if find_spec("numba") and seed % 2:
        engines.append(("numba", False))
    outcome = compare(network(seed), samples=2, steps=50, variants=tuple(engines), seed=seed)
    assert outcome.differences == []
    assert outcome.rate > 0


def test_random_networks_have_learning_convolutions_noise_and_overflow():
    parts = [set(network(seed).parts) for seed in SEEDS]
    for part in ("learning", "convolution", "noise", "split", "lif", "relu", "large weights"):
        assert any(part in found for found in parts), part


def test_a_batch_is_its_samples_one_by_one(reference):
    case, x, _, sim = reference(kind="lif", recurrent=True, feedback=True)
    together = BatchedSimulator(sim, {case.input: x}, engine="numpy", strict=True)
    together.run(STEPS)
    for i, sample in enumerate(x):
        alone = BatchedSimulator(sim, {case.input: sample[None]}, engine="numpy", strict=True)
        alone.run(STEPS)
        for probe, values in together.data.items():
            assert np.array_equal(alone.data[probe][0], values[i])
