"""NengoDL's simulator, on CPU or GPU."""

from .target import TARGET

__all__ = ["TARGET"]
