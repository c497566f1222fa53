"""Networks as people write them: spiking neurons, several inputs, arrays of Ensembles, transforms."""

from __future__ import annotations

import numpy as np
import pytest

from spiking_lmu.errors import ImportNetworkError
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.importers import from_nengo_dl

from ..helpers import networks
from ..helpers.neuron_types import KINDS, REFUSED, one_population


def rates_of(simulator, x):
    """What NengoDL computes with these inputs when it trains; its one probe's values."""
    steps = np.full((len(x[0]), 1), x[0].shape[1], np.int32)
    values = [part.astype(np.float32) for part in x]
    return np.asarray(simulator.keras_model([*values, steps], training=True)[0])


@pytest.mark.parametrize("name", KINDS)
def test_neurons_come_in_as_what_nengo_dl_trains(name):
    network = one_population(name)
    x = np.random.default_rng(0).normal(size=(3, 4, 4))
    with networks.simulate(network, minibatch_size=3) as simulator:
        graph = from_nengo_dl(network, simulator)
        want = rates_of(simulator, [x])
    assert not graph.spiking
    assert np.abs(want).max() > 0.01
    np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-4 * np.abs(want).max())


def test_convolutions_and_pooling_as_layers_come_in_as_transforms():
    network = networks.image_layers()
    x = np.random.default_rng(0).normal(size=(3, 2, 36))
    with networks.simulate(network, minibatch_size=3) as simulator:
        graph = from_nengo_dl(network, simulator)
        want = rates_of(simulator, [x])
    kinds = [type(p.transform).__name__ for p in graph.projections]
    assert kinds.count("Convolution") == 2
    assert kinds.count("AveragePool") == 2
    assert np.abs(want).max() > 0.01
    np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "causal"}, "zeros before it"),
        ({"data_format": "channels_first"}, "channels_last"),
    ],
)
def test_convolutions_of_another_kind_are_refused_with_what_to_do(options, message):
    from spiking_lmu.compat import import_nengo, import_nengo_dl

    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    import tensorflow as tf

    with nengo.Network(seed=0) as network:
        source = nengo.Node(np.zeros(8))
        layer = tf.keras.layers.Conv1D(2, 2, **options)
        nengo.Probe(nengo_dl.Layer(layer)(source, shape_in=(4, 2)))
    with pytest.raises(ImportNetworkError, match=message):
        from_nengo_dl(network, [])


@pytest.mark.parametrize("name", REFUSED)
def test_neurons_that_no_curve_follows_are_refused_with_the_reason(name):
    with pytest.raises(ImportNetworkError, match=REFUSED[name]):
        from_nengo_dl(one_population(name), [])


def test_spikes_are_kept_on_request():
    network = one_population("lif")
    with networks.simulate(network) as simulator:
        graph = from_nengo_dl(network, simulator, spiking=True)
        assert [p.neuron.kind for p in graph.spiking] == ["lif"]
        rates = from_nengo_dl(network, simulator)
    assert [p.name for p in rates.populations] == [p.name for p in graph.populations]
    for name, message in (
        ("lif with min_voltage", "use min_voltage=0"),
        ("regular spiking tanh", "import them with spiking=False"),
    ):
        with pytest.raises(ImportNetworkError, match=message):
            from_nengo_dl(one_population(name), [], spiking=True)


def two_inputs(neuron=None):
    """A gesture recogniser as published: an input Node a channel, EnsembleArrays, NEF decoders."""
    from spiking_lmu.compat import import_nengo, import_nengo_dl
    from spiking_lmu.graph.lmu import memory_matrices

    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    neuron = neuron or nengo.SpikingRectifiedLinear(amplitude=1 / 250)
    a, b = memory_matrices(2, 20.0)
    n, glorot = 5, nengo_dl.dists.Glorot()
    array = nengo.networks.EnsembleArray
    with nengo.Network(seed=0) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False)
        inputs = [nengo.Node(np.zeros(size), label=f"X{size}") for size in (1, 2)]
        options = {"neuron_type": neuron, "gain": 250 * np.ones(n), "bias": np.zeros(n)}
        h = array(n, 3, label="H", **options)
        o = array(n, 3, label="O", **options)
        for node in inputs:
            u = nengo.Ensemble(n, 1, **options)
            m = array(n, 2, **options)
            nengo.Connection(node, u, transform=np.ones((1, node.size_out)), synapse=0.01)
            nengo.Connection(u, m.input, transform=b, synapse=0.01)
            nengo.Connection(m.output, m.input, transform=0.9 * a, synapse=0.01)
            nengo.Connection(
                m.output, h.input, transform=nengo.Dense((3, 2), init=glorot), synapse=0.01
            )
        for one, other in zip(h.ea_ensembles, o.ea_ensembles, strict=True):
            nengo.Connection(one, other, function=np.tanh, synapse=0.01)
        network.out = nengo.Node(size_in=2)
        nengo.Connection(o.output, network.out, transform=glorot, synapse=0.01)
        nengo.Probe(network.out)
    network.inputs_of_mine = inputs
    return network


def test_several_inputs_are_channels_in_the_order_of_the_network():
    network = two_inputs()
    x = np.random.default_rng(0).normal(size=(2, 12, 3))
    with networks.simulate(network, minibatch_size=2) as simulator:
        want = rates_of(simulator, [x[..., :1], x[..., 1:]])
        graph = from_nengo_dl(network, simulator)
        turned = from_nengo_dl(network, simulator, input=["X2", "X1"])
        assert graph.input_size == 3
        assert {p.post for p in graph.outgoing("input")} == {"X1", "X2"}
        np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-5)
        np.testing.assert_allclose(run_reference(turned, x[..., [1, 2, 0]]), want, atol=1e-5)
        # Followed as given, the advice works.
        with pytest.raises(ImportNetworkError, match=r"input=\['X1', 'X2'\]"):
            from_nengo_dl(network, simulator, input="X1")
        with pytest.raises(ImportNetworkError, match="X1 twice"):
            from_nengo_dl(network, simulator, input=["X1", "X1", "X2"])


def test_a_node_that_presents_its_inputs_is_an_input():
    from spiking_lmu.compat import import_nengo

    nengo = import_nengo()
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    with nengo.Network(seed=0) as network:
        shown = nengo.Node(nengo.processes.PresentInput(x[0], 0.001))
        out = nengo.Node(size_in=2)
        nengo.Connection(shown, out, transform=np.arange(8.0).reshape(2, 4), synapse=None)
        nengo.Probe(out)
    with networks.simulate(network, minibatch_size=2) as simulator:
        graph = from_nengo_dl(network, simulator)
        want = rates_of(simulator, [x])
    np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-5)


@pytest.mark.filterwarnings("ignore:TensorFlow does not support convolution")
def test_transforms_come_in_as_they_are():
    from spiking_lmu.compat import import_nengo, import_nengo_dl
    from spiking_lmu.graph.transforms import Convolution, Sparse

    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    places = [(3, 5), (0, 3), (1, 1), (0, 1)]
    with nengo.Network(seed=0) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False)
        nengo_dl.configure_settings(trainable=True)
        inp = nengo.Node(np.zeros(24))
        first = nengo.Node(size_in=4 * 3 * 2, label="first")
        last = nengo.Node(size_in=2 * 3 * 2, label="last")
        some = nengo.Node(size_in=5, label="some")
        network.out = nengo.Node(size_in=3)
        out = network.out
        conv = nengo.Convolution
        nengo.Connection(
            inp,
            first,
            transform=conv(2, (4, 3, 2), kernel_size=(3, 3), padding="same", strides=(1, 1)),
            synapse=None,
        )
        nengo.Connection(
            inp,
            last,
            transform=conv(
                2,
                (2, 4, 3),
                kernel_size=(3, 1),
                strides=(1, 1),
                channels_last=False,
                padding="valid",
            ),
            synapse=None,
        )
        nengo.Connection(
            inp[:6],
            some[1:],
            transform=nengo.Sparse((4, 6), indices=places, init=[1.0, 2.0, 3.0, 4.0]),
            synapse=None,
        )
        for source in (first, last, some):
            nengo.Connection(source, out, transform=nengo_dl.dists.Glorot(), synapse=None)
        nengo.Probe(out)
    x = np.random.default_rng(0).normal(size=(2, 3, 24))
    with networks.simulate(network, minibatch_size=2) as simulator:
        rng = np.random.default_rng(1)
        for variable in simulator.keras_model.trainable_weights:
            variable.assign(variable.numpy() + rng.normal(size=variable.shape))
        graph = from_nengo_dl(network, simulator)
        want = simulator.predict(x, verbose=0)[network.probes[0]]
    kinds = {p.post: type(p.transform) for p in graph.projections if p.post != "out"}
    assert kinds == {"first": Convolution, "last": Sparse, "some": Sparse}
    np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-5 * np.abs(want).max())
