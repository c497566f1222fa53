"""``spiking-lmu energy``: operations and energy of what ``compare`` ran, beside the rate model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .arguments import DATA_NAMES


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
    parser.add_argument("--markdown", type=Path, help="write the tables")


def run(options: Namespace) -> int:
    """Print both tables; with ``--json`` write all numbers."""
    from spiking_lmu import datasets
    from spiking_lmu.analysis.costs import energy
    from spiking_lmu.files.zoo import load_model

    from .common import require_folder, write_and_show

    require_folder(options.json, options.markdown)
    data = None if options.data is None else datasets.load(options.data, folder=options.folder).test
    found = energy(
        load_model(options.model),
        options.report,
        data,
        devices=options.devices,
        samples=options.samples,
        name=Path(options.model).stem,
    )
    write_and_show(found, options, json=options.json, markdown=options.markdown)
    return 0
