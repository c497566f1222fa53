"""Which samples and which models are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.datasets import Dataset, require_dataset
from spiking_lmu.datasets.sources import trained_on
from spiking_lmu.errors import SpecError, require_at_least
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import Model, require_model

#: Fewest samples that a conversion is chosen by.
LEAST = 20
Models = Model | Sequence[Model] | Mapping[str, Model]


def draw(data: Dataset, samples: int | None, seed: int) -> Dataset:
    """So many samples, drawn with ``seed``; None is all in their order.

    Raises
    ------
    SpecError
        Not a whole number from 1 to as many as there are, or no `Dataset`.
    """
    require_dataset(data)
    if samples is None:
        return data
    require_at_least("samples", samples, 1)
    if samples > len(data):
        raise SpecError(
            "samples",
            got=str(samples),
            expected=f"at most {len(data)}, as {data.what} has",
            fix=f"try samples={len(data)}",
        )
    return data.draw(samples, seed)


def held_out(model: Model, data: Dataset) -> Array:
    """Positions in ``data`` of the samples that were held out of the model's training, descending.

    Training leaves the last samples of a split out (:mod:`spiking_lmu.training`); of a part of
    the split, or of the split in another order, they are found by their indices.  Empty if no
    samples were held out, or if the model was trained on other data.
    """
    count = model.recorded("training", "settings", "held_out")
    counted = isinstance(count, int) and not isinstance(count, bool) and count > 0
    if not counted or trained_on(model) != data.name:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(data.indices >= data.total - count)[::-1]


def name_of(model: Model) -> str:
    """What the model was converted from, without its folder; or ``"model"``."""
    source = model.recorded("conversion", "source")
    return Path(source).stem if isinstance(source, str) and source else "model"


def named(models: Models) -> dict[str, Model]:
    """Models by name; those without a name get what they were converted from, or a number.

    Raises
    ------
    SpecError
        No model, or something that is none.
    """
    if isinstance(models, str):
        require_model(models, "models")
    if isinstance(models, Mapping):
        found = dict(models)
    else:
        several: list[Any] = list(models) if isinstance(models, Sequence) else [models]
        found = {}
        for number, model in enumerate(several, 1):
            name = name_of(model) if isinstance(model, Model) else ""
            found[name if name and name not in found else f"{name or 'model'} {number}"] = model
    for model in found.values():
        require_model(model, "models")
    if not found:
        raise SpecError(
            "models",
            got="none",
            expected="a model, several, or several by name",
            fix="load one with spiking_lmu.load",
        )
    return found
