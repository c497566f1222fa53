"""Neurons that a convolution alone drives, a block of steps at once.

In a feedforward Legendre Memory Unit these are the hidden neurons, on Loihi those that code
their currents for the chip.  Nobody else sees the currents, so they need not be written to
memory and read again at every step: a few samples of a neuron at a time are convolved and
integrated in a near cache, and what is kept of a block are numbers of spikes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from spiking_lmu.graph.convolution import CompiledConvolved, aligned

from ..feeds import Feed, FrontEndFeed
from .plan import HostPlan, Sum
from .state import HostState
from .terms import one_term_rows

Array = np.ndarray
#: A block of convolved steps may last for so many times as many steps of the simulation, so
#: that its spikes, a byte each, take no more memory than its currents would.
HELD = 8


@dataclass(frozen=True, eq=False)
class Driven:
    """Neurons, and the fed signal behind their currents.

    Neuron i gets ``start[i] + factor[i] * source[column[i]]``; all three (neurons,).
    """

    neurons: Any
    source: Any
    start: Array
    factor: Array
    column: Array
    #: Steps of the plan that are done with it.
    replaced: tuple[Any, ...]


class Currents(NamedTuple):
    """:class:`Driven` for the compiled kernel, ordered by columns of the source.

    Parameters
    ----------
    begin
        Where each column's neurons begin below, and where the last one's end.
    neuron, start, factor
        One for each neuron.
    """

    begin: Array
    neuron: Array
    start: Array
    factor: Array


class Shown(NamedTuple):
    """What is known of the convolution's outputs in a block.

    Parameters
    ----------
    partly
        Whether there are samples that nothing drives at its beginning.
    driven, rounded
        (steps, lanes), flat: 1 where something drives a sample, and where its currents may be
        rounded otherwise than by the stock simulator; else 0.
    constant
        What is added, (outputs, steps).
    """

    partly: bool
    driven: Array
    rounded: Array
    constant: Array


class State(NamedTuple):
    """Seconds of a step; and of the neurons: voltages, (neurons, lanes), flat.

    ``most`` and ``least`` are the extremes of what :mod:`.neurons` holds against the margin,
    (lanes,).
    """

    dt: float
    voltage: Array
    most: Array
    least: Array


def join_driven(plan: HostPlan, operators: Sequence[Any], fed: Mapping[Any, Feed]) -> list[Any]:
    """The plan's steps, :class:`Driven` in the place of neurons and of all that leads to them."""
    search = _Search(plan, operators, fed)
    found = {id(step): search.behind(step) for step in plan.steps if _kind(step) == "SimNeurons"}
    gone = {id(made) for driven in found.values() if driven for made in driven.replaced}
    return [found.get(id(step)) or step for step in plan.steps if id(step) not in gone]


class _Search:
    """Looks for what is between neurons and a feed."""

    def __init__(self, plan: HostPlan, operators: Sequence[Any], fed: Mapping[Any, Feed]) -> None:
        self._plan, self._fed = plan, fed
        self._sums = {step.target: step for step in plan.steps if isinstance(step, Sum)}
        self._feeders = {
            signal: step
            for step in plan.steps
            if not isinstance(step, Sum)
            for signal in step.sets
            if signal in fed
        }
        self._readers = Counter(s.base for operator in operators for s in operator.reads)

    def behind(self, operator: Any) -> Driven | None:
        """Follow the currents of a population back, as long as nobody else reads them."""
        seen = any(self._readers[signal.base] for signal in operator.state.values())
        # What else has that name is refused where neurons are made.
        known = type(operator.neurons).__module__ == "nengo.neurons" and not operator.state_extra
        if _kind(operator.neurons) != "SpikingRectifiedLinear" or seen or not known:
            return None
        signal, size, replaced = operator.J, operator.J.size, list[Any]()
        start, factor, column = np.zeros(size), np.ones(size), np.arange(size)
        while self._readers[signal] == 1 and signal not in self._fed:
            if signal in self._plan.same:
                signal = self._plan.same[signal]
                continue
            made = self._sums.get(signal)
            weights = self._one_factor(made)
            if made is None or weights is None:
                return None
            if not replaced:
                start = start + _constant(made.start)
            elif np.any(_constant(made.start)):
                return None
            signal, columns, factors = weights
            factor, column = factor * factors[column], columns[column]
            replaced.append(made)
        if self._readers[signal] != 1 or not _can_be_driven_by(self._fed[signal]):
            return None
        replaced.append(self._feeders[signal])
        return Driven(operator, signal, start, factor, column, tuple(replaced))

    def _one_factor(self, made: Sum | None) -> tuple[Any, Array, Array] | None:
        """The signal in a sum of one term, and a column of it and a factor for each row."""
        if made is None or len(made.terms) != 1:
            return None
        (term,) = made.terms
        rows = np.arange(made.target.size)
        if _kind(term) == "Copy":
            if term.src.base is not term.src or term.src_slice is not None:
                return None
            return term.src, rows, np.ones(len(rows))
        if self._plan.written(term.A) or term.X.base is not term.X:
            return None
        if _kind(term) == "ElementwiseInc":
            if term.X.shape != made.target.shape or term.A.ndim > 1:
                return None
            return term.X, rows, np.broadcast_to(term.A.initial_value, rows.shape)
        if term.A.ndim != 2 or term.A.sparse:
            return None
        one = one_term_rows(term.A.initial_value)
        if one is None:
            return None
        columns, factors = one
        return term.X, np.arange(term.X.size)[columns], factors[:, 0]


def _kind(thing: Any) -> str:
    return type(thing).__name__


def _constant(operator: Any) -> Array:
    """What it sets a signal to."""
    return np.asarray(operator.value if _kind(operator) == "Reset" else operator.src.initial_value)


def _can_be_driven_by(feed: Feed) -> bool:
    if not isinstance(feed, FrontEndFeed) or not isinstance(feed.convolved, CompiledConvolved):
        return False
    _, lasting = np.unique(feed.shown // feed.convolved.convolution.block, return_counts=True)
    return int(lasting.max()) <= HELD * feed.convolved.convolution.block


def driven_step(host: HostState, driven: Driven) -> Callable[[], None]:
    """What such a population does in one step: a block of them in the first, then show it."""
    feed = host.fed[driven.source]
    assert isinstance(feed, FrontEndFeed)
    blocks = _Blocks(host, driven, feed)
    output = host.signals[driven.neurons.output]
    height = driven.neurons.neurons.amplitude / host.dt

    from .kernels import put_out

    def step() -> None:
        number = host.step_count - 1
        host.rounded(blocks.rounded_at(number))
        put_out(blocks.counts_at(number), height, output)

    return step


class _Blocks:
    """The spikes of one block after another."""

    def __init__(self, host: HostState, driven: Driven, feed: FrontEndFeed) -> None:
        convolved = feed.convolved
        assert isinstance(convolved, CompiledConvolved)
        self._host, self._feed, self._convolved = host, feed, convolved
        self._number = feed.shown // convolved.convolution.block
        order = np.argsort(driven.column, kind="stable")
        outputs = len(convolved.convolution.scale)
        self._currents = Currents(
            np.searchsorted(driven.column[order], np.arange(outputs + 1)),
            order,
            driven.start[order],
            driven.factor[order],
        )
        lanes = self._convolved.lanes
        voltage = aligned((len(order), lanes))
        voltage[...] = driven.neurons.state["voltage"].initial_value[:, None]
        self._state = State(host.dt, voltage.ravel(), np.zeros(lanes), np.ones(lanes))
        most = np.abs(driven.start) + np.abs(driven.factor) * feed.largest[driven.column]
        # Spikes of a step are no more than what was there, at most one after the first, and what
        # is integrated; below zero a voltage makes them negative.
        sum_of_both = float(most.max()) * host.dt + max(1.0, float(voltage.max()))
        few = voltage.min() >= 0 and sum_of_both < np.iinfo(np.uint8).max
        self._kind = np.uint8 if few else np.float64
        self._begin = self._end = 0
        self._counts = np.zeros((0, len(order), lanes), self._kind)

    def rounded_at(self, step: int) -> Array | None:
        """Not zero for samples whose currents may be rounded, (1, batch); None is all."""
        if self._feed.constant is not None:
            return None
        return (self._feed.first <= self._feed.shown[step])[None, :]

    def counts_at(self, step: int) -> Array:
        """Spikes of each neuron in ``step``, (neurons, lanes); steps are asked for in order."""
        if step >= self._end:
            self._advance(step)
        return self._counts[step - self._begin]

    def _advance(self, step: int) -> None:
        from .kernels import drive

        others = np.flatnonzero(self._number[step:] != self._number[step])
        self._begin, self._end = step, step + int(others[0]) if len(others) else len(self._number)
        number, length = int(self._number[step]), self._convolved.convolution.block
        steps = self._end - self._begin
        if len(self._counts) < steps:
            self._counts = np.zeros((steps, *self._counts.shape[1:]), self._kind)
        drive(
            self._convolved.block(number),
            self._currents,
            self._shown(number * length, length),
            self._feed.shown[self._begin : self._end] - number * length,
            self._state,
            self._counts.ravel(),
        )
        margin, near = self._host.margin, self._host.near
        most, least = self._state.most[: len(near)], self._state.least[: len(near)]
        np.logical_or(near, (most > 1.0 - margin) | (least < margin), out=near)

    def _shown(self, begin: int, length: int) -> Shown:
        feed, lanes = self._feed, self._convolved.lanes
        driven = np.zeros((length, lanes))
        steps = np.arange(begin, begin + length)
        driven[:, : feed.batch] = feed.first <= steps[:, None]
        constant = np.zeros((len(self._convolved.convolution.scale), length))
        if feed.constant is not None:
            part = feed.constant[begin : begin + length].T
            constant[: len(part), : part.shape[1]] = part
        rounded = driven if feed.constant is None else np.ones_like(driven)
        partly = bool((feed.first > begin).any())
        return Shown(partly, driven.ravel(), rounded.ravel(), constant)
