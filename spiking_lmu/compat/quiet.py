"""Imports that say nothing: other packages' warnings and TensorFlow's start-up messages."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from spiking_lmu.errors import SpikingLmuError

# At 3 TensorFlow says only what ends the process; at 2 it reports a CUDA error without a GPU.
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    """Ignore warnings inside the block, and only there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Hold back warnings, and what TensorFlow's C++ side writes to the error stream.

    NengoDL and nengo-loihi warn on import that they do not know nengo 4; TensorFlow writes
    to file descriptor 2 before it reads its log level.
    """
    level = os.environ.get(LOG_LEVEL)
    os.environ.setdefault(LOG_LEVEL, "3")
    wants_messages = level not in (None, "2", "3")
    hold = contextlib.nullcontext() if wants_messages else _hold_stderr()
    try:
        with no_warnings(), hold:
            yield
    finally:
        os.environ[LOG_LEVEL] = level or "3"  # NengoDL sets it to 1


@contextlib.contextmanager
def _hold_stderr() -> Iterator[None]:
    """Write file descriptor 2 to a temporary file; pass it on if the block raises."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no error stream
        yield
        return
    with tempfile.TemporaryFile() as held:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            os.dup2(saved, 2)
            if not isinstance(error, SpikingLmuError):
                held.seek(0)
                os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
