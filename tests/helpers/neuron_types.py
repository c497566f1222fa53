"""A network with one population of every neuron type that people write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_dl


def _keras(name: str, *args: Any) -> Any:
    import_nengo_dl()
    import tensorflow as tf

    return getattr(tf.keras.layers, name)(*args)


def _function(name: str) -> Any:
    import_nengo_dl()
    import tensorflow as tf

    return getattr(tf.nn, name)


#: What a population computes, by a name for people: a neuron type, a function or a layer.
KINDS: dict[str, Callable[[Any, Any], Any]] = {
    "relu": lambda n, dl: n.RectifiedLinear(amplitude=0.5),
    "spiking relu": lambda n, dl: n.SpikingRectifiedLinear(amplitude=0.5),
    "lif rate": lambda n, dl: n.LIFRate(tau_rc=0.05, tau_ref=0.001, amplitude=0.01),
    "lif": lambda n, dl: n.LIF(amplitude=0.01),
    "smoothed lif": lambda n, dl: n.LIF(amplitude=0.01),
    "lif with min_voltage": lambda n, dl: n.LIF(min_voltage=-1, amplitude=0.01),
    "soft lif": lambda n, dl: dl.SoftLIFRate(sigma=0.1, amplitude=0.01),
    "sigmoid": lambda n, dl: n.Sigmoid(tau_ref=0.5),
    "tanh": lambda n, dl: n.Tanh(tau_ref=0.5),
    "leaky relu": lambda n, dl: dl.LeakyReLU(negative_slope=0.25, amplitude=0.5),
    "spiking leaky relu": lambda n, dl: dl.SpikingLeakyReLU(negative_slope=0.25),
    "regular spiking lif": lambda n, dl: n.RegularSpiking(n.LIFRate(amplitude=0.1), amplitude=0.1),
    "regular spiking tanh": lambda n, dl: n.RegularSpiking(n.Tanh(tau_ref=0.5), amplitude=2.0),
    "poisson spiking": lambda n, dl: n.PoissonSpiking(n.RectifiedLinear(), amplitude=0.5),
    "stochastic spiking": lambda n, dl: n.StochasticSpiking(n.RectifiedLinear(amplitude=0.5)),
    "tf leaky relu": lambda n, dl: _function("leaky_relu"),
    "tf relu6": lambda n, dl: _function("relu6"),
    "keras leaky relu": lambda n, dl: _keras("LeakyReLU", 0.1),
    "keras bounded relu": lambda n, dl: _keras("ReLU", 0.5),
    "keras sloped relu": lambda n, dl: _keras("ReLU", None, 0.3),
}
#: Why the others are refused.
REFUSED = {
    "adaptive lif": "AdaptiveLIF neurons .their rate follows what they fired before",
    "adaptive lif rate": "AdaptiveLIFRate neurons .their rate follows what they fired before",
    "izhikevich": "Izhikevich neurons .use RectifiedLinear",
    "elu": "the function elu .use tf.nn.tanh",
    "softmax": "the function softmax",
}
_MORE: dict[str, Callable[[Any, Any], Any]] = {
    "adaptive lif": lambda n, dl: n.AdaptiveLIF(),
    "adaptive lif rate": lambda n, dl: n.AdaptiveLIFRate(),
    "izhikevich": lambda n, dl: n.Izhikevich(),
    "elu": lambda n, dl: _function("elu"),
    "softmax": lambda n, dl: _function("softmax"),
}


def one_population(name: str) -> Any:
    """Four inputs, ten units, three outputs."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    made = {**KINDS, **_MORE}[name](nengo, nengo_dl)
    rng = np.random.default_rng(0)
    with nengo.Network(seed=0) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False)
        if name == "smoothed lif":
            nengo_dl.configure_settings(lif_smoothing=0.1)
        inp = nengo.Node(np.zeros(4))
        network.out = nengo.Node(size_in=3)
        if isinstance(made, nengo.neurons.NeuronType):
            unit = nengo.Ensemble(
                10, 1, neuron_type=made, gain=rng.uniform(1, 2, 10), bias=np.full(10, 1.5)
            ).neurons
        else:
            unit = nengo_dl.TensorNode(made, shape_in=(10,), shape_out=(10,), pass_time=False)
        glorot = nengo_dl.dists.Glorot()
        nengo.Connection(inp, unit, transform=glorot, synapse=None)
        nengo.Connection(unit, network.out, transform=glorot, synapse=None)
        nengo.Probe(network.out)
    return network
