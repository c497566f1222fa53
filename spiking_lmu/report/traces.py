"""Figures of the HTML report about one sample: its spikes and its readout over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiking_lmu.runs.results import Trace

from .canvas import BLUE, GREY, PALE, VERMILLION, new_figure, style, to_svg
from .text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray
#: The most that one small figure can show legibly.
MAX_POPULATIONS, MAX_CURVES, MAX_POINTS = 6, 12, 180
RASTER_COLUMNS, RASTER_ROWS = 420, 150


def trace_plot(
    trace: Trace,
    sizes: dict[str, int],
    label: int,
    decided: int,
    classes: tuple[str, ...],
    name: str,
    who: str,
) -> str:
    """Spike raster of each population above the readout over time, of one sample.

    Parameters
    ----------
    trace
        What was recorded.
    sizes
        Neurons of each population, as far as is known.
    label, decided
        The true class and the decision.
    classes, name, who
        Names of the classes, prefix of the element's ids, whose trace it is.
    """
    steps = len(trace.readout)
    populations = drawn(trace, sizes)
    total = sum(sizes[p] for p in populations) or 1
    # Heights follow the sizes, but a small population keeps room for its name.
    heights = [max(1.9 * sizes[p] / total, 0.3) for p in populations]
    with style():
        inches = sum(heights) + 1.75
        figure = new_figure(3.6, inches)[0]
        figure.clear()
        grid = figure.add_gridspec(
            len(populations) + 1,
            1,
            height_ratios=[*heights, 1.25],
            hspace=0.12,
            left=0.12,
            right=0.83,
            top=1 - 0.05 / inches,
            bottom=0.38 / inches,
        )
        for k, population in enumerate(populations):
            draw_raster(figure.add_subplot(grid[k]), trace, population, sizes[population], steps)
        draw_readout(
            figure.add_subplot(grid[len(populations)]), trace.readout, label, decided, classes
        )
        spikes = sum(len(s) for s in trace.spikes.values())
        right = "rightly" if label == decided else f"wrongly, it is {plain(classes[label])}"
        say = (
            f"{who}, sample {trace.index}: {spikes:,} spikes in {steps} steps; "
            f"decides {plain(classes[decided])}, {right}."
        )
        return to_svg(figure, name, say)


def drawn(trace: Trace, sizes: dict[str, int]) -> list[str]:
    """The populations that a figure shows, in their order.

    The last is always there, for it is what the readout reads; of the others the largest.
    """
    names = list(trace.spikes)
    first = sorted(names[:-1], key=lambda name: -sizes[name])[: MAX_POPULATIONS - 1]
    return [name for name in names if name in first or name == names[-1]]


def draw_raster(axes: Axes, trace: Trace, population: str, size: int, steps: int) -> None:
    """Spikes of one population, a row a neuron, with its name and their number beside it."""
    events = np.asarray(trace.spikes[population])
    bins = (max(1, min(steps, RASTER_COLUMNS)), max(1, min(size, RASTER_ROWS)))
    spikes = np.zeros((0, 2)) if not len(events) else events
    counts = np.histogram2d(spikes[:, 0], spikes[:, 1], bins, [[0, steps], [0, max(size, 1)]])[0]
    shade = np.sqrt(counts.T / max(counts.max(), 1))
    pixels = np.zeros((*shade.shape, 4), dtype=np.uint8)
    pixels[..., :3] = (27, 31, 36)
    pixels[..., 3] = np.round(255 * shade)
    axes.imshow(
        pixels,
        aspect="auto",
        origin="lower",
        extent=(0, steps, 0, max(size, 1)),
        interpolation="none",
    )
    axes.set_xlim(0, steps)
    axes.set_xticks([])
    axes.set_yticks([0, size] if size > 20 else [])
    axes.tick_params(length=0, labelsize=6.5)
    axes.annotate(
        plain(population),
        (1, 0.5),
        xycoords="axes fraction",
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        # Beside the figure there is room for about eight letters.
        fontsize=min(7, 56 / max(len(population), 1)),
    )
    axes.annotate(
        f"{len(events):,}",
        (1, 0.5),
        xycoords="axes fraction",
        xytext=(4, -9),
        textcoords="offset points",
        va="center",
        fontsize=6.5,
        color=GREY,
    )


def draw_readout(
    axes: Axes, readout: Array, label: int, decided: int, classes: tuple[str, ...]
) -> None:
    """The output of each class over time; the decision is marked at the end."""
    steps = len(readout)
    # Every stride-th step, counted from the last one: the decision is taken there.
    at = np.arange(steps - 1, -1, -max(1, -(-steps // MAX_POINTS)))[::-1]
    # Gaps where a target gave no finite number; the decision's mark needs a place.
    values = np.where(np.isfinite(readout[at]), readout[at], np.nan)
    values[-1] = np.nan_to_num(values[-1])
    order = np.argsort(values[-1])[::-1][:MAX_CURVES].tolist()
    for k in order:
        if k not in (label, decided):
            axes.plot(at, values[:, k], color=PALE, linewidth=0.7)
    if label != decided:
        axes.plot(at, values[:, decided], color=VERMILLION, linewidth=1.2)
    axes.plot(at, values[:, label], color=BLUE, linewidth=1.2)
    colour = BLUE if label == decided else VERMILLION
    end = values[-1, decided]
    axes.plot(
        [steps - 1],
        [end],
        "o" if label == decided else "X",
        color=colour,
        markersize=5,
        clip_on=False,
        zorder=5,
    )
    _end_label(
        axes, end, f"{plain(classes[decided])[:8]} {'✓' if label == decided else '✗'}", colour
    )
    if label != decided:
        span = float(np.nanmax(values) - np.nanmin(values)) or 1.0
        apart = max(end - values[-1, label], 0.13 * span)
        _end_label(axes, end - apart, f"{plain(classes[label])[:8]} true", BLUE)
    axes.set_xlim(0, steps)
    axes.tick_params(labelsize=6.5)
    axes.locator_params(axis="y", nbins=4)
    axes.set_xlabel("simulation step", fontsize=7)


def _end_label(axes: Axes, y: float, text: str, colour: str) -> None:
    axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=colour,
        fontsize=7.5,
        weight="bold",
    )
