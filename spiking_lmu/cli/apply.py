"""``spiking-lmu apply``: exported parameters back into a model or a ``save_params`` file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from spiking_lmu.errors import SpecError


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("parameters", metavar="NPZ", help="a file that export wrote")
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="what to start from: a rate model; or, with --network, a save_params file",
    )
    parser.add_argument(
        "--network",
        help="module:function of the network to write a file for; runs that module's code",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")


def run(options: Namespace) -> int:
    """Write a model, or a file for NengoDL's ``load_params``, with the given values."""

    from rich.console import Console

    from spiking_lmu.importers.parameters import load

    from .common import require_folder
    from .sources import call_network, require_npz

    require_folder(options.output)
    values = load(Path(options.parameters))
    if options.network is not None:
        from spiking_lmu.importers.parameters import save_params

        require_npz(options.output)
        save_params(call_network(options.network), values, options.output, base=options.to)
    elif options.to is not None:
        from spiking_lmu.files import slmu
        from spiking_lmu.files.zoo import load_model
        from spiking_lmu.importers.parameters import with_parameters

        slmu.save(with_parameters(load_model(options.to), values), options.output)
    else:
        raise SpecError(
            "apply arguments",
            got="no network to put the parameters into",
            expected="--to MODEL, or --network module:function",
            fix="add --to with a .slmu file",
        )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{options.output}: {len(values)} parameters from {options.parameters}")
    return 0
