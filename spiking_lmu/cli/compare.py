"""``spiking-lmu compare``: models × targets → table, HTML, JSON, Markdown."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError

from .arguments import Parser, add_samples

if TYPE_CHECKING:
    from spiking_lmu.graph.model import Model

#: Test samples a target, unless told otherwise.
SAMPLES = 100
#: Test samples with which ``--explain`` climbs each ladder, where there are so many.
EXPLAINED = 200


def add_arguments(parser: Parser) -> None:
    """Arguments of the command."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help="spiking .slmu files")
    parser.add_argument(
        "--targets", help="comma-separated (default: all that can run here; see targets)"
    )
    parser.add_argument(
        "--samples-on",
        action="append",
        default=[],
        metavar="TARGET=N",
        help="fewer samples on a slow target; repeatable",
    )
    add_reports(parser)


def add_reports(parser: Parser) -> None:
    """Samples, when to stop, and what is written; the same for one target and for several."""
    parser.add_argument(
        "--until",
        metavar="POINTS",
        help="stop each run once its difference to the rate model is known to this many points "
        "(or units of the task's metric) either way, such as ±0.5, or after --samples (default "
        "then: the whole test set)",
    )
    parser.add_argument("--report", type=Path, help="write an HTML page")
    parser.add_argument(
        "--explain",
        type=int,
        nargs="?",
        const=None,
        default=0,
        metavar="N",
        help="add to the page where accuracy is lost, and the accuracy with fewer or more steps, "
        f"measured on N test samples (default {EXPLAINED})",
    )
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--markdown", type=Path, help="write the table")
    add_samples(parser)


def run(options: Namespace) -> int:
    """Run, print the table, write the reports; 130 if interrupted, reports written all the same."""
    from spiking_lmu import datasets
    from spiking_lmu.analysis.comparison import Interrupted, compare, require_spiking
    from spiking_lmu.files.zoo import find_model, load_model

    from .common import (
        command_line,
        data_name,
        preflight,
        require_folder,
        run_settings,
        write_and_show,
    )

    require_folder(options.report, options.json, options.markdown)
    if options.explain != 0 and options.report is None:
        raise SpecError(
            "explain",
            got="no --report",
            expected="a page to explain in",
            fix="add --report report.html, or use: spiking-lmu explain",
        )
    models = _named(options.models)
    paths = {name: find_model(path) for name, path in models.items()}
    loaded: dict[str, Model] = {name: load_model(path) for name, path in models.items()}
    for name, model in loaded.items():
        require_spiking(name, model, models[name])
    settings = run_settings(options, next(iter(paths.values())).with_suffix(".journal"))
    jobs = _jobs(options)
    named = data_name(options, next(iter(loaded.values())))
    data = datasets.load(named, folder=options.folder).test
    samples = options.samples
    if samples is None and options.until is None:
        samples = min(SAMPLES, len(data))
    preflight(loaded, models, [job.target for job in jobs or ()], options.flags)
    interrupted = False
    try:
        comparison = compare(
            loaded,
            data,
            jobs,
            samples=samples,
            until=options.until,
            explain=min(EXPLAINED, len(data)) if options.explain is None else options.explain,
            provenance={"command": command_line(options)},
            settings=settings,
        )
    except Interrupted as stopped:
        comparison, interrupted = stopped.comparison, True
    paths = {"json": options.json, "markdown": options.markdown, "html": options.report}
    write_and_show(comparison, options, **paths)
    if interrupted:
        print("Interrupted: finished samples are kept; the same command goes on from here.")
        return 130
    return 1 if comparison.failed else 0


def _named(files: list[str]) -> dict[str, str]:
    """By the names of the files, under which the reports pair them with their rate models."""
    names = [Path(name).stem for name in files]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(
                "models",
                got=f"several files called {name}",
                expected="a name for each model",
                fix="copy one to a file of another name",
            )
    return dict(zip(names, files, strict=True))


def _jobs(options: Namespace) -> list[Any] | None:
    """Targets with the options and numbers of samples that are their own; None is all."""
    from spiking_lmu.backends.registry import find_targets, get_target
    from spiking_lmu.runs.runner import Job

    from .arguments import target_options

    fewer = dict(_pair(text) for text in options.samples_on)
    if options.targets is None:
        here = [found.name for found in find_targets() if not found.unusable]
    else:
        here = [name.strip() for name in options.targets.split(",")]
    targets = [get_target(name) for name in here]
    jobs = [
        Job(target, fewer.pop(target.name, None), chosen, options.verify)
        for target, chosen in zip(targets, target_options(options, targets), strict=True)
    ]
    if fewer:
        raise SpecError(
            "samples_on",
            got=repr(min(fewer)),
            expected="a target of targets",
            fix="check the name",
        )
    return jobs


def _pair(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.isdecimal() or int(number) < 1:
        raise SpecError(
            "samples_on",
            got=repr(text),
            expected="TARGET=N",
            fix="write TARGET=200",
        )
    return name, int(number)
