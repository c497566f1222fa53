"""The linear part of a graph before its first neuron, computed without simulating it.

Linear populations that only the input drives, over projections without a synapse, change
once a presentation: a linear time-invariant system on the clock of presentations.  Its
output is the input convolved with its impulse response, so a whole sequence can be computed
at once, before any neuron runs.  In a feedforward Legendre Memory Unit this is the memory,
by far the largest part of the arithmetic.

:func:`split` divides a graph in two; :class:`InputConvolution` computes what the linear part
delivers to the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from .convolution import InputConvolution
from .graph import Graph, Population, Projection
from .reference import check_input, run_reference
from .transforms import as_transform

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Boundary:
    """Projections from the linear part onto one population, with the same synapse.

    Their weighted sum is what the linear part delivers there; ``place`` is where the sum
    stands in the input of the rest.
    """

    projections: tuple[Projection, ...]
    place: slice

    @property
    def first(self) -> Projection:
        """Gives its name, target and synapse to the projection that takes their place."""
        return self.projections[0]


@dataclass(frozen=True, eq=False)
class FrontEnd:
    """A graph in two parts that together compute what it does.

    Parameters
    ----------
    linear
        The populations that are taken out, and the projections among them.
    boundaries
        What leads from there to the rest.
    rest
        The graph without them.  Its input has the name of the old input and the size of
        all boundaries; what is presented to it is their sums.
    """

    linear: Graph
    boundaries: tuple[Boundary, ...]
    rest: Graph

    @property
    def size(self) -> int:
        """Numbers that the linear part delivers in one presentation."""
        return self.rest.input_size

    @property
    def weights(self) -> int:
        """Weights of the linear part and of its boundaries, each multiplied once a presentation."""
        across = [p for boundary in self.boundaries for p in boundary.projections]
        sizes = {p.name: p.size for p in self.linear.populations}
        return sum(
            p.transform.connections(sizes[p.pre])
            for p in (*self.linear.projections, *across)
            if p.weights is not None
        )

    def deliver(self, x: Array) -> Array:
        """Simulate the linear part: ``x`` (batch, inputs, input size) → (batch, inputs, size)."""
        x = check_input(self.linear, x)
        delivered = np.zeros((*x.shape[:2], self.size))
        previous: dict[str, Array] = {}

        def observe(step: int, values: dict[str, Array], totals: dict[str, Array]) -> None:
            nonlocal previous
            for boundary in self.boundaries:
                for projection in boundary.projections:
                    source = previous if projection.delay else values
                    if source:
                        sent = projection.apply(source[projection.pre])
                        delivered[:, step, boundary.place] += sent
            previous = values

        run_reference(self.linear, x, observe=observe)
        return delivered

    def impulse_response(self, inputs: int) -> tuple[Array, Array]:
        """What is delivered in presentation t after an input of one in the first.

        Shape (inputs, size, input size); and what the biases alone deliver, (inputs, size).
        """
        silent = (replace(p, bias=np.zeros(())) for p in self.linear.populations)
        without = replace(self, linear=self.linear.with_populations(silent))
        impulses = np.zeros((self.linear.input_size, inputs, self.linear.input_size))
        impulses[:, 0] = np.eye(self.linear.input_size)
        response = np.moveaxis(without.deliver(impulses), 0, -1)
        return response, self.deliver(np.zeros((1, inputs, self.linear.input_size)))[0]

    def convolution(self, inputs: int) -> tuple[InputConvolution, Array]:
        """:meth:`deliver` for sequences of up to ``inputs`` inputs, at once.

        Returns the convolution, and what the biases alone deliver, (inputs, size), to be
        added to it.
        """
        response, constant = self.impulse_response(inputs)
        return InputConvolution(response), constant


def split(graph: Graph, keep: Collection[str] = ()) -> FrontEnd | None:
    """Divide ``graph`` behind its largest linear part that only the input drives.

    The output population and those named in ``keep`` always stay in the rest.  None if there is
    no more than the input to take out, or if what it delivers begins some time.
    """
    inside = _linear_part(graph, keep)
    begin = any(p.begins and p.pre in inside for p in graph.projections)
    if graph.input not in inside or len(inside) == 1 or begin:
        return None
    populations = tuple(p for p in graph.populations if p.name in inside)
    # What stands throughout a presentation is its own mean.
    given = [replace(p, mean_from=None) if p.pre in inside else p for p in graph.projections]
    graph = replace(graph, projections=tuple(given))
    among = tuple(p for p in graph.projections if p.pre in inside and p.post in inside)
    linear = Graph(populations, among, graph.input, graph.input)
    boundaries = _boundaries(graph, inside)
    size = boundaries[-1].place.stop if boundaries else 1
    fed = Population(graph.input, size)
    kept = (p for p in graph.populations if p.name not in inside)
    entering = tuple(_entering(boundary, graph.input, size) for boundary in boundaries)
    staying = tuple(p for p in graph.projections if p.pre not in inside)
    rest = Graph((fed, *kept), (*entering, *staying), graph.input, graph.output)
    return FrontEnd(linear, boundaries, rest)


def _linear_part(graph: Graph, keep: Collection[str]) -> set[str]:
    """The largest set whose members are linear and read nothing but one another.

    But for those that several populations of the rest read and no other member: they go over
    to the rest, so that their values are delivered once and not once a reader.
    """
    inside = _largest_linear_part(graph, keep)
    shared = {
        name
        for name in inside - {graph.input}
        if len(readers := {p.post for p in graph.outgoing(name)}) > 1 and not inside & readers
    }
    return inside - shared


def _largest_linear_part(graph: Graph, keep: Collection[str]) -> set[str]:
    inside = {p.name for p in graph.populations if p.neuron.kind == "linear" and p.pulse is None}
    inside -= {graph.output} | (set(keep) - {graph.input})
    while True:
        driven_else = {
            p.post
            for p in graph.projections
            if p.pre not in inside or p.tau is not None or p.begins
        }
        if not inside & driven_else:
            return inside
        inside -= driven_else


def _boundaries(graph: Graph, inside: set[str]) -> tuple[Boundary, ...]:
    groups: dict[tuple[str, float | None], list[Projection]] = {}
    for projection in graph.projections:
        if projection.pre in inside and projection.post not in inside:
            groups.setdefault((projection.post, projection.tau), []).append(projection)
    found, start = [], 0
    for (post, _), projections in groups.items():
        stop = start + graph[post].size
        found.append(Boundary(tuple(projections), slice(start, stop)))
        start = stop
    return tuple(found)


def _entering(boundary: Boundary, source: str, size: int) -> Projection:
    """The projection that takes a boundary's sums from the input of the rest."""
    width = boundary.place.stop - boundary.place.start
    chosen = as_transform(None if width == size else np.eye(width, size, boundary.place.start))
    return replace(boundary.first, pre=source, transform=chosen, delay=0)
