"""The confidence sequence: covered at every look, exact at the end, and against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import log
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.analysis.anytime import BETS, anytime_interval, sequential
from spiking_lmu.errors import SpecError


def population(lost: int, won: int, total: int) -> np.ndarray:
    d = np.zeros(total, dtype=int)
    d[:lost], d[lost : lost + won] = -1, 1
    return d


def for_one_look(differences, total):
    """The normal interval for a number of samples that is fixed beforehand."""
    half = 196 * differences.std() / differences.size**0.5
    middle = 100 * differences.mean()
    return SimpleNamespace(low=middle - half, high=middle + half)


def ever_missed(interval_of, lost, won, total, looks, runs, seed=0) -> float:
    """Share of random orders in which any look's interval misses the true difference."""
    rng = np.random.default_rng(seed)
    truth, missed = 100 * (won - lost) / total, 0
    for _ in range(runs):
        order = rng.permutation(population(lost, won, total))
        intervals = (interval_of(order[:n], total) for n in looks)
        missed += any(not i.low - 1e-9 <= truth <= i.high + 1e-9 for i in intervals)
    return missed / runs


#: 5 % and three standard errors of a share of 400 runs.
MOST = 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


@pytest.mark.parametrize(("lost", "won"), [(90, 60), (4, 2), (0, 30)])
@pytest.mark.slow
def test_the_truth_is_hardly_ever_missed_at_any_look(lost, won):
    assert ever_missed(anytime_interval, lost, won, 300, (60, 180, 290), 400) <= MOST


def test_an_interval_for_one_look_would_be_noticed():
    """Once it misses no more often than it says; looked at a hundred times, it does."""
    once, often = [500], range(20, 1020, 10)
    assert ever_missed(for_one_look, 900, 600, 3000, once, 400) <= MOST
    assert ever_missed(for_one_look, 900, 600, 3000, often, 400) > 2 * MOST


def test_a_bet_that_is_too_good_would_be_noticed(monkeypatch):
    """A threshold of 1 / 0.5 in place of 1 / 0.05."""
    monkeypatch.setattr("spiking_lmu.analysis.anytime.CONFIDENCE", 0.5)
    assert ever_missed(anytime_interval, 90, 60, 300, (60, 180, 290), 100) > MOST


def by_fractions(d: list[int], total: int) -> tuple[int, int]:
    """Lowest and highest sum not ruled out at any look: all of them tried, in exact fractions."""
    shares = [Fraction(2 * k + 1, 24) for k in range(12)]
    assert [float(share) for share in shares] == pytest.approx(BETS)
    left = []
    for supposed in range(-total, total + 1):
        too_low, too_high = [Fraction(1)] * 12, [Fraction(1)] * 12
        mean, out = Fraction(supposed + total, 2 * total), False
        for t, value in enumerate(d):
            x = Fraction(value + 1, 2)
            # The mean of what is not drawn yet, if the sum were as supposed.
            m = (mean * total - sum((Fraction(v + 1, 2) for v in d[:t]), Fraction(0))) / (total - t)
            if not 0 <= m <= 1:
                out = True
                break
            if m > 0:
                too_low = [k * (1 + f * (x - m) / m) for k, f in zip(too_low, shares, strict=True)]
            if m < 1:
                too_high = [
                    k * (1 - f * (x - m) / (1 - m)) for k, f in zip(too_high, shares, strict=True)
                ]
            if max(sum(too_low), sum(too_high)) / 12 >= 40:
                out = True
                break
        unseen = total - len(d)
        if not out and abs(supposed - sum(d)) <= unseen:
            left.append(supposed)
    assert left == list(range(left[0], left[-1] + 1))
    return left[0], left[-1]


@pytest.mark.parametrize(
    "d", [[1] * 9, [0] * 20, [-1, 1] * 7, [0, 0, -1] * 7, [1, 1, 1, 0, 1, 1, 1, -1, 1, 1, 1, 1]]
)
def test_it_is_what_exact_fractions_give_for_every_mean(d):
    low, high = by_fractions(d, 24)
    found = anytime_interval(np.array(d), 24)
    assert (found.low, found.high) == pytest.approx((100 * low / 24, 100 * high / 24))


def test_one_sample_in_closed_form():
    """After a win, half the capital on average is at odds of 1 / m: m is ruled out up to 1 / 79."""
    total = 1000
    lowest = next(s for s in range(1 - total, total) if 0.5 + total / (s + total) < 40)
    assert anytime_interval(np.array([1]), total).low == 100 * lowest / total == -97.4


def test_no_differences_rule_out_what_would_have_shown():
    """Each of n equal samples multiplies the best bet's capital by 1 + f d at most, d the
    difference: it takes ln(40) / d samples at least, and a few for not knowing the bet.
    """
    high = anytime_interval(np.zeros(1000, int), 10**6).high / 100
    assert log(40) / 1000 <= high <= 1.5 * log(40) / 1000


signs = st.lists(st.sampled_from([-1, 0, 0, 1]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(signs, st.integers(0, 60), st.integers(0, 60))
def test_intervals_are_nested_symmetric_and_possible(d, unseen, fewer):
    total, seen = len(d) + unseen, max(0, len(d) - fewer)
    whole, part = anytime_interval(np.array(d), total), anytime_interval(np.array(d[:seen]), total)
    assert part.low <= whole.low <= whole.high <= part.high
    swapped = anytime_interval(-np.array(d), total)
    assert (swapped.low, swapped.high) == (-whole.high, -whole.low)
    assert whole.low >= 100 * (sum(d) - unseen) / total - 1e-9
    assert whole.high <= 100 * (sum(d) + unseen) / total + 1e-9
    if not unseen:
        assert whole.low == whole.high == pytest.approx(100 * np.mean(d))


def test_of_ten_thousand_a_fifth_is_enough_for_half_a_point():
    """0.4 % lost and 0.2 % won; for a fixed number, 1.96² s / h² = 922 samples would do."""
    rng = np.random.default_rng(0)
    order = rng.permutation(population(40, 20, 10_000))
    widths = [anytime_interval(order[:n], 10_000).half_width for n in (922, 1300, 2600, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0.5 > widths[2]
    assert widths[3] == 0


def test_bounds_that_cross_leave_what_is_certain(monkeypatch):
    """Capital that is enough against every mean, from both sides."""
    monkeypatch.setattr(
        "spiking_lmu.analysis.anytime._log_capital", lambda d, *_: np.full(d.size, 99.0)
    )
    found = anytime_interval(np.array([1, 0]), 8)
    assert (found.low, found.high) == (100 * (1 - 6) / 8, 100 * (1 + 6) / 8)


def test_pairs_carry_the_counts_and_no_p_value():
    ours, theirs = np.array([1, 1, 0, 1, 0]), np.array([1, 0, 1, 0, 0])
    pair = sequential(ours, theirs, 50)
    assert (pair.only_a, pair.only_b, pair.n, pair.total) == (2, 1, 5, 50)
    assert (pair.difference, pair.p_value) == (20, None)
    interval = anytime_interval(ours - theirs, 50)
    assert (pair.low, pair.high) == (interval.low, interval.high)


@pytest.mark.parametrize(
    ("d", "total"), [([2], 9), ([0.5], 9), ([1, 0], 1), ([[1]], 9), ([np.nan], 9)]
)
def test_other_values_or_more_than_all_are_refused(d, total):
    with pytest.raises(SpecError, match="paired differences"):
        anytime_interval(np.array(d), total)
