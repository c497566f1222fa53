"""What a training run needs to go on after it was killed, in one NPZ file an epoch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import FileError
from spiking_lmu.files.writing import write_atomically

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
    arrays = {f"weights_{i}": array for i, array in enumerate(checkpoint.weights)}
    arrays |= {f"optimizer_{i}": array for i, array in enumerate(checkpoint.optimizer)}
    with write_atomically(path) as file:
        np.savez(file, manifest=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]


def load_checkpoint(path: Path, settings: dict[str, Any]) -> Checkpoint | None:
    """Read the checkpoint of the run with ``settings``; None if there is none.

    Raises
    ------
    FileError
        The file is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            text = json.loads(file["manifest"].tobytes())
            found, curve = text["settings"], text["curve"]
            weights = _numbered(file, "weights")
            optimizer = _numbered(file, "optimizer")
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(
            str(path),
            got=f"a file that cannot be read ({error})",
            expected="a checkpoint of this run",
            fix="delete it to train from the start",
        ) from error
    if found != settings:
        changed = sorted(key for key in {*found, *settings} if found.get(key) != settings.get(key))
        raise FileError(
            str(path),
            got="another " + ", ".join(changed),
            expected="a checkpoint of this run",
            fix="choose another file, or delete it to train from the start",
        )
    return Checkpoint(settings, curve, weights, optimizer)


def _numbered(file: Any, prefix: str) -> list[Array]:
    count = sum(name.startswith(f"{prefix}_") for name in file.files)
    return [file[f"{prefix}_{i}"] for i in range(count)]
