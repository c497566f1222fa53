"""The type of an array, in one place; docstrings say shape and unit."""

from __future__ import annotations

from typing import Any

import numpy as np

#: An array of any shape and dtype.
Array = np.ndarray[Any, Any]


def repeated_rows(matrix: Array) -> tuple[Array, Array, Array] | None:
    """The distinct rows of a matrix but for their sign; which of them each row is, and its sign.

    None where to multiply by the distinct rows and to pick each row's product would cost more
    than half as much as to multiply by all.

    >>> distinct, which, signs = repeated_rows(np.outer([1.0, -1.0, 1.0, -1.0], np.ones(9)))
    >>> distinct.shape, which.tolist(), signs.tolist()
    ((1, 9), [0, 0, 0, 0], [1.0, -1.0, 1.0, -1.0])
    >>> repeated_rows(np.eye(4)) is None
    True
    """
    rows, columns = matrix.shape
    leading = matrix[np.arange(rows), (matrix != 0).argmax(axis=1)]
    signs = np.where(leading < 0, -1.0, 1.0)
    positions: dict[bytes, int] = {}
    first, which = list[int](), np.empty(rows, int)
    for i, row in enumerate(matrix):
        # -0.0 + 0.0 is 0.0, so that zeros have the same bytes.
        which[i] = positions.setdefault((signs[i] * row + 0.0).tobytes(), len(positions))
        if which[i] == len(first):
            first.append(i)
        if 2 * (len(first) * columns + rows) > matrix.size:
            return None
    return signs[first, None] * matrix[first], which, signs
