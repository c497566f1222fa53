"""``spiking-lmu check``: what a target would say about a model, before anything is built."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from spiking_lmu.errors import SpecError


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", help="default: the one that changes a model most")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw what each core holds")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: Namespace) -> int:
    """Print every problem and what each core holds; 1 if the target cannot run the model."""
    from spiking_lmu.analysis.check import check
    from spiking_lmu.backends.registry import given_target
    from spiking_lmu.files.zoo import load_model

    from .common import require_folder, show

    require_folder(options.picture)
    name = Path(options.model).stem
    found = check(load_model(options.model), given_target(options.target), name=name)
    if options.picture and not found.cores:
        raise SpecError(
            "picture",
            got=f"{found.target} and this model",
            expected="something on a chip",
            fix="leave picture out, or choose a target with cores",
        )
    if options.picture:
        found.to_svg(options.picture)
    if options.json:
        print(found.to_json(), end="")
    else:
        show(found, options)
        if options.picture:
            print(f"wrote {options.picture}")
    return 0 if found.can_run else 1
