"""A table that leaves columns out where a terminal has no room for them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text


class FittingTable(Table):
    """Leaves columns out, one after another, until the rest fits; the caption names them.

    Parameters
    ----------
    details
        Headings of what may be left out, the first to go first.
    options
        Those of `rich.table.Table`.
    """

    def __init__(self, details: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.details = details

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        narrow, left_out = copy(self), []
        unbounded = options.update(max_width=1_000)
        for heading in self.details:
            if Table.__rich_measure__(narrow, console, unbounded).maximum <= options.max_width:
                break
            if any(str(column.header) == heading for column in narrow.columns):
                narrow.columns = [c for c in narrow.columns if str(c.header) != heading]
                left_out.append(heading)
        if left_out:
            said = f"In a wider terminal: {', '.join(reversed(left_out))}."
            narrow.caption = Text("\n").join(filter(None, (_text(self.caption), Text(said))))
        yield from super(FittingTable, narrow).__rich_console__(console, options)


def _text(caption: Any) -> Text | None:
    return caption if caption is None or isinstance(caption, Text) else Text(str(caption))
