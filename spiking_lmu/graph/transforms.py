"""Transforms: how the values of one population become the input of another.

Every transform is linear, ``y = W · x``, and differs from the others in what is known about
the matrix W, of shape (post, pre):

================== ============================================================
:class:`Dense`      any W
:class:`OneToOne`   W is diagonal
:class:`Sparse`     W is mostly zeros, and the others are listed
:class:`Convolution` W repeats a kernel over places (1-D, 2-D, …), in groups of channels
:class:`AveragePool` W averages windows of places, each channel by itself
================== ============================================================

Values on places with channels are flattened with the channels last, as in Keras and Nengo:
a population of shape (height, width, channels) holds channel c of place (i, j) at
``(i · width + j) · channels + c``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from spiking_lmu.errors import SpecError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = np.ndarray
Pairs = tuple[tuple[int, int], ...]
AnyTransform = TypeVar("AnyTransform", bound="Transform")
#: What is accepted as padding: none, as much as keeps the size, or (before, after) by axis.
Padding = str | Sequence[Sequence[int]]
#: Places and channels of anything described here, far above what a chip or a computer runs.
MAX_SIZE = 1 << 31
#: Values of windows that a convolution lays side by side at once: 1 MiB, which caches hold.
WINDOW_VALUES = 1 << 17


class Transform:
    """What all transforms have.

    ``pre`` in the methods is the number of source neurons; only :class:`OneToOne` needs to be
    told.
    """

    @property
    def shape(self) -> tuple[int, int] | None:
        """(post, pre); None where any size will do, as it is the same for both."""
        raise NotImplementedError

    @property
    def weights(self) -> Array | None:
        """The array that training may change; None where there is none."""
        raise NotImplementedError

    def with_weights(self, weights: Array) -> Transform:
        """The same with another array in the place of :attr:`weights`."""
        raise NotImplementedError

    def apply(self, values: Array) -> Array:
        """``W · values``: (..., pre) → (..., post)."""
        raise NotImplementedError

    def scaled(self, gain: Array) -> Transform:
        """With row i of W multiplied by ``gain[i]``, shape (post,).

        Dense and one-to-one weights may overflow; a target says what it makes of that.
        """
        raise NotImplementedError

    def sparse(self, pre: int) -> csr_matrix:
        """W as a SciPy matrix in rows; weights of 0 may be among its entries."""
        raise NotImplementedError

    def matrix(self, pre: int) -> Array:
        """W in full, (post, pre)."""
        return self.sparse(pre).toarray()

    def connections(self, pre: int) -> int:
        """How many synapses there are, those with a weight of 0 included."""
        return int(self.sparse(pre).nnz)

    def fan_out(self, pre: int) -> Array:
        """From each source neuron, how many synapses have a weight other than 0; (pre,)."""
        entries = self.sparse(pre)
        return np.bincount(entries.indices[entries.data != 0], minlength=pre)

    def nengo(self) -> Any:
        """What to give to ``nengo.Connection`` as its ``transform``; None for nothing."""
        return _nengo_sparse(self.sparse(0))

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a file holds of it: JSON-safe fields with its ``kind``, and named arrays.

        The fields are empty for dense and one-to-one weights, which the array tells apart.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        """A few words for tables."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Dense(Transform):
    """Any matrix: ``weights`` (post, pre)."""

    array: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", checked_array(self.array, "weights", 2))

    @property
    def shape(self) -> tuple[int, int]:
        """(post, pre)."""
        return self.array.shape

    @property
    def weights(self) -> Array:
        """The matrix."""
        return self.array

    def with_weights(self, weights: Array) -> Dense:
        """Another matrix."""
        return Dense(weights)

    def apply(self, values: Array) -> Array:
        """``values @ Wᵀ``."""
        return values @ self.array.T

    def scaled(self, gain: Array) -> Dense:
        """Rows multiplied."""
        return _unchecked(Dense, self.array * gain[:, None])

    def sparse(self, pre: int) -> csr_matrix:
        """Without its zeros."""
        from scipy.sparse import csr_matrix

        return csr_matrix(self.array)

    def matrix(self, pre: int) -> Array:
        """The matrix itself."""
        return self.array

    def connections(self, pre: int) -> int:
        """All entries."""
        return int(self.array.size)

    def fan_out(self, pre: int) -> Array:
        """Entries that are not 0, by column."""
        return np.count_nonzero(self.array, axis=0)

    def nengo(self) -> Array:
        """The matrix."""
        return self.array

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """The matrix alone."""
        return {}, {"weights": self.array}

    def __str__(self) -> str:
        return f"{self.array.shape[0]:,} × {self.array.shape[1]:,}"


@dataclass(frozen=True, eq=False)
class OneToOne(Transform):
    """A weight on each of n connections from neuron i to neuron i; None is 1 for all."""

    array: Array | None = None

    def __post_init__(self) -> None:
        if self.array is not None:
            object.__setattr__(self, "array", checked_array(self.array, "weights", 1))

    @property
    def shape(self) -> tuple[int, int] | None:
        """(n, n), or None with a weight of 1."""
        return None if self.array is None else self.array.shape * 2

    @property
    def weights(self) -> Array | None:
        """Shape (n,), or None."""
        return self.array

    def with_weights(self, weights: Array) -> OneToOne:
        """Other weights."""
        return OneToOne(weights)

    def apply(self, values: Array) -> Array:
        """Each value by its weight."""
        return values if self.array is None else values * self.array

    def scaled(self, gain: Array) -> OneToOne:
        """Each weight multiplied."""
        if self.array is None:
            return self if (gain == 1).all() else _unchecked(OneToOne, gain)
        return _unchecked(OneToOne, self.array * gain)

    def sparse(self, pre: int) -> csr_matrix:
        """The diagonal."""
        from scipy.sparse import csr_matrix

        every = np.arange(pre + 1)
        return csr_matrix((self._diagonal(pre), every[:-1], every), (pre, pre))

    def connections(self, pre: int) -> int:
        """One for each neuron."""
        return pre

    def fan_out(self, pre: int) -> Array:
        """One, or none where the weight is 0."""
        return (self._diagonal(pre) != 0).astype(int)

    def nengo(self) -> Array | None:
        """The weights."""
        return self.array

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """The weights alone."""
        return {}, {} if self.array is None else {"weights": self.array}

    def _diagonal(self, pre: int) -> Array:
        return np.ones(pre) if self.array is None else self.array

    def __str__(self) -> str:
        return "one-to-one" if self.array is None else f"one-to-one, {self.array.size:,} weights"


@dataclass(frozen=True, eq=False)
class Sparse(Transform):
    """Weights at listed places: ``values[k]`` leads from ``columns[k]`` to ``rows[k]``.

    Parameters
    ----------
    size
        (post, pre).
    rows, columns
        Whole numbers, each (n,); pairs are unique and sorted by row, then column.
    values
        The weights, (n,).

    >>> cross = Sparse((2, 3), [0, 1], [2, 0], [0.5, -1.0])
    >>> cross.apply(np.array([1.0, 2.0, 4.0])).tolist()
    [2.0, -1.0]
    """

    size: tuple[int, int]
    rows: Array
    columns: Array
    values: Array

    def __post_init__(self) -> None:
        what = "size of a sparse transform"
        if not isinstance(self.size, Sequence | np.ndarray) or len(self.size) != 2:
            raise _spec(what, repr(self.size)[:80], "(post, pre)")
        # Their product may be larger than anything that is held: only entries are.
        size = _whole_numbers(self.size[0], what, 1) + _whole_numbers(self.size[1], what, 1)
        object.__setattr__(self, "size", size)
        for name, bound in (("rows", size[0]), ("columns", size[1])):
            index = np.asarray(getattr(self, name))
            whole = index.astype(np.int64) if index.dtype.kind in "fiu" else np.full(1, -1)
            if index.ndim != 1 or (whole != index).any() or ((whole < 0) | (whole >= bound)).any():
                raise _spec(f"{name} of a sparse transform", "other values", f"0 to {bound - 1}")
            whole.flags.writeable = False
            object.__setattr__(self, name, whole)
        object.__setattr__(self, "values", checked_array(self.values, "sparse weights", 1))
        if not len(self.rows) == len(self.columns) == len(self.values):
            raise _spec("a sparse transform", "lists of different lengths", "equal lengths")
        place = self.rows * size[1] + self.columns
        if (np.diff(place) <= 0).any():
            raise _spec("a sparse transform", "places twice or out of order", "sorted places")

    @classmethod
    def from_matrix(cls, matrix: Any) -> Sparse:
        """From a SciPy matrix or an array (post, pre); entries at one place are added up."""
        from scipy.sparse import csr_matrix

        entries = csr_matrix(matrix, dtype=float).copy()
        entries.sum_duplicates()
        entries.sort_indices()
        rows = np.repeat(np.arange(entries.shape[0]), np.diff(entries.indptr))
        return cls(entries.shape, rows, entries.indices, entries.data)

    @property
    def shape(self) -> tuple[int, int]:
        """(post, pre)."""
        return self.size

    @property
    def weights(self) -> Array:
        """The values, (n,)."""
        return self.values

    def with_weights(self, weights: Array) -> Sparse:
        """Other values at the same places."""
        return replace(self, values=weights)

    def apply(self, values: Array) -> Array:
        """The product with the matrix."""
        flat = values.reshape(-1, self.size[1])
        return (self.sparse(0) @ flat.T).T.reshape(*values.shape[:-1], self.size[0])

    def scaled(self, gain: Array) -> Sparse:
        """Values multiplied by their row's gain."""
        return replace(self, values=self.values * gain[self.rows])

    def sparse(self, pre: int) -> csr_matrix:
        """As it is."""
        from scipy.sparse import csr_matrix

        starts = np.searchsorted(self.rows, np.arange(self.size[0] + 1))
        return csr_matrix((self.values, self.columns, starts), self.size)

    def connections(self, pre: int) -> int:
        """All that are listed."""
        return len(self.values)

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """The size, and three arrays."""
        arrays = {"rows": self.rows, "columns": self.columns, "weights": self.values}
        return {"kind": "sparse", "size": list(self.size)}, arrays

    def __str__(self) -> str:
        return f"sparse {self.size[0]:,} × {self.size[1]:,}, {len(self.values):,} weights"


@dataclass(frozen=True)
class Windows:
    """Windows of places that slide over the axes of a grid.

    Along each axis, output i covers the inputs ``i · stride - before + dilation · k`` for k
    in 0 … kernel - 1; inputs outside the grid are padding.
    """

    grid: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Pairs

    @classmethod
    def of(
        cls,
        grid: Sequence[int],
        kernel: Sequence[int],
        strides: int | Sequence[int],
        padding: Padding,
        dilation: int | Sequence[int] = 1,
    ) -> Windows:
        """From single numbers or one an axis, and padding by name or in numbers."""
        axes = len(grid)
        grid = _whole_numbers(grid, "places of a transform", axes)
        kernel = _whole_numbers(kernel, "window of a transform", axes)
        strides = _whole_numbers(strides, "strides of a transform", axes)
        dilation = _whole_numbers(dilation, "dilation of a transform", axes)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if padding == "valid":
            pairs: Pairs = ((0, 0),) * axes
        elif padding == "same":
            pairs = _same_padding(grid, reach, strides)
        elif isinstance(padding, str):
            raise _spec("padding of a transform", repr(padding), "valid, same or numbers")
        else:
            pairs = tuple((int(a), int(b)) for a, b in padding)
            if (
                len(pairs) != axes
                or min(min(p) for p in pairs) < 0
                or list(pairs) != [tuple(p) for p in padding]
            ):
                raise _spec("padding of a transform", repr(padding), "(before, after) by axis, ≥ 0")
        windows = cls(grid, kernel, strides, dilation, pairs)
        padded = [size + before + after for size, (before, after) in zip(grid, pairs, strict=True)]
        if min(windows.places) < 1 or prod(padded) > MAX_SIZE:
            got = f"windows of {kernel} on {grid}, padding {pairs}"
            raise _spec("a transform", got, "windows that fit")
        return windows

    @property
    def places(self) -> tuple[int, ...]:
        """Number of windows along each axis."""
        return tuple(
            (size + before + after - (kernel - 1) * dilation - 1) // stride + 1
            for size, kernel, stride, dilation, (before, after) in zip(
                self.grid, self.kernel, self.strides, self.dilation, self.padding, strict=True
            )
        )

    @property
    def padding_name(self) -> str | None:
        """``valid`` or ``same`` where the padding is that, else None."""
        if not any(map(any, self.padding)):
            return "valid"
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        same = _same_padding(self.grid, reach, self.strides)
        return "same" if self.padding == same else None

    def pad(self, values: Array, fill: float = 0.0) -> Array:
        """``values`` (batch, *grid, channels) with padding around them."""
        return np.pad(values, ((0, 0), *self.padding, (0, 0)), constant_values=fill)

    def offsets(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Each place k in the kernel, and its index into (batch, *padded grid) in all windows."""
        for at in product(*map(range, self.kernel)):
            along = [
                slice(k * dilation, k * dilation + (places - 1) * stride + 1, stride)
                for k, dilation, places, stride in zip(
                    at, self.dilation, self.places, self.strides, strict=True
                )
            ]
            yield at, (slice(None), *along)

    def products(self, values: Array, kernel: Array) -> Iterator[tuple[slice, Array]]:
        """Windows of ``values`` (batch, *grid, channels) times ``kernel``, a few samples at a time.

        Parameters
        ----------
        kernel
            (*window, channels, filters).

        Yields
        ------
        Which samples, and their products (samples, places, filters).
        """
        flat = kernel.reshape(-1, kernel.shape[-1])
        places = prod(self.places)
        part = max(1, WINDOW_VALUES // (places * len(flat)))
        for start in range(0, max(1, len(values)), part):
            rows = slice(start, start + part)
            side_by_side = self._side_by_side(values[rows])
            yield rows, np.matmul(side_by_side, flat).reshape(-1, places, flat.shape[1])

    def _side_by_side(self, values: Array) -> Array:
        """All windows: (batch, *grid, channels) → (batch · places, window · channels)."""
        padded = self.pad(values) if any(map(any, self.padding)) else values
        axes = padded.strides[1:-1]
        across = [size * step for size, step in zip(axes, self.strides, strict=True)]
        within = [size * step for size, step in zip(axes, self.dilation, strict=True)]
        seen = np.lib.stride_tricks.as_strided(
            padded,
            (len(padded), *self.places, *self.kernel, padded.shape[-1]),
            (padded.strides[0], *across, *within, padded.strides[-1]),
            writeable=False,
        )
        return seen.reshape(-1, prod(self.kernel) * padded.shape[-1])

    def covered(self) -> Iterator[tuple[tuple[int, ...], Array]]:
        """Each place in the kernel, and the flat grid index that it covers in each window.

        Arrays have the shape of :attr:`places`; -1 is padding.
        """
        grid = np.arange(prod(self.grid)).reshape(1, *self.grid, 1)
        padded = self.pad(grid, -1)[..., 0]
        for at, covers in self.offsets():
            yield at, padded[covers][0]


@dataclass(frozen=True, eq=False)
class Convolution(Transform):
    """The same kernel at every place, without flipping it, as Keras and Nengo do.

    ``y[p, f] = Σ_k Σ_c kernel[k, c, f] · x[p · stride - before + dilation · k, c]``, where c
    runs over the channels of f's group.

    Parameters
    ----------
    input_shape
        (*places, channels): (steps, channels) or (height, width, channels).
    kernel
        (*window, channels / groups, filters).
    strides, dilation
        One number, or one an axis.
    padding
        ``"valid"`` (none), ``"same"`` (as TensorFlow pads), or (before, after) for each axis.
    groups
        Filters and channels are divided into so many groups; as many as channels is a
        depthwise convolution.

    >>> edges = Convolution((4, 1), np.array([1.0, -1.0]).reshape(2, 1, 1))
    >>> edges.apply(np.array([3.0, 1.0, 1.0, 5.0])).tolist()
    [2.0, 0.0, -4.0]
    """

    input_shape: tuple[int, ...]
    kernel: Array
    strides: tuple[int, ...] | int = 1
    padding: Padding = "valid"
    groups: int = 1
    dilation: tuple[int, ...] | int = 1
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        axes = len(self.input_shape) - 1
        kernel = checked_array(self.kernel, "kernel of a convolution", axes + 2)
        shape = _whole_numbers(self.input_shape, "input shape of a convolution", axes + 1)
        (groups,) = _whole_numbers(self.groups, "groups of a convolution", 1)
        channels, filters = shape[-1], kernel.shape[-1]
        if channels % groups or filters % groups or kernel.shape[-2] != channels // groups:
            raise _spec(
                "kernel of a convolution",
                f"shape {kernel.shape} for {channels} channels in {groups} groups",
                "(*window, channels / groups, filters)",
            )
        windows = Windows.of(
            shape[:-1], kernel.shape[:-2], self.strides, self.padding, self.dilation
        )
        for name, value in (
            ("input_shape", shape),
            ("kernel", kernel),
            ("strides", windows.strides),
            ("dilation", windows.dilation),
            ("padding", windows.padding),
            ("groups", groups),
            ("windows", windows),
        ):
            object.__setattr__(self, name, value)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(*places, filters)."""
        return (*self.windows.places, self.kernel.shape[-1])

    @property
    def shape(self) -> tuple[int, int]:
        """(post, pre)."""
        return prod(self.output_shape), prod(self.input_shape)

    @property
    def weights(self) -> Array:
        """The kernel."""
        return self.kernel

    def with_weights(self, weights: Array) -> Convolution:
        """Another kernel of the same shape."""
        return replace(self, kernel=weights)

    def apply(self, values: Array) -> Array:
        """All windows of some samples side by side, and one product with the kernel."""
        x = values.reshape(-1, *self.input_shape)
        if self.groups > 1:
            y = self._apply_groups(x)
        else:
            y = np.concatenate([product for _, product in self.windows.products(x, self.kernel)])
        return y.reshape(*values.shape[:-1], self.shape[0])

    def _apply_groups(self, x: Array) -> Array:
        """One product for each place in the kernel: (batch, *grid, channels) → (batch, …)."""
        x = self.windows.pad(x)
        shape = (len(x), *self.windows.places, self.groups, self.kernel.shape[-1] // self.groups)
        y = np.zeros(shape)
        for at, covers in self.windows.offsets():
            part = x[covers]
            part = part.reshape(*part.shape[:-1], self.groups, -1)
            y += np.einsum("...gc,cgf->...gf", part, self._grouped[at], optimize=True)
        return y.reshape(len(x), *self.output_shape)

    @property
    def _grouped(self) -> Array:
        """The kernel as (*window, channels of a group, groups, filters of a group)."""
        return self.kernel.reshape(*self.kernel.shape[:-1], self.groups, -1)

    def scaled(self, gain: Array) -> Transform:
        """A convolution where all places of a filter have the same gain, else sparse."""
        by_place = gain.reshape(-1, self.kernel.shape[-1])
        if (by_place == by_place[0]).all():
            return replace(self, kernel=self.kernel * by_place[0])
        return Sparse.from_matrix(self.sparse(0)).scaled(gain)

    def sparse(self, pre: int) -> csr_matrix:
        """Unrolled."""
        from scipy.sparse import coo_matrix

        channels, filters = self.input_shape[-1], self.kernel.shape[-1]
        each, own = channels // self.groups, filters // self.groups
        # Of each filter the channels that it reads, (channels of a group, filters).
        reads = np.arange(each)[:, None] + each * (np.arange(filters) // own)
        rows, columns, values = [], [], []
        for at, covered in self.windows.covered():
            inside = np.flatnonzero(covered >= 0)
            source = covered.ravel()[inside][:, None, None] * channels + reads
            target = inside[:, None, None] * filters + np.arange(filters)
            rows.append(np.broadcast_to(target, source.shape).ravel())
            columns.append(source.ravel())
            values.append(np.broadcast_to(self.kernel[at], source.shape).ravel())
        places = (np.concatenate(rows), np.concatenate(columns))
        return coo_matrix((np.concatenate(values), places), self.shape).tocsr()

    def connections(self, pre: int) -> int:
        """Those from padding are none."""
        inside = sum(int((covered >= 0).sum()) for _, covered in self.windows.covered())
        return inside * self.kernel.shape[-2] * self.kernel.shape[-1]

    def fan_out(self, pre: int) -> Array:
        """Without unrolling."""
        channels = self.input_shape[-1]
        found = np.zeros((prod(self.input_shape[:-1]), channels), int)
        for at, covered in self.windows.covered():
            reached = np.bincount(covered[covered >= 0], minlength=len(found))
            # (channels of a group, groups, filters of a group) → channels in their order
            used = np.count_nonzero(self._grouped[at], axis=2).T.ravel()
            found += reached[:, None] * used
        return found.ravel()

    def nengo(self) -> Any:
        """A ``nengo.Convolution`` if it is :attr:`plain`, else ``nengo.Sparse``.

        It has two dimensions: nengo-loihi has no others.
        """
        if not self.plain:
            return super().nengo()
        from spiking_lmu.compat import import_nengo

        flat = self.in_two_dimensions()
        return import_nengo().Convolution(
            n_filters=flat.kernel.shape[-1],
            input_shape=flat.input_shape,
            kernel_size=flat.windows.kernel,
            strides=flat.windows.strides,
            padding=flat.windows.padding_name,
            channels_last=True,
            init=np.array(flat.kernel),
        )

    @property
    def plain(self) -> bool:
        """Whether it is one that every simulator has.

        They have no groups or dilation, padding by name alone, and at most two axes.
        """
        usual = self.groups == 1 and set(self.windows.dilation) == {1}
        return usual and self.windows.padding_name is not None and len(self.windows.grid) <= 2

    def in_two_dimensions(self) -> Convolution:
        """The same with a first axis of one place, where it has one axis."""
        if len(self.windows.grid) != 1:
            return self
        return Convolution(
            (1, *self.input_shape),
            self.kernel[None],
            (1, *self.windows.strides),
            ((0, 0), *self.windows.padding),
            self.groups,
            (1, *self.windows.dilation),
        )

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Geometry, and the kernel."""
        fields = {
            "kind": "convolution",
            "input_shape": list(self.input_shape),
            "strides": list(self.windows.strides),
            "padding": [list(pair) for pair in self.windows.padding],
            "groups": self.groups,
            "dilation": list(self.windows.dilation),
        }
        return fields, {"weights": self.kernel}

    def __str__(self) -> str:
        kind = "convolution" if self.groups == 1 else f"convolution in {self.groups} groups"
        return f"{kind} {_times(self.kernel.shape)}, {_times(self.input_shape)} in"


@dataclass(frozen=True, eq=False)
class AveragePool(Transform):
    """The mean of each window, channel by channel; padding does not count, as in Keras.

    Parameters
    ----------
    input_shape
        (*places, channels).
    pool
        Size of a window, one number an axis.
    strides
        One number, or one an axis; as far as the window is large if not given.
    padding
        See :class:`Convolution`.

    >>> AveragePool((4, 1), (2,)).apply(np.array([1.0, 3.0, 0.0, 8.0])).tolist()
    [2.0, 4.0]
    """

    input_shape: tuple[int, ...]
    pool: tuple[int, ...]
    strides: tuple[int, ...] | int | None = None
    padding: Padding = "valid"
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        shape = _whole_numbers(self.input_shape, "input shape of a pool", len(self.input_shape))
        strides = self.pool if self.strides is None else self.strides
        windows = Windows.of(shape[:-1], self.pool, strides, self.padding)
        if (_counts(windows) == 0).any():
            raise _spec("an average pool", "a window on padding alone", "windows on values")
        for name, value in (
            ("input_shape", shape),
            ("pool", windows.kernel),
            ("strides", windows.strides),
            ("padding", windows.padding),
            ("windows", windows),
        ):
            object.__setattr__(self, name, value)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(*places, channels)."""
        return (*self.windows.places, self.input_shape[-1])

    @property
    def shape(self) -> tuple[int, int]:
        """(post, pre)."""
        return prod(self.output_shape), prod(self.input_shape)

    @property
    def weights(self) -> None:
        """None: nothing to train."""
        return None

    def with_weights(self, weights: Array) -> Transform:
        """An error: there are none."""
        raise _spec("weights of an average pool", "an array", "none")

    def apply(self, values: Array) -> Array:
        """Sums over windows, divided by how many values are in each."""
        x = self.windows.pad(values.reshape(-1, *self.input_shape))
        total = np.zeros((len(x), *self.output_shape))
        for _, covers in self.windows.offsets():
            total += x[covers]
        mean = total / _counts(self.windows)[..., None]
        return mean.reshape(*values.shape[:-1], self.shape[0])

    def scaled(self, gain: Array) -> Transform:
        """A sparse transform, unless every gain is 1."""
        return self if (gain == 1).all() else Sparse.from_matrix(self.sparse(0)).scaled(gain)

    def sparse(self, pre: int) -> csr_matrix:
        """Unrolled."""
        from scipy.sparse import coo_matrix

        channels = np.arange(self.input_shape[-1])
        share = 1.0 / _counts(self.windows).ravel()
        rows, columns, values = [], [], []
        for _, covered in self.windows.covered():
            inside = np.flatnonzero(covered >= 0)
            rows.append((inside[:, None] * len(channels) + channels).ravel())
            columns.append((covered.ravel()[inside][:, None] * len(channels) + channels).ravel())
            values.append(np.repeat(share[inside], len(channels)))
        places = (np.concatenate(rows), np.concatenate(columns))
        return coo_matrix((np.concatenate(values), places), self.shape).tocsr()

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Geometry alone."""
        fields = {
            "kind": "average_pool",
            "input_shape": list(self.input_shape),
            "pool": list(self.windows.kernel),
            "strides": list(self.windows.strides),
            "padding": [list(pair) for pair in self.windows.padding],
        }
        return fields, {}

    def __str__(self) -> str:
        return f"average of {_times(self.windows.kernel)}, {_times(self.input_shape)} in"


def as_transform(value: Any, name: str = "weights") -> Transform:
    """``value`` if it is one; (post, pre) as dense, (n,) or None as one-to-one.

    Raises
    ------
    SpecError
        An array of other dimensions, or not of finite real numbers.
    """
    if isinstance(value, Transform):
        return value
    if value is None:
        return OneToOne()
    array = checked_array(value, name, None)
    if array.ndim not in (1, 2):
        raise _spec(name, f"shape {array.shape}", "(post, pre)")
    return Dense(array) if array.ndim == 2 else OneToOne(array)


def transform_from(fields: dict[str, Any], arrays: dict[str, Array]) -> Transform:
    """The transform of which :meth:`Transform.describe` gave these.

    Raises
    ------
    SpecError, KeyError, TypeError, ValueError
        Anything else.
    """
    if not fields:
        return as_transform(arrays.get("weights"))
    fields = dict(fields)
    kind = fields.pop("kind")
    if kind == "sparse":
        return Sparse(fields["size"], arrays["rows"], arrays["columns"], arrays["weights"])
    if kind == "convolution":
        return Convolution(kernel=arrays["weights"], **fields)
    if kind == "average_pool":
        return AveragePool(**fields)
    raise _spec("kind of a transform", repr(kind), "sparse, convolution or average_pool")


def checked_array(value: object, what: str, dimensions: int | None) -> Array:
    """``value`` as read-only float64; finite, and of so many dimensions if that is given."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise _spec(what, f"dtype {array.dtype}", "real numbers")
    if dimensions is not None and array.ndim != dimensions:
        raise _spec(what, f"shape {array.shape}", f"{dimensions} dimensions")
    if array.dtype != float:
        array = array.astype(float)
    if not np.isfinite(array).all():
        raise _spec(what, "NaN or infinity", "finite numbers")
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def _unchecked(kind: type[AnyTransform], array: Array) -> AnyTransform:
    made = object.__new__(kind)
    object.__setattr__(made, "array", array)
    return made


def _nengo_sparse(entries: csr_matrix) -> Any:
    """Without zeros, each of which would be a synapse."""
    from spiking_lmu.compat import import_nengo

    entries = entries.copy()
    entries.eliminate_zeros()
    return import_nengo().Sparse(entries.shape, init=entries)


def _same_padding(grid: Sequence[int], reach: Sequence[int], strides: Sequence[int]) -> Pairs:
    """As TensorFlow's and Nengo's "same": ⌈grid / stride⌉ places, the odd one after.

    Source: ``nengo/builder/transforms.py``, ``calc_pad`` and ``extract_sliding_windows``.
    """
    pairs = []
    for size, window, stride in zip(grid, reach, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def _counts(windows: Windows) -> Array:
    """How many values, not padding, each window has."""
    total = np.zeros(windows.places)
    for _, covered in windows.covered():
        total += covered >= 0
    return total


def _whole_numbers(value: Any, what: str, count: int) -> tuple[int, ...]:
    """``count`` whole numbers from 1; a single one stands for all."""
    values = tuple(value) if isinstance(value, Sequence | np.ndarray) else (value,) * count
    fits = len(values) == count >= 1 and all(
        isinstance(v, int | np.integer) and not isinstance(v, bool) and 1 <= v <= MAX_SIZE
        for v in values
    )
    if not fits or prod(int(v) for v in values) > MAX_SIZE:
        raise _spec(what, repr(value)[:80], f"{count} whole number{'s' * (count > 1)} ≥ 1")
    return tuple(int(v) for v in values)


def _times(numbers: Sequence[int]) -> str:
    return "×".join(map(str, numbers))


def _spec(what: str, got: str, expected: str) -> SpecError:
    return SpecError(what, got=got, expected=expected, fix="correct the network or its file")
