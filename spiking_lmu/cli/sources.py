"""``module:function`` of a network, and files of parameters, as several commands take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError, told

if TYPE_CHECKING:
    from argparse import Namespace

    from spiking_lmu.graph.model import Model
    from spiking_lmu.importers.parameters.source import Source


def call_network(name: str) -> Any:
    """Call ``module:function`` and return its network; the working folder is on the path.

    This runs the module's code, whatever it does.  NengoDL is mended first, so that the module
    can import it and TensorFlow as it always did.  Of a ``nengo_dl.Converter`` its network is
    taken.

    Raises
    ------
    SpecError
        No such module or function; it raises anything or exits; it returns something else.
    """
    import sys
    from contextlib import suppress
    from importlib import import_module

    from spiking_lmu.compat import import_nengo, import_nengo_dl

    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    module, _, function = name.partition(":")
    sys.path.insert(0, "")
    try:
        made = getattr(import_module(module), function)()
        network = made.net if isinstance(made, nengo_dl.Converter) else made
        fits = isinstance(network, nengo.Network)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's code may raise anything, SystemExit too
        raise _no_network(f"{name!r} ({told(error)})") from error
    finally:
        with suppress(ValueError):  # the module may have done so
            sys.path.remove("")
    if not fits:
        raise _no_network(f"{name!r}, which returns {type(made).__name__}")
    return network


def import_network(options: Namespace, path: Path) -> Model:
    """The rate model in a save_params file, by the arguments of ``add_import_arguments``.

    What the file does not say and may be wrong is printed as a note.

    Raises
    ------
    ImportNetworkError, FileError
        As :func:`spiking_lmu.from_nengo_dl`.
    """
    import re
    import sys
    import warnings

    from spiking_lmu.errors import ImportNetworkError, ImportNetworkWarning
    from spiking_lmu.graph.model import Model
    from spiking_lmu.importers import from_nengo_dl

    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ImportNetworkWarning)
            graph = from_nengo_dl(
                call_network(options.network),
                path,
                input=options.input,
                output=options.probe,
                dt=options.trained_dt,
                check=not options.no_check,
            )
    except ImportNetworkError as error:
        # What is called output there is the file to write here.
        got, fix = (
            re.sub(
                r"input=\[([^]]*)\]",
                lambda m: " ".join(f"--input {name}" for name in m[1].split(", ")),
                text,
            )
            .replace("output=", "--probe")
            .replace("input=", "--input")
            .replace("check=False", "--no-check")
            for text in (error.got, error.fix)
        )
        raise ImportNetworkError(error.what, got=got, expected=error.expected, fix=fix) from error
    for note in notes:
        print(f"note: {note.message}", file=sys.stderr)
    return Model(
        graph, provenance={"imported_from": {"file": path.name, "network": options.network}}
    )


def parameters_of(file: str, network: str | None) -> Source:
    """The parameters in ``file``, which may be a shipped model's name.

    Raises
    ------
    SpecError
        A network for a file that has names of its own.
    FileError
        A file that is missing, damaged, hostile, or of another network.
    """
    from spiking_lmu.files.zoo import find_model
    from spiking_lmu.importers.parameters.named_file import is_named
    from spiking_lmu.importers.parameters.source import open_source

    path = find_model(file)
    if network is None:
        return open_source(path)
    if path.suffix != ".npz" or is_named(path):
        raise SpecError(
            "--network",
            got=f"{network!r} for {path.name}, whose parameters have names",
            expected="--network only with a save_params file",
            fix="leave it out",
        )
    return open_source(path, call_network(network))


def require_npz(path: Path) -> None:
    """Raise a SpecError unless ``path`` ends in ``.npz``, which NumPy and NengoDL expect."""
    if path.suffix != ".npz":
        raise SpecError(
            "--output",
            got=str(path),
            expected="a name that ends in .npz",
            fix=f"write to {path.with_suffix('.npz')}",
        )


def _no_network(got: str) -> SpecError:
    return SpecError(
        "--network",
        got=got,
        expected="module:function that returns a nengo.Network",
        fix="check the name, and run from the folder of that module",
    )
