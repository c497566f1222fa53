"""Figures of one sequence: its channels, the spikes, and answers beside the truth; residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiking_lmu.graph.task import Task
from spiking_lmu.graph.timing import Timing
from spiking_lmu.runs.results import Trace

from .canvas import BLUE, GREY, INK, PALE, VERMILLION, new_figure, style, to_svg
from .text import plain
from .traces import draw_raster, draw_readout, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray
#: Channels and outputs that are drawn; more are not told apart.
MAX_CHANNELS, MAX_OUTPUTS = 12, 4
#: Points of a scatter of residuals, and columns of a strip of classes.
MAX_POINTS = 2000
CHANNEL_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")


def series_plot(
    trace: Trace,
    x: Array,
    truth: Array,
    task: Task,
    timing: Timing,
    sizes: dict[str, int],
    name: str,
    who: str,
) -> str:
    """One sequence: channels above, spikes of each population beneath, then the answers.

    Parameters
    ----------
    trace
        What was recorded on a target.
    x
        The sequence as it is in the data, (inputs, channels).
    truth
        Its answers: a class or numbers, or one for each input.
    task, timing
        Of the model.
    sizes
        Neurons of each population, as far as is known.
    name, who
        Prefix of the element's ids; whose trace it is.
    """
    steps = len(trace.readout)
    populations = drawn(trace, sizes)
    heights = [1.1, *([0.75] * len(populations)), 1.35]
    with style():
        inches = sum(heights) + 0.75
        figure = new_figure(3.6, inches)[0]
        figure.clear()
        grid = figure.add_gridspec(
            len(heights),
            1,
            height_ratios=heights,
            hspace=0.16,
            left=0.12,
            right=0.8,
            top=1 - 0.05 / inches,
            bottom=0.4 / inches,
        )
        _channels(figure.add_subplot(grid[0]), x, timing, steps)
        for k, population in enumerate(populations):
            axes = figure.add_subplot(grid[k + 1])
            draw_raster(axes, trace, population, sizes[population], steps)
        axes = figure.add_subplot(grid[len(heights) - 1])
        said = _answers(axes, trace.readout, truth, task, timing, len(x))
        spikes = sum(len(s) for s in trace.spikes.values())
        text = f"{who}, sample {trace.index}: {spikes:,} spikes in {steps} steps; {said}."
        return to_svg(figure, name, text)


def _channels(axes: Axes, x: Array, timing: Timing, steps: int) -> None:
    """The inputs as they are, each for as long as it is presented."""
    # The last input stays while the readout settles.
    at = np.append(np.arange(len(x)) * timing.steps_per_input, steps)
    x = np.concatenate([x, x[-1:]])
    few = x.shape[1] <= len(CHANNEL_COLOURS)
    for k in range(min(x.shape[1], MAX_CHANNELS)):
        colour = CHANNEL_COLOURS[k] if few else PALE
        axes.plot(at, x[:, k], color=colour, linewidth=0.8, drawstyle="steps-post")
    axes.set_xlim(0, steps)
    axes.set_xticks([])
    axes.locator_params(axis="y", nbins=3)
    axes.tick_params(labelsize=6.5)
    channels = "input" if x.shape[1] == 1 else f"{x.shape[1]} channels"
    axes.annotate(
        channels,
        (1, 0.5),
        xycoords="axes fraction",
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
    )


def _answers(
    axes: Axes, readout: Array, truth: Array, task: Task, timing: Timing, inputs: int
) -> str:
    """Draw what was said and what is true; also in words."""
    if task.every:
        ends = timing.presentation_ends(inputs)
        answers = readout[ends]
        if task.classifies:
            return _classes(axes, answers, truth, task, ends, len(readout))
        return _numbers(axes, readout, answers, truth, ends)
    if task.classifies:
        decided, label = int(readout[-1].argmax()), int(truth)
        draw_readout(axes, readout, label, decided, task.names)
        right = "rightly" if label == decided else f"wrongly, it is {plain(task.names[label])}"
        return f"decides {plain(task.names[decided])}, {right}"
    axes.plot(readout[:, :MAX_OUTPUTS], color=BLUE, linewidth=1)
    for value in np.atleast_1d(truth)[:MAX_OUTPUTS]:
        axes.axhline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    _finish(axes, len(readout))
    _legend(axes, (("true", INK), ("said", BLUE)))
    return f"says {readout[-1, 0]:.3g} where {np.atleast_1d(truth)[0]:.3g} is true"


def _numbers(axes: Axes, readout: Array, answers: Array, truth: Array, ends: Array) -> str:
    steps = len(readout)
    for k in range(min(truth.shape[1], MAX_OUTPUTS)):
        axes.plot(ends, truth[:, k], color=INK, linewidth=1.4, alpha=0.55)
        axes.plot(ends, answers[:, k], color=BLUE, linewidth=0.9)
    # The first answers come before there is anything to go by; they would set the scale.
    settled = answers[len(answers) // 10 :]
    low = min(truth.min(), np.nanmin(settled))
    high = max(truth.max(), np.nanmax(settled))
    pad = 0.06 * (high - low or 1.0)
    axes.set_ylim(low - pad, high + pad)
    _finish(axes, steps)
    _legend(axes, (("true", GREY), ("said", BLUE)))
    error = float(np.sqrt(np.mean((answers - truth) ** 2)))
    return f"its answers are {error:.3g} from the truth, root mean square"


def _classes(axes: Axes, answers: Array, truth: Array, task: Task, ends: Array, steps: int) -> str:
    """Two strips: the true class at each input above the decided one; wrong ones marked below."""
    from matplotlib.colors import to_rgb

    decided = answers.argmax(axis=1)
    palette = np.array([to_rgb(c) for c in CHANNEL_COLOURS])
    starts = np.concatenate([[0], ends[:-1] + 1])
    present = sorted({*truth.tolist(), *decided.tolist()})
    place = {label: i for i, label in enumerate(present)}
    for level, labels in ((2.1, truth), (1.0, decided)):
        for start, end, label in zip(starts, ends, labels.tolist(), strict=True):
            colour = palette[place[label] % len(palette)]
            axes.barh(level, end + 1 - start, left=start, height=0.9, color=colour, linewidth=0)
    for start, end in zip(starts[decided != truth], ends[decided != truth], strict=True):
        axes.barh(0.3, end + 1 - start, left=start, height=0.22, color=INK, linewidth=0)
    axes.set_ylim(0, 2.7)
    axes.set_yticks([0.3, 1.0, 2.1], ["wrong", "said", "true"])
    _finish(axes, steps)
    shown = [(task.names[label], CHANNEL_COLOURS[place[label] % 6]) for label in present[:6]]
    _legend(axes, shown)
    right = int((decided == truth).sum())
    return f"{right} of {len(truth)} inputs are classed rightly"


def _finish(axes: Axes, steps: int) -> None:
    axes.set_xlim(0, steps)
    axes.tick_params(labelsize=6.5)
    axes.set_xlabel("simulation step", fontsize=7)


def _legend(axes: Axes, entries: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> None:
    """Names beside the axes, in their colours, from the top."""
    for i, (text, colour) in enumerate(entries):
        axes.annotate(
            plain(text)[:11],
            (1, 0.92 - 0.16 * i),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=7,
            weight="bold",
        )


def residual_plot(truth: Array, outputs: Array, names: tuple[str, ...], name: str, who: str) -> str:
    """What was said against what is true, a point an answer; on the line they are equal.

    ``truth`` and ``outputs`` have shape (answers, outputs).
    """
    every = max(1, -(-len(truth) // MAX_POINTS))
    with style():
        figure, axes = new_figure(2.7, 2.75)
        axes.set_position((0.18, 0.15, 0.79, 0.82))
        low = float(min(truth.min(), np.nanmin(outputs)))
        high = float(max(truth.max(), np.nanmax(outputs)))
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.8)
        for k in range(min(truth.shape[1], MAX_OUTPUTS)):
            colour = BLUE if k == 0 else CHANNEL_COLOURS[k]
            at = slice(None, None, every)
            axes.plot(truth[at, k], outputs[at, k], ".", color=colour, markersize=2, alpha=0.4)
        axes.tick_params(labelsize=6.5)
        label = plain(names[0])[:24] if len(names) == 1 else "answer"
        axes.set_xlabel(f"true {label}", fontsize=7.5)
        axes.set_ylabel("said", fontsize=7.5)
        error = outputs - truth
        mean, spread = float(np.nanmean(error)), float(np.nanstd(error))
        worst = float(np.nanmax(np.abs(error)))
        axes.annotate(
            f"residual {mean:+.2g} ± {spread:.2g}\nlargest {worst:.2g}".replace("-", "−"),
            (0.03, 0.97),
            xycoords="axes fraction",
            va="top",
            fontsize=7,
            color=VERMILLION if abs(mean) > spread else INK,
        )
        say = (
            f"{who}: what was said against what is true, {truth.size:,} answers; the residual is "
            f"{mean:.3g} on average with a standard deviation of {spread:.3g}."
        )
        return to_svg(figure, name, say)
