"""Which cores of Loihi a model takes, and what it uses of each: arithmetic, nothing is built.

nengo-loihi makes one block of each population on the chip and divides blocks that are too
large for a core.  Here the same is counted (nengo-loihi 1.1.0, ``builder/connection.py`` for
axons and synapses, ``block.py`` for memory, ``builder/split_blocks.py`` for the division).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from spiking_lmu.backends.target import CoreUse
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.transforms import Dense, OneToOne, Transform

from .convolution import ConvolutionSynapses, on_chip_convolution
from .synapses import Synapses

Array = np.ndarray

#: Room above the largest current seen in training before the decode neurons saturate.
HEADROOM = 1.1
#: Lowpass of everything that comes from the host, and of neurons without any input, in seconds
#: (nengo-loihi, ``builder/builder.py``, ``Model.decode_tau``).
DECODE_TAU = 0.005


@dataclass(frozen=True)
class Limits:
    """What a core holds (nengo-loihi, ``block.py``)."""

    compartments: int = 1024
    in_axons: int = 4096
    out_axons: int = 4096
    synapse_bits: int = 16384 * 64


@dataclass(frozen=True)
class Block:
    """The neurons of one population that are together on one core, and what they use of it."""

    population: str
    neurons: slice
    compartments: int
    in_axons: int
    out_axons: int
    synapse_bits: int


@dataclass(frozen=True, eq=False)
class ChipUse:
    """A model on the chip: blocks, each on a core of its own, and the synapses by population.

    ``shapes`` are neurons in a block by population, for those that nengo-loihi would leave too
    large.
    """

    blocks: tuple[Block, ...]
    synapses: Mapping[str, tuple[Synapses, ...]]
    limits: Limits
    shapes: Mapping[str, int] = field(default_factory=dict)

    def of(self, population: str) -> tuple[Block, ...]:
        """The blocks that ``population`` is divided into."""
        return tuple(b for b in self.blocks if b.population == population)

    def tau(self, population: str) -> float:
        """The one lowpass of a population's neurons: the longest of its synapses, in seconds."""
        return max((s.tau for s in self.synapses[population]), default=DECODE_TAU)

    def cores(self) -> tuple[CoreUse, ...]:
        """The same for pictures."""
        limits = {name.replace("_", " "): limit for name, limit in asdict(self.limits).items()}
        return tuple(
            CoreUse(
                f"{b.population}[{b.neurons.start}:{b.neurons.stop}]",
                {name: getattr(b, name.replace(" ", "_")) for name in limits},
                limits,
            )
            for b in self.blocks
        )


def from_host(graph: Graph, name: str) -> bool:
    """Whether a population on the chip reads values that do not spike."""
    return any(not graph[p.pre].neuron.spiking for p in graph.incoming(name))


#: Smaller currents than this, in units of the threshold, are rounding errors of 0.
LEAST_RANGE = 1e-9
#: Steps in which the ranges of single neurons differ: those of a weight of 7 bits and a sign, so
#: that the chip multiplies by what the host divided by.
RANGE_STEPS = 127


def current_ranges(model: Model) -> dict[str, Array]:
    """For each population that the host drives, the current that decode neurons can code.

    The host divides by it and the chip multiplies it back.  It is one number for each neuron,
    (size,): the current that was the largest in training, times the neuron's own gain.  On/off
    neurons spike in every step, whatever they code, and each spike brings the whole range; so
    with one range for all, neurons of a small gain would drown in those of a large one.

    Populations without a measured current are left out; they are a problem of their own.  Where
    it was 0 throughout, as the imaginary part of a real signal's mean is in a Fourier transform,
    it is the largest bias: a chip has one scale for both.
    """
    return {
        p.name: _ranges(p, model.activity[p.name].current)
        for p in model.graph.on_chip
        if from_host(model.graph, p.name) and p.name in model.activity
    }


def _ranges(p: Population, current: float) -> Array:
    gains = np.abs(p.gain)
    largest = p.scale * float(gains.max()) * current * HEADROOM
    if largest <= LEAST_RANGE:
        return np.full(p.size, max(1.0, p.scale * float(np.abs(p.bias).max())))
    steps = np.maximum(np.ceil(RANGE_STEPS * (gains / gains.max())), 1.0)
    return np.where(steps == RANGE_STEPS, largest, largest * (steps / RANGE_STEPS))


def held_on_host(model: Model, projection: Projection) -> bool:
    """Whether the host holds what ``projection`` reads, from one presentation to the next."""
    timing = model.timing
    several = timing.steps_per_input + timing.settle_steps > 1
    return bool(projection.delay) and (several or projection.begins > 0)


def lay_out(model: Model, limits: Limits | None = None) -> ChipUse:
    """Count what each population on the chip takes.

    All populations are on the chip that are neither linear nor ``on_host``, in the order of the
    graph.
    """
    graph, limits = model.graph, limits or Limits()
    names = [p.name for p in graph.populations if p.neuron.kind != "linear" and not p.on_host]
    synapses = {name: _synapses(model, name, names) for name in names}
    axons = dict.fromkeys(names, 0)
    for incoming in synapses.values():
        for s in incoming:
            if s.source is not None:
                axons[s.source] += s.slots
    parts = {n: _divide(graph[n].size, synapses[n], axons[n], limits) for n in names}
    shapes: dict[str, int] = {}
    # Counting equal rows takes longest; a division of another population changes nothing there.
    bits: dict[tuple[str, int, int], int] = {}

    def blocks_of(name: str) -> Iterator[Block]:
        return (_block(graph[name], part, parts, synapses, bits) for part in parts[name])

    while True:
        # The first block that is too full decides: hundreds of others need not be looked at.
        full = [name for name in names if any(_too_full(b, limits) for b in blocks_of(name))]
        smaller = {name: _smaller(parts[name]) for name in full}
        if not any(smaller.values()):
            blocks = tuple(block for name in names for block in blocks_of(name))
            return ChipUse(blocks, synapses, limits, shapes)
        parts |= {name: part for name, part in smaller.items() if part}
        shapes |= {name: part[0].stop for name, part in smaller.items() if part}


def _too_full(block: Block, limits: Limits) -> bool:
    return any(getattr(block, name) > limit for name, limit in asdict(limits).items())


def _smaller(parts: list[slice]) -> list[slice]:
    """The same neurons in one part more; none if each is on its own."""
    size, part = parts[-1].stop, parts[0].stop
    while part > 1:
        part = min(part - 1, _ceil(size, len(parts) + 1))
        if _ceil(size, part) > len(parts):
            return [slice(start, min(start + part, size)) for start in range(0, size, part)]
    return []


def _synapses(model: Model, name: str, on_chip: list[str]) -> tuple[Synapses, ...]:
    graph, dt = model.graph, model.timing.dt
    post, found = graph[name], []
    if from_host(graph, name):
        weights = _on_off(current_ranges(model).get(name, np.ones(post.size)))
        found.append(Synapses(None, f"{name}.current", weights, DECODE_TAU, True))
    for p in graph.incoming(name):
        if not graph[p.pre].neuron.spiking:
            continue
        transform = p.transform.scaled(post.scale * post.gain)
        height = graph[p.pre].amplitude
        source = p.pre if p.pre in on_chip else None
        held = held_on_host(model, p)
        convolution = None if held else on_chip_convolution(transform)
        if convolution is not None:
            kernel = _single(convolution.kernel / dt * height)
            found.append(
                ConvolutionSynapses(source, p.name, kernel, p.tau or 0.0, transform=convolution)
            )
            continue
        weights = _weights(transform, post.size)
        if held:
            # Zeros among them too: nengo-loihi takes no lists of weights from the host.
            full = weights if weights.ndim == 1 else transform.matrix(graph[p.pre].size).T
            found.append(Synapses(None, p.name, _on_off(full), DECODE_TAU, True))
            continue
        # As nengo-loihi does it, step by step: equal rows share memory, to the last bit.
        weights = weights * (1.0 / dt) * height
        found.append(Synapses(source, p.name, _single(weights), p.tau or 0.0))
    return tuple(found)


def _weights(transform: Transform, size: int) -> Any:
    """(pre, post), as an array or a sparse matrix, or (n,) where they are one-to-one."""
    if isinstance(transform, OneToOne):
        return np.ones(size) if transform.array is None else transform.array
    if isinstance(transform, Dense):
        return transform.array.T
    entries = transform.sparse(0).copy()
    entries.eliminate_zeros()
    return entries.T.tocsr()


def _on_off(weights: Any) -> Any:
    if not isinstance(weights, np.ndarray):
        from scipy.sparse import vstack

        return _single(vstack([weights, -weights], format="csr"))
    return _single(np.concatenate([weights, -weights]))


def _single(weights: Any) -> Any:
    with np.errstate(over="ignore"):
        return weights.astype(np.float32)


def _divide(
    size: int, synapses: tuple[Synapses, ...], out_axons: int, limits: Limits
) -> list[slice]:
    """Equal parts of a population, as many as its most pressing need asks for.

    As nengo-loihi divides them if it is told nothing.  Axons to populations that are divided
    themselves are not foreseen here, nor that words of memory are filled up; so a part can
    still be too large.
    """
    everyone = slice(0, size)
    count = max(
        _ceil(size, limits.compartments),
        _ceil(sum(s.axons for s in synapses), limits.in_axons),
        _ceil(out_axons, limits.out_axons),
        _ceil(sum(s.bits(everyone, size, False) for s in synapses), limits.synapse_bits),
    )
    part = _ceil(size, count)
    return [slice(start, min(start + part, size)) for start in range(0, size, part)]


def _block(
    population: Population,
    part: slice,
    parts: Mapping[str, list[slice]],
    synapses: Mapping[str, tuple[Synapses, ...]],
    bits: dict[tuple[str, int, int], int],
) -> Block:
    """``bits`` keeps the memory of synapses for the next call."""
    name, size = population.name, population.size
    divided = len(parts[name]) > 1
    in_axons = [s.reaching(part, size).sum() if divided else s.axons for s in synapses[name]]
    out_axons = [
        s.slots_between(part, target, parts[post][-1].stop, len(parts[post]) > 1)
        for post, incoming in synapses.items()
        for s in incoming
        if s.source == name
        for target in parts[post]
    ]
    place = (name, part.start, part.stop)
    if place not in bits:
        bits[place] = sum(s.bits(part, size, divided) for s in synapses[name])
    return Block(
        population=name,
        neurons=part,
        compartments=part.stop - part.start,
        in_axons=int(sum(in_axons)),
        out_axons=sum(out_axons),
        synapse_bits=bits[place],
    )


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
