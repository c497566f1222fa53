"""The comparison as strict JSON: every number of the other reports, and every decision."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.statistics import confusion
from spiking_lmu.files.json_text import json_text
from spiking_lmu.files.writing import write_atomically
from spiking_lmu.runs.results import Outcome

from .rows import Row, answers_of, rows_with_outcomes
from .words import headline, late, method, sentence, stopping, verification

SCHEMA = "spiking-lmu comparison"
SCHEMA_VERSION = 1


def write_json(comparison: Comparison, path: str | Path) -> None:
    """Write the comparison; numbers that JSON cannot say (NaN, infinity) become null.

    Raises
    ------
    FileError
        The folder is missing or cannot be written.
    SpecError
        As `report.rows`.
    """
    text = json_text(as_json(comparison))
    with write_atomically(path) as file:
        file.write(text.encode("utf-8", "replace") + b"\n")


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The JSON document as Python values.

    Accuracies and intervals are fractions, differences are percentage points, times are
    seconds; ``decisions[i]`` (of a regression ``outputs[i]``) and ``spikes[i]`` belong to sample
    ``samples[i]``, of the document where a row's ``samples`` are null.  ``lengths`` are null where
    all samples have the same.
    """
    pairs = rows_with_outcomes(comparison)
    document = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "headline": headline(row for row, _ in pairs),
        "method": method(row for row, _ in pairs),
        "data": comparison.data,
        "data_size": comparison.data_size,
        "classes": comparison.classes,
        "task": asdict(comparison.task),
        "lengths": comparison.lengths if len(set(comparison.lengths.tolist())) > 1 else None,
        "samples": comparison.indices,
        "labels": comparison.labels,
        "rows": [_entry(comparison, row, outcome) for row, outcome in pairs],
        "missing": comparison.missing,
        "remarks": comparison.remarks,
        "provenance": comparison.provenance,
    }
    safe: dict[str, Any] = json_safe(document)
    return safe


def _entry(comparison: Comparison, row: Row, outcome: Outcome) -> dict[str, Any]:
    # Schema 1 calls every score an accuracy, whatever its metric.
    scores = {"score": "accuracy", "rate_score": "rate_accuracy", "in_time": "in_time"}
    entry = {scores.get(key, key): value for key, value in asdict(row).items()}
    for name, key in scores.items():
        if (score := getattr(row, name)) is not None:
            entry[key]["value"] = score.value
    n = len(outcome.indices)
    totals = sum(outcome.spikes.values(), np.zeros(n)) if n else np.zeros(0)
    decided = outcome.decisions if n else np.zeros(0, dtype=int)
    answers: dict[str, Any] = {"outputs": outcome.outputs}
    if comparison.task.classifies:
        flat = answers_of(comparison, outcome) if n else (decided, decided)
        counts = confusion(*flat, len(comparison.classes))
        answers = {"decisions": decided, "confusion": counts}
    return {
        **entry,
        "metric": row.metric.name,
        "says": "" if row.verdict == "rate" else sentence(row),
        "late": late(row),
        "stopping": stopping(row),
        "verification": verification(row),
        "partial": row.partial,
        "steps": outcome.steps,
        "mean_steps": outcome.mean_steps,
        "placement": outcome.placement,
        "options": outcome.record,
        "samples": None if np.array_equal(outcome.indices, comparison.indices) else outcome.indices,
        **answers,
        "spikes": _whole(totals) if outcome.spikes else None,
        "spikes_per_sample_by_population": {
            name: float(counts.mean()) for name, counts in outcome.spikes.items() if counts.size
        },
        "host_spikes_per_sample_by_connection": None
        if outcome.host_spikes is None
        else {n: float(counts.mean()) for n, counts in outcome.host_spikes.items() if counts.size},
    }


def _whole(values: np.ndarray) -> np.ndarray:
    """Whole numbers as integers, which are shorter to write; others as they are."""
    whole = np.rint(values)
    return whole.astype(np.int64) if np.array_equal(whole, values) else values


def json_safe(value: Any) -> Any:
    """``value`` in types that strict JSON has."""
    if isinstance(value, np.ndarray | np.generic):
        return json_safe(value.tolist())
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
