"""What several commands need: provenance, checks before long work, results on the terminal."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import FileError

if TYPE_CHECKING:
    from spiking_lmu.graph.model import Model
    from spiking_lmu.runs.result import Result
    from spiking_lmu.runs.service import RunSettings


def command_line(options: Namespace) -> str:
    """The command as it was typed."""
    return shlex.join(["spiking-lmu", *options.arguments])


def require_folder(*paths: Path | None) -> None:
    """Raise a FileError unless each path's folder is there, before any work is done."""
    for path in paths:
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise FileError(
                str(path),
                got="a folder" if path.is_dir() else "a folder that does not exist",
                expected="a file in a folder that exists",
                fix="create the folder, or choose another path",
            )


def run_settings(options: Namespace, journal: Path | None = None) -> RunSettings:
    """What ``--seed``, ``--workers``, ``--cluster``, ``--memory-limit``, … ask for.

    ``journal`` is where finished samples are kept unless ``--journal`` says otherwise.
    """
    from spiking_lmu.runs.service import RunSettings

    return RunSettings(
        seed=options.seed,
        workers=options.workers,
        cluster=options.cluster,
        memory_limit=options.memory_limit,
        verify=options.verify,
        journal=options.journal or journal,
    )


def data_name(options: Namespace, model: Model) -> str:
    """What ``--data`` says; else the data that the model was trained on, if a source has them.

    Raises
    ------
    DatasetError
        The model names a file or a function, which is not followed: anybody may have written it.
    """
    from spiking_lmu.datasets.sources import DEFAULT, require_source, trained_on

    if options.data is not None:
        return str(options.data)
    return require_source(trained_on(model) or DEFAULT)


def preflight(
    models: dict[str, Model],
    files: Mapping[str, str],
    targets: list[Any],
    flags: Mapping[str, str],
) -> None:
    """Say on standard error what will go wrong, before long work; warnings are only counted.

    ``files`` has what each model was called on the command line.  What is wrong alike in several
    populations is said once, of the first of them.
    """
    from spiking_lmu.analysis.check import check
    from spiking_lmu.backends.target import blocking
    from spiking_lmu.report.check_table import headline

    from .flags import in_flags

    for name, model in models.items():
        for target in targets:
            found = check(model, target, name=name)
            errors = blocking(found.problems)
            alike = Counter((p.got, p.limit, p.fix) for p in errors)
            for problem in errors:
                others = alike.pop((problem.got, problem.limit, problem.fix), 0) - 1
                if others >= 0:
                    also = f" and {others} more" if others else ""
                    shown = replace(problem, where=problem.where + also)
                    said = f"{name} on {target.name}: {shown}"
                    print(in_flags(said, flags), file=sys.stderr)
            if len(found.problems) > len(errors):
                more = f"see: spiking-lmu check {files[name]} --target {target.name}"
                print(f"{headline(found)}; {more}", file=sys.stderr)


def show(result: Result, options: Namespace) -> None:
    """Print a result; where it names options, as the command line does."""
    from rich.console import Console, Group
    from rich.text import Text

    from .flags import in_flags

    console = Console(highlight=False, markup=False)
    shown = result.to_rich()
    for part in shown.renderables if isinstance(shown, Group) else [shown]:
        if isinstance(part, Text):
            console.print(in_flags(part.plain, options.flags), soft_wrap=True)
        else:
            console.print(part)


def write_and_show(result: Result, options: Namespace, **paths: Path | None) -> None:
    """Write a result in the formats for which there is a path; then print it, and say where.

    In this order, so that a terminal or pipe that fails costs no file.
    """
    writers = {"html": result.to_html, "json": result.to_json, "markdown": result.to_markdown}
    writers["picture"] = result.to_svg
    for kind, path in paths.items():
        if path is not None:
            writers[kind](path)
    show(result, options)
    for path in filter(None, paths.values()):
        print(f"wrote {path}")
