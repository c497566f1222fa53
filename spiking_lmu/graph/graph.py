"""The graph: populations of neurons and the projections between them.

In every simulation step, in this order,

1. each population adds up its input over its projections,
   ``current = scale · (gain · Σ transform · source + bias)``;
2. its output is ``response(current) / scale`` (rate) or ``spikes · amplitude / (dt · scale)``;
3. every synapse filters what its source just put out, for the next step to read.

A projection reads its source in the same step, or, with ``delay=1``, as it was at the end
of the previous presentation (see :mod:`spiking_lmu.graph.timing`) or, with ``mean_from``, on
average over that, or, with ``tau``, filtered up to the previous step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError

from .neurons import LINEAR, Neuron
from .transforms import as_transform, checked_array

Array = np.ndarray
#: Seconds of a simulation step where nothing else is said.
DEFAULT_DT = 0.001


@dataclass(frozen=True, eq=False)
class Population:
    """``size`` neurons of one model.

    Parameters
    ----------
    name
        Readable and unique: ``"lmu.h"``.
    size
        Number of neurons (at least 1).
    neuron
        Their model; ``linear`` passes the current on.
    gain, bias
        One number or one a neuron, applied to the summed input; never multiplied by ``scale``.
    scale
        How many times faster than its rate neuron the population fires (dimensionless for
        an amplitude of one: Hz for each unit of activation); rectified linear neurons only.
    on_host
        A spiking population that a target with a chip runs on the host; its spikes enter the
        chip as they are.  What the population computes is the same either way.
    pulse
        A linear population that reads nothing and is one for a single step, else zero: with 0
        the first step after the last presentation, with n the first of every n-th presentation
        (:meth:`spiking_lmu.graph.timing.Timing.pulses`).

    >>> Population("hidden", 3, Neuron("relu")).neuron.kind
    'relu'
    """

    name: str
    size: int
    neuron: Neuron = LINEAR
    gain: Array = field(default_factory=lambda: np.ones(()))
    bias: Array = field(default_factory=lambda: np.zeros(()))
    scale: float = 1.0
    on_host: bool = False
    pulse: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 200:
            raise _spec("population name", repr(self.name), "1 to 200 characters")
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise _spec(f"size of population {self.name}", repr(self.size), "a whole number ≥ 1")
        for key in ("gain", "bias"):
            array = checked_array(getattr(self, key), f"{key} of {self.name}", None)
            if array.shape not in ((), (self.size,)):
                raise _spec(f"{key} of {self.name}", f"shape {array.shape}", f"({self.size},)")
            array = np.broadcast_to(array, (self.size,))
            object.__setattr__(self, key, array)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise _spec(f"scale of {self.name}", repr(self.scale), "a positive number")
        if self.scale != 1 and self.neuron.kind not in ("relu", "spiking_relu"):
            raise _spec(
                f"scale of {self.name}", repr(self.scale), f"1 for {self.neuron.kind} neurons"
            )
        if not isinstance(self.on_host, bool):
            raise _spec(f"on_host of {self.name}", repr(self.on_host), "true or false")
        if self.on_host and not self.neuron.spiking:
            raise _spec(f"on_host of {self.name}", f"{self.neuron.kind} neurons", "spiking ones")
        if self.pulse is not None:
            _check_pulse(self)

    @property
    def amplitude(self) -> float:
        """What a rate is multiplied by: the neuron's amplitude, divided by ``scale``."""
        return self.neuron.amplitude / self.scale

    def spike_size(self, dt: float) -> float:
        """What one spike in one step of ``dt`` seconds puts out: amplitude / (dt · scale).

        >>> Population("h", 1, Neuron("spiking_relu"), scale=250.0).spike_size(0.001)
        4.0
        """
        return self.neuron.amplitude / (dt * self.scale)


@dataclass(frozen=True, eq=False)
class Projection:
    """A weighted connection from one population to another.

    Parameters
    ----------
    pre, post
        Names of the populations.
    transform
        What the values of ``pre`` are multiplied by (:mod:`spiking_lmu.graph.transforms`): any
        transform, or an array of weights (post, pre); or (n,) for a weight on each of n
        one-to-one connections; or None for one-to-one with weight 1.
    tau
        Time constant in seconds of a lowpass synapse; None reads the source unfiltered.
    delay
        1 reads the source as it was at the end of the previous presentation.
    name
        For people; ``pre_to_post`` if not given.
    trainable
        Whether training may change the weights (the memory's are fixed).
    begins
        With a delay: the presentation, counted from 0, from which on it reads its source; before,
        it reads zeros.
    mean_from
        With a delay: it delivers the mean of what its source gave in the previous presentation,
        from this step of it on, counted from 0; of spikes that is their count.  None: what it gave
        in the last step.  A rate stands throughout a presentation, so that both are the same.

    >>> Projection("x", "y", np.ones((1, 2)), tau=0.005).apply(np.array([[1.0, 2.0]])).tolist()
    [[3.0]]
    """

    pre: str
    post: str
    #: A Transform once the projection is made; before, all that :func:`as_transform` takes.
    transform: Any = None
    tau: float | None = None
    delay: int = 0
    name: str = ""
    trainable: bool = True
    begins: int = 0
    mean_from: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.pre}_to_{self.post.rpartition('.')[2]}")
        transform = as_transform(self.transform, f"weights of {self.name}")
        object.__setattr__(self, "transform", transform)
        if self.delay not in (0, 1):
            raise _spec(f"delay of {self.name}", repr(self.delay), "0 or 1 presentations")
        if isinstance(self.begins, bool) or not isinstance(self.begins, int) or self.begins < 0:
            raise _spec(f"begins of {self.name}", repr(self.begins), "a whole number from 0")
        if self.begins and not self.delay:
            raise _spec(f"begins of {self.name}", f"{self.begins} without a delay", "delay=1 too")
        _check_mean(self)
        if self.tau is not None:
            if not (np.isfinite(self.tau) and self.tau >= 0):
                raise _spec(f"synapse of {self.name}", f"tau {self.tau!r}", "seconds ≥ 0")
            if self.delay:
                raise _spec(f"projection {self.name}", "a delay and a synapse", "one of them")

    @property
    def immediate(self) -> bool:
        """Whether the target sees the source within the same step."""
        return self.tau is None and not self.delay

    def apply(self, values: Array) -> Array:
        """The transform of ``values``: (..., pre) → (..., post)."""
        applied: Array = self.transform.apply(values)
        return applied

    @property
    def weights(self) -> Array | None:
        """What training may change of the transform: its matrix, vector, list or kernel."""
        weights: Array | None = self.transform.weights
        return weights

    def with_weights(self, weights: Array) -> Projection:
        """The same projection with other weights in the same kind of transform."""
        return replace(self, transform=self.transform.with_weights(weights))


@dataclass(frozen=True, eq=False)
class Graph:
    """Populations, projections, and which population is the input and which the output.

    Parameters
    ----------
    populations, projections
        In any order; each population has a name of its own.
    input, output
        Names of two populations.
    dt
        Seconds of the step with which it was trained, one an input: the clock of its synapses and
        spiking neurons where no timing says otherwise.

    Raises
    ------
    SpecError
        Duplicate or unknown names, shapes that do not fit, a loop without a delay, or an
        input that is not a plain linear population.

    >>> a, b = Population("x", 2), Population("y", 1)
    >>> graph = Graph((a, b), (Projection("x", "y", np.ones((1, 2))),), "x", "y")
    >>> graph.input_size, graph.output_size
    (2, 1)
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    input: str
    output: str
    dt: float = DEFAULT_DT

    def __repr__(self) -> str:
        """Its parts, a line each, without their numbers."""
        wide = max(len(p.name) for p in self.populations)
        lines = [f"Graph from {self.input} to {self.output}"]
        for p in self.populations:
            where = " on the host" if p.on_host else ""
            lines.append(f"  {p.name:{wide}}  {p.size:,} {p.neuron.kind}{where}")
        for q in self.projections:
            late = ", one input late" if q.delay else ""
            late += "" if q.mean_from is None else f", mean from step {q.mean_from} on"
            slow = "" if q.tau is None else f", lowpass of {1000 * q.tau:g} ms"
            lines.append(f"  {q.pre} -> {q.post}: {q.transform}{late}{slow}")
        return "\n".join(lines)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.dt) and 1e-7 <= self.dt <= 10):
            raise _spec("the graph's dt", repr(self.dt), "seconds from 1e-7 to 10")
        object.__setattr__(self, "populations", tuple(self.populations))
        object.__setattr__(self, "projections", tuple(self.projections))
        names = [population.name for population in self.populations]
        for kind, given in (
            ("population", names),
            ("projection", [p.name for p in self.projections]),
        ):
            twice = sorted({name for name in given if given.count(name) > 1})
            if twice:
                raise _spec(f"{kind} names", f"{twice[0]} twice", "unique names")
        sizes = {population.name: population.size for population in self.populations}
        for role in ("input", "output"):
            if getattr(self, role) not in sizes:
                raise _spec(f"the graph's {role}", repr(getattr(self, role)), "a population of it")
        for projection in self.projections:
            _check_shape(projection, sizes)
        if self[self.input].neuron.kind != "linear" or self.incoming(self.input):
            raise _spec(
                "the graph's input", self.input, "a linear population without incoming projections"
            )
        for population in self.populations:
            if population.pulse is not None and self.incoming(population.name):
                raise _spec(f"pulse population {population.name}", "a projection to it", "none")
        if self[self.input].pulse is not None:
            raise _spec("the graph's input", f"{self.input}, which is a pulse", "another one")
        try:
            object.__setattr__(self, "_order", tuple(self._sorter().static_order()))
        except CycleError as error:
            loop = " → ".join(error.args[1])
            raise _spec(
                "the graph", f"the loop {loop} without delay", "a delay in every loop"
            ) from error

    def _sorter(self) -> TopologicalSorter[str]:
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for population in self.populations:
            sorter.add(population.name)
        for projection in self.projections:
            if projection.immediate:
                sorter.add(projection.post, projection.pre)
        return sorter

    def __getitem__(self, name: str) -> Population:
        for population in self.populations:
            if population.name == name:
                return population
        raise KeyError(name)

    @property
    def order(self) -> tuple[str, ...]:
        """Population names in the order in which one step computes them."""
        return self._order  # type: ignore[attr-defined]

    @property
    def input_size(self) -> int:
        """Numbers in one input."""
        return self[self.input].size

    @property
    def output_size(self) -> int:
        """Numbers in one output."""
        return self[self.output].size

    @property
    def spiking(self) -> tuple[Population, ...]:
        """The populations that spike."""
        return tuple(p for p in self.populations if p.neuron.spiking)

    @property
    def on_chip(self) -> tuple[Population, ...]:
        """The populations that a target with a chip runs there: spiking ones but for on_host."""
        return tuple(p for p in self.spiking if not p.on_host)

    @property
    def answers_every(self) -> int:
        """Inputs from one answer to the next, by the pulses that ask for them; else 1."""
        return max((p.pulse or 1 for p in self.populations), default=1)

    def incoming(self, name: str) -> tuple[Projection, ...]:
        """Projections onto the population ``name``."""
        return tuple(p for p in self.projections if p.post == name)

    def outgoing(self, name: str) -> tuple[Projection, ...]:
        """Projections from the population ``name``."""
        return tuple(p for p in self.projections if p.pre == name)

    def with_populations(self, changed: Iterable[Population]) -> Graph:
        """The same graph with populations of the same names replaced."""
        new = {population.name: population for population in changed}
        return replace(self, populations=tuple(new.get(p.name, p) for p in self.populations))


def _check_pulse(population: Population) -> None:
    pulse, what = population.pulse, f"pulse of {population.name}"
    if isinstance(pulse, bool) or not isinstance(pulse, int) or not 0 <= pulse <= 10**6:
        raise _spec(what, repr(pulse), "a whole number from 0 to 1000000")
    plain = (population.gain == 1).all() and not population.bias.any()
    if population.neuron.kind != "linear" or not plain:
        raise _spec(what, "neurons, a gain or a bias", "a plain linear population")


def _check_mean(projection: Projection) -> None:
    first, what = projection.mean_from, f"mean_from of {projection.name}"
    if first is None:
        return
    if isinstance(first, bool) or not isinstance(first, int) or first < 0:
        raise _spec(what, repr(first), "a whole number of steps from 0, or None")
    if not projection.delay:
        raise _spec(what, f"{first} without a delay", "delay=1 too")


def _check_shape(projection: Projection, sizes: dict[str, int]) -> None:
    for end in (projection.pre, projection.post):
        if end not in sizes:
            raise _spec(
                f"projection {projection.name}", f"the population {end!r}", "one of the graph"
            )
    want, shape = (sizes[projection.post], sizes[projection.pre]), projection.transform.shape
    if not (want[0] == want[1] if shape is None else shape == want):
        got = "one-to-one" if shape is None else f"shape {shape}"
        raise _spec(f"weights of {projection.name}", got, f"{want} (post, pre)")


def _spec(what: str, got: str, expected: str) -> SpecError:
    return SpecError(what, got=got, expected=expected, fix="correct the network or its file")
