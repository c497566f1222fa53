"""Step functions for Nengo's operators on arrays with a batch axis.

Source: nengo 4.1.0, ``builder/operator.py``, ``builder/neurons.py``, ``builder/processes.py``,
``builder/transforms.py`` (``make_step`` of each operator).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .host_neurons import neuron_step
from .host_processes import fed_step, process_step
from .host_sums import Sum, sum_step
from .host_terms import Term, convolved, copied, scaled, weighted
from .unsupported import unsupported

if TYPE_CHECKING:
    from .host import BatchedHost

Array = np.ndarray
Step = Callable[[], None]


def make_step(host: BatchedHost, operator: Any) -> Step | None:
    """What ``operator`` or :class:`Sum` does in one step, or None if it does nothing.

    Raises
    ------
    Unsupported
        The operator cannot be run for a batch with the same results.
    """
    if isinstance(operator, Sum):
        return sum_step(host, operator, [_term(host, part) for part in operator.terms])
    maker = _makers().get(type(operator))
    if maker is None:
        raise unsupported("host operator", str(operator), "a part without learning or noise")
    return maker(host, operator)


def _nothing(host: BatchedHost, operator: Any) -> None:
    """``TimeUpdate`` is done by the host, ``SimProbe`` only marks a signal as read."""


def _reset(host: BatchedHost, operator: Any) -> Step:
    target, value = host.signals[operator.dst], operator.value

    def step() -> None:
        target[...] = value

    return step


def _copy(host: BatchedHost, operator: Any) -> Step:
    target, source = host.signals[operator.dst], host.signals[operator.src]
    to = Ellipsis if operator.dst_slice is None else operator.dst_slice
    of = Ellipsis if operator.src_slice is None else operator.src_slice
    if not operator.inc:

        def step() -> None:
            target[to] = source[of]

        return step
    if to is Ellipsis:
        term = copied(host, operator)
        return lambda: term.add(target)
    rows = np.asarray(to)

    def step_at_rows() -> None:
        # Adds once for each time that a row is named, in the order of the rows.
        np.add.at(target, rows, source[of])

    return step_at_rows


def _increment(host: BatchedHost, operator: Any) -> Step:
    target, term = host.signals[operator.Y], _term(host, operator)
    return lambda: term.add(target)


def _term(host: BatchedHost, operator: Any) -> Term:
    kind = type(operator).__name__
    if kind == "Copy":
        return copied(host, operator)
    if kind in ("ConvInc", "ConvTransposeInc"):
        return convolved(host, operator)
    return scaled(host, operator) if kind == "ElementwiseInc" else weighted(host, operator)


def _function(host: BatchedHost, operator: Any) -> Step:
    if operator.output in host.fed:
        return fed_step(host, operator.output)
    raise unsupported(
        f"Python function {getattr(operator.fn, '__name__', operator.fn)!r} on the host",
        "a function that may keep state between samples",
        "its Node in feeds, or a nengo.Process",
    )


def _process(host: BatchedHost, operator: Any) -> Step | None:
    if operator.output in host.fed:
        return fed_step(host, operator.output)
    return process_step(host, operator)


@cache
def _makers() -> dict[type, Callable[[Any, Any], Step | None]]:
    """What makes the step of each type of operator.  Nengo is imported by now."""
    from nengo.builder import neurons, operator, probe, processes, transforms

    return {
        operator.TimeUpdate: _nothing,
        operator.Reset: _reset,
        operator.Copy: _copy,
        operator.ElementwiseInc: _increment,
        operator.DotInc: _increment,
        operator.SparseDotInc: _increment,
        transforms.ConvInc: _increment,
        transforms.ConvTransposeInc: _increment,
        operator.SimPyFunc: _function,
        probe.SimProbe: _nothing,
        neurons.SimNeurons: neuron_step,
        processes.SimProcess: _process,
    }
