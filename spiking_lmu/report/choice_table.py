"""The candidates among which a conversion was chosen, as a table."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.choice import Choice

from .text import NONE, count


def choice_table(choice: Choice) -> Table:
    """A candidate a row, in the order in which they were tried."""
    of_classes = choice.expected.agreement is not None
    title = "Conversions tried on training samples"
    table = Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", pad_edge=False)
    table.add_column("Candidate")
    table.add_column("Tried on")
    loss = "Points lost (95 %)" if of_classes else "Error grows by % (95 %)"
    for heading in ("Samples", "Alike", loss, "Steps", "Spikes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in choice.tried:
        cells = [one.what, one.where, f"{one.samples:,}"]
        cells.append(NONE if one.agreement is None else f"{100 * one.agreement:.1f} %")
        cells.append(f"{one.loss:+.1f} ({one.low:+.1f} to {one.high:+.1f})")
        cells += [f"{one.steps:,}", count(one.spikes)]
        style = "bold" if one == choice.expected else "" if one.passed else "dim"
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table
