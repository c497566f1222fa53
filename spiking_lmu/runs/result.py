"""What every result can do: show itself, in a notebook, a terminal, a file or a table."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, overload

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

    @overload
    def to_json(self, path: None = None) -> str: ...
    @overload
    def to_json(self, path: str | PathLike[str]) -> None: ...
    def to_json(self, path: str | PathLike[str] | None = None) -> str | None:
        """All numbers as strict JSON; with ``path`` written there, and nothing comes back."""
        return self._written(import_module(VIEWS).as_json(self), path)

    @overload
    def to_markdown(self, path: None = None) -> str: ...
    @overload
    def to_markdown(self, path: str | PathLike[str]) -> None: ...
    def to_markdown(self, path: str | PathLike[str] | None = None) -> str | None:
        """The tables as Markdown; with ``path`` written there, and nothing comes back."""
        return self._written(import_module(VIEWS).as_markdown(self), path)

    @overload
    def to_html(self, path: None = None) -> str: ...
    @overload
    def to_html(self, path: str | PathLike[str]) -> None: ...
    def to_html(self, path: str | PathLike[str] | None = None) -> str | None:
        """A page of its own, without scripts; with ``path`` written there, and nothing comes back.

        So the last line of a notebook's cell may write a page and show none of its source.
        """
        return self._written(import_module(VIEWS).as_html(self), path)

    @overload
    def to_svg(self, path: None = None) -> str: ...
    @overload
    def to_svg(self, path: str | PathLike[str]) -> None: ...
    def to_svg(self, path: str | PathLike[str] | None = None) -> str | None:
        """Its picture, where it has one; with ``path`` written there, and nothing comes back.

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

    def _written(self, text: str, path: str | PathLike[str] | None) -> str | None:
        """The text; or nothing once it is in the file at ``path``."""
        if path is None:
            return text
        from spiking_lmu.files.writing import write_atomically

        with write_atomically(Path(path)) as file:
            file.write(text.encode("utf-8", "replace"))
        return None

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
