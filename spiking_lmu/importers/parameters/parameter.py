"""One parameter of a network: its name, its values, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .statistics import Statistics, statistics

Array = np.ndarray


@dataclass(frozen=True)
class Place:
    """Where a ``save_params`` file holds a parameter: rows of the array ``arr_<array>``.

    NengoDL keeps parameters of equal row shape together in one variable, and each of them is
    a range of its rows (``nengo_dl/tensor_graph.py``, ``create_signals``).

    Parameters
    ----------
    array
        Position of the array in the file.
    rows
        Ranges (start, stop) of its rows, in the order of the parameter; None is the whole array.
    axis
        What counts as rows: 0, or 1 behind an axis of minibatch samples.
    """

    array: int
    rows: tuple[tuple[int, int], ...] | None = None
    axis: int = 0

    def __str__(self) -> str:
        if self.rows is None:
            return f"arr_{self.array}"
        samples = ":, " if self.axis else ""
        rows = "+".join(f"[{samples}{start}:{stop}]" for start, stop in self.rows)
        return f"arr_{self.array}{rows}"

    def take(self, array: Array, shape: tuple[int, ...]) -> Array:
        """The parameter, of ``shape``, out of the whole array."""
        if self.rows is None:
            return array.reshape(shape)
        return np.take(array, self._indices(), axis=self.axis).reshape(shape)

    def put(self, array: Array, value: Array) -> Array:
        """A copy of the whole array with the parameter replaced."""
        if self.rows is None:
            return value.reshape(array.shape).astype(array.dtype)
        array, index = array.copy(), self._indices()
        size = list(array.shape)
        size[self.axis] = len(index)
        array[(slice(None),) * self.axis + (index,)] = value.reshape(size)
        return array

    def _indices(self) -> Array:
        return np.concatenate([np.arange(start, stop) for start, stop in self.rows or ()])


@dataclass(frozen=True, eq=False)
class Parameter:
    """A named array of numbers that a network computes with.

    Parameters
    ----------
    name
        Readable, stable and unique in its network: ``"lmu.h_to_h"``, ``"lif1.bias"``.
    kind
        ``weights`` (post, pre); ``decoders`` (post, neurons); ``encoders`` (neurons, dimensions)
        with gain and radius in them; ``bias`` and ``gain`` (neurons,); for a Keras layer what
        Keras calls it: ``kernel`` (in, units), ``bias`` (units,), ``gamma`` and so on.
    value
        The numbers, read-only.
    pre, post
        Names of what it connects; ``pre`` is empty where nothing is read, as for a bias.
    trainable
        Whether training may change it; None where that is not known.
    description
        What it is, in words.
    place
        Where a ``save_params`` file holds it; None where such a file does not.
    """

    name: str
    kind: str
    value: Array
    pre: str = ""
    post: str = ""
    trainable: bool | None = True
    description: str = ""
    place: Place | None = None

    def __post_init__(self) -> None:
        value = np.array(self.value)
        value.flags.writeable = False
        object.__setattr__(self, "value", value)

    @property
    def connects(self) -> str:
        """``pre → post``, or where it sits."""
        return f"{self.pre} → {self.post}" if self.pre else self.post

    @cached_property
    def statistics(self) -> Statistics:
        """Smallest, mean, standard deviation, largest, non-finite numbers and a histogram."""
        return statistics(self.value)
