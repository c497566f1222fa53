"""Names and numbers as text; the same in the terminal, Markdown and HTML."""

from __future__ import annotations

import math

from spiking_lmu.analysis.metrics import METRIC, Difference, Metric, Score, metric_of
from spiking_lmu.analysis.statistics import Accuracy, Paired

NONE = "–"


def plain(text: object) -> str:
    """One printable line: control characters could drive a terminal.

    >>> plain("a\\x1b[31mb\\nc")
    'a�[31mb c'
    """
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def share(score: Accuracy | Score) -> str:
    """A score without sign or interval: ``'97.5'`` percent, ``'0.0481'``."""
    return amount(score.value, metric_of(score), score.n)


def amount(number: float, metric: Metric, n: int) -> str:
    """A value of a metric as finely as it deserves: percent, or three digits.

    >>> amount(0.975, METRIC["accuracy"], 200), amount(0.04812, METRIC["nrmse"], 32)
    ('97.5', '0.0481')
    """
    return fixed(100 * number, n) if metric.points else f"{number:.3g}"


def column_heads(metric: Metric) -> tuple[str, str]:
    """Of the columns with the metric and with its difference to the rate model."""
    label = metric.label[0].upper() + metric.label[1:]
    return (f"{label} %", "Points to rate") if metric.points else (label, f"{label} to rate")


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
    ends = ends.format(*(fixed(100 * end, score.n) for end in (score.low, score.high)))
    return f"{fixed(100 * score.value, score.n)} % {ends}".strip()


def points(paired: Paired | Difference | None) -> str:
    """A difference with its interval: ``'−1.5 (−4.3 to +1.1)'``."""
    if paired is None:
        return NONE
    ends = (paired.difference, paired.low, paired.high)
    middle, low, high = (signed(end, paired.n, in_points(paired)) for end in ends)
    return middle if math.isnan(paired.low) else f"{middle} ({low} to {high})"


def in_points(paired: Paired | Difference) -> bool:
    """Whether a difference is one of shares, in percentage points."""
    return isinstance(paired, Paired) or METRIC[paired.metric].points


def signed(value: float, n: int, points: bool = True) -> str:
    """Points with a sign, as finely as ``n`` samples deserve; or three digits of another unit.

    >>> signed(-1.5, 200), signed(0.004, 10_000), signed(0.00123, 10, points=False)
    ('−1.5', '0.00', '+0.00123')
    """
    text = fixed(abs(value), n) if points else f"{abs(value):.3g}"
    if not float(text):
        return text
    return ("+" if value > 0 else "−") + text


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


def fixed(value: float, n: int) -> str:
    """One sample in 2000 is 0.05 %: from there on a second digit means something."""
    return f"{value:.{2 if n >= 2000 else 1}f}"
