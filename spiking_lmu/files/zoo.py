"""The trained models that ship with the package, and what stands for a MODEL."""

from __future__ import annotations

import os
from pathlib import Path

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


def load_model(name: str) -> Model:
    """Load a ``.slmu`` file or a shipped model."""
    return load(find_model(name))
