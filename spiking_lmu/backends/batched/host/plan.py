"""Sums that are made in one go, in place of a reset and one operator after another.

Nengo sets a signal, then adds to it operator by operator, and only then reads it.  So a
signal can be computed where its last summand is added, and one that is a copy of another
need not exist.  The order of the additions stays; only 0 + x becomes x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(eq=False)
class Sum:
    """A signal, the operator that sets it, and those that add to it, in their order."""

    target: Any
    start: Any
    terms: list[Any] = field(default_factory=list)


class HostPlan:
    """What to do with the operators of a simulator, in their order.

    Attributes
    ----------
    steps
        Operators, and :class:`Sum` in place of those that one is made of.
    same
        Signals that are always equal to another one, and which.
    """

    def __init__(self, operators: Sequence[Any]) -> None:
        self._setters: dict[Any, list[Any]] = {}
        self._adders: dict[Any, list[Any]] = {}
        self._updated: set[Any] = set()
        self._partly: set[Any] = set()
        self._place = {id(operator): place for place, operator in enumerate(operators)}
        self._update_places: dict[Any, list[int]] = {}
        for operator in operators:
            self._note(operator)
        sums = {signal: self._sum(signal) for signal in self._adders}
        self.same = {
            signal: source
            for signal, made in sums.items()
            if made is not None and (source := self._only_source(made)) is not None
        }
        self.steps = self._arrange(operators, {k: s for k, s in sums.items() if s is not None})

    def _note(self, operator: Any) -> None:
        for signal in operator.sets:
            self._setters.setdefault(signal.base, []).append(operator)
        for signal in operator.incs:
            self._adders.setdefault(signal.base, []).append(operator)
        self._updated |= {signal.base for signal in operator.updates}
        for signal in operator.updates:
            self._update_places.setdefault(signal.base, []).append(self._place[id(operator)])
        written = (*operator.sets, *operator.incs, *operator.updates)
        self._partly |= {signal.base for signal in written if signal.base is not signal}

    def _sum(self, signal: Any) -> Sum | None:
        setters = self._setters.get(signal, [])
        whole = signal not in self._partly and signal not in self._updated and signal.ndim == 1
        if not whole or len(setters) != 1 or not _starts(setters[0], self):
            return None
        adders = self._adders[signal]
        if not all(_adds_to_all(operator) for operator in adders) or self._too_late(adders):
            return None
        terms = [operator for operator in adders if not self._adds_zero(operator)]
        return Sum(signal, setters[0], terms)

    def _too_late(self, adders: Sequence[Any]) -> bool:
        """Whether one of them reads what is updated before the last of them runs.

        A filter shows its new value to those who read it after its update.
        """
        last = self._place[id(adders[-1])]
        return any(
            self._place[id(operator)] < update < last
            for operator in adders
            for signal in operator.reads
            for update in self._update_places.get(signal.base, [])
        )

    def written(self, signal: Any) -> bool:
        """Whether any operator writes ``signal``."""
        base = signal.base
        return base in self._setters or base in self._adders or base in self._updated

    def _adds_zero(self, operator: Any) -> bool:
        """Whether it multiplies a signal that nothing but a reset to zero ever writes."""
        if _kind(operator) not in ("DotInc", "ElementwiseInc"):
            return False
        base = operator.X.base
        setters = self._setters.get(base, [])
        only_reset = base not in self._adders and base not in self._updated
        return only_reset and len(setters) == 1 and _resets_to_zero(setters[0])

    def _only_source(self, made: Sum) -> Any:
        """The signal that a sum is a copy of, if that changes only where it is set."""
        if not _resets_to_zero(made.start) or len(made.terms) != 1:
            return None
        (term,) = made.terms
        if _kind(term) == "Copy" and term.src_slice is None:
            source = term.src
        elif _kind(term) == "ElementwiseInc" and not self.written(term.A):
            source = term.X
            if not (np.asarray(term.A.initial_value) == 1).all():
                return None
        else:
            return None
        plain = source.base is source and source.shape == made.target.shape
        if not plain or not self.written(source) or source in self._updated:
            return None
        return source

    def _arrange(self, operators: Sequence[Any], sums: dict[Any, Sum]) -> list[Any]:
        """Each sum stands where its last operator stood; copies stand nowhere."""
        of = {
            id(operator): made
            for signal, made in sums.items()
            for operator in (made.start, *self._adders[signal])
        }
        last = {id(made): self._adders[signal][-1] for signal, made in sums.items()}
        steps: list[Any] = []
        for operator in operators:
            made = of.get(id(operator))
            if made is None:
                steps.append(operator)
            elif last[id(made)] is operator and made.target not in self.same:
                steps.append(made)
        return steps


def _kind(operator: Any) -> str:
    return type(operator).__name__


def _resets_to_zero(operator: Any) -> bool:
    return _kind(operator) == "Reset" and not np.any(operator.value)


def _starts(operator: Any, plan: HostPlan) -> bool:
    """Whether it sets a whole signal to a constant."""
    if _kind(operator) == "Reset":
        return True
    whole = _kind(operator) == "Copy" and operator.dst_slice is None and operator.src_slice is None
    return whole and not plan.written(operator.src)


def _adds_to_all(operator: Any) -> bool:
    kind = _kind(operator)
    return (kind == "Copy" and operator.dst_slice is None) or kind in (
        "DotInc",
        "SparseDotInc",
        "ElementwiseInc",
    )
