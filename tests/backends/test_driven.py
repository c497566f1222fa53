"""Neurons computed a block at a time beside the same network step by step."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")

from spiking_lmu.backends.batched import Unsupported
from spiking_lmu.backends.batched.feeds import FrontEndFeed
from spiking_lmu.backends.batched.host import BatchedHost, host
from spiking_lmu.backends.batched.host.driven import Driven, join_driven
from spiking_lmu.compat import import_nengo
from spiking_lmu.graph import convolution
from spiking_lmu.graph.convolution import InputConvolution
from spiking_lmu.graph.timing import Timing

from ..helpers.exactness import quiet

nengo = import_nengo()
SIZE, INPUTS = 5, 21
AT_REST = {"voltage": nengo.dists.Choice([0])}


def network(more=lambda net: None, kind=None, bias=None):
    """A Node, neurons behind two transforms of one factor a row, and a filter behind them."""
    kind = kind or nengo.SpikingRectifiedLinear(0.3, initial_state=AT_REST)
    rng = np.random.default_rng(0)
    with quiet(), nengo.Network(seed=0) as net:
        net.input = nengo.Node(lambda t: np.zeros(SIZE), size_out=SIZE)
        middle = nengo.Node(size_in=SIZE)
        nengo.Connection(net.input, middle, transform=rng.uniform(1, 2, SIZE), synapse=None)
        chosen = np.zeros((7, SIZE))
        chosen[range(7), [4, 0, 2, 2, 1, 0, 4]] = rng.uniform(-90, 250, 7)
        net.neurons = nengo.Ensemble(
            7, 1, neuron_type=kind, gain=np.ones(7), bias=np.arange(7.0) if bias is None else bias
        )
        net.into = nengo.Connection(middle, net.neurons.neurons, transform=chosen, synapse=None)
        readout = nengo.Node(size_in=2)
        nengo.Connection(
            net.neurons.neurons, readout, transform=rng.normal(size=(2, 7)), synapse=0.01
        )
        net.seen = [nengo.Probe(readout), nengo.Probe(net.neurons.neurons)]
        more(net)
    return net


def made(net):
    """A simulator; what it built stays when it is closed."""
    with quiet(), nengo.Simulator(net, optimize=False, progress_bar=False) as simulator:
        return simulator


def feed_of(batch=3, timing=None, *, size=1.0, constant=0.0):
    """Samples of which the first is driven from the start, others later and one never."""
    rng = np.random.default_rng(1)
    timing = timing or Timing()
    x = rng.normal(size=(batch, INPUTS, 2))
    for sample, silent in enumerate((0, 10, INPUTS, *range(3, batch))[:batch]):
        x[sample, :silent] = 0.0
    response = size * rng.normal(size=(INPUTS, SIZE, 2))
    biases = constant * rng.normal(size=(INPUTS, SIZE))
    shown = timing.presented(INPUTS)
    return FrontEndFeed(x, shown, InputConvolution(response, True), biases)


def runs(net, feed, margin=1e-6):
    """Each step of what is probed, and margins; at the end the samples that came near."""
    simulator = made(net)
    running = BatchedHost(simulator, feed.batch, {net.input: feed}, compiled=True, margin=margin)
    seen, margins = [[] for _ in net.seen], []
    for _ in range(feed.steps):
        running.step()
        margins.append(running.margins.copy())
        for values, probe in zip(seen, net.seen, strict=True):
            values.append(running.probed(probe).copy())
    return [np.array(values) for values in seen], np.array(margins), running.near


def joined(net, feed):
    """How many populations of ``net`` are computed a block at a time."""
    operators = made(net)._step_order
    fed = {operator.output: feed for operator in operators if hasattr(operator, "fn")}
    plan = host.HostPlan(operators)
    return sum(isinstance(part, Driven) for part in join_driven(plan, operators, fed))


def step_by_step(monkeypatch):
    monkeypatch.setattr(host, "join_driven", lambda plan, operators, fed: plan.steps)


FEEDS = {
    "plain": {},
    "one sample": {"batch": 1},
    "more than the lanes": {"batch": 19},
    "held": {"timing": Timing(3)},
    "settling": {"timing": Timing(1, 12)},
    "with biases": {"constant": 0.2},
    "more spikes a step than a byte holds": {"size": 1e4},
}


@pytest.mark.parametrize("block", [2, 8, 32])
@pytest.mark.parametrize("name", FEEDS)
def test_blocks_are_the_same_as_steps(name, block, monkeypatch):
    monkeypatch.setattr(convolution, "block_length", lambda steps, channels: block)
    net, feed = network(), feed_of(**FEEDS[name])
    assert joined(net, feed) == 1
    outputs, margins, near = runs(net, feed)
    step_by_step(monkeypatch)
    wanted, wanted_margins, wanted_near = runs(net, feed_of(**FEEDS[name]))
    for got, want in zip(outputs, wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(margins, wanted_margins)
    np.testing.assert_array_equal(near, wanted_near)
    assert wanted[1].any(axis=(0, 2)).sum() > 3
    assert (wanted[1].max() * 0.001 / 0.3 > 255) == ("byte" in name)


@pytest.mark.parametrize("voltage", [300.5, -2.5])
def test_voltages_to_begin_with(voltage, monkeypatch):
    """More than a byte holds at the first step, or fewer than none."""
    at_start = {"voltage": nengo.dists.Choice([voltage])}
    net = network(kind=nengo.SpikingRectifiedLinear(0.3, initial_state=at_start))
    (_, spikes), _, _ = runs(net, feed_of())
    step_by_step(monkeypatch)
    (_, wanted), _, _ = runs(net, feed_of())
    np.testing.assert_array_equal(spikes, wanted)
    assert np.sign(wanted[0]).min() == np.sign(voltage)


def test_before_its_first_input_a_sample_gets_nothing_at_all():
    """Not even what a Fourier transform leaves of nothing, which would bring it over here."""
    at_start = {"voltage": nengo.dists.Choice([np.nextafter(1.0, 0.0)])}
    kind = nengo.SpikingRectifiedLinear(0.3, initial_state=at_start)
    (_, spikes), _, _ = runs(network(kind=kind, bias=np.zeros(7)), feed_of(size=1e6))
    assert not spikes[:10, :, 1].any()
    assert not spikes[:, :, 2].any()
    assert spikes[10:, :, 1].any()
    assert spikes[:10, :, 0].any()


def test_what_biases_do_alone_is_not_near():
    """They bring neurons to their threshold exactly, as in the stock simulator.

    Step by step these samples run again, since a readout of such spikes may be rounded.
    """
    net = network(bias=np.full(7, 500.0))
    _, _, near = runs(net, feed_of())
    assert not near.any()
    _, _, near = runs(net, feed_of(constant=1e-12))
    assert near.tolist() == [False, True, True]


def test_samples_that_come_near_are_the_same(monkeypatch):
    """With a margin that some samples keep and others do not."""
    net, feed = network(), feed_of(19)
    for margin in (1e-3, 3e-3, 6e-3):
        _, _, near = runs(net, feed, margin)
        with monkeypatch.context() as patch:
            step_by_step(patch)
            _, _, wanted = runs(net, feed, margin)
        np.testing.assert_array_equal(near, wanted)
        assert 0 < near.sum() < 19


def also_read(place):
    """Something else that looks at what would no longer be there."""

    def more(net):
        if place == "voltage":
            nengo.Probe(net.neurons.neurons, "voltage")
        elif place == "current":
            nengo.Probe(net.neurons.neurons, "input")
        elif place == "input":
            nengo.Probe(net.input)
        elif place == "another population":
            other = nengo.Ensemble(
                SIZE, 1, neuron_type=nengo.SpikingRectifiedLinear(initial_state=AT_REST)
            )
            nengo.Connection(net.input, other.neurons, synapse=None)
        elif place == "recurrence":
            nengo.Connection(net.neurons.neurons, net.neurons.neurons, synapse=0.01)
        elif place == "filter":
            net.into.synapse = nengo.Lowpass(0.01)

    return more


PLACES = ["voltage", "current", "input", "another population", "recurrence", "filter"]


@pytest.mark.parametrize("place", PLACES)
def test_only_what_nobody_else_reads(place):
    assert joined(network(also_read(place)), feed_of()) == 0


def test_only_neurons_that_the_kernel_knows():
    assert joined(network(kind=nengo.LIF()), feed_of()) == 0


def test_neurons_of_ones_own_are_refused_as_ever():
    class SpikingRectifiedLinear(nengo.SpikingRectifiedLinear):
        pass

    own = SpikingRectifiedLinear(initial_state=AT_REST)
    with pytest.raises(Unsupported, match="SpikingRectifiedLinear"):
        runs(network(kind=own), feed_of())


def test_a_long_hold_is_not_kept_as_spikes():
    assert joined(network(), feed_of(timing=Timing(8))) == 1
    assert joined(network(), feed_of(timing=Timing(300))) == 0
