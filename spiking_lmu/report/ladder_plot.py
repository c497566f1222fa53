"""The loss ladder as a waterfall, and firing rates as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spiking_lmu.analysis.explain.ladder import Ladder, Step
from spiking_lmu.analysis.explain.layers import HiddenLayer

from .canvas import BAND, BLUE, GREY, INK, PALE, VERMILLION, new_figure, style, to_svg
from .text import plain, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def waterfall(ladder: Ladder, name: str, *, narrow: bool = False) -> str:
    """Accuracy from rung to rung: what each one loses or gains hangs from the one before.

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
        said = " ".join(f"{plain(s.name)}: {_text(s)}, error {s.error:.0%}." for s in steps)
        return to_svg(figure, name, f"Accuracy of {plain(ladder.model)} from rung to rung. {said}")


def _fall(axes: Axes, ladder: Ladder) -> None:
    """Bars from each rung's accuracy to the next."""
    steps = ladder.steps
    shares = [100 * step.accuracy for step in steps]
    ends = [shares[0]]
    for y, (step, share) in enumerate(zip(steps, shares, strict=True)):
        if step.step is not None:
            before = shares[y - 1]
            low, high = before + step.step.low, min(100.0, before + step.step.high)
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
    margin = 0.04 * (max(ends) - min(ends)) + 0.1
    axes.set_xlim(max(0.0, min(ends) - margin), max(ends) + margin)
    axes.set_xlabel("right, % of samples")


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
    if step.step is None or step.step.low <= 0 <= step.step.high:
        return PALE
    return VERMILLION if step.step.difference < 0 else BLUE


def _text(step: Step) -> str:
    share = f"{100 * step.accuracy:.1f} %"
    return share if step.step is None else f"{share}  {signed(step.step.difference, step.step.n)}"


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
