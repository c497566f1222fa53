"""Intervals of accuracies and of paired differences, from counts of right and wrong decisions.

Two models that saw the same images are compared image by image (paired): only the images
that exactly one of them gets right carry information about the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log10

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array

CONFIDENCE = 0.95
#: Of the normal distribution's 97.5 % quantile.
Z_SQUARED = 1.959964**2
#: In place of it where the interval is valid at every look; the 2 was found by simulation.
Z_SQUARED_SEQUENTIAL = 2 * log(2 / (1 - CONFIDENCE)) + 2


@dataclass(frozen=True)
class Accuracy:
    """Share of right decisions with its 95 % Wilson interval, as fractions from 0 to 1.

    Parameters
    ----------
    correct, n
        Right decisions and samples.
    low, high
        Ends of the interval.
    """

    correct: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """Right decisions as a fraction of the samples."""
        return self.correct / self.n


@dataclass(frozen=True)
class Paired:
    """One model against another on the same samples.

    Parameters
    ----------
    difference
        Accuracy of the first minus that of the second, in percentage points.
    only_a, only_b
        Samples that only the first, or only the second, gets right.
    p_value
        McNemar's exact two-sided test that neither is better; None where the number of samples
        was not fixed beforehand.
    low, high
        95 % interval of the difference, in percentage points.
    n
        Samples that both have seen.
    total
        If given, the interval is valid at every look and for the difference on so many samples,
        of which these were drawn.
    """

    difference: float
    only_a: int
    only_b: int
    p_value: float | None
    low: float
    high: float
    n: int
    total: int | None = None

    @property
    def half_width(self) -> float:
        """Half the length of the interval, in percentage points."""
        return (self.high - self.low) / 2


def accuracy(decisions: Array, labels: Array) -> Accuracy:
    """How many decisions are right.

    Parameters
    ----------
    decisions, labels
        Classes, each of shape (n,).

    Raises
    ------
    SpecError
        No samples, or not one label for each decision.

    Source of the interval: E. B. Wilson, "Probable inference, the law of succession, and
    statistical inference", J. Am. Stat. Assoc. 22 (1927) 209-212.

    >>> kept = accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    >>> kept.correct, kept.n, round(kept.low, 3), round(kept.high, 3)
    (3, 4, 0.301, 0.954)
    """
    decisions, labels = _same_samples(decisions, labels, "decisions and labels")
    correct = int((decisions == labels).sum())
    low, high = _wilson(correct, labels.size)
    return Accuracy(correct, int(labels.size), low, high)


def mcnemar(a_correct: Array, b_correct: Array) -> Paired:
    """Compare two models on the same samples.

    Parameters
    ----------
    a_correct, b_correct
        Whether each decides a sample rightly, each of shape (n,), in the same order.

    Raises
    ------
    SpecError
        No samples, or not the same number of them.

    Sources: Q. McNemar, Psychometrika 12 (1947) 153-157, as an exact binomial test on the
    discordant samples.  The interval is method 10 of R. G. Newcombe, "Improved confidence
    intervals for the difference between binomial proportions based on paired data",
    Statistics in Medicine 17 (1998) 2635-2650.

    >>> a = np.array([True] * 90 + [False] * 10)
    >>> b = np.array([True] * 96 + [False] * 4)
    >>> paired = mcnemar(a, b)
    >>> paired.difference, paired.only_a, paired.only_b, paired.p_value
    (-6.0, 0, 6, 0.03125)
    """
    from scipy.stats import binomtest

    a, b, only_a, only_b = discordant(a_correct, b_correct)
    differing = only_a + only_b
    p_value = float(binomtest(only_a, differing, 0.5).pvalue) if differing else 1.0
    low, high = _newcombe(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()))
    n = int(a.size)
    difference = 100.0 * (only_a - only_b) / n
    return Paired(difference, only_a, only_b, min(p_value, 1.0), 100 * low, 100 * high, n)


def discordant(a_correct: Array, b_correct: Array) -> tuple[Array, Array, int, int]:
    """Both as booleans, and the samples that only the first and only the second gets right.

    Raises
    ------
    SpecError
        No samples, or not the same number of them.
    """
    a, b = _same_samples(a_correct, b_correct, "paired decisions")
    a, b = a.astype(bool), b.astype(bool)
    return a, b, int((a & ~b).sum()), int((~a & b).sum())


def samples_needed(paired: Paired, half_width: float) -> int:
    """About how many samples would narrow the interval to ``half_width`` points either way.

    With b and c samples of n that only one of both models gets right, one half added to each
    cell of the table (Agresti and Min, "Simple improved confidence intervals for comparing
    matched proportions", Statistics in Medicine 24 (2005) 729-740), the difference of one
    sample has the variance v = s - d², s = (b + c + 1) / (n + 2), d = (b - c) / (n + 2), and

        N = z² v / h²  with  z² = `Z_SQUARED`.

    For an interval that is valid at every look, z² = `Z_SQUARED_SEQUENTIAL`.  A width falls no
    faster than 1 / n, so that N is never less than n times the present width over the wanted
    one.  Both are for samples without end; n of ``total`` are worth n / (1 - n / total) of
    those.

    >>> samples_needed(Paired(-0.2, 2, 4, 0.69, -0.8, 0.3, 1000), 0.5)
    1100
    >>> samples_needed(Paired(-1.0, 20, 30, 0.2, -2.4, 0.4, 1000), 0.5)
    7900
    """
    if paired.n == paired.total:
        return paired.n
    s = (paired.only_a + paired.only_b + 1) / (paired.n + 2)
    d = (paired.only_a - paired.only_b) / (paired.n + 2)
    z_squared = Z_SQUARED if paired.total is None else Z_SQUARED_SEQUENTIAL
    fraction = 0.0 if paired.total is None else 1 / paired.total
    number = z_squared * (s - d * d) / (half_width / 100) ** 2
    number = max(number, paired.n / (1 - paired.n * fraction) * paired.half_width / half_width)
    number /= 1 + number * fraction
    # Two digits are more than this is known to.
    step = 10 ** max(0, int(log10(max(number, 1))) - 1)
    return int(-(-number // step) * step)


def relative_error(got: Array, wanted: Array) -> float:
    """Root of the summed squared difference over that of the squares of what is wanted.

    If all that is wanted is zero, the first alone.

    >>> relative_error(np.array([3.0, 4.5]), np.array([3.0, 4.0]))
    0.1
    """
    return float(np.linalg.norm(got - wanted) / (np.linalg.norm(wanted) or 1.0))


def agreement(a: Array, b: Array) -> float:
    """Share of samples on which two models decide alike, right or wrong.

    Raises
    ------
    SpecError
        No samples, or not the same number of them.

    >>> agreement(np.array([1, 2, 3, 3]), np.array([1, 2, 2, 3]))
    0.75
    """
    a, b = _same_samples(a, b, "decisions")
    return float((a == b).mean())


def confusion(decisions: Array, labels: Array, classes: int) -> Array:
    """Samples by true class (row) and decided class (column), shape (classes, classes).

    Raises
    ------
    SpecError
        Not one label for each decision, or a class outside 0 to ``classes`` - 1.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    decisions, labels = np.asarray(decisions), np.asarray(labels)
    if decisions.size or labels.size:
        decisions, labels = _same_samples(decisions, labels, "decisions and labels")
    for name, values in (("label", labels), ("decision", decisions)):
        outside = values[(values < 0) | (values >= classes)]
        if outside.size:
            raise SpecError(
                name,
                got=f"class {outside.flat[0]}",
                expected=f"a class from 0 to {classes - 1}",
                fix="use the data that the network was trained on",
            )
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (labels.astype(int), decisions.astype(int)), 1)
    return counts


def _same_samples(a: Array, b: Array, what: str) -> tuple[Array, Array]:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise SpecError(
            what,
            got=f"shapes {a.shape} and {b.shape}",
            expected="one value for each of the same samples, at least one",
            fix="compare the same samples",
        )
    return a, b


def _wilson(correct: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(correct, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _newcombe(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
    """Newcombe's method 10: the Wilson intervals of both, joined by their correlation."""
    n = both + only_a + only_b + neither
    a, b = (both + only_a) / n, (both + only_b) / n
    a_low, a_high = _wilson(both + only_a, n)
    b_low, b_high = _wilson(both + only_b, n)
    # Products of counts pass 2**63 from about 55,000 samples on; Python's integers do not.
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    product = float(both * neither - only_a * only_b)
    if product > 0:
        product = max(product - n / 2, 0.0)
    phi = product / margins**0.5 if margins else 0.0
    below, above = (a - a_low, b_high - b), (b - b_low, a_high - a)
    return a - b - _join(*below, phi), a - b + _join(*above, phi)


def _join(x: float, y: float, phi: float) -> float:
    # max: rounding can leave a tiny negative number when x = y and phi = 1.
    return float(max(x * x - 2 * phi * x * y + y * y, 0.0) ** 0.5)
