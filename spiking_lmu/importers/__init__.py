"""From networks made elsewhere to a :class:`~spiking_lmu.graph.Graph`."""

from .keras import from_keras
from .nengo_dl.importer import from_nengo_dl
from .nengo_dl.save_params import read_params
from .nir import from_nir, to_nir

__all__ = ["from_keras", "from_nengo_dl", "from_nir", "read_params", "to_nir"]
