"""Parameters by name: of a live NengoDL simulator, a ``save_params`` file, a ``.slmu`` file."""

from .model import from_graph, from_model, with_parameters
from .named_file import load, save
from .parameter import Parameter, Place
from .simulator import assign, from_file, from_simulator, save_params
from .spreadsheet import write_csv
from .statistics import Statistics, statistics

__all__ = [
    "Parameter",
    "Place",
    "Statistics",
    "assign",
    "from_file",
    "from_graph",
    "from_model",
    "from_simulator",
    "load",
    "save",
    "save_params",
    "statistics",
    "with_parameters",
    "write_csv",
]
