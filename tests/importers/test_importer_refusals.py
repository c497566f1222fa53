"""Networks and weights that cannot be imported are refused with every reason."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo, import_nengo_loihi
from spiking_lmu.errors import ImportNetworkError, SpecError
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.importers import from_nengo_dl

from ..helpers import networks


def import_loihi_neurons():
    pytest.importorskip("nengo_loihi", reason="needs: pip install 'spiking-lmu[loihi]'")
    import_nengo_loihi()
    import nengo_loihi.neurons

    return nengo_loihi.neurons


def chain(neuron_type):
    """A Node, three neurons, and a probe on them."""
    nengo = import_nengo()
    with nengo.Network(seed=0) as network:
        entry = nengo.Node(np.zeros(3), label="entry")
        hidden = nengo.Ensemble(3, 1, neuron_type=neuron_type, label="hidden")
        nengo.Connection(entry, hidden.neurons, synapse=None)
        nengo.Probe(hidden.neurons)
    return network


def test_everything_without_counterpart_is_named_at_once():
    with pytest.raises(ImportNetworkError) as caught:
        from_nengo_dl(networks.refused(), [])
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "network refused",
        "input: 2 Nodes that could be it: first, second (name the input with input=",
        "image: a layer of type Conv2DTranspose",
        "sine: a Node that runs a function",
        "double: the function tanh",  # a user's own, though it calls itself tf.nn.tanh
        "clock: a TensorNode that reads the simulation time",
        "softmax: the function softmax",
        "adaptive: AdaptiveLIF neurons",
        "direct: Direct neurons",
        "slow: the synapse Alpha",
        "connection second to sine: a function",
        "connection second to adaptive: the transform ConvolutionTranspose",
        "connection adaptive to direct: a learning rule",
    ):
        assert part in message
    assert "got 12 without" in message


def test_functions_are_recognised_under_all_their_names():
    import tensorflow as tf

    from spiking_lmu.importers.nengo_dl.functions import NoCounterpart, function_of

    keras = tf.keras.activations
    for kind, functions in {
        "tanh": (tf.nn.tanh, tf.math.tanh, tf.tanh, keras.tanh),
        "relu": (tf.nn.relu, keras.relu),
        "sigmoid": (tf.nn.sigmoid, tf.math.sigmoid, tf.sigmoid, keras.sigmoid),
        "linear": (None, keras.linear, tf.identity),
    }.items():
        assert {function_of(function, tf).neuron.kind for function in functions} == {kind}
    # What TensorFlow's own decorators wrap is recognised by where it is defined.
    assert function_of(tf.tanh.__wrapped__, tf).neuron.kind == "tanh"

    def relu(x):
        return x

    for function in (relu, tf.nn.softmax, tf.nn.elu, lambda x: x, functools.partial(tf.tanh)):
        with pytest.raises(NoCounterpart) as caught:
            function_of(function, tf)
        assert ("leave it out" in caught.value.instead) == (function is tf.nn.softmax)


@pytest.mark.parametrize("kind", ["LoihiLIF", "LoihiSpikingRectifiedLinear"])
def test_neurons_of_the_chip_are_refused_with_what_takes_their_weights(kind):
    neurons = import_loihi_neurons()
    with pytest.raises(ImportNetworkError, match=f"{kind} neurons .put {kind[5:]} neurons"):
        from_nengo_dl(chain(getattr(neurons, kind)()), [])


def test_what_nengo_dl_does_not_build_is_an_import_error():
    neurons = import_loihi_neurons()
    if "Error" not in neurons.LoihiLIFBuilder.__name__:
        pytest.skip("nengo-extras is installed, and builds these neurons")
    network = chain(import_nengo().LIF())
    with network:
        # Leads nowhere, so an import would leave it out; NengoDL has to build it all the same.
        import_nengo().Ensemble(3, 1, neuron_type=neurons.LoihiLIF(), label="aside")
    with pytest.raises(ImportNetworkError, match=r"NengoDL does not build: .*nengo-extras"):
        from_nengo_dl(network, [])


def test_weights_that_are_not_finite_are_refused():
    network = networks.lmu(units=2, order=2)
    with networks.simulate(network) as simulator:
        for variable in simulator.keras_model.trainable_weights:
            variable.assign(np.full(variable.shape, np.nan))
        with pytest.raises(SpecError, match="NaN or infinity"):
            from_nengo_dl(network, simulator)


def test_random_gains_without_seed_import_only_from_the_simulator():
    from spiking_lmu.compat import import_nengo

    nengo = import_nengo()
    with nengo.Network() as network:
        network.a = nengo.Node(np.zeros(3))
        network.b = nengo.Ensemble(4, 1, neuron_type=nengo.RectifiedLinear())
        nengo.Connection(network.a[0], network.b.neurons, transform=np.ones((4, 1)), synapse=None)
        network.probe = nengo.Probe(network.b.neurons)
    with networks.simulate(network) as simulator:
        weights = simulator.keras_model.get_weights()
        x = np.ones((1, 2, 3))
        simulator.run_steps(2, data={network.a: x})
        graph = from_nengo_dl(network, simulator)
        np.testing.assert_allclose(
            run_reference(graph, x)[0], simulator.data[network.probe], rtol=1e-5
        )
    with pytest.raises(ImportNetworkError, match=r"gains of b.*without a seed"):
        from_nengo_dl(network, weights)
    network.seed = 1
    with networks.simulate(network) as simulator:
        from_nengo_dl(network, simulator.keras_model.get_weights())


def test_what_has_no_name_can_be_given_one():
    """The advice to name an input or output can be followed where nothing has a name yet."""
    nengo = import_nengo()
    with nengo.Network() as network:
        ends = [nengo.Node(size_in=2), nengo.Node(size_in=2)]
        for node in (nengo.Node(np.zeros(2)), nengo.Node([0.5, 0.1])):
            for end in ends:
                nengo.Connection(node, end, synapse=None)
        for end in ends:
            nengo.Probe(end)
    with pytest.raises(ImportNetworkError) as caught:
        from_nengo_dl(network, [])
    message = str(caught.value)
    assert "2 Nodes that could be it: an unnamed Node of size 2, an unnamed Node" in message
    assert "are constants, after giving a label='…' to what has no name)" in message
    assert "name the output with output=, after giving a label='…' to what has no" in message


@pytest.mark.parametrize("where", ["pre", "post", "probe", "part", "decoded"])
def test_a_whole_object_read_backwards(where):
    """NengoDL takes it forwards, Nengo does not: what was trained is not what was written."""
    nengo = import_nengo()
    with nengo.Network(seed=0) as network:
        entry = nengo.Node(np.zeros(3), label="entry")
        out = nengo.Node(size_in=3, label="out")
        pre = {"pre": entry[::-1], "part": entry[:0:-1]}.get(where, entry)
        if where == "decoded":  # the decoders are in the right order
            neurons = nengo.Ensemble(9, 3, neuron_type=nengo.RectifiedLinear())
            nengo.Connection(entry, neurons, synapse=None)
            pre = neurons[::-1]
        post = {"post": out[2::-1], "part": out[[2, 1]]}.get(where, out)
        nengo.Connection(pre, post, synapse=None)
        nengo.Probe(out[::-1] if where == "probe" else out)
    with networks.simulate(network) as simulator:
        if where in ("part", "decoded"):
            assert from_nengo_dl(network, simulator).output_size == 3
            return
        with pytest.raises(ImportNetworkError, match=r"backwards.* x\[\[2, 1, 0\]\] for x\[::-1\]"):
            from_nengo_dl(network, simulator)
