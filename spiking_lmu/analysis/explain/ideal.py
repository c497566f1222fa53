"""The rungs that need no target: a spiking graph with its neurons' curves, then its spikes.

All run :func:`spiking_lmu.graph.reference.run_reference`, in float64 and without a chip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spiking_lmu.graph.cells import Cells
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import MakeStepper, run_reference
from spiking_lmu.graph.timing import Timing, lowpass_decay

from .seen import Seen, window

Array = np.ndarray


def steady(cells: Cells) -> MakeStepper:
    """What ``cells`` would fire at if their current never changed, as `run_reference` takes it."""

    def expected(neuron: Neuron, shape: tuple[int, ...], dt: float) -> Callable[[Array], Array]:
        return lambda current: dt * cells.response(neuron, current, dt)

    return expected


def without_synapses(model: Model) -> Model:
    """The spiking graph as static as the rate graph: one step an input, no filter of its own.

    Filters that the rate graph has too are part of what was trained and stay.
    """
    trained = {p.name: p.tau for p in model.rate.projections}
    projections = (replace(p, tau=trained.get(p.name)) for p in model.graph.projections)
    graph = replace(model.graph, projections=tuple(projections))
    return replace(model, graph=graph, timing=Timing(dt=model.timing.dt))


class IdealRun:
    """A spiking graph in float64, with neurons of choice.

    Parameters
    ----------
    model
        Its graph and timing are run.
    inputs
        Length of every sequence.
    cells
        As `run_reference` takes them.
    late
        Steps at the end over which rates are averaged; :func:`window` if not given.
    """

    def __init__(
        self,
        model: Model,
        inputs: int,
        cells: MakeStepper,
        late: int | None = None,
    ) -> None:
        self._model, self._inputs, self._cells = model, inputs, cells
        self._late = window(model.timing, inputs) if late is None else late
        self._front = split(model.graph)
        self._convolution = None if self._front is None else self._front.convolution(inputs)

    def __call__(self, x: Array) -> Seen:
        """Run ``x`` (batch, inputs, size)."""
        timing, spiking = self._model.timing, self._model.graph.spiking
        steps = timing.total_steps(self._inputs)
        first = steps - self._late
        decay = lowpass_decay(timing.readout_tau, timing.dt)
        filtered = {p.name: np.zeros((len(x), p.size)) for p in spiking}
        counts = {p.name: np.zeros((len(x), p.size)) for p in spiking}

        def observe(step: int, values: dict[str, Array], totals: dict[str, Array]) -> None:
            for p in spiking:
                now = values[p.name]
                filtered[p.name] = decay * filtered[p.name] + (1 - decay) * now
                if step >= first:
                    counts[p.name] += now * (timing.dt * p.scale / p.neuron.amplitude)

        graph, fed = self._feed(x)
        outputs = run_reference(graph, fed, timing, observe, self._cells)
        seconds = self._late * timing.dt
        return Seen(outputs[:, -1], filtered, {n: c / seconds for n, c in counts.items()})

    def _feed(self, x: Array) -> tuple[Graph, Array]:
        """What is left to simulate behind the linear front end, and its input."""
        if self._front is None or self._convolution is None:
            return self._model.graph, x
        convolution, constant = self._convolution
        convolved = convolution.apply(np.asarray(x, float))
        delivered = np.empty((len(x), self._inputs, self._front.size))
        column = np.empty((self._front.size, len(x)))
        for step in range(self._inputs):
            convolved.write(step, column)
            delivered[:, step] = column.T + constant[step]
        return self._front.rest, delivered
