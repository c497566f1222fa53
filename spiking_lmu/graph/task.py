"""What is asked of a network, and the scale on which it was asked.

A :class:`Task` says whether an answer is a class or numbers, and whether there is one answer
a sequence or one an input.  A :class:`Scaling` brings the channels of the data to the range
that the network was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spiking_lmu.errors import SpecError

Array = np.ndarray

KINDS = ("classification", "regression")
WHEN = ("last", "every")
#: Measures by kind, the usual one of classes first; named and defined as in scikit-learn.
METRICS = {
    "classification": ("accuracy", "balanced_accuracy", "f1"),
    "regression": ("nrmse", "rmse", "r2"),
}
#: Limits on what a file may hold.
MAX_NAMES, MAX_NAME = 100_000, 200


@dataclass(frozen=True)
class Task:
    """A class or numbers, once a sequence or at every input.

    Parameters
    ----------
    kind
        ``classification`` (the answer is the largest output) or ``regression`` (the answer is
        the outputs).
    when
        ``last``: one answer a sequence, the output after its last input.  ``every``: an answer
        an input, the output at the end of its presentation.
    names
        Names of the classes, or of the numbers in one answer; empty if they are not known.
    metric
        What the answers are judged by, one of :data:`METRICS`.  Unless given, ``accuracy`` for
        one class a sequence, ``balanced_accuracy`` for a class at every input (in a stream the
        classes are seldom equally frequent), and ``nrmse`` for numbers.

    Raises
    ------
    SpecError
        A kind, a time or a metric that does not exist; names twice.

    >>> print(Task())
    classification at the last step
    >>> Task("classification", "every", names=("rest", "walk")).metric
    'balanced_accuracy'
    """

    kind: str = "classification"
    when: str = "last"
    names: tuple[str, ...] = ()
    metric: str = ""

    def __post_init__(self) -> None:
        _require_choice("task kind", self.kind, KINDS)
        _require_choice("task when", self.when, WHEN)
        names = tuple(self.names)
        object.__setattr__(self, "names", names)
        whole = all(
            isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()
            for name in names
        )
        if not whole or len(names) > MAX_NAMES or len(set(names)) != len(names):
            raise SpecError(
                "task names",
                got=f"{len(names)} names, some empty, too long, twice or with control characters",
                expected=f"different names of at most {MAX_NAME} printable characters",
                fix="give each class or output a name of its own",
            )
        if not self.metric:
            object.__setattr__(self, "metric", self._usual_metric())
        _require_choice(f"metric for {self.kind}", self.metric, METRICS[self.kind])

    def _usual_metric(self) -> str:
        if self.kind == "regression":
            return "nrmse"
        return "accuracy" if self.when == "last" else "balanced_accuracy"

    @classmethod
    def parse(cls, text: str) -> Task:
        """A task in one or two words: ``"classification"``, ``"regression every"``.

        Alone, ``classification`` is at the last step and ``regression`` at every step: so do
        ``.slmu`` files of format version 1 mean them.

        >>> Task.parse("regression").when, Task.parse("regression last").when
        ('every', 'last')
        """
        kind, *when = text.split() or [""]
        _require_choice("task", kind, KINDS)
        if len(when) > 1:
            _require_choice("task when", " ".join(when), WHEN)
        usual = "last" if kind == "classification" else "every"
        return cls(kind, when[0] if when else usual)

    def __str__(self) -> str:
        return f"{self.kind} at {'the last' if self.when == 'last' else 'every'} step"

    @property
    def classifies(self) -> bool:
        """Whether an answer is a class."""
        return self.kind == "classification"

    @property
    def every(self) -> bool:
        """Whether there is an answer at every input."""
        return self.when == "every"

    @property
    def identity(self) -> str:
        """The part that decides what a model answers, as one or two words for digests."""
        plain = ("classification", "last"), ("regression", "every")
        return self.kind if (self.kind, self.when) in plain else f"{self.kind} {self.when}"


@dataclass(frozen=True)
class Scaling:
    """Offset and range of each channel: the network sees ``(x - offset) / range``.

    Parameters
    ----------
    offset, range
        One number a channel, in the units of the data; ranges are positive.

    Raises
    ------
    SpecError
        Not one finite number each a channel, or a range that is not positive.

    >>> scaling = Scaling.measured(np.array([[[1.0], [3.0]]]))
    >>> scaling.apply(np.array([[[2.0], [3.0], [5.0]]])).ravel().tolist()
    [0.0, 1.0, 3.0]
    """

    offset: tuple[float, ...]
    range: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("offset", "range"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))
        fits = len(self.offset) == len(self.range) > 0
        if not (fits and np.isfinite([*self.offset, *self.range]).all() and min(self.range) > 0):
            raise SpecError(
                "scaling",
                got=f"offsets {_some(self.offset)}, ranges {_some(self.range)}",
                expected="a finite offset and a positive range for each channel",
                fix="measure it on training data: Scaling.measured(x)",
            )

    @classmethod
    def measured(cls, x: Array, lengths: Array | None = None) -> Scaling:
        """From training inputs: the mean of each channel, and the largest distance from it.

        All training inputs come to lie between -1 and 1, and 0 is the mean.  A channel that
        never changes gets the range 1.

        Parameters
        ----------
        x
            Shape (samples, steps, channels); never test data.  Read in parts, so that a file
            mapped into memory may be larger than memory.
        lengths
            Steps of each sample, shape (samples,), if they differ; the rest is padding.
        """
        total, count = np.zeros(x.shape[2]), 0
        lowest, highest = np.full(x.shape[2], np.inf), np.full(x.shape[2], -np.inf)
        for values in _parts(x, lengths):
            total += values.sum(axis=0)
            count += len(values)
            lowest = np.minimum(lowest, values.min(axis=0))
            highest = np.maximum(highest, values.max(axis=0))
        offset = total / max(count, 1)
        distance = np.maximum(highest - offset, offset - lowest)
        # Rounding of the mean alone leaves a tiny distance in a channel that never changes.
        still = distance <= 1e-12 * np.maximum(np.abs(offset), 1e-300)
        return cls(tuple(offset), tuple(np.where(still, 1.0, distance)))

    def apply(self, x: Array) -> Array:
        """Scale inputs (..., channels); same shape and, of floats, the same dtype."""
        kind = x.dtype if x.dtype.kind == "f" else np.dtype(float)
        scaled: Array = ((x - np.asarray(self.offset)) / np.asarray(self.range)).astype(kind)
        return scaled


def _parts(x: Array, lengths: Array | None) -> Iterable[Array]:
    """All true inputs as (inputs, channels), float64, some 10 million values at a time."""
    rows = max(1, 10_000_000 // max(1, x.shape[1] * x.shape[2]))
    for start in range(0, len(x), rows):
        part = np.asarray(x[start : start + rows], dtype=float)
        if lengths is None:
            yield part.reshape(-1, x.shape[2])
        else:
            yield part[np.arange(x.shape[1]) < lengths[start : start + rows, None]]


def _require_choice(what: str, got: object, known: tuple[str, ...]) -> None:
    if got not in known:
        raise SpecError(
            what, got=repr(got), expected="one of " + ", ".join(known), fix="choose one of these"
        )


def _some(values: tuple[float, ...]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:3])
    return f"{shown}, …" if len(values) > 3 else shown or "none"
