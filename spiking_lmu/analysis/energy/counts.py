"""Counted spikes of a run: from an outcome, or from the JSON report of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spiking_lmu.errors import SpecError
from spiking_lmu.files.archive import Refused, Wanted, parse_json, read_bytes, reading
from spiking_lmu.graph.model import Model
from spiking_lmu.runs.results import Outcome

SCHEMA = "spiking-lmu comparison"
#: 10,000 samples of ten targets are some ten megabytes.
MAX_BYTES, MAX_VALUES = 32 << 20, 5_000_000


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
        Simulation steps of a sample, the mean where samples differ in length.
    spikes
        Mean spikes of a sample by population.
    placement
        Where each population ran.
    host_spikes
        Mean spikes of a sample that a host sent to a chip, by connection; empty without a chip,
        None if they were not counted.
    """

    target: str
    samples: int
    steps: float
    spikes: Mapping[str, float]
    placement: Mapping[str, str]
    host_spikes: Mapping[str, float] | None = None


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
    sent = outcome.host_spikes
    return Counts(
        outcome.target,
        len(outcome.indices),
        outcome.mean_steps,
        {name: float(counts.mean()) for name, counts in outcome.spikes.items()},
        dict(outcome.placement),
        None if sent is None else {name: float(counts.mean()) for name, counts in sent.items()},
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
    from spiking_lmu.files.schema import ReportTable, checked

    wanted = Wanted(
        str(path),
        "the JSON of a comparison",
        "compare the model, and write the result as JSON",
    )
    content = read_bytes(path, MAX_BYTES, wanted)
    with reading(wanted):
        document = parse_json(content, limit=MAX_BYTES, values=MAX_VALUES)
        head = document if isinstance(document, dict) else {}
        if head.get("schema") != SCHEMA:
            raise Refused("another file")
        rows = checked({"rows": head.get("rows")}, ReportTable, "a report").rows
        if any(row.n and not row.steps for row in rows):
            raise Refused("a run of no steps")
    found = tuple(
        Counts(
            row.target,
            row.n,
            row.mean_steps or row.steps,
            {name: float(count) for name, count in row.spikes_per_sample_by_population.items()},
            row.placement,
            row.host_spikes_per_sample_by_connection,
        )
        for row in rows
        if row.verdict != "rate" and row.n > 0 and row.options.model_digest == model.digest
    )
    if not found:
        raise SpecError(
            f"the report {path}",
            got="no finished run of this model",
            expected="one or more",
            fix="compare the model, and write the result as JSON",
        )
    return found
