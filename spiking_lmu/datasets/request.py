"""A data set's name in its parts, as every source gets it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spiking_lmu.errors import DatasetError
from spiking_lmu.graph.task import Task

#: Options that every source of arrays takes; the rest are its own.
COMMON = frozenset({"task", "test", "seed", "dt"})


@dataclass(frozen=True)
class Request:
    """A data set's name in its parts.

    Parameters
    ----------
    name
        As it was given.
    argument
        What follows the source's name and a colon; or the path of a file.
    options
        What follows the question mark, by key.
    folder
        Where files of a known data set are, if that was said.
    """

    name: str
    argument: str = ""
    options: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def require(self, allowed: Collection[str], *, argument: bool) -> None:
        """Raise a DatasetError for other options, or an argument too many or few."""
        unknown = sorted(set(self.options) - set(allowed))
        if unknown:
            expected = "one of " + ", ".join(sorted(allowed)) if allowed else "no options"
            raise DatasetError(
                f"option of data {self.name!r}",
                got=repr(unknown[0]),
                expected=expected,
                fix="leave it out",
            )
        if bool(self.argument) != argument:
            source = self.name.partition("?")[0].partition(":")[0]
            raise DatasetError(
                "data",
                got=repr(self.name),
                expected=f"{source}:NAME" if argument else source,
                fix="correct the name",
            )

    def whole(self, key: str, default: int) -> int:
        """A whole number among the options."""
        return int(self.number(key, default, whole=True))

    def number(self, key: str, default: float, *, whole: bool = False) -> float:
        """A number among the options.

        Raises
        ------
        DatasetError
            It is none.
        """
        text = self.options.get(key)
        if text is None:
            return default
        try:
            return int(text) if whole else float(text)
        except ValueError as error:
            raise DatasetError(
                f"{key} of data {self.name!r}",
                got=repr(text),
                expected="a whole number" if whole else "a number",
                fix="correct it",
            ) from error

    @property
    def arrays(self) -> dict[str, Any]:
        """The options of :data:`COMMON` as :func:`.arrays.from_arrays` takes them."""
        chosen: dict[str, Any] = {"seed": self.whole("seed", 0)}
        if "task" in self.options:
            chosen["task"] = Task.parse(self.options["task"])
        if "test" in self.options:
            chosen["test_share"] = self.number("test", 0.0)
        if "dt" in self.options:
            chosen["dt"] = self.number("dt", 1.0)
        return chosen
