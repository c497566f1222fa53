"""What several commands need: provenance, and checks that come before long work."""

from __future__ import annotations

import shlex
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from spiking_lmu.errors import FileError, SpecError, require_at_least

if TYPE_CHECKING:
    from spiking_lmu.runs import Workers


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


def workers_of(options: Namespace) -> AbstractContextManager[Workers]:
    """What ``--workers`` and ``--cluster`` ask for; a cluster's connection ends with the context.

    Raises
    ------
    SpecError, MissingExtraError
        Both, or what cannot be had.
    """
    from spiking_lmu.runs.cluster import Cluster
    from spiking_lmu.runs.processes import Processes, cores

    if options.cluster is None:
        workers = cores() if options.workers is None else options.workers
        require_at_least("workers", workers, 1)
        return nullcontext(Processes(workers))
    if options.workers is not None:
        raise SpecError(
            "--workers",
            got="--cluster too",
            expected="one of the two",
            fix="leave --workers out: the cluster has as many as were started",
        )
    return Cluster(options.cluster)
