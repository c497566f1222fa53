"""Checks before values are put into a network."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError


def check_names(given: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise a SpecError that names what ``where`` does not have, with what comes closest."""
    unknown = [name for name in given if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], list(known), n=3, cutoff=0.4)
        raise SpecError(
            "parameters",
            got=f"the name {unknown[0]!r}"
            + (f" and {len(unknown) - 1} more that are unknown" if len(unknown) > 1 else ""),
            expected=f"names that {where} has" + (f", such as {', '.join(close)}" if close else ""),
            fix="list them with: spiking-lmu inspect",
        )


def check_value(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers in an array or :class:`Parameter`, if they fit the parameter ``name``.

    Raises
    ------
    SpecError
        Another shape, or something else than finite real numbers.
    """
    value = np.asarray(getattr(given, "value", given))
    if value.dtype.kind not in "fiu":
        raise SpecError(
            name, got=f"dtype {value.dtype}", expected="real numbers", fix="give an array of them"
        )
    if value.shape != shape:
        turned = " (transposed it fits)" if value.shape == shape[::-1] else ""
        raise SpecError(
            name,
            got=f"shape {value.shape}{turned}",
            expected=f"shape {shape}",
            fix="give an array of that shape",
        )
    if not np.isfinite(value).all():
        raise SpecError(
            name,
            got=f"{np.count_nonzero(~np.isfinite(value))} numbers that are NaN or infinite",
            expected="finite numbers",
            fix="replace them",
        )
    return value
