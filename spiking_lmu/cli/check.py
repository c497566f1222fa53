"""``spiking-lmu check``: what a target would say about a model, before anything is built."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError, TargetError

if TYPE_CHECKING:
    from rich.table import Table

    from spiking_lmu.backends.target import CoreUse, Problem, Target
    from spiking_lmu.graph.model import Model

#: Kinds of problems with their words in a sentence and in the table, the worst first.
SEVERITIES = {
    "error": ("error", "errors", "red"),
    "hardware": ("for the hardware only", "for the hardware only", "yellow"),
    "warning": ("warning", "warnings", ""),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", default="loihi")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw what each core holds")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: Namespace) -> int:
    """Print every problem and what each core holds; 1 if the target cannot run the model."""
    from rich.console import Console

    from spiking_lmu.backends.registry import get_target
    from spiking_lmu.backends.target import blocking
    from spiking_lmu.files.zoo import load_model
    from spiking_lmu.report.cores import cores_table, draw_cores

    from .common import require_folder

    require_folder(options.picture)
    model, target = load_model(options.model), get_target(options.target)
    problems, cores = target.check(model), target.cores(model)
    if options.picture and not cores:
        raise SpecError(
            "--picture",
            got=f"{target.name} and this model",
            expected="something on a chip",
            fix="leave --picture out, or use --target loihi",
        )
    name = Path(options.model).stem
    if options.json:
        print(json.dumps(_as_json(name, target.name, problems, cores), indent=2))
    else:
        console = Console(highlight=False, markup=False)
        console.print(headline(name, target.name, problems), soft_wrap=True)
        if problems:
            console.print(_table(problems))
        if cores:
            console.print(cores_table(cores))
    if options.picture:
        draw_cores(cores, f"{name} on {target.name}", options.picture)
        if not options.json:
            print(f"wrote {options.picture}")
    return 1 if blocking(problems) else 0


def preflight(models: Sequence[tuple[str, Model]], targets: Sequence[Target]) -> None:
    """Say on standard error what will go wrong, before long work; warnings are only counted.

    Raises
    ------
    TargetError
        No target can run any model.
    """
    from rich.console import Console

    from spiking_lmu.backends.target import blocking

    console = Console(stderr=True, highlight=False, markup=False)
    refused: list[Problem] = []
    pairs = [(name, model, target) for name, model in models for target in targets]
    for name, model, target in pairs:
        problems = target.check(model)
        errors = blocking(problems)
        refused += errors[:1]
        for problem in errors:
            console.print(f"{name} on {target.name}: {problem}", soft_wrap=True)
        if len(problems) > len(errors):
            console.print(
                f"{headline(name, target.name, problems)}; see: spiking-lmu check {name} "
                f"--target {target.name}",
                soft_wrap=True,
            )
    if pairs and len(refused) == len(pairs):
        first = refused[0]
        raise TargetError(first.where, got=first.got, expected=first.limit, fix=first.fix)


def headline(name: str, target: str, problems: Sequence[Problem]) -> str:
    """One line: whether it can run, and how much there is to say."""
    counts = Counter(problem.severity for problem in problems)
    said = [
        f"{counts[kind]} {one if counts[kind] == 1 else many}"
        for kind, (one, many, _) in SEVERITIES.items()
        if counts[kind]
    ]
    verdict = "cannot run" if counts["error"] else "can run"
    return ", ".join([f"{name} on {target}: {verdict}", *(said or ["nothing to say against it"])])


def _table(problems: Sequence[Problem]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spiking_lmu.report.words import plain

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("", "where", "found", "limit", "what to do"):
        table.add_column(heading, overflow="fold")
    for problem in problems:
        style = SEVERITIES.get(problem.severity, ("", "", ""))[2]
        cells = (problem.severity, problem.where, problem.got, problem.limit, problem.fix)
        table.add_row(*(Text(plain(cell), style=style) for cell in cells))
    return table


def _as_json(
    name: str, target: str, problems: Sequence[Problem], cores: Sequence[CoreUse]
) -> dict[str, Any]:
    from spiking_lmu.backends.target import blocking

    return {
        "model": name,
        "target": target,
        "can_run": not blocking(problems),
        "problems": [asdict(problem) for problem in problems],
        "cores": [
            {"name": core.name, "used": dict(core.used), "limits": dict(core.limits)}
            for core in cores
        ],
    }
