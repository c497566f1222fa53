"""The rate network behind a spiking one, and synapses on the clock of presentations.

A network is trained with one step an input.  Its lowpass synapses then move once an input, and
have to go on doing so when each input is presented for many steps.
"""

from __future__ import annotations

from dataclasses import replace

from .graph import Graph, Projection
from .lmu import lowpass
from .neurons import RESPONSE_OF
from .timing import lowpass_decay


def rate_twin(graph: Graph) -> Graph:
    """The graph with the response curve of each spiking neuron in its place.

    Its synapses are those of :func:`on_presentations` for steps of ``graph.dt`` seconds, so that
    it computes the same whatever the timing.  A rate graph comes back with that change alone.

    >>> from spiking_lmu.graph.graph import Population, Projection
    >>> from spiking_lmu.graph.neurons import Neuron
    >>> spiking = Graph((Population("x", 1), Population("h", 1, Neuron("lif"))),
    ...                 (Projection("x", "h"),), "x", "h")
    >>> rate_twin(spiking)["h"].neuron.kind
    'lif_rate'
    """
    changed = [
        replace(p, neuron=replace(p.neuron, kind=RESPONSE_OF[p.neuron.kind]), on_host=False)
        for p in graph.spiking
    ]
    return on_presentations(graph.with_populations(changed), graph.dt)


def on_presentations(graph: Graph, dt: float) -> Graph:
    """Put every lowpass synapse on the clock of presentations.

    A synapse of ``tau`` seconds, with one step of ``dt`` seconds an input, delivers to input t
    ``f[t-1]`` of ``f[t] = a f[t-1] + (1 - a) source[t]``, ``a = exp(-dt / tau)`` (zero-order hold,
    ``nengo/synapses.py``).  Here ``f`` becomes a linear population ``<source>.lowpass`` that
    keeps the share ``a`` of itself from one presentation to the next, read with a delay of one
    presentation.  With one step a presentation and no step to settle nothing changes, and with
    any other timing the end of each presentation is the same; so it is for a mean over a
    presentation (``mean_from``), throughout which a rate stands, and which becomes that rate.
    """
    filters: dict[tuple[str, float], str] = {}
    populations, projections = list(graph.populations), []
    added: list[Projection] = []
    names = {p.name for p in graph.populations}
    for projection in graph.projections:
        if projection.tau is None:
            projections.append(replace(projection, mean_from=None))
            continue
        if lowpass_decay(projection.tau, dt) == 0:  # what Nengo takes for no filter
            projections.append(replace(projection, tau=None, delay=1))
            continue
        key = (projection.pre, projection.tau)
        if key not in filters:
            filters[key] = name = _unused(f"{projection.pre}.lowpass", names)
            names.add(name)
            population, links = lowpass(
                name, projection.pre, graph[projection.pre].size, projection.tau / dt, 0
            )
            populations.append(population)
            added += links
        projections.append(replace(projection, pre=filters[key], tau=None, delay=1))
    if len(populations) == len(graph.populations) and not any(
        p.tau is not None or p.mean_from is not None for p in graph.projections
    ):
        return graph
    return replace(graph, populations=tuple(populations), projections=tuple([*projections, *added]))


def _unused(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}{number}"
    return candidate
