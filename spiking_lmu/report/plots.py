"""The figures of the HTML report, each as one inline SVG element.

Colours are from Okabe and Ito's palette, which people with colour-vision deficiencies can
tell apart (https://jfly.uni-koeln.de/color/): blue for right or kept, vermillion for wrong
or lost, greys for everything else.  Shapes and words repeat what colours say.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..results import Trace
from .table import RATE, Row
from .words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray
INK, GREY, PALE, BAND = "#1b1f24", "#6b7280", "#c9cdd3", "#e6e8eb"
BLUE, VERMILLION = "#0072B2", "#D55E00"
VERDICT_COLOUR = {"lost": VERMILLION, "gained": BLUE, "kept": BLUE, "unclear": GREY}
#: The most that one small figure can show legibly.
MAX_POPULATIONS, MAX_CURVES, MAX_POINTS, MAX_NUMBERED_CLASSES = 6, 12, 180, 12
RASTER_COLUMNS, RASTER_ROWS = 420, 150
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spiking-lmu",
    "font.size": 8.0,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}


def accuracy_plot(rows: list[Row], name: str, *, narrow: bool = False) -> str:
    """Accuracy of each row with its interval, on the rate model's line and band.

    Parameters
    ----------
    rows
        Rows with samples; those of one model follow each other.
    name
        Prefix of the element's ids, unique in the page.
    narrow
        Drawn for a phone.
    """
    shown = [row for row in rows if row.accuracy is not None]
    models = list(dict.fromkeys(row.model for row in shown))
    width = 3.7 if narrow else 7.6
    left = 1.25 if narrow else 2.1
    # Inches: 0.27 a row, 0.34 a model's heading, 0.5 for the axis.
    height = 0.27 * len(shown) + 0.34 * len(models) + 0.5
    with _style():
        figure, axes = _figure(width, height)
        axes.set_position((left / width, 0.45 / height, 1 - (left + 0.15) / width, 1 - 0.5 / height))
        y, model, summary = 0.0, None, []
        ticks, labels = [], []
        for row in shown:
            if row.model != model:
                model = row.model
                y += 1.25 if y else 0.9
                axes.annotate(
                    plain(model), (0, y - 0.95), xycoords=("axes fraction", "data"),
                    xytext=(-left * 72 + 4, 0), textcoords="offset points",
                    weight="bold", va="center",
                )  # fmt: skip
            ticks.append(y)
            labels.append(_row_label(row, narrow))
            summary.append(_dot(axes, row, y))
            y += 1.0
        axes.set_ylim(y - 0.4, -0.7)
        axes.set_yticks(ticks, labels)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=BAND, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("accuracy, % of samples")
        return _svg(figure, name, "Accuracy with 95 % intervals. " + " ".join(summary))


def _row_label(row: Row, narrow: bool) -> str:
    if row.target == RATE:
        return "rate model"
    neuron = "" if narrow else f" · {row.neuron}"
    return f"{row.target}{neuron}" + (f" ({row.n}/{row.wanted})" if row.partial else "")


def _dot(axes: Axes, row: Row, y: float) -> str:
    """Draw one row; say it in words for readers who do not see it."""
    from matplotlib.patches import Rectangle

    own = row.accuracy
    assert own is not None
    reference = own if row.target == RATE else row.rate_accuracy
    if reference is not None:
        low, high, middle = (100 * v for v in (reference.low, reference.high, reference.value))
        axes.add_patch(Rectangle((low, y - 0.5), high - low, 1, color=BAND, linewidth=0))
        axes.plot([middle, middle], [y - 0.5, y + 0.5], color=GREY, linewidth=0.9)
    if row.target == RATE:
        axes.plot([100 * own.value], [y], "D", color=INK, markersize=4)
    else:
        colour = VERDICT_COLOUR[row.verdict]
        axes.plot([100 * own.low, 100 * own.high], [y, y], color=colour, linewidth=1.4)
        face = "white" if row.verdict == "unclear" else colour
        axes.plot([100 * own.value], [y], "o", color=colour, markerfacecolor=face, markersize=5.5)
    name = "rate model" if row.target == RATE else f"{row.target} with {row.neuron}"
    return f"{row.model}, {name}: {100 * own.value:.1f} %."


def confusion_plot(counts: Array, classes: tuple[str, ...], most: int, name: str, who: str) -> str:
    """A confusion matrix in which the errors stand out.

    Parameters
    ----------
    counts
        True class by decided class, shape (classes, classes).
    most
        The count that gets the darkest colour, the same in all matrices of a page.
    name, who
        Prefix of the element's ids; whose matrix it is.
    """
    from matplotlib.colors import LinearSegmentedColormap

    size = len(counts)
    errors = counts.astype(float)
    np.fill_diagonal(errors, 0)
    numbered = size <= MAX_NUMBERED_CLASSES
    with _style():
        figure, axes = _figure(2.7, 2.75)
        axes.set_position((0.13, 0.13, 0.85, 0.85))
        colours = LinearSegmentedColormap.from_list("errors", ["#ffffff", "#f6c9a8", VERMILLION])
        # Square root: one error must be visible beside twenty.
        axes.imshow(np.sqrt(errors), cmap=colours, vmin=0, vmax=max(most, 1) ** 0.5)
        for i in range(size):
            axes.add_patch(_cell(i))
        if numbered:
            for i, j in np.argwhere(counts):
                axes.text(
                    j, i, str(counts[i, j]), ha="center", va="center",
                    fontsize=6.5 if i == j else 7, color=GREY if i == j else INK,
                )  # fmt: skip
            axes.set_xticks(range(size), [plain(c)[:4] for c in classes])
            axes.set_yticks(range(size), [plain(c)[:4] for c in classes])
        axes.tick_params(length=0, labelsize=7)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("decided", fontsize=7.5)
        axes.set_ylabel("true", fontsize=7.5)
        wrong = int(errors.sum())
        worst = np.unravel_index(int(errors.argmax()), errors.shape)
        say = f"Confusion matrix of {who}: {wrong} of {int(counts.sum())} samples wrong"
        if wrong:
            say += f"; most often class {plain(classes[worst[0]])} taken for {plain(classes[worst[1]])}"
        return _svg(figure, name, say + ".")


def _cell(i: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor="#f1f2f4", edgecolor="white")


def trace_plot(
    trace: Trace, sizes: dict[str, int], label: int, decided: int, classes: tuple[str, ...],
    name: str, who: str,
) -> str:  # fmt: skip
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
    populations = list(trace.spikes)[:MAX_POPULATIONS]
    total = sum(sizes[p] for p in populations) or 1
    # Heights follow the sizes, but a small population keeps room for its name.
    heights = [max(1.9 * sizes[p] / total, 0.3) for p in populations]
    with _style():
        inches = sum(heights) + 1.75
        figure = _figure(3.6, inches)[0]
        figure.clear()
        grid = figure.add_gridspec(
            len(populations) + 1, 1, height_ratios=[*heights, 1.25], hspace=0.12,
            left=0.12, right=0.86, top=1 - 0.05 / inches, bottom=0.38 / inches,
        )  # fmt: skip
        for k, population in enumerate(populations):
            _raster(figure.add_subplot(grid[k]), trace, population, sizes[population], steps)
        _readout(figure.add_subplot(grid[len(populations)]), trace.readout, label, decided, classes)
        spikes = sum(len(s) for s in trace.spikes.values())
        right = "rightly" if label == decided else f"wrongly, it is {plain(classes[label])}"
        say = (
            f"{who}, sample {trace.index}: {spikes:,} spikes in {steps} steps; "
            f"decides {plain(classes[decided])}, {right}."
        )
        return _svg(figure, name, say)


def _raster(axes: Axes, trace: Trace, population: str, size: int, steps: int) -> None:
    events = np.asarray(trace.spikes[population])
    bins = (max(1, min(steps, RASTER_COLUMNS)), max(1, min(size, RASTER_ROWS)))
    spikes = np.zeros((0, 2)) if not len(events) else events
    counts = np.histogram2d(spikes[:, 0], spikes[:, 1], bins, [[0, steps], [0, max(size, 1)]])[0]
    shade = np.sqrt(counts.T / max(counts.max(), 1))
    pixels = np.zeros((*shade.shape, 4), dtype=np.uint8)
    pixels[..., :3] = (27, 31, 36)
    pixels[..., 3] = np.round(255 * shade)
    axes.imshow(
        pixels, aspect="auto", origin="lower", extent=(0, steps, 0, max(size, 1)),
        interpolation="none",
    )  # fmt: skip
    axes.set_xlim(0, steps)
    axes.set_xticks([])
    axes.set_yticks([0, size] if size > 20 else [])
    axes.tick_params(length=0, labelsize=6.5)
    axes.annotate(
        plain(population), (1, 0.5), xycoords="axes fraction", xytext=(4, 0),
        textcoords="offset points", va="center", fontsize=7,
    )  # fmt: skip
    axes.annotate(
        f"{len(events):,}", (1, 0.5), xycoords="axes fraction", xytext=(4, -9),
        textcoords="offset points", va="center", fontsize=6.5, color=GREY,
    )  # fmt: skip


def _readout(
    axes: Axes, readout: Array, label: int, decided: int, classes: tuple[str, ...]
) -> None:
    steps = len(readout)
    # Every stride-th step, counted from the last one: the decision is taken there.
    at = np.arange(steps - 1, -1, -max(1, -(-steps // MAX_POINTS)))[::-1]
    values = np.nan_to_num(readout[at])
    order = np.argsort(values[-1])[::-1][:MAX_CURVES].tolist()
    for k in order:
        if k not in (label, decided):
            axes.plot(at, values[:, k], color=PALE, linewidth=0.7)
    if label != decided:
        axes.plot(at, values[:, decided], color=VERMILLION, linewidth=1.2)
    axes.plot(at, values[:, label], color=BLUE, linewidth=1.2)
    colour = BLUE if label == decided else VERMILLION
    end = values[-1, decided]
    axes.plot([steps - 1], [end], "o" if label == decided else "X", color=colour, markersize=5,
              clip_on=False, zorder=5)  # fmt: skip
    _end_label(axes, end, f"{plain(classes[decided])[:8]} {'✓' if label == decided else '✗'}", colour)
    if label != decided:
        span = float(np.ptp(values)) or 1.0
        apart = max(end - values[-1, label], 0.13 * span)
        _end_label(axes, end - apart, f"{plain(classes[label])[:8]} true", BLUE)
    axes.set_xlim(0, steps)
    axes.tick_params(labelsize=6.5)
    axes.locator_params(axis="y", nbins=4)
    axes.set_xlabel("simulation step", fontsize=7)


def _end_label(axes: Axes, y: float, text: str, colour: str) -> None:
    axes.annotate(
        text, (1, y), xycoords=("axes fraction", "data"), xytext=(6, 0),
        textcoords="offset points", va="center", color=colour, fontsize=7.5, weight="bold",
    )  # fmt: skip


def picture(image: Array) -> bytes:
    """A PNG of one input, dark on light; empty if ``image`` is not a picture."""
    from matplotlib.image import imsave

    pixels = np.nan_to_num(np.asarray(image, dtype=float).squeeze())
    if pixels.ndim != 2 or not pixels.size:
        return b""
    file = io.BytesIO()
    imsave(file, pixels, cmap="Greys", format="png")
    return file.getvalue()


def _style() -> Any:
    from matplotlib import rc_context

    return rc_context(_STYLE)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.patch.set_alpha(0)
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an element that can stand beside others in one page."""
    file = io.StringIO()
    figure.savefig(file, format="svg")
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"(\d+\.\d\d)\d+", r"\1", text)
    # Matplotlib uses the same ids in every figure.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", text)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    opening = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}">'
    text = opening + text[text.index(">") + 1 :]
    return text.replace("xlink:href", "href")
