"""The host part of a nengo-loihi simulator, for a batch of samples.

It runs the operators of the built ``nengo.Simulator`` in that simulator's own order
(``nengo/simulator.py``, ``_step_order``), so sums are added in the same order.

Source: nengo 4.1.0, ``builder/operator.py``, ``builder/neurons.py``, ``builder/processes.py``,
``builder/transforms.py`` (``make_step`` of each operator).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ..feeds import Feed, as_feed
from ..unsupported import unsupported
from .driven import Driven, driven_step, join_driven
from .neurons import neuron_step
from .plan import HostPlan, Sum
from .processes import fed_step, process_step
from .state import HostState, Signals
from .terms import Term, convolved, copied, scaled, sum_step, weighted

Array = np.ndarray
Step = Callable[[], None]


class BatchedHost(HostState):
    """One host simulator with the batch on the last axis of every signal.

    Parameters
    ----------
    simulator
        A ``nengo.Simulator`` that nengo-loihi built (``host_pre`` or ``host``).
    batch
        Number of samples.
    feeds
        For input Nodes, what they output: (batch, steps, size), or a :class:`Feed`.
    strict
        One matrix-vector product a sample, as the stock simulator does, in place of one
        matrix product a batch: slower, and equal to the last bit.
    compiled
        Run neurons with numba.
    margin
        How far a voltage has to be from its threshold, in units of the threshold, for
        rounding not to matter.
    """

    def __init__(
        self,
        simulator: Any,
        batch: int,
        feeds: Mapping[Any, Array | Feed],
        *,
        strict: bool = False,
        compiled: bool = False,
        margin: float = 0.0,
    ) -> None:
        self.model = simulator.model
        for probe in self.model.probes:
            if probe.sample_every is not None:
                raise unsupported(f"probe {probe}", "sample_every", "one sample every step")
        operators = simulator._step_order
        plan = HostPlan([] if strict else operators)
        fed = {
            self.model.sig[node]["out"]: as_feed(data)
            for node, data in feeds.items()
            if node in self.model.sig
        }
        written = {signal for operator in operators for signal in operator.sets}
        for signal in fed:
            if signal not in written:
                raise unsupported(
                    f"feed of {signal.name}", "a Node with a constant output", "a Node's function"
                )
        super().__init__(
            Signals(operators, batch, plan.same),
            float(self.model.dt),
            fed,
            strict=strict,
            compiled=compiled,
            margin=margin,
        )
        parts = operators if strict else plan.steps
        if compiled and not strict:
            parts = join_driven(plan, operators, fed)
        made = (make_step(self, part) for part in parts)
        self._probed: dict[Any, Array] = {}
        self._steps: list[Step] = [step for step in made if step is not None]

    def step(self) -> None:
        """Run every operator once."""
        self.begin_step()
        for step in self._steps:
            step()

    def probed(self, probe: Any) -> Array:
        """What ``probe`` sees after the last step, (size, batch); valid until the next."""
        if probe not in self._probed:
            values = self.signals[self.model.sig[probe]["in"]]
            # What nothing writes has one column for all samples.
            self._probed[probe] = np.broadcast_to(values, (*values.shape[:-1], self.batch))
        return self._probed[probe]


def make_step(host: HostState, operator: Any) -> Step | None:
    """What ``operator`` or :class:`Sum` does in one step, or None if it does nothing.

    Raises
    ------
    Unsupported
        The operator cannot be run for a batch with the same results.
    """
    if isinstance(operator, Driven):
        return driven_step(host, operator)
    if isinstance(operator, Sum):
        return sum_step(host, operator, [_term(host, part) for part in operator.terms])
    maker = _makers().get(type(operator))
    if maker is None:
        raise unsupported("host operator", str(operator), "a part without learning or noise")
    return maker(host, operator)


def _nothing(host: HostState, operator: Any) -> None:
    """``TimeUpdate`` is done by the host, ``SimProbe`` only marks a signal as read."""


def _reset(host: HostState, operator: Any) -> Step:
    target, value = host.signals[operator.dst], operator.value

    def step() -> None:
        target[...] = value

    return step


def _copy(host: HostState, operator: Any) -> Step:
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


def _increment(host: HostState, operator: Any) -> Step:
    target, term = host.signals[operator.Y], _term(host, operator)
    return lambda: term.add(target)


def _term(host: HostState, operator: Any) -> Term:
    kind = type(operator).__name__
    if kind == "Copy":
        return copied(host, operator)
    if kind in ("ConvInc", "ConvTransposeInc"):
        return convolved(host, operator)
    return scaled(host, operator) if kind == "ElementwiseInc" else weighted(host, operator)


def _function(host: HostState, operator: Any) -> Step:
    if operator.output in host.fed:
        return fed_step(host, operator.output)
    raise unsupported(
        f"Python function {getattr(operator.fn, '__name__', operator.fn)!r} on the host",
        "a function that may keep state between samples",
        "its Node in feeds, or a nengo.Process",
    )


def _process(host: HostState, operator: Any) -> Step | None:
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
