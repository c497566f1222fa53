"""Parameters out of whatever file a user has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .parameter import Parameter, Place

if TYPE_CHECKING:
    from spiking_lmu.graph.model import Model


@dataclass(frozen=True)
class Source:
    """What a file holds.

    Parameters
    ----------
    kind
        ``model`` (a ``.slmu`` file), ``named`` (:mod:`.named_file`),
        ``save_params`` with its network, or ``unnamed`` (``save_params`` alone: names are the
        file's own, ``arr_0`` and so on).
    notes
        What a reader should know before believing the numbers.
    """

    path: Path
    kind: str
    parameters: dict[str, Parameter]
    model: Model | None = None
    notes: tuple[str, ...] = ()


def open_source(path: Path, network: Any = None) -> Source:
    """Read ``path``; ``network`` is that of a ``save_params`` file.

    Raises
    ------
    FileError
        A damaged or hostile file, or one that does not fit the network.
    """
    from .. import read_params
    from .named_file import is_named, load

    if path.suffix != ".npz":
        from spiking_lmu.files.zoo import load_model

        from .model import from_model

        model = load_model(path)
        return Source(path, "model", from_model(model), model)
    if is_named(path):
        return Source(path, "named", load(path))
    arrays = read_params(path)
    if network is not None:
        from .simulator import compare_with_network

        found, notes = compare_with_network(network, arrays, path.name)
        return Source(path, "save_params", found, notes=notes)
    return Source(path, "unnamed", unnamed(arrays))


def unnamed(arrays: list[np.ndarray]) -> dict[str, Parameter]:
    """The arrays under the file's own names, described by their shapes."""
    from .shapes import readings

    lines = readings([array.shape for array in arrays])
    return {
        f"arr_{i}": Parameter(
            f"arr_{i}", "unknown", array, trainable=None, description=line, place=Place(i)
        )
        for i, (array, line) in enumerate(zip(arrays, lines, strict=True))
    }
