"""How active each population is on training data: what scaling and ranges are set by."""

from __future__ import annotations

import numpy as np

from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Activity
from spiking_lmu.graph.reference import check_input, run_reference

Array = np.ndarray

#: Samples run at once, and how many values of one population are looked at in all.
BATCH, MAX_VALUES = 250, 20_000_000


def measure_activity(graph: Graph, x: Array) -> dict[str, Activity]:
    """Percentiles of what every nonlinear population puts out and takes in.

    Parameters
    ----------
    graph
        A rate graph.
    x
        Training inputs (samples, inputs, input_size); never test inputs.

    Returns
    -------
    By population name.  Values are taken at evenly spaced inputs and always at the last, so
    that at most about 20 million a population are held.
    """
    x = check_input(graph, x)
    samples, inputs, _ = x.shape
    names = [p.name for p in graph.populations if p.neuron.kind != "linear"]
    widest = max((graph[name].size for name in names), default=1)
    stride = max(1, int(np.ceil(samples * inputs * widest / MAX_VALUES)))
    outputs: dict[str, list[Array]] = {name: [] for name in names}
    currents: dict[str, list[Array]] = {name: [] for name in names}

    def observe(step: int, values: dict[str, Array], totals: dict[str, Array]) -> None:
        if (inputs - 1 - step) % stride:
            return
        for name in names:
            outputs[name].append(np.abs(values[name]).astype(np.float32).ravel())
            currents[name].append(np.abs(totals[name]).astype(np.float32).ravel())

    for start in range(0, samples, BATCH):
        run_reference(graph, x[start : start + BATCH], observe=observe)
    return {name: _summary(outputs[name], currents[name]) for name in names}


def _summary(outputs: list[Array], currents: list[Array]) -> Activity:
    output, current = np.concatenate(outputs), np.concatenate(currents)
    return Activity(
        p999=float(np.percentile(output, 99.9)),
        largest=float(output.max()),
        current=float(np.percentile(current, 99.9)),
        largest_current=float(current.max()),
    )
