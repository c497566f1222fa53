"""Trained networks and learned delays as tables and records."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.compat import environment
from spiking_lmu.training.online.closed_form import best_readout, legendre_readout, readout_error
from spiking_lmu.training.online.delay import LearnedDelay, online_learning
from spiking_lmu.training.train import TrainingResult

from .text import duration

DELAY_SCHEMA, DELAY_SCHEMA_VERSION = "spiking-lmu learned delay", 1


def training_table(result: TrainingResult) -> Table:
    """The learning curve, an epoch a row."""
    table = _table(f"Learning curve on {result.data}")
    columns = {
        "loss": "Loss",
        "accuracy": "Training %",
        "held_out_loss": "Held out: loss",
        "held_out_accuracy": "Held out %",
        "seconds": "Time",
    }
    shown = [key for key in columns if any(key in entry for entry in result.curve)]
    table.add_column("Epoch")
    for key in shown:
        table.add_column(columns[key], justify="right")
    for number, entry in enumerate(result.curve, 1):
        table.add_row(str(number), *(_number(key, entry.get(key)) for key in shown))
    return table


def _number(key: str, value: float | None) -> str:
    if value is None:
        return ""
    if key == "seconds":
        return duration(value)
    return f"{100 * value:.2f}" if key.endswith("accuracy") else f"{value:.4f}"


def delay_table(learned: LearnedDelay) -> Table:
    """The error by tenths of the simulation."""
    spec = learned.spec
    title = (
        f"A delay of {spec.delay:g} s learned on {learned.target}; learning is switched off at "
        f"{spec.off:g} s"
    )
    table = _table(title)
    table.add_column("Until, s")
    table.add_column("Normalised RMSE", justify="right")
    for number, value in enumerate(learned.by_tenth, 1):
        until = spec.duration * number / 10
        table.add_row(f"{until:g}", "–" if value is None else f"{value:.3f}")
    return table


def delay_record(learned: LearnedDelay) -> dict[str, Any]:
    """What ran, with what, and what came out; JSON-safe."""
    spec = learned.spec
    memory = (spec.theta, spec.delay, spec.frequency)
    legendre = legendre_readout(spec.order, spec.theta, spec.delay)
    return {
        "schema": DELAY_SCHEMA,
        "schema_version": DELAY_SCHEMA_VERSION,
        "target": learned.target,
        "options": asdict(spec),
        "target_settings": online_learning(learned.target).settings,
        "nrmse": learned.nrmse,
        "nrmse_by_tenth": learned.by_tenth,
        "bounds": {
            "legendre_readout": readout_error(legendre, *memory),
            "best_linear_readout": best_readout(spec.order, *memory)[1],
        },
        "digests": learned.digests,
        "seconds": learned.seconds,
        **environment(),
    }


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", pad_edge=False)
