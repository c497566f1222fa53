"""Where between the rate model and a target accuracy is lost, rung by rung, and what to do."""

from .advice import Advice, advise
from .explanation import Explanation, explain
from .ladder import Ladder, Step, climb
from .layers import HiddenLayer

__all__ = ["Advice", "Explanation", "HiddenLayer", "Ladder", "Step", "advise", "climb", "explain"]
