"""The comparison as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.metrics import METRIC

from .rows import HOST_SPIKES, RATE, Row, rows, with_host_spikes
from .text import column_heads, count, plain, speed, value
from .words import difference, headline, late, method, p_value, stopping, verification

if TYPE_CHECKING:
    from rich.table import Table

#: What may be left out for want of room, the first to go first.
DETAILS = ("n/s", "p", "Host", "Spikes", "n")


def to_rich(comparison: Comparison) -> Table:
    """The table for a terminal; one of 80 columns may show it without `DETAILS`.

    Raises
    ------
    SpecError
        As `rows`.
    """
    from rich import box
    from rich.text import Text

    from .fitting_table import FittingTable

    table_rows = rows(comparison)
    table = FittingTable(
        DETAILS,
        box=box.SIMPLE_HEAD,
        padding=0,
        title=Text(headline(table_rows), style="bold"),
        title_justify="left",
        caption=Text(_caption(comparison, table_rows)),
        caption_justify="left",
        pad_edge=False,
    )
    table.add_column(Text("Model and\ntarget"), min_width=10, max_width=24, overflow="fold")
    metric = METRIC[comparison.task.metric]
    sent = with_host_spikes(table_rows)
    for heading in ("n", *column_heads(metric), "p", "Spikes", *["Host"] * sent, "n/s"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    style = {"lost": "red", "gained": "green", "absent": "yellow", "kept": "green"}
    model = None
    for row in table_rows:
        if row.model != model:
            model = row.model
            table.add_row(Text(model, style="bold"), *[""] * (6 + sent))
        label = Text("rate model" if row.target == RATE else row.target)
        cells = [_samples(row), _interval(row), difference(row), p_value(row)]
        cells += [count(row.spikes_per_sample)]
        cells += [count(row.host_spikes_per_sample)] * sent
        cells += [speed(row.samples_per_second)]
        table.add_row(label, *(Text(c, style=style.get(row.verdict, "")) for c in cells))
    return table


def _samples(row: Row) -> str:
    return f"{row.n:,}/{row.wanted:,}" if row.partial else f"{row.n:,}"


def _interval(row: Row) -> str:
    if row.score is None:
        return "did not run"
    return value(row.score).replace(" %", "")


def _caption(comparison: Comparison, table_rows: tuple[Row, ...]) -> str:
    lines = [
        f"{plain(comparison.data)}: {len(comparison.indices):,} of "
        f"{comparison.data_size:,} samples. In brackets: 95 % intervals.",
        "Spikes: of all neurons in one sample. n/s: samples a second.",
        *[HOST_SPIKES] * with_host_spikes(table_rows),
        *method(table_rows),
    ]
    neurons = {row.model: row.neuron for row in table_rows if row.target != RATE}
    lines += [f"{model}: {neuron} neurons" for model, neuron in neurons.items()]
    for row in table_rows:
        said = filter(None, (late(row), stopping(row), verification(row), row.problem))
        lines += [f"{row.model} on {row.target}: {text}" for text in said]
    lines += [
        f"{plain(outcome.model)} on {plain(outcome.target)}: {plain(note)}"
        for outcome in comparison.outcomes
        for note in outcome.notes
    ]
    lines += [
        f"{plain(name)} did not run: {plain(why)}" for name, why in comparison.missing.items()
    ]
    lines += [plain(remark) for remark in comparison.remarks]
    return "\n".join(lines)
