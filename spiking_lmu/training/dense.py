"""A plain dense network with one hidden layer, as most networks are that users bring.

It has no memory: a whole image is one input.  Once converted, that input is held while the
neurons spike (``settle_steps``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.neurons import Neuron

from .feedforward import one_hidden_layer
from .images import ImageEpochs

Array = np.ndarray
NAMES = ("x", "hidden")


@dataclass(frozen=True)
class DenseSpec:
    """Sizes of a dense network.

    Parameters
    ----------
    units
        Hidden neurons.
    neuron
        Their model.
    input_size, output_size
        Numbers in an input and in an output.

    Raises
    ------
    SpecError
        Fewer than one of anything, or more than 100,000.
    """

    units: int = 128
    neuron: Neuron = field(default_factory=lambda: Neuron("relu"))
    input_size: int = 784
    output_size: int = 10

    def __post_init__(self) -> None:
        for name in ("units", "input_size", "output_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000:
                raise SpecError(
                    name.replace("_", " "),
                    got=repr(value),
                    expected="a whole number from 1 to 100000",
                    fix="pass units=128",
                )


class DenseEpochs(ImageEpochs):
    """Each image as one input: (samples, 1, pixels)."""

    def _present(self, pixels: Array) -> Array:
        return pixels[:, None, :]


def build_trainable(spec: DenseSpec, dropout: float, seed: int) -> tuple[Any, dict[str, Any]]:
    """The NengoDL network, and its parts by name (see :func:`.feedforward.one_hidden_layer`)."""
    return one_hidden_layer(
        spec.input_size, spec.units, spec.neuron, spec.output_size, NAMES, dropout, seed
    )


def trained_graph(spec: DenseSpec, simulator: Any, parts: dict[str, Any]) -> Graph:
    """The network with the weights that ``simulator`` has learned."""
    data = simulator.data
    return dense_graph(
        spec,
        data[parts["weights"]].weights,
        data[parts["hidden"]].bias,
        data[parts["readout_weights"]].weights,
        data[parts["readout_bias"]].weights[:, 0],
    )


def dense_graph(
    spec: DenseSpec, weights: Array, bias: Array, readout_weights: Array, readout_bias: Array
) -> Graph:
    """A graph of input, hidden layer and readout.

    Parameters
    ----------
    weights, bias
        Of the hidden layer: (units, input_size) and (units,).
    readout_weights, readout_bias
        (output_size, units) and (output_size,).
    """
    x, hidden = NAMES
    return Graph(
        (
            Population(x, spec.input_size),
            Population(hidden, spec.units, spec.neuron, bias=np.asarray(bias, float)),
            Population("readout", spec.output_size, bias=np.asarray(readout_bias, float)),
        ),
        (
            Projection(x, hidden, np.asarray(weights, float), name="hidden_weights"),
            Projection(
                hidden, "readout", np.asarray(readout_weights, float), name="readout_weights"
            ),
        ),
        x,
        "readout",
    )
