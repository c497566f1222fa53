"""A linear memory as a line of spikes (docs/memory-on-chip.md).

A memory that only the input drives is a sum over the window of past inputs,
``m[T] = Σ_j H[:, j] x[T - j]``, for a Legendre memory with ``H[:, j] = A^j B`` (Voelker et al.
2019, equation 5).  So nothing needs to be kept but the inputs.  Each is written as a few bits,
and each bit is a spike that moves one stage a step along a line of neurons: nothing is rounded
and nothing adds up.  At the end of the sequence a gate sends the whole window at once to the
hidden neurons, whose weights ``W·H`` hold the memory's projection.

They spike in one of two ways (:data:`RESETS`).  ``zero``: a slow synapse holds their current while
they spike, and they forget what is left above the threshold.  ``subtract``: a chip's neuron that
keeps its current keeps its residual too, if the current is its state, its voltage follows within
a step, and each of its spikes takes one threshold off again through a synapse onto itself.  Then
a volley of so many thresholds is as many spikes, rounded to the nearest, and there is nothing to
wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.front_end import FrontEnd, split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.neurons import Neuron, comparator
from spiking_lmu.graph.timing import Timing, lowpass_decay
from spiking_lmu.graph.transforms import Sparse

Array = np.ndarray

CODES = ("magnitude", "sigma-delta")
#: Current of a neuron of the line from the stage before and from "go", which empties the line;
#: of a gate neuron from its stage and from "go", of which neither alone reaches the threshold 1.
SHIFT, EMPTY, OPEN = 1.5, -3.0, 0.75
#: Steps from "go" to the first current of the hidden neurons: the gate, and their synapse.
TO_HIDDEN = 2
#: What a hidden neuron does with what is left above its threshold.
RESETS = ("zero", "subtract")
#: Steps in which a current that is a neuron's state falls to 1/e.  It should never: 1/4096 a step
#: is the slowest that a current on Loihi can be (nengo-loihi 1.1.0, ``discretize_compartment``).
KEPT = 4096
#: Share of the energy of the memory's impulse response that may lie beyond the window.
BEYOND = 1e-3
LONGEST = 8192
#: Bits of an input.
MOST_BITS = 8
#: Inputs as far beyond a span as this share of it are rounding.
SLACK = 1e-5


@dataclass(frozen=True)
class LineCode:
    """How the line holds the input.

    Parameters
    ----------
    bits
        Neurons for each stage and channel (and sign), 1 to 8.
    signed
        Whether inputs may be negative.  Each sign has neurons of its own.
    code
        ``magnitude``: each input rounded to ``bits`` bits.  ``sigma-delta``: what is rounded off
        is added to the next input, so that a memory of low order, which averages over many
        inputs, sees less of it (Candy & Temes, 1992, *Oversampling Delta-Sigma Data
        Converters*).
    window
        Stages, in inputs; as many as the impulse response of the memory has if not given.
    span
        The largest input of each channel, which has all bits 1; 1 if not given.  What is beyond
        is cut off.

    Raises
    ------
    SpecError
        A value outside its range.
    """

    bits: int = 1
    signed: bool = False
    code: str = "magnitude"
    window: int | None = None
    span: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        whole = isinstance(self.bits, int) and not isinstance(self.bits, bool)
        if not whole or not 1 <= self.bits <= MOST_BITS:
            expected = f"a whole number from 1 to {MOST_BITS}"
            raise SpecError("bits", got=repr(self.bits), expected=expected, fix="try 1")
        if self.code not in CODES:
            raise SpecError(
                "line_code", got=repr(self.code), expected=" or ".join(CODES), fix="choose one"
            )
        if self.window is not None and not 1 <= self.window <= LONGEST:
            raise SpecError(
                "window",
                got=repr(self.window),
                expected=f"1 to {LONGEST} inputs",
                fix="use the length of the sequence",
            )
        if not all(np.isfinite(s) and s > 0 for s in self.span):
            raise SpecError(
                "span of a line",
                got=repr(self.span),
                expected="a positive number for each channel",
                fix="take the largest inputs of training data",
            )

    @classmethod
    def fitting(
        cls, bits: int, x: Array, code: str = "magnitude", window: int | None = None
    ) -> LineCode:
        """A code for inputs like ``x`` (…, channels): signs and spans are those that they need.

        Inputs from -1 to 1 have the span 1, as have those that were scaled to that range.

        >>> LineCode.fitting(2, np.array([[0.5, -3.0], [0.2, 2.0]])).span
        (0.5, 3.0)
        """
        sizes = np.abs(x).reshape(-1, x.shape[-1]).max(axis=0, initial=0.0)
        span: tuple[float, ...] = ()
        if sizes.max(initial=0.0) > 1.0 + SLACK:
            span = tuple(float(size) if size > 0 else 1.0 for size in sizes)
        return cls(bits, bool((x < 0).any()), code, window, span)

    @property
    def spans(self) -> Array:
        """Of each channel, (channels,), or (1,) if they are all 1."""
        return np.asarray(self.span or (1.0,))

    def beyond(self, x: Array) -> Array:
        """Whether each input of ``x`` (…, channels) is beyond what the line can hold."""
        least = -self.spans if self.signed else np.zeros(1)
        wide = SLACK * self.spans
        return np.asarray((x > self.spans + wide) | (x < least - wide))

    def values(self) -> Array:
        """What each bit is worth, least first, (bits,)."""
        return np.asarray(2.0 ** np.arange(self.bits) / (2**self.bits - 1))

    def rounded(self, x: Array) -> Array:
        """What the line holds of inputs (samples, inputs, channels): the same shape.

        >>> LineCode(2, signed=True).rounded(np.array([[[0.3], [-0.9], [1.2]]])).ravel().tolist()
        [0.333..., -1.0, 1.0]
        """
        shares = np.asarray(x) / self.spans
        positive = np.clip(shares, 0.0, 1.0)
        negative = np.clip(-shares, 0.0, 1.0) if self.signed else np.zeros_like(positive)
        return self.spans * (self._round(positive) - self._round(negative))

    def _round(self, x: Array) -> Array:
        steps = 2**self.bits - 1
        if self.code == "sigma-delta":
            # Whole spikes of a neuron that keeps what is left over.
            whole = np.floor(np.cumsum(steps * x, axis=1))
            return np.asarray(np.diff(whole, axis=1, prepend=0.0) / steps)
        return np.asarray(np.floor(x * steps + 0.5) / steps)


def line_memory(
    graph: Graph, code: LineCode, timing: Timing, hold: float, reset: str = "zero"
) -> Graph:
    """Put a line, a gate and folded weights in the place of the memory.

    Parameters
    ----------
    graph
        Spiking, before it has synapses; hidden neurons are rectified linear.
    timing
        One step an input; the memory is read once, after the last of them.
    hold
        Lowpass in seconds that holds the current of the hidden neurons while they spike; not
        used with ``subtract``.
    reset
        One of :data:`RESETS`.  With ``subtract`` a unit spikes as often as its rate gives in the
        steps to settle, at most once a step.

    Raises
    ------
    SpecError
        There is no linear memory that only the input drives; something feeds back; neurons that
        do not fit; or a timing that leaves no time to spike.
    """
    front = _front_end(graph)
    _check_timing(timing, hold)
    if reset == "subtract":
        parts: _Parts = _Subtracting(graph, front, code, timing, KEPT * timing.dt)
    else:
        parts = _Parts(graph, front, code, timing, hold)
    populations = [*parts.populations()]
    projections = [*parts.projections()]
    return Graph(tuple(populations), tuple(projections), graph.input, graph.output)


def window_of(front: FrontEnd, window: int | None, beyond: float = BEYOND) -> tuple[Array, Array]:
    """The impulse response of a linear memory as far as it matters, newest input first.

    Shape (stages, size delivered, channels); and what the biases alone deliver in the end,
    (size delivered,).  Without a ``window``, at most a share ``beyond`` of its energy is left out.
    """
    length = window or 256
    while True:
        response, constants = front.impulse_response(length)
        if window is not None:
            return response, constants[-1]
        energy = np.cumsum((response**2).sum(axis=(1, 2)))
        if length >= LONGEST or energy[length // 2] >= (1.0 - BEYOND**2) * energy[-1]:
            stages = int(np.searchsorted(energy, (1.0 - beyond) * energy[-1])) + 1
            return response[:stages], constants[-1]
        length *= 2


@dataclass(frozen=True)
class _Parts:
    """What the converted graph is made of."""

    graph: Graph
    front: FrontEnd
    code: LineCode
    timing: Timing
    hold: float

    @property
    def _channels(self) -> int:
        return self.graph.input_size * (2 if self.code.signed else 1)

    @property
    def _response(self) -> tuple[Array, Array]:
        return window_of(self.front, self.code.window)

    def populations(self) -> Iterator[Population]:
        """In the order of computation."""
        dt, code, channels = self.timing.dt, self.code, self._channels
        unit = comparator(dt)
        stages = len(self._response[0])
        yield self.graph[self.graph.input]
        yield Population("line.end", 1, pulse=0)
        yield Population("line.go", 1, unit, on_host=True)
        yield Population("line.over", 1, unit, on_host=True)
        yield Population("line.late", 1, unit, on_host=True)
        yield from bit_populations(channels, code, dt)
        for bit in range(code.bits):
            yield Population(f"line.{bit}", stages * channels, unit)
        for bit in range(code.bits):
            yield Population(f"line.gate{bit}", stages * channels, unit)
        outside = {p.name for p in self.front.linear.populations}
        for population in self.graph.populations:
            if population.name in outside:
                continue
            # Biases come with "go", and decay like all other currents.
            changed = replace(population, bias=np.zeros(()))
            if population.name == self.graph.output:
                changed = replace(changed, gain=population.gain / self._seen[0])
            yield self._hidden(changed) if population.neuron.spiking else changed

    def _hidden(self, population: Population) -> Population:
        """A population that spikes, as it is on the line."""
        return population

    @property
    def _seen(self) -> tuple[float, float]:
        """What the last output sees of an activation that decays from 1, and of one spike.

        The spike is that of ``line.late``, one step after "go".
        """
        keep = lowpass_decay(self.hold, self.timing.dt)
        kept = lowpass_decay(self.timing.readout_tau, self.timing.dt)
        # The output of a step is filtered up to the step before.
        last = self.timing.settle_steps - 2
        steps = np.arange(TO_HIDDEN, last + 1)
        share = (1.0 - kept) * kept ** (last - steps)
        spike = (1.0 - kept) * kept ** (last - 1.0)
        return float(share @ keep ** (steps - TO_HIDDEN)), float(spike)

    def projections(self) -> Iterator[Projection]:
        """Of the line, then those of the graph that stay."""
        yield from self._control()
        yield from bit_projections(self.graph, self.code, over="line.over")
        for bit in range(self.code.bits):
            yield from self._stages(bit)
        yield from self._folded()
        yield from self._biases()
        inside = {p.name for p in self.front.linear.populations}
        yield from (p for p in self.graph.projections if p.pre not in inside)

    def _control(self) -> Iterator[Projection]:
        two = np.full(1, 2.0)
        yield Projection("line.end", "line.go", two, name="line.end_to_go")
        yield Projection("line.go", "line.over", two, name="line.go_to_over")
        yield Projection("line.over", "line.over", two, tau=0.0, name="line.stays_over")
        yield Projection("line.go", "line.late", two, tau=0.0, name="line.go_to_late")

    def _stages(self, bit: int) -> Iterator[Projection]:
        """A line and its gate."""
        channels, line, gate = self._channels, f"line.{bit}", f"line.gate{bit}"
        size = len(self._response[0]) * channels
        yield from stage_projections(bit, len(self._response[0]), channels)
        empty, opened = np.full((size, 1), EMPTY), np.full((size, 1), OPEN)
        yield Projection("line.go", line, empty, tau=0.0, name=f"{line}.empty")
        yield Projection(line, gate, np.full(size, OPEN), tau=0.0, name=f"{gate}.stage")
        yield Projection("line.go", gate, opened, tau=0.0, name=f"{gate}.open")

    def _folded(self) -> Iterator[Projection]:
        """Weights from the gate: the memory's impulse response and what read it, in one."""
        response = self._response[0]
        for boundary in self.front.boundaries:
            post = boundary.first.post
            # (stages, post, channels) → (post, stages · channels)
            window = self.code.spans * np.moveaxis(response[:, boundary.place], 1, 0)
            if self.code.signed:
                window = np.concatenate([window, -window], axis=2)
            window = window.reshape(len(window), -1) / self._rise
            for bit, value in enumerate(self.code.values()):
                yield Projection(
                    f"line.gate{bit}",
                    post,
                    value * window,
                    tau=self.hold,
                    name=f"{boundary.first.name}.line{bit}",
                )

    @property
    def _rise(self) -> float:
        """What the holding synapse shows of a spike in the first step."""
        return 1.0 - lowpass_decay(self.hold, self.timing.dt)

    def _biases(self) -> Iterator[Projection]:
        """Biases, and what those of the memory deliver, at the time of the volley."""
        constant, (activation, spike) = self._response[1], self._seen
        into = {b.first.post: constant[b.place] for b in self.front.boundaries}
        inside = {p.name for p in self.front.linear.populations}
        for population in self.graph.populations:
            if population.name in inside:
                continue
            gain, bias = np.array(population.gain), np.array(population.bias)
            delivered = into.get(population.name, np.zeros(population.size))
            wanted = np.where(gain != 0, bias / np.where(gain != 0, gain, 1.0), 0.0) + delivered
            wanted = wanted + self._start(population)
            if not wanted.any():
                continue
            name = f"{population.name}.bias"
            if population.neuron.spiking:
                weights = wanted[:, None] / self._rise
                yield Projection("line.late", population.name, weights, tau=self.hold, name=name)
            else:
                weights = wanted[:, None] * activation / spike
                yield Projection("line.late", population.name, weights, name=name)

    def _start(self, population: Population) -> Array:
        """What the volley's bias has besides, (size,), in weights before the gain."""
        return np.zeros(population.size)


class _Subtracting(_Parts):
    """The same with hidden neurons that keep what is left above their threshold."""

    @property
    def _counting(self) -> int:
        """Steps in which the last output sees spikes."""
        return self.timing.settle_steps - TO_HIDDEN - 1

    @property
    def _seen(self) -> tuple[float, float]:
        keep = lowpass_decay(self.timing.readout_tau, self.timing.dt)
        last = self.timing.settle_steps - 2
        # Spikes follow one another from the first step on: that of the middle stands for all.
        middle = TO_HIDDEN + 0.25 * self._counting
        activation, spike = ((1.0 - keep) * keep ** (last - step) for step in (middle, 1.0))
        return activation, spike

    def _spikes(self, population: Population) -> float:
        """Spikes for an activation of 1."""
        return population.scale * self.timing.dt * self._counting

    def _hidden(self, population: Population) -> Population:
        unit = comparator(self.timing.dt)
        spikes = self._spikes(population)
        return replace(
            population,
            neuron=replace(unit, amplitude=unit.amplitude / spikes),
            gain=population.gain * spikes,
            scale=1.0,
        )

    def _start(self, population: Population) -> Array:
        # Half a threshold: so many spikes are the nearest whole number.
        if not population.neuron.spiking:
            return np.zeros(population.size)
        return 0.5 * self._one(population) / self._spikes(population)

    @staticmethod
    def _one(population: Population) -> Array:
        """What makes a current of 1, (size,), or nothing where a gain of 0 takes nothing."""
        gain = np.array(population.gain)
        return np.where(gain != 0, 1.0 / np.where(gain != 0, gain, 1.0), 0.0)

    def projections(self) -> Iterator[Projection]:
        """The same, and from each hidden neuron to itself."""
        yield from super().projections()
        inside = {p.name for p in self.front.linear.populations}
        for population in self.graph.populations:
            name = population.name
            if population.neuron.spiking and name not in inside:
                # A spike puts out an activation, and the gain has what that is in spikes.
                back = -self._one(population) / self._rise
                yield Projection(name, name, back, tau=self.hold, name=f"{name}.reset")


def bit_populations(channels: int, code: LineCode, dt: float) -> Iterator[Population]:
    """Neurons on the host that write inputs as bits, the highest first.

    Of sigma-delta, ``line.whole`` before them spikes as often in a step as there are levels in the
    input and in what it kept of those before; the bits write that number.
    """
    if code.code == "sigma-delta":
        counter = Neuron("spiking_relu")
        yield Population("line.whole", channels, counter, scale=1.0 / dt, on_host=True)
    for bit in reversed(range(code.bits)):
        # Above 1 where 2^bits - 1 times the input, without higher bits, rounds up.
        bias = np.full(channels, 1.5 - 2.0**bit)
        yield Population(f"line.bit{bit}", channels, comparator(dt), bias=bias, on_host=True)


def bit_projections(graph: Graph, code: LineCode, over: str = "") -> Iterator[Projection]:
    """From the input to its bits, the highest first; none once ``over`` spikes."""
    size, steps = graph.input_size, 2.0**code.bits - 1.0
    signs = np.concatenate([np.eye(size), -np.eye(size)])[: size * (2 if code.signed else 1)]
    source, weights = graph.input, steps * signs / code.spans
    if code.code == "sigma-delta":
        yield Projection(source, "line.whole", weights, name="line.whole.x")
        source, weights = "line.whole", np.ones(len(signs))
    off = np.full((len(signs), 1), -(steps + 2.0))
    for bit in reversed(range(code.bits)):
        name = f"line.bit{bit}"
        yield Projection(source, name, weights, name=f"{name}.x")
        if over:
            yield Projection(over, name, off, name=f"{name}.off")
        for higher in range(bit + 1, code.bits):
            taken = np.full(len(signs), -(2.0**higher))
            yield Projection(f"line.bit{higher}", name, taken, name=f"{name}.without{higher}")


def code_of(graph: Graph) -> LineCode | None:
    """How the line of a converted graph holds inputs, but for its window; None without a line."""
    sizes = {p.name: p.size for p in graph.populations}
    bits = sum(f"line.bit{bit}" in sizes for bit in range(MOST_BITS))
    first = "line.whole" if "line.whole" in sizes else f"line.bit{bits - 1}"
    weights = next((p.weights for p in graph.projections if p.name == f"{first}.x"), None)
    size = graph.input_size
    if weights is None or weights.shape not in ((size, size), (2 * size, size)):
        return None
    shares = np.diagonal(weights[:size])
    if not (shares > 0).all():
        return None
    spans = (2.0**bits - 1.0) / shares
    code = CODES[first == "line.whole"]
    span = tuple(map(float, spans)) if (spans != 1).any() else ()
    return LineCode(bits, len(weights) == 2 * size, code, span=span)


def stage_projections(bit: int, stages: int, channels: int) -> Iterator[Projection]:
    """Into a line and along it: a spike moves one stage a step."""
    line, size = f"line.{bit}", stages * channels
    first, on = np.arange(channels), np.arange(size - channels)
    enter = Sparse((size, channels), first, first, np.full(channels, SHIFT))
    yield Projection(f"line.bit{bit}", line, enter, tau=0.0, name=f"{line}.enter")
    if len(on):
        shift = Sparse((size, size), on + channels, on, np.full(len(on), SHIFT))
        yield Projection(line, line, shift, tau=0.0, name=f"{line}.shift")


def _front_end(graph: Graph) -> FrontEnd:
    """The memory and the rest, or an error that says why there is no line for it."""
    front = split(graph)
    feeding, remembers = _fed_back(graph), remembering(front)
    if feeding:
        at_every_step = "use code='level', whose units read the line at every input, or "
        raise _refused(feeding, f"{at_every_step if remembers else ''}use memory='host'")
    if front is None or not remembers:
        raise _refused(
            "no memory that only the input drives", "use memory='host'; nothing is remembered"
        )
    for boundary in front.boundaries:
        post = graph[boundary.first.post]
        if boundary.first.tau is not None or post.neuron.kind != "spiking_relu":
            raise _refused(
                f"{post.name} with {post.neuron.kind} neurons, which reads the memory",
                "use rectified linear neurons there (neuron='relu'), or memory='host'",
            )
    for projection in front.rest.projections:
        if graph[projection.pre].neuron.spiking and graph[projection.post].neuron.spiking:
            raise _refused(
                f"{projection.post}, which reads the spikes of {projection.pre}",
                "use code='level', or memory='host', for networks of several layers of neurons",
            )
    return front


def remembering(front: FrontEnd | None) -> bool:
    """Whether there is a memory that only the input drives."""
    return front is not None and any(p.delay for p in front.linear.projections)


def _fed_back(graph: Graph) -> str:
    """What feeds back, in words; empty if nothing but a memory that the input drives."""
    front = split(graph)
    inside = {p.name for p in front.linear.populations} if front is not None else set()
    for projection in graph.projections:
        if not projection.delay or projection.pre in inside:
            continue
        driving = {projection.pre}
        while more := {p.pre for p in graph.projections if p.post in driving} - driving:
            driving |= more
        neurons = [p.name for p in graph.spiking if p.name in driving]
        if projection.pre in neurons:
            return f"{projection.pre}, which feeds back into {projection.post}"
        if neurons:
            return f"{projection.pre}, which is driven by {neurons[0]}"
    return ""


def _check_timing(timing: Timing, hold: float) -> None:
    wrong = (
        ("steps_per_input", timing.steps_per_input, timing.steps_per_input == 1, "1", "1"),
        ("settle_steps", timing.settle_steps, timing.settle_steps >= 8, "8 or more", "150"),
        ("readout_tau", timing.readout_tau, timing.readout_tau >= 0.01, "0.01 s or more", "0.5"),
        ("synapse_tau", hold, hold >= 2 * timing.dt, f"{2 * timing.dt:g} s or more", "0.05"),
    )
    for name, got, fits, expected, fix in wrong:
        if not fits:
            raise SpecError(
                name,
                got=f"{got:g}",
                expected=f"{expected} for a memory as a line",
                fix=f"use {fix}",
            )


def _refused(got: str, fix: str) -> SpecError:
    return SpecError(
        "a memory as a line of spikes",
        got=got,
        expected="a linear memory that only the input drives, and one layer of neurons on it",
        fix=fix,
    )
