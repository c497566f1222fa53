"""Nengo's own simulator."""

from .target import TARGET

__all__ = ["TARGET"]
