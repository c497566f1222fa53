"""What a model takes of a chip's cores: bars on a terminal, and a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

    from spiking_lmu.backends.target import CoreUse

#: Characters of a bar, and rows of the table; with more cores only the fullest are shown.
BAR, ROWS = 6, 16
#: Parts of a character, from an eighth to seven.
EIGHTHS = " ▏▎▍▌▋▊▉"
#: Inches of a core in the picture, and of all together at most.
CORE_HEIGHT, MOST_HEIGHT = 0.22, 9.0


def bar(share: float) -> str:
    """A share from 0 to 1 in blocks; more than all ends in a sign.

    >>> bar(0.5), bar(0.26), bar(1.2)
    ('███   ', '█▌    ', '█████▶')
    """
    if share > 1:
        return "█" * (BAR - 1) + "▶"
    whole, part = divmod(round(8 * BAR * share), 8)
    return ("█" * whole + EIGHTHS[part].strip()).ljust(BAR)


def cores_table(cores: Sequence[CoreUse]) -> Table:
    """A row for each core, the fullest first where there are many, with bars and shares."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = list(cores)
    title = f"{len(cores):,} {'core' if len(cores) == 1 else 'cores'}"
    if len(cores) > ROWS:
        shown = sorted(shown, key=fullness, reverse=True)[:ROWS]
        title += f", the {ROWS} fullest"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), title=title, title_justify="left")
    table.add_column("core", overflow="fold", min_width=8)
    for resource in cores[0].limits:
        table.add_column(resource, no_wrap=True)
    for core in shown:
        cells = [Text(plain(core.name))]
        for share in shares(core).values():
            style = "red" if share > 1 else ""
            cells.append(Text(f"{bar(share)} {100 * share:3.0f} %", style=style))
        table.add_row(*cells)
    return table


def shares(core: CoreUse) -> dict[str, float]:
    """What is used of each resource, 1 being all."""
    return {name: core.used[name] / limit for name, limit in core.limits.items()}


def fullness(core: CoreUse) -> float:
    """The largest of the shares."""
    return max(shares(core).values())


def draw_cores(cores: Sequence[CoreUse], title: str) -> str:
    """Draw the same for all cores, a column of bars for each resource, as an SVG file."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    from .canvas import style

    height = min(CORE_HEIGHT * len(cores), MOST_HEIGHT)
    with style():
        figure = Figure(figsize=(8.0, height + 1.1), layout="constrained")
        FigureCanvasSVG(figure)
        resources = list(cores[0].limits)
        columns = figure.subplots(1, len(resources), sharey=True, squeeze=False)[0]
        for axes, resource in zip(columns, resources, strict=True):
            _draw(axes, cores, resource)
        if height == CORE_HEIGHT * len(cores):
            columns[0].set_yticks(range(len(cores)), [plain(core.name) for core in cores])
        else:
            columns[0].set_ylabel(f"{len(cores):,} cores")
        columns[0].set_ylim(len(cores) - 0.5, -0.5)
        figure.suptitle(plain(title), fontsize=9)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue().decode()


def _draw(axes: Axes, cores: Sequence[CoreUse], resource: str) -> None:
    from .canvas import BAND, BLUE, GREY, VERMILLION

    values = [100 * shares(core)[resource] for core in cores]
    colours = [VERMILLION if value > 100 else BLUE for value in values]
    axes.barh(range(len(cores)), [100] * len(cores), height=0.7, color=BAND)
    axes.barh(range(len(cores)), values, height=0.7, color=colours)
    axes.axvline(100, color=GREY, linewidth=0.6)
    axes.set_xlim(0, max(100.0, *values) * 1.02)
    axes.set_xlabel(f"{resource}, % of {cores[0].limits[resource]:,}")
    axes.tick_params(axis="y", length=0)
