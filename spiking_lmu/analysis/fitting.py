"""Whether data fit a model, before anything runs."""

from __future__ import annotations

import numpy as np

from spiking_lmu.conversion.line import code_of
from spiking_lmu.datasets import Dataset, require_dataset
from spiking_lmu.datasets.sources import trained_on
from spiking_lmu.errors import DatasetError
from spiking_lmu.graph.model import Model

#: Values as far outside the range of training as this are rounding.
SLACK = 1e-5


def require_fit(name: str, model: Model, data: Dataset) -> None:
    """Raise a DatasetError unless ``data`` are what ``model`` takes and answers.

    The size of an input, the task, the number of outputs, and the names of the classes where
    both say them.  What is no `Dataset` is a SpecError.
    """
    require_dataset(data)
    outputs = model.graph.output_size
    trained = ", ".join(model.task.names[:5])
    for got, expected, fits in (
        (
            f"{data.channels} {'number' if data.channels == 1 else 'numbers'} an input",
            f"{model.graph.input_size}, as {name} has",
            data.channels == model.graph.input_size,
        ),
        (
            f"data for {data.task}",
            f"{model.task}, as {name} was made for",
            data.task.identity == model.task.identity,
        ),
        (
            f"{data.outputs} {'classes' if data.task.classifies else 'outputs'}",
            f"{outputs}, as {name} has",
            data.outputs == outputs,
        ),
        (
            "the classes " + ", ".join(data.task.names[:5]),
            f"{trained}, as {name} was trained on",
            not (data.task.classifies and model.task.names) or data.task.names == model.task.names,
        ),
    ):
        if not fits:
            raise DatasetError(data.what, got=got, expected=expected, fix=_fix(model, data))


def _fix(model: Model, data: Dataset) -> str:
    """What to do about data that do not fit."""
    if data.channels != model.graph.input_size == data.channels * data.x.shape[1]:
        return (
            f"if this model reads a sample at once, make the data of x.reshape(len(x), 1, "
            f"{model.graph.input_size})"
        )
    trained = trained_on(model)
    if data.task.identity != model.task.identity and not trained:
        # What a network from elsewhere answers is a guess.
        return (
            "choose other data; or, if that is what the model answers, "
            "dataclasses.replace(model, task=data.task)"
        )
    return f"pass the data of this model: data={trained!r}" if trained else "choose other data"


def order_of_classes(model: Model, data: Dataset) -> str:
    """What to say if it is taken on trust which output is which class; empty if it is known.

    A network from elsewhere does not name its outputs: where classes are not called 0, 1, 2, …
    they could have been in another order when it was trained.
    """
    names = data.task.names
    if not data.task.classifies or model.task.names:
        return ""
    if names == tuple(str(k) for k in range(len(names))):
        return ""
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return (
        f"the model does not name its classes: its outputs are taken for those of {data.what} "
        f"in the order {shown}"
    )


def out_of_range(model: Model, data: Dataset) -> str:
    """What to say if data leave the range that the model was trained on; empty if they do not.

    Read in parts.  Without a scaling nothing is known of a range, but that of a memory as a line
    of spikes.
    """
    code = code_of(model.graph)
    if model.scaling is None and code is None:
        return ""
    outside, most, channels = 0, 0.0, np.zeros(data.channels, dtype=bool)
    for start in range(0, len(data), 256):
        rows = slice(start, start + 256)
        x = model.scaled(data.x[rows])[data.mask[rows]]
        size = np.abs(x)
        far = size > 1 + SLACK if model.scaling is not None or code is None else code.beyond(x)
        outside += int(far.any(axis=1).sum())
        channels |= far.any(axis=0)
        most = max(most, float(size.max()))
    if not outside:
        return ""
    share = 100 * outside / int(data.lengths.sum())
    if model.scaling is None:
        return (
            f"{share:.2g} % of the inputs of {data.what} are beyond what the line of spikes holds, "
            f"in {int(channels.sum())} of {data.channels} channels, and are cut off"
        )
    return (
        f"{share:.2g} % of the inputs of {data.what} are outside the range of training, in "
        f"{int(channels.sum())} of {data.channels} channels, up to {most:.3g} times"
    )
