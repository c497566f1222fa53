"""The command line: arguments here, work in :mod:`spiking_lmu.commands`.

Nothing heavy is imported until a command runs, so that help is instant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from . import __version__
from .errors import SpecError, SpikingLmuError

DATA_NAMES = "psmnist, smnist, mnist, fashion-mnist, psfashion"


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line of the same family as all others."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(
            f"{self.prog} arguments",
            got=message,
            expected="arguments as in its help",
            fix=f"see: {self.prog} --help",
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 is success, 1 an error of the user's, 130 an interruption.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        options = _parser().parse_args(arguments)
        options.arguments = arguments
        command = import_module(f".commands.{options.command}", __package__)
        return int(command.run(options) or 0)
    except SpikingLmuError as error:
        if debug:
            raise
        print(f"spiking-lmu: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("spiking-lmu: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="spiking-lmu",
        description="Convert trained Legendre Memory Units to spiking networks, run them on "
        "several targets, and report what accuracy was kept.",
    )
    parser.add_argument("--version", action="version", version=f"spiking-lmu {__version__}")
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    add("models", "List the trained models that ship with the package.")
    add("targets", "List the targets and whether they can run here.")
    _inspect(add("inspect", "Show what is in a .slmu or save_params file."))
    _train(add("train", "Train an LMU."))
    _convert(add("convert", "Turn a trained rate model into a spiking one."))
    _run(add("run", "Run a spiking model on one target."))
    _compare(add("compare", "Run spiking models on several targets and report the differences."))
    return parser


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a .slmu file, a save_params .npz, or a shipped model's name")


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", choices=["psmnist", "smnist", "psfashion"], help="data set")
    parser.add_argument("--cell", choices=["feedforward", "recurrent"], default="feedforward")
    parser.add_argument("--neuron", choices=["relu", "lif", "tanh"], help="hidden neurons")
    parser.add_argument("--order", type=int, help="dimensions of the memory")
    parser.add_argument("--units", type=int, help="hidden neurons")
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    parser.add_argument("--steps", type=int, help="stop after this many batches (recurrent)")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, help="Adam's, at the start")
    parser.add_argument("--dropout", type=float, help="share of hidden outputs (by cell)")
    parser.add_argument("--shift", type=int, default=1, help="largest random shift in pixels")
    parser.add_argument("--held-out", type=int, default=0, help="training images not trained on")
    parser.add_argument(
        "--trainer",
        choices=["fast", "nengo-dl"],
        default="fast",
        help="recurrent: TensorFlow with the memory computed at once, or NengoDL step by step",
    )
    parser.add_argument("--warm-up", type=int, help="fast: epochs on the memory alone, first")
    parser.add_argument(
        "--current-tau", type=float, default=0.0, help="fast: lowpass on the input, in inputs"
    )
    parser.add_argument(
        "--recurrence-tau", type=float, default=0.0, help="fast: lowpass on the recurrence"
    )
    parser.add_argument(
        "--trace-noise", type=float, default=0.0, help="fast: noise on the recurrence, s.d."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .slmu file to write")


def _convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a .slmu file, shipped name, or .npz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .slmu file to write")
    parser.add_argument("--network", help="module:function of the network of a save_params file")
    parser.add_argument(
        "--neuron", choices=["relu", "lif"], help="spiking neuron (default: by model)"
    )
    parser.add_argument(
        "--target", action="append", default=[], help="choose defaults for this target; repeatable"
    )
    parser.add_argument("--max-rate", type=float, help="Hz at the 99.9th percentile of activation")
    parser.add_argument("--steps-per-input", type=int, help="simulation steps an input")
    parser.add_argument("--settle-steps", type=int, help="steps for which the last input is held")
    parser.add_argument("--readout-tau", type=float, help="lowpass on the output, seconds")
    parser.add_argument(
        "--synapse-tau", type=float, help="lowpass between spiking neurons, seconds"
    )
    parser.add_argument("--data", help=f"measure activity on this training set: {DATA_NAMES}")
    parser.add_argument("--training-samples", type=int, default=1000, help="how much of --data")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)


def _samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="psmnist", help=f"data set: {DATA_NAMES}")
    parser.add_argument("--samples", type=int, default=100, help="test images, drawn by --seed")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="TensorFlow device for nengo-dl: /cpu:0, /gpu:0")
    parser.add_argument(
        "--engine",
        choices=["auto", "batched", "stock"],
        help="for reference and loihi: exact batched execution, or upstream's simulator",
    )
    parser.add_argument(
        "--verify", type=int, help="for the same: samples run on both engines and compared"
    )
    parser.add_argument(
        "--journal", type=Path, help="folder of finished samples (default: beside the first model)"
    )


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", default="reference")
    _samples(parser)


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="+", help="spiking .slmu files")
    parser.add_argument("--targets", default="reference,nengo-dl,loihi", help="comma-separated")
    parser.add_argument(
        "--samples-on",
        action="append",
        default=[],
        metavar="TARGET=N",
        help="fewer samples on a slow target; repeatable",
    )
    parser.add_argument("--report", type=Path, help="write an HTML page")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--markdown", type=Path, help="write the table")
    _samples(parser)


if __name__ == "__main__":
    sys.exit(main())
