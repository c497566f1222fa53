"""What input Nodes show, step after step, without an array of all steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from spiking_lmu.errors import TargetError
from spiking_lmu.graph.convolution import InputConvolution

Array = np.ndarray


class Feed(Protocol):
    """What one Node outputs during a run of a batch."""

    batch: int
    #: Steps for which there is something to show.
    steps: int
    size: int
    #: Whether the values are the stock simulator's to the last bit.
    exact: bool

    def changes(self, step: int) -> bool:
        """Whether ``step``, counted from 0, shows something else than the step before."""

    def show(self, step: int, target: Array) -> None:
        """Set ``target`` (size, batch) to what there is to see at ``step``."""


class Sampled:
    """A number for every step: (batch, steps, size)."""

    exact = True

    def __init__(self, data: Array) -> None:
        self.batch, self.steps, self.size = data.shape
        self._data = np.moveaxis(data, 0, -1)

    def changes(self, step: int) -> bool:
        """Every step may."""
        return True

    def show(self, step: int, target: Array) -> None:
        """Set ``target`` (size, batch)."""
        target[...] = self._data[step]


class Presented:
    """One input after another, each held for its presentation.

    Parameters
    ----------
    x
        (batch, inputs, size).
    shown
        Which input is shown at each step, (steps,).
    """

    exact = True

    def __init__(self, x: Array, shown: Array) -> None:
        self.batch, _, self.size = x.shape
        self.steps, self.shown = len(shown), shown
        self._data = np.moveaxis(np.asarray(x, np.float64), 0, -1)

    def changes(self, step: int) -> bool:
        """At the first step of a presentation."""
        return step == 0 or self.shown[step] != self.shown[step - 1]

    def show(self, step: int, target: Array) -> None:
        """Set ``target`` (size, batch)."""
        target[...] = self._data[self.shown[step]]


class FrontEndFeed(Presented):
    """What a linear front end delivers in each presentation, computed block by block.

    Before the first input of a sample that is not zero it delivers zeros, or what its biases
    do, as the stock simulator computes it; Fourier transforms alone would make it 1e-17.

    Parameters
    ----------
    x, shown
        As for :class:`Presented`; what the front end sees.
    convolution, constant
        The front end (``spiking_lmu.graph.front_end``, ``FrontEnd.convolution``).

    Attributes
    ----------
    convolved
        The outputs but for the constant, and but for those that are zeros.
    constant
        What the biases deliver, (inputs, size); None if that is nothing.
    first
        Before which input of each sample there are only zeros, (batch,).
    largest
        What no output exceeds, (size,).
    """

    exact = False

    def __init__(
        self, x: Array, shown: Array, convolution: InputConvolution, constant: Array
    ) -> None:
        super().__init__(x, shown)
        self.size = convolution.outputs
        self.convolved = convolution.apply(x)
        self.constant = constant if constant.any() else None
        self.largest = convolution.gain * np.abs(x).max() + np.abs(constant).max(axis=0)
        driven = (x != 0).any(axis=2)
        self.first = np.where(driven.any(axis=1), driven.argmax(axis=1), x.shape[1])

    def show(self, step: int, target: Array) -> None:
        """Set ``target`` (size, batch)."""
        presentation = int(self.shown[step])
        self.convolved.write(presentation, target)
        undriven = self.first > presentation
        if undriven.any():
            target[:, undriven] = 0.0
        if self.constant is not None:
            target += self.constant[presentation][:, None]


def as_feed(data: Array | Feed) -> Feed:
    """``data`` itself, or an array (batch, steps, size) as a feed.

    Raises
    ------
    TargetError
        An array of another shape, or with numbers that are not finite.
    """
    if not isinstance(data, np.ndarray):
        return data
    if data.ndim != 3:
        raise _bad_shape(str(data.shape))
    if not np.isfinite(data).all():
        raise TargetError(
            "feeds", got="NaN or infinity", expected="finite numbers", fix="clean the data"
        )
    return Sampled(data)


def check_feeds(feeds: Mapping[Any, Feed]) -> tuple[int, int]:
    """Batch size and number of steps of all feeds, by Node.

    Raises
    ------
    TargetError
        They do not fit one another or their Nodes.
    """
    lengths = {(feed.batch, feed.steps) for feed in feeds.values()}
    fits = len(lengths) == 1 and all(
        feed.size == node.size_out and min(feed.batch, feed.steps, feed.size) > 0
        for node, feed in feeds.items()
    )
    if not fits:
        shapes = (str((feed.batch, feed.steps, feed.size)) for feed in feeds.values())
        raise _bad_shape(", ".join(shapes) or "none")
    ((batch, steps),) = lengths
    return batch, steps


def _bad_shape(got: str) -> TargetError:
    return TargetError(
        "feeds",
        got=got,
        expected="for each Node (batch, steps, its size), the same batch and steps",
        fix="pass arrays of those shapes",
    )
