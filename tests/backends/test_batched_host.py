"""The host part alone: Nengo's operators on a batch against a Nengo simulator."""

import numpy as np
import pytest

from spiking_lmu.backends.batched import Unsupported
from spiking_lmu.backends.batched.feeds import Presented
from spiking_lmu.backends.batched.host import BatchedHost
from spiking_lmu.compat import import_nengo

from ..helpers.exactness import quiet
from ..helpers.random_networks import Feeder

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
        alike = nengo.Node(size_in=40)
        repeated = np.outer(rng.choice([-1, 1], 40), rng.normal(size=SIZE))
        nengo.Connection(memory, alike, transform=repeated, synapse=None)
        few = rng.normal(size=(30, SIZE)) * (rng.random((30, SIZE)) < 0.05)
        seldom = nengo.Node(size_in=30)
        nengo.Connection(memory, seldom, transform=few, synapse=None)
        net.probes_wanted = [nengo.Probe(alike), nengo.Probe(seldom)]
        nengo.Connection(memory[[5, 5, 7]], part[[0, 1, 1]], transform=2, synapse=None)
        sparse = nengo.Sparse((3, SIZE), indices=[(0, 4), (0, 9), (2, 7)], init=[1.5, -1, 2])
        nengo.Connection(memory, part, transform=sparse, synapse=nengo.Alpha(0.01))
        nengo.Connection(nengo.Node([1.0, -2.0, 0.5]), part, synapse=None)
        net.probes_wanted += [nengo.Probe(memory), nengo.Probe(part, synapse=0.005)]
        at_rest = {"voltage": nengo.dists.Choice([0])}
        for kind in (nengo.LIF, nengo.SpikingRectifiedLinear):
            neurons = nengo.Ensemble(
                20, 3, neuron_type=kind(initial_state=at_rest), max_rates=[150] * 20
            )
            nengo.Connection(part, neurons, synapse=None)
            net.probes_wanted += [nengo.Probe(neurons.neurons), nengo.Probe(neurons, synapse=0.01)]
        net.probes_wanted += images(memory, rng)
    return net


def images(memory, rng):
    """Convolutions of every kind that Nengo has, of the memory; probes of what neurons make of it."""
    convolutions = (
        nengo.Convolution(
            3, (10, 15, 1), (3, 4), (2, 1), "same", init=rng.normal(size=(3, 4, 1, 3))
        ),
        nengo.Convolution(40, (75, 2), (5,), (3,), init=rng.normal(size=(5, 2, 40))),
        nengo.Convolution(
            2, (2, 5, 15), (2, 3), channels_last=False, init=rng.normal(size=(2, 3, 2, 2))
        ),
        nengo.Convolution(4, (5, 15, 2), (2, 2), groups=2, init=rng.normal(size=(2, 2, 1, 4))),
        nengo.ConvolutionTranspose(
            2, (5, 10, 3), kernel_size=(2, 2), strides=(2, 1), init=rng.normal(size=(2, 2, 3, 2))
        ),
    )
    for convolution in convolutions:
        places = nengo.Ensemble(
            convolution.output_shape.size,
            1,
            neuron_type=nengo.RectifiedLinear(),
            gain=np.ones(convolution.output_shape.size),
            bias=np.zeros(convolution.output_shape.size),
        )
        nengo.Connection(memory, places.neurons, transform=convolution, synapse=None)
        yield nengo.Probe(places.neurons)


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
    pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")
    for ours, theirs in zip(batched(stock, strict=True, compiled=True), stock[3], strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("probed", [False, True])
@pytest.mark.parametrize("tau_rc", [1e-4, 0.02])
def test_neurons_without_a_refractory_period(tau_rc, probed):
    """Their refractory time is not counted, unless somebody looks at it."""
    pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")
    x = 2.0 * np.random.default_rng(4).normal(size=(BATCH, STEPS, 6)) + 1.5
    feeder, expected = Feeder(), []
    with quiet(), nengo.Network(seed=0) as net:
        source = nengo.Node(feeder, size_out=6)
        kind = nengo.LIF(
            tau_rc=tau_rc, tau_ref=0, initial_state={"voltage": nengo.dists.Choice([0])}
        )
        cells = nengo.Ensemble(6, 1, neuron_type=kind, gain=np.ones(6), bias=np.zeros(6))
        nengo.Connection(source, cells.neurons, synapse=None)
        seen = ["output", "voltage", *(["refractory_time"] if probed else [])]
        probes = [nengo.Probe(cells.neurons, attr) for attr in seen]
        for feeder.sample in x:
            with nengo.Simulator(net, optimize=False, progress_bar=False) as simulator:
                simulator.run_steps(STEPS)
                expected.append([np.array(simulator.data[probe]) for probe in probes])
    host = BatchedHost(simulator, BATCH, {source: x}, compiled=True)
    for step in range(STEPS):
        host.step()
        for i, probe in enumerate(probes):
            want = [sample[i][step] for sample in expected]
            np.testing.assert_allclose(host.probed(probe).T, want, atol=1e-9)
    assert sum(sample[0].sum() for sample in expected) > 0


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


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "synapse", [nengo.synapses.Triangle(0.004), nengo.Lowpass(0.004), nengo.Alpha(0.004)]
)
def test_what_nothing_changes_is_there_for_every_sample(synapse, strict):
    """A Node with a constant, and what a filter makes of it; each probe has a batch axis."""
    with quiet(), nengo.Network(seed=0) as net:
        fed = nengo.Node(Feeder(), size_out=2)
        constant, both = nengo.Node([1.0, -2.0]), nengo.Node(size_in=2)
        nengo.Connection(fed, both, synapse=None)
        nengo.Connection(constant, both, synapse=synapse)
        probes = nengo.Probe(constant), nengo.Probe(both), nengo.Probe(constant, synapse=synapse)
        fed.output.sample = np.zeros((STEPS, 2))
        with nengo.Simulator(net, optimize=False, progress_bar=False) as simulator:
            simulator.run_steps(8)
    host = BatchedHost(simulator, BATCH, {fed: np.zeros((BATCH, 8, 2))}, strict=strict)
    for step in range(8):
        host.step()
        for probe in probes:
            now, expected = host.probed(probe), simulator.data[probe][step]
            assert now.shape == (2, BATCH)
            np.testing.assert_allclose(now, np.stack([expected] * BATCH, axis=1), atol=1e-12)
            assert not strict or (expected == now.T).all()


@pytest.mark.parametrize("strict", [True, False])
def test_a_convolution_of_what_nothing_changes(strict):
    convolution = nengo.Convolution(
        2, (4, 4, 1), init=np.random.default_rng(0).normal(size=(3, 3, 1, 2))
    )
    with quiet(), nengo.Network(seed=0) as net:
        fed = nengo.Node(Feeder(), size_out=1)
        image, result = nengo.Node(np.arange(16.0)), nengo.Node(size_in=8)
        nengo.Connection(image, result, transform=convolution, synapse=None)
        nengo.Connection(fed, result[:1], synapse=None)
        probe = nengo.Probe(result)
        fed.output.sample = np.zeros((STEPS, 1))
        with nengo.Simulator(net, optimize=False, progress_bar=False) as simulator:
            simulator.run_steps(2)
    host = BatchedHost(simulator, BATCH, {fed: np.zeros((BATCH, 2, 1))}, strict=strict)
    host.step()
    np.testing.assert_allclose(host.probed(probe), np.stack([simulator.data[probe][0]] * BATCH, 1))


@pytest.mark.parametrize("compiled", [True, False])
class TestNearThreshold:
    """Samples whose voltage comes near its threshold, in relation to what can be rounded."""

    #: A quarter of a threshold a step; after ten steps, exactly one.
    EXACT = {"relu": 250.0, "lif": 1.0 / -np.expm1(-0.5)}  # noqa: RUF012

    def run(self, kind, currents, compiled, weights=None, bias=0.125):
        if compiled:
            pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")
        neuron = {"relu": nengo.SpikingRectifiedLinear, "lif": nengo.LIF}[kind]
        size = 2 if weights is None else weights.shape[1]
        with quiet(), nengo.Network(seed=0) as net:
            source = nengo.Node(Feeder(), size_out=size)
            layer = nengo.Ensemble(
                2,
                1,
                neuron_type=neuron(initial_state={"voltage": nengo.dists.Choice([0])}),
                gain=np.ones(2),
                bias=np.full(2, bias),
            )
            transform = {} if weights is None else {"transform": weights}
            nengo.Connection(source, layer.neurons, synapse=None, **transform)
            probe = nengo.Probe(layer.neurons)
            with nengo.Simulator(net, optimize=False, progress_bar=False) as simulator:
                pass
        feed = np.repeat(np.asarray(currents, float)[:, None] - bias, 12, axis=1)
        feed = feed if weights is None else np.repeat(feed, 2, axis=2)[:, :, :size]
        host = BatchedHost(simulator, len(feed), {source: feed}, compiled=compiled, margin=1e-10)
        spikes = 0
        for _ in range(12):
            host.step()
            spikes = spikes + host.probed(probe) * host.dt
        return host.near.tolist(), spikes.T

    @pytest.mark.parametrize("kind", ["relu", "lif"])
    @pytest.mark.parametrize("apart", [1e-12, -1e-12])
    def test_a_margin_on_both_sides(self, kind, apart, compiled):
        at = self.EXACT[kind]
        close = [at * (1 + apart), at * 0.73]
        far = [at * 1.0001, at * 0.73]
        mixing = np.eye(2) + 1e-30 * np.ones((2, 2))
        near, spikes = self.run(kind, [close, far], compiled, weights=mixing)
        assert near == [True, False]
        assert spikes.max() > 0

    def test_numbers_that_cannot_be_rounded_are_not_near(self, compiled):
        """Copies and single products are the same on every engine, so a tie is one everywhere."""
        near, spikes = self.run("relu", [[250.0, 250.0]], compiled)
        assert near == [False]
        assert spikes.tolist() == [[3.0, 3.0]]

    def test_zeros_cannot_be_rounded_either(self, compiled):
        """A sum of several products can, as soon as one of them is not zero."""
        mixing = np.array([[1.0, 1e-30], [1e-30, 1.0]])
        currents = [[250.0, 250.0], [500.0, 500.0]]
        near, spikes = self.run("relu", currents, compiled, weights=mixing, bias=250.0)
        assert near == [False, True]
        assert spikes.tolist() == [[3.0, 3.0], [6.0, 6.0]]


def test_products_of_what_is_held_are_computed_once(monkeypatch):
    """A memory that stands still costs one product a presentation, with the same results."""
    size, shown = 40, np.repeat(np.arange(3), 5)
    rng = np.random.default_rng(0)
    with quiet(), nengo.Network(seed=0) as net:
        node, out = nengo.Node(Feeder(), size_out=size), nengo.Node(size_in=size)
        weights = rng.normal(size=(size, size))
        nengo.Connection(node, out, transform=weights, synapse=None)
        probe = nengo.Probe(out)
        with nengo.Simulator(net, optimize=False, progress_bar=False) as simulator:
            pass
    products = []
    real = np.dot
    monkeypatch.setattr(
        np, "dot", lambda *given, **more: products.append(1) or real(*given, **more)
    )
    x = rng.normal(size=(BATCH, 3, size))
    x[:, :, 0] = 1.0
    host = BatchedHost(simulator, BATCH, {node: Presented(x, shown)})
    for index in shown:
        host.step()
        np.testing.assert_allclose(host.probed(probe), weights @ x[:, index].T, atol=1e-12)
    assert len(products) == 3
