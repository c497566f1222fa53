"""What a model is: populations, projections, neurons, timing, and the definition of a run."""

from .graph import Graph, Population, Projection
from .model import Activity, Model
from .neurons import Neuron
from .timing import Timing

__all__ = ["Activity", "Graph", "Model", "Neuron", "Population", "Projection", "Timing"]
