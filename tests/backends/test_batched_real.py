"""Batched execution without quantisation against nengo-loihi's ``target="simreal"``."""

from unittest.mock import patch

import numpy as np
import pytest

from spiking_lmu.backends.batched import (
    BatchedSimulator,
    Unsupported,
    extract,
    extract_real,
    round_weights,
)
from spiking_lmu.compat import import_nengo, import_nengo_loihi
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.targets.loihi.discretisation import find_scale

from ..helpers import exactness, random_networks
from ..helpers.exactness import batched_run, closed_simulator, differences, quiet, stock_run
from ..helpers.random_networks import Feeder

nengo = import_nengo()
STEPS, SAMPLES = 60, 2
#: nengo-loihi divides weights of spikes, which are 1/dt high, by dt.
DT = 0.001
SEEDS = range(10)


class Maker(random_networks.Maker):
    """Random networks without what real numbers are not run for."""

    def chance(self, probability, part):
        return super().chance(0 if part in ("learning", "decode noise") else probability, part)

    def noise(self, layer):
        pass


def random_network(seed):
    with patch.object(random_networks, "Maker", Maker):
        return random_networks.random_network(seed)


def on_a_grid(model):
    """Round weights to multiples of a power of two of which any sum is exact in float32."""
    wiring = extract_real(model).wiring
    bound = (abs(wiring.weights).astype(float) @ abs(wiring.incidence).astype(float)).sum(axis=1)
    unit = 2.0 ** (np.ceil(np.log2(bound.max())) - 22)
    for block in model.blocks:
        for synapse in block.synapses:
            synapse.weights = [(np.round(w / unit) * unit).astype("f4") for w in synapse.weights]


def simulator(change, case, seed=0):
    """A stock simulator without quantisation, its model changed by ``change``."""
    sim = import_nengo_loihi().Simulator(
        case.network, seed=seed, target="simreal", model=case.options.model()
    )
    change(sim.model)
    return sim


class Compared:
    """A network, what stock does with it, and batched runs of it."""

    def __init__(self, case, change=lambda model: None):
        self.case, self.x = case, case.data(1, SAMPLES, STEPS)
        with patch.object(exactness, "simulator", lambda *given: simulator(change, *given)):
            self.stock = [stock_run(case, sample) for sample in self.x]
            self.sim = closed_simulator(case)

    def run(self, program):
        batched = BatchedSimulator(
            self.sim, {self.case.input: self.x}, strict=True, engine="numpy", program=program
        )
        return batched_run(batched, STEPS)


@pytest.mark.parametrize("seed", SEEDS)
def test_same_bits_as_stock_where_sums_are_exact(seed):
    """All but the sums is done in stock's order, in its float32: state and probes are equal."""
    compared = Compared(random_network(seed), on_a_grid)
    run = compared.run(extract_real(compared.sim.model))
    assert run.state["voltage"].dtype == np.float32
    assert differences(compared.stock, run, strict=True) == []
    assert run.state["spiked"].any()


def test_random_networks_have_all_parts():
    parts = [set(random_network(seed).parts) for seed in SEEDS]
    for part in (
        "convolution",
        "split",
        "lif",
        "relu",
        "large weights",
        "min voltage",
        "refractory",
        "precomputed",
        "host and chip in turn",
    ):
        assert any(part in found for found in parts), part
    assert not any("learning" in found or "noise" in found for found in parts)


@pytest.mark.parametrize("seed", SEEDS)
def test_same_spikes_as_stock(seed):
    """Sums of n float32 numbers in two orders differ by about √n · 2**-24 of their terms.

    With a hundred terms of the size of the sum that is 1e-6, and voltages add up tens of such
    sums: 1e-5 is allowed.  A spike differs where a voltage comes that near to its threshold,
    which in the few thousand spikes of these networks it does not.
    """
    compared = Compared(random_network(seed))
    run = compared.run(extract_real(compared.sim.model))
    for key in ("spiked", "current", "voltage"):
        theirs = np.stack([one.state[key] for one in compared.stock]).astype(float)
        close = 0 if key == "spiked" else 1e-5 * max(1, np.abs(theirs).max())
        np.testing.assert_allclose(run.state[key], theirs, rtol=0, atol=close)
    for probe, values in run.probes.items():
        theirs = np.stack([one.probes[probe] for one in compared.stock])
        np.testing.assert_allclose(values, theirs, rtol=0, atol=1e-5 * max(1, abs(theirs).max()))


@pytest.fixture(scope="module")
def compared():
    """A network with leaks, a refractory period and voltages below zero."""
    case = random_network(33)
    assert {"lif", "refractory", "min voltage", "recurrent"} <= set(case.parts)
    return Compared(case, on_a_grid)


@pytest.mark.parametrize("name", ["keep_u", "gain_u", "keep_v", "gain_v", "bias", "vmin", "vth"])
def test_comparison_notices_the_last_bits_of(compared, name):
    program = extract_real(compared.sim.model)
    values = getattr(program.compartments, name)
    # A threshold shows only where a spike moves.
    values *= np.float32(1.1 if name == "vth" else 1 + 2**-20)
    assert differences(compared.stock, compared.run(program), strict=True)


def test_comparison_notices_other_planted_faults(compared):
    program = extract_real(compared.sim.model)
    program.compartments.refractory[:] = 0
    assert differences(compared.stock, compared.run(program), strict=True)
    program = extract_real(compared.sim.model)
    part = max([tile.weights.reshape(-1) for tile in program.wiring.tiles], key=len)
    part[np.argmax(np.abs(part))] *= np.float32(1 + 2**-20)
    assert differences(compared.stock, compared.run(program), strict=True)


def chain(weights, bias=0.0, more=None, target="simreal", noise=False):
    """Currents from the host, a population, and one that it drives by ``weights``.

    ``more`` are weights of a second synapse.  Gives the network and its closed simulator.
    """
    posts, pres = weights.shape
    neuron = nengo.SpikingRectifiedLinear()
    with quiet(), nengo.Network(seed=0) as network:
        feeder = Feeder()
        node = nengo.Node(feeder, size_out=2)
        first, second = (
            nengo.Ensemble(n, 1, neuron_type=neuron, gain=np.ones(n), bias=np.full(n, b))
            for n, b in ((pres, 37.3), (posts, bias))
        )
        turn = np.random.default_rng(0).uniform(20, 300, (pres, 2))
        nengo.Connection(node, first.neurons, transform=turn, synapse=None)
        for part in (weights, *([] if more is None else [more])):
            nengo.Connection(first.neurons, second.neurons, transform=part, synapse=0.005)
        nengo.Probe(second.neurons)
    case = random_networks.Case(network, node, feeder, 2)
    with quiet():
        sim = import_nengo_loihi().Simulator(network, seed=0, target=target)
        sim.close()
    if noise:
        blocks(sim)[0].compartment.enable_noise[0] = True
    return case, sim


def blocks(sim):
    """Those of the first and of the second population."""
    return list(sim.model.blocks)


def rounded(weights, **options):
    """What the second population has after rounding: weights of each synapse, and biases."""
    _, sim = chain(weights, **options)
    with quiet():
        round_weights(sim.model)
    block = blocks(sim)[1]
    weights = [DT * np.concatenate(synapse.weights).T for synapse in block.synapses]
    return weights, block.compartment.bias


#: The largest weight comes out as 127 units of 2/255 of itself.
LARGEST = 254 / 255


def test_weights_that_the_chip_can_hold_keep_their_spikes():
    """Multiples of 1/127 of the largest: all come out as multiples of 2/255 of it."""
    rng = np.random.default_rng(2)
    weights = rng.integers(-40, 128, (12, 30)) / 127
    weights[0, 0] = 1.0
    case, sim = chain(weights)
    x = case.data(1, 3, 200)
    first = blocks(sim)[0]
    before = [synapse.weights for synapse in first.synapses], first.compartment.bias
    with quiet():
        round_weights(sim.model)
    # The first population is not in question here.
    first.compartment.bias = before[1]
    for synapse, unrounded in zip(first.synapses, before[0], strict=True):
        synapse.weights = unrounded
    shrunk, exact = chain(weights * LARGEST)
    runs = [
        batched_run(BatchedSimulator(s, {c.input: x}, program=extract_real(s.model)), 200)
        for c, s in ((case, sim), (shrunk, exact))
    ]
    np.testing.assert_array_equal(runs[0].state["spiked"], runs[1].state["spiked"])
    assert runs[0].state["spiked"][..., -12:].sum() > 100


def test_a_single_large_weight_leaves_few_levels_to_the_others():
    rng = np.random.default_rng(3)
    weights = rng.uniform(-0.02, 0.02, (12, 30))
    weights[4, 7] = 1.0
    ((found,), _) = rounded(weights)
    levels = np.clip(np.round(weights * 127.5), -127, 127)
    np.testing.assert_allclose(found, levels / 127.5, atol=1e-7)
    assert len(np.unique(np.delete(levels.ravel(), 4 * 30 + 7))) <= 7
    # Without it the same weights have most of the 255 levels.
    weights[4, 7] = 0.0
    ((fine,), _) = rounded(weights)
    assert len(np.unique(fine)) > 100
    assert np.abs(fine - weights).max() < 0.006 * 0.02


@pytest.mark.parametrize("ratio", [50, 200, 1000])
def test_small_synapses_are_enlarged_as_on_the_chip(ratio):
    """By as much as the check of models says (``Scale.enlarged``)."""
    large = np.random.default_rng(4).uniform(0.5, 1, (12, 30))
    large[0, 0], small = 1.0, large / ratio
    (mine, other), _ = rounded(large, more=small)
    largest = [np.float32(1 / DT), np.float32(1 / DT / ratio)]
    scale = find_scale(Neuron("spiking_relu"), np.zeros(12), largest, 0.005, DT)
    np.testing.assert_allclose(mine.max(), LARGEST, rtol=1e-6)
    np.testing.assert_allclose(other / small, scale.enlarged[1], rtol=0.5)
    np.testing.assert_allclose(np.mean(other / small), scale.enlarged[1], rtol=0.03)
    assert scale.enlarged[1] == {50: 1, 200: 2, 1000: 8}[ratio]


def test_biases_are_rounded_in_the_same_units():
    weights = np.random.default_rng(5).uniform(0.5, 1, (12, 30))
    weights[0, 0] = 1.0
    scale = find_scale(Neuron("spiking_relu"), np.full(12, 3.7), [np.float32(1 / DT)], 0.005, DT)
    _, bias = rounded(weights, bias=3.7)
    np.testing.assert_allclose(bias, np.round(3.7 * scale.units) / scale.units, rtol=1e-6)
    assert abs(bias[0] / 3.7 - 1) > 1e-4


def test_refuses_noise_learning_and_integers():
    weights = np.ones((3, 4))
    with pytest.raises(Unsupported, match="noise"):
        extract_real(chain(weights, noise=True)[1].model)
    whole = chain(weights, target="sim")[1].model
    extract(whole)
    for refused in (extract_real, round_weights):
        with pytest.raises(Unsupported, match="discretised"):
            refused(whole)
    learning = chain(weights)[1]
    blocks(learning)[1].synapses[0].learning = True
    for refused in (extract_real, round_weights):
        with pytest.raises(Unsupported, match="learning"):
            refused(learning.model)
