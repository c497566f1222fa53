"""The loss ladder as a waterfall, and firing rates as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spiking_lmu.analysis.explain.ladder import Ladder, Step
from spiking_lmu.analysis.explain.layers import HiddenLayer
from spiking_lmu.analysis.metrics import metric_of

from .canvas import BAND, BLUE, GREY, INK, PALE, VERMILLION, new_figure, style, to_svg
from .text import plain, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def waterfall(ladder: Ladder, name: str, *, narrow: bool = False) -> str:
    """The metric from rung to rung: what each one loses or gains hangs from the one before.

    Parameters
    ----------
    name
        Prefix of the element's ids, unique in the page.
    narrow
        Drawn for a phone.

    Returns
    -------
    An SVG element.  Whiskers are 95 % intervals of a rung's paired difference to the one before;
    beside it, unless narrow, how far the outputs are from the rate model's.
    """
    steps = ladder.steps
    # Inches: 0.3 a rung and 0.5 for the axis; labels on the left, numbers on the right.
    height = 0.3 * len(steps) + 0.5
    width, left, middle, numbers = (3.7, 1.3, 1.45, 0.95) if narrow else (7.6, 1.55, 2.9, 1.05)
    bottom, tall = 0.42 / height, 1 - 0.45 / height
    with style():
        figure, axes = new_figure(width, height)
        axes.set_position((left / width, bottom, middle / width, tall))
        _fall(axes, ladder)
        _rungs(axes, ladder)
        if not narrow:
            start = left + middle + numbers
            errors = figure.add_axes((start / width, bottom, (width - start - 0.55) / width, tall))
            _errors(errors, ladder)
        head = ladder.metric.label[0].upper() + ladder.metric.label[1:]
        said = " ".join(f"{plain(s.name)}: {_text(s)}, error {s.error:.0%}." for s in steps)
        return to_svg(figure, name, f"{head} of {plain(ladder.model)} from rung to rung. {said}")


def _fall(axes: Axes, ladder: Ladder) -> None:
    """Bars from each rung's value to the next."""
    steps, metric = ladder.steps, ladder.metric
    shares = [metric.factor * step.value for step in steps]
    ends = [shares[0]]
    for y, (step, share) in enumerate(zip(steps, shares, strict=True)):
        if step.step is not None:
            before = shares[y - 1]
            low, high = before + step.step.low, before + step.step.high
            high = min(100.0, high) if metric.points else high
            axes.barh(y, share - before, left=before, height=0.62, color=_colour(step))
            axes.plot([low, high], [y, y], color=GREY, linewidth=0.9)
            axes.plot([before, before], [y - 1, y + 0.31], color=PALE, linewidth=0.8, zorder=0)
            ends += [low, high, share]
        axes.plot([share], [y], "D", color=INK, markersize=4)
        axes.annotate(
            _text(step),
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=INK if y else GREY,
            weight="bold" if step is ladder.suspected else "normal",
        )
    ends = [end for end in ends if np.isfinite(end)]
    margin = 0.04 * (max(ends) - min(ends)) + (0.1 if metric.points else 0.02 * abs(max(ends)))
    lowest = min(ends) - margin
    axes.set_xlim(lowest if metric.name == "r2" else max(0.0, lowest), max(ends) + margin)
    axes.set_xlabel(_axis(ladder))


def _axis(ladder: Ladder) -> str:
    metric = ladder.metric
    if metric.name == "accuracy":
        return "right, % of samples"
    return f"{metric.label}, %" if metric.points else metric.label


def _rungs(axes: Axes, ladder: Ladder) -> None:
    """The rungs' names, from the rate model down."""
    steps = ladder.steps
    axes.set_ylim(len(steps) - 0.5, -0.6)
    axes.set_yticks(range(len(steps)), [plain(step.name) for step in steps])
    for tick, step in zip(axes.get_yticklabels(), steps, strict=True):
        tick.set_color(VERMILLION if step is ladder.suspected else INK)
        tick.set_fontweight("bold" if step is ladder.suspected else "normal")
    _plain(axes)


def _errors(axes: Axes, ladder: Ladder) -> None:
    """How far the outputs are from the rate model's, which moves before decisions do."""
    for y, step in enumerate(ladder.steps):
        axes.barh(y, 100 * step.error, height=0.62, color=PALE)
        axes.annotate(
            f"{step.error:.1%}",
            (100 * step.error, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=GREY,
        )
    axes.set_ylim(len(ladder.steps) - 0.5, -0.6)
    axes.set_yticks([])
    axes.set_xlabel("output error, %")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=BAND, linewidth=0.6)
    axes.set_axisbelow(True)


def _colour(step: Step) -> str:
    """Grey where chance explains the difference."""
    if step.step is None or not (step.step.low > 0 or step.step.high < 0):
        return PALE
    return VERMILLION if step.gain < 0 else BLUE


def _text(step: Step) -> str:
    metric = metric_of(step.score)
    share = f"{100 * step.value:.1f} %" if metric.points else f"{step.value:.3g}"
    if step.step is None:
        return share
    return f"{share}  {signed(step.step.difference, step.step.n, metric.points)}"


def rate_histogram(layer: HiddenLayer, name: str) -> str:
    """Neurons × samples by firing rate on one rung; counts on a scale of logarithms."""
    from matplotlib.ticker import NullLocator

    with style():
        figure, axes = new_figure(3.4, 1.6)
        axes.set_position((0.2, 0.27, 0.76, 0.68))
        counts: Sequence[float] = layer.histogram.tolist()
        axes.bar(
            layer.edges[:-1], counts, np.diff(layer.edges), align="edge", color=BLUE, linewidth=0
        )
        axes.set_yscale("log")
        axes.set_ylim(0.5)
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.yaxis.set_minor_locator(NullLocator())
        if layer.ceiling <= 1.2 * layer.edges[-1]:
            axes.axvline(layer.ceiling, color=VERMILLION, linewidth=1.2, linestyle="--")
        axes.set_xlabel("spikes a second")
        axes.set_ylabel("neurons × samples")
        label = (
            f"Firing rates of {plain(layer.name)}: {layer.mean_rate:.0f} Hz on average, "
            f"{layer.highest_rate:.0f} Hz at most, {layer.silent:.0%} of the neurons silent, "
            f"{layer.saturated:.0%} saturated."
        )
        return to_svg(figure, name, label)
