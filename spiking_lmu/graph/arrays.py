"""The type of an array, in one place; docstrings say shape and unit."""

from __future__ import annotations

from typing import Any

import numpy as np

#: An array of any shape and dtype.
Array = np.ndarray[Any, Any]
