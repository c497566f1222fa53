"""What every result can do: show itself, in a notebook, a terminal, a file or a table."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from spiking_lmu.errors import missing_extra

#: Where it is said how each kind of result is shown.  Found by name when something is shown, as
#: targets are: results know nothing of reports, and reports all about results.
VIEWS = "spiking_lmu.report.views"


class Result:
    """A result that shows itself; the base of all that the API returns.

    The last line of a notebook's cell shows it, as its name does at Python's prompt and
    ``print`` everywhere.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A dataclass would write out all arrays; it leaves what is there already.
        cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def to_rich(self) -> Any:
        """For a terminal: something that rich prints."""
        return import_module(VIEWS).as_rich(self)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in types that JSON has."""
        found: dict[str, Any] = import_module(VIEWS).as_dict(self)
        return found

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """All numbers as strict JSON; written to ``path`` if it is given."""
        return self._written(import_module(VIEWS).as_json(self), path)

    def to_markdown(self, path: str | PathLike[str] | None = None) -> str:
        """The tables as Markdown; written to ``path`` if it is given."""
        return self._written(import_module(VIEWS).as_markdown(self), path)

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """A page of its own, without scripts; written to ``path`` if it is given."""
        return self._written(import_module(VIEWS).as_html(self), path)

    def to_svg(self, path: str | PathLike[str] | None = None) -> str:
        """Its picture, where it has one; written to ``path`` if it is given.

        Raises
        ------
        SpecError
            It has none.
        """
        return self._written(import_module(VIEWS).as_svg(self), path)

    def to_dataframe(self) -> Any:
        """The rows of the table as a ``pandas.DataFrame``, where pandas is installed.

        Raises
        ------
        MissingExtraError
            It is not.
        """
        try:
            import pandas
        except ImportError as error:
            raise missing_extra("to_dataframe", "pandas", "pandas") from error
        return pandas.DataFrame(import_module(VIEWS).as_rows(self))

    def _written(self, text: str, path: str | PathLike[str] | None) -> str:
        if path is not None:
            from spiking_lmu.files.writing import write_atomically

            with write_atomically(Path(path)) as file:
                file.write(text.encode("utf-8", "replace"))
        return text

    def _repr_html_(self) -> str:
        found: str = import_module(VIEWS).as_fragment(self)
        return found

    def __repr__(self) -> str:
        return str(self)

    def __rich__(self) -> Any:
        return self.to_rich()

    def __str__(self) -> str:
        found: str = import_module(VIEWS).as_text(self)
        return found
