"""Rate model → spiking model: small passes from graph to graph, and the one that chains them."""

from .convert import Options, convert, default_options, rate_model
from .measure import measure_activity

__all__ = ["Options", "convert", "default_options", "measure_activity", "rate_model"]
