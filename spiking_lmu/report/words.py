"""Numbers and verdicts as text; the same words in the terminal, Markdown and HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spiking_lmu.analysis.metrics import Score, metric_of
from spiking_lmu.analysis.statistics import Z_SQUARED, Z_SQUARED_SEQUENTIAL, Accuracy, Paired

if TYPE_CHECKING:
    from .table import Row

NONE = "–"


def plain(text: object) -> str:
    """One printable line: control characters could drive a terminal.

    >>> plain("a\\x1b[31mb\\nc")
    'a�[31mb c'
    """
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def percent(value: Accuracy | None) -> str:
    """Accuracy with its interval.

    >>> percent(Accuracy(195, 200, 0.9428, 0.9893))
    '97.5 % (94.3–98.9)'
    """
    if value is None:
        return NONE
    low, high = (_fixed(100 * end, value.n) for end in (value.low, value.high))
    return f"{share(value)} % ({low}–{high})"


def share(value: Accuracy) -> str:
    """Accuracy in percent without sign or interval: ``'97.5'``."""
    return _fixed(100 * value.value, value.n)


def said(score: Accuracy | Score) -> str:
    """A score on a test set, in a sentence.

    >>> said(Accuracy(195, 200, 0.9428, 0.9893))
    'accuracy on 200 test samples: 97.5 % (94.3–98.9)'
    """
    metric = metric_of(score)
    return f"{metric.label} on {score.n:,} test samples: {value(score)}"


def value(score: Accuracy | Score | None) -> str:
    """A score with its interval, in percent if it is a share.

    >>> value(Score("nrmse", 0.04812, 0.0451, 0.0523, 32))
    '0.0481 (0.0451–0.0523)'
    """
    if score is None:
        return NONE
    metric = metric_of(score)
    ends = "" if math.isnan(score.low) else "({}–{})"
    if not metric.points:
        ends = ends.format(f"{score.low:.3g}", f"{score.high:.3g}")
        return f"{score.value:.3g} {ends}".strip()
    ends = ends.format(*(_fixed(100 * end, score.n) for end in (score.low, score.high)))
    return f"{_fixed(100 * score.value, score.n)} % {ends}".strip()


def difference(row: Row) -> str:
    """Points to the rate model, see `points`."""
    return points(row.paired)


def points(paired: Paired | None) -> str:
    """Points with their interval: ``'−1.5 (−4.3 to +1.1)'``."""
    if paired is None:
        return NONE
    low, high = signed(paired.low, paired.n), signed(paired.high, paired.n)
    return f"{signed(paired.difference, paired.n)} ({low} to {high})"


def signed(value: float, n: int) -> str:
    """Points with a sign, as finely as ``n`` samples deserve.

    >>> signed(-1.5, 200), signed(0.004, 10_000)
    ('−1.5', '0.00')
    """
    text = _fixed(abs(value), n)
    if not float(text):
        return text
    return ("+" if value > 0 else "−") + text


def p_value(row: Row) -> str:
    """The p value to two digits, or ``<0.001``."""
    if row.paired is None or row.paired.p_value is None:
        return NONE
    p = row.paired.p_value
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def count(value: float | None) -> str:
    """A mean count: ``'12,345'``."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def speed(per_second: float | None) -> str:
    """Samples in a second to two digits at least.

    >>> speed(0.0341), speed(2.34), speed(512.3)
    ('0.034', '2.3', '512')
    """
    if per_second is None:
        return NONE
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(0.42), duration(95), duration(7300)
    ('0.42 s', '1 min 35 s', '2 h 1 min')
    """
    if not math.isfinite(seconds):
        return NONE
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def sentence(row: Row) -> str:
    """One row's verdict in plain words, with its numbers."""
    if row.verdict == "absent":
        return f"did not run: {row.problem or 'no sample was finished'}"
    assert row.accuracy is not None
    if row.paired is None or row.rate_accuracy is None:
        return f"{share(row.accuracy)} % right; no rate model to compare with"
    size = f"{_fixed(abs(row.paired.difference), row.n)} points"
    low, high = signed(row.paired.low, row.n), signed(row.paired.high, row.n)
    words = {
        "lost": f"loses {size} (95 % interval {low} to {high})",
        "gained": f"gains {size} (95 % interval {low} to {high})",
        "kept": f"no difference found (95 % interval {low} to {high} points)",
        "unclear": f"too few samples to tell (anything from {low} to {high} points fits"
        f"{_more(row)})",
    }[row.verdict]
    here = _fixed(100 * (row.rate_accuracy.value + row.paired.difference / 100), row.n)
    partly = f" on {row.n:,} of {row.wanted:,} samples" if row.partial else ""
    return f"{here} % right where the rate model has {share(row.rate_accuracy)} %{partly}: {words}"


def _more(row: Row) -> str:
    if row.needed is None:
        return ""
    if row.needed > row.available:
        return f"; all {row.available:,} would not narrow it to ±{row.margin:g}"
    return f"; about {row.needed:,} samples would narrow it to ±{row.margin:g}"


def stopping(row: Row) -> str:
    """How a run ended that was to stop when the difference was known; empty for others."""
    if not row.sequential or row.paired is None:
        return ""
    if row.n == row.available:
        return f"all {row.n:,} samples, for which the difference is exact"
    reached = "" if row.paired.half_width <= row.margin else "not "
    return (
        f"±{row.margin:g} points {reached}reached after {row.n:,} of {row.available:,} samples; "
        "the interval is valid at every look"
    )


def method(table_rows: Iterable[Row]) -> list[str]:
    """What the differences, their intervals and the verdicts are, in sentences."""
    spiking = [row for row in table_rows if row.verdict != "rate"]
    fixed = [row for row in spiking if not row.sequential]
    until = [row for row in spiking if row.sequential]
    lines = ["Points to rate: accuracy minus the rate model's on the same samples (paired)."]
    if fixed:
        lines += [
            "Interval of the points: Newcombe's for paired proportions.",
            "p: McNemar's exact test, not corrected for the number of rows.",
        ]
    if until:
        lines.append(
            "Interval of the points: a betting confidence sequence (Waudby-Smith and Ramdas), "
            "valid at every look and wherever a run stops, for the difference on all "
            f"{until[0].available:,} samples. No p: it would need a number of samples fixed "
            "beforehand."
        )
    for margin in dict.fromkeys(row.margin for row in spiking):
        lines.append(
            "“No difference found”: 0 is in the interval, which is at most "
            f"±{margin:g} points wide."
        )
    if any(row.needed for row in spiking):
        size = f"{Z_SQUARED_SEQUENTIAL if until else Z_SQUARED:.3g} (s − d²) / h²"
        limited = "; of M samples in all, N / (1 + N / M)" if until else ""
        lines.append(
            f"For ±h it takes about N = {size} samples{limited}, if exactly one model is right "
            "on a share s of them and their difference is d."
        )
    return lines


def verification(row: Row) -> str:
    """How many samples were checked on the backend's own simulator; empty if none."""
    if not row.verified:
        return ""
    samples = "1 sample" if row.verified == 1 else f"{row.verified:,} samples"
    return f"{samples} identical to the stock engine, spike for spike"


def headline(table_rows: Iterable[Row]) -> str:
    """What the comparison found, in one sentence without intervals."""
    spiking = [row for row in table_rows if row.verdict != "rate"]
    if not spiking:
        return "No spiking run to compare yet."
    group = {v: [r for r in spiking if r.verdict == v] for v in {r.verdict for r in spiking}}
    clauses = [
        f"{_who(part, spiking)} {verb} {_points(part)} points"
        for verdict, verb in (("lost", "loses"), ("gained", "gains"))
        for part in _by_target(group.get(verdict, []))
    ]
    if kept := group.get("kept"):
        clauses.append(f"no difference found on {_who(kept, spiking)}")
    if unclear := group.get("unclear"):
        clauses.append(f"too few samples to tell for {_who(unclear, spiking)}")
    if absent := group.get("absent"):
        clauses.append(f"{_who(absent, spiking)} did not run")
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}."


def _by_target(part: list[Row]) -> list[list[Row]]:
    targets = dict.fromkeys(row.target for row in part)
    return [[row for row in part if row.target == target] for target in targets]


def _points(part: list[Row]) -> str:
    assert all(row.paired is not None for row in part)
    found = sorted((abs(row.paired.difference), row.n) for row in part if row.paired)
    texts = list(dict.fromkeys(_fixed(points, n) for points, n in (found[0], found[-1])))
    return " to ".join(texts)


def _who(part: list[Row], spiking: list[Row]) -> str:
    """Name runs as briefly as is unambiguous: by target, with the neuron, or the model."""
    if len(part) == len(spiking) > 1:
        return "both runs" if len(part) == 2 else f"all {len(part)} runs"
    # Targets with all their runs come last: "a (LIF) and b" is not "b and a (LIF)".
    names, whole = [], []
    for target_rows in _by_target(part):
        target = target_rows[0].target
        siblings = [row for row in spiking if row.target == target]
        if len(siblings) == len(target_rows):
            whole.append(target)
            continue
        unique = len({row.neuron for row in siblings}) == len(siblings)
        names += [f"{target} ({row.neuron if unique else row.model})" for row in target_rows]
    names += whole
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _fixed(value: float, n: int) -> str:
    """One sample in 2000 is 0.05 %: from there on a second digit means something."""
    return f"{value:.{2 if n >= 2000 else 1}f}"
