"""What is said of a difference follows from its interval, in every report alike."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.analysis.anytime import anytime_interval
from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.statistics import Paired, mcnemar, samples_needed
from spiking_lmu.report import headline, rows, to_rich, write_html, write_json, write_markdown
from spiking_lmu.report.rows import MARGIN_POINTS, SIGNIFICANT_P
from spiking_lmu.report.words import method, p_value, sentence, stopping
from spiking_lmu.runs.results import Outcome


def comparison(lost, won, n, *, until=None, total=10_000, seed=0, rate_lacks=()) -> Comparison:
    """One run that loses and wins so many of ``n`` samples, in random order."""
    ours, theirs = np.ones((2, n), dtype=bool)
    ours[:lost], theirs[lost : lost + won] = False, False
    order = np.random.default_rng(seed).permutation(n)
    outputs = [np.stack([right[order], ~right[order]], axis=1) for right in (ours, theirs)]
    has = ~np.isin(np.arange(n), rate_lacks)
    rate = Outcome("a", "relu", "rate", np.arange(n)[has], outputs[1][has], {}, {}, 1.0, 1, n)
    run = Outcome("a", "LIF", "loihi", np.arange(n), outputs[0], {}, {}, 1.0, 1, n, until=until)
    labels = np.zeros(n, dtype=int)
    return Comparison("d", total, np.arange(n), labels, {}, ("0", "1"), {"a": rate}, (run,))


def row_of(*counts, **options):
    return rows(comparison(*counts, **options))[1]


@pytest.mark.parametrize(
    ("counts", "until", "verdict", "says"),
    [
        ((20, 10, 5000), None, "kept", "no difference found (95 % interval −0.44 to +0.02"),
        ((5, 6, 1000), None, "unclear", "about 1,900 samples would narrow it to ±0.5)"),
        ((90, 90, 2000), None, "unclear", "all 10,000 would not narrow it to ±0.5)"),
        ((30, 5, 5000), None, "lost", "loses 0.50 points"),
        ((20, 10, 5000), 0.5, "kept", "no difference found (95 % interval −0.42 to +0.06"),
        ((20, 10, 5000), 0.1, "unclear", "about 8,600 samples"),
        ((60, 5, 5000), 0.5, "lost", "loses 1.10 points"),
        ((5, 60, 5000), 2.0, "gained", "gains 1.10 points"),
        ((1, 0, 10_000), 0.5, "lost", "loses 0.01 points (95 % interval −0.01 to −0.01)"),
    ],
)
def test_verdicts(counts, until, verdict, says):
    row = row_of(*counts, until=until)
    assert row.verdict == verdict
    assert says in sentence(row)


def test_an_interval_beyond_zero_is_never_no_difference():
    """1 against 7: the interval is below 0, the exact test's p is 18 / 256."""
    row = row_of(7, 1, 5000)
    assert row.paired.high < 0
    assert row.paired.p_value == pytest.approx(2 * 9 / 256)
    assert row.paired.p_value > SIGNIFICANT_P
    assert row.verdict == "unclear"
    assert "narrow" not in sentence(row)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(60, 3000),
    st.sampled_from([None, 0.2, 1.0, 5.0]),
    st.integers(0, 9),
)
def test_words_agree_with_the_interval(lost, won, n, until, seed):
    row = row_of(lost, won, n, until=until, total=3000, seed=seed)
    said, paired = sentence(row), row.paired
    margin = MARGIN_POINTS if until is None else until
    for text in (said, headline([row])):
        text = text.lower()
        if "no difference found" in text:
            assert paired.low <= 0 <= paired.high
            assert paired.half_width <= margin
        assert ("loses" in text) <= (paired.high < 0)
        assert ("gains" in text) <= (paired.low > 0)
    assert ("would" in said) == (row.verdict == "unclear" and paired.half_width > margin)
    if until is not None:
        assert "too few" not in said or paired.half_width > margin
        assert p_value(row) == "–"


def test_only_samples_before_a_gap_of_the_rate_model_count():
    row = row_of(20, 10, 500, until=1.0, rate_lacks=(300, 301, 444))
    assert row.paired.n == 300
    assert row_of(20, 10, 500, rate_lacks=(300, 301, 444)).paired.n == 497


@pytest.mark.parametrize(
    ("n", "until", "says"),
    [
        (5000, 0.5, "±0.5 points reached after 5,000 of 10,000 samples; the interval is valid"),
        (5000, 0.1, "±0.1 points not reached after 5,000 of 10,000 samples"),
        (10_000, 0.5, "all 10,000 samples, for which the difference is exact"),
        (5000, None, ""),
    ],
)
def test_how_a_run_ended(n, until, says):
    text = stopping(row_of(20, 10, n, until=until))
    assert text.startswith(says)
    assert bool(text) == bool(says)


def test_every_report_says_it_alike(tmp_path):
    made = comparison(60, 5, 1000, until=0.5)
    row = rows(made)[1]
    for write, name in ((write_html, "a.html"), (write_markdown, "a.md"), (write_json, "a.json")):
        write(made, tmp_path / name)
        text = html.unescape((tmp_path / name).read_text()).replace("\\", "")
        for said in (sentence(row), stopping(row), *method([row])):
            assert said in text
    entry = json.loads((tmp_path / "a.json").read_text())["rows"][1]
    assert (entry["paired"]["p_value"], entry["paired"]["total"]) == (None, 10_000)
    assert (entry["margin"], entry["sequential"]) == (0.5, True)
    caption = str(to_rich(made).caption)
    assert stopping(row) in caption
    assert "No difference" not in str(to_rich(made).title)
    assert all(line in caption for line in method([row]))


def test_methods_are_those_that_were_used():
    fixed, until = row_of(5, 6, 1000), row_of(5, 6, 1000, until=0.2)
    assert "Newcombe" in " ".join(method([fixed])) not in " ".join(method([until]))
    assert "every look" in " ".join(method([until]))
    assert "every look" not in " ".join(method([fixed]))
    assert "3.84 (s − d²)" in method([fixed])[-1]
    assert "9.38 (s − d²) / h² samples; of M" in method([until])[-1]
    both = " ".join(method([fixed, until]))
    assert "±0.5" in both
    assert "±0.2" in both


@pytest.mark.parametrize(("lost", "won", "n"), [(8, 4, 1000), (40, 20, 1000), (3, 3, 500)])
def test_so_many_samples_are_enough_where_shares_stay(lost, won, n):
    """In repeats of the same counts: about enough, and not many times too many."""
    first = row_of(lost, won, n).paired
    number = samples_needed(first, 0.25)
    ours, theirs = (np.tile([True], number) for _ in range(2))
    lost, won = round(lost * number / n), round(won * number / n)
    ours[:lost], theirs[lost : lost + won] = False, False
    assert 0.18 < mcnemar(ours, theirs).half_width < 0.28


@pytest.mark.parametrize(("lost", "won"), [(40, 20), (100, 60), (700, 500)])
def test_so_many_samples_are_enough_for_a_run_that_is_watched(lost, won):
    d = np.zeros(10_000, dtype=int)
    d[:lost], d[lost : lost + won] = -1, 1
    d = np.random.default_rng(1).permutation(d)
    seen, wanted = 500, 0.5 if lost < 700 else 1.5
    interval = anytime_interval(d[:seen], d.size)
    counts = Paired(
        100 * d.mean(),
        seen * won // 10_000,
        seen * lost // 10_000,
        None,
        interval.low,
        interval.high,
        seen,
        d.size,
    )
    number = samples_needed(counts, wanted)
    assert seen < number < d.size
    assert 0.7 * wanted < anytime_interval(d[:number], d.size).half_width < 1.3 * wanted
