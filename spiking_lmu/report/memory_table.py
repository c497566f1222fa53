"""The choices for a network's memory, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.memories import MemoryChoice, TriedMemory
from spiking_lmu.analysis.metrics import METRIC, signed

from .energy_table import amount, joules
from .text import NONE, plain

RULE = (
    "Of all that lose at most {tolerate:g} {unit}, the one that takes least energy, chip and the "
    "cheapest host together, by published figures; if none does, the one that loses least."
)


#: What the energy is made of; a terminal of 80 columns has no room for it.
DETAILS = ("Synops", "MACs", "Updates")


class Fitting(Table):
    """A table that leaves `DETAILS` out, and says so, where they do not fit."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        unbounded = options.update(max_width=1_000)
        if self.__rich_measure__(console, unbounded).maximum <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        narrow = copy(self)
        narrow.columns = [column for column in self.columns if column.header not in DETAILS]
        left_out = f" {', '.join(DETAILS)}: in a wider terminal."
        narrow.caption = Text.assemble(self.caption or "", left_out)
        yield from super(Fitting, narrow).__rich_console__(console, options)


def memory_table(choice: MemoryChoice) -> Table:
    """A row for each place; the chosen one is marked."""
    metric = METRIC[choice.metric]
    rate = f"{100 * choice.rate:.1f} %" if metric.points else f"{choice.rate:.4f}"
    shown = Fitting(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        title=Text(
            f"Where the memory is kept: {choice.samples:,} samples of {plain(choice.data)} on "
            f"{choice.target}; the rate model has {rate}",
            style="bold",
        ),
        title_justify="left",
        caption=Text(
            RULE.format(
                tolerate=choice.tolerate, unit="points" if metric.points else "% of its error"
            )
        ),
        caption_justify="left",
    )
    shown.add_column("", no_wrap=True)
    shown.add_column("Memory")
    label = metric.label[0].upper() + metric.label[1:]
    shown.add_column(label, justify="right", no_wrap=True)
    for heading in ("Lost", "Spikes", "Synops", "MACs", "Updates", "Cores", "Steps", "Energy"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for tried in choice.tried:
        chosen = tried is choice.chosen
        shown.add_row(
            "→" if chosen else "",
            tried.what,
            *_cells(tried, metric.points),
            style="bold" if chosen else "",
        )
    return shown


def why_not(choice: MemoryChoice) -> list[str]:
    """A line for each place that could not be tried."""
    return [f"{tried.what}: {plain(tried.problem)}" for tried in choice.tried if tried.problem]


def _cells(tried: TriedMemory, points: bool) -> tuple[str, ...]:
    if tried.score is None or tried.low is None or tried.high is None or tried.loss is None:
        return (NONE,) * 9
    factor, digits, unit = (100.0, 1, " %") if points else (1.0, 4, "")
    ends = f"({factor * tried.low:.{digits}f}–{factor * tried.high:.{digits}f})"
    return (
        f"{factor * tried.score:.{digits}f}{unit} {ends}",
        signed(tried.loss),
        *(amount(value or 0.0) for value in (tried.spikes, tried.synops, tried.macs)),
        amount(tried.updates or 0.0),
        str(tried.cores or NONE),
        NONE if tried.steps is None else f"{tried.steps:,}",
        joules(tried.energy),
    )


def as_json(choice: MemoryChoice) -> dict[str, Any]:
    """All numbers, JSON-safe."""
    numbers = {k: v for k, v in vars(choice).items() if k not in ("model", "tried", "chosen")}
    return {
        **numbers,
        "schema": "spiking-lmu memory choice",
        "schema_version": 1,
        "chosen": choice.chosen.what,
        "summary": choice.summary,
        "tried": memory_rows(choice),
    }


def memory_rows(choice: MemoryChoice) -> list[dict[str, Any]]:
    """A row for each place."""
    return [
        {"what": t.what, **asdict(t), "energy": t.energy, "chosen": t is choice.chosen}
        for t in choice.tried
    ]
