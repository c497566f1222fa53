"""``spiking-lmu train``: train a network and write it as a rate ``.slmu`` file."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spiking_lmu.graph.model import Model


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command; each of the cell's is a field of ``TrainingSettings``."""
    parser.add_argument(
        "data",
        help="a file, a folder or a name such as aeon:JapaneseVowels (docs/data.md); images: "
        "psmnist, smnist, psfashion, or for the dense cell mnist, fashion-mnist",
    )
    parser.add_argument(
        "--cell",
        choices=["feedforward", "recurrent", "dense"],
        default="feedforward",
        help="feedforward or recurrent LMU, for sequences; or dense, without a memory, for samples "
        "of one input",
    )
    parser.add_argument("--neuron", choices=["relu", "lif", "tanh"], help="model of hidden neurons")
    parser.add_argument("--order", type=int, help="dimensions of the memory")
    parser.add_argument("--units", type=int, help="number of hidden neurons")
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    parser.add_argument("--steps", type=int, help="stop after this many batches (recurrent)")
    parser.add_argument("--batch-size", type=int, help="samples of each step (images: 100)")
    parser.add_argument("--learning-rate", type=float, help="learning rate of Adam at the start")
    parser.add_argument("--dropout", type=float, help="share of hidden outputs that is dropped")
    parser.add_argument("--shift", type=int, help="largest random shift in pixels")
    parser.add_argument(
        "--held-out", type=int, default=0, help="number of training images that are not trained on"
    )
    parser.add_argument(
        "--trainer",
        choices=["fast", "nengo-dl"],
        default="fast",
        help="recurrent: TensorFlow with the memory computed at once, or NengoDL step by step",
    )
    parser.add_argument("--warm-up", type=int, help="fast: first epochs, on the memory alone")
    parser.add_argument(
        "--current-tau", type=float, default=0.0, help="fast: lowpass on the input, in inputs"
    )
    parser.add_argument(
        "--recurrence-tau", type=float, default=0.0, help="fast: lowpass on the recurrence"
    )
    parser.add_argument(
        "--trace-noise",
        type=float,
        default=0.0,
        help="fast: standard deviation of noise on the recurrence",
    )
    parser.add_argument("--clip", type=float, help="fast: largest norm of a gradient")
    parser.add_argument(
        "--theta", type=float, help="sequences: window that is remembered, in inputs"
    )
    parser.add_argument(
        "--memories", type=int, help="sequences: number of memories (default: one a channel)"
    )
    parser.add_argument(
        "--gather",
        action=BooleanOptionalAction,
        help="sequences with one answer: whether every input adds to it, or the last alone gives "
        "it (default: whichever has the lower validation loss)",
    )
    parser.add_argument(
        "--patience",
        type=int,
        help="sequences: stop after so many epochs without a better validation loss",
    )
    parser.add_argument(
        "--balance",
        action=BooleanOptionalAction,
        help="sequences: weight classes so that rare ones count as much as others",
    )
    parser.add_argument(
        "--memory",
        choices=["host", "line"],
        default="host",
        help="line: train the feedforward cell on the spikes of a line, with 8-bit weights",
    )
    parser.add_argument("--bits", type=int, default=1, help="line: bits of an input (default 1)")
    parser.add_argument(
        "--whole-window",
        action="store_true",
        help="line: a free weight for every input of the window, without a Legendre memory",
    )
    parser.add_argument(
        "--smoothing", type=float, default=0.0, help="line: label smoothing, 0 to 0.5"
    )
    parser.add_argument(
        "--levels",
        type=int,
        help="afterwards go on with activations rounded to this many values, for convert --levels",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .slmu file to write")


def run(options: Namespace) -> int:
    """Train; write the model, its learning curve and its checkpoint."""
    from dataclasses import fields

    from rich.console import Console

    from spiking_lmu.files.slmu import save
    from spiking_lmu.report.curve_plot import plot_curve
    from spiking_lmu.report.text import plain, said
    from spiking_lmu.training.train import TrainingSettings, train

    from .common import command_line, require_folder

    require_folder(options.output)
    settings = TrainingSettings(
        **{field.name: getattr(options, field.name) for field in fields(TrainingSettings)}
    )
    result = train(
        options.data,
        settings,
        folder=options.folder,
        checkpoint=options.output.with_suffix(".checkpoint.npz"),
        command=command_line(options),
    )
    save(result.model, options.output)
    picture = options.output.with_suffix(".curve.svg")
    neuron = result.model.rate[_hidden(result.model)].neuron.kind
    plot_curve(result.curve, f"{options.data}, {options.cell} cell, {neuron}", picture)
    console = Console(highlight=False, markup=False)
    if result.shape:  # so that a person sees data that were read as something else
        console.print(f"trained on {plain(result.data)}: {result.shape}", soft_wrap=True)
    console.print(said(result.score))
    console.print(f"wrote {options.output} and {picture}", soft_wrap=True)
    return 0


def _hidden(model: Model) -> str:
    """The hidden layer: the first population that is not linear."""
    return next(p.name for p in model.rate.populations if p.neuron.kind != "linear")
