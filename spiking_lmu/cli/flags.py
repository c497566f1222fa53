"""Errors of the library in the words of the command line: ``max_rate`` becomes ``--max-rate``."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Mapping

from .arguments import DEST


def flags_of(parser: ArgumentParser) -> dict[str, str]:
    """The options of a command by the name of the parameter that each stands for."""
    return {
        action.dest.removeprefix(DEST): max(action.option_strings, key=len)
        for action in parser._actions
        if action.option_strings
    }


def in_flags(text: str, flags: Mapping[str, str]) -> str:
    """``text`` with the options of a command in the place of parameters.

    A parameter is known by its value (``samples=100``), by an underscore in its name, or by
    standing alone before the colon of an error; ``fine_tune`` becomes its command.  Other words
    stay as they are.

    >>> flags = {"max_rate": "--max-rate", "seed": "--seed", "calibrate": "--calibrate"}
    >>> in_flags("seed: got -1, expected a seed of at least 0; try seed=1", flags)
    '--seed: got -1, expected a seed of at least 0; try --seed 1'
    >>> in_flags("lower max_rate, or pass calibrate=True", flags)
    'lower --max-rate, or pass --calibrate'
    >>> in_flags("name training data with data=, or try seed=", {**flags, "data": "--data"})
    'name training data with --data, or try --seed'
    >>> in_flags("try fine_tune(model, data, noise=0.05)", {"noise": "--noise"})
    'try spiking-lmu tune MODEL --data DATA -o TUNED --noise 0.05'
    >>> in_flags("got 'lif' with memory='line'; or memory='host'", {"memory": "--memory"})
    "got 'lif' with --memory line; or --memory host"
    """
    tune = r"spiking-lmu tune MODEL --data DATA -o TUNED \1"
    text = re.sub(r"\bfine_tune\(model, data, ([^()]*)\)", tune, text)
    names = "|".join(sorted(map(re.escape, flags), key=len, reverse=True))
    if not names:
        return text
    text = re.sub(
        rf"\b({names})=(True\b ?|'[\w.-]+'|(?=[\s,;)]|$))?",
        lambda m: _with_value(flags[m[1]], m[2]),
        text,
    )
    subject, colon, rest = text.partition(":")
    if colon and all(name in flags for name in subject.split(", ")):
        text = ", ".join(flags[name] for name in subject.split(", ")) + colon + rest
    return re.sub(rf"(?<![-\w.])({names})(?![\w.])", lambda m: _with_score(m[1], flags), text)


def _with_value(flag: str, value: str | None) -> str:
    if value is None:
        return f"{flag} "
    return f"{flag} {value[1:-1]}" if value.startswith("'") else flag + " " * value.endswith(" ")


def _with_score(name: str, flags: Mapping[str, str]) -> str:
    return flags[name] if "_" in name else name
