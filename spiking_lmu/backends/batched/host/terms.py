"""What operators add to a signal, one by one or as a sum, on arrays with a batch axis.

Source: nengo 4.1.0, ``builder/operator.py`` (``make_step`` of ``Copy``, ``ElementwiseInc``,
``DotInc`` and ``SparseDotInc``), and ``builder/transforms.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse

from spiking_lmu.graph.arrays import repeated_rows
from spiking_lmu.graph.transforms import Windows

from ..unsupported import unsupported
from .plan import Sum
from .state import HostState

Array = np.ndarray
#: Products with fewer rows cost no more than finding out that their factor has not changed.
WORTH_KEEPING = 32
#: So many times more numbers than those that are not zero, and a sparse product is the faster one.
MOSTLY_ZERO = 8


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of a signal, (rows, batch).

    Parameters
    ----------
    write
        Makes an array equal to the term.
    add
        Adds the term to an array.
    gathered
        For a term that is ``factors * source[columns]``: those three.
    """

    write: Callable[[Array], None]
    add: Callable[[Array], None]
    gathered: tuple[Array, Array, Any] | None = None


def copied(host: HostState, operator: Any) -> Term:
    """A signal as it is, or the part of it that ``operator.src_slice`` selects."""
    source = host.signals[operator.src]
    of = Ellipsis if operator.src_slice is None else operator.src_slice
    return Term(
        lambda target: np.copyto(target, source[of]),
        lambda target: _add(target, source[of]),
    )


def scaled(host: HostState, operator: Any) -> Term:
    """An elementwise product.

    Raises
    ------
    Unsupported
        Arrays with more than one axis.
    """
    if max(operator.A.ndim, operator.X.ndim) > 1:
        raise unsupported("host operator", str(operator), "vectors")
    factors, source = host.signals[operator.A], host.signals[operator.X]
    fixed = host.signals.constant(operator.A) and not host.signals.constant(operator.X)
    if fixed and operator.X.shape == operator.Y.shape and operator.Y.ndim == 1:
        return _gathered(
            host, np.broadcast_to(factors, (*operator.Y.shape, 1)), source, slice(None)
        )
    return _product(lambda: factors * source)


def weighted(host: HostState, operator: Any) -> Term:
    """A matrix product, its matrix dense or sparse.

    Raises
    ------
    Unsupported
        Weights that change, or arrays other than a matrix and a vector.
    """
    if not host.signals.constant(operator.A):
        raise unsupported("host operator", f"weights that change: {operator}", "fixed weights")
    matrix = operator.A.initial_value
    if operator.A.sparse:
        matrix = matrix.allocate() if hasattr(matrix, "allocate") else matrix
    source = host.signals[operator.X]
    if host.signals.constant(operator.X):
        always = np.reshape(matrix.dot(operator.X.initial_value), operator.Y.shape)[..., None]
        return _product(lambda: always)
    if matrix.ndim == 0:
        return _product(lambda: matrix * source)
    if matrix.ndim != 2 or operator.X.ndim != 1:
        raise unsupported("host operator", str(operator), "a matrix and a vector")
    one_term = one_term_rows(matrix)
    if one_term is not None:
        columns, factors = one_term
        return _gathered(host, factors, source, columns)
    if host.strict:
        return _kept(source, matrix.shape[0], lambda product: _one_by_one(matrix, source, product))

    if not operator.A.sparse and MOSTLY_ZERO * np.count_nonzero(matrix) < matrix.size:
        matrix = csr_matrix(matrix)
    shared = None if issparse(matrix) else repeated_rows(matrix)
    if shared is not None:
        distinct, position, signs = shared
        sums = np.empty((len(distinct), source.shape[-1]))

        def multiply_once(product: Array) -> None:
            host.rounded(source)
            np.dot(distinct, source, out=sums)
            np.multiply(sums[position], signs[:, None], out=product)

        return _kept(source, matrix.shape[0], multiply_once)

    def multiply(product: Array) -> None:
        host.rounded(source)
        if issparse(matrix):
            product[...] = matrix.dot(source)
        else:
            np.dot(matrix, source, out=product)

    return _kept(source, matrix.shape[0], multiply)


def convolved(host: HostState, operator: Any) -> Term:
    """A convolution or its transpose.

    Strictly it is Nengo's own step on one sample after another.  Else a convolution takes all
    samples at once in the same product, whose sums may then be rounded otherwise.

    Raises
    ------
    Unsupported
        A kernel that changes.
    """
    if not host.signals.constant(operator.W):
        raise unsupported("host operator", f"weights that change: {operator}", "fixed weights")
    source, size = host.signals[operator.X], operator.Y.size
    if host.strict or operator.is_transpose or operator.conv.groups > 1:
        one, result = np.zeros(operator.X.shape), np.zeros(operator.Y.shape)
        signals = {operator.W: operator.W.initial_value, operator.X: one, operator.Y: result}
        step = operator.make_step(signals, None, None)

        def stock(product: Array) -> None:
            for b in range(source.shape[-1]):
                one[...], result[...] = source[:, b], 0
                step()
                product[:, b] = result

        return _kept(source, size, stock)
    conv, kernel = operator.conv, operator.W.initial_value
    shape = conv.input_shape.shape
    grid = shape[:-1] if conv.channels_last else shape[1:]
    windows = Windows.of(grid, conv.kernel_size, conv.strides, conv.padding)

    def together(product: Array) -> None:
        host.rounded(source)
        x = source.T.reshape(-1, *shape)
        if not conv.channels_last:
            x = np.moveaxis(x, 1, -1)
        for rows, y in windows.products(x, kernel):
            if not conv.channels_last:
                y = np.swapaxes(y, 1, 2)
            product[:, rows] = y.reshape(len(y), -1).T

    return _kept(source, size, together)


def _gathered(host: HostState, factors: Array, source: Array, columns: Any) -> Term:
    if host.compiled:
        from .kernels import add_gathered, gather

        every = np.ascontiguousarray(factors[:, 0])
        chosen = np.arange(len(source))[columns]
        return Term(
            lambda target: gather(target, every, source, chosen),
            lambda target: add_gathered(target, every, source, chosen),
            (factors, source, columns),
        )

    def write(target: Array) -> None:
        np.multiply(factors, source[columns], out=target)

    def add(target: Array) -> None:
        _add(target, factors * source[columns])

    return Term(write, add, (factors, source, columns))


def _product(compute: Callable[[], Array]) -> Term:
    return Term(lambda target: np.copyto(target, compute()), lambda target: _add(target, compute()))


def _kept(source: Array, rows: int, multiply: Callable[[Array], Any]) -> Term:
    """A product that is computed again only when its factor ``source`` has changed.

    What a memory holds over a presentation is multiplied once and not at every step.
    """
    batch = source.shape[-1]
    if rows < WORTH_KEEPING:
        product = np.empty((rows, batch))

        def add_new(target: Array) -> None:
            multiply(product)
            _add(target, product)

        return Term(lambda target: multiply(target), add_new)
    product, seen = np.empty((rows, batch)), np.full(source.shape, np.nan)

    def current() -> Array:
        # Most changes show in the first row already.
        if not (np.array_equal(seen[0], source[0]) and np.array_equal(seen, source)):
            np.copyto(seen, source)
            multiply(product)
        return product

    return _product(current)


def _one_by_one(matrix: Any, source: Array, product: Array) -> None:
    """A matrix-vector product for each sample, as the stock simulator does."""
    rows = np.ascontiguousarray(source.T)
    for b in range(len(rows)):
        product[:, b] = matrix.dot(rows[b])


def one_term_rows(matrix: Any) -> tuple[Any, Array] | None:
    """Columns and factors of a matrix with one non-zero in each row, such as encoders.

    The product then has one term, which is exact however it is computed.
    """
    if hasattr(matrix, "tocsr"):
        # Never in full: thousands of neurons by thousands are gigabytes.
        entries = matrix.tocsr(copy=True)
        entries.eliminate_zeros()
        if not (np.diff(entries.indptr) == 1).all():
            return None
        columns, factors = entries.indices, entries.data[:, None]
    else:
        if not (np.count_nonzero(matrix, axis=1) == 1).all():
            return None
        columns = (matrix != 0).argmax(axis=1)
        factors = matrix[np.arange(len(matrix)), columns][:, None]
    if np.array_equal(columns, columns[0] + np.arange(len(columns))):
        return slice(columns[0], columns[0] + len(columns)), factors
    return columns, factors


def _add(target: Array, change: Array) -> None:
    np.add(target, change, out=target)


def sum_step(host: HostState, made: Sum, terms: Sequence[Term]) -> Callable[[], None]:
    """Compute the sum from its terms."""
    target = host.signals[made.target]
    start = _start(host, made.start)
    if not terms:
        return lambda: np.copyto(target, start)
    first, others = terms[0], terms[1:]
    begin = _begin(host, target, start, first)

    def step() -> None:
        begin()
        for term in others:
            term.add(target)

    return step


def _start(host: HostState, operator: Any) -> Any:
    if type(operator).__name__ == "Reset":
        return operator.value
    return host.signals[operator.src]


def _begin(host: HostState, target: Array, start: Any, first: Term) -> Callable[[], None]:
    """``target = start + first`` in as few passes as there can be."""
    if not np.any(start):
        return lambda: first.write(target)
    if host.compiled and first.gathered is not None:
        from .kernels import start_and_gather

        factors, source, columns = first.gathered
        chosen = np.arange(len(source))[columns]
        starts = np.ascontiguousarray(np.broadcast_to(start, (len(target), 1))[:, 0])
        factor = np.ascontiguousarray(np.broadcast_to(factors, (len(target), 1))[:, 0])
        return lambda: start_and_gather(target, starts, factor, source, chosen)

    def begin() -> None:
        first.write(target)
        np.add(start, target, out=target)

    return begin
