"""The passes: each takes a graph and gives a graph, and each is tested without a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.fold import fold_linear
from spiking_lmu.graph.graph import DEFAULT_DT, Graph, Population, Projection
from spiking_lmu.graph.lmu import lowpass
from spiking_lmu.graph.model import Activity
from spiking_lmu.graph.neurons import LINEAR, Neuron
from spiking_lmu.graph.transforms import (
    AveragePool,
    Convolution,
    Dense,
    OneToOne,
    Sparse,
    Transform,
)

from .fit import Unit, fit_lif_to_relu, saturating_lif, saturating_relu

#: Which spiking neurons can take the place of which rate neurons.
BECOMES = {
    "relu": ("spiking_relu", "lif"),
    "lif_rate": ("lif",),
    "soft_lif": ("lif",),
    "tanh": ("spiking_relu", "lif"),
    "sigmoid": ("spiking_relu", "lif"),
}
#: How many times as many connections folding may take.
MOST_CONNECTIONS = 8
#: Neurons of a layer that numbers from the host may drive on a chip.  nengo-loihi holds a matrix of
#: 2 n x n for n of them: a gigabyte for 8,192.
MOST_FROM_HOST = 4096
Activities = Mapping[str, Activity]
#: Rates of single populations by name, in Hz.
Rates = Mapping[str, float]
NONE: Rates = {}


def fold_between_neurons(graph: Graph) -> Graph:
    """Let neurons reach the next neurons directly, without an average in between.

    A linear population between neurons, such as an average pool before a convolution, would be
    on the host of a target with a chip, and each spike would go there and back.  It is folded
    into the weights behind it where that takes at most :data:`MOST_CONNECTIONS` times as many
    connections.  What the network computes stays.
    """
    neurons = {p.name for p in graph.populations if p.neuron.kind != "linear"}

    def worth(population: Population, before: int, after: int) -> bool:
        ends = {p.pre for p in graph.incoming(population.name)}
        ends |= {p.post for p in graph.outgoing(population.name)}
        # What was measured of the currents behind it is without a bias that moves there.
        plain = ends <= neurons and not population.bias.any()
        return plain and after <= MOST_CONNECTIONS * before

    return fold_linear(graph, worth)


def swap_neurons(
    graph: Graph, spiking: str, activity: Activities, max_rate: float, rates: Rates = NONE
) -> tuple[Graph, dict[str, Activity]]:
    """Put spiking neurons in the place of rate neurons.

    relu → spiking_relu keeps gain and bias; relu → lif fits them; lif_rate and soft_lif →
    lif keep everything (they are already curves of LIF neurons); tanh and sigmoid become on/off
    neurons ``<name>.spikes`` that a linear population of the old name adds up again.  ``rates``
    are those of populations for which ``max_rate`` does not hold.

    Returns the graph and the activity of its populations.

    Raises
    ------
    SpecError
        Neurons that cannot become ``spiking`` ones, or a population without measured activity.
    """
    _check_swaps(graph, spiking, activity)
    known = dict(activity)
    for population in graph.populations:
        kind, name = population.neuron.kind, population.name
        rate = rates.get(name, max_rate)
        if kind == "linear" or population.neuron.spiking:
            continue
        if kind == "relu" and spiking == "spiking_relu":
            graph = graph.with_populations([_with_kind(population, "spiking_relu")])
        elif kind == "relu":
            graph = graph.with_populations([_relu_as_lif(population, activity[name], rate)])
        elif kind in ("lif_rate", "soft_lif"):
            graph = graph.with_populations([_with_kind(population, "lif")])
        else:
            measured = known.pop(name)
            top = _largest_input(population, measured)
            graph = _expand(graph, population, spiking, top, rate)
            known[f"{name}.spikes"] = replace(measured, p999=top, largest=top)
    return graph, known


def _check_swaps(graph: Graph, spiking: str, activity: Activities) -> None:
    for population in graph.populations:
        kind = population.neuron.kind
        if kind == "linear" or population.neuron.spiking:
            continue
        if spiking not in BECOMES[kind]:
            raise SpecError(
                f"neuron for population {population.name}",
                got=f"{spiking} for {kind} neurons",
                expected=" or ".join(BECOMES[kind]),
                fix="choose that, or train the network with relu neurons",
            )
        measured = activity.get(population.name)
        if measured is None:
            raise SpecError(
                f"population {population.name}",
                got="no measured activity",
                expected="activity on training data",
                fix="name training data with data=",
            )


def _with_kind(population: Population, kind: str) -> Population:
    return replace(population, neuron=replace(population.neuron, kind=kind))


def _relu_as_lif(population: Population, activity: Activity, max_rate: float) -> Population:
    amplitude = population.neuron.amplitude
    lif = Neuron("lif", tau_rc=population.neuron.tau_rc, tau_ref=population.neuron.tau_ref)
    if lif.tau_ref * max_rate >= 1.0:
        raise SpecError(
            "max_rate",
            got=f"{max_rate:g} Hz for the LIF neurons of {population.name}",
            expected=f"less than {1.0 / lif.tau_ref:g} Hz, the inverse of their refractory time",
            fix=f"pass max_rate={0.5 / lif.tau_ref:g}",
        )
    unit = fit_lif_to_relu(_top(activity) / amplitude, max_rate, lif)
    return replace(
        population,
        neuron=replace(lif, amplitude=unit.weight * amplitude),
        gain=unit.gain * population.gain,
        bias=unit.gain * population.bias + unit.bias,
    )


def _top(activity: Activity) -> float:
    """The output at which a population fires its rate; 1 of one that was silent in training."""
    return activity.p999 or activity.largest or 1.0


def _largest_input(population: Population, activity: Activity) -> float:
    """Largest pre-activation that a saturating population is fitted for."""
    return float(np.abs(population.gain).max() * activity.current + np.abs(population.bias).max())


def _expand(
    graph: Graph, population: Population, spiking: str, top: float, max_rate: float
) -> Graph:
    kind, size, name = population.neuron.kind, population.size, population.name
    units: tuple[Unit, ...]
    if spiking == "lif":
        neuron, units = saturating_lif(kind, top, max_rate, Neuron("lif"))
    else:
        neuron, units = Neuron("spiking_relu"), saturating_relu(kind, top)
    copies = len(units)
    gains, biases = (np.array([getattr(u, key) for u in units]) for key in ("gain", "bias"))
    weights = population.neuron.amplitude * np.array([u.weight for u in units])
    spikes = Population(
        f"{name}.spikes",
        size * copies,
        neuron,
        gain=(population.gain[:, None] * gains).ravel(),
        bias=(population.bias[:, None] * gains + biases).ravel(),
    )
    offset = 0.5 * population.neuron.amplitude if kind == "sigmoid" else 0.0
    decoded = Population(name, size, LINEAR, bias=np.full(size, offset))
    projections = []
    for projection in graph.projections:
        if projection.post == name:
            projection = replace(
                projection,
                post=spikes.name,
                transform=_repeated(projection.transform, graph[projection.pre].size, copies),
            )
        projections.append(projection)
    decoder = np.kron(np.eye(size), weights)
    projections.append(Projection(spikes.name, name, decoder, name=f"{name}.decoder"))
    position = graph.populations.index(population)
    populations = [
        *graph.populations[:position],
        spikes,
        decoded,
        *graph.populations[position + 1 :],
    ]
    return replace(graph, populations=tuple(populations), projections=tuple(projections))


def _repeated(transform: Transform, pre: int, copies: int) -> Transform:
    """Each row so many times, one after the other."""
    if isinstance(transform, Sparse | Convolution | AveragePool):
        entries = transform.sparse(pre)
        return Sparse.from_matrix(entries[np.repeat(np.arange(entries.shape[0]), copies)])
    return Dense(np.repeat(transform.matrix(pre), copies, axis=0))


def scale_rates(graph: Graph, activity: Activities, max_rate: float, rates: Rates = NONE) -> Graph:
    """Let rectified linear populations fire ``max_rate`` Hz at the 99.9th percentile of activation.

    Those named in ``rates`` fire at the rate that is given there.
    Only ``scale`` changes; gain and bias stay as they were trained.
    """
    changed = []
    for population in graph.spiking:
        if population.neuron.kind == "spiking_relu":
            top = _top(activity[population.name]) / population.neuron.amplitude
            rate = rates.get(population.name, max_rate)
            changed.append(replace(population, scale=rate / top))
    return graph.with_populations(changed)


def add_synapses(
    graph: Graph,
    tau: float,
    steps_per_input: int,
    *,
    dt: float = DEFAULT_DT,
    count_from: int | None = None,
) -> Graph:
    """Filter spikes with a lowpass of ``tau`` seconds, except on their way to the readout.

    A delayed projection reads a filtered copy ``<name>.filtered``, since it takes one value of
    a whole presentation.  Where a presentation is one step of ``dt`` seconds, the copy is a
    filter on that clock, so that it has seen the last step; and what ends in a lowpass of the
    network's own needs none: that one sees every spike, and was trained to average.

    With ``count_from`` delayed projections read a count of the spikes in a presentation instead,
    from this step of it on (:func:`count_feedback`).
    """
    if count_from is not None:
        graph = count_feedback(graph, count_from)
    one_step = steps_per_input == 1
    leaky = leaky_populations(graph) if one_step else set()
    spiking = {population.name for population in graph.spiking}
    last = {graph.output} if not graph.outgoing(graph.output) else set()
    projections, copies = [], {}
    counted = {q.pre for q in graph.projections if q.mean_from is not None}
    for projection in graph.projections:
        if projection.pre in counted:
            # What is counted comes as it is, and leaves as spikes do.
            if projection.immediate and projection.post not in last | leaky:
                projection = replace(projection, tau=tau)
        elif projection.pre in spiking and projection.post not in leaky | counted:
            if projection.delay:
                copies[projection.pre] = f"{projection.pre}.filtered"
                projection = replace(projection, pre=copies[projection.pre])
            elif projection.immediate and projection.post not in last:
                projection = replace(projection, tau=tau)
        projections.append(projection)
    populations = list(graph.populations)
    for source, copy in copies.items():
        if one_step:
            population, links = lowpass(copy, source, graph[source].size, tau / dt, 0)
            populations.append(population)
            projections += links
            continue
        populations.append(Population(copy, graph[source].size))
        projections.append(Projection(source, copy, tau=tau, name=f"{copy}_synapse"))
    return replace(graph, populations=tuple(populations), projections=tuple(projections))


def count_feedback(graph: Graph, first: int) -> Graph:
    """Let delayed projections read how many spikes there were in a presentation.

    From its step ``first`` on, counted from 0; the mean over these steps is the rate.  A projection
    from neurons reads a linear copy ``<name>.counted`` of them; one from a linear population in
    which spikes add up, such as the decoded value of on/off neurons, reads that.
    """
    spiking = {population.name for population in graph.spiking}
    added = {q.post for q in graph.projections if q.pre in spiking and q.immediate} - spiking
    added -= {graph.output}
    projections, copies = [], {}
    for projection in graph.projections:
        if projection.delay and projection.pre in spiking:
            copies[projection.pre] = f"{projection.pre}.counted"
            projection = replace(projection, pre=copies[projection.pre], mean_from=first)
        elif projection.delay and projection.pre in added:
            projection = replace(projection, mean_from=first)
        projections.append(projection)
    populations = [Population(copy, graph[source].size) for source, copy in copies.items()]
    projections += [Projection(source, copy) for source, copy in copies.items()]
    return replace(
        graph, populations=(*graph.populations, *populations), projections=tuple(projections)
    )


def first_layers_on_host(graph: Graph, *, only_large: bool = False) -> Graph:
    """Layers that only numbers drive stay on the host of a target with a chip.

    Their currents are computed there in any case.  On the chip each neuron would get its current
    as the spikes of an on/off pair, one in every step, which add noise and are many times those
    of the neuron itself; from the host it sends its own.  Where nothing else would be on the
    chip, or what reads a layer is on the host too, the layer is on the chip, unless it is larger
    than :data:`MOST_FROM_HOST`: these alone with ``only_large``.
    """
    numbers = {p.name for p in graph.populations if p.neuron.kind == "linear"}

    def better_there(population: Population) -> bool:
        driven = {q.pre for q in graph.incoming(population.name)}
        readers = {q.post for q in graph.outgoing(population.name)}
        only_neurons_read = not only_large and bool(readers) and not readers & numbers
        return driven <= numbers and (only_neurons_read or population.size > MOST_FROM_HOST)

    return graph.with_populations(
        replace(p, on_host=True) for p in graph.spiking if better_there(p)
    )


def clip_weights(graph: Graph, percentile: float) -> Graph:
    """Cut weights between spiking populations off at a percentile of their sizes, zeros left out.

    A chip with one scale for all weights of a core gives its few bits to the largest.  What the
    network computes changes; for outliers of little use that costs less than the bits.
    """
    spiking = {population.name for population in graph.spiking}
    projections = []
    for projection in graph.projections:
        weights = projection.weights
        if weights is not None and {projection.pre, projection.post} <= spiking and weights.any():
            largest = np.percentile(np.abs(weights[weights != 0]), percentile)
            projection = projection.with_weights(np.clip(weights, -largest, largest))
        projections.append(projection)
    return replace(graph, projections=tuple(projections))


def leaky_populations(graph: Graph) -> set[str]:
    """Linear populations that keep a share of themselves, each value its own: lowpass filters."""
    return {
        p.post
        for p in graph.projections
        if p.pre == p.post
        and p.delay
        and isinstance(p.transform, OneToOne)
        and p.weights is not None
        and graph[p.post].neuron == LINEAR
    }
