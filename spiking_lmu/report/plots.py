"""Figures of the HTML report about all samples: accuracies, confusion matrices."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import BAND, BLUE, GREY, INK, VERMILLION, new_figure, style, to_svg
from .rows import RATE, Row
from .text import column_heads, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray
VERDICT_COLOUR = {"lost": VERMILLION, "gained": BLUE, "kept": BLUE, "unclear": GREY}
#: Above this many classes, cells are too small for numbers.
MAX_NUMBERED_CLASSES = 12
#: Up to so many classes their names have room, of so many letters.
FEW_CLASSES, MAX_NAME = 8, 10


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
    shown = [row for row in rows if row.score is not None]
    models = list(dict.fromkeys(row.model for row in shown))
    width = 3.7 if narrow else 7.6
    left = 1.25 if narrow else 2.1
    # Inches: 0.27 a row, 0.34 a model's heading, 0.5 for the axis.
    height = 0.27 * len(shown) + 0.34 * len(models) + 0.5
    with style():
        figure, axes = new_figure(width, height)
        axes.set_position(
            (left / width, 0.45 / height, 1 - (left + 0.15) / width, 1 - 0.5 / height)
        )
        y, model, summary = 0.0, None, []
        ticks, labels = [], []
        for row in shown:
            if row.model != model:
                model = row.model
                y += 1.25 if y else 0.9
                axes.annotate(
                    plain(model),
                    (0, y - 0.95),
                    xycoords=("axes fraction", "data"),
                    xytext=(-left * 72 + 4, 0),
                    textcoords="offset points",
                    weight="bold",
                    va="center",
                )
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
        metric = shown[0].metric
        unit = {"accuracy": ", % of samples"}.get(metric.name, ", %" if metric.points else "")
        axes.set_xlabel(metric.label + unit)
        label = column_heads(metric)[0].removesuffix(" %")
        return to_svg(figure, name, f"{label} with 95 % intervals. " + " ".join(summary))


def _row_label(row: Row, narrow: bool) -> str:
    if row.target == RATE:
        return "rate model"
    neuron = "" if narrow else f" · {row.neuron}"
    return f"{row.target}{neuron}" + (f" ({row.n}/{row.wanted})" if row.partial else "")


def _dot(axes: Axes, row: Row, y: float) -> str:
    """Draw one row; say it in words for readers who do not see it."""
    from matplotlib.patches import Rectangle

    own = row.score
    assert own is not None
    factor = row.metric.factor
    reference = own if row.target == RATE else row.rate_score
    if reference is not None:
        low, high, middle = (factor * v for v in (reference.low, reference.high, reference.value))
        axes.add_patch(Rectangle((low, y - 0.5), high - low, 1, color=BAND, linewidth=0))
        axes.plot([middle, middle], [y - 0.5, y + 0.5], color=GREY, linewidth=0.9)
    if row.target == RATE:
        axes.plot([factor * own.value], [y], "D", color=INK, markersize=4)
    else:
        colour = VERDICT_COLOUR[row.verdict]
        axes.plot([factor * own.low, factor * own.high], [y, y], color=colour, linewidth=1.4)
        face = "white" if row.verdict == "unclear" else colour
        axes.plot(
            [factor * own.value], [y], "o", color=colour, markerfacecolor=face, markersize=5.5
        )
    name = "rate model" if row.target == RATE else f"{row.target} with {row.neuron}"
    number = f"{100 * own.value:.1f} %" if row.metric.points else f"{own.value:.3g}"
    return f"{row.model}, {name}: {number}."


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
    with style():
        figure, axes = new_figure(2.7, 2.75)
        # Few classes have room for their names.
        letters = 4 if size > FEW_CLASSES else MAX_NAME
        names = [shortened(c, letters) for c in classes]
        long = numbered and max(map(len, names), default=0) > 4
        left, bottom = (0.31, 0.27) if long else (0.13, 0.13)
        axes.set_position((left, bottom, 0.98 - left, 0.98 - bottom))
        colours = LinearSegmentedColormap.from_list("errors", ["#ffffff", "#f6c9a8", VERMILLION])
        # Square root: one error must be visible beside twenty.
        axes.imshow(np.sqrt(errors), cmap=colours, vmin=0, vmax=max(most, 1) ** 0.5)
        for i in range(size):
            axes.add_patch(_cell(i))
        if numbered:
            for i, j in np.argwhere(counts):
                axes.text(
                    j,
                    i,
                    str(counts[i, j]),
                    ha="center",
                    va="center",
                    fontsize=6.5 if i == j else 7,
                    color=GREY if i == j else INK,
                )
            turned: dict[str, Any] = (
                {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if long else {}
            )
            axes.set_xticks(range(size), names, **turned)
            axes.set_yticks(range(size), names)
        axes.tick_params(length=0, labelsize=7)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("decided", fontsize=7.5)
        axes.set_ylabel("true", fontsize=7.5)
        wrong = int(errors.sum())
        worst = np.unravel_index(int(errors.argmax()), errors.shape)
        say = f"Confusion matrix of {who}: {wrong} of {int(counts.sum()):,} answers wrong"
        if wrong:
            true, taken = (plain(classes[k]) for k in worst)
            say += f"; most often class {true} taken for {taken}"
        return to_svg(figure, name, say + ".")


def shortened(name: str, letters: int) -> str:
    """A name of at most so many letters, the last of which says if there are more.

    >>> shortened("badminton", 10), shortened("badminton", 6)
    ('badminton', 'badmi…')
    """
    text = plain(name)
    if len(text) <= letters or letters <= 4:
        return text[:letters]
    return text[: letters - 1] + "…"


def _cell(i: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor="#f1f2f4", edgecolor="white")


def picture(image: Array) -> bytes:
    """A PNG of one input, dark on light; empty if ``image`` is not a picture."""
    from matplotlib.image import imsave

    pixels = np.nan_to_num(np.asarray(image, dtype=float).squeeze())
    if pixels.ndim != 2 or not pixels.size:
        return b""
    file = io.BytesIO()
    imsave(file, pixels, cmap="Greys", format="png")
    return file.getvalue()
