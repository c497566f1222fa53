"""From networks made elsewhere to a :class:`~spiking_lmu.graph.Graph`."""

from .nengo_dl import from_nengo_dl
from .parameters import read_params

__all__ = ["from_nengo_dl", "read_params"]
