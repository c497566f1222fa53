"""The recurrent cell, trained in NengoDL through time as the public example does.

The network has the structure of the NengoDL example *Legendre Memory Units in NengoDL*:
Nodes for x, u and m, a TensorNode for h that sees the input, the memory and itself one step
earlier, a linear readout.  Written from its description for any spec.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.files.writing import write_atomically
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.lmu import LmuSpec, memory_matrices

from .images import ImageEpochs

Array = np.ndarray


class SequenceEpochs(ImageEpochs):
    """Images as sequences of one pixel an input, (samples, pixels, 1)."""

    def _present(self, pixels: Array) -> Array:
        return pixels[..., None]


def build_trainable(
    spec: LmuSpec, seed: int, weights: Mapping[str, Array | None] | None = None
) -> tuple[Any, Any]:
    """The NengoDL network from input to readout, and its input Node.

    Trainable ``weights`` are drawn with ``seed`` unless they are given by the names of
    :func:`spiking_lmu.graph.lmu.build`.
    """
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
        given = defaultdict(nengo_dl.dists.Glorot, weights or {})
        fixed = (
            nengo.Connection(x, u, transform=np.ones((1, spec.input_size)), synapse=None),
            nengo.Connection(u, m, transform=b, synapse=None),
            nengo.Connection(m, m, transform=a, synapse=0),
        )
        for connection in fixed:
            network.config[connection].trainable = False
        nengo.Connection(x, h, transform=given["lmu.x_to_h"], synapse=None)
        nengo.Connection(h, h, transform=given["lmu.h_to_h"], synapse=0)
        nengo.Connection(m, h, transform=given["lmu.m_to_h"], synapse=None)
        nengo.Connection(h, readout, transform=given["readout_weights"], synapse=None)
        nengo.Probe(readout, label="probe")
    return network, x


def write_params(spec: LmuSpec, graph: Graph, path: Path) -> None:
    """Write the weights of ``graph`` as a file of NengoDL's ``save_params``.

    NengoDL's ``load_params`` reads it into a simulator of :func:`build_trainable`'s network.
    """
    from spiking_lmu.compat.quiet import quiet_import

    network, _ = build_trainable(spec, 0, {p.name: p.weights for p in graph.projections})
    with quiet_import():
        simulator = import_nengo_dl().Simulator(network, progress_bar=False)
    with simulator, TemporaryDirectory() as folder, write_atomically(path) as file:
        simulator.save_params(f"{folder}/params")
        file.write(Path(folder, "params.npz").read_bytes())
