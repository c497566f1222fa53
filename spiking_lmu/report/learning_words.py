"""Trained networks and learned delays as tables and records."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from spiking_lmu.compat import environment
from spiking_lmu.training.online.closed_form import best_readout, legendre_readout, readout_error
from spiking_lmu.training.online.delay import LearnedDelay, online_learning
from spiking_lmu.training.online.delay_line import LineDelay
from spiking_lmu.training.train import TrainingResult
from spiking_lmu.training.tuned import FineTuningResult

from .text import duration

DELAY_SCHEMA, DELAY_SCHEMA_VERSION = "spiking-lmu learned delay", 1


#: Rows of a learning curve; a network that is trained on all samples at the end has as many again.
EPOCHS = 10


def training_table(result: TrainingResult) -> Table:
    """The learning curve, a row for each of some epochs."""
    table = _table(f"Learning curve on {result.data}")
    columns = {
        "loss": "Loss",
        "accuracy": "Training %",
        "validation_loss": "Validation",
        "held_out_loss": "Held out: loss",
        "held_out_accuracy": "Held out %",
        "seconds": "Time",
    }
    shown = [key for key in columns if any(key in entry for entry in result.curve)]
    table.add_column("Epoch")
    for key in shown:
        table.add_column(columns[key], justify="right")
    rows = 0
    for again, name in ((False, ""), (True, "on all, ")):
        part = [entry for entry in result.curve if ("refit" in entry) is again]
        chosen = np.unique(np.linspace(1, len(part), min(EPOCHS, len(part))).round().astype(int))
        for number in chosen:
            values = (_number(key, part[number - 1].get(key)) for key in shown)
            table.add_row(f"{name}{number}", *values)
        rows += len(chosen)
    if rows < len(result.curve):
        many = len(result.curve)
        table.caption = f"{rows} of {many} epochs; the data frame and the JSON file have all."
        table.caption_justify = "left"
    return table


#: Rows of a table of losses, which are one for each batch.
LOSSES = 10


def tuning_table(result: FineTuningResult) -> Table:
    """The loss on the way, a mean over a tenth of the batches a row, and what it brought."""
    table = _table("Loss while training on")
    table.add_column("Until batch", justify="right")
    table.add_column("Loss", justify="right")
    for row in tuning_rows(result):
        table.add_row(f"{row['until']:,}", f"{row['loss']:.4f}")
    return table


def tuning_rows(result: FineTuningResult) -> list[dict[str, Any]]:
    """Mean losses of one tenth of the batches after another."""
    parts = np.array_split(np.array(result.losses), min(LOSSES, len(result.losses)))
    ends = np.cumsum([len(part) for part in parts])
    return [
        {"until": int(end), "loss": float(part.mean())}
        for end, part in zip(ends, parts, strict=True)
    ]


def tuning_verdict(result: FineTuningResult) -> str:
    """What it brought on held-out samples, in a sentence."""
    whole = result.model.task.classifies
    kind, unit = ("right", " %") if whole else ("relative error", "")

    def said(value: float) -> str:
        return f"{100 * value:.1f}{unit}" if whole else f"{value:.3g}"

    return (
        f"On {result.held_out:,} held-out samples {kind}: {said(result.before)} before and "
        f"{said(result.after)} after with activations as converted, {said(result.exact_before)} "
        f"and {said(result.exact_after)} with exact ones"
    )


def tuning_record(result: FineTuningResult) -> dict[str, Any]:
    """What it was trained with, and what came out; JSON-safe."""
    held = {key: getattr(result, key) for key in ("before", "after", "exact_before", "exact_after")}
    return {
        **result.model.provenance["fine_tuning"],
        "digest": result.model.digest,
        "held_out": result.held_out,
        **held,
        "losses": result.losses,
    }


def line_delay_table(found: LineDelay) -> Table:
    """What a delay as a line of spikes keeps, and what it takes."""
    table = _table(f"A delay of {found.spec.delay:g} s as a line of spikes on {found.target}")
    table.add_column("")
    table.add_column("", justify="right")
    rows = {
        "Bits of an input, sign apart": f"{found.bits}",
        "RMSE": f"{found.rmse:.4f}",
        "Normalised RMSE": f"{found.nrmse:.4f}",
        "Neurons of the line": f"{found.neurons:,}",
        "Spikes": f"{found.spikes:,}",
        "Steps a second": f"{found.spec.steps / found.seconds:,.0f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def line_delay_record(found: LineDelay) -> dict[str, Any]:
    """All numbers but the series, JSON-safe."""
    return {
        "spec": asdict(found.spec),
        "target": found.target,
        "memory": "line",
        "bits": found.bits,
        "rmse": found.rmse,
        "nrmse": found.nrmse,
        "neurons": found.neurons,
        "spikes": found.spikes,
        "steps_per_second": found.spec.steps / found.seconds,
        **environment(),
    }


def _number(key: str, value: float | None) -> str:
    if value is None:
        return ""
    if key == "seconds":
        return duration(value)
    return f"{100 * value:.2f}" if key.endswith("accuracy") else f"{value:.4f}"


def delay_headline(learned: LearnedDelay) -> str:
    """What was learned where, and how well."""
    return f"A delay learned on {learned.target}: normalised RMSE {learned.nrmse:.3f}"


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
