"""Trained Legendre Memory Units, converted to spiking networks and compared across targets.

Importing this package imports neither NumPy nor Nengo nor TensorFlow; each name below is
loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .artifact import load, save
    from .conversion import convert
    from .errors import SpikingLmuError
    from .graph import Graph, Population, Projection
    from .importers import from_nengo_dl
    from .lmu import LmuSpec
    from .model import Model
    from .neurons import Neuron
    from .registry import find_targets, get_target
    from .simulate import run_reference
    from .timing import Timing

_HOME = {
    "Graph": "graph",
    "LmuSpec": "lmu",
    "Model": "model",
    "Neuron": "neurons",
    "Population": "graph",
    "Projection": "graph",
    "SpikingLmuError": "errors",
    "Timing": "timing",
    "convert": "conversion",
    "find_targets": "registry",
    "from_nengo_dl": "importers",
    "get_target": "registry",
    "load": "artifact",
    "run_reference": "simulate",
    "save": "artifact",
}

__version__ = "0.1.0"
__all__ = [
    "Graph",
    "LmuSpec",
    "Model",
    "Neuron",
    "Population",
    "Projection",
    "SpikingLmuError",
    "Timing",
    "convert",
    "find_targets",
    "from_nengo_dl",
    "get_target",
    "load",
    "run_reference",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'spiking_lmu' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
