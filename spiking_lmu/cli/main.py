"""The command line: a list of commands, each of which is a module beside this one.

Nothing heavy is imported until a command runs, so that help is instant.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from spiking_lmu import __version__
from spiking_lmu.errors import SpecError, SpikingLmuError, one_line, told

from .arguments import Parser
from .flags import flags_of, in_flags

#: What an error is called that no part of the program foresaw: a bug, here or in a user's code.
UNFORESEEN = "an unforeseen error"
#: Commands in the order of the help; each is a module with ``add_arguments`` and ``run``.
COMMANDS = {
    "models": "List the trained models that ship with the package.",
    "targets": "List the targets and whether they can run here.",
    "inspect": "Show the parameters in a .slmu, save_params or exported file.",
    "export": "Write parameters with their names, for NumPy or a spreadsheet.",
    "apply": "Put exported parameters back into a model or a save_params file.",
    "train": "Train a network.",
    "tune": "Train a rate model on, so that it bears being converted.",
    "learn": "Let a network learn while it runs.",
    "convert": "Turn a trained rate model into a spiking one.",
    "check": "List what a target cannot do with a model, before running it.",
    "run": "Run a spiking model on one target.",
    "compare": "Run spiking models on several targets and report the differences.",
    "free-run": "Have a network that predicts its next input go on by itself.",
    "explain": "Find where between the rate model and a target accuracy is lost.",
    "energy": "Estimate operations and energy from the spikes that compare counted.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 is success, 1 an error, 130 an interruption.  Whatever goes wrong is one line; with
    ``--debug`` it is the traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags: dict[str, str] = {}
    _make_printable()
    try:
        try:
            return _run(arguments, flags)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        if "--debug" in arguments:
            raise
        _complain(in_flags(_in_words(error), flags))
        return 1
    finally:
        _let_go_of_output()


def _make_printable() -> None:
    """What a terminal or a pipe cannot encode is shown as "?"; without either, nothing is."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run(arguments: list[str], flags: dict[str, str]) -> int:
    """Parse and run; ``flags`` becomes the command's, for the words of errors."""
    options = _parser().parse_args(arguments)
    options.arguments, options.flags = arguments, {**options.flags, **flags_of(options.parser)}
    flags.update(options.flags)
    _require_apart(options)
    command = import_module(_module(options.command), __package__)
    return int(command.run(options) or 0)


#: Files that a command writes and those that it reads, by what its options are called.
WRITTEN = ("output", "to", "json", "markdown", "report", "picture", "plot", "freeze")
READ = ("model", "models", "source", "parameters", "data")
#: Options that some command reads, and others write.
READ_BY = {"energy": ("report",), "apply": ("to",)}


def _require_apart(options: argparse.Namespace) -> None:
    """Raise a SpecError where a file that is to be written is one that is read, or is named twice.

    A command that wrote over a trained model or over data would have taken them away.
    """
    read = (*READ, *READ_BY.get(options.command, ()))
    written = [name for name in WRITTEN if name not in read]
    taken: dict[str, str] = {}
    for name in (*read, *written):
        given = getattr(options, name, None)
        for one in given if isinstance(given, list | tuple) else [given]:
            if not isinstance(one, str | os.PathLike):
                continue
            path = os.path.realpath(os.fspath(one).partition("?")[0] if name in read else one)
            if name in written and path in taken:
                raise SpecError(
                    name,
                    got=f"{one}, which is {taken[path]} too",
                    expected="a file of its own",
                    fix="choose another name",
                )
            taken[path] = options.flags.get(name, f"the {name}")


def _module(command: str) -> str:
    """The module of a command, relative to this package."""
    return "." + command.replace("-", "_")


def _in_words(error: Exception) -> str:
    """One line for any error: the family's own, the system's, and those nobody foresaw."""
    if isinstance(error, SpikingLmuError):
        return str(error)
    # A library that does not fit is an ImportError of the dynamic linker's.
    if isinstance(error, MemoryError) or "failed to map segment" in told(error):
        return "memory: got more work than fits, expected less; try fewer samples or smaller files"
    if isinstance(error, OSError) and error.errno is not None:
        what = one_line(str(error.filename or "standard output"))
        got = one_line(error.strerror or type(error).__name__)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        expected, fix = "a file or folder that can be used", "check the path"
        if full:
            expected, fix = "room on the disk", "free some space, or choose another disk"
        return f"{what}: got {got}, expected {expected}; {fix}"
    return f"{UNFORESEEN}: got {told(error)} {_place(error)}, expected none; see: --debug"


def _place(error: BaseException) -> str:
    """Where an error was raised: the file and the line."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    if where is None:
        return "somewhere"
    return f"in {os.path.basename(where.tb_frame.f_code.co_filename)} line {where.tb_lineno}"


def _complain(line: str) -> None:
    with suppress(OSError, ValueError):  # nobody listens
        print(f"spiking-lmu: {line}", file=sys.stderr, flush=True)


def _let_go_of_output() -> None:
    """What a closed pipe or a full disk did not take is not tried again when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complete_parser() -> argparse.ArgumentParser:
    """The parser with the options of every installed target, for documents."""
    return _parser(complete=True)


def _parser(complete: bool = False) -> argparse.ArgumentParser:
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
        import_module(_module(name), __package__).add_arguments(command)
        if complete:
            command.complete()
        # Advice of one command can be about the options of another.
        every |= flags_of(command)
        command.set_defaults(parser=command, flags=every)
    return parser
