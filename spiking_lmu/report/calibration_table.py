"""What a calibration tried, as a table."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.calibration import CalibrationResult
from spiking_lmu.analysis.tradeoff import Point


def calibration_table(result: CalibrationResult) -> Table:
    """A row for each rate in each round; the chosen row is marked."""
    found = result.search
    title = f"Calibration for {result.target} on {result.samples:,} training samples"
    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
        title_justify="left",
        title=Text(title, style="bold"),
    )
    for heading in ("", "Tried on", "Rates, Hz, or form"):
        shown.add_column(heading)
    for heading in ("Settle", "Filter", "Lost", "Error", "Spikes"):
        shown.add_column(heading, justify="right", no_wrap=True)
    levels = [form for form in found.forms if form.options.code == "level"]
    for form in (form for form in found.forms if form not in levels):
        shown.add_row("", f"{form.samples} samples", form.what, *_timing_cells(form.best))
    if found.forms:
        shown.add_section()
    for screened in found.screened:
        error = f"{screened.relative_error:.4f}"
        shown.add_row(
            "", "response curve", _rates(screened.rates), "", "", str(screened.lost), error, ""
        )
    for trials in found.rounds:
        shown.add_section()
        for trial in trials:
            chosen = trials is found.rounds[-1] and found.point in trial.points
            point = found.point if chosen else trial.best
            shown.add_row(
                "→" if chosen else "",
                f"{trial.samples} samples",
                _rates(trial.rates),
                *_timing_cells(point),
                style="bold" if chosen else "",
            )
    for form in levels:
        chosen = form.best == found.point
        shown.add_section()
        shown.add_row(
            "→" if chosen else "",
            f"{form.samples} samples",
            form.what,
            *_timing_cells(form.best),
            style="bold" if chosen else "",
        )
    return shown


def _timing_cells(point: Point) -> tuple[str, ...]:
    return (
        str(point.settle_steps),
        f"{1000 * point.readout_tau:g} ms",
        str(point.lost),
        f"{point.relative_error:.4f}",
        f"{point.spikes:,.0f}",
    )


def _rates(rates: dict[str, float]) -> str:
    values = [f"{rate:g}" for rate in rates.values()]
    if len(set(values)) <= 1:
        return values[0] if values else "as given"
    return ", ".join(f"{name} {value}" for name, value in zip(rates, values, strict=True))
