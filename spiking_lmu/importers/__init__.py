"""From networks made elsewhere to a :class:`~spiking_lmu.graph.Graph`."""

from .nengo_dl import from_nengo_dl

__all__ = ["from_nengo_dl"]
