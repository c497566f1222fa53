"""What can be said of many numbers in few: statistics, and a histogram one line high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 10
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Statistics:
    """Of the finite numbers of an array; None where there is none.

    Parameters
    ----------
    smallest, mean, std, largest
        ``std`` is the population's standard deviation.
    non_finite
        How many numbers are NaN or infinite.
    counts
        How many finite numbers lie in each of :data:`BINS` equal bins from the smallest to the
        largest; where all are the same, in the middle one.
    """

    smallest: float | None
    mean: float | None
    std: float | None
    largest: float | None
    non_finite: int
    counts: tuple[int, ...]

    @property
    def bars(self) -> str:
        """The histogram as text, blank where nothing is.

        >>> statistics(np.array([0.0, 1.0, 1.0])).bars
        '▄        █'
        """
        most = max(self.counts, default=0)
        return "".join(_BARS[-(-8 * n // most) - 1] if n else " " for n in self.counts)


def statistics(values: np.ndarray) -> Statistics:
    """Statistics of an array of any shape, safe for the largest and smallest of numbers.

    >>> s = statistics(np.array([1.0, 3.0, np.nan]))
    >>> s.smallest, s.mean, s.std, s.largest, s.non_finite
    (1.0, 2.0, 1.0, 3.0, 1)
    """
    numbers = np.asarray(values, dtype=float).ravel()
    finite = numbers[np.isfinite(numbers)]
    non_finite = numbers.size - finite.size
    if not finite.size:
        return Statistics(None, None, None, None, non_finite, (0,) * BINS)
    # In units of the largest, so that sums and squares neither overflow nor vanish.
    unit = float(np.abs(finite).max()) or 1.0
    scaled = finite / unit
    low, high = float(scaled.min()), float(scaled.max())
    if low == high:
        bins = np.full(finite.shape, BINS // 2)
    else:
        share = (scaled - low) / (high - low)
        bins = np.minimum((share * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    return Statistics(
        float(finite.min()),
        float(np.clip(scaled.mean(), low, high)) * unit,
        0.0 if low == high else float(scaled.std()) * unit,
        float(finite.max()),
        non_finite,
        tuple(int(n) for n in counts),
    )
