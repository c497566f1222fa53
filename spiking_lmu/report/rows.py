"""One row for each model on each target: what came out, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spiking_lmu.analysis.anytime import sequential
from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.metrics import (
    METRIC,
    Difference,
    Metric,
    Score,
    compared,
    latency,
    metric_of,
    paired_with,
    score_of,
    shifted,
)
from spiking_lmu.analysis.statistics import (
    Accuracy,
    Paired,
    agreement,
    samples_needed,
)
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.task import Task
from spiking_lmu.runs.results import Outcome

from .text import plain

#: To find no difference takes an interval of at most so many points either way, unless another
#: width was asked for.  Having 0 inside, it rules out any difference of twice as much.
MARGIN_POINTS = 0.5
#: For metrics that are no shares: this share of the rate model's error.
MARGIN_SHARE = 0.1
SIGNIFICANT_P = 0.05
RATE = "rate"
#: What the columns of host spikes say.
HOST_SPIKES = "Host spikes: what the host sends to the chip, mostly to code numbers."


@dataclass(frozen=True)
class Row:
    """One model on one target, in numbers.

    Parameters
    ----------
    model, neuron, target
        As in the outcome; ``target`` is ``rate`` for the rate model.
    n, wanted
        Finished samples and those asked for.
    score
        By the task's metric; None without samples.
    rate_score
        The rate model's on the samples that both have, or None.
    paired
        This row against the rate model on the samples that both have, or None.
    agreement
        Share of the answers on which both decide alike, or None where answers are numbers.
    latency
        How many inputs this row's answers are late against the rate model's.
    in_time
        The same row with its answers moved so many inputs earlier; None if they are not late.
    spikes_per_sample
        Mean spikes of all populations; None for the rate model and without samples.
    host_spikes_per_sample
        Mean spikes that a host sent to a chip; None without a chip or samples, or if they were
        not counted.
    seconds, samples_per_second
        Time spent simulating, and speed (None if it was not measured).
    where
        Populations by the place where they ran: ``"chip emulator 3, host 1"``.
    problem
        Why the target could not run or stopped, or empty.
    verdict
        ``rate``; ``lost`` or ``gained`` (0 is outside the interval, and the test agrees);
        ``kept`` (0 is inside, and the interval at most ``margin`` either way); ``unclear``, or
        ``absent`` without samples.
    verified
        Samples that were identical on the backend's own simulator, spike for spike.
    margin
        Points, or units of the metric, either way to which a difference has to be known before
        it is called none.
    sequential
        Whether the run was to stop when the difference was known to ``margin``.
    needed
        About how many samples would make an interval that is too wide as narrow as that; else
        None.
    available
        Samples in the data set.
    """

    model: str
    neuron: str
    target: str
    n: int
    wanted: int
    score: Accuracy | Score | None
    rate_score: Accuracy | Score | None
    paired: Paired | Difference | None
    agreement: float | None
    spikes_per_sample: float | None
    seconds: float
    samples_per_second: float | None
    where: str
    problem: str
    verdict: str
    verified: int
    margin: float
    sequential: bool
    needed: int | None
    available: int
    latency: int = 0
    in_time: Accuracy | Score | None = None
    host_spikes_per_sample: float | None = None

    @property
    def metric(self) -> Metric:
        """What the row is judged by."""
        return METRIC["accuracy"] if self.score is None else metric_of(self.score)

    @property
    def partial(self) -> bool:
        """Whether some of the wanted samples are missing."""
        return self.n < self.wanted


def rows(comparison: Comparison) -> tuple[Row, ...]:
    """For each model its rate row and then its outcomes, in the order of the comparison.

    Raises
    ------
    SpecError
        An outcome has a sample that the comparison has not.
    """
    return tuple(row for row, _ in rows_with_outcomes(comparison))


def rows_with_outcomes(comparison: Comparison) -> tuple[tuple[Row, Outcome], ...]:
    """The rows of `rows`, each with the outcome that it describes."""
    models = dict.fromkeys([*comparison.rate, *(o.model for o in comparison.outcomes)])
    pairs = []
    for model in models:
        rate = comparison.rate.get(model)
        if rate is not None:
            pairs.append((_row(comparison, rate, None), rate))
        for outcome in comparison.outcomes:
            if outcome.model == model:
                pairs.append((_row(comparison, outcome, rate), outcome))
    return tuple(pairs)


def with_host_spikes(table_rows: Iterable[Row]) -> bool:
    """Whether a host sent spikes to a chip in one of the rows."""
    return any(row.host_spikes_per_sample is not None for row in table_rows)


def labels_of(comparison: Comparison, outcome: Outcome) -> Array:
    """The true answers of an outcome's samples, as a data set's ``y``.

    Raises
    ------
    SpecError
        The outcome has a sample that the comparison has not.
    """
    return np.asarray(comparison.labels)[places_of(comparison, outcome)]


def answers_of(comparison: Comparison, outcome: Outcome) -> tuple[Array, Array]:
    """Decisions (or outputs) and true answers of all samples, one after another, no padding."""
    said = outcome.decisions if comparison.task.classifies else outcome.outputs
    truth = labels_of(comparison, outcome)
    if comparison.task.every:
        lengths = comparison.lengths[places_of(comparison, outcome)]
        inside = np.arange(truth.shape[1]) < lengths[:, None]
        return said[inside], truth[inside]
    return said, truth


def places_of(comparison: Comparison, outcome: Outcome) -> Array:
    """Where an outcome's samples are among those of the comparison, shape (n,)."""
    place = {index: i for i, index in enumerate(comparison.indices.tolist())}
    try:
        return np.array([place[index] for index in outcome.indices.tolist()], dtype=int)
    except KeyError as error:
        raise SpecError(
            f"outcome of {plain(outcome.model)} on {plain(outcome.target)}",
            got=f"sample {error.args[0]}",
            expected="only samples that were asked for",
            fix="run the comparison again",
        ) from error


def _row(comparison: Comparison, outcome: Outcome, rate: Outcome | None) -> Row:
    n = len(outcome.indices)
    is_rate = rate is None and comparison.rate.get(outcome.model) is outcome
    kept, paired, alike, rate_kept = None, None, None, None
    late, in_time = 0, None
    if n:
        labels = labels_of(comparison, outcome)
        places = places_of(comparison, outcome)
        lengths = comparison.lengths[places] if len(comparison.lengths) else None
        kept = score_of(comparison.task, labels, outcome.outputs, lengths)
        if rate is not None:
            paired, alike, rate_kept, late = _against(comparison, outcome, rate, labels, lengths)
        if late:
            moved = shifted(outcome.outputs, late)
            in_time = score_of(comparison.task, labels, moved, lengths)
    timed = n > 0 and outcome.seconds > 0
    margin = _margin(comparison.task, rate_kept) if outcome.until is None else outcome.until
    rises = METRIC[comparison.task.metric].rises
    verdict = _verdict(n, paired, is_rate, margin, rises)
    wide = verdict == "unclear" and paired is not None and paired.half_width > margin
    needed = samples_needed(paired, margin) if wide and isinstance(paired, Paired) else None
    return Row(
        model=plain(outcome.model),
        neuron=plain(outcome.neuron),
        target=RATE if is_rate else plain(outcome.target),
        n=n,
        wanted=max(int(outcome.wanted), n),
        score=kept,
        rate_score=rate_kept,
        paired=paired,
        agreement=alike,
        spikes_per_sample=None if is_rate or not n else outcome.spikes_per_sample,
        seconds=float(outcome.seconds),
        samples_per_second=n / outcome.seconds if timed else None,
        where=plain(_where(outcome)),
        problem=plain(outcome.problem),
        verdict=verdict,
        verified=outcome.verified,
        margin=margin,
        sequential=outcome.until is not None,
        needed=needed,
        available=comparison.data_size,
        latency=late,
        in_time=in_time,
        host_spikes_per_sample=outcome.host_spikes_per_sample,
    )


def _margin(task: Task, rate: Accuracy | Score | None) -> float:
    """To what a difference has to be known: half a point, or a share of the rate model's error."""
    if METRIC[task.metric].points:
        return MARGIN_POINTS
    if rate is None:
        return MARGIN_SHARE
    return MARGIN_SHARE * abs(1 - rate.value if task.metric == "r2" else rate.value)


def _against(
    comparison: Comparison,
    outcome: Outcome,
    rate: Outcome,
    labels: Array,
    lengths: Array | None,
) -> tuple[Paired | Difference | None, float | None, Accuracy | Score | None, int]:
    """Compare with the rate model on the samples that both have; also how late the answers are."""
    task, available = comparison.task, comparison.data_size
    place = {index: i for i, index in enumerate(rate.indices.tolist())}
    shared = np.array([index in place for index in outcome.indices.tolist()], dtype=bool)
    if outcome.until is not None:
        # The first samples of a random order are a random choice; those with a gap may not be.
        shared = np.logical_and.accumulate(shared)
    if not shared.any():
        return None, None, None, 0
    theirs = rate.outputs[[place[index] for index in outcome.indices[shared].tolist()]]
    ours, labels = outcome.outputs[shared], labels[shared]
    lengths = None if lengths is None else lengths[shared]
    decided, others = ours.argmax(axis=-1), theirs.argmax(axis=-1)
    alike = None
    if task.classifies:
        inside = _inside(decided, lengths)
        alike = agreement(decided[inside], others[inside])
    paired: Paired | Difference
    if outcome.until is None:
        paired = paired_with(task, labels, ours, theirs, lengths)
    elif task.metric != "accuracy" or task.every:
        paired = compared(task, labels, ours, theirs, lengths, available)
    else:
        paired = sequential(decided == labels, others == labels, available)
    late = latency(task, ours, theirs, lengths)
    return paired, alike, score_of(task, labels, theirs, lengths), late


def _inside(decided: Array, lengths: Array | None) -> Array:
    """Which answers belong to a sample."""
    if decided.ndim == 1 or lengths is None:
        return np.ones(decided.shape, dtype=bool)
    inside: Array = np.arange(decided.shape[1]) < lengths[:, None]
    return inside


def _verdict(
    n: int, paired: Paired | Difference | None, is_rate: bool, margin: float, rises: bool = True
) -> str:
    if is_rate:
        return RATE
    if not n:
        return "absent"
    if paired is None:
        return "unclear"
    differs = paired.low > 0 or paired.high < 0
    # The exact test and the interval for a fixed number of samples can disagree at the border.
    if paired.p_value is not None and (paired.p_value < SIGNIFICANT_P) != differs:
        return "unclear"
    if differs:
        return "lost" if (paired.high < 0) == rises else "gained"
    return "kept" if paired.half_width <= margin else "unclear"


def _where(outcome: Outcome) -> str:
    places = Counter(outcome.placement.values())
    if len(places) == 1:
        return f"all on {next(iter(places))}"
    return ", ".join(f"{place} {number}" for place, number in places.items())
