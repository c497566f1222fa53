"""What a batched engine builds of a graph, and what it shows to that.

Where the part before the first neuron is linear, it is not built but computed as a
convolution, if that takes fewer multiplications.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from spiking_lmu.graph.convolution import multiplications
from spiking_lmu.graph.front_end import FrontEnd, split
from spiking_lmu.graph.graph import Graph

from .batched.feeds import Feed, FrontEndFeed, Presented

Array = np.ndarray
FLOAT64 = 8


class Feeding(Protocol):
    """A graph to build, and its input for each batch."""

    graph: Graph
    #: Numbers in one input of a sample.
    input_size: int
    #: Bytes that a feed takes for each sample.
    sample_bytes: int

    def feed(self, x: Array, shown: Array) -> Feed:
        """For ``x`` (batch, inputs, size), of which input ``shown[t]`` is there at step t."""


class PlainFeeding:
    """The whole graph and its input as it is."""

    sample_bytes = 0

    def __init__(self, graph: Graph) -> None:
        self.graph, self.input_size = graph, graph.input_size

    def feed(self, x: Array, shown: Array) -> Feed:
        """Each input for its presentation."""
        return Presented(x, shown)


class ConvolvedFeeding:
    """What is left of a graph without its linear front end.

    Parameters
    ----------
    inputs
        The longest sequence that will be fed.
    """

    def __init__(self, front: FrontEnd, inputs: int) -> None:
        self.graph, self.input_size = front.rest, front.linear.input_size
        self._convolution, self._constant = front.convolution(inputs)
        self.sample_bytes = FLOAT64 * self._convolution.numbers_a_sequence

    def feed(self, x: Array, shown: Array) -> Feed:
        """What the front end delivers in each presentation."""
        return FrontEndFeed(x, shown, self._convolution, self._constant)


def plan_feeding(graph: Graph, inputs: int) -> Feeding:
    """The front end taken out of ``graph`` where that saves multiplications."""
    front = split(graph)
    if front is None:
        return PlainFeeding(graph)
    if multiplications(inputs, front.size, graph.input_size) >= front.weights:
        return PlainFeeding(graph)
    return ConvolvedFeeding(front, inputs)
