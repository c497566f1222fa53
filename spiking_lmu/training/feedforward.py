"""The feedforward cell: since its memory is fixed and linear, only what follows is trained.

The memory at the last input is m = H x with a fixed matrix H (see
:func:`spiking_lmu.graph.lmu.impulse_response`), so hidden layer and readout are trained in
NengoDL on m alone and put into the full network afterwards (Chilkuri & Eliasmith 2021).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.lmu import LmuSpec, build, impulse_response
from spiking_lmu.graph.neurons import Neuron

from .images import ImageEpochs

Array = np.ndarray

#: LIF neurons reach this rate in Hz for a summed input of 1; their amplitude makes that 1.
LIF_RATE = 200.0


class MemoryEpochs(ImageEpochs):
    """Images as memories (samples, 1, order); ``spec`` is the network's."""

    def __init__(
        self, images: Array, labels: Array, permutation: Array, spec: LmuSpec, **options: Any
    ) -> None:
        super().__init__(images, labels, permutation, **options)
        length = len(permutation)
        self._response = impulse_response(spec.order, spec.theta, length).T.astype(np.float32)

    def _present(self, pixels: Array) -> Array:
        return (pixels @ self._response)[:, None, :]


def build_trainable(spec: LmuSpec, dropout: float, seed: int) -> tuple[Any, dict[str, Any]]:
    """The NengoDL network from memory to readout, and its parts by name."""
    names = ("lmu.m", "lmu.h")
    return one_hidden_layer(
        spec.order, spec.units, spec.neuron, spec.output_size, names, dropout, seed
    )


def one_hidden_layer(
    inputs: int,
    units: int,
    neuron: Neuron,
    outputs: int,
    names: tuple[str, str],
    dropout: float,
    seed: int,
) -> tuple[Any, dict[str, Any]]:
    """A NengoDL network of input, hidden layer and readout, and its parts by name.

    Hidden neurons have a trained bias and dropout on their output; the readout has a bias.
    ``names`` are those of input and hidden layer.
    """
    nengo, nengo_dl = import_nengo(), import_nengo_dl()
    import tensorflow as tf

    with nengo.Network(seed=seed) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False, keep_history=False)
        memory = nengo.Node(np.zeros(inputs), label=names[0])
        hidden = nengo.Ensemble(
            units,
            1,
            neuron_type=_neuron_type(nengo, neuron),
            gain=np.ones(units),
            bias=np.full(units, _resting_bias(neuron)),
            label=names[1],
        )
        glorot = nengo_dl.dists.Glorot()
        weights = nengo.Connection(memory, hidden.neurons, transform=glorot, synapse=None)
        dropped = nengo_dl.Layer(tf.keras.layers.Dropout(dropout))(hidden.neurons)
        readout = nengo.Node(size_in=outputs, label="readout")
        readout_weights = nengo.Connection(dropped, readout, transform=glorot, synapse=None)
        one = nengo.Node([1.0], label="one")
        readout_bias = nengo.Connection(
            one, readout, transform=np.zeros((outputs, 1)), synapse=None
        )
        nengo.Probe(readout, label="probe")
    parts = {
        "input": memory,
        "hidden": hidden,
        "weights": weights,
        "readout_weights": readout_weights,
        "readout_bias": readout_bias,
    }
    return network, parts


def trained_graph(spec: LmuSpec, simulator: Any, parts: dict[str, Any]) -> Graph:
    """The full LMU with the weights that ``simulator`` has learned."""
    graph = build(spec)
    data = simulator.data
    hidden = replace(graph["lmu.h"], bias=np.asarray(data[parts["hidden"]].bias, float))
    readout = replace(
        graph["readout"], bias=np.asarray(data[parts["readout_bias"]].weights, float)[:, 0]
    )
    learned = {
        "lmu.m_to_h": data[parts["weights"]].weights,
        "readout_weights": data[parts["readout_weights"]].weights,
    }
    projections = tuple(
        p.with_weights(np.asarray(learned[p.name], float)) if p.name in learned else p
        for p in graph.projections
    )
    return replace(graph.with_populations([hidden, readout]), projections=projections)


def hidden_neuron(kind: str) -> Neuron:
    """The hidden neuron of a training run by its short name, ``relu`` or ``lif``."""
    return Neuron("lif_rate", amplitude=1.0 / LIF_RATE) if kind == "lif" else Neuron("relu")


def _neuron_type(nengo: Any, neuron: Neuron) -> Any:
    if neuron.kind == "lif_rate":
        return nengo.LIFRate(
            tau_rc=neuron.tau_rc, tau_ref=neuron.tau_ref, amplitude=neuron.amplitude
        )
    return nengo.RectifiedLinear(amplitude=neuron.amplitude)


def _resting_bias(neuron: Neuron) -> float:
    """At threshold, so that training starts with about half of the neurons active."""
    return 1.0 if neuron.kind == "lif_rate" else 0.0
