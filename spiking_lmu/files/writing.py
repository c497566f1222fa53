"""How files are written: under a temporary name, then renamed."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from spiking_lmu.errors import FileError


class write_atomically:
    """A context with a binary file that replaces ``path`` only if the block succeeds.

    Whatever fails, the temporary file is gone: on a full disk it would keep the disk full.

    Raises
    ------
    FileError
        The folder is missing or cannot be written, or the disk is full.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> BinaryIO:
        try:
            _require_replaceable(self.path)
            # A part of the name only: a name may be as long as the system allows.
            handle, self.temporary = tempfile.mkstemp(
                prefix=f".{self.path.name[:20]}.", dir=self.path.parent
            )
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        self.file = os.fdopen(handle, "wb")
        return self.file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        try:
            if kind is None:
                self.file.close()
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(self.temporary, 0o666 & ~umask)
                os.replace(self.temporary, self.path)
                return
        except OSError as failure:
            self._remove()
            raise self._failed(failure) from failure
        self._remove()
        if isinstance(error, OSError):
            raise self._failed(error) from error

    def _remove(self) -> None:
        with suppress(OSError):  # what is still to be written does not fit on a full disk
            self.file.close()
        with suppress(OSError):
            os.unlink(self.temporary)

    def _failed(self, error: Exception) -> FileError:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        return FileError(
            str(self.path),
            got=getattr(error, "strerror", None) or str(error),
            expected="room on the disk" if full else "a file in a folder that can be written",
            fix="free some space, or choose another path"
            if full
            else "create the folder or choose another path",
        )


def _require_replaceable(path: Path) -> None:
    """Raise unless a file can take the place of ``path``: one that is there, or none.

    Renaming would put a file in the place of a device or a FIFO: as root, of ``/dev/null``.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError("a folder" if stat.S_ISDIR(mode) else "a FIFO or a device")
