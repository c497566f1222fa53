"""The rate model as a target: what the trained network decides without spikes.

It has no entry in the table of targets; :mod:`spiking_lmu.analysis.comparison` runs it on
every sample, by the same workers as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import perf_counter

import numpy as np

from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import check_input, run_reference

from .target import Capabilities, Deployment, Run, Target

Array = np.ndarray

#: Samples beyond which a larger batch is no faster.
MAX_BATCH = 250
FLOAT64 = 8


class RateTarget(Target):
    """Runs a model's rate graph as :func:`spiking_lmu.graph.reference.run_reference` does."""

    name = "rate"
    summary = "the network as it was trained, in NumPy, float64"
    capabilities = Capabilities(batched=True, on_chip=False, precision="float64")
    distributions = ("numpy",)

    def deploy(
        self, model: Model, inputs: int, *, seed: int = 0, memory_limit: int | None = None
    ) -> RateDeployment:
        """Nothing is built; ``memory_limit`` bounds the batch."""
        return RateDeployment(model, inputs, memory_limit)


class RateDeployment(Deployment):
    """A rate graph; a decision needs its last output alone, unless there is one an input.

    Where nothing behind the linear part remembers anything, that output follows from the last
    of what the linear part delivers: one product with its impulse response.
    """

    def __init__(self, model: Model, inputs: int, memory_limit: int | None) -> None:
        graph = model.rate
        self._graph, self._inputs, self._every = graph, inputs, model.task.every
        self._short, self._fed = last_step_alone(graph, inputs)
        self.placement = {p.name: "numpy" for p in graph.populations}
        # Inputs and outputs of every step; each population's values now and one step ago.
        sequences = inputs * (graph.input_size + graph.output_size)
        sample = FLOAT64 * (sequences + 4 * sum(p.size for p in graph.populations))
        fitting = MAX_BATCH if memory_limit is None else memory_limit // sample
        self.batch_size = int(np.clip(fitting, 1, MAX_BATCH))

    def run(self, x: np.ndarray, *, raster: bool = False) -> Run:
        """Run ``x``; nothing spikes."""
        started = perf_counter()
        x = check_input(self._graph, x, self._inputs)
        if self._every:
            outputs = run_rate(self._graph, x)
        else:
            outputs = run_reference(self._short, self._fed(x))
        return Run(outputs, {}, perf_counter() - started)


def last_step_alone(
    graph: Graph, inputs: int, keep: Collection[str] = ()
) -> tuple[Graph, Callable[[Array], Array]]:
    """A graph with the same last step, and what to feed it in the place of (batch, inputs, size).

    Of a graph whose only memory is linear it is the rest, fed with one input: the last that the
    linear part delivers.  Any other graph is returned as it is, with inputs as they are.
    Populations named in ``keep`` stay in the graph.
    """
    front = split(graph, keep)
    if front is None or not all(p.immediate for p in front.rest.projections):
        return graph, lambda x: x
    response, constants = front.impulse_response(inputs)
    weights = np.moveaxis(response[::-1], 1, 2).reshape(-1, front.size)
    constant = constants[-1]
    return front.rest, lambda x: (x.reshape(len(x), -1) @ weights + constant)[:, None]


RATE = RateTarget()
