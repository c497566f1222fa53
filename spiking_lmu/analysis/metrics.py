"""What answers are worth, by the metric of their task, with intervals and paired differences.

The metrics have the names and definitions of scikit-learn.  Accuracy of one decision a sample
has closed forms, in :mod:`.statistics`; everything else is resampled (:func:`scored`,
:func:`compared`), sequence by sequence: the steps of one sequence are no independent samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.task import Task

from .statistics import CONFIDENCE, Accuracy, Paired, accuracy, mcnemar, relative_error

#: Resampled data sets for an interval.
DRAWS = 2000
#: With fewer sequences than this, each is cut into pieces, which are resampled instead.
FEW, PIECES = 10, 20
#: Looks of a run that may stop early share the error probability: look k gets this much of it
#: over k², since 1 + 1/4 + 1/9 + … = π²/6.
SHARE = 6 / np.pi**2


@dataclass(frozen=True)
class Metric:
    """A measure of answers, for people.

    Parameters
    ----------
    name
        As in a task.
    label
        In tables and sentences.
    points
        Whether it is a share that is told in percent, and differences in percentage points.
    rises
        Whether more is better.
    """

    name: str
    label: str
    points: bool
    rises: bool

    @property
    def factor(self) -> float:
        """From a value to what is told."""
        return 100.0 if self.points else 1.0

    @property
    def unit(self) -> str:
        """What differences are told in."""
        return "points" if self.points else self.label


METRIC = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", True, True),
        Metric("balanced_accuracy", "balanced accuracy", True, True),
        Metric("f1", "macro F1", True, True),
        Metric("rmse", "RMSE", False, False),
        Metric("nrmse", "NRMSE", False, False),
        Metric("r2", "R²", False, True),
    )
}


@dataclass(frozen=True)
class Score:
    """A metric's value with its 95 % interval, as scikit-learn gives it (shares from 0 to 1).

    ``n`` counts sequences; ends are NaN where there is one alone.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """A metric of one model minus that of another on the same samples, with its 95 % interval.

    In percentage points for shares, else in the units of the metric.  ``n`` counts sequences.
    ``total`` is given if the interval is for a run that was to stop when it was narrow enough.
    """

    metric: str
    difference: float
    low: float
    high: float
    n: int
    total: int | None = None
    #: There is no test beside the interval.
    p_value: None = None

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


def value_of(task: Task, truth: Array, outputs: Array, lengths: Array | None = None) -> float:
    """The task's metric of outputs.

    Parameters
    ----------
    truth
        As a data set's ``y``.
    outputs
        (samples, outputs), or (samples, steps, outputs) with an answer at every step.
    lengths
        Steps of each sample, if they differ.

    Raises
    ------
    SpecError
        Shapes that do not fit.

    >>> task = Task("regression", "last", metric="rmse")
    >>> value_of(task, np.array([[0.0], [2.0]]), np.array([[3.0], [-2.0]])).__round__(4)
    3.5355
    """
    return _value(task.metric, _sums(task, truth, outputs, lengths).sum(axis=0), _classes(outputs))


def scored(task: Task, truth: Array, outputs: Array, lengths: Array | None = None) -> Score:
    """The same with a 95 % interval by the percentile bootstrap over sequences.

    Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    Where a task has fewer than :data:`FEW` sequences with answers at every step, they are cut
    into about :data:`PIECES` pieces, whose dependence is neglected.
    """
    units = _units(_sums(task, truth, outputs, lengths), task, truth, outputs, lengths)
    classes = _classes(outputs)
    value = _value(task.metric, units.sum(axis=0), classes)
    low, high = _interval(_resampled(task.metric, units, classes), 1 - CONFIDENCE)
    return Score(task.metric, value, low, high, len(truth))


def score_of(
    task: Task, truth: Array, outputs: Array, lengths: Array | None = None
) -> Accuracy | Score:
    """A model's score: in closed form where there is one (Wilson's interval), else `scored`."""
    if task.metric == "accuracy" and not task.every:
        return accuracy(outputs.argmax(axis=-1), truth)
    return scored(task, truth, outputs, lengths)


def compared(
    task: Task,
    truth: Array,
    ours: Array,
    theirs: Array,
    lengths: Array | None = None,
    total: int | None = None,
) -> Difference:
    """One model against another: paired, since both are resampled alike.

    With ``total``, for a run of so many samples that may stop early: the interval is as wide
    as it has to be if one looks after 256, 512, 768 … samples and stops at will, the error of
    5 % shared among the looks.
    """
    metric = METRIC[task.metric]
    classes = _classes(ours)
    a, b = (_units(_sums(task, truth, o, lengths), task, truth, o, lengths) for o in (ours, theirs))
    value = _value(task.metric, a.sum(axis=0), classes) - _value(
        task.metric, b.sum(axis=0), classes
    )
    error = 1 - CONFIDENCE
    if total is not None:
        error *= SHARE / max(1, -(-len(truth) // 256)) ** 2
    drawn = _resampled(task.metric, a, classes) - _resampled(task.metric, b, classes)
    low, high = _interval(drawn, error)
    if total is not None and len(truth) >= total:
        low = high = value
    factor = metric.factor
    return Difference(task.metric, factor * value, factor * low, factor * high, len(truth), total)


def paired_with(
    task: Task, truth: Array, ours: Array, theirs: Array, lengths: Array | None = None
) -> Paired | Difference:
    """One model against another on samples whose number was fixed beforehand.

    In closed form where there is one (Newcombe's interval, McNemar's test), else `compared`.
    """
    if task.metric == "accuracy" and not task.every:
        return mcnemar(ours.argmax(axis=-1) == truth, theirs.argmax(axis=-1) == truth)
    return compared(task, truth, ours, theirs, lengths)


def gained(paired: Paired | Difference) -> tuple[float, float, float]:
    """A difference and the ends of its interval, such that less than 0 is a loss.

    >>> gained(Difference("nrmse", 0.02, 0.01, 0.03, 50))
    (-0.02, -0.03, -0.01)
    """
    name = "accuracy" if isinstance(paired, Paired) else paired.metric
    if METRIC[name].rises:
        return paired.difference, paired.low, paired.high
    return -paired.difference, -paired.high, -paired.low


def right(task: Task, truth: Array, outputs: Array, lengths: Array | None = None) -> Array:
    """Which of all answers are right, one after another without padding; none of a regression."""
    if not task.classifies:
        return np.zeros(0, dtype=bool)
    correct: Array = outputs.argmax(axis=-1) == truth
    if not task.every:
        return correct
    ends = np.full(len(truth), truth.shape[1]) if lengths is None else lengths
    return correct[np.arange(truth.shape[1]) < np.asarray(ends)[:, None]]


def answers_alone(task: Task, values: Array, lengths: Array) -> Array:
    """Outputs (answers, outputs) of all samples one after another, without padding."""
    if not task.every:
        return values
    inside: Array = values[np.arange(values.shape[1]) < lengths[:, None]]
    return inside


def output_error(task: Task, ours: Array, theirs: Array) -> float:
    """RMS distance of answers (answers, outputs) from another model's, over their spread.

    Of a classification the mean of an answer's outputs plays no part, since it decides nothing; of
    a regression the spread is that of each output about its own mean.

    >>> ours, theirs = np.array([[5.0, 7.0]]), np.array([[1.0, 3.0]])
    >>> output_error(Task(), ours, theirs)
    0.0
    """
    if task.classifies:
        ours, theirs = (o - o.mean(axis=1, keepdims=True) for o in (ours, theirs))
    else:
        middle = theirs.mean(axis=0)
        ours, theirs = ours - middle, theirs - middle
    return relative_error(ours, theirs)


def latency(
    task: Task, ours: Array, theirs: Array, lengths: Array | None = None, most: int = 20
) -> int:
    """How many inputs late ``ours`` are against ``theirs``: the shift that fits best.

    Answers at every step that went through a slow filter say the right thing too late.  The
    shift is that of the smallest mean squared difference of the outputs.

    >>> theirs = np.sin(np.arange(50.0)).reshape(1, 50, 1)
    >>> latency(Task.parse("regression"), np.roll(theirs, 3, axis=1), theirs)
    3
    """
    if not task.every:
        return 0
    steps = ours.shape[1]
    ends = np.full(len(ours), steps) if lengths is None else lengths
    inside = np.arange(steps) < ends[:, None]
    most = min(most, int(ends.min()) // 2)
    errors = []
    for shift in range(most + 1):
        # All shifts are judged at the same steps: those where the longest has something to say.
        kept = inside[:, most:]
        late = ours[:, most:][kept]
        early = theirs[:, most - shift : steps - shift][kept]
        errors.append(float(((late - early) ** 2).mean()))
    return int(np.argmin(errors))


def shifted(values: Array, by: int) -> Array:
    """Outputs (samples, steps, outputs) moved ``by`` inputs earlier; the last are repeated."""
    if not by:
        return values
    return np.concatenate([values[:, by:], np.repeat(values[:, -1:], by, axis=1)], axis=1)


def metric_of(score: Accuracy | Score) -> Metric:
    """The metric that a score is in."""
    return METRIC["accuracy" if isinstance(score, Accuracy) else score.metric]


# --- sums of each sample, from which every metric follows


def _classes(outputs: Array) -> int:
    return int(outputs.shape[-1])


def _sums(task: Task, truth: Array, outputs: Array, lengths: Array | None) -> Array:
    """One row a sample: counts by true and decided class, or sums of errors and of the truth."""
    truth, outputs = np.asarray(truth), np.asarray(outputs, dtype=float)
    want = truth.shape if task.classifies else truth.shape[:-1]
    if outputs.shape[:-1] != want or (not task.classifies and outputs.shape != truth.shape):
        raise SpecError(
            f"answers for {task}",
            got=f"outputs of shape {outputs.shape} for answers of shape {truth.shape}",
            expected="one output for each answer",
            fix="compare a model with the data of its task",
        )
    steps = truth.shape[1] if task.every else 1
    ends = np.full(len(truth), steps) if lengths is None or not task.every else lengths
    inside = np.arange(steps) < np.asarray(ends)[:, None]
    classes = outputs.shape[-1]
    if task.classifies:
        y = truth.reshape(len(truth), steps)
        decided = outputs.argmax(axis=-1).reshape(len(truth), steps)
        sums = np.zeros((len(truth), classes * classes))
        rows = np.repeat(np.arange(len(truth)), steps)[inside.ravel()]
        np.add.at(sums, (rows, (y * classes + decided)[inside]), 1)
        return sums
    y = truth.reshape(len(truth), steps, classes)
    # Sums of squares of values far from zero would lose digits.
    middle = y[inside].mean(axis=0)
    error = np.where(inside[..., None], outputs.reshape(y.shape) - y, 0.0)
    centred = np.where(inside[..., None], y - middle, 0.0)
    parts = [inside.sum(axis=1)[:, None], (error**2).sum(axis=1)]
    parts += [centred.sum(axis=1), (centred**2).sum(axis=1)]
    joined: Array = np.concatenate(parts, axis=1).astype(float)
    return joined


def _units(sums: Array, task: Task, truth: Array, outputs: Array, lengths: Array | None) -> Array:
    """Rows to resample: those of the sequences, or of their pieces if there are few."""
    if not task.every or len(truth) >= FEW:
        return sums
    ends = np.full(len(truth), truth.shape[1]) if lengths is None else lengths
    size = max(1, int(np.sum(ends)) // PIECES)
    rows = []
    middle = np.concatenate([y[:n] for y, n in zip(truth, ends, strict=True)]).mean(axis=0)
    for y, o, n in zip(truth, outputs, ends, strict=True):
        for start in range(0, int(n), size):
            piece = slice(start, min(start + size, int(n)))
            part = y[None, piece] if task.classifies else y[None, piece] - middle
            given = o[None, piece] if task.classifies else o[None, piece] - middle
            rows.append(_piece_sums(task, part, given))
    return np.concatenate(rows)


def _piece_sums(task: Task, truth: Array, outputs: Array) -> Array:
    """`_sums` of one piece, whose values have been centred already."""
    if task.classifies:
        return _sums(task, truth, outputs, None)
    error = outputs - truth
    parts = [np.full((1, 1), truth.shape[1]), (error**2).sum(axis=1)]
    parts += [truth.sum(axis=1), (truth**2).sum(axis=1)]
    sums: Array = np.concatenate(parts, axis=1).astype(float)
    return sums


def _value(metric: str, sums: Array, classes: int) -> float:
    return float(_values(metric, sums[None], classes)[0])


def _values(metric: str, sums: Array, classes: int) -> Array:
    """The metric for each row of summed sums."""
    if metric in ("accuracy", "balanced_accuracy", "f1"):
        counts = sums.reshape(-1, classes, classes)
        right = np.diagonal(counts, axis1=1, axis2=2)
        true, decided = counts.sum(axis=2), counts.sum(axis=1)
        if metric == "accuracy":
            return np.asarray(right.sum(axis=1) / true.sum(axis=1))
        if metric == "balanced_accuracy":
            return _mean(right, true, true > 0)
        return _mean(2 * right, true + decided, true + decided > 0)
    n, error = sums[:, :1], sums[:, 1 : 1 + classes]
    total = sums[:, 1 + 2 * classes :] - sums[:, 1 + classes : 1 + 2 * classes] ** 2 / n
    total = np.maximum(total, 0.0)
    if metric == "rmse":
        return np.asarray(np.sqrt(error / n).mean(axis=1))
    # scikit-learn: a truth that never changes has R² 1 if it is met, else 0.
    still = total <= 1e-24 * n
    ratio = np.where(still, (error > 0).astype(float), error / np.where(still, 1.0, total))
    if metric == "r2":
        return np.asarray((1.0 - ratio).mean(axis=1))
    return np.asarray(np.sqrt(ratio).mean(axis=1))


def _mean(part: Array, whole: Array, counted: Array) -> Array:
    shares = np.where(counted, part / np.where(counted, whole, 1), 0.0)
    return np.asarray(shares.sum(axis=1) / np.maximum(counted.sum(axis=1), 1))


def _resampled(metric: str, units: Array, classes: int) -> Array:
    """The metric on :data:`DRAWS` data sets drawn from the units, always the same draws."""
    if len(units) < 2:
        return np.full(1, np.nan)
    rng = np.random.default_rng(0)
    found: Sequence[Array] = []
    for _ in range(DRAWS // 100):
        weights = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=100)
        found = [*found, _values(metric, weights @ units, classes)]
    return np.concatenate(found)


def _interval(drawn: Array, error: float) -> tuple[float, float]:
    if np.isnan(drawn).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(drawn, (error / 2, 1 - error / 2))
    return float(low), float(high)


def signed(difference: float) -> str:
    """A difference to one decimal; what rounds to nothing has no minus.

    >>> signed(-0.04), signed(-0.06), signed(12)
    ('+0.0', '-0.1', '+12.0')
    """
    return f"{round(difference, 1) + 0.0:+.1f}"
