"""Learned channels side by side: what each puts out, and its error while it learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spiking_lmu.files.writing import write_atomically
from spiking_lmu.training.online.channel import DT, WINDOW, LearnedChannel

COLOURS = ("#0072b2", "#d55e00", "#999999")
#: Seconds of output that are shown, and points a line.
SHOWN, POINTS = 3.0, 1500


def plot_channels(channels: Mapping[str, LearnedChannel], path: Path) -> None:
    """Draw up to three channels of one stimulus, by name, to an SVG file.

    Raises
    ------
    FileError
        The folder cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    tested, learning = figure.subplots(2, 1)
    first = next(iter(channels.values()))
    steps, off = len(first.stimulus), first.off
    window = np.arange(off, min(off + round(SHOWN / DT), steps), 2)
    whole = np.arange(0, steps, max(1, steps // POINTS))
    tested.plot(window * DT, first.stimulus[window], color="#000000", lw=1.6, label="ideal")
    for colour, (name, channel) in zip(COLOURS, channels.items(), strict=False):
        label = f"{name}: normalised RMSE {channel.nrmse:.2f}"
        tested.plot(window * DT, channel.output[window], color=colour, lw=1.0, label=label)
        learning.plot(whole * DT, channel.error[whole], color=colour, lw=1.2, label=name)
    tested.set(title="output with learning off", ylabel="signal", xlabel="time, s")
    learning.axvline(off * DT, color="#000000", lw=0.8, ls=":")
    learning.set(
        title=f"error, over {WINDOW * DT:g} s; the dotted line is where learning ends",
        ylabel="rms error",
        xlabel="time, s",
        yscale="log",
    )
    learning.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    learning.minorticks_off()
    for axes in (tested, learning):
        axes.grid(alpha=0.3)
        axes.margins(x=0)
    tested.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.08))
    # A creation date and random identifiers would make equal pictures differ.
    with rc_context({"svg.hashsalt": "channels"}), write_atomically(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
