"""The trained models that ship with the package, and what stands for a MODEL."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from spiking_lmu.errors import FileError
from spiking_lmu.graph.model import Model

from .slmu import load

FOLDER = Path(__file__).parent / "models"


def shipped() -> dict[str, Path]:
    """Files of the shipped models by name, sorted."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.slmu"))}


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
    if isinstance(source, str | PathLike):
        return load(find_model(os.fspath(source)))
    return load(source)
