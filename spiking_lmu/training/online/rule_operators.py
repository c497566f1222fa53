"""What a learning rule is while Nengo's reference runs: operators at the end of a step.

Imports Nengo: import this module only where Nengo is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spiking_lmu.compat import import_nengo
from spiking_lmu.graph.arrays import Array

import_nengo()

from nengo.builder import Operator, Signal  # noqa: E402  (after import_nengo)


class SimRule(Operator):
    """Computes ``delta``, and the state if there is one, after all else in the step."""

    def __init__(
        self,
        rule: Any,
        inputs: tuple[Signal, Signal, Signal],
        delta: Signal,
        state: Signal | None,
    ) -> None:
        super().__init__(tag=type(rule).__name__)
        self.rule, self.state = rule, state
        self.sets: list[Any] = []
        self.incs: list[Any] = []
        self.reads = list(inputs)
        self.updates = [delta] if state is None else [delta, state]

    def make_step(self, signals: Any, dt: float, rng: Any) -> Callable[[], None]:
        """The reference runs one sample: a batch of one."""
        pre, signal, weights = (_read_only(signals[one]) for one in self.reads)
        delta = signals[self.updates[0]]
        rule = self.rule
        if self.state is None:

            def change() -> None:
                delta[...] = rule.change(pre, signal, weights, dt)[0]

            return change
        state = signals[self.updates[1]]
        shown = _read_only(state)

        def step() -> None:
            changed, after = rule.step(pre, signal, weights, shown, dt)
            delta[...], state[...] = changed[0], after[0]

        return step


class SimNothing(Operator):
    """Updates a signal with what it is; without it NengoDL takes the weights for constants."""

    def __init__(self, delta: Signal) -> None:
        super().__init__(tag="Writable")
        self.sets: list[Any] = []
        self.incs: list[Any] = []
        self.reads: list[Any] = []
        self.updates = [delta]

    def make_step(self, signals: Any, dt: float, rng: Any) -> Callable[[], None]:
        """Nothing to do."""
        return lambda: None


def _read_only(values: Array) -> Array:
    """A view with a batch axis that a rule cannot write to by mistake."""
    view = values[None]
    view.flags.writeable = False
    return view
