"""``spiking-lmu explain``: where accuracy is lost on the way to a target, and what to turn."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import DATA_NAMES

if TYPE_CHECKING:
    from spiking_lmu.analysis.explain import Advice, Ladder


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", default="loihi")
    parser.add_argument("--data", default="psmnist", help=f"data set: {DATA_NAMES}")
    parser.add_argument("--split", choices=["test", "train"], default="test")
    parser.add_argument("--samples", type=int, default=200, help="images, drawn by --seed")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw the ladder")
    parser.add_argument("--json", type=Path, help="write all numbers")


def run(options: Namespace) -> int:
    """Climb the ladder; print it, the layers and the advice."""
    from rich.console import Console

    from spiking_lmu import datasets
    from spiking_lmu.analysis.explain import advise, climb
    from spiking_lmu.backends.registry import get_target
    from spiking_lmu.compat import environment
    from spiking_lmu.report.ladder_words import (
        MEANING,
        changes,
        ladder_table,
        layer_tables,
        verdict,
    )
    from spiking_lmu.runs.progress import RichProgress

    from .check import preflight
    from .common import command_line, require_folder
    from .flags import in_flags
    from .sources import load_spiking

    require_folder(options.picture, options.json)
    model, target = load_spiking(options.model), get_target(options.target)
    name = Path(options.model).stem
    preflight([(name, model)], [target])
    dataset = datasets.load(
        options.data,
        options.split,
        folder=options.folder,
        samples=options.samples,
        seed=options.seed,
    )
    with RichProgress(Console(stderr=True)) as progress:
        ladder = climb(name, model, target, dataset, seed=options.seed, progress=progress)
    ladder.provenance.update(command=command_line(options), **environment())
    advice = advise(ladder, model)
    console = Console(highlight=False)
    console.print(ladder_table(ladder))
    console.print(changes(ladder), style="dim", markup=False)
    for table in layer_tables(ladder):
        console.print(table)
    console.print(MEANING, style="dim")
    console.print(f"\n{verdict(ladder)}", markup=False)
    for one in advice:
        console.print(in_flags(f"→ {one}", options.flags), markup=False)
    _write(options, ladder, advice)
    return 0


def _write(options: Namespace, ladder: Ladder, advice: tuple[Advice, ...]) -> None:
    import json

    from spiking_lmu.files.writing import write_atomically
    from spiking_lmu.report.ladder_words import as_json

    written: list[tuple[Path, str]] = []
    if options.picture is not None:
        from spiking_lmu.report.canvas import as_file
        from spiking_lmu.report.ladder_plot import waterfall

        written.append((options.picture, as_file(waterfall(ladder, "ladder"))))
    if options.json is not None:
        document = json.dumps(as_json(ladder, advice), allow_nan=False, indent=1)
        written.append((options.json, document + "\n"))
    for path, text in written:
        with write_atomically(path) as file:
            file.write(text.encode())
        print(f"wrote {path}")
