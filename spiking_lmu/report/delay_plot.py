"""The learned delay as a picture: input, ideal and output, at the beginning and at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spiking_lmu.files.writing import write_atomically
from spiking_lmu.training.online.delay import LearnedDelay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Seconds that each of the two panels shows, at most.
SHOWN = 10.0
#: Points a line; more would not be seen and make a large file.
POINTS = 1500


def plot_delay(learned: LearnedDelay, path: Path) -> None:
    """Draw to an SVG or PNG file, by the path's ending; SVG if it has none.

    Raises
    ------
    FileError
        The folder cannot be written.
    """
    figure = draw_delay(learned)
    kind = path.suffix.lstrip(".").lower() or "svg"
    # The creation date would make equal pictures differ.
    metadata = {"Date": None} if kind == "svg" else {}
    with write_atomically(path) as file:
        figure.savefig(file, format=kind, dpi=120, metadata=metadata)


def draw_delay(learned: LearnedDelay) -> Figure:
    """Two panels: learning from zero, and learning switched off."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    spec = learned.spec
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 1, sharey=True)
    shown = min(SHOWN, spec.duration / 2)
    first, last = round(shown / spec.dt), spec.steps - round(shown / spec.dt)
    for axes, window, title in (
        (panels[0], slice(0, first), "learning from zero"),
        (
            panels[1],
            slice(max(last, spec.learning_steps), spec.steps),
            f"learning off since {spec.off:g} s: normalised RMSE {learned.nrmse:.3f}",
        ),
    ):
        stride = max(1, (window.stop - window.start) // POINTS)
        index = np.arange(window.start, window.stop, stride)
        times = (index + 1) * spec.dt
        for values, label, colour, width in (
            (learned.stimulus, "input", "#999999", 1.0),
            (learned.ideal, f"ideal: {spec.delay:g} s later", "#000000", 1.6),
            (learned.output, "output", "#d55e00", 1.0),
        ):
            axes.plot(times, values[index], color=colour, linewidth=width, label=label)
        axes.set(title=title, ylabel="signal", xlim=(times[0], times[-1]))
        axes.grid(alpha=0.3)
    limit = 1.15 * float(np.abs(learned.stimulus).max())
    panels[0].set_ylim(-limit, limit)
    panels[1].set_xlabel("time, s")
    panels[0].legend(frameon=False, ncols=3, loc="lower right")
    figure.suptitle(
        f"{spec.neurons:,} neurons on {learned.target} learn a delay of {spec.delay:g} s"
    )
    return figure
