"""Every error that a user can cause, as one family.

::

    SpikingLmuError
    ├── SpecError          a number or name that the user chose cannot be built
    ├── FileError          a file that is missing, damaged, hostile or of the wrong kind
    ├── DatasetError       images or labels that cannot be found or verified
    ├── ImportNetworkError a NengoDL network that has parts without a counterpart in a graph
    ├── TargetError        a target that is unknown, cannot run, or refuses a graph
    └── MissingExtraError  an optional package that is not installed

Each says four things in one line: what was looked at, what was found, what was
expected, and what to do next.  The command line prints that line and exits with 1.
"""

from __future__ import annotations


class SpikingLmuError(Exception):
    """Base of the family.

    Parameters
    ----------
    what
        The thing that was looked at: ``"memory order"``, ``"model.slmu"``.
    got
        What was found there.
    expected
        What would have been accepted.
    fix
        What the user can do next.

    Examples
    --------
    >>> print(SpecError("memory order", got="0", expected="an integer of at least 1",
    ...                 fix="pass --order 256"))
    memory order: got 0, expected an integer of at least 1; pass --order 256
    """

    def __init__(self, what: str, *, got: str, expected: str, fix: str) -> None:
        self.what, self.got, self.expected, self.fix = what, got, expected, fix
        super().__init__(_one_line(f"{what}: got {got}, expected {expected}; {fix}"))


class SpecError(SpikingLmuError):
    """A number or name that the user chose cannot be built."""


class FileError(SpikingLmuError):
    """A file that is missing, damaged, hostile or of the wrong kind."""


class DatasetError(SpikingLmuError):
    """Images or labels that cannot be found or verified."""


class ImportNetworkError(SpikingLmuError):
    """A NengoDL network that has parts without a counterpart in a graph."""


class TargetError(SpikingLmuError):
    """A target that is unknown, cannot run here, or refuses a graph."""


class MissingExtraError(SpikingLmuError):
    """An optional package that is not installed."""


def missing_extra(what: str, module: str, extra: str) -> MissingExtraError:
    """The error for an absent optional package, with the command that installs it."""
    return MissingExtraError(
        what,
        got=f"no module {module!r}",
        expected=f"the extra [{extra}]",
        fix=f"run: pip install 'spiking-lmu[{extra}]'",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
