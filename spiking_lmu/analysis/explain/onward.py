"""What the rate network would say if one layer had the activity that it has on a rung.

All errors up to that layer are then in the outputs, and none that come later.  From one layer to
the next, what is lost on a rung is told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.neurons import response
from spiking_lmu.graph.reference import run_reference

#: Samples run at once.
BATCH = 100


class Onward:
    """A rate network at the last input of each sample.

    Parameters
    ----------
    graph
        Of rates.
    x
        Inputs (samples, inputs, size), padded after ``lengths`` of them, (samples,).
    """

    def __init__(self, graph: Graph, x: Array, lengths: Array) -> None:
        self._graph = graph
        sizes = {p.name: p.size for p in graph.populations}
        self._values = {name: np.zeros((len(x), size)) for name, size in sizes.items()}
        self._totals = {name: np.zeros((len(x), size)) for name, size in sizes.items()}
        for last, rows in _parts(lengths):

            def observe(
                step: int,
                values: Mapping[str, Array],
                totals: Mapping[str, Array],
                last: int = last,
                rows: Array = rows,
            ) -> None:
                if step == last - 1:
                    for name in sizes:
                        self._values[name][rows] = values[name]
                        self._totals[name][rows] = totals[name]

            run_reference(graph, x[rows, :last], observe=observe)

    def reaches(self, name: str) -> bool:
        """Whether what population ``name`` puts out at the last input gets to the last output.

        It does not where all ways there are an input late, as through a trained filter.
        """
        found = {name}
        for other in self._graph.order:
            if any(p.immediate and p.pre in found for p in self._graph.incoming(other)):
                found.add(other)
        return self._graph.output in found

    def outputs(self, name: str, activity: Array) -> Array:
        """The last outputs, had population ``name`` put out ``activity`` (samples, size).

        Only at the last input: what others have of it from earlier ones stays.
        """
        changed = {name: np.asarray(activity)}
        for other in self._graph.order:
            ways = [p for p in self._graph.incoming(other) if p.immediate and p.pre in changed]
            if other == name or not ways:
                continue
            population = self._graph[other]
            total = self._totals[other] + sum(
                p.apply(changed[p.pre] - self._values[p.pre]) for p in ways
            )
            current = population.scale * (population.gain * total + population.bias)
            changed[other] = response(population.neuron, current) / population.scale
        return changed.get(self._graph.output, self._values[self._graph.output])


def _parts(lengths: Array) -> Iterator[tuple[int, Array]]:
    """Each length, and samples that have it, at most :data:`BATCH` at a time."""
    for last in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == last)
        for start in range(0, len(rows), BATCH):
            yield last, rows[start : start + BATCH]
