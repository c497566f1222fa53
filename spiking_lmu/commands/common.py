"""What several commands need: provenance, and checks that come before long work."""

from __future__ import annotations

import platform
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

from ..errors import FileError


def environment() -> dict[str, Any]:
    """Versions and machine, JSON-safe."""
    from ..compat import versions

    return {"versions": versions(), "machine": platform.machine(), "system": platform.system()}


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
