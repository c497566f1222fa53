"""Trained Legendre Memory Units, converted to spiking networks and compared across targets.

::

    import spiking_lmu as sl

    rate = sl.load("psmnist-ff-relu")    # or sl.Model(sl.from_nengo_dl(network, simulator))
    data = sl.datasets.load("psmnist")               # .train, .test
    spiking = sl.convert(rate, target="loihi")
    result = sl.compare(spiking, data.test, targets=["reference", "loihi"], samples=1000)
    result.to_html("report.html")

Importing this package imports neither NumPy nor Nengo nor TensorFlow; each name below is
loaded when it is first used.  From then on a plain ``import nengo_dl`` or ``import
nengo_loihi`` in this process is mended (:mod:`spiking_lmu.compat`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spiking_lmu.compat.checkout import install as _find_targets
from spiking_lmu.compat.hook import install as _mend

if TYPE_CHECKING:
    from spiking_lmu import datasets as datasets
    from spiking_lmu.analysis.calibration import calibrate
    from spiking_lmu.analysis.check import check
    from spiking_lmu.analysis.choice import choose, convert
    from spiking_lmu.analysis.comparison import Comparison, Interrupted, compare
    from spiking_lmu.analysis.costs import energy
    from spiking_lmu.analysis.explain import explain
    from spiking_lmu.analysis.free_run import free_run
    from spiking_lmu.analysis.memories import choose_memory
    from spiking_lmu.analysis.tradeoff import Grid, tradeoff
    from spiking_lmu.backends.registry import find_targets, get_target
    from spiking_lmu.datasets.dataset import Dataset, Splits
    from spiking_lmu.errors import SpikingLmuError
    from spiking_lmu.files.slmu import save
    from spiking_lmu.files.zoo import load_model as load
    from spiking_lmu.graph.graph import Graph, Population, Projection
    from spiking_lmu.graph.lmu import LmuSpec
    from spiking_lmu.graph.model import Model
    from spiking_lmu.graph.neurons import Neuron
    from spiking_lmu.graph.reference import run_reference
    from spiking_lmu.graph.task import Scaling, Task
    from spiking_lmu.graph.timing import Timing
    from spiking_lmu.importers import from_keras, from_nengo_dl, from_nir, parameters, to_nir
    from spiking_lmu.runs.runner import Job
    from spiking_lmu.runs.service import RunSettings
    from spiking_lmu.training.fine_tune import fine_tune
    from spiking_lmu.training.online.delay import learn_delay
    from spiking_lmu.training.online.delay_line import delay_by_line
    from spiking_lmu.training.online.freeze import freeze
    from spiking_lmu.training.train import TrainingSettings, train
    from spiking_lmu.training.tuned import FineTuningSettings

#: Where each name is, and what it is called there if that is something else.
_HOME = {
    "Comparison": "analysis.comparison",
    "Dataset": "datasets.dataset",
    "FineTuningSettings": "training.tuned",
    "Graph": "graph.graph",
    "Grid": "analysis.tradeoff",
    "Interrupted": "analysis.comparison",
    "Job": "runs.runner",
    "LmuSpec": "graph.lmu",
    "Model": "graph.model",
    "Neuron": "graph.neurons",
    "Population": "graph.graph",
    "Projection": "graph.graph",
    "RunSettings": "runs.service",
    "Scaling": "graph.task",
    "SpikingLmuError": "errors",
    "Splits": "datasets.dataset",
    "Task": "graph.task",
    "Timing": "graph.timing",
    "TrainingSettings": "training.train",
    "calibrate": "analysis.calibration",
    "check": "analysis.check",
    "choose": "analysis.choice",
    "choose_memory": "analysis.memories",
    "compare": "analysis.comparison",
    "convert": "analysis.choice",
    "delay_by_line": "training.online.delay_line",
    "energy": "analysis.costs",
    "explain": "analysis.explain",
    "find_targets": "backends.registry",
    "fine_tune": "training.fine_tune",
    "free_run": "analysis.free_run",
    "freeze": "training.online.freeze",
    "from_keras": "importers",
    "from_nengo_dl": "importers",
    "from_nir": "importers",
    "get_target": "backends.registry",
    "learn_delay": "training.online.delay",
    "load": "files.zoo:load_model",
    "run_reference": "graph.reference",
    "save": "files.slmu",
    "tradeoff": "analysis.tradeoff",
    "to_nir": "importers",
    "train": "training.train",
}

#: Modules that stand at the top by a shorter name.
_MODULES = {"datasets": "datasets", "parameters": "importers.parameters"}

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "Dataset",
    "FineTuningSettings",
    "Graph",
    "Grid",
    "Interrupted",
    "Job",
    "LmuSpec",
    "Model",
    "Neuron",
    "Population",
    "Projection",
    "RunSettings",
    "Scaling",
    "SpikingLmuError",
    "Splits",
    "Task",
    "Timing",
    "TrainingSettings",
    "calibrate",
    "check",
    "choose",
    "choose_memory",
    "compare",
    "convert",
    "datasets",
    "delay_by_line",
    "energy",
    "explain",
    "find_targets",
    "fine_tune",
    "free_run",
    "freeze",
    "from_keras",
    "from_nengo_dl",
    "from_nir",
    "get_target",
    "learn_delay",
    "load",
    "parameters",
    "run_reference",
    "save",
    "to_nir",
    "tradeoff",
    "train",
]

_find_targets()
_mend()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'spiking_lmu' has no attribute {name!r}")
    module, _, other = _HOME[name].partition(":")
    return getattr(import_module(f".{module}", __name__), other or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
