"""Layer for layer: how much of the rate network's activity arrives, and who fires how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.cells import Cells
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model

from ..statistics import relative_error
from .reading import Reading

#: A neuron counts as saturated at this share of the highest rate that it can have ...
NEAR_CEILING = 0.95
#: ... in at least this share of the samples.
OFTEN = 0.01
#: Bins of the histogram of firing rates.
BINS = 24
#: Stands for a current without bound.
HUGE = 1e9


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """One hidden layer of the rate network as a rung sees it.

    Parameters
    ----------
    name
        Of the rate network's population.
    correlation, relative_error
        Of the activity decoded at the last step with the rate network's: Pearson's coefficient
        over samples and neurons, and RMS error over the RMS of the rate network's activity.
    silent, saturated
        Share of its spiking neurons that fire in no sample, and of those that fire at 95 % or
        more of the highest possible rate in at least 1 % of the samples.
    mean_rate, highest_rate, ceiling
        Hz, over samples and neurons; the ceiling is infinite where nothing bounds a rate.  All
        rates are of the steps at the end, see :func:`spiking_lmu.analysis.explain.reading.window`.
    histogram, edges
        Neurons × samples by firing rate, and the edges of the bins in Hz.
    onward_value, onward_error
        Of the outputs that the rate network has when it goes on from this layer's activity
        (:mod:`.onward`): the task's metric, and the distance from the rate model's outputs as in
        :class:`.ladder.Step`.  Errors of this layer and of those before it are in them.  None
        where there is one layer, or an answer at every input.
    """

    name: str
    correlation: float
    relative_error: float
    silent: float
    saturated: float
    mean_rate: float
    highest_rate: float
    ceiling: float
    histogram: Array
    edges: Array
    onward_value: float | None = None
    onward_error: float | None = None


#: From a layer's name and its activity to ``onward_value`` and ``onward_error``; None where
#: nothing of it gets to the output in time.
GoOn = Callable[[str, Array], tuple[float, float] | None]


def layers(
    model: Model,
    cells: Cells,
    rate: dict[str, Array],
    reading: Reading,
    go_on: GoOn | None = None,
) -> tuple[HiddenLayer, ...]:
    """A `HiddenLayer` for each hidden population of the rate network."""
    found = []
    for name, wanted in rate.items():
        decoded = _decoded(model.graph, name, reading) / _seen(model)
        layer = _layer(name, wanted, decoded, _rates(model, cells, name, reading))
        onward = None if go_on is None else go_on(name, decoded)
        if onward is not None:
            value, error = onward
            layer = replace(layer, onward_value=value, onward_error=error)
        found.append(layer)
    return tuple(found)


def _seen(model: Model) -> float:
    """What the readout sees of an activation of 1 that comes as one volley; else 1.

    The gain of the output makes up for it (:mod:`spiking_lmu.conversion.line`).
    """
    if all(p.pulse is None for p in model.graph.populations):
        return 1.0
    was, now = (np.abs(g[g.output].gain).max() for g in (model.rate, model.graph))
    return float(was / now)


def sources(graph: Graph, name: str) -> list[str]:
    """The spiking populations that stand for one of the rate network.

    Itself; or, where a linear population has its name, those that this adds up.
    """
    if graph[name].neuron.spiking:
        return [name]
    return [q.pre for q in graph.incoming(name) if graph[q.pre].neuron.spiking]


def _decoded(graph: Graph, name: str, reading: Reading) -> Array:
    if graph[name].neuron.spiking:
        return reading.activity[name]
    total = sum(
        q.apply(reading.activity[q.pre]) for q in graph.incoming(name) if q.pre in reading.activity
    )
    return np.asarray(graph[name].gain * total + graph[name].bias)


def _rates(model: Model, cells: Cells, name: str, reading: Reading) -> tuple[Array, float]:
    """Firing rates (batch, neurons), and the highest that any of them could have."""
    spiking = sources(model.graph, name)
    ceilings = [
        float(cells.response(model.graph[s].neuron, np.array(HUGE), model.timing.dt))
        for s in spiking
    ]
    highest = max(ceilings)
    rates = np.concatenate([reading.rates[s] for s in spiking], axis=1)
    return rates, highest if highest < HUGE / 2 else np.inf


def _layer(name: str, wanted: Array, got: Array, rates: tuple[Array, float]) -> HiddenLayer:
    hertz, ceiling = rates
    near = (hertz >= NEAR_CEILING * ceiling).mean(axis=0)
    histogram, edges = np.histogram(hertz, BINS, (0.0, max(float(hertz.max()), 1.0)))
    return HiddenLayer(
        name=name,
        correlation=_correlation(wanted.ravel(), got.ravel()),
        relative_error=relative_error(got, wanted),
        silent=float((hertz == 0).all(axis=0).mean()),
        saturated=float((near >= OFTEN).mean()),
        mean_rate=float(hertz.mean()),
        highest_rate=float(hertz.max()),
        ceiling=ceiling,
        histogram=histogram,
        edges=edges,
    )


def _correlation(a: Array, b: Array) -> float:
    """0 where one of them does not vary."""
    if not (np.ptp(a) and np.ptp(b)):
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
