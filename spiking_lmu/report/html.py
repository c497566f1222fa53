"""The comparison as one self-contained HTML page: no scripts, nothing fetched."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.metrics import METRIC
from spiking_lmu.analysis.statistics import confusion
from spiking_lmu.files.writing import write_atomically
from spiking_lmu.runs.results import Outcome, Trace

from .explanation import as_sections
from .json_report import json_safe
from .plots import accuracy_plot, confusion_plot, picture
from .rows import HOST_SPIKES, RATE, Row, answers_of, rows_with_outcomes, with_host_spikes
from .series import residual_plot, series_plot
from .templates import render
from .text import NONE, column_heads
from .traces import MAX_POPULATIONS, trace_plot
from .words import headline, method

#: Traced samples that are drawn; each takes one figure for each run.
MAX_SAMPLES = 3
Pair = tuple[Row, Outcome]


def write_html(comparison: Comparison, path: str | Path) -> None:
    """Write the page.

    Raises
    ------
    FileError
        The folder is missing or cannot be written.
    SpecError
        As `report.rows`.
    """
    page = as_html(comparison)
    with write_atomically(path) as file:
        file.write(page.encode("utf-8", "replace"))


def as_html(comparison: Comparison) -> str:
    """The page as text; every name and value is escaped by the template."""
    from markupsafe import Markup

    pairs = rows_with_outcomes(comparison)
    table_rows = [row for row, _ in pairs]
    ran = any(row.n for row in table_rows)
    return render(
        "template.html.j2",
        comparison=comparison,
        n=len(comparison.indices),
        rows=table_rows,
        models=list(dict.fromkeys(row.model for row in table_rows)),
        headline=headline(table_rows),
        method=" ".join(method(table_rows)),
        dash=NONE,
        wide=Markup(accuracy_plot(table_rows, "wide")) if ran else "",
        narrow=Markup(accuracy_plot(table_rows, "narrow", narrow=True)) if ran else "",
        explanation=as_sections(comparison.explanations, comparison.tradeoffs, comparison.costs),
        missing=comparison.missing,
        remarks=comparison.remarks,
        matrices=_matrices(comparison, pairs),
        residuals=_residuals(comparison, pairs),
        metric=METRIC[comparison.task.metric],
        sent=with_host_spikes(table_rows),
        host_spikes=HOST_SPIKES,
        heads=column_heads(METRIC[comparison.task.metric]),
        images=bool(comparison.images),
        samples=_samples(comparison, pairs),
        undrawn=max(0, len(_traced(pairs)) - MAX_SAMPLES),
        placements=_placements(pairs),
        provenance=_pretty(comparison.provenance),
        options=[(row, _pretty(outcome.record)) for row, outcome in pairs],
    )


def first_sample(comparison: Comparison) -> list[str]:
    """Spikes and answers of the first traced sample, on each target: elements for `as_file`."""
    pairs = rows_with_outcomes(comparison)
    found = _samples(comparison, pairs, samples=1)
    return [str(figure["svg"]) for sample in found for figure in sample["figures"]]


def _matrices(comparison: Comparison, pairs: tuple[Pair, ...]) -> list[dict[str, Any]]:
    from markupsafe import Markup

    if not comparison.task.classifies:
        return []
    counts = {
        i: confusion(*answers_of(comparison, outcome), len(comparison.classes))
        for i, (row, outcome) in enumerate(pairs)
        if row.n
    }
    most = max((int((c - np.diag(np.diag(c))).max()) for c in counts.values()), default=0)
    return [
        {
            "row": pairs[i][0],
            "wrong": int(c.sum() - np.trace(c)),
            "answers": int(c.sum()),
            "svg": Markup(
                confusion_plot(c, comparison.classes, most, f"confusion{i}", _who(pairs[i][0]))
            ),
        }
        for i, c in counts.items()
    ]


def _residuals(comparison: Comparison, pairs: tuple[Pair, ...]) -> list[dict[str, Any]]:
    """What was said against the truth, for each run of a regression."""
    from markupsafe import Markup

    if comparison.task.classifies:
        return []
    found = []
    for i, (row, outcome) in enumerate(pairs):
        if row.n:
            said, truth = answers_of(comparison, outcome)
            svg = residual_plot(truth, said, comparison.task.names, f"residual{i}", _who(row))
            found.append({"row": row, "svg": Markup(svg)})
    return found


def _traced(pairs: tuple[Pair, ...]) -> list[int]:
    return list(dict.fromkeys(trace.index for _, outcome in pairs for trace in outcome.traces))


def _samples(
    comparison: Comparison, pairs: tuple[Pair, ...], samples: int = MAX_SAMPLES
) -> list[dict[str, Any]]:
    """For each drawn sample its picture, class, and a figure for each run that traced it."""
    from markupsafe import Markup

    truth = dict(zip(comparison.indices.tolist(), comparison.labels, strict=True))
    found = []
    for index in [i for i in _traced(pairs) if i in truth][:samples]:
        figures = []
        for k, (row, outcome) in enumerate(pairs):
            trace = next((t for t in outcome.traces if t.index == index), None)
            if trace is None or not len(trace.readout) or row.target == RATE:
                continue
            svg = _figure(comparison, pairs, row, outcome, trace, truth[index], f"trace{index}-{k}")
            figures.append(
                {
                    "row": row,
                    "svg": Markup(svg),
                    "more": max(0, len(trace.spikes) - MAX_POPULATIONS),
                    **_decided(comparison, trace, truth[index]),
                }
            )
        if figures:
            png = picture(comparison.images[index]) if index in comparison.images else b""
            found.append(
                {
                    "index": index,
                    "label": _named(comparison, truth[index]),
                    "picture": base64.b64encode(png).decode(),
                    "figures": figures,
                }
            )
    return found


def _figure(
    comparison: Comparison,
    pairs: tuple[Pair, ...],
    row: Row,
    outcome: Outcome,
    trace: Trace,
    truth: Any,
    name: str,
) -> str:
    """Spikes and answers; the inputs above them, unless they are pixels."""
    sizes = _sizes(pairs, row.model)
    x = comparison.inputs.get(trace.index)
    if x is None or trace.index in comparison.images:
        decided = int(trace.readout[-1].argmax())
        label = int(truth)
        return trace_plot(trace, sizes, label, decided, comparison.classes, name, _who(row))
    task = comparison.task
    answers = truth[: len(x)] if task.every else truth
    return series_plot(trace, x, answers, task, outcome.timing, sizes, name, _who(row))


def _decided(comparison: Comparison, trace: Trace, truth: Any) -> dict[str, Any]:
    """For the caption: the class that was decided on, where a sample has one."""
    if not comparison.task.classifies or comparison.task.every:
        return {"right": True, "decided": ""}
    decided = int(trace.readout[-1].argmax())
    return {"right": decided == int(truth), "decided": comparison.classes[decided]}


def _named(comparison: Comparison, truth: Any) -> str:
    """The one class of a sample; empty where there is none."""
    task = comparison.task
    return comparison.classes[int(truth)] if task.classifies and not task.every else ""


def _sizes(pairs: tuple[Pair, ...], model: str) -> dict[str, int]:
    """Neurons of each population, as far as the traces tell: the highest that ever fired."""
    sizes: dict[str, int] = {}
    traces: list[Trace] = [t for row, o in pairs if row.model == model for t in o.traces]
    for trace in traces:
        for name, events in trace.spikes.items():
            highest = int(np.asarray(events)[:, 1].max()) + 1 if len(events) else 1
            sizes[name] = max(sizes.get(name, 1), highest)
    return sizes


def _placements(pairs: tuple[Pair, ...]) -> list[dict[str, Any]]:
    """For each model, its populations by target, and where each of them ran."""
    found = []
    for model in dict.fromkeys(row.model for row, _ in pairs):
        mine = [(row, o) for row, o in pairs if row.model == model and o.placement]
        populations = dict.fromkeys(name for _, o in mine for name in o.placement)
        if populations:
            lines = [(name, [o.placement.get(name, NONE) for _, o in mine]) for name in populations]
            found.append({"model": model, "targets": [r.target for r, _ in mine], "lines": lines})
    return found


def _who(row: Row) -> str:
    return f"{row.model}, " + ("rate model" if row.target == RATE else f"{row.target}")


def _pretty(values: dict[str, Any]) -> list[tuple[str, str]]:
    """JSON-safe values as lines of text."""
    return [
        (str(key), v if isinstance(v, str) else json.dumps(v, indent=1, ensure_ascii=False))
        for key, v in json_safe(values).items()
    ]
