"""How files are written: under a temporary name, then renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from spiking_lmu.errors import FileError


class write_atomically:
    """A context with a binary file that replaces ``path`` only if the block succeeds.

    Raises
    ------
    FileError
        The folder is missing or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> BinaryIO:
        try:
            handle, self.temporary = tempfile.mkstemp(
                prefix=f".{self.path.name}.", dir=self.path.parent
            )
        except OSError as error:
            raise FileError(
                str(self.path),
                got=error.strerror or str(error),
                expected="a folder that can be written",
                fix="create the folder or choose another path",
            ) from error
        self.file = os.fdopen(handle, "wb")
        return self.file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.file.close()
        if kind is None:
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(self.temporary, 0o666 & ~umask)
            os.replace(self.temporary, self.path)
        else:
            os.unlink(self.temporary)
