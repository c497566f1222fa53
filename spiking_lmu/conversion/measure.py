"""How active each population is on training data: what scaling and ranges are set by."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from spiking_lmu.datasets.dataset import Dataset
from spiking_lmu.graph.convolution import InputConvolution, multiplications
from spiking_lmu.graph.front_end import FrontEnd, split
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.reference import Alteration, Observer, check_input, run_reference

Array = np.ndarray

#: Samples run at once, and how many values of one population are looked at in all.
BATCH, MAX_VALUES = 250, 20_000_000


def measure_activity(graph: Graph, x: Array, lengths: Array | None = None) -> dict[str, Activity]:
    """Percentiles of what every nonlinear population puts out and takes in.

    Parameters
    ----------
    graph
        A rate graph.
    x
        Training inputs (samples, inputs, input_size); never test inputs.
    lengths
        Inputs of each sample, shape (samples,), if they differ; the rest is padding.

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
    ends = np.full(samples, inputs) if lengths is None else np.asarray(lengths)
    for last in np.unique(ends).tolist():

        def observe(
            step: int, values: dict[str, Array], totals: dict[str, Array], last: int = last
        ) -> None:
            if (last - 1 - step) % stride:
                return
            for name in names:
                outputs[name].append(np.abs(values[name]).astype(np.float32).ravel())
                currents[name].append(np.abs(totals[name]).astype(np.float32).ravel())

        run_rate(graph, x[ends == last, :last], observe=observe)
    return {name: _summary(outputs[name], currents[name]) for name in names}


def activity_on(model: Model, data: Dataset) -> dict[str, Activity]:
    """`measure_activity` of a rate model on training data, scaled and without their padding."""
    return measure_activity(model.graph, model.scaled(data.x), data.lengths)


def _summary(outputs: list[Array], currents: list[Array]) -> Activity:
    output, current = np.concatenate(outputs), np.concatenate(currents)
    return Activity(
        p999=float(np.percentile(output, 99.9)),
        largest=float(output.max()),
        current=float(np.percentile(current, 99.9)),
        largest_current=float(current.max()),
    )


def run_rate(
    graph: Graph,
    x: Array,
    *,
    observe: Observer | None = None,
    alter: Mapping[str, Alteration] | None = None,
    batch: int = BATCH,
    threads: int = 1,
) -> Array:
    """A rate graph's outputs at one step an input, (samples, inputs, outputs).

    As :func:`spiking_lmu.graph.reference.run_reference`, batch after batch, but that a linear
    part before the first neuron (:mod:`spiking_lmu.graph.front_end`) is computed as a
    convolution where that takes fewer multiplications.  ``observe`` then does not see it.

    Parameters
    ----------
    batch
        Samples run at once; the order in which numbers are added up depends on it.
    threads
        So many batches run side by side, without ``observe``.  No result depends on it.
    """
    x = check_input(graph, x)
    inputs, front = x.shape[1], split(graph, alter or ())
    parts = [x[start : start + batch] for start in range(0, len(x), batch)]
    if front is None or multiplications(inputs, front.size, graph.input_size) >= front.weights:
        run = partial(run_reference, graph, observe=observe, alter=alter)
    else:
        convolution, constant = front.convolution(inputs)
        run = partial(_behind, front, convolution, constant, observe=observe, alter=alter)
    if threads == 1 or len(parts) == 1:
        return np.concatenate([run(part) for part in parts])
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate([*pool.map(run, parts)])


def _behind(
    front: FrontEnd,
    convolution: InputConvolution,
    constant: Array,
    x: Array,
    *,
    observe: Observer | None,
    alter: Mapping[str, Alteration] | None,
) -> Array:
    """Outputs of a graph in two parts for one batch."""
    convolved, delivered = convolution.apply(x), np.empty((x.shape[1], front.size, len(x)))
    for step, target in enumerate(delivered):
        convolved.write(step, target)
    fed = np.moveaxis(delivered, -1, 0) + constant
    return run_reference(front.rest, fed, observe=observe, alter=alter)
