"""What a ladder says, as tables for a terminal, sentences, and JSON-safe values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spiking_lmu.analysis.explain.advice import Advice
from spiking_lmu.analysis.explain.ladder import Ladder, Step
from spiking_lmu.analysis.explain.layers import HiddenLayer
from spiking_lmu.analysis.metrics import Metric, metric_of

from .text import plain, points, signed

if TYPE_CHECKING:
    from rich.table import Table

Array = np.ndarray
BARS = "▁▂▃▄▅▆▇█"


def verdict(ladder: Ladder) -> str:
    """The finding in one sentence."""
    last, blamed = ladder.steps[-1], ladder.blamed
    assert last.total is not None
    n, total, metric = last.total.n, last.total, ladder.metric
    whole, unit = metric.points, f" {metric.unit}"
    low, high = (signed(end, n, whole) for end in (total.low, total.high))
    interval = f"(95 % interval {low} to {high})"
    told = f"{ladder.target} against the rate model: {signed(total.difference, n, whole)}{unit}"
    if last.late:
        told += f", with answers that come {inputs_late(last.late)} late,"
    if blamed is None:
        text = f"{told} {interval} on {n:,} samples: no rung loses more than chance explains."
        if ladder.suspected is not None:
            return f"{text} But the outputs move far on the rung “{ladder.suspected.name}”."
        wide = whole and total.low < -1
        return f"{text} Use more samples to see smaller losses." if wide else text
    assert blamed.step is not None
    if blamed.loses:
        lost = f"{signed(blamed.step.difference, n, whole)}{unit}"
        return f"{told} {interval}. Most is lost on the rung “{blamed.name}”: {lost}."
    where = f"the outputs change most on the rung “{blamed.name}”"
    return f"{told} {interval}. No single rung explains it; {where}."


def rung_heads(ladder: Ladder) -> tuple[str, str]:
    """Headings of the metric and of its difference to the rung before."""
    metric = ladder.metric
    if metric.name == "accuracy":
        return "Right", "Points to the rung before"
    label = metric.label[0].upper() + metric.label[1:]
    return label, f"{'Points' if metric.points else label} to the rung before"


def worth(step: Step) -> str:
    """The metric of a rung: ``97.5 %``, ``0.0481``; and how late its answers are."""
    number = amount(step.value, metric_of(step.score))
    return f"{number}, {inputs_late(step.late)} late" if step.late else number


def amount(value: float, metric: Metric) -> str:
    """``97.5 %``, ``0.0481``."""
    return f"{100 * value:.1f} %" if metric.points else f"{value:.3g}"


def inputs_late(inputs: int) -> str:
    """``1 input``, ``3 inputs``."""
    return "1 input" if inputs == 1 else f"{inputs} inputs"


def ladder_table(ladder: Ladder) -> Table:
    """One row a rung."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    n = len(ladder.indices)
    title = f"{plain(ladder.model)}, from the rate model to {ladder.target}: {n:,} samples"
    table = Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", pad_edge=False)
    table.add_column("Rung")
    for heading in (*rung_heads(ladder), "Output error"):
        table.add_column(heading, justify="right", no_wrap=True)
    suspected = ladder.suspected
    for step in ladder.steps:
        style = "bold red" if step is suspected else ""
        cells = [step.name, worth(step), points(step.step), f"{step.error:.1%}"]
        table.add_row(*(Text(plain(cell), style=style) for cell in cells))
    return table


def layer_tables(ladder: Ladder) -> list[Table]:
    """A table for each layer, one row a rung."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    tables = []
    for i, name in enumerate(layer.name for layer in ladder.steps[-1].layers):
        table = Table(
            box=box.SIMPLE_HEAD,
            title=Text(f"Layer {plain(name)} at the last step"),
            title_justify="left",
            pad_edge=False,
            padding=0,
        )
        table.add_column("Rung", no_wrap=True)
        for heading in layer_heads(ladder)[1:]:
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("0 to max", no_wrap=True)
        for step in ladder.steps:
            if not step.layers:  # without spikes
                continue
            layer = step.layers[i]
            cells = [*layer_cells(step, layer, ladder.metric), sparkline(layer.histogram)]
            table.add_row(*(Text(cell) for cell in cells))
        tables.append(table)
    return tables


def layer_heads(ladder: Ladder) -> list[str]:
    """Of the table of layers."""
    heads = ["Rung", "r", "Error", "Silent", "Saturated", "Mean", "Max Hz"]
    return [*heads, "From here", "Output error"] if _goes_on(ladder.steps[-1]) else heads


def _goes_on(step: Step) -> bool:
    """Whether there is a layer of which the rate network could go on."""
    return any(layer.onward_error is not None for layer in step.layers)


def layer_cells(step: Step, layer: HiddenLayer, metric: Metric) -> list[str]:
    """A row of the table of layers, as text."""
    onward = ["–", "–"] if _goes_on(step) else []
    if layer.onward_value is not None and layer.onward_error is not None:
        onward = [amount(layer.onward_value, metric), f"{layer.onward_error:.1%}"]
    return [
        plain(step.name),
        f"{layer.correlation:.3f}",
        f"{layer.relative_error:.1%}",
        f"{layer.silent:.0%}",
        f"{layer.saturated:.0%}",
        f"{layer.mean_rate:,.0f}",
        f"{layer.highest_rate:,.0f}",
        *onward,
    ]


def sparkline(histogram: Array) -> str:
    """Counts as bars of text, two bins in one, on a scale of logarithms; nothing for none.

    >>> sparkline(np.array([900, 100, 3, 0, 0, 0]))
    '█▂ '
    """
    counts = histogram.reshape(-1, 2).sum(axis=1)
    height = np.log1p(counts) / np.log1p(max(int(counts.max()), 1))
    bars = np.ceil(height * len(BARS)).astype(int)
    return "".join(BARS[bar - 1] if bar else " " for bar in bars)


def changes(ladder: Ladder) -> str:
    """What is new on each rung."""
    return "\n".join(f"{plain(step.name)}: {plain(step.change)}" for step in ladder.steps)


MEANING = (
    "Points, or units of the metric: paired, with a 95 % interval for each rung by itself, not "
    "corrected for the number of rungs: Newcombe's for accuracy of one decision a sample, else "
    "resampled. Output error: RMS distance from the rate model's outputs, over their spread. "
    "r, error: of a layer's decoded activity with the rate network's. Rates: of the steps at the "
    "end. Silent: neurons that fire for no sample. Saturated: at 95 % of the highest possible rate "
    "in 1 % of the samples or more. From here: what the rate network gives that goes on from this "
    "layer's activity, with all errors up to this layer and none that come later."
)


def as_json(ladder: Ladder, advice: tuple[Advice, ...]) -> dict[str, Any]:
    """JSON-safe: everything but the outputs."""
    return {
        "schema": "spiking-lmu ladder",
        "schema_version": 2,
        "model": ladder.model,
        "target": ladder.target,
        "data": ladder.data,
        "metric": ladder.metric.name,
        "samples": len(ladder.indices),
        "verdict": verdict(ladder),
        "blamed": None if ladder.blamed is None else ladder.blamed.name,
        "suspected": None if ladder.suspected is None else ladder.suspected.name,
        "rungs": [_rung(step, ladder) for step in ladder.steps],
        "advice": [
            {"rung": a.rung, "finding": a.finding, "fix": a.fix, "options": a.options}
            for a in advice
        ],
        "provenance": ladder.provenance,
    }


def _rung(step: Step, ladder: Ladder) -> dict[str, Any]:
    score = vars(step.score) | {"value": step.value}
    return {
        "name": step.name,
        "change": step.change,
        "score": score,
        "late": step.late,
        "step": None if step.step is None else vars(step.step),
        "total": None if step.total is None else vars(step.total),
        "output_error": step.error,
        "layers": [
            {
                **vars(layer),
                "ceiling": layer.ceiling if layer.ceiling < float("inf") else None,
                "histogram": layer.histogram.tolist(),
                "edges": layer.edges.tolist(),
            }
            for layer in step.layers
        ],
    }
