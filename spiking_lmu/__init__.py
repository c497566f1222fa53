"""Trained Legendre Memory Units, converted to spiking networks and compared across targets.

Importing this package imports neither NumPy nor Nengo nor TensorFlow; each name below is
loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spiking_lmu.backends.registry import find_targets, get_target
    from spiking_lmu.conversion import convert
    from spiking_lmu.datasets.dataset import Dataset, Splits
    from spiking_lmu.errors import SpikingLmuError
    from spiking_lmu.files.slmu import load, save
    from spiking_lmu.graph.graph import Graph, Population, Projection
    from spiking_lmu.graph.lmu import LmuSpec
    from spiking_lmu.graph.model import Model
    from spiking_lmu.graph.neurons import Neuron
    from spiking_lmu.graph.reference import run_reference
    from spiking_lmu.graph.task import Scaling, Task
    from spiking_lmu.graph.timing import Timing
    from spiking_lmu.importers import from_keras, from_nengo_dl
    from spiking_lmu.training.fine_tune import fine_tune

_HOME = {
    "Dataset": "datasets.dataset",
    "Graph": "graph.graph",
    "LmuSpec": "graph.lmu",
    "Model": "graph.model",
    "Neuron": "graph.neurons",
    "Population": "graph.graph",
    "Projection": "graph.graph",
    "Scaling": "graph.task",
    "SpikingLmuError": "errors",
    "Splits": "datasets.dataset",
    "Task": "graph.task",
    "Timing": "graph.timing",
    "convert": "conversion",
    "find_targets": "backends.registry",
    "fine_tune": "training.fine_tune",
    "from_keras": "importers",
    "from_nengo_dl": "importers",
    "get_target": "backends.registry",
    "load": "files.slmu",
    "run_reference": "graph.reference",
    "save": "files.slmu",
}

#: Modules that stand at the top by a shorter name.
_MODULES = {"datasets": "datasets", "parameters": "importers.parameters"}

__version__ = "0.1.0"
__all__ = [
    "Dataset",
    "Graph",
    "LmuSpec",
    "Model",
    "Neuron",
    "Population",
    "Projection",
    "Scaling",
    "SpikingLmuError",
    "Splits",
    "Task",
    "Timing",
    "convert",
    "find_targets",
    "fine_tune",
    "from_keras",
    "from_nengo_dl",
    "get_target",
    "load",
    "run_reference",
    "save",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'spiking_lmu' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
