"""``spiking-lmu compare``: models × targets → table, HTML, JSON, Markdown."""

from __future__ import annotations

import math
from argparse import Namespace
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError, require_at_least

from .arguments import Parser, add_samples

if TYPE_CHECKING:
    from spiking_lmu.analysis.comparison import Job
    from spiking_lmu.datasets import Dataset
    from spiking_lmu.runs.results import Comparison

    from .explanation import Models


#: Test images a target, unless told otherwise.
SAMPLES = 100
#: Test images with which ``--explain`` climbs each ladder.
EXPLAINED = 200
#: Samples recorded in full for the report's pictures.
TRACES = 3


def add_arguments(parser: Parser) -> None:
    """Arguments of the command."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help="spiking .slmu files")
    parser.add_argument("--targets", default="reference,nengo-dl,loihi", help="comma-separated")
    parser.add_argument(
        "--samples-on",
        action="append",
        default=[],
        metavar="TARGET=N",
        help="fewer samples on a slow target; repeatable",
    )
    parser.add_argument(
        "--until",
        metavar="POINTS",
        help="stop each run once its difference to the rate model is known to so many points "
        "either way, such as ±0.5, or after --samples (default then: the whole test set)",
    )
    parser.add_argument("--report", type=Path, help="write an HTML page")
    parser.add_argument(
        "--explain",
        type=int,
        nargs="?",
        const=EXPLAINED,
        default=0,
        metavar="N",
        help="say in the page where accuracy is lost, and what it would be with fewer or more "
        f"steps, on N test images (default {EXPLAINED})",
    )
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--markdown", type=Path, help="write the table")
    add_samples(parser)
    parser.set_defaults(samples=None)


def run(options: Namespace) -> int:
    """Run, print the table, write the reports; 130 if interrupted, reports written all the same."""
    from rich.console import Console

    from spiking_lmu.report import to_rich

    require_outputs(options)
    models = _models(options)
    # Loaded before anything runs, so that a wrong number of samples costs no time.
    explained = _explained(options)
    comparison, interrupted = execute(options, models)
    Console(highlight=False).print(to_rich(comparison))
    for outcome in comparison.outcomes:
        for note in outcome.options.get("notes", ()):
            print(f"{outcome.model} on {outcome.target}: {note}")
    write_data(options, comparison)
    if options.report is not None:
        explained = None if interrupted else explained
        interrupted = write_page(options, models, comparison, explained) or interrupted
    if interrupted:
        print("Interrupted: finished samples are kept; the same command goes on from here.")
        return 130
    return 1 if all(outcome.problem for outcome in comparison.outcomes) else 0


def require_outputs(options: Namespace) -> None:
    """Check the reports' folders before anything runs."""
    from .common import require_folder

    require_folder(options.report, options.json, options.markdown)
    require_at_least("explain", options.explain, 0)
    if options.explain and options.report is None:
        raise SpecError(
            "--explain",
            got="no --report",
            expected="a page to explain in",
            fix="add --report report.html, or use: spiking-lmu explain",
        )


def execute(options: Namespace, models: Models) -> tuple[Comparison, bool]:
    """Run every model on every target; also whether it was interrupted."""
    from rich.console import Console

    from spiking_lmu import datasets
    from spiking_lmu.analysis.comparison import Interrupted, compare
    from spiking_lmu.compat import environment
    from spiking_lmu.files.zoo import find_model
    from spiking_lmu.runs.memory import parse_size
    from spiking_lmu.runs.progress import RichProgress

    from .check import preflight
    from .common import command_line, workers_of

    until = None if options.until is None else parse_points(options.until)
    jobs = _jobs(options)
    preflight(models, [job.target for job in jobs])
    memory = None if options.memory is None else parse_size(options.memory)
    dataset = datasets.load(
        options.data,
        "test",
        folder=options.folder,
        samples=max(job.samples for job in jobs),
        seed=options.seed,
    )
    journal = options.journal or find_model(options.models[0]).with_suffix(".journal")
    provenance = {
        "command": command_line(options),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **environment(),
        "models": {name: model.provenance for name, model in models},
    }
    with workers_of(options) as workers, RichProgress(Console(stderr=True)) as progress:
        try:
            return compare(
                models,
                jobs,
                dataset,
                journal=journal,
                seed=options.seed,
                until=until,
                images=_pictures(options, dataset.indices[:TRACES]),
                traces=TRACES,
                workers=workers,
                memory=memory,
                progress=progress,
                provenance=provenance,
            ), False
        except Interrupted as stopped:
            return stopped.comparison, True


def _models(options: Namespace) -> Models:
    """By the names of their files, under which the reports pair them with their rate models."""
    from .sources import load_spiking

    names = [Path(name).stem for name in options.models]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(
                "models",
                got=f"several files called {name}",
                expected="a name for each model",
                fix="copy one to a file of another name",
            )
    return [(Path(name).stem, load_spiking(name)) for name in options.models]


def _explained(options: Namespace) -> Dataset | None:
    """The samples with which ``--explain`` climbs each ladder."""
    from spiking_lmu import datasets

    if not options.explain:
        return None
    return datasets.load(
        options.data, "test", folder=options.folder, samples=options.explain, seed=options.seed
    )


def _pictures(options: Namespace, indices: Any) -> dict[int, Any]:
    """The traced samples as images of 28 × 28, whatever order their pixels are presented in."""
    from spiking_lmu import datasets

    family = "fashion-mnist" if "fashion" in options.data else "mnist"
    images = datasets.load(family, "test", folder=options.folder).x
    return {int(index): images[index].reshape(28, 28) for index in indices}


def _jobs(options: Namespace) -> list[Job]:
    from spiking_lmu.analysis.comparison import Job
    from spiking_lmu.backends.registry import get_target

    from .arguments import target_options

    wanted = options.samples
    if wanted is None:
        wanted = SAMPLES if options.until is None else _all_samples(options)
    require_at_least("samples", wanted, 1)
    require_at_least("verify", options.verify, 0)
    fewer = dict(_pair(text) for text in options.samples_on)
    targets = [get_target(name.strip()) for name in options.targets.split(",")]
    jobs = [
        Job(target, fewer.pop(target.name, wanted), chosen, options.verify)
        for target, chosen in zip(targets, target_options(options, targets), strict=True)
    ]
    if fewer:
        raise SpecError(
            "--samples-on",
            got=repr(min(fewer)),
            expected="a target of --targets",
            fix="check the name",
        )
    return jobs


def _all_samples(options: Namespace) -> int:
    from spiking_lmu import datasets

    return datasets.load(options.data, "test", folder=options.folder).total


def parse_points(text: str) -> float:
    """Percentage points either way.

    Raises
    ------
    SpecError
        Not a number above 0 and at most 100.

    >>> parse_points("±0.5"), parse_points("+-0.5"), parse_points("0.5")
    (0.5, 0.5, 0.5)
    """
    try:
        points = float(text.removeprefix("±").removeprefix("+-"))
    except ValueError:
        points = math.nan
    if not 0 < points <= 100:
        raise SpecError(
            "--until",
            got=repr(text),
            expected="percentage points above 0, at most 100",
            fix="try --until ±0.5",
        )
    return points


def _pair(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.isdecimal() or int(number) < 1:
        raise SpecError("--samples-on", got=repr(text), expected="TARGET=N", fix="try loihi=200")
    return name, int(number)


def write_data(options: Namespace, comparison: Comparison) -> None:
    """Write the reports for machines and editors that were asked for, and say where."""
    from spiking_lmu.report import write_json, write_markdown

    for path, write in ((options.json, write_json), (options.markdown, write_markdown)):
        if path is not None:
            write(comparison, path)
            print(f"wrote {path}")


def write_page(
    options: Namespace, models: Models, comparison: Comparison, explained: Dataset | None
) -> bool:
    """Write the page with what a sample costs and, on ``explained``, ladders and trade-offs.

    Returns whether the explanation was interrupted; the page is written without it then.
    """
    from spiking_lmu.report import write_html
    from spiking_lmu.report.explanation import Explanation

    from .explanation import costs, explain

    explanation, interrupted = Explanation(energies=costs(models, comparison)), False
    if explained is not None:
        targets = [job.target for job in _jobs(options)]
        try:
            ladders, tradeoffs = explain(models, targets, explained, comparison, options.seed)
            explanation = replace(explanation, ladders=ladders, tradeoffs=tradeoffs)
        except KeyboardInterrupt:
            interrupted = True
    write_html(comparison, options.report, explanation)
    print(f"wrote {options.report}")
    return interrupted
