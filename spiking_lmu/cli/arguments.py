"""The parser, and arguments that several commands share."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from spiking_lmu.errors import SpecError

if TYPE_CHECKING:
    from spiking_lmu.backends.target import Target

#: Where the parser keeps what is given for a target: ``target_option_engine``.
DEST = "target_option_"
DATA_NAMES = (
    "a file, a folder or a name such as aeon:JapaneseVowels (docs/data.md); images: psmnist, "
    "smnist, mnist, fashion-mnist, psfashion"
)


class Parser(ArgumentParser):
    """argparse whose complaints are one line of the same family as all others."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._late: list[Callable[[Parser], None]] = []

    def add_late(self, add: Callable[[Parser], None]) -> None:
        """Have ``add`` add arguments once this command is parsed, and not for others."""
        self._late.append(add)

    def complete(self) -> None:
        """Add the late arguments."""
        while self._late:
            self._late.pop()(self)

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """As argparse does, with the late arguments."""
        self.complete()
        return super().parse_known_args(*args, **options)

    def error(self, message: str) -> NoReturn:
        """Raise a SpecError."""
        raise SpecError(
            f"{self.prog} arguments",
            got=message,
            expected="arguments as in its help",
            fix=f"see: {self.prog} --help",
        )


def add_target_options(parser: Parser) -> None:
    """The options of every target that is installed, each under its own name.

    Where the command has an argument of that name already, the target's name comes first:
    ``--mytarget-samples``.
    """
    from spiking_lmu.backends.options import options_of
    from spiking_lmu.backends.registry import find_targets

    group = parser.add_argument_group("options of targets")
    merged: dict[str, list[tuple[str, Any]]] = {}
    for found in find_targets():
        for name, option in ({} if found.target is None else options_of(found.target)).items():
            if option.kind is not None:
                taken = _flag(name) in parser._option_string_actions
                key = f"{found.name}-{name}" if taken else name
                merged.setdefault(key, []).append((found.name, option))
    for key, several in merged.items():
        choices = list(dict.fromkeys(c for _, option in several for c in option.choices))
        targets = " and ".join(target for target, _ in several)
        default = several[0][1].default
        usual = "" if default is None else f" (default {default})"
        group.add_argument(
            _flag(key),
            dest=DEST + key.replace("-", "_"),
            metavar="{" + ",".join(choices) + "}" if choices else key.upper().replace("-", "_"),
            help=f"{targets}: {several[0][1].help}{usual}".replace("%", "%%"),
        )


def target_options(options: Namespace, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """For each of ``targets`` its options that were given.

    Raises
    ------
    SpecError
        A value that an option cannot have, or an option that none of these targets has.
    """
    from spiking_lmu.backends.options import options_of

    given = {
        name.removeprefix(DEST): text
        for name, text in vars(options).items()
        if name.startswith(DEST) and text is not None
    }
    used, chosen = set(), []
    for target in targets:
        mine = {}
        for name, option in options_of(target).items():
            for key in (f"{target.name}_{name}".replace("-", "_"), name):
                if key in given and name not in mine:
                    mine[name] = option.parse(given[key])
                    used.add(key)
        chosen.append(mine)
    for key in given:
        if key not in used:
            raise SpecError(
                _flag(key),
                got=repr(given[key]),
                expected="an option of " + " or ".join(target.name for target in targets),
                fix="leave it out, or choose a target that has it: spiking-lmu targets",
            )
    return chosen


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def add_import_arguments(parser: ArgumentParser) -> None:
    """How a network trained in NengoDL is imported from a save_params file."""
    parser.add_argument(
        "--network",
        help="module:function of the network of a save_params file; runs that module's code",
    )
    parser.add_argument(
        "--input",
        action="append",
        metavar="NAME",
        help="the Node that gets the data, if there are several; repeated: Nodes that share the "
        "channels of the data, in this order",
    )
    parser.add_argument(
        "--probe",
        metavar="NAME",
        help="the probe whose values are the output, if there are several",
    )
    parser.add_argument(
        "--trained-dt", type=float, metavar="SECONDS", help="the simulator's step (default 0.001)"
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="import without comparing with NengoDL on random inputs",
    )


def add_parameter_file(parser: ArgumentParser) -> None:
    """The file whose parameters are meant."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .slmu file, a shipped model's name, a save_params file, "
        "or a file that export wrote",
    )
    parser.add_argument(
        "--network",
        help="module:function of the network of a save_params file; runs that module's code",
    )


def add_samples(parser: Parser) -> None:
    """Which samples of which data, and how they are run."""
    parser.add_late(add_target_options)
    parser.add_argument(
        "--data",
        help="data whose samples are run (default: the model's own, if it names a source, or "
        f"psmnist if it names nothing): {DATA_NAMES}",
    )
    parser.add_argument("--samples", type=int, help="number of samples, drawn with --seed")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--verify",
        type=int,
        default=3,
        metavar="N",
        help="number of random samples that also run on the upstream simulator and must have the "
        "same spikes there (default 3; 0: none)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share the samples (default: one for each core; 1: only this one); "
        "small runs start fewer, one for each batch or 64 samples",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run on the workers of this Dask scheduler, tcp://HOST:PORT; its messages are "
        "pickles, so use only one that you trust",
    )
    parser.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="memory for the batches of all workers together, such as 500MB or 2GiB (default: "
        "1 GiB for each worker, and at most half of the free memory)",
    )
    parser.add_argument(
        "--journal", type=Path, help="folder of finished samples (default: beside the first model)"
    )
