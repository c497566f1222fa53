"""Small NengoDL networks that tests import; each has the attribute ``probe``.

The cell follows the equations of the LMU (Voelker et al. 2019) in the way that NengoDL's
documentation page *Legendre Memory Units in NengoDL* builds it: passthrough Nodes for x, u
and m, a TensorNode for h, ``synapse=0`` for what was there one input earlier.
"""

from __future__ import annotations

import functools
import warnings

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_dl


def simulate(network, **options):
    """An open nengo_dl.Simulator without its warning about an absent GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_nengo_dl().Simulator(network, progress_bar=False, seed=0, **options)


@functools.cache
def lmu_cell_class():
    """The class LMUCell, made when first used because its base class is NengoDL's."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    import tensorflow as tf

    from spiking_lmu.graph.lmu import memory_matrices

    class LMUCell(nengo.Network):
        def __init__(self, units, order, theta, input_d, **kwargs):
            super().__init__(**kwargs)
            a, b = memory_matrices(order, theta)
            glorot = nengo_dl.dists.Glorot
            with self:
                nengo_dl.configure_settings(trainable=None)
                self.x = nengo.Node(size_in=input_d)
                self.u = nengo.Node(size_in=1)
                self.m = nengo.Node(size_in=order)
                self.h = nengo_dl.TensorNode(tf.nn.tanh, shape_in=(units,), pass_time=False)
                nengo.Connection(self.x, self.u, transform=np.ones((1, input_d)), synapse=None)
                state = nengo.Connection(self.m, self.m, transform=a, synapse=0)
                drive = nengo.Connection(self.u, self.m, transform=b, synapse=None)
                self.config[state].trainable = False
                self.config[drive].trainable = False
                nengo.Connection(self.x, self.h, transform=glorot(), synapse=None)
                nengo.Connection(self.h, self.h, transform=glorot(), synapse=0)
                nengo.Connection(self.m, self.h, transform=glorot(), synapse=None)

    return LMUCell


def lmu(units=12, order=8, theta=20.0, input_d=1, outputs=3, keep_history=True, cells=1):
    """The page's network at a size for tests; several cells where asked, one after another."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    with nengo.Network(seed=0) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False, keep_history=keep_history)
        source = nengo.Node(np.zeros(input_d))
        width = input_d
        for _ in range(cells):
            cell = lmu_cell_class()(units, order, theta, width)
            into = nengo.Connection(source, cell.x, synapse=None)
            network.config[into].trainable = False
            source, width = cell.h, units
        out = nengo.Node(size_in=outputs)
        nengo.Connection(source, out, transform=nengo_dl.dists.Glorot(), synapse=None)
        network.probe = nengo.Probe(out)
    return network


def layers():
    """Keras layers on a flat input: Dense of each kind, Dropout, Flatten, Activation; neurons."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    import tensorflow as tf

    keras = tf.keras.layers
    at_rest = {"voltage": nengo.dists.Choice([0])}
    with nengo.Network(seed=1) as network:
        network.config[nengo.Ensemble].max_rates = nengo.dists.Choice([100])
        network.config[nengo.Ensemble].intercepts = nengo.dists.Choice([0])
        network.config[nengo.Connection].synapse = None
        nengo_dl.configure_settings(stateful=False)
        inp = nengo.Node(np.zeros(6))
        # On the last axis of (6, 1): twelve values that share one kernel and one bias.
        x = nengo_dl.Layer(keras.Dense(2, activation="tanh", bias_initializer="normal"))(
            inp, shape_in=(6, 1)
        )
        x = nengo_dl.Layer(keras.Flatten())(x, shape_in=(6, 2))
        x = nengo_dl.Layer(keras.Dense(7, activation="relu", name="hidden"))(x)
        x = nengo_dl.Layer(keras.Dropout(0.5))(x)
        x = nengo_dl.Layer(keras.Dense(5, use_bias=False))(x)
        x = nengo_dl.Layer(keras.Activation("sigmoid"))(x)
        x = nengo_dl.Layer(keras.Dense(8, bias_initializer="normal"))(x)
        x = nengo_dl.Layer(nengo.LIF(amplitude=0.01, initial_state=at_rest))(x)
        out = nengo_dl.Layer(keras.Dense(units=4))(x)
        nengo.Probe(out, synapse=0.1, label="filtered")
        network.probe = nengo.Probe(out, label="out")
    return network


def neurons():
    """Ensembles in neuron mode, of every kind, with trained gains, biases, slices, constants."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    rng = np.random.default_rng(0)
    at_rest = {"voltage": nengo.dists.Choice([0])}
    kinds = {
        "relu": nengo.RectifiedLinear(amplitude=0.5),
        "spikes": nengo.SpikingRectifiedLinear(amplitude=0.001, initial_state=at_rest),
        "rate": nengo.LIFRate(tau_rc=0.03, tau_ref=0.004, amplitude=0.01),
        "lif": nengo.LIF(tau_rc=0.03, tau_ref=0.004, amplitude=0.001, initial_state=at_rest),
        "soft": nengo_dl.SoftLIFRate(sigma=0.3, amplitude=0.02),
        "sigmoid": nengo.Sigmoid(tau_ref=0.5),
        "tanh": nengo.Tanh(tau_ref=2.0),
    }
    with nengo.Network(seed=2) as network:
        nengo_dl.configure_settings(trainable=None)
        network.stimulus = nengo.Node(np.zeros(4))
        network.offset = nengo.Node([0.5, -1.0])
        network.out = nengo.Node(size_in=5)
        network.middle = nengo.Node(size_in=3, label="a passthrough")
        network.lost = nengo.Node(lambda t, x: None, size_in=5)
        dense = nengo.Dense((5, 5), init=rng.normal(size=(5, 5)))
        for number, (key, neuron_type) in enumerate(kinds.items()):
            ensemble = nengo.Ensemble(
                5,
                1,
                neuron_type=neuron_type,
                gain=rng.uniform(0.5, 2, 5),
                bias=rng.uniform(1, 3, 5),
            )
            setattr(network, key, ensemble)
            # A whole matrix, a vector, a scalar and slices, by turns.
            if number % 3 == 0:
                weights = nengo.Dense((5, 4), init=rng.normal(size=(5, 4)))
                nengo.Connection(
                    network.stimulus, ensemble.neurons, transform=weights, synapse=None
                )
            elif number % 3 == 1:
                nengo.Connection(
                    network.stimulus[[3, 1]],
                    ensemble.neurons[1:5:2],
                    transform=[0.7, -1.2],
                    synapse=0.004,
                )
            else:
                nengo.Connection(
                    network.stimulus[:3], ensemble.neurons[2:], transform=0.3, synapse=0
                )
            nengo.Connection(ensemble.neurons, network.out, transform=dense, synapse=None)
        nengo.Connection(network.stimulus[1:], network.middle, synapse=None)
        nengo.Connection(network.offset, network.middle[[2, 0]], synapse=None)
        nengo.Connection(
            network.middle, network.relu.neurons[:3], transform=[1.0, 2.0, 3.0], synapse=0.01
        )
        nengo.Connection(network.relu.neurons, network.tanh.neurons, synapse=None)
        nengo.Connection(network.tanh.neurons, network.relu.neurons, transform=-0.2, synapse=0)
        nengo.Connection(network.out, network.lost, synapse=None)
        network.probe = nengo.Probe(network.out[1:4])
    return network


def image_layers():
    """Convolutions and pooling as Keras layers, with Nengo's neurons behind them."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    import tensorflow as tf

    keras = tf.keras.layers
    options = {"bias_initializer": "normal"}
    with nengo.Network(seed=5) as network:
        nengo_dl.configure_settings(trainable=None)
        network.config[nengo.Ensemble].gain = nengo.dists.Uniform(0.5, 2)
        network.config[nengo.Ensemble].bias = nengo.dists.Uniform(-0.5, 0.5)
        network.config[nengo.Connection].synapse = None
        network.stimulus = nengo.Node(np.zeros(36))
        same = keras.Conv2D(4, 3, strides=2, padding="same", **options)
        # What a connection does before a layer is part of the layer's weights.
        scaled = nengo_dl.Layer(same)(
            network.stimulus, shape_in=(6, 6, 1), transform=np.linspace(0.5, 1.5, 36)
        )
        x = nengo_dl.Layer(nengo.LIF(amplitude=0.01))(scaled)
        layer = keras.Conv2D(6, 2, groups=2, activation="tanh", **options)
        x = nengo_dl.Layer(layer)(x, shape_in=(3, 3, 4))
        x = nengo_dl.Layer(keras.AveragePooling2D(2, strides=1, padding="same"))(
            x, shape_in=(2, 2, 6)
        )
        x = nengo_dl.Layer(keras.Conv1D(5, 2, dilation_rate=2, activation="relu", **options))(
            x, shape_in=(4, 6)
        )
        x = nengo_dl.Layer(keras.GlobalAveragePooling1D())(x, shape_in=(2, 5))
        network.probe = nengo.Probe(nengo_dl.Layer(keras.Dense(3))(x))
    return network


def nef():
    """Encoders, decoders, a function, a weight solver, and a probe of decoded values."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    rates = {"max_rates": nengo.dists.Uniform(20, 40), "neuron_type": nengo.LIFRate(amplitude=0.02)}
    with nengo.Network(seed=3) as network:
        nengo_dl.configure_settings(trainable=None)
        network.stimulus = nengo.Node(np.zeros(2))
        network.a = nengo.Ensemble(15, 2, radius=1.5, **rates)
        network.b = nengo.Ensemble(12, 3, **rates)
        network.c = nengo.Ensemble(10, 2, **rates)
        nengo.Connection(network.stimulus, network.a, synapse=None)
        nengo.Connection(
            network.a[0], network.b[[2, 0]], function=lambda x: [x[0] ** 2, 1.0], synapse=0.005
        )
        nengo.Connection(network.a, network.b[1], transform=[[0.5, -0.5]], synapse=None)
        nengo.Connection(
            network.a, network.c, solver=nengo.solvers.LstsqL2(weights=True), synapse=None
        )
        nengo.Connection(network.b, network.c[0], transform=[[1.0, 0.5, 0.1]], synapse=0)
        nengo.Connection(
            network.stimulus, network.c.neurons[:2], transform=0.1 * np.eye(2), synapse=None
        )
        network.probe = nengo.Probe(network.c)
    return network


def refused():
    """One of everything that has no counterpart, all of it leading to the output."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    import tensorflow as tf

    @functools.wraps(tf.nn.tanh)
    def tanh(x):
        return 2 * tf.nn.tanh(x)

    with nengo.Network(seed=4, label="refused") as network:
        network.first = nengo.Node(np.zeros(16))
        network.second = nengo.Node(np.ones(16))
        network.image = nengo_dl.Layer(tf.keras.layers.Conv2DTranspose(1, 1))(
            network.first, shape_in=(4, 4, 1)
        )
        network.sine = nengo.Node(lambda t, x: np.sin(x), size_in=16)
        network.double = nengo_dl.TensorNode(tanh, shape_in=(16,), pass_time=False)
        network.clock = nengo_dl.TensorNode(lambda t, x: x, shape_in=(16,), shape_out=(16,))
        network.softmax = nengo_dl.Layer(tf.keras.layers.Dense(16, activation="softmax"))(
            network.second
        )
        network.adaptive = nengo.Ensemble(16, 16, neuron_type=nengo.AdaptiveLIF())
        network.direct = nengo.Ensemble(16, 16, neuron_type=nengo.Direct())
        network.out = nengo.Node(size_in=16)
        for source in (network.image, network.sine, network.double, network.clock):
            nengo.Connection(source, network.out, synapse=None)
        nengo.Connection(network.softmax, network.out, synapse=nengo.Alpha(0.01), label="slow")
        nengo.Connection(network.second, network.sine, function=np.abs, synapse=None)
        nengo.Connection(network.second, network.double, synapse=None)
        nengo.Connection(network.second, network.clock, synapse=None)
        nengo.Connection(
            network.second,
            network.adaptive.neurons,
            transform=nengo.ConvolutionTranspose(1, (4, 4, 1), kernel_size=(1, 1)),
        )
        nengo.Connection(network.adaptive, network.direct, learning_rule_type=nengo.PES())
        nengo.Connection(network.direct, network.out)
        nengo.Probe(network.out, label="all")
        nengo.Probe(network.sine, label="some")
    return network
