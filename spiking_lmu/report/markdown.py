"""The comparison as one Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.metrics import METRIC, Metric
from spiking_lmu.analysis.statistics import Accuracy
from spiking_lmu.files.writing import write_atomically

from .rows import HOST_SPIKES, RATE, Row, rows, with_host_spikes
from .text import NONE, column_heads, count, duration, plain, speed, value
from .words import difference, headline, late, method, p_value, sentence, stopping, verification

_HEAD = (
    "Model",
    "Neuron",
    "Target",
    "Samples",
    "{} (95 %)",
    "{} (95 %)",
    "p",
    "Agreement",
    "Spikes/sample",
    "Host spikes/sample",
    "Time",
    "Samples/s",
    "Where",
)


def write_markdown(comparison: Comparison, path: str | Path) -> None:
    """Write the page.

    Raises
    ------
    FileError
        The folder is missing or cannot be written.
    SpecError
        As `report.rows`.
    """
    with write_atomically(path) as file:
        file.write(as_markdown(comparison).encode())


def as_markdown(comparison: Comparison) -> str:
    """The headline, the table and the provenance.

    Raises
    ------
    SpecError
        As `report.rows`.
    """
    table_rows = rows(comparison)
    lines = [
        f"# {escape(headline(table_rows))}",
        "",
        f"{escape(comparison.data)}: {len(comparison.indices):,} of "
        f"{comparison.data_size:,} samples.",
        "",
        *(
            f"- **{escape(row.target)}**, {escape(row.neuron)} ({escape(row.model)}): "
            f"{escape(sentence(row))}{escape(_checked(row))}"
            for row in table_rows
            if row.target != RATE
        ),
        "",
        _line(_head(METRIC[comparison.task.metric])),
        _line(["---"] * 3 + ["---:"] * 9 + ["---"]),
        *(_line([escape(cell) for cell in _cells(row)]) for row in table_rows),
        "",
        escape(" ".join([*_of_accuracy(table_rows), *_of_host(table_rows), *method(table_rows)])),
        "",
    ]
    problems = [row for row in table_rows if row.problem]
    if comparison.missing or comparison.remarks:
        absent = [f"{name} did not run: {why}" for name, why in comparison.missing.items()]
        lines += [f"- {escape(line)}" for line in (*absent, *comparison.remarks)]
        lines.append("")
    if problems:
        lines += ["## Problems", ""]
        lines += [
            f"- {escape(r.model)} on {escape(r.target)}: {escape(r.problem)}" for r in problems
        ]
        lines.append("")
    if comparison.provenance:
        lines += ["## Provenance", "", *_provenance(comparison.provenance), ""]
    return "\n".join(lines)


def _provenance(provenance: Mapping[str, Any]) -> list[str]:
    """A line an entry; of each model how it was trained, for the rest is in the JSON report."""
    lines = []
    for key, entry in provenance.items():
        if key == "models" and isinstance(entry, Mapping):
            for name, record in entry.items():
                training = record.get("training") if isinstance(record, Mapping) else None
                command = training.get("command") if isinstance(training, Mapping) else None
                way = command or "a way unrecorded"
                lines.append(f"- {escape(name)}: trained by {escape(way)}")
            continue
        if isinstance(entry, Mapping):
            entry = ", ".join(f"{name} {part}" for name, part in entry.items())
        lines.append(f"- {escape(key)}: {escape(entry)}")
    return lines


def _of_accuracy(table_rows: Iterable[Row]) -> list[str]:
    closed = any(isinstance(row.score, Accuracy) for row in table_rows)
    return ["Accuracy: with a Wilson interval."] if closed else []


def _of_host(table_rows: Iterable[Row]) -> list[str]:
    return [HOST_SPIKES] * with_host_spikes(table_rows)


def _head(metric: Metric) -> list[str]:
    names = iter(name.removesuffix(" %") for name in column_heads(metric))
    return [head.format(next(names)) if "{}" in head else head for head in _HEAD]


def _checked(row: Row) -> str:
    return "".join(f"; {said}" for said in (late(row), stopping(row), verification(row)) if said)


def _cells(row: Row) -> list[str]:
    samples = f"{row.n:,} of {row.wanted:,}" + (" (partial)" if row.partial and row.n else "")
    if row.score is None:
        because = f"did not run: {row.problem}" if row.problem else "did not run"
        return [row.model, row.neuron, row.target, samples, because, *[NONE] * 7, row.where or NONE]
    return [
        row.model,
        row.neuron,
        row.target,
        samples,
        value(row.score),
        difference(row),
        p_value(row),
        NONE if row.agreement is None else f"{100 * row.agreement:.1f} %",
        count(row.spikes_per_sample),
        count(row.host_spikes_per_sample),
        duration(row.seconds),
        speed(row.samples_per_second),
        row.where or NONE,
    ]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escape(text: object) -> str:
    """Names are data: no markup, links or cells out of them."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", plain(text).replace("&", "&amp;"))
