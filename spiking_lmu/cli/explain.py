"""``spiking-lmu explain``: where accuracy is lost on the way to a target, and what to turn."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .arguments import Parser, add_samples

#: Samples on which the ladder is climbed, unless told otherwise.
SAMPLES = 200


def add_arguments(parser: Parser) -> None:
    """Arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", help="default: the one that changes a model most")
    parser.add_argument("--split", choices=["test", "train"], default="test")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw the ladder")
    parser.add_argument("--report", type=Path, help="write an HTML page")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--markdown", type=Path, help="write the tables")
    add_samples(parser)


def run(options: Namespace) -> int:
    """Climb the ladder; print it, the layers and the advice."""
    from dataclasses import replace

    from spiking_lmu import datasets
    from spiking_lmu.analysis.comparison import require_spiking
    from spiking_lmu.analysis.explain import explain
    from spiking_lmu.backends.registry import given_target
    from spiking_lmu.compat import environment
    from spiking_lmu.files.zoo import find_model, load_model

    from .arguments import target_options
    from .common import (
        command_line,
        data_name,
        preflight,
        require_folder,
        run_settings,
        write_and_show,
    )

    require_folder(options.picture, options.json, options.report, options.markdown)
    model, target = load_model(options.model), given_target(options.target)
    name = Path(options.model).stem
    require_spiking(name, model, str(options.model))
    (chosen,) = target_options(options, [target])
    settings = run_settings(options, find_model(options.model).with_suffix(".journal"))
    data = datasets.load(data_name(options, model), folder=options.folder)[options.split]
    preflight({name: model}, {name: str(options.model)}, [target], options.flags)
    found = explain(
        model,
        data,
        target,
        samples=min(SAMPLES, len(data)) if options.samples is None else options.samples,
        name=name,
        settings=replace(settings, options=chosen),
    )
    found.ladder.provenance.update(command=command_line(options), **environment())
    paths = {"json": options.json, "markdown": options.markdown, "html": options.report}
    write_and_show(found, options, **paths, picture=options.picture)
    return 0
