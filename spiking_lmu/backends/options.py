"""Options of targets, read off the signature and the docstring of ``deploy``.

::

    def deploy(self, model, inputs, *, seed=0, memory_limit=None, bits: int = 8):
        '''Build it.

        Parameters
        ----------
        bits
            Of a firing rate.
        '''

has one option, ``bits``, a whole number with the default 8; the command line offers
``--bits``.  An option can have the type ``str``, ``int``, ``float``, ``bool`` or a ``Literal``
of strings, each also with ``| None``.  One of another type is for Python alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from spiking_lmu.errors import SpecError, TargetError

from .target import Target

#: What every target takes.
COMMON = frozenset(inspect.signature(Target.deploy).parameters)
#: Types that a text can be turned into.
READABLE = (str, int, float, bool)
YES, NO = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(frozen=True)
class TargetOption:
    """One keyword of a target's ``deploy``.

    Parameters
    ----------
    name
        ``"engine"``.
    default
        What it is if not given.
    kind
        Its type; None if no text can be turned into it.
    choices
        All texts that it can be; empty if there are too many to list.
    help
        Its part of the docstring, in one line.
    """

    name: str
    default: Any
    kind: type | None
    choices: tuple[str, ...] = ()
    help: str = ""

    def parse(self, text: str) -> Any:
        """The value that ``text`` stands for.

        Raises
        ------
        SpecError
            It stands for none.

        >>> TargetOption("bits", 8, int).parse("4")
        4
        """
        if self.choices and text not in self.choices:
            raise self._wrong(text, " or ".join(self.choices))
        if self.kind is bool:
            if text.lower() not in (*YES, *NO):
                raise self._wrong(text, "yes or no")
            return text.lower() in YES
        kind = self.kind or str
        try:
            return kind(text)
        except ValueError:
            raise self._wrong(text, WORDS.get(kind, kind.__name__)) from None

    def _wrong(self, text: str, expected: str) -> SpecError:
        return SpecError(self.name, got=repr(text), expected=expected, fix="correct the value")


WORDS: dict[type, str] = {int: "a whole number", float: "a number"}


def options_of(target: Target) -> dict[str, TargetOption]:
    """A target's own options by name, in the order of its signature."""
    signature = inspect.signature(target.deploy)
    texts = parameter_texts(inspect.getdoc(type(target).deploy) or "")
    found = {}
    for name, parameter in signature.parameters.items():
        if name in COMMON or parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        kind, choices = _kind(parameter.annotation, target.deploy)
        found[name] = TargetOption(name, parameter.default, kind, choices, texts.get(name, ""))
    return found


def check_options(target: Target, given: Mapping[str, Any]) -> None:
    """Refuse an option that ``target`` does not have; a ``deploy`` with ``**`` takes any.

    Raises
    ------
    TargetError
        With the options that it has.
    """
    parameters = inspect.signature(target.deploy).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return
    known = options_of(target)
    for name in given:
        if name not in known:
            raise TargetError(
                f"option {name} of target {target.name}",
                got=repr(given[name]),
                expected=f"one of its options: {', '.join(known)}" if known else "no option",
                fix="leave it out",
            )


def parameter_texts(docstring: str) -> dict[str, str]:
    """The section *Parameters* of a docstring in NumPy's style, by parameter.

    >>> parameter_texts(options_of.__doc__)
    {}
    """
    lines = docstring.splitlines()
    heads = [i for i, line in enumerate(lines) if set(line) == {"-"} and i > 0]
    begins = [i for i in heads if lines[i - 1] == "Parameters"]
    if not begins:
        return {}
    end = next((i - 1 for i in heads if i > begins[0]), len(lines))
    texts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines[begins[0] + 1 : end]:
        if line and not line[0].isspace():
            names = [name.strip() for name in line.partition(":")[0].split(",")]
        else:
            for name in names:
                texts.setdefault(name, []).append(line.strip())
    return {name: " ".join(" ".join(text).split()).replace("`", "") for name, text in texts.items()}


def _kind(annotation: Any, deploy: Callable[..., Any]) -> tuple[type | None, tuple[str, ...]]:
    """Type and choices of an annotation, which may be text."""
    if annotation is inspect.Parameter.empty:
        return None, ()
    home = getattr(inspect.unwrap(deploy), "__globals__", {})
    try:
        holder = SimpleNamespace(__annotations__={"it": annotation})
        hint = get_type_hints(holder, dict(home))["it"]
    except Exception:  # A name that only a type checker knows.
        return None, ()
    if get_origin(hint) in (Union, UnionType):
        rest = [part for part in get_args(hint) if part is not NoneType]
        hint = rest[0] if len(rest) == 1 else None
    if get_origin(hint) is Literal:
        values = get_args(hint)
        return (str, values) if all(isinstance(value, str) for value in values) else (None, ())
    return (hint, ()) if hint in READABLE else (None, ())
