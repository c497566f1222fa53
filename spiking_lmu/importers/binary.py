"""One output that decides between two classes, as two outputs of which the larger one decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import LINEAR
from spiking_lmu.graph.task import Task


def answering(model: Model, task: Task) -> Model:
    """``model`` for ``task``; one output for two classes becomes two.

    A sigmoid that puts out the probability of class 1 is left out: it is above a half where its
    current is above 0.  Another output decides for class 1 where it is above 0.
    """
    if not task.classifies or model.graph.output_size != 1 or len(task.names) not in (0, 2):
        return replace(model, task=task)
    return replace(model, graph=_two_outputs(model.graph), task=task)


def _two_outputs(graph: Graph) -> Graph:
    """A graph whose outputs are minus the one output of ``graph``, and that output."""
    end = graph[graph.output]
    if end.neuron.kind == "sigmoid" and not [p for p in graph.projections if p.pre == end.name]:
        end = replace(end, neuron=LINEAR)
    taken = {p.name for p in graph.populations}
    name = next(n for n in ("classes", *(f"classes{k}" for k in range(2, 99))) if n not in taken)
    both = Projection(end.name, name, np.array([[-1.0], [1.0]]), name=f"{end.name}_to_{name}")
    populations = [end if p.name == end.name else p for p in graph.populations]
    return replace(
        graph,
        populations=(*populations, Population(name, 2)),
        projections=(*graph.projections, both),
        output=name,
    )
