"""Accuracy against latency against energy: the points of one run, and which of them to take.

A decision can be read at any step after the last input, through any filter.  Each pair of
*settle steps* and *readout filter* is a point: so many decisions kept, so many steps, so many
spikes.  :mod:`spiking_lmu.analysis.tradeoff_run` gets all points from one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spiking_lmu.errors import SpecError

from .statistics import Paired

CHOICES = ("best", "knee", "fastest")
#: What ``fastest`` may lose against the best, in percentage points.
FASTEST_MAY_LOSE = 0.5


@dataclass(frozen=True)
class Point:
    """What a model keeps and costs with one timing.

    Parameters
    ----------
    settle_steps, readout_tau
        The timing; steps, and seconds.
    steps
        Simulation steps of a sample in all: its latency.
    correct
        Right decisions.
    paired
        Against the rate model on the same samples.
    relative_error
        Of the outputs against the rate model's: root of the summed squared difference, over
        that of the summed squares, over all samples and outputs.
    spikes
        Mean number in a sample, up to its last step.
    joules
        Estimate for one sample by device (:func:`spiking_lmu.analysis.energy.estimate`).
    """

    settle_steps: int
    readout_tau: float
    steps: int
    correct: int
    paired: Paired
    relative_error: float
    spikes: float
    joules: dict[str, float | None]

    @property
    def accuracy(self) -> float:
        """Right decisions as a fraction of the samples."""
        return self.correct / self.paired.n

    @property
    def lost(self) -> int:
        """Right decisions of the rate model minus those of this point; negative is a gain."""
        return self.paired.only_b - self.paired.only_a

    @property
    def disagreements(self) -> int:
        """Samples that exactly one of the two decides rightly."""
        return self.paired.only_a + self.paired.only_b


@dataclass(frozen=True)
class Tradeoff:
    """All points of one model on one target.

    Parameters
    ----------
    target
        Its name.
    samples
        How many were run.
    rate_correct
        Right decisions of the rate model.
    points
        By settle steps, then by filter.
    """

    target: str
    samples: int
    rate_correct: int
    points: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-safe."""
        return asdict(self)


def pick(points: Sequence[Point], how: str = "best") -> Point:
    """Take one of ``points``, which are all of the same samples.

    ``best``
        The fewest decisions lost against the rate model; of equals, the smallest relative
        error, then the fewest steps.
    ``fastest``
        The fewest steps among the points that lose at most half a percentage point more than
        the best; of equals, the one that is best by the rule above.
    ``knee``
        Where more steps begin to pay less: the point of the Pareto front of steps (few) and
        accuracy (high) that is farthest above the chord from the fastest point to the front's
        highest accuracy at the slowest of ``points``, both axes scaled to 0..1 (V. Satopää et
        al., "Finding a 'Kneedle' in a haystack", ICDCS Workshops 2011; the front, which stays
        level after its last point, takes the place of their smoothed curve).  Of equals, the
        one with the fewest steps.

    Raises
    ------
    SpecError
        No points, or another word.
    """
    if not points or how not in CHOICES:
        raise SpecError(
            "choice of a point",
            got=repr(how) if points else "no points",
            expected="one of " + ", ".join(CHOICES) + " from at least one point",
            fix="pass pick=best",
        )
    if how == "knee":
        return _knee(pareto_front(points), max(point.steps for point in points))
    best = min(points, key=_by_loss)
    if how == "best":
        return best
    allowed = best.lost + FASTEST_MAY_LOSE / 100.0 * best.paired.n
    near = [point for point in points if point.lost <= allowed]
    return min(near, key=lambda point: (point.steps, *_by_loss(point)))


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Points that keep more decisions than all faster ones, from fast to slow.

    Of those with as many steps, the best counts alone.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.steps, *_by_loss(point))):
        if not front or point.correct > front[-1].correct:
            front.append(point)
    return front


def _by_loss(point: Point) -> tuple[int, float, int]:
    return point.lost, point.relative_error, point.steps


def _knee(front: list[Point], slowest: int) -> Point:
    first, last = front[0], front[-1]
    if first is last:
        return first

    def above_chord(point: Point) -> float:
        """Height over the chord; the distance from it is this divided by the root of two."""
        x = (point.steps - first.steps) / (slowest - first.steps)
        y = (point.correct - first.correct) / (last.correct - first.correct)
        return y - x

    return max(front, key=above_chord)
