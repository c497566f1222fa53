"""What a training run needs to go on after it was killed, in one NPZ file an epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spiking_lmu.files.archive import Refused, Wanted, npy, open_archive, write_archive
from spiking_lmu.files.writing import write_atomically

if TYPE_CHECKING:
    from spiking_lmu.errors import FileError
    from spiking_lmu.files.archive import Archive

MANIFEST = "manifest.json"
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State after a whole number of epochs.

    Parameters
    ----------
    settings
        JSON-safe: everything that decides the run; another run's checkpoint is refused.
    curve
        One entry an epoch: loss, accuracies, seconds.
    weights, optimizer
        Arrays in the order in which Keras lists them.
    """

    settings: dict[str, Any]
    curve: list[dict[str, float]]
    weights: Sequence[Array]
    optimizer: Sequence[Array]

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.curve)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint``; the one before stays until this one is whole."""
    text = json.dumps({"settings": checkpoint.settings, "curve": checkpoint.curve})
    entries = {MANIFEST: text.encode()}
    for part, arrays in (("weights", checkpoint.weights), ("optimizer", checkpoint.optimizer)):
        entries |= {f"{part}_{i}.npy": npy(array) for i, array in enumerate(arrays)}
    with write_atomically(path) as file:
        write_archive(file, entries, compress=False)


def load_checkpoint(path: Path, settings: dict[str, Any]) -> Checkpoint | None:
    """Read the checkpoint of the run with ``settings``; None if there is none.

    Raises
    ------
    FileError
        The file is damaged or hostile, or belongs to another run.
    """
    from spiking_lmu.files.schema import CheckpointManifest, checked

    if not os.path.lexists(path):
        return None
    wanted = _wanted(path)
    with open_archive(path, wanted) as archive:
        text = checked(archive.json(MANIFEST), CheckpointManifest, MANIFEST)
        if text.settings != settings:
            keys = {*text.settings, *settings}
            changed = sorted(k for k in keys if text.settings.get(k) != settings.get(k))
            raise wanted.refused(
                "another " + ", ".join(changed),
                fix="choose another file, or delete it to train from the start",
            )
        weights, optimizer = (_numbered(archive, part) for part in ("weights", "optimizer"))
        if len(weights) + len(optimizer) + 1 != len(archive.names):
            raise Refused("other entries than weights and the optimizer's state")
    return Checkpoint(settings, text.curve, weights, optimizer)


def restore(path: Path, checkpoint: Checkpoint, variables: Sequence[Sequence[Any]]) -> None:
    """Give the values of ``checkpoint`` to TensorFlow's variables of network and optimizer.

    Raises
    ------
    FileError
        Another number of arrays, or another shape or kind of numbers; nothing is changed then.
    """
    require_alike(path, checkpoint, variables)
    for group, values in zip(variables, (checkpoint.weights, checkpoint.optimizer), strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)


def require_alike(path: Path, checkpoint: Checkpoint, variables: Sequence[Sequence[Any]]) -> None:
    """Raise unless ``checkpoint`` has arrays for these of network and optimizer.

    Variables are TensorFlow's, or arrays.

    Raises
    ------
    FileError
        Another number of arrays, or another shape or kind of numbers.
    """
    for part, group, values in zip(
        ("weights", "optimizer"), variables, (checkpoint.weights, checkpoint.optimizer), strict=True
    ):
        if len(group) != len(values):
            raise _wanted(path).refused(f"{len(values)} arrays of {part}, not {len(group)}")
        for i, (variable, value) in enumerate(zip(group, values, strict=True)):
            kind = getattr(variable.dtype, "as_numpy_dtype", variable.dtype)
            here = tuple(variable.shape), np.dtype(kind)
            if here != (value.shape, value.dtype):
                raise _wanted(path).refused(
                    f"{part}_{i} of shape {value.shape} and dtype {value.dtype}, "
                    f"not {here[0]} and {here[1]}"
                )


def _numbered(archive: Archive, part: str) -> list[Array]:
    count = sum(name.startswith(f"{part}_") for name in archive.names)
    arrays = [archive.array(f"{part}_{i}.npy") for i in range(count)]
    if not all(np.isfinite(array).all() for array in arrays):
        raise Refused(f"NaN or infinity in the {part}")
    return arrays


def refused(path: Path, got: str) -> FileError:
    """The error for a checkpoint that holds ``got``."""
    return _wanted(path).refused(got)


def _wanted(path: Path) -> Wanted:
    return Wanted(str(path), "a checkpoint of this run", "delete it to train from the start")
