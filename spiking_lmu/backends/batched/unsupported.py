"""The error for what batched execution cannot reproduce exactly."""

from __future__ import annotations

from spiking_lmu.errors import TargetError


class Unsupported(TargetError):
    """A part of a built network that batched execution would not run exactly."""


def unsupported(what: str, got: str, expected: str) -> Unsupported:
    """The error, with the way out that always exists: nengo-loihi's own simulator."""
    return Unsupported(
        what, got=got, expected=expected, fix="run it one sample at a time on nengo_loihi.Simulator"
    )
