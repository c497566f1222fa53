"""The energy report as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from spiking_lmu.analysis.energy.report import RATE, EnergyReport, Entry

from .text import NONE, count, plain

if TYPE_CHECKING:
    from rich.table import Table

MEANING = (
    "Host: spikes that a host sends to a chip. Synops: effective accumulates. MACs: effective "
    "multiply-accumulates. Dense: both, zeros included. Updates: of neurons. Sparsity: of "
    "activations, by neurons."
)
#: Projections named as those with most operations.
LARGEST = 3
LEFT_OUT = "Estimates leave out memory traffic, input and output, and static power."
PREFIXES = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"), (1e-12, "pJ"))


def operations_table(report: EnergyReport) -> Table:
    """Operations of one sample, a row for each entry: synops are effective ACs."""
    table = _table("Operations of one sample", "Target")
    for heading in ("Spikes", "Host", "Synops", "MACs", "Dense", "Updates", "Sparsity"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in report.entries:
        operations = entry.operations
        table.add_row(
            plain(entry.label),
            amount(entry.spikes) if entry.samples else NONE,
            NONE if not operations.host_spikes else amount(operations.host_spikes),
            amount(operations.effective_acs),
            amount(operations.effective_macs),
            amount(operations.dense),
            amount(operations.neuron_updates),
            _share(operations.activation_sparsity),
        )
    return table


def energy_table(report: EnergyReport) -> Table:
    """Estimated energy of one sample, a row for each device and a column for each entry."""
    table = _table("Estimated energy of one sample", "Device")
    for entry in report.entries:
        table.add_column(plain(entry.label), justify="right")
    for device in rows_of(report):
        table.add_row(
            plain(device), *(joules(entry.joules.get(device)) for entry in report.entries)
        )
    return table


def rows_of(report: EnergyReport) -> list[str]:
    """Devices for which there is an estimate of any entry."""
    return list(dict.fromkeys(device for entry in report.entries for device in entry.joules))


def remarks(report: EnergyReport) -> list[str]:
    """Where the operations are done, sizes, and what the columns mean, in lines."""
    spiking = report.entries[0]
    rate = next(entry for entry in report.entries if entry.label == RATE)
    lines = [_largest(spiking), _largest(rate)]
    if spiking.operations.comparisons:
        lines.append(
            f"{plain(spiking.label)}: {amount(spiking.operations.comparisons)} comparisons on the "
            "host, of a value with a threshold; no multiplications"
        )
    lines += [_coding(entry) for entry in report.entries if entry.operations.host_spikes]
    uncounted = [
        plain(entry.label)
        for entry in report.entries
        if entry.samples and entry.operations.host_spikes is None
    ]
    if uncounted:
        lines.append(
            f"{', '.join(uncounted)}: spikes that a host sends to a chip were not counted; run "
            "compare again with another journal to count them"
        )
    lines += [_size("spiking model", spiking), _size(RATE, rate)]
    return [*lines, MEANING]


def _largest(entry: Entry) -> str:
    dense = entry.operations.dense
    rows = sorted(entry.operations.projections, key=lambda row: -row.dense)[:LARGEST]
    parts = [f"{plain(row.name)} {100 * row.dense / dense:.0f} %" for row in rows]
    return f"{plain(entry.label)}: most dense operations are in " + ", ".join(parts)


def _coding(entry: Entry) -> str:
    operations = entry.operations
    return (
        f"{plain(entry.label)}: {amount(operations.host_spikes or 0)} spikes from the host; those "
        f"that code numbers take {amount(operations.coding_synops)} synops on the chip and "
        f"{amount(operations.coding_updates)} updates of on/off neurons on the host"
    )


def _size(label: str, entry: Entry) -> str:
    return (
        f"{label}: {entry.parameters:,} parameters, footprint {entry.footprint:,} bytes in "
        f"float32, connection sparsity {entry.connection_sparsity:.3f}"
    )


def amount(value: float) -> str:
    """A count to three digits or more.

    >>> amount(0), amount(62_763), amount(313_835_622), amount(4.25e9)
    ('0', '62,763', '313.8 M', '4,250.0 M')
    """
    if value >= 1e6:
        return f"{value / 1e6:,.1f} M"
    return count(value) if value else "0"


def joules(value: float | None) -> str:
    """Three digits and a prefix.

    >>> joules(0.00086), joules(5.4072e-9), joules(0.0), joules(None)
    ('860 µJ', '5.41 nJ', '0 J', '–')
    """
    if value is None:
        return NONE
    if value == 0:
        return "0 J"
    scale, unit = next((p for p in PREFIXES if value >= p[0] * 0.9995), PREFIXES[-1])
    number = value / scale
    digits = 0 if number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:,.{digits}f} {unit}"


def as_json(report: EnergyReport) -> dict[str, Any]:
    """All numbers, JSON-safe; operations and joules are for one sample."""
    return {
        "schema": "spiking-lmu energy",
        "schema_version": 1,
        "left_out": LEFT_OUT,
        "entries": [_entry(entry) for entry in report.entries],
        "devices": [asdict(device) for device in report.devices],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    operations = entry.operations
    totals = {
        "dense": operations.dense,
        "effective_macs": operations.effective_macs,
        "effective_acs": operations.effective_acs,
        "comparisons": operations.comparisons,
        "neuron_updates": operations.neuron_updates,
    }
    document = asdict(entry)
    document["operations"] |= totals
    return document


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _table(title: str, first: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
        title=Text(title, style="bold"),
        title_justify="left",
    )
    table.add_column(first, overflow="fold")
    return table
