"""Networks whose ``save_params`` files people asked about; made when called."""

from __future__ import annotations

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_dl


def _network(nengo):
    """As in NengoDL's examples: equal rates, no synapses."""
    network = nengo.Network(seed=0)
    network.config[nengo.Ensemble].max_rates = nengo.dists.Choice([100])
    network.config[nengo.Ensemble].intercepts = nengo.dists.Choice([0])
    network.config[nengo.Connection].synapse = None
    return network


def pixels():
    """784 pixels, each through the same Dense(4), LIF neurons, Dense(4)."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    import tensorflow as tf

    with _network(nengo) as network:
        nengo_dl.configure_settings(stateful=False)
        x = nengo.Node(np.zeros(28 * 28))
        x = nengo_dl.Layer(tf.keras.layers.Dense(4))(x, shape_in=(28 * 28, 1))
        x = nengo_dl.Layer(nengo.LIF(amplitude=0.01))(x)
        out = nengo_dl.Layer(tf.keras.layers.Dense(units=4))(x)
        nengo.Probe(out, label="out_p")
        nengo.Probe(out, synapse=0.1, label="out_p_filt")
    return network


def three_layers(sizes=(1, 2, 3), use_bias=True):
    """Two inputs, Dense and LIF neurons three times (2, 2 and 3 neurons), Dense(4)."""
    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    import tensorflow as tf

    dense = tf.keras.layers.Dense
    layers = []
    with _network(nengo) as network:
        x = nengo.Node(np.zeros(2))
        for size in sizes:
            x = nengo_dl.Layer(dense(size))(x, shape_in=None if layers else (2, 1))
            x = nengo_dl.Layer(nengo.LIF(amplitude=0.01))(x)
            layers.append(x.ensemble)
        out = nengo_dl.Layer(dense(4, use_bias=use_bias))(x)
        nengo.Probe(out, label="out_p")
    network.layer_list = layers
    return network


def converted(scale=5.0):
    """A Keras model with a convolution, through ``nengo_dl.Converter``; fixed biases."""
    nengo_dl = import_nengo_dl()
    import tensorflow as tf

    keras = tf.keras.layers

    biases = tf.keras.initializers.Constant([0.1, -0.2, 0.3, 0.5])
    image = tf.keras.Input((5, 5, 1))
    x = keras.Conv2D(2, 3, activation="relu")(image)
    x = keras.Flatten()(x)
    x = keras.Dense(4, activation="relu", bias_initializer=biases, name="hidden")(x)
    model = tf.keras.Model(image, keras.Dense(3)(x))
    return nengo_dl.Converter(model, scale_firing_rates=scale)


def learning():
    """A learning rule, whose weights NengoDL keeps once for each sample of the minibatch."""
    nengo = import_nengo()
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node([0.5], label="stimulus")
        pre = nengo.Ensemble(10, 1, label="pre")
        post = nengo.Ensemble(12, 1, label="post")
        error = nengo.Node(size_in=1, label="error")
        nengo.Connection(stimulus, pre)
        learned = nengo.Connection(pre, post, learning_rule_type=nengo.PES())
        nengo.Connection(error, learned.learning_rule, transform=2.0)
        nengo.Connection(post, error)
        nengo.Connection(stimulus, error, transform=-1)
        nengo.Probe(post, label="out")
    return network
