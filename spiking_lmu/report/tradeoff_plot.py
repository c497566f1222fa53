"""Accuracy against latency against energy, as a picture: one line for each readout filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spiking_lmu.analysis.tradeoff import Point, Tradeoff, pick

from .canvas import BAND, BLUE, GREY, INK, VERMILLION, style, to_svg
from .energy_table import PREFIXES, joules
from .text import count, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of Okabe and Ito's palette; dashes and labels repeat what colours say.
LINES = (
    (VERMILLION, (0, (1, 1))),
    ("#E69F00", (0, (4, 1, 1, 1))),
    ("#009E73", (0, (4, 1))),
    (BLUE, "-"),
)
#: Points below the rate model at which the lowest drawn share is cut off; of an error so many
#: times the rate model's.
DEPTH = 12.0


def tradeoff_plot(tradeoff: Tradeoff, name: str, *, device: str = "", narrow: bool = False) -> str:
    """The metric by settle steps with the knee marked, and below it what a sample costs.

    Where there is one settle time alone, as with an answer at every input, it is the metric by
    readout filter, and below it how late the answers are.

    Parameters
    ----------
    tradeoff
        With at least one point.
    name
        Prefix of the element's ids, unique in the page.
    device
        Whose energy is drawn beside the spikes; none if not given.
    narrow
        Drawn for a phone.

    Raises
    ------
    SpecError
        No points.
    """
    from matplotlib.figure import Figure

    knee = pick(tradeoff.points, "knee")
    by_filter = len({point.settle_steps for point in tradeoff.points}) == 1
    with style():
        figure = Figure(figsize=(3.7, 4.2) if narrow else (7.6, 4.4), layout="constrained")
        figure.patch.set_alpha(0)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        if by_filter:
            _by_filter(above, below, tradeoff)
            return to_svg(figure, name, _filter_words(tradeoff))
        _value(above, tradeoff, knee)
        _cost(below, tradeoff, knee, device)
        return to_svg(figure, name, _words(tradeoff, knee, device))


def _axis(tradeoff: Tradeoff) -> str:
    metric = tradeoff.metric
    return f"{metric.label}, %" if metric.points else metric.label


def _by_filter(above: Axes, below: Axes, tradeoff: Tradeoff) -> None:
    """The metric and how late the answers are, by readout filter."""
    from matplotlib.ticker import MaxNLocator

    factor = tradeoff.metric.factor
    points = sorted(tradeoff.points, key=lambda point: point.readout_tau)
    taus = [1000 * point.readout_tau for point in points]
    above.axhline(factor * tradeoff.rate_value, color=INK, linewidth=0.9)
    above.annotate(
        "rate model",
        (1, factor * tradeoff.rate_value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=INK,
        fontsize=7,
    )
    values = [factor * point.value for point in points]
    above.plot(taus, values, color=BLUE, marker="o", markersize=3, linewidth=1.4)
    above.margins(y=0.15)
    above.set_ylabel(_axis(tradeoff))
    below.plot(taus, [point.late for point in points], color=GREY, marker="o", markersize=3)
    below.set_ylim(-0.2, max(1.2, 1.1 * max(point.late for point in points)))
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.set_ylabel("inputs late")
    below.set_xticks(taus)
    below.set_xlabel("readout filter, ms")
    for axes in (above, below):
        axes.grid(axis="y", color=BAND, linewidth=0.6)


def _filter_words(tradeoff: Tradeoff) -> str:
    label = tradeoff.metric.label
    told = "; ".join(
        f"{_number(tradeoff, point.value)} with a filter of {_filter(point.readout_tau)}"
        + (f", {point.late} inputs late" if point.late else "")
        for point in sorted(tradeoff.points, key=lambda point: point.readout_tau)
    )
    return (
        f"{label[0].upper()}{label[1:]} by readout filter on {plain(tradeoff.target)}; "
        f"{tradeoff.samples:,} samples. Rate model: {_number(tradeoff, tradeoff.rate_value)}. "
        f"{told}."
    )


def _number(tradeoff: Tradeoff, value: float) -> str:
    return f"{100 * value:.1f} %" if tradeoff.metric.points else f"{value:.3g}"


def _value(axes: Axes, tradeoff: Tradeoff, knee: Point) -> None:
    metric = tradeoff.metric
    factor = metric.factor
    rate = factor * tradeoff.rate_value
    axes.axhline(rate, color=INK, linewidth=0.9)
    taus = sorted({point.readout_tau for point in tradeoff.points})
    for place, tau in enumerate(taus):
        colour, dashes = LINES[place % len(LINES)]
        points = [point for point in tradeoff.points if point.readout_tau == tau]
        axes.plot(
            [point.settle_steps for point in points],
            [factor * point.value for point in points],
            color=colour,
            linestyle=dashes,
            linewidth=1.4,
            marker="o",
            markersize=2.5,
            label=_filter(tau),
        )
    axes.plot(
        [knee.settle_steps],
        [factor * knee.value],
        "o",
        markersize=9,
        color=INK,
        markerfacecolor="none",
        label="knee",
        linestyle="none",
    )
    values = [factor * point.value for point in tradeoff.points]
    lowest, highest = min(rate, *values), max(rate, *values)
    if metric.points:
        lowest = max(min(values), min(rate, factor * knee.value) - DEPTH)
    elif not metric.rises:
        highest = min(highest, DEPTH * max(rate, factor * knee.value))
    room = 0.08 * max(highest - lowest, 1.0 if metric.points else 1e-9)
    axes.set_ylim(lowest - room, highest + room)
    axes.annotate(
        "rate model",
        (1, rate),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=INK,
        fontsize=7,
    )
    axes.grid(axis="y", color=BAND, linewidth=0.6)
    axes.set_ylabel(_axis(tradeoff))
    axes.legend(
        title="readout filter",
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(taus) + 1,
        frameon=False,
        fontsize=7,
        title_fontsize=7,
        alignment="left",
        borderaxespad=0.2,
        columnspacing=1.0,
        handlelength=1.8,
        handletextpad=0.4,
    )


def _cost(axes: Axes, tradeoff: Tradeoff, knee: Point, device: str) -> None:
    points = _by_settle(tradeoff.points)
    steps = [point.settle_steps for point in points]
    axes.plot(steps, [point.spikes for point in points], color=GREY, marker="o", markersize=2.5)
    axes.axvline(knee.settle_steps, color=INK, linewidth=0.6, linestyle=(0, (2, 2)))
    axes.set_ylim(0)
    axes.set_ylabel("spikes a sample")
    axes.set_xlabel("settle steps after the last input")
    axes.grid(axis="y", color=BAND, linewidth=0.6)
    energies = [point.joules.get(device) for point in points]
    known = [energy for energy in energies if energy is not None]
    if known and len(known) == len(points):
        other = axes.twinx()
        other.spines["right"].set_visible(True)
        scale, unit = next((p for p in PREFIXES if max(known) >= p[0]), PREFIXES[-1])
        other.plot(steps, [energy / scale for energy in known], color=BLUE, linestyle=(0, (4, 1)))
        other.set_ylim(0)
        other.set_ylabel(f"{unit}, {plain(device)} (dashed)")


def _by_settle(points: Sequence[Point]) -> list[Point]:
    """One point for each number of settle steps: filters cost no spikes."""
    found = {point.settle_steps: point for point in points}
    return [found[steps] for steps in sorted(found)]


def _filter(tau: float) -> str:
    return f"{1000 * tau:g} ms" if tau else "none"


def _words(tradeoff: Tradeoff, knee: Point, device: str) -> str:
    best = pick(tradeoff.points, "best")
    first, last = (_by_settle(tradeoff.points)[i] for i in (0, -1))
    energy = knee.joules.get(device)
    cost = "" if energy is None else f" and {joules(energy)} on {plain(device)}"
    label = tradeoff.metric.label
    return (
        f"{label[0].upper()}{label[1:]} by settle steps on {plain(tradeoff.target)}, one line for "
        f"each readout filter; {tradeoff.samples:,} samples. Rate model: "
        f"{_number(tradeoff, tradeoff.rate_value)}. Knee: {_point(tradeoff, knee)}, "
        f"{count(knee.spikes)} spikes a sample{cost}. Best: {_point(tradeoff, best)}. Spikes a "
        f"sample grow from {count(first.spikes)} at {first.settle_steps} steps to "
        f"{count(last.spikes)} at {last.settle_steps}."
    )


def _point(tradeoff: Tradeoff, point: Point) -> str:
    return (
        f"{_number(tradeoff, point.value)} at {point.settle_steps} settle steps with a filter of "
        f"{_filter(point.readout_tau)}"
    )
