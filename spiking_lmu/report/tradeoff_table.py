"""A trade-off as a table: each timing that keeps more than all faster ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.tradeoff import CHOICES, Tradeoff, pareto_front, pick

from .text import column_heads, count, plain, points


def tradeoff_table(tradeoff: Tradeoff) -> Table:
    """The Pareto front of steps and the metric, with the three choices marked."""
    metric = tradeoff.metric
    late = any(point.late for point in tradeoff.points)
    title = f"{plain(tradeoff.model)} on {tradeoff.target}, {tradeoff.samples:,} samples"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title),
        title_justify="left",
        pad_edge=False,
        caption=Text("Timings that are better than all faster ones, and the choices."),
        caption_justify="left",
    )
    table.add_column("Settle")
    head, difference = column_heads(metric)
    heads = ("Right" if metric.name == "accuracy" else head, difference)
    for heading in ("Filter", "Steps", *heads, "Error", *["Late"] * late, "Spikes", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    chosen = {how: pick(tradeoff.points, how) for how in CHOICES}
    shown = [*pareto_front(tradeoff.points), *chosen.values()]
    for point in sorted(dict.fromkeys(map(tradeoff.points.index, shown))):
        one = tradeoff.points[point]
        table.add_row(
            str(one.settle_steps),
            f"{1000 * one.readout_tau:g} ms",
            f"{one.steps:,.10g}",
            f"{100 * one.value:.1f} %" if metric.points else f"{one.value:.3g}",
            points(one.paired),
            f"{one.relative_error:.4f}",
            *[str(one.late)] * late,
            count(one.spikes),
            ", ".join(how for how, best in chosen.items() if best is one),
        )
    return table


def tradeoff_rows(tradeoff: Tradeoff) -> list[dict[str, Any]]:
    """A row for each timing."""
    rows = []
    for point in tradeoff.points:
        row = asdict(point)
        row |= {f"joules {device}": value for device, value in row.pop("joules").items()}
        row |= {"points": row.pop("paired")["difference"], "metric": point.metric.name}
        rows.append(row)
    return rows
