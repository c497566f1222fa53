"""Somebody who is told of progress and writes it down."""

from __future__ import annotations


class Told:
    """A ``Progress``: what began as (label, done, total, unit), and each advance's label."""

    def __init__(self) -> None:
        self.began: list[tuple[str, int, int | None, str]] = []
        self.steps: list[str] = []

    def start(self, label: str, done: int, total: int | None, unit: str = "samples") -> None:
        self.began.append((label, done, total, unit))

    def advance(self, amount: int, label: str = "") -> None:
        self.steps += [label] * amount
