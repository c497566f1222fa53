"""Where between the rate model and a target accuracy is lost, rung by rung, and what to do."""

from .advice import Advice, advise
from .ladder import Ladder, Step, climb
from .layers import Layer

__all__ = ["Advice", "Ladder", "Layer", "Step", "advise", "climb"]
