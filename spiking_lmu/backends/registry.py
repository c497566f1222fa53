"""Finding targets: built-in and third-party adapters alike, through entry points.

An entry point can be anything at all: what is no target is listed with the reason in one line,
and the others go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from spiking_lmu.errors import TargetError

from .options import options_of
from .target import Capabilities, Defaults, Target

GROUP = "spiking_lmu.targets"
#: Characters of a foreign error message that are shown.
MESSAGE = 300


@dataclass(frozen=True)
class FoundTarget:
    """An entry of the group: the target, or in one line why it is none.

    Parameters
    ----------
    name
        Of the entry point.
    target
        None if it could not be loaded.
    problem
        Why not; empty otherwise.
    """

    name: str
    target: Target | None
    problem: str = ""

    @property
    def unusable(self) -> str:
        """Empty if the target can run here, else why not."""
        if self.target is None:
            return self.problem
        try:
            answer = self.target.available()
        except (Exception, SystemExit) as error:
            return _line(f"its check failed: {type(error).__name__}: {error}")
        return _line(answer) if isinstance(answer, str) else "its check gives no text"


def find_targets() -> tuple[FoundTarget, ...]:
    """Every installed adapter, those nearest to the definition first, broken ones last.

    >>> find_targets()[0].name
    'reference'
    """
    entries = tuple(entry_points(group=GROUP))
    often = Counter(entry.name for entry in entries)
    found = []
    for name in sorted(often):
        if often[name] > 1:
            found.append(FoundTarget(_line(name), None, "several packages have a target so called"))
        else:
            found.append(_load(next(entry for entry in entries if entry.name == name)))
    return tuple(sorted(found, key=_place))


def target_names() -> tuple[str, ...]:
    """Names of all installed adapters, in the order of `find_targets`."""
    return tuple(found.name for found in find_targets())


def load_target(name: str) -> Target:
    """The target called ``name``, whether or not it can run here.

    Raises
    ------
    TargetError
        Unknown, or broken.
    """
    every = find_targets()
    for found in every:
        if found.name == name:
            if found.target is None:
                raise _not_here(name, found.problem)
            return found.target
    raise TargetError(
        "target",
        got=repr(name),
        expected="one of " + ", ".join(found.name for found in every),
        fix="see: spiking-lmu targets",
    )


def get_target(name: str) -> Target:
    """The target called ``name``.

    Parameters
    ----------
    name
        As ``spiking-lmu targets`` and :func:`find_targets` list it.

    Raises
    ------
    TargetError
        Unknown, broken, or not able to run here.

    >>> get_target("reference").capabilities.precision
    'float64'
    """
    target = load_target(name)
    problem = FoundTarget(name, target).unusable
    if problem:
        raise _not_here(name, problem)
    return target


def given_target(target: str | Target | None, *, nearest: bool = False) -> Target:
    """``target`` itself, by its name, or else one that can run here.

    That is the one that changes a model most, such as a chip: the last of `find_targets`.  With
    ``nearest`` it is the first of them, which is the nearest to the definition.

    Raises
    ------
    TargetError
        Unknown, broken, or not able to run here; or no target is.
    """
    if isinstance(target, Target):
        return target
    if target is not None:
        return get_target(target)
    usable = [found.target for found in find_targets() if found.target and not found.unusable]
    if not usable:
        raise _not_here("to run on", "none")
    return usable[0 if nearest else -1]


def _not_here(name: str, problem: str) -> TargetError:
    return TargetError(
        f"target {name}",
        got=problem,
        expected="a target that runs here",
        fix="see: spiking-lmu targets",
    )


def _load(entry: EntryPoint) -> FoundTarget:
    try:
        loaded = entry.load()
        wrong = "; ".join(_faults(loaded, entry.name))
    except (Exception, SystemExit) as error:
        problem = f"cannot be loaded: {type(error).__name__}: {error}"
        return FoundTarget(_line(entry.name), None, _line(problem))
    return FoundTarget(_line(entry.name), None if wrong else loaded, _line(wrong))


def _faults(loaded: object, name: str) -> Iterator[str]:
    """What keeps ``loaded`` from being a target."""
    if not isinstance(loaded, Target):
        what = "a class" if isinstance(loaded, type) else f"of type {type(loaded).__name__}"
        yield f"is {what}, not an object of a class derived from Target"
        return
    kinds = {
        "summary": str,
        "extra": str,
        "modules": tuple,
        "distributions": tuple,
        "capabilities": Capabilities,
        "defaults": Defaults,
        "rank": int,
    }
    if getattr(loaded, "name", None) != name:
        yield f"its name is {getattr(loaded, 'name', None)!r}, its entry point's {name!r}"
    for attribute, kind in kinds.items():
        if not isinstance(getattr(loaded, attribute), kind):
            yield f"its {attribute} is no {kind.__name__}"
    options_of(loaded)


def _place(found: FoundTarget) -> tuple[float, str]:
    return (float("inf") if found.target is None else found.target.rank, found.name)


def _line(text: str) -> str:
    """Foreign text as one printable line of bounded length."""
    line = " ".join(text.split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return shown if len(shown) <= MESSAGE else shown[: MESSAGE - 1] + "…"
