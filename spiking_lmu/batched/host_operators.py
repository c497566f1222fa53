"""Step functions for Nengo's operators on arrays with a batch axis.

Source: nengo 4.1.0, ``builder/operator.py``, ``builder/neurons.py``, ``builder/processes.py``
(``make_step`` of each operator).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .host_processes import fed_step, process_step
from .unsupported import unsupported

if TYPE_CHECKING:
    from .host import BatchedHost

Array = np.ndarray
Step = Callable[[], None]

#: Nengo's neuron types whose ``step`` works on each neuron by itself, so on a batch too.
ELEMENTWISE = ("LIF", "LIFRate", "RectifiedLinear", "SpikingRectifiedLinear")


def make_step(host: BatchedHost, operator: Any) -> Step | None:
    """What ``operator`` does in one step, or None if it does nothing.

    Raises
    ------
    Unsupported
        The operator cannot be run for a batch with the same results.
    """
    maker = _makers().get(type(operator))
    if maker is None:
        raise unsupported("host operator", str(operator), "a part without learning or noise")
    return maker(host, operator)


def _nothing(host: BatchedHost, operator: Any) -> None:
    """``TimeUpdate`` is done by the host, ``SimProbe`` only marks a signal as read."""


def _reset(host: BatchedHost, operator: Any) -> Step:
    target, value = host.signals[operator.dst], operator.value

    def step() -> None:
        target[...] = value

    return step


def _copy(host: BatchedHost, operator: Any) -> Step:
    target, source = host.signals[operator.dst], host.signals[operator.src]
    to = Ellipsis if operator.dst_slice is None else operator.dst_slice
    of = Ellipsis if operator.src_slice is None else operator.src_slice
    if not operator.inc:

        def step() -> None:
            target[to] = source[of]

    elif to is Ellipsis:

        def step() -> None:
            np.add(target, source[of], out=target)

    else:
        rows = np.asarray(to)

        def step() -> None:
            # Adds once for each time that a row is named, in the order of the rows.
            np.add.at(target, rows, source[of])

    return step


def _elementwise(host: BatchedHost, operator: Any) -> Step:
    a, x, y = (host.signals[s] for s in (operator.A, operator.X, operator.Y))
    if max(operator.A.ndim, operator.X.ndim) > 1:
        raise unsupported("host operator", str(operator), "vectors")

    def step() -> None:
        np.add(y, a * x, out=y)

    return step


def _dot(host: BatchedHost, operator: Any) -> Step:
    if not host.signals.constant(operator.A):
        raise unsupported("host operator", f"weights that change: {operator}", "fixed weights")
    matrix = operator.A.initial_value
    if operator.A.sparse:
        matrix = matrix.allocate() if hasattr(matrix, "allocate") else matrix
    x, y = host.signals[operator.X], host.signals[operator.Y]
    if host.signals.constant(operator.X):
        product = np.reshape(matrix.dot(operator.X.initial_value), operator.Y.shape)[..., None]
        return lambda: _add(y, product)
    if matrix.ndim == 0:
        return lambda: _add(y, matrix * x)
    if matrix.ndim != 2 or operator.X.ndim != 1:
        raise unsupported("host operator", str(operator), "a matrix and a vector")
    gathered = _one_term_rows(matrix)
    if gathered is not None:
        columns, factors = gathered
        return lambda: _add(y, factors * x[columns])
    if host.strict:
        return lambda: _one_by_one(matrix, x, y)
    if operator.A.sparse:
        return lambda: _add(y, matrix.dot(x))
    product = np.empty(y.shape)

    def step() -> None:
        np.dot(matrix, x, out=product)
        _add(y, product)

    return step


def _add(y: Array, change: Array) -> None:
    np.add(y, change, out=y)


def _one_by_one(matrix: Any, x: Array, y: Array) -> None:
    rows = np.ascontiguousarray(x.T)
    for b in range(len(rows)):
        y[:, b] += matrix.dot(rows[b])


def _one_term_rows(matrix: Any) -> tuple[Any, Array] | None:
    """Columns and factors of a matrix with one non-zero in each row, such as encoders.

    The product then has one term, which is exact however it is computed.
    """
    dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    if not (np.count_nonzero(dense, axis=1) == 1).all():
        return None
    columns = (dense != 0).argmax(axis=1)
    factors = dense[np.arange(len(dense)), columns][:, None]
    if np.array_equal(columns, np.arange(len(columns))):
        return slice(0, len(columns)), factors
    return columns, factors


def _neurons(host: BatchedHost, operator: Any) -> Step:
    neurons, dt = operator.neurons, host.dt
    kind = type(neurons)
    if (
        kind.__module__ != "nengo.neurons"
        or kind.__name__ not in ELEMENTWISE
        or operator.state_extra
    ):
        raise unsupported("host neurons", kind.__name__, "one of " + ", ".join(ELEMENTWISE))
    current, output = host.signals[operator.J], host.signals[operator.output]
    state = {name: host.signals[signal] for name, signal in operator.state.items()}
    if host.compiled and kind.__name__ == "SpikingRectifiedLinear":
        from .host_kernels import spiking_relu

        height = neurons.amplitude / dt
        return lambda: spiking_relu(current, output, state["voltage"], dt, height)
    return lambda: neurons.step(dt, current, output, **state)


def _function(host: BatchedHost, operator: Any) -> Step:
    if operator.output in host.fed:
        return fed_step(host, operator.output)
    raise unsupported(
        f"Python function {getattr(operator.fn, '__name__', operator.fn)!r} on the host",
        "a function that may keep state between samples",
        "its Node in feeds, or a nengo.Process",
    )


def _process(host: BatchedHost, operator: Any) -> Step | None:
    if operator.output in host.fed:
        return fed_step(host, operator.output)
    return process_step(host, operator)


@cache
def _makers() -> dict[type, Callable[[Any, Any], Step | None]]:
    """What makes the step of each type of operator.  Nengo is imported by now."""
    from nengo.builder import neurons, operator, probe, processes

    return {
        operator.TimeUpdate: _nothing,
        operator.Reset: _reset,
        operator.Copy: _copy,
        operator.ElementwiseInc: _elementwise,
        operator.DotInc: _dot,
        operator.SparseDotInc: _dot,
        operator.SimPyFunc: _function,
        probe.SimProbe: _nothing,
        neurons.SimNeurons: _neurons,
        processes.SimProcess: _process,
    }
