"""What rows say, in sentences; the same in the terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable

from spiking_lmu.analysis.metrics import DRAWS, Difference
from spiking_lmu.analysis.statistics import Z_SQUARED, Z_SQUARED_SEQUENTIAL

from .rows import Row
from .text import NONE, amount, column_heads, in_points, points, share, signed, value


def late(row: Row) -> str:
    """How late the answers are, and what they are worth if one waits for them; or empty."""
    if not row.latency or row.in_time is None:
        return ""
    inputs = "1 input" if row.latency == 1 else f"{row.latency} inputs"
    return (
        f"answers come {inputs} late; moved earlier by as much, "
        f"{row.metric.label} is {value(row.in_time)}"
    )


def difference(row: Row) -> str:
    """Points to the rate model, see `points`."""
    return points(row.paired)


def p_value(row: Row) -> str:
    """The p value to two digits, or ``<0.001``."""
    if row.paired is None or row.paired.p_value is None:
        return NONE
    p = row.paired.p_value
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def sentence(row: Row) -> str:
    """One row's verdict in plain words, with its numbers."""
    if row.verdict == "absent":
        return f"did not run: {row.problem or 'no sample was finished'}"
    assert row.score is not None
    if row.paired is None or row.rate_score is None:
        return f"{_told(row, share(row.score))}; no rate model to compare with"
    metric, whole = row.metric, in_points(row.paired)
    size = signed(row.paired.difference, row.n, whole).lstrip("+−")
    low, high = (signed(end, row.n, whole) for end in (row.paired.low, row.paired.high))
    unit = " points" if whole else ""
    loses, gains = ("loses", "gains") if whole else ("is worse by", "is better by")
    words = {
        "lost": f"{loses} {size}{unit} (95 % interval {low} to {high})",
        "gained": f"{gains} {size}{unit} (95 % interval {low} to {high})",
        "kept": f"no difference found (95 % interval {low} to {high}{unit})",
        "unclear": f"too few samples to tell (anything from {low} to {high}{unit} fits"
        f"{_more(row)})",
    }[row.verdict]
    here = amount(row.rate_score.value + row.paired.difference / metric.factor, metric, row.n)
    partly = f" on {row.n:,} of {row.wanted:,} samples" if row.partial else ""
    theirs = share(row.rate_score) + (" %" if metric.points else "")
    return f"{_told(row, here)} where the rate model has {theirs}{partly}: {words}"


def _told(row: Row, number: str) -> str:
    """``97.5 % right``, ``balanced accuracy 91.2 %``, ``NRMSE 0.0481``."""
    if row.metric.name == "accuracy":
        return f"{number} % right"
    return f"{row.metric.label} {number}{' %' if row.metric.points else ''}"


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
        f"±{row.margin:g} {row.metric.unit} {reached}reached after {row.n:,} of "
        f"{row.available:,} samples; the interval is valid at every look"
    )


def method(table_rows: Iterable[Row]) -> list[str]:
    """What the differences, their intervals and the verdicts are, in sentences."""
    spiking = [row for row in table_rows if row.verdict != "rate"]
    other = next((row for row in spiking if isinstance(row.paired, Difference)), None)
    if other is not None:
        return _method_by_resampling(other)
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


def _method_by_resampling(row: Row) -> list[str]:
    """The same where the metric has no closed form."""
    label = row.metric.label
    lines = [
        f"{column_heads(row.metric)[1]}: {label} minus the rate model's on the same samples.",
        f"Intervals: percentile bootstrap over samples, {DRAWS:,} draws, both models drawn alike.",
    ]
    if row.sequential:
        lines.append("A run may stop early: its error of 5 % is shared among the looks.")
    lines.append(
        "“No difference found”: 0 is in the interval, which is at most "
        f"±{row.margin:.3g} wide"
        + ("." if row.metric.points or row.sequential else ", a tenth of the rate model's error.")
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
    metric = spiking[0].metric
    verbs = (("lost", "loses", "lose"), ("gained", "gains", "gain"))
    if not metric.points:
        verbs = (
            ("lost", "is worse by", "are worse by"),
            ("gained", "is better by", "are better by"),
        )
    clauses = [
        f"{_who(part, spiking)} {several if _plural(part, spiking) else one} "
        f"{_points(part)} {metric.unit}"
        for verdict, one, several in verbs
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
    whole = part[0].metric.points
    ends = [signed(size, n, whole).lstrip("+") for size, n in (found[0], found[-1])]
    texts = list(dict.fromkeys(ends))
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


def _plural(part: list[Row], spiking: list[Row]) -> bool:
    """Whether `_who` names several runs of one target: "both runs", not the target itself."""
    siblings = [row for row in spiking if row.target == part[0].target]
    return len(part) > 1 and (len(part) == len(spiking) or len(part) < len(siblings))
