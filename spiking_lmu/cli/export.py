"""``spiking-lmu export``: parameters with their names, for NumPy or a spreadsheet."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from spiking_lmu.errors import SpecError

from .arguments import add_parameter_file


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    add_parameter_file(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="NPZ", help="the .npz file to write")
    parser.add_argument("--csv", type=Path, metavar="FOLDER", help="a folder of CSV files to write")


def run(options: Namespace) -> int:
    """Write the parameters of a file as ``.npz``, as CSV, or as both."""
    from rich.console import Console

    from spiking_lmu.importers.parameters import save, write_csv

    from .common import require_folder
    from .sources import parameters_of, require_npz

    if options.output is None and options.csv is None:
        raise SpecError(
            "export arguments",
            got="nowhere to write",
            expected="--output, --csv or both",
            fix="add --output weights.npz, or --csv FOLDER for a spreadsheet",
        )
    require_folder(options.output)
    if options.output is not None:
        require_npz(options.output)
    source = parameters_of(options.file, options.network)
    if source.kind == "unnamed":
        raise SpecError(
            source.path.name,
            got="a save_params file without its network",
            expected="--network module:function, from which the names come",
            fix="name a function that returns the nengo.Network that was trained",
        )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    numbers = sum(p.value.size for p in source.parameters.values())
    told = f"{len(source.parameters)} parameters, {numbers:,} numbers"
    lines = [f"note: {note}" for note in source.notes]
    if options.output is not None:
        save(source.parameters, options.output)
        lines.append(f"{options.output}: {told}")
    if options.csv is not None:
        paths = write_csv(source.parameters, options.csv)
        lines.append(f"{options.csv}: {told} in {len(paths) - 1} files and {paths[0].name}")
    for line in lines:
        console.print(line)
    return 0
