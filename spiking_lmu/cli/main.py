"""The command line: a list of commands, each of which is a module beside this one.

Nothing heavy is imported until a command runs, so that help is instant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from spiking_lmu import __version__
from spiking_lmu.errors import SpikingLmuError

from .arguments import Parser
from .flags import flags_of, in_flags

#: Commands in the order of the help; each is a module with ``add_arguments`` and ``run``.
COMMANDS = {
    "models": "List the trained models that ship with the package.",
    "targets": "List the targets and whether they can run here.",
    "inspect": "Show the parameters in a .slmu, save_params or exported file.",
    "export": "Write parameters with their names, for NumPy or a spreadsheet.",
    "apply": "Put exported parameters back into a model or a save_params file.",
    "train": "Train a network.",
    "learn": "Let a network learn while it runs.",
    "convert": "Turn a trained rate model into a spiking one.",
    "check": "List what a target cannot do with a model, before running it.",
    "run": "Run a spiking model on one target.",
    "compare": "Run spiking models on several targets and report the differences.",
    "explain": "Find where between the rate model and a target accuracy is lost.",
    "energy": "Estimate operations and energy from the spikes that compare counted.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 is success, 1 an error of the user's, 130 an interruption.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags: Mapping[str, str] = {}
    debug = "--debug" in arguments
    try:
        options = _parser().parse_args(arguments)
        options.arguments, options.flags = arguments, {**options.flags, **flags_of(options.parser)}
        flags = options.flags
        command = import_module(f".{options.command}", __package__)
        return int(command.run(options) or 0)
    except SpikingLmuError as error:
        if debug:
            raise
        print(f"spiking-lmu: {in_flags(str(error), flags)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("spiking-lmu: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="spiking-lmu",
        description="Convert trained Legendre Memory Units to spiking networks, run them on "
        "several targets, and report what accuracy was kept.",
    )
    parser.add_argument("--version", action="version", version=f"spiking-lmu {__version__}")
    common = Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )

    every: dict[str, str] = {}
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        import_module(f".{name}", __package__).add_arguments(command)
        # Advice of one command can be about the options of another.
        every |= flags_of(command)
        command.set_defaults(parser=command, flags=every)
    return parser
