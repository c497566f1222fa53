"""Finding targets: built-in and third-party adapters alike, through entry points."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from spiking_lmu.errors import TargetError

if TYPE_CHECKING:
    from .target import Target

GROUP = "spiking_lmu.targets"
_ORDER = ("reference", "nengo-dl", "loihi")


@dataclass(frozen=True)
class Found:
    """An adapter that was found: the target, or in one line why it could not be loaded."""

    name: str
    target: Target | None
    problem: str

    @property
    def usable(self) -> str:
        """Empty if the target can run here, else why not."""
        if self.target is None:
            return self.problem
        try:
            return self.target.available()
        except Exception as error:
            return _line(f"its check failed: {type(error).__name__}: {error}")


def target_names() -> tuple[str, ...]:
    """Names of all installed adapters, without importing any."""
    names = {entry.name for entry in entry_points(group=GROUP)}
    return tuple(sorted(names, key=lambda n: (_ORDER.index(n) if n in _ORDER else 99, n)))


def find_targets() -> tuple[Found, ...]:
    """Every installed adapter; a broken one is reported and stops no other."""
    by_name = {entry.name: entry for entry in entry_points(group=GROUP)}
    return tuple(_load(by_name[name]) for name in target_names())


def get_target(name: str) -> Target:
    """The target called ``name``.

    Raises
    ------
    TargetError
        Unknown, broken, or not able to run here.
    """
    names = target_names()
    if name not in names:
        raise TargetError(
            "target",
            got=repr(name),
            expected="one of " + ", ".join(names),
            fix="see: spiking-lmu targets",
        )
    found = _load(next(entry for entry in entry_points(group=GROUP) if entry.name == name))
    problem = found.usable
    if problem or found.target is None:
        raise TargetError(
            f"target {name}",
            got=problem,
            expected="a target that runs here",
            fix="see: spiking-lmu targets",
        )
    return found.target


def _load(entry: EntryPoint) -> Found:
    try:
        return Found(entry.name, entry.load(), "")
    except Exception as error:
        return Found(entry.name, None, _line(f"cannot be loaded: {type(error).__name__}: {error}"))


def _line(text: str) -> str:
    return " ".join(text.split())
