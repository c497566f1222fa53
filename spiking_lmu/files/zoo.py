"""The trained models that ship with the package, and what stands for a MODEL.

Packages bring more through the entry-point group ``spiking_lmu.models``: each names a module whose
folder holds ``.slmu`` files.  The module is not run.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from spiking_lmu.errors import FileError
from spiking_lmu.graph.model import Model

from .slmu import load

FOLDER = Path(__file__).parent / "models"
GROUP = "spiking_lmu.models"
#: Models of the extra ``models``, which the wheel has no room for.
ELSEWHERE = ("psmnist-lmu-line", "psmnist-window-line")


def shipped() -> dict[str, Path]:
    """Files of the models that are installed by name, sorted; the package's own come first."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in folder.glob("*.slmu"):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def folders() -> list[Path]:
    """Where models are: this package's folder, and those of installed packages of models."""
    found = [FOLDER]
    for point in entry_points(group=GROUP):
        # Of a name with dots the parents would be imported; a package of models has none.
        spec = find_spec(point.value) if point.value.isidentifier() else None
        if spec is not None:
            found += map(Path, spec.submodule_search_locations or ())
    return found


_KERAS = "read it with spiking_lmu.from_keras, or make a .slmu file of it with spiking-lmu convert"
_NENGO_DL = (
    "a network of NengoDL comes with the file of its save_params: "
    "spiking-lmu convert params.npz, with network=module:function"
)
#: What other files are by their endings, and what reads them.
OTHER_KINDS = {
    ".keras": ("Keras", _KERAS),
    ".h5": ("Keras", _KERAS),
    ".nir": ("NIR", "read it with spiking_lmu.from_nir"),
    ".npz": ("NumPy", _NENGO_DL),
    ".py": ("Python", _NENGO_DL),
}


def find_model(name: str) -> Path:
    """The file that ``name`` stands for: a path, or the name of a shipped model.

    Raises
    ------
    FileError
        Neither.
    """
    path = Path(name)
    if os.path.lexists(path):
        return path
    models = shipped()
    if name in models:
        return models[name]
    if name in ELSEWHERE:
        raise FileError(
            name,
            got="a model of the package spiking-lmu-models, which is not installed",
            expected="a .slmu file or one of " + ", ".join(models),
            fix="pip install 'spiking-lmu[models]', or in a checkout: pip install ./models",
        )
    raise FileError(
        name,
        got="no file and no shipped model of that name",
        expected="a .slmu file or one of " + ", ".join(models),
        fix="check the path, or see: spiking-lmu models",
    )


def load_model(source: str | PathLike[str] | BinaryIO) -> Model:
    """Load a ``.slmu`` file, or a model that ships with the package by its name.

    Parameters
    ----------
    source
        A path, the name of a model that ships, or a file that is open for reading bytes.

    Raises
    ------
    FileError
        There is no such file or model; or the file is damaged, hostile or of another kind.

    >>> load_model("mnist-dense").graph.output_size
    10
    """
    if not isinstance(source, str | PathLike):
        if not hasattr(source, "read"):
            got, fix = type(source).__name__, "pass the path of a .slmu file, or a model's name"
            raise FileError("model", got=got, expected="a file", fix=fix)
        return load(source)
    path = find_model(os.fspath(source))
    try:
        return load(path)
    except FileError as error:
        kind, fix = OTHER_KINDS.get(path.suffix.lower(), ("", ""))
        if not kind:
            raise
        raise FileError(
            str(path),
            got=f"a {kind} file",
            expected="a .slmu file",
            fix=fix,
        ) from error
