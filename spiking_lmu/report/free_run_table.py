"""How long a network that sees its own predictions stays near a series: table and picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.free_run import FORCED, LOST, PERSISTENCE, RATE_NAME, Estimate, FreeRun

from .canvas import BLUE, GREY, INK, PALE, VERMILLION, as_file, new_figure, style, to_svg
from .fitting_table import FittingTable
from .text import NONE, count, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Steps after the prompt at which errors are shown, as far as they were run.
SHOWN_STEPS = (1, 10, 50, 100, 200, 500, 1000)
COLOURS = {PERSISTENCE: PALE, FORCED: GREY, RATE_NAME: BLUE}


def headline(found: FreeRun) -> str:
    """How long it stayed near."""
    valid = found.valid(found.target)
    return (
        f"{plain(found.model)} on {found.target}, left to its own predictions: within {LOST:g} "
        f"standard deviations for {interval(valid, '.0f')} of {found.steps:,} steps"
    )


def interval(estimate: Estimate, form: str) -> str:
    """A mean with the ends of its interval, if there is one."""
    value, low, high = (f"{v:{form}}" for v in (estimate.value, estimate.low, estimate.high))
    return value if low == "nan" else f"{value} ({low}–{high})"


def shown_steps(found: FreeRun) -> list[int]:
    """Those of :data:`SHOWN_STEPS` that were run, and at least the first."""
    return [step for step in SHOWN_STEPS if step <= found.steps]


def free_run_table(found: FreeRun) -> Table:
    """A row for the target and for each of what stands beside it."""
    series = f"{len(found.truth):,} series of {plain(found.data)}"
    title = f"{plain(found.model)}: {series}, {found.prompt:,} inputs seen"
    errors = [f"Error at {step:,}" for step in shown_steps(found)]
    table = FittingTable(
        ("Spikes", *errors[1:-1], *errors[:1], *errors[1:][-1:]),
        box=box.SIMPLE_HEAD,
        title=Text(title),
        title_justify="left",
        pad_edge=False,
        caption=Text(
            f"Steps until the error is more than {LOST:g} of the standard deviation, the mean over "
            "series (95 %); error in standard deviations so many steps after the prompt."
        ),
        caption_justify="left",
    )
    table.add_column("", no_wrap=True)
    table.add_column("Steps near", justify="right", no_wrap=True)
    for heading in errors:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Spikes", justify="right", no_wrap=True)
    for name in found.predictions:
        values = [f"{found.nrmse(name, step).value:.3g}" for step in shown_steps(found)]
        spikes = count(found.spikes) if name == found.target else NONE
        cells = [name, interval(found.valid(name), ".0f"), *values, spikes]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def free_run_rows(found: FreeRun) -> list[dict[str, Any]]:
    """A row for each of the predictions."""
    rows = []
    for name in found.predictions:
        valid = found.valid(name)
        row = {"predictions": name, "n": valid.n, "steps_near": valid.value}
        row |= {"steps_near_low": valid.low, "steps_near_high": valid.high}
        for step in shown_steps(found):
            error = found.nrmse(name, step)
            row |= {f"nrmse_{step}": error.value, f"nrmse_{step}_low": error.low}
            row |= {f"nrmse_{step}_high": error.high}
        rows.append(row)
    return rows


def as_json(found: FreeRun) -> dict[str, Any]:
    """All numbers but the series themselves."""
    names = ("model", "data", "target", "prompt", "steps", "spikes", "host_spikes")
    record = {name: getattr(found, name) for name in (*names, "steps_per_input", "verified")}
    return record | {"lost_above": LOST, "rows": free_run_rows(found)}


def draw_free_run(found: FreeRun) -> str:
    """The first series and how each went on, as an SVG file."""
    with style():
        return as_file(to_svg(_figure(found), "free-run", headline(found)))


def _figure(found: FreeRun) -> Figure:
    figure, axes = new_figure(7.0, 2.6)
    steps = range(1, found.steps + 1)
    axes.plot(steps, found.truth[0, :, 0], color=INK, linewidth=1.6, label="series")
    for name, values in found.predictions.items():
        if name not in (PERSISTENCE, FORCED):
            colour = COLOURS.get(name, VERMILLION)
            axes.plot(steps, values[0, :, 0], color=colour, linewidth=1.0, label=name)
    low, high = float(found.truth[0].min()), float(found.truth[0].max())
    room = 0.3 * (high - low or 1.0)
    axes.set(xlabel="steps after the prompt", ylim=(low - room, high + room))
    axes.legend(frameon=False, ncols=3, loc="lower left")
    figure.tight_layout()
    return figure
