"""The host part alone: Nengo's operators on a batch against a Nengo simulator."""

import numpy as np
import pytest

from spiking_lmu.batched import Unsupported
from spiking_lmu.batched.host import BatchedHost
from spiking_lmu.compat import import_nengo
from tests.exactness import quiet
from tests.random_networks import Feeder

nengo = import_nengo()
STEPS, BATCH, SIZE = 30, 3, 150


def network(feeder):
    """A dense memory, views of it, filters, functions of neurons: every operator there is."""
    rng = np.random.default_rng(2)
    with nengo.Network(seed=0) as net:
        net.input = nengo.Node(feeder, size_out=2)
        memory = nengo.Node(size_in=SIZE)
        nengo.Connection(net.input, memory, transform=rng.normal(size=(SIZE, 2)), synapse=None)
        turn = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))[0]
        nengo.Connection(memory, memory, transform=turn, synapse=0)
        part = nengo.Node(size_in=3)
        nengo.Connection(memory[10:1:-4], part, synapse=0.01)
        nengo.Connection(memory[[5, 5, 7]], part[[0, 1, 1]], transform=2, synapse=None)
        sparse = nengo.Sparse((3, SIZE), indices=[(0, 4), (0, 9), (2, 7)], init=[1.5, -1, 2])
        nengo.Connection(memory, part, transform=sparse, synapse=nengo.Alpha(0.01))
        nengo.Connection(nengo.Node([1.0, -2.0, 0.5]), part, synapse=None)
        net.probes_wanted = [nengo.Probe(memory), nengo.Probe(part, synapse=0.005)]
        at_rest = {"voltage": nengo.dists.Choice([0])}
        for kind in (nengo.LIF, nengo.SpikingRectifiedLinear):
            neurons = nengo.Ensemble(
                20, 3, neuron_type=kind(initial_state=at_rest), max_rates=[150] * 20
            )
            nengo.Connection(part, neurons, synapse=None)
            net.probes_wanted += [nengo.Probe(neurons.neurons), nengo.Probe(neurons, synapse=0.01)]
    return net


@pytest.fixture(scope="module")
def stock():
    x = np.random.default_rng(3).normal(size=(BATCH, STEPS, 2))
    feeder = Feeder()
    with quiet():
        net = network(feeder)
        runs = []
        for sample in x:
            feeder.sample = sample
            with nengo.Simulator(net, optimize=False, progress_bar=False) as simulator:
                simulator.run_steps(STEPS)
                runs.append([np.array(simulator.data[p]) for p in net.probes_wanted])
    return net, simulator, x, [np.stack(values) for values in zip(*runs, strict=True)]


def batched(stock, **options):
    net, simulator, x, _ = stock
    host = BatchedHost(simulator, BATCH, {net.input: x}, **options)
    seen = [[] for _ in net.probes_wanted]
    for _ in range(STEPS):
        host.step()
        for values, probe in zip(seen, net.probes_wanted, strict=True):
            values.append(host.probed(probe).copy())
    return [np.moveaxis(np.array(values), -1, 0) for values in seen]


def test_strict_is_equal_to_the_last_bit(stock):
    for ours, theirs in zip(batched(stock, strict=True), stock[3], strict=True):
        assert np.array_equal(ours, theirs)


def test_fast_differs_only_in_the_order_of_sums(stock):
    for ours, theirs in zip(batched(stock), stock[3], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_compiled_neurons_give_the_same_bits(stock):
    pytest.importorskip("numba")
    for ours, theirs in zip(batched(stock, strict=True, compiled=True), stock[3], strict=True):
        assert np.array_equal(ours, theirs)


def test_neurons_spike(stock):
    assert all(np.abs(values).max() > 0 for values in stock[3])


def test_refuses_noise_on_an_ensemble():
    with quiet(), nengo.Network(seed=0) as net:
        node = nengo.Node(Feeder(), size_out=1)
        noise = nengo.processes.WhiteNoise(seed=1)
        nengo.Connection(node, nengo.Ensemble(5, 1, noise=noise))
        simulator = nengo.Simulator(net, optimize=False, progress_bar=False)
        simulator.close()
    with pytest.raises(Unsupported, match="noise added"):
        BatchedHost(simulator, BATCH, {node: np.zeros((BATCH, STEPS, 1))})
