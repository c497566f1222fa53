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
    _inspect(add("inspect", "Show the parameters in a .slmu, save_params or exported file."))
    _export(add("export", "Write parameters with their names, for NumPy or a spreadsheet."))
    _apply(add("apply", "Put exported parameters back into a model or a save_params file."))
    _train(add("train", "Train an LMU."))
    _learn(add("learn", "Let a network learn while it runs."))
    _convert(add("convert", "Turn a trained rate model into a spiking one."))
    _check(add("check", "List what a target cannot do with a model, before running it."))
    _run(add("run", "Run a spiking model on one target."))
    _compare(add("compare", "Run spiking models on several targets and report the differences."))
    _energy(add("energy", "Estimate operations and energy from the spikes that compare counted."))
    return parser


def _inspect(parser: argparse.ArgumentParser) -> None:
    _parameters(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def _export(parser: argparse.ArgumentParser) -> None:
    _parameters(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="NPZ", help="the .npz file to write")
    parser.add_argument("--csv", type=Path, metavar="FOLDER", help="a folder of CSV files to write")


def _apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parameters", metavar="NPZ", help="a file that export wrote")
    parser.add_argument("--to", metavar="FILE", help="what to start from: a rate model; or, with "
                        "--network, a save_params file")  # fmt: skip
    parser.add_argument("--network", help="module:function of the network to write a file for")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")


def _parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="a .slmu file, a shipped model's name, a save_params file, "
        "or a file that export wrote",
    )  # fmt: skip
    parser.add_argument("--network", help="module:function of the network of a save_params file")


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


def _learn(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", choices=["delay"], help="the input some time ago, by PES")
    parser.add_argument("--target", default="reference")
    parser.add_argument("--preset", default="published", help="published, tuned or one-second")
    parser.add_argument("--theta", type=float, help="window of the memory, seconds")
    parser.add_argument("--order", type=int, help="dimensions of the memory")
    parser.add_argument("--delay", type=float, help="seconds")
    parser.add_argument("--frequency", type=float, help="highest of the white noise, Hz")
    parser.add_argument("--rms", type=float, help="of the white noise")
    parser.add_argument("--neurons", type=int)
    parser.add_argument("--neuron", choices=["relu", "lif"])
    parser.add_argument("--learning-rate", type=float, help="of PES")
    parser.add_argument("--duration", type=float, help="seconds of simulation")
    parser.add_argument("--off", type=float, help="second at which learning is switched off")
    parser.add_argument("--synapse", type=float, help="lowpass on the output, seconds")
    parser.add_argument("--scaling", choices=["none", "rms"], help="of the memory's dimensions")
    parser.add_argument("--radius", type=float, help="divides the memory after scaling")
    parser.add_argument("--max-rates", type=float, nargs=2, metavar=("LOW", "HIGH"), help="Hz")
    parser.add_argument("--intercepts", type=float, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--dt", type=float, help="simulation step, seconds")
    parser.add_argument("--plot", type=Path, help="draw input, ideal and output: .svg or .png")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--freeze", type=Path, help="write what was learned as a .slmu file")


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
        "--verify",
        type=int,
        default=3,
        metavar="N",
        help="for the same: random samples that must be identical, spike for spike, on "
        "upstream's simulator (default 3; 0: none)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share the samples (default: one a core; 1: no other than this one); "
        "each is started for a batch, or for 64 samples where batches are larger, so that a "
        "small run does not wait for more",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="let the workers of this Dask scheduler share them instead: tcp://HOST:PORT",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="what the batches of all workers together may take: 500MB, 2GiB (default: up to "
        "1 GiB for each worker, and half of what is free for all)",
    )
    parser.add_argument(
        "--journal", type=Path, help="folder of finished samples (default: beside the first model)"
    )


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", default="loihi")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw what each core holds")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


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


def _energy(parser: argparse.ArgumentParser) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
