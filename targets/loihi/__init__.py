"""The Loihi emulator of nengo-loihi."""

from .target import TARGET

__all__ = ["TARGET"]
