"""``spiking-lmu energy``: operations and energy of what ``compare`` ran, beside the rate model."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import DATA_NAMES

if TYPE_CHECKING:
    from spiking_lmu.graph.model import Model


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument(
        "--report", type=Path, metavar="JSON", required=True, help="what compare --json wrote"
    )
    parser.add_argument(
        "--devices", type=Path, metavar="JSON", help="more devices, or other figures for them"
    )
    parser.add_argument(
        "--data", help=f"measure how often rate neurons are zero on this test set: {DATA_NAMES}"
    )
    parser.add_argument("--samples", type=int, default=20, help="how much of --data")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--json", type=Path, help="write all numbers")


def run(options: Namespace) -> int:
    """Print both tables; with ``--json`` write all numbers."""
    from rich.console import Console

    from spiking_lmu.analysis.energy import energy_report, load_devices, read_counts
    from spiking_lmu.files.writing import write_atomically
    from spiking_lmu.files.zoo import load_model
    from spiking_lmu.report.energy_table import (
        LEFT_OUT,
        as_json,
        energy_table,
        operations_table,
        remarks,
    )
    from spiking_lmu.report.words import plain

    from .common import require_folder

    require_folder(options.json)
    model, devices = load_model(options.model), load_devices(options.devices)
    counts = read_counts(options.report, model)
    report = energy_report(model, counts, devices, _shares(options, model))
    console = Console(highlight=False, markup=False)
    console.print(operations_table(report))
    for line in remarks(report):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(energy_table(report))
    console.print(LEFT_OUT, soft_wrap=True)
    for device in devices:
        note = f"{device.note}. " if device.note else ""
        console.print(plain(f"{device.name}: {note}Source: {device.source}"), soft_wrap=True)
    if options.json:
        text = json.dumps(as_json(report), allow_nan=False, ensure_ascii=False, indent=1)
        with write_atomically(options.json) as file:
            file.write(text.encode("utf-8", "replace") + b"\n")
    return 0


def _shares(options: Namespace, model: Model) -> dict[str, float]:
    """How often each population of the rate graph is not zero, or nothing without ``--data``."""
    from spiking_lmu import datasets
    from spiking_lmu.analysis.energy import active_shares

    if options.data is None:
        return {}
    data = datasets.load(
        options.data, "test", folder=options.folder, samples=options.samples, seed=0
    )
    return active_shares(model.rate, data.x)
