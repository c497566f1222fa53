"""The type of an array, in one place; docstrings say shape and unit."""

from __future__ import annotations

from typing import Any

import numpy as np

#: An array of any shape and dtype.
Array = np.ndarray[Any, Any]


def repeated_rows(matrix: Array) -> tuple[Array, Array] | None:
    """The distinct rows of a matrix, and which of them each row is.

    None where to multiply by the distinct rows and to pick each row's product would cost more
    than half as much as to multiply by all.

    >>> distinct, which = repeated_rows(np.repeat(np.eye(2, 9), 4, axis=0))
    >>> which.tolist(), distinct.shape
    ([0, 0, 0, 0, 1, 1, 1, 1], (2, 9))
    >>> repeated_rows(np.eye(4)) is None
    True
    """
    positions: dict[bytes, int] = {}
    first, which = list[int](), np.empty(len(matrix), int)
    for i, row in enumerate(matrix):
        which[i] = positions.setdefault(row.tobytes(), len(positions))
        if which[i] == len(first):
            first.append(i)
        if 2 * (len(first) * matrix.shape[1] + len(matrix)) > matrix.size:
            return None
    return matrix[first], which
