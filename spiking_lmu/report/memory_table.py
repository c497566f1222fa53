"""The choices for a network's memory, as a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.memories import MemoryChoice, TriedMemory
from spiking_lmu.analysis.metrics import METRIC, signed

from .energy_table import amount, joules
from .fitting_table import FittingTable
from .text import NONE, plain

RULE = (
    "Of all that lose at most {tolerate:g} {unit}, the one that takes least energy, chip and the "
    "cheapest host together, by published figures; if none does, the one that loses least."
)


#: What the energy is made of; a terminal of 80 columns has no room for it.
DETAILS = ("Updates", "MACs", "Synops")


def memory_table(choice: MemoryChoice) -> Table:
    """A row for each place; the chosen one is marked."""
    metric = METRIC[choice.metric]
    rate = f"{100 * choice.rate:.1f} %" if metric.points else f"{choice.rate:.4f}"
    shown = FittingTable(
        DETAILS,
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
    """A line for each reason why places could not be tried, with the places before it."""
    places: dict[str, list[str]] = {}
    for tried in choice.tried:
        if tried.problem:
            places.setdefault(tried.problem, []).append(tried.what)
    return [f"{'; '.join(names)}: {plain(problem)}" for problem, names in places.items()]


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
