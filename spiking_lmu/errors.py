"""Every error that a user can cause, as one family.

::

    SpikingLmuError
    ├── SpecError          a number or name that the user chose cannot be built; a ValueError too
    ├── FileError          a file that is missing, damaged, hostile or of the wrong kind
    ├── DatasetError       data that cannot be found, read or verified, or do not fit
    ├── ImportNetworkError a NengoDL network that has parts without a counterpart in a graph
    ├── TargetError        a target that is unknown, cannot run, or refuses a graph
    └── MissingExtraError  an optional package that is not installed

Each says four things in one line: what was looked at, what was found, what was
expected, and what to do next.  The command line prints that line and exits with 1.

An error names the parameter of the function that was called (``max_rate``), and shows how to
pass it as Python does (``max_rate=250``).  The command line puts its own options in their
place: see :mod:`spiking_lmu.cli.flags`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from numbers import Integral
from typing import Any, TypeVar

#: Characters of each of the four parts of an error, at most.
LONGEST = 500


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
    ...                 fix="pass order=256"))
    memory order: got 0, expected an integer of at least 1; pass order=256
    """

    #: Characters of each part, at most.
    longest = LONGEST

    def __init__(self, what: str, *, got: str, expected: str, fix: str) -> None:
        self.what, self.got, self.expected, self.fix = what, got, expected, fix
        what, got, expected, fix = (
            one_line(part, self.longest) for part in (what, got, expected, fix)
        )
        super().__init__(f"{what}: got {got}, expected {expected}; {fix}")

    def __reduce__(self) -> Any:
        # Errors travel between processes, and are made of keywords.
        return _again, (type(self), self.what, self.got, self.expected, self.fix)


def _again(kind: type[SpikingLmuError], *parts: str) -> SpikingLmuError:
    what, got, expected, fix = parts
    return kind(what, got=got, expected=expected, fix=fix)


class SpecError(SpikingLmuError, ValueError):
    """A number or name that the user chose cannot be built."""


class FileError(SpikingLmuError):
    """A file that is missing, damaged, hostile or of the wrong kind."""


class DatasetError(SpikingLmuError):
    """Data that cannot be found, read or verified, or do not fit the model or the task."""


class ImportNetworkError(SpikingLmuError):
    """A NengoDL network that has parts without a counterpart in a graph."""

    #: All parts are named at once.
    longest = 20 * LONGEST


class ImportNetworkWarning(UserWarning):
    """A trained network was imported, and something that its file does not say may be wrong."""


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


def require_whole(
    what: str, value: Any, least: int, most: int, kind: type[SpikingLmuError] | None = None
) -> None:
    """Raise a SpecError, or one of ``kind``, unless ``value`` is a whole number in a range.

    >>> require_whole("order", 0, 1, 4096)
    Traceback (most recent call last):
    spiking_lmu.errors.SpecError: order: got 0, expected a whole number from 1 to 4096; choose one
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not (whole and least <= value <= most):
        raise (kind or SpecError)(
            what,
            got=repr(value),
            expected=f"a whole number from {least} to {most}",
            fix="choose one",
        )


def require_at_least(parameter: str, value: int, least: int) -> None:
    """Raise a SpecError unless ``value`` is a whole number of at least ``least``.

    >>> require_at_least("samples", 0, 1)
    Traceback (most recent call last):
    spiking_lmu.errors.SpecError: samples: got 0, expected at least 1; try samples=1
    """
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or value < least:
        raise SpecError(
            parameter,
            got=repr(value),
            expected=f"at least {least}" if whole else f"a whole number of at least {least}",
            fix=f"try {parameter}={max(least, 1)}",
        )


Settings = TypeVar("Settings")


def with_choices(settings: Settings, choices: Mapping[str, Any]) -> Settings:
    """``settings``, a frozen dataclass, with the fields changed that ``choices`` names.

    Functions that take a settings object take its fields by name too.

    Raises
    ------
    SpecError
        A name that is no field; and what the dataclass itself raises.

    >>> from spiking_lmu.graph.timing import Timing
    >>> with_choices(Timing(), {"settle_steps": 20}).settle_steps
    20
    """
    if not is_dataclass(settings):
        raise SpecError(
            "settings",
            got=repr(settings),
            expected="settings, or their fields by name",
            fix="name what it is, such as cell='recurrent'",
        )
    known = [field.name for field in fields(settings)]
    for name in choices:
        if name not in known:
            raise SpecError(
                name, got=repr(choices[name]), expected=", ".join(known), fix="leave it out"
            )
    return replace(settings, **choices)  # type: ignore[type-var]


def one_line(text: str, longest: int = LONGEST) -> str:
    """``text`` as one line of at most ``longest`` characters, all of them printable.

    Names and numbers out of files reach error lines; control characters could drive a terminal.

    >>> one_line("a\\x1b[2J\\n  b")
    'a\N{REPLACEMENT CHARACTER}[2J b'
    """
    text = " ".join(text[: 4 * longest].split())
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def told(error: BaseException) -> str:
    """Anybody's error in one line: its type and what it says.

    >>> told(KeyError("a"))
    "KeyError: 'a'"
    """
    try:
        return one_line(f"{type(error).__name__}: {error}")
    except Exception:  # its text is an error itself
        return one_line(type(error).__name__)
