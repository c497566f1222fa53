"""An interval for a paired difference that may be looked at as often as one likes.

An interval for a fixed number of samples misses the truth more often than it says if one looks
again and again and stops when it pleases.  A *confidence sequence* has all its intervals right
at once with the stated probability, so that any rule may decide when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array

from .statistics import CONFIDENCE, Paired, discordant

#: Shares of the largest possible bet, among which the capital is divided equally.
BETS = (np.arange(12) + 0.5) / 12


@dataclass(frozen=True)
class AnytimeInterval:
    """A 95 % interval that is valid at every look, for the difference on all ``total`` samples.

    Parameters
    ----------
    low, high
        Ends of the interval in percentage points.
    n, total
        Samples seen, and samples that there are.
    """

    low: float
    high: float
    n: int
    total: int

    @property
    def half_width(self) -> float:
        """Half the distance of the ends, in percentage points."""
        return (self.high - self.low) / 2


def anytime_interval(differences: Array, total: int) -> AnytimeInterval:
    """The interval after the samples seen so far, drawn at random without replacement.

    Whatever the ``total`` differences are, the probability that any of the intervals of a run
    (after one sample, after two, ...) misses their mean is at most 5 %.  After all samples the
    interval is that mean.

    Parameters
    ----------
    differences
        For each sample in the order drawn, shape (n,): 1 where only the first model is right,
        -1 where only the second is, else 0.
    total
        Samples that there are, of which ``differences`` are a random choice in random order.

    Raises
    ------
    SpecError
        Other values, or more than ``total``.

    Source: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
    betting", J. R. Stat. Soc. B 86 (2024) 1-27, arXiv:2010.09686: the hedged capital confidence
    sequence for sampling without replacement, with values mapped from [-1, 1] to [0, 1].  A
    supposed mean m of all N values leaves m_t = (N m - sum of x before t) / (N - t + 1) as the
    mean of those not drawn before t.  Who bets a share f of the largest possible bet that m is
    too low holds

        K_t = prod_i (1 + f (x_i - m_i) / m_i),

    which by Ville's inequality ever reaches 2 / 0.05 with a probability of 2.5 % at most if m
    is the mean; another bets alike that m is too high.  The paper's bets that follow the
    variance start from a large one, and nearly all differences here are 0; so the capital is
    spread over fixed shares f instead (the paper's diversified Kelly bets: a mean of such
    processes is one too), which needs fewer samples.  For each f, K_t falls as m grows, so
    that the means that are left are an interval, found by bisection.

    >>> anytime_interval(np.array([1]), 1000)
    AnytimeInterval(low=-97.4, high=100.0, n=1, total=1000)
    """
    d = np.asarray(differences)
    if d.ndim != 1 or d.size > total or not np.isin(d, (-1, 0, 1)).all():
        raise SpecError(
            "paired differences",
            got=f"shape {d.shape}, values {_some(d)}",
            expected=f"at most {total} values of -1, 0 or 1",
            fix="subtract whether one model is right from whether the other is",
        )
    d = d.astype(np.int64)
    low, high = _lowest_sum(d, total), -_lowest_sum(-d, total)
    if low > high:
        # Each side has ruled out the other's mean, in less than 5 % of runs: only what is
        # certain is left.
        unseen = total - d.size
        low, high = int(d.sum()) - unseen, int(d.sum()) + unseen
    return AnytimeInterval(100 * low / total, 100 * high / total, int(d.size), total)


def sequential(a_correct: Array, b_correct: Array, total: int) -> Paired:
    """Compare two models on samples that come until the difference is known well enough.

    As `stats.mcnemar`, with the interval of `anytime_interval`.  There is no p value: McNemar's
    test is for a number of samples that is fixed beforehand.

    Raises
    ------
    SpecError
        No samples, not the same number of them, or more than ``total``.

    >>> paired = sequential(np.ones(4, bool), np.array([True, False, True, True]), 4)
    >>> paired.difference, paired.low, paired.high
    (25.0, 25.0, 25.0)
    """
    a, b, only_a, only_b = discordant(a_correct, b_correct)
    interval = anytime_interval(a.astype(int) - b.astype(int), total)
    difference = 100.0 * (only_a - only_b) / interval.n
    return Paired(difference, only_a, only_b, None, interval.low, interval.high, interval.n, total)


def _lowest_sum(d: Array, total: int) -> int:
    """The lowest sum of all ``total`` differences that was never ruled out as too low."""
    unseen = total - d.size
    lowest, highest = int(d.sum()) - unseen, int(d.sum()) + unseen
    enough = np.log(2 / (1 - CONFIDENCE))
    while lowest < highest:
        middle = (lowest + highest) // 2
        if _log_capital(d, total, middle).max(initial=0.0) >= enough:
            lowest = middle + 1
        else:
            highest = middle
    return lowest


def _log_capital(d: Array, total: int, supposed: int) -> Array:
    """Logarithm of the capital after each sample, against a sum of ``supposed``, shape (n,)."""
    # Twice the values in [0, 1], so that all sums are exact integers.
    twice = d + 1
    sum_left = supposed + total - (np.cumsum(twice) - twice)
    left = total - np.arange(d.size)
    # x_i / m_i; where nothing is left to come, x_i is 0 as well and nothing is won or lost.
    ratio = np.where(sum_left > 0, twice * left / np.maximum(sum_left, 1), 1.0)
    logs = np.cumsum(np.log1p(BETS[:, None] * (ratio - 1)), axis=1)
    most = logs.max(axis=0, initial=-np.inf)
    mean: Array = most + np.log(np.exp(logs - most).mean(axis=0))
    return mean


def _some(values: Array) -> str:
    shown = ", ".join(map(str, values.flat[:3]))
    return f"{shown}, …" if values.size > 3 else shown or "none"
