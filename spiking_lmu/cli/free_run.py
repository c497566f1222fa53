"""``spiking-lmu free-run``: a network that sees its own predictions, beside the series."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .arguments import DATA_NAMES, Parser, add_target_options


def add_arguments(parser: Parser) -> None:
    """Arguments of the command."""
    parser.add_late(add_target_options)
    parser.add_argument(
        "model", metavar="MODEL", help="a .slmu file of a network that predicts its next input"
    )
    parser.add_argument("--data", required=True, help=DATA_NAMES)
    parser.add_argument("--split", choices=["test", "train"], default="test")
    parser.add_argument(
        "--prompt",
        type=int,
        required=True,
        metavar="N",
        help="inputs of each series that are shown",
    )
    parser.add_argument("--target", help="default: the one that changes a model most")
    parser.add_argument("--samples", type=int, help="number of series, drawn with --seed")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--verify",
        type=int,
        default=1,
        metavar="N",
        help="series that must be identical, spike for spike, on upstream's simulator (default 1)",
    )
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw the first series")
    parser.add_argument("--report", type=Path, help="write an HTML page")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--markdown", type=Path, help="write the table")


def run(options: Namespace) -> int:
    """Lead, let go, compare; print the table."""
    from spiking_lmu import datasets
    from spiking_lmu.analysis.free_run import free_run
    from spiking_lmu.backends.registry import given_target
    from spiking_lmu.files.zoo import load_model

    from .arguments import target_options
    from .common import require_folder, write_and_show

    require_folder(options.picture, options.json, options.report, options.markdown)
    model, target, chosen = load_model(options.model), options.target, {}
    if model.graph.spiking:
        target = given_target(options.target)
        (chosen,) = target_options(options, [target])
    found = free_run(
        model,
        datasets.load(options.data, folder=options.folder)[options.split],
        options.prompt,
        target,
        samples=options.samples,
        seed=options.seed,
        verify=options.verify,
        name=Path(options.model).stem,
        **chosen,
    )
    paths = {"json": options.json, "markdown": options.markdown, "html": options.report}
    write_and_show(found, options, **paths, picture=options.picture)
    return 0
