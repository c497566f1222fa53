"""What a target says about a model, as one line, a table, and JSON-safe values."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.check import CheckResult

from .cores import cores_table
from .text import plain

#: Kinds of problems with their words in a sentence and in the table, the worst first.
SEVERITIES = {
    "error": ("error", "errors", "red"),
    "hardware": ("for the hardware only", "for the hardware only", "yellow"),
    "warning": ("warning", "warnings", ""),
}


def headline(check: CheckResult) -> str:
    """One line: whether it can run, and how much there is to say."""
    counts = Counter(problem.severity for problem in check.problems)
    said = [
        f"{counts[kind]} {one if counts[kind] == 1 else many}"
        for kind, (one, many, _) in SEVERITIES.items()
        if counts[kind]
    ]
    verdict = f"{check.model} on {check.target}: {'can' if check.can_run else 'cannot'} run"
    return plain(", ".join([verdict, *(said or ["nothing to say against it"])]))


def parts(check: CheckResult) -> list[Table | str]:
    """The line, the problems, and what each core would hold."""
    found: list[Table | str] = [headline(check)]
    if check.problems:
        found.append(_problems(check))
    if check.cores:
        found.append(cores_table(check.cores))
    return found


def _problems(check: CheckResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("", "where", "found", "limit", "what to do"):
        table.add_column(heading, overflow="fold")
    for problem in check.problems:
        style = SEVERITIES.get(problem.severity, ("", "", ""))[2]
        cells = (problem.severity, problem.where, problem.got, problem.limit, problem.fix)
        table.add_row(*(Text(plain(cell), style=style) for cell in cells))
    return table


def as_json(check: CheckResult) -> dict[str, Any]:
    """JSON-safe."""
    return {
        "model": check.model,
        "target": check.target,
        "can_run": check.can_run,
        "problems": [asdict(problem) for problem in check.problems],
        "cores": [
            {"name": core.name, "used": dict(core.used), "limits": dict(core.limits)}
            for core in check.cores
        ],
    }
