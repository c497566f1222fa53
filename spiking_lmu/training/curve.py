"""The learning curve as a picture."""

from __future__ import annotations

from pathlib import Path

from spiking_lmu.files.writing import write_atomically


def plot_curve(curve: list[dict[str, float]], title: str, path: Path) -> None:
    """Draw error by epoch, on training and (if any) held-out images, as an SVG file."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    epochs = range(1, len(curve) + 1)
    for key, label, colour in (
        ("accuracy", "training (with dropout and shifts)", "#0072b2"),
        ("held_out_accuracy", "held out", "#d55e00"),
    ):
        if key in curve[0]:
            errors = [100 * (1 - entry[key]) for entry in curve]
            axes.plot(epochs, errors, marker="o", markersize=3, color=colour, label=label)
    axes.set(xlabel="epoch", ylabel="error, % of images", title=title, yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    with write_atomically(path) as file:
        figure.savefig(file, format="svg")
