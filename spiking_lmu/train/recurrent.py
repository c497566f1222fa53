"""The recurrent cell, trained in NengoDL through time as the public example does.

The network has the structure of the NengoDL example *Legendre Memory Units in NengoDL*:
Nodes for x, u and m, a TensorNode for h that sees the input, the memory and itself one step
earlier, a linear readout.  Written from its description for any spec.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compat import import_nengo, import_nengo_dl
from ..lmu import LmuSpec, memory_matrices

Array = np.ndarray


class SequenceEpochs:
    """Sequences (samples, inputs, 1) with their labels, shuffled anew in every epoch.

    ``samples`` limits an epoch to a random part of the data.
    """

    def __init__(self, x: Array, y: Array, *, held_out: int, samples: int | None = None) -> None:
        self._x, self._y, self._kept = x, y, len(y) - held_out
        self.samples = min(samples or self._kept, self._kept)

    def training(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """This epoch's sequences and labels."""
        order = rng.permutation(self._kept)[: self.samples]
        return self._x[order], self._y[order]

    def held_out(self) -> tuple[Array, Array]:
        """What is never trained on."""
        return self._x[self._kept :], self._y[self._kept :]


def build_trainable(spec: LmuSpec, seed: int) -> tuple[Any, Any]:
    """The NengoDL network from input to readout, and its input Node."""
    nengo, nengo_dl = import_nengo(), import_nengo_dl()
    import tensorflow as tf

    a, b = memory_matrices(spec.order, spec.theta)
    with nengo.Network(seed=seed) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False, keep_history=False)
        x = nengo.Node(np.zeros(spec.input_size), label="x")
        u = nengo.Node(size_in=1, label="lmu.u")
        m = nengo.Node(size_in=spec.order, label="lmu.m")
        h = nengo_dl.TensorNode(tf.nn.tanh, shape_in=(spec.units,), pass_time=False, label="lmu.h")
        readout = nengo.Node(size_in=spec.output_size, label="readout")
        glorot = nengo_dl.dists.Glorot()
        fixed = (
            nengo.Connection(x, u, transform=np.ones((1, spec.input_size)), synapse=None),
            nengo.Connection(u, m, transform=b, synapse=None),
            nengo.Connection(m, m, transform=a, synapse=0),
        )
        for connection in fixed:
            network.config[connection].trainable = False
        nengo.Connection(x, h, transform=glorot, synapse=None)
        nengo.Connection(h, h, transform=glorot, synapse=0)
        nengo.Connection(m, h, transform=glorot, synapse=None)
        nengo.Connection(h, readout, transform=glorot, synapse=None)
        nengo.Probe(readout, label="probe")
    return network, x
