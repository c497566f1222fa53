"""``spiking-lmu tune``: train a rate model on, so that it bears being converted."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import fields
from pathlib import Path

from .arguments import DATA_NAMES


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a .slmu file, or a shipped name; its rate model is trained",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .slmu file to write")
    parser.add_argument(
        "--levels", type=int, help="round activations to this many values, for convert --levels"
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=0.0,
        help="standard deviation of noise on activations, in units of their 99.9th percentile",
    )
    parser.add_argument(
        "--memory",
        choices=["host", "line"],
        default="host",
        help="line: train hidden layer and readout for convert --memory line",
    )
    parser.add_argument("--bits", type=int, default=1, help="line: bits of an input")
    parser.add_argument("--target", help="line: what it will run on (default: a chip)")
    parser.add_argument(
        "--data", help=f"training set (default: the model's own, if it names one): {DATA_NAMES}"
    )
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--batches", type=int, default=1000, help="steps of the optimizer")
    parser.add_argument("--batch-size", type=int, default=100, help="samples in each")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="Adam's, at the start")
    parser.add_argument("--seed", type=int, default=0)


def run(options: Namespace) -> int:
    """Load, train on, and write; a run that was stopped goes on from its checkpoint."""
    from spiking_lmu import datasets
    from spiking_lmu.files.slmu import save
    from spiking_lmu.files.zoo import load_model
    from spiking_lmu.training.fine_tune import fine_tune
    from spiking_lmu.training.tuned import FineTuningSettings

    from .common import require_folder

    require_folder(options.output)
    model = load_model(options.model)
    if options.data is None:
        data = datasets.own_data(model, options.folder)
    else:
        data = datasets.load(options.data, folder=options.folder)
    kept = options.output.with_suffix(".checkpoint.npz")
    tuned = fine_tune(
        model,
        data.train,
        checkpoint=None if options.memory == "line" else kept,
        **{field.name: getattr(options, field.name) for field in fields(FineTuningSettings)},
    )
    save(tuned.model, options.output)
    print(tuned)
    print(f"wrote {options.output}")
    return 0
