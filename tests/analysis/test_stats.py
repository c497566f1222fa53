"""Statistics against published numbers, closed forms and one another."""

from __future__ import annotations

from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.analysis.statistics import Paired, accuracy, agreement, confusion, mcnemar
from spiking_lmu.errors import SpecError

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


def right(correct: int, n: int):
    return accuracy(np.arange(n) < correct, np.ones(n, dtype=bool))


def paired(both: int, only_a: int, only_b: int, neither: int) -> Paired:
    a = [1] * both + [1] * only_a + [0] * only_b + [0] * neither
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * neither
    return mcnemar(np.array(a, dtype=bool), np.array(b, dtype=bool))


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_of_published_examples(correct, n, low, high):
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    kept = right(correct, n)
    assert (kept.low, kept.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 300), st.data())
def test_wilson_interval_in_closed_form(n, data):
    k = data.draw(st.integers(0, n))
    p = k / n
    middle, half = p + Z**2 / (2 * n), Z * sqrt(p * (1 - p) / n + Z**2 / (4 * n * n))
    kept = right(k, n)
    assert kept.low == pytest.approx((middle - half) / (1 + Z**2 / n), abs=1e-9)
    assert kept.high == pytest.approx((middle + half) / (1 + Z**2 / n), abs=1e-9)
    assert kept.low - 1e-12 <= kept.value <= kept.high + 1e-12


def test_paired_interval_of_published_tables():
    """Counts of Bentur et al. (2009): 1, 1, 7, 12; the interval as in Fagerland, Lydersen and
    Laake, Statistics in Medicine 33 (2014) 2850-2875.  Then the worked table 36, 12, 2, 0 of
    Newcombe (1998), which has no correlation correction as its product is negative.
    """
    found = paired(1, 1, 7, 12)
    assert found.difference == pytest.approx(-100 * 6 / 21)
    assert (found.low, found.high) == (
        pytest.approx(-50.7, abs=0.05),
        pytest.approx(-2.6, abs=0.05),
    )
    assert found.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    found = paired(36, 12, 2, 0)
    assert (found.low, found.high) == (
        pytest.approx(5.69, abs=0.01),
        pytest.approx(34.04, abs=0.01),
    )


counts = st.integers(0, 60)


@settings(max_examples=60)
@given(counts, counts, counts, counts)
def test_paired_comparison_is_consistent(both, only_a, only_b, neither):
    n = both + only_a + only_b + neither
    if not n:
        return
    found = paired(both, only_a, only_b, neither)
    assert (found.only_a, found.only_b, found.n) == (only_a, only_b, n)
    assert found.low - 1e-9 <= found.difference <= found.high + 1e-9
    assert -100 - 1e-9 <= found.low <= found.high <= 100 + 1e-9
    swapped = paired(both, only_b, only_a, neither)
    assert swapped.difference == pytest.approx(-found.difference)
    assert (swapped.low, swapped.high) == (pytest.approx(-found.high), pytest.approx(-found.low))
    discordant, least = only_a + only_b, min(only_a, only_b)
    tail = sum(comb(discordant, k) for k in range(least + 1)) / 2**discordant
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


def test_paired_interval_covers_the_true_difference():
    """Of 400 simulated runs of 200 images, about 95 % have the true -4 points inside."""
    rng = np.random.default_rng(0)
    tables = rng.multinomial(200, [0.90, 0.02, 0.06, 0.02], size=400)
    inside = sum(p.low <= -4 <= p.high for p in (paired(*map(int, t)) for t in tables))
    assert 0.92 <= inside / 400 <= 0.98


def test_many_samples_do_not_overflow():
    found = paired(97_000, 500, 700, 1_800)
    assert found.difference == pytest.approx(-0.2)
    assert -0.3 < found.low < found.high < -0.1


def test_no_discordant_samples_are_no_evidence():
    found = paired(50, 0, 0, 3)
    assert (found.difference, found.p_value) == (0, 1)
    assert found.low < 0 < found.high


def test_agreement_and_confusion():
    decided, labels = np.array([0, 2, 2, 1]), np.array([0, 1, 2, 1])
    assert agreement(decided, labels) == 0.75
    assert confusion(decided, labels, 3).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert confusion(np.zeros(0, int), np.zeros(0, int), 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("compare", [accuracy, mcnemar, agreement])
@pytest.mark.parametrize("sizes", [(0, 0), (2, 3)])
def test_unlike_or_no_samples_are_refused(compare, sizes):
    with pytest.raises(SpecError, match="compare the same samples"):
        compare(np.zeros(sizes[0]), np.zeros(sizes[1]))


@pytest.mark.parametrize(("decided", "label", "what"), [(3, 0, "decision"), (0, -1, "label")])
def test_a_class_outside_is_refused(decided, label, what):
    with pytest.raises(SpecError, match=f"{what}: got class"):
        confusion(np.array([decided]), np.array([label]), 3)
