"""Everything in a model that Loihi cannot do, or does differently, found without building it.

Three kinds: what nengo-loihi 1.1.0 refuses to build (``builder/validate.py``,
``builder/discretize.py``), what its emulator runs and the hardware would not
(``hardware/validate.py``, ``hardware/interface.py``), and what runs but not as it was trained.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spiking_lmu.backends.target import Problem
from spiking_lmu.graph.graph import Graph, Population
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import comparator, compares
from spiking_lmu.graph.trainable import sturdier

from .discretisation import Scale, find_scale
from .layout import Block, ChipUse, current_ranges, from_host, held_on_host, lay_out
from .spike_sizes import matched

Array = np.ndarray
#: Kinds of neurons that have a model on the chip.
ON_CHIP = ("spiking_relu", "lif")
#: What nengo-loihi's hardware interface takes if it is told nothing else.
CORES_A_CHIP, CHIPS, SPIKES_A_STEP = 128, 2, 50
#: The rungs of this target on which a warning shows (:meth:`.loihi.LoihiTarget.rungs`).
DYNAMICS, WEIGHTS = "chip dynamics", "quantised weights"
#: Weights that differ by no more than this share are one weight.
SAME = 1e-6
#: A weight this many times the 99th percentile leaves four bits to nearly all others.
OUTLIER = 8
#: Numbers of one layer that can be sent to the chip.
MOST_NUMBERS = 12_000
#: Longest refractory period of a compartment, in steps.
REFRACTORY_STEPS = 63


def problems(model: Model) -> list[Problem]:
    """All problems of ``model`` on Loihi, errors first."""
    if all(p.neuron.kind == "linear" or p.on_host for p in model.graph.populations):
        return [
            Problem(
                "the model",
                "no spiking population",
                "at least one on the chip",
                "convert a network with neurons",
            )
        ]
    decided = [*_decided_by_numbers(model)]
    if decided:
        return decided
    trained, model = model, matched(model)
    use = lay_out(model)
    found = [
        *_neurons(model),
        *_plain_input(model.graph),
        *_too_many_from_host(model.graph),
        *_currents(model),
        *_cores_too_full(model.graph, use),
        *_numbers(model, use),
        *_hardware(model, use),
        *_rates(trained),
        *_ranges(model),
        *_synapses(model, use),
        *_on_host(model),
    ]
    order = ("error", "hardware", "warning")
    return sorted(found, key=lambda problem: order.index(problem.severity))


def _neurons(model: Model) -> Iterator[Problem]:
    for p in model.graph.populations:
        if p.neuron.kind not in (*ON_CHIP, "linear"):
            yield Problem(
                p.name,
                f"{p.neuron.kind} neurons",
                "spiking neurons or linear values",
                "convert the model: spiking-lmu convert",
            )


def _decided_by_numbers(model: Model) -> Iterator[Problem]:
    """Neurons that compare one step's current have to get spikes: a number comes over many."""
    for p in model.graph.on_chip:
        if p.neuron == comparator(model.timing.dt) and from_host(model.graph, p.name):
            yield Problem(
                p.name,
                "levels that numbers of other layers decide, computed on the host",
                "spikes of those layers, which are too many weights for a chip",
                "convert for this target, or with code='rate'",
            )


def _too_many_from_host(graph: Graph) -> Iterator[Problem]:
    """nengo-loihi holds a matrix of 2 n x n for n numbers on their way to the chip."""
    for p in graph.on_chip:
        if from_host(graph, p.name) and p.size > MOST_NUMBERS:
            yield Problem(
                p.name,
                f"{p.size:,} numbers from the host",
                f"{MOST_NUMBERS:,}, which take gigabytes to build",
                "convert the model again: a layer of this size then stays on the host",
            )


def _plain_input(graph: Graph) -> Iterator[Problem]:
    source = graph[graph.input]
    if (source.gain != 1).any() or source.bias.any():
        yield Problem(
            source.name,
            "a gain or a bias",
            "neither on the input",
            "scale the data, or put gain and bias on the next population",
        )


def _currents(model: Model) -> Iterator[Problem]:
    """What the decode neurons are to code has to be known."""
    ranges = current_ranges(model)
    for p in model.graph.on_chip:
        if not from_host(model.graph, p.name):
            continue
        if p.name not in model.activity:
            got, limit = "no measured currents", "the largest current in training"
            fix = "convert the model with training data: data="
            yield Problem(p.name, got, limit, fix)
        elif model.activity[p.name].current == 0.0:
            got = "no current from the host in training"
            most = ranges[p.name][0]
            limit = f"some: what comes later is cut off at {most:g} times the threshold"
            fix = "check the weights before it and the training data"
            yield Problem(p.name, got, limit, fix, "warning", DYNAMICS)


def _cores_too_full(graph: Graph, use: ChipUse) -> Iterator[Problem]:
    resources = {
        "in_axons": ("axons into a core", "make the populations before it smaller"),
        "out_axons": (
            "axons out of a core",
            "make the populations after it smaller: a neuron takes one for each core it reaches",
        ),
        "synapse_bits": (
            "bits of synapses on a core",
            "change its size a little: nengo-loihi's equal parts miss the limit",
        ),
    }
    for population in graph.populations:
        blocks = use.of(population.name)
        if reads := _reads_too_much(population, blocks, use.limits.in_axons):
            yield reads
            continue
        for name, (unit, fix) in resources.items():
            limit = getattr(use.limits, name)
            full = [getattr(b, name) for b in blocks if getattr(b, name) > limit]
            if full:
                got = f"{max(full):,} {unit}, on {len(full)} of {len(blocks)}"
                yield Problem(population.name, got, f"{limit:,}", fix)


def _reads_too_much(
    population: Population, blocks: tuple[Block, ...], limit: int
) -> Problem | None:
    """Where a neuron that has a core to itself still reads more than the core takes in.

    A neuron is on one core, and the axons of all that it reads end there: no division helps.
    """
    alone = [b for b in blocks if b.compartments == 1 and b.in_axons > limit]
    if not alone:
        return None
    return Problem(
        population.name,
        f"{max(b.in_axons for b in alone):,} axons into a core that has one neuron on it",
        f"{limit:,}",
        f"no division of {population.name} helps, since a neuron's axons all end on its own core: "
        f"pool or use larger strides before it, so that each of its neurons reads {limit:,} values "
        "at most",
    )


def scales(model: Model, use: ChipUse, name: str) -> list[Scale]:
    """How each block of a population becomes integers."""
    population = model.graph[name]
    bias = np.array(population.scale * population.bias)
    return [
        find_scale(
            population.neuron,
            bias[b.neurons],
            [s.largest(b.neurons, population.size) for s in use.synapses[name]],
            use.tau(name),
            model.timing.dt,
        )
        for b in use.of(name)
    ]


def _numbers(model: Model, use: ChipUse) -> Iterator[Problem]:
    """Weights, biases and time constants as integers."""
    for p in model.graph.on_chip:
        for s in use.synapses[p.name]:
            if s.one_to_one and not s.values.size and s.name != f"{p.name}.current":
                got, fix = "one-to-one weights that are all 0", "leave the projection out"
                yield Problem(s.name, got, "one that is not", fix)
        found = scales(model, use, p.name)
        faults = dict.fromkeys(s.fault for s in found if s.fault is not None)
        for fault in faults:
            yield Problem(p.name, fault.got, fault.limit, fault.fix)
        if faults:
            continue
        level_coded = model.level_coded
        counts = compares(p.neuron, model.timing.dt) and not level_coded
        yield from _weights(p, use, found, sturdier(model.rate) if level_coded else "", counts)
        yield from _overflow(model, p, min(s.largest_current for s in found))


def _weights(
    p: Population, use: ChipUse, found: list[Scale], training: str, counts: bool
) -> Iterator[Problem]:
    """``training`` helps a level-coded network; empty for one with rates."""
    # A comparator has no rate, and the weights of a digit are all one and need no bits.
    level_coded, again = bool(training), f"{training} makes it sturdier; then convert again"
    for i, synapses in enumerate(use.synapses[p.name]):
        sizes = np.abs(synapses.values)
        if (level_coded or counts) and not (sizes.size and np.ptp(sizes) > SAME * sizes.max()):
            continue
        enlarged = max((s.enlarged[i] for s in found if s.enlarged), default=1)
        lost = max((s.lost_bits[i] for s in found if s.lost_bits), default=0)
        if enlarged > 1:
            got, limit = f"weights about {enlarged} times too large", "1/64 of the largest weight"
            fix = "make its weights, or the rates of its sources, more alike to the others'"
            fix = again if level_coded else fix
            yield Problem(synapses.name, got, limit, fix, "warning", WEIGHTS)
        elif lost:
            got, fix = f"weights of {7 - lost} bits and a sign", "raise max_rate"
            fix = again if level_coded else fix
            fix = "none: they are small beside the largest of these neurons" if counts else fix
            yield Problem(synapses.name, got, "7 bits", fix, "warning", WEIGHTS)
        if not synapses.coded and (ratio := _outlier(synapses.values)) > OUTLIER:
            got = f"a weight {ratio:.0f} times the 99th percentile of all"
            limit = f"{OUTLIER}: the largest sets the scale of all, and the others lose bits"
            fix = again if level_coded else "cut outliers off: clip_weights=99"
            yield Problem(synapses.name, got, limit, fix, "warning", WEIGHTS)


def _outlier(weights: Array) -> float:
    """The largest weight over the 99th percentile of those that are not zero."""
    sizes = np.abs(weights)
    return float(sizes.max() / np.percentile(sizes, 99)) if sizes.size else 1.0


def _overflow(model: Model, p: Population, limit: float) -> Iterator[Problem]:
    largest = _largest_current(model, p)
    if largest >= limit:
        got, fix = f"a current of {largest:.3g}", "lower max_rate, or train with smaller weights"
        yield Problem(p.name, got, f"{limit:.3g}, where its sign flips", fix, "warning", "loihi")


def _largest_current(model: Model, p: Population) -> float:
    """Seen in training, as it arrives on the chip; 0 if it is not known."""
    if p.name not in model.activity:
        return 0.0
    largest = p.scale * float(np.abs(p.gain).max()) * model.activity[p.name].largest_current
    if all(not model.graph[q.pre].neuron.spiking for q in model.graph.incoming(p.name)):
        largest = min(largest, float(current_ranges(model).get(p.name, np.zeros(1)).max()))
    return largest + p.scale * float(np.abs(p.bias).max())


def _hardware(model: Model, use: ChipUse) -> Iterator[Problem]:
    cores = len(use.blocks)
    if cores > CHIPS * CORES_A_CHIP:
        yield Problem(
            "the model",
            f"{cores:,} cores",
            f"{CHIPS * CORES_A_CHIP}: nengo-loihi's {CHIPS} chips of {CORES_A_CHIP}",
            f"use fewer neurons, or ask for {-(-cores // CORES_A_CHIP)} chips (n_chips)",
            "hardware",
        )
    for p in model.graph.on_chip:
        steps = round(p.neuron.tau_ref / model.timing.dt) + 1 if p.neuron.kind == "lif" else 1
        if steps > REFRACTORY_STEPS:
            got, fix = f"a refractory period of {steps} steps", "train with a shorter tau_ref"
            yield Problem(p.name, got, f"{REFRACTORY_STEPS}", fix, "hardware")
    spikes = sum(
        s.axons // 2 if s.coded else s.axons
        for group in use.synapses.values()
        for s in group
        if not s.source
    )
    if spikes > SPIKES_A_STEP and host_waits_for_chip(model):
        yield Problem(
            "the model",
            f"about {spikes:,} spikes a step from host to chip",
            f"{SPIKES_A_STEP} unless nengo-loihi is told otherwise",
            "raise snip_max_spikes_per_step",
            "hardware",
        )


def host_waits_for_chip(model: Model) -> bool:
    """Whether what the host sends to the chip cannot be computed beforehand.

    So it is if a population that leads to the chip, or one that hangs together with it on the
    host, reads the chip (nengo-loihi, ``splitter.py``, ``PrecomputableSplit``).
    """
    graph = model.graph
    on_chip = {p.name for p in graph.on_chip}
    between = [(p.pre, p.post) for p in graph.projections if not {p.pre, p.post} & on_chip]
    together = {p.pre for p in graph.projections if p.pre not in on_chip and p.post in on_chip}
    grown = -1
    while grown != len(together):
        grown = len(together)
        for ends in between:
            if together & set(ends):
                together |= set(ends)
    reads = any(p.pre in on_chip and p.post in together for p in graph.projections)
    held = any(
        p.pre in on_chip and p.post in on_chip and held_on_host(model, p) for p in graph.projections
    )
    return reads or held


def _rates(model: Model) -> Iterator[Problem]:
    """A neuron on the chip spikes once a step at most and forgets what is left over.

    One on the host may spike several times, and counts what is left over; but of its spikes in one
    step a single one reaches the chip (nengo-loihi 1.1.0, ``builder/inputs.py``).
    """
    most, on_chip = 1.0 / model.timing.dt, {p.name for p in model.graph.on_chip}
    for p in model.graph.spiking:
        sends = any(q.post in on_chip for q in model.graph.outgoing(p.name))
        if p.on_host and not sends:
            continue
        measured = model.activity.get(p.name)
        # Neurons that subtract their threshold count, and have no rate.
        if measured is None or compares(p.neuron, model.timing.dt):
            continue
        hertz = p.scale / p.neuron.amplitude
        largest = hertz * measured.largest
        if p.neuron.kind == "lif" and p.neuron.tau_ref > 0:
            largest = min(largest, 1.0 / p.neuron.tau_ref)
        if largest > most:
            usual = hertz * measured.p999
            got = f"{largest:,.0f} Hz at most, {usual:,.0f} Hz at the 99.9th percentile"
            fix = f"max_rate={usual * most / largest:.0f} keeps all below"
            limit = f"{most:,.0f} Hz, one spike a step"
            rung = DYNAMICS if p.on_host else "response curve"
            yield Problem(p.name, got, limit, fix, "warning", rung)


def _ranges(model: Model) -> Iterator[Problem]:
    """Decode neurons code numbers between -1 and 1."""
    graph, ranges = model.graph, current_ranges(model)
    for p in graph.on_chip:
        steepest = p.scale * float(np.abs(p.gain).max())
        if p.name not in ranges or steepest == 0.0:
            continue
        coded = float(ranges[p.name].max()) / steepest
        largest = model.activity[p.name].largest_current
        if largest > coded:
            got, limit = f"a current of {largest:.3g} from the host", f"{coded:.3g}"
            fix = "none: 99.9 % in training are below, the rest is cut off"
            yield Problem(p.name, got, limit, fix, "warning", DYNAMICS)
    for q in graph.projections:
        pre = graph[q.pre]
        if pre.neuron.spiking and graph[q.post].neuron.spiking and held_on_host(model, q):
            height = pre.spike_size(model.timing.dt)
            if height > 1:
                got, fix = f"spikes of height {height:.3g} over the host", "convert the model again"
                yield Problem(q.name, got, "1, or they are cut off", fix, "warning", DYNAMICS)


def _synapses(model: Model, use: ChipUse) -> Iterator[Problem]:
    for p in model.graph.on_chip:
        tau = use.tau(p.name)
        for synapses in use.synapses[p.name]:
            if synapses.tau != tau:
                got = f"a lowpass of {1000 * synapses.tau:g} ms"
                limit = f"{1000 * tau:g} ms, the longest onto {p.name}"
                fix = "give all the same, synapse_tau=0.005: what comes from the host has 5 ms"
                yield Problem(synapses.name, got, limit, fix, "warning", DYNAMICS)


def _on_host(model: Model) -> Iterator[Problem]:
    graph = model.graph
    linear = [p for p in graph.populations if p.neuron.kind == "linear" and p.name != graph.input]
    if linear:
        names, values = ", ".join(p.name for p in linear), sum(p.size for p in linear)
        got, limit = f"{values:,} values on the host", "only what spikes is on the chip"
        yield Problem(names, got, limit, "none: count them in energy and speed", "warning")
    for p in graph.spiking:
        if p.on_host and not compares(p.neuron, model.timing.dt):
            got, limit = f"{p.size:,} neurons on the host", "neurons on the chip"
            fix = (
                "count them in energy and speed; converted with first_layer='chip', all but very "
                "large layers are on the chip"
            )
            yield Problem(p.name, got, limit, fix, "warning")
