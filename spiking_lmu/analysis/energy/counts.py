"""Counted spikes of a run: from an outcome, or from the JSON report of a comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spiking_lmu.errors import FileError, SpecError
from spiking_lmu.graph.model import Model
from spiking_lmu.runs.results import Outcome

SCHEMA = "spiking-lmu comparison"
#: 10,000 samples of ten targets are some ten megabytes.
MAX_BYTES = 500_000_000


@dataclass(frozen=True)
class Counts:
    """Spikes of one model on one target.

    Parameters
    ----------
    target
        Its name.
    samples
        So many were counted.
    steps
        Simulation steps of a sample.
    spikes
        Mean spikes of a sample by population.
    placement
        Where each population ran.
    """

    target: str
    samples: int
    steps: int
    spikes: Mapping[str, float]
    placement: Mapping[str, str]


def counts_of(outcome: Outcome) -> Counts:
    """What an outcome with at least one finished sample counted.

    Raises
    ------
    SpecError
        No sample is finished.
    """
    if not len(outcome.indices):
        raise SpecError(
            f"outcome on {outcome.target}",
            got="no finished sample",
            expected="at least one",
            fix=outcome.problem or "let the run finish",
        )
    means = {name: float(counts.mean()) for name, counts in outcome.spikes.items()}
    return Counts(
        outcome.target, len(outcome.indices), outcome.steps, means, dict(outcome.placement)
    )


def read_counts(path: str | Path, model: Model) -> tuple[Counts, ...]:
    """The rows of ``spiking-lmu compare --json`` that ran ``model`` on at least one sample.

    Raises
    ------
    FileError
        The file cannot be read, or is no such report.
    SpecError
        The report is about other models.
    """
    rows = _rows(Path(path))
    try:
        found = tuple(
            _counts(row)
            for row in rows
            if row["verdict"] != "rate"
            and row["n"] > 0
            and row["options"]["model_digest"] == model.digest
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(path, "a row that is not whole", "rows as compare writes them") from error
    if not found:
        raise SpecError(
            f"the report {path}",
            got="no finished run of this model",
            expected="one or more",
            fix="run: spiking-lmu compare MODEL --json report.json",
        )
    return found


def _rows(path: Path) -> list[Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _wrong(path, error.strerror or "an error", "a file to read") from error
    if len(content) > MAX_BYTES:
        raise _wrong(path, "a larger file", f"at most {MAX_BYTES:,} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "something else", "JSON") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _wrong(path, "another file", "what compare --json wrote")
    rows = document.get("rows")
    if not isinstance(rows, list):
        raise _wrong(path, "no rows", "what compare --json wrote")
    return rows


def _counts(row: Any) -> Counts:
    spikes = {
        str(name): _count(value) for name, value in row["spikes_per_sample_by_population"].items()
    }
    steps, samples = row["steps"], row["n"]
    for number in (steps, samples):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= 10**12:
            raise ValueError(number)
    placement = {str(name): str(place) for name, place in row["placement"].items()}
    return Counts(str(row["target"]), samples, steps, spikes, placement)


def _count(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(value)
    return float(value)


def _wrong(path: str | Path, got: str, expected: str) -> FileError:
    return FileError(
        str(path),
        got=got,
        expected=expected,
        fix="write one with: spiking-lmu compare MODEL --json report.json",
    )
