"""The learning curve as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spiking_lmu.files.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_curve(curve: list[dict[str, float]], title: str, path: Path) -> None:
    """Draw error or loss by epoch, on training and held-out samples, as an SVG file.

    Raises
    ------
    FileError
        The folder cannot be written.
    """
    figure = draw_curve(curve, title)
    with write_atomically(path) as file:
        figure.savefig(file, format="svg")


def draw_curve(curve: list[dict[str, float]], title: str) -> Figure:
    """Error of images, or loss, by epoch."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    # Training again on all samples has nothing held out to be seen beside.
    curve = [entry for entry in curve if "refit" not in entry]
    epochs = range(1, len(curve) + 1)
    images = "accuracy" in curve[0]
    for key, label, colour in (
        ("loss", "training (with dropout)", "#0072b2"),
        ("validation_loss", "validation", "#d55e00"),
    ):
        if not images and key in curve[0]:
            losses = [entry[key] for entry in curve]
            axes.plot(epochs, losses, linewidth=1.2, color=colour, label=label)
    for key, label, colour in (
        ("accuracy", "training (with dropout and shifts)", "#0072b2"),
        ("held_out_accuracy", "held out", "#d55e00"),
    ):
        if key in curve[0]:
            errors = [100 * (1 - entry[key]) for entry in curve]
            axes.plot(epochs, errors, marker="o", markersize=3, color=colour, label=label)
    ylabel = "error, % of images" if images else "loss"
    axes.set(xlabel="epoch", ylabel=ylabel, title=title, yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # labels of all nine would overlap
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    return figure
