"""One number of each of several sequences, as one value to code that numba compiles.

LLVM turns a loop into vector instructions only if it can prove that no array overlaps
another, which it cannot for the many rows that a Fourier transform reads and writes.  With
:data:`LANES` nothing has to be proven: it is a vector of :data:`WIDTH` float64, whatever the
width of the processor's registers, and arithmetic on it is written as on numbers::

    x, y = load(data, at), load(data, at + VECTOR)
    store(data, at, fma(spread(0.5), x, y))

Arrays are flat and contiguous; places in them are counted in numbers and are unsigned, which
saves the check for negative ones.  Nothing checks that a place is inside of the array.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

#: Sequences side by side: one register with AVX-512, two with AVX2.
WIDTH = 8
#: From one value to the next.
VECTOR = np.uint64(WIDTH)

_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
_BYTES = ir.VectorType(ir.IntType(8), WIDTH)


class _Lanes(types.Type):
    pass


LANES = _Lanes("Lanes")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


@intrinsic
def load(typing: Any, array: Any, place: Any) -> Any:
    """The :data:`WIDTH` numbers of ``array`` that begin at ``place``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_pointer(context, builder, signature, arguments, _VECTOR))
        value.align = 8
        return value

    return LANES(array, types.uint64), build


@intrinsic
def store(typing: Any, array: Any, place: Any, value: Any) -> Any:
    """Set the :data:`WIDTH` numbers of ``array`` that begin at ``place``.

    In an array of uint8, numbers from 0 to 255 become whole ones.
    """
    small = array.dtype == types.uint8

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[2]
        if small:
            value = builder.fptoui(value, _BYTES)
        kind = _BYTES if small else _VECTOR
        pointer = _pointer(context, builder, signature, arguments, kind)
        builder.store(value, pointer).align = 1 if small else 8
        return context.get_dummy_value()

    return types.void(array, types.uint64, LANES), build


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """The same number in each lane."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = ir.Constant(ir.IntType(32), 0)
        none = ir.Constant(_VECTOR, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(
            builder.insert_element(none, arguments[0], first), none, everywhere
        )

    return LANES(types.float64), build


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """To the numbers of the first argument that begin at the second."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), kind.as_pointer())


def _instruction(name: str, count: int) -> Any:
    """An instruction of LLVM on ``count`` values."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, name)(*arguments)

    return _intrinsic(build, count)


def _function(name: str, count: int) -> Any:
    """A function that LLVM knows for vectors, of ``count`` values."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * count)
        called = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f64")
        return builder.call(called, arguments)

    return _intrinsic(build, count)


def _intrinsic(build: Any, count: int) -> Any:
    if count == 1:
        return intrinsic(lambda typing, a: (LANES(LANES), build))
    if count == 2:
        return intrinsic(lambda typing, a, b: (LANES(LANES, LANES), build))
    return intrinsic(lambda typing, a, b, c: (LANES(LANES, LANES, LANES), build))


#: ``a * b + c``, rounded once where the processor can and else twice.
fma = _function("fmuladd", 3)
floor = _function("floor", 1)
#: The larger and the smaller one in each lane, of numbers without NaN.
larger, smaller = _function("maxnum", 2), _function("minnum", 2)


def _define(symbol: Any, count: int, name: str) -> None:
    """Let an operator of Python be an instruction."""
    compute = _instruction(name, count)
    if count == 1:
        overload(symbol)(lambda a: (lambda a: compute(a)) if a == LANES else None)
    else:
        overload(symbol)(lambda a, b: (lambda a, b: compute(a, b)) if a == b == LANES else None)


_define(operator.neg, 1, "fneg")
_define(operator.add, 2, "fadd")
_define(operator.sub, 2, "fsub")
_define(operator.mul, 2, "fmul")
