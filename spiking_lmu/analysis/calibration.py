"""Which firing rates, readout filter and settle steps suit one target: the search.

Cheapest evaluations first.  The target's response curves alone, without dynamics, *screen* many
rates: all populations together, then one after another (coordinate search).  The best few, and
the rate that would have been taken without a search, then run on the target itself.  That
starts with few images; twice as many for the better half, until one or two have seen them all
(successive halving: Jamieson & Talwalkar, "Non-stochastic best arm identification and
hyperparameter optimization", AISTATS 2016).  Each run gives all settle steps and filters.

Of two results the one that loses fewer decisions against the rate model is better.  But a
difference of no more than one standard error, the root of the number of samples that exactly one
of the two decides rightly, plus one, is noise; there the smaller relative error of the outputs
decides.  Decisions gained are as good as none lost: to repeat the rate model is all that a
conversion can do but by chance, and among many timings some gain by chance.

What a rate gives is told by an `Evaluator`, so that the search knows nothing of targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Protocol, TypeVar

from spiking_lmu.errors import SpecError

from .tradeoff import Point, pick

#: Firing rates that are tried, in Hz: half an octave apart.
RATES = (22.0, 31.0, 44.0, 62.0, 88.0, 125.0, 177.0, 250.0, 354.0, 500.0, 707.0, 1000.0, 1414.0)
CRITERION = (
    "decisions lost against the rate model on training images, none if some are gained; where "
    "the difference is within one standard error, relative error of the outputs"
)
Rates = dict[str, float]
Report = Callable[[str, int | None], None]
Compared = TypeVar("Compared", bound="Result")


class Result(Protocol):
    """What candidates are compared by; a `Point` is one."""

    @property
    def lost(self) -> int:
        """Right decisions of the rate model minus one's own."""

    @property
    def disagreements(self) -> int:
        """Samples that exactly one of the two decides rightly."""

    @property
    def relative_error(self) -> float:
        """Of the outputs against the rate model's."""


@dataclass(frozen=True)
class Screened:
    """Rates, in Hz by population, and what their response curves alone lose."""

    rates: Rates
    lost: int
    disagreements: int
    relative_error: float


@dataclass(frozen=True)
class Trial:
    """Rates that ran on the target, on so many samples, and all points that this gave."""

    rates: Rates
    samples: int
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The point that the search goes by."""
        return ranked(self.points)[0]

    @property
    def lost(self) -> int:
        """Of the best point."""
        return self.best.lost

    @property
    def disagreements(self) -> int:
        """Of the best point."""
        return self.best.disagreements

    @property
    def relative_error(self) -> float:
        """Of the best point."""
        return self.best.relative_error


class Evaluator(Protocol):
    """Tells what rates give."""

    def screen(self, rates: Rates) -> Screened:
        """From response curves alone, on all samples."""

    def run(self, rates: Rates, samples: int) -> tuple[Point, ...]:
        """All timings, on the first so many samples, on the target."""


@dataclass(frozen=True)
class Plan:
    """How much to try.

    Parameters
    ----------
    populations
        Those whose rates are to be found; may be empty.
    usual
        The rate in Hz without a search; always among those that run.
    samples
        So many images in the last round.
    rates
        Tried for every population, in Hz.
    finalists
        How many rates start on the target.
    first
        Images of the first round, if there are several rounds.
    sweeps
        At most so often is every population's rate searched by itself.
    """

    populations: tuple[str, ...]
    usual: float
    samples: int = 256
    rates: tuple[float, ...] = RATES
    finalists: int = 6
    first: int = 64
    sweeps: int = 2

    def __post_init__(self) -> None:
        for name in ("samples", "first", "finalists"):
            if getattr(self, name) < 1:
                raise SpecError(
                    f"calibration {name}",
                    got=str(getattr(self, name)),
                    expected="at least 1",
                    fix="pass calibration_samples=256",
                )


@dataclass(frozen=True)
class Calibration:
    """What was chosen, and all that was tried.

    Parameters
    ----------
    rates
        In Hz by population.
    point
        The timing, with what it lost on the images of the last round.
    screened
        In the order in which they were tried.
    rounds
        Of runs on the target, each best first.
    """

    rates: Rates
    point: Point
    screened: tuple[Screened, ...]
    rounds: tuple[tuple[Trial, ...], ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Everything, compact and JSON-safe: a point is a row of the named columns."""
        return {
            "criterion": CRITERION,
            "chosen": {"rates": self.rates, **_row(self.point)},
            "screened": [
                {"rates": s.rates, "lost": s.lost, "relative_error": round(s.relative_error, 5)}
                for s in self.screened
            ],
            "columns": list(_row(self.point)),
            "rounds": [
                {
                    "samples": trials[0].samples,
                    "trials": [
                        {"rates": t.rates, "points": [list(_row(p).values()) for p in t.points]}
                        for t in trials
                    ],
                }
                for trials in self.rounds
            ],
        }


def search(
    plan: Plan,
    evaluator: Evaluator,
    how: str = "best",
    report: Report = lambda _text, _samples: None,
) -> Calibration:
    """Find rates and a timing.

    Parameters
    ----------
    plan, evaluator
        How much to try, and who tells what it gives.
    how
        Which point of the last round is taken: see :func:`spiking_lmu.analysis.tradeoff.pick`;
        for ``best``, the best by this module's criterion.
    report
        Told in a few words what is about to be evaluated, and on how many samples the target
        will run for it (None: it will not).
    """
    screened = _screen(plan, evaluator, report)
    usual = dict.fromkeys(plan.populations, plan.usual)
    candidates = [s.rates for s in ranked(screened)[: plan.finalists]]
    if usual not in candidates:
        candidates = [*candidates[: max(1, plan.finalists - 1)], usual]
    rounds = []
    samples = plan.samples if len(candidates) == 1 else min(plan.first, plan.samples)
    while True:
        trials = []
        for number, rates in enumerate(candidates):
            report(f"on the target, rates {number + 1} of {len(candidates)}", samples)
            trials.append(Trial(rates, samples, tuple(evaluator.run(rates, samples))))
        trials = ranked(trials)
        rounds.append(tuple(trials))
        if samples >= plan.samples:
            break
        candidates = [t.rates for t in trials[: max(2, (len(trials) + 1) // 2)]]
        samples = min(2 * samples, plan.samples)
    points = [point for trial in rounds[-1] for point in trial.points]
    point = ranked(points)[0] if how == "best" else pick(points, how)
    rates = next(t.rates for t in rounds[-1] if any(p is point for p in t.points))
    return Calibration(rates, point, tuple(screened), tuple(rounds))


def ranked(results: Sequence[Compared]) -> list[Compared]:
    """Best first, by the criterion of this module."""
    if not results:
        return []
    best = min(results, key=lambda result: (_lost(result), result.relative_error))
    noise = sqrt(best.disagreements + 1)

    def key(result: Compared) -> tuple[int, float]:
        more = _lost(result) - _lost(best)
        return more if more > noise else 0, result.relative_error

    return sorted(results, key=key)


def _lost(result: Result) -> int:
    return max(result.lost, 0)


def _screen(plan: Plan, evaluator: Evaluator, report: Report) -> list[Screened]:
    """Response curves: all populations together, then each by itself from the best so far."""
    known: dict[tuple[float, ...], Screened] = {}

    def screen(rates: Rates) -> Screened:
        key = tuple(rates.values())
        if key not in known:
            named = ", ".join(f"{name} {rate:g} Hz" for name, rate in rates.items())
            report(f"response curve: {named}", None)
            known[key] = evaluator.screen(rates)
        return known[key]

    names = plan.populations
    if not names:
        return []
    best = ranked([screen(dict.fromkeys(names, rate)) for rate in plan.rates])[0]
    for _ in range(plan.sweeps if len(names) > 1 else 0):
        before = best
        for name in names:
            line = [screen({**best.rates, name: rate}) for rate in plan.rates]
            best = ranked([best, *line])[0]
        if best is before:
            break
    return list(known.values())


def _row(point: Point) -> dict[str, float | int]:
    return {
        "settle_steps": point.settle_steps,
        "readout_tau": point.readout_tau,
        "correct": point.correct,
        "lost": point.lost,
        "relative_error": round(point.relative_error, 5),
        "spikes": round(point.spikes, 1),
    }
