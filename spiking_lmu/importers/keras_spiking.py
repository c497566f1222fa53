"""Layers of KerasSpiking as parts of a graph.

``SpikingActivation`` (KerasSpiking 0.3, ``layers.py``) spikes at the rate of its activation, and is
trained by that rate; in the rate model it is the activation.  ``Lowpass`` computes at every step

    y[t] = (1 - a) x[t] + a y[t-1],    a = exp(-dt / tau)

with a tau for each value, as the filter moves here once a presentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from spiking_lmu.graph.graph import Population, Projection
from spiking_lmu.graph.transforms import OneToOne

from .keras_activations import Refusal
from .keras_builder import Builder, Tensor
from .keras_file import Layer

#: What has a time axis.
LAYERS = ("SpikingActivation", "Lowpass", "Alpha")
#: KerasSpiking takes no tau for less than that (seconds).
LEAST_TAU = 1e-8


def problems(layer: Layer) -> Iterator[tuple[str, str]]:
    """What in the layer has no counterpart, and what to do."""
    if layer.kind == "Alpha":
        yield "no counterpart", "train with two Lowpass layers"
    for option in ("return_state", "stateful", "time_major"):
        if layer.config.get(option):
            yield f"{option}=True", f"train with {option}=False"


def add(builder: Builder, layer: Layer, x: Tensor, name: str) -> Tensor:
    """The layer's populations and projections; its output at every step."""
    if not x.timed:
        raise Refusal(f"{name} without a time axis", "give it (steps, features)")
    config = layer.config
    if layer.kind == "SpikingActivation":
        links = [(x.population, OneToOne(), "")]
        made = builder.activated(name, x.size, None, config["activation"], links)
        note = "SpikingActivation is imported as the rate by which it was trained."
        if note not in builder.notes:
            builder.notes.append(note)
        result = replace(x, population=made.population)
    else:
        result = _lowpass(builder, layer, x, name)
    if config.get("return_sequences", True):
        return result
    return replace(result, timed=False, steps=None)


def _lowpass(builder: Builder, layer: Layer, x: Tensor, name: str) -> Tensor:
    arrays = builder.arrays(layer, ["initial_level", "tau"])
    shape = (1, *x.shape)
    builder.check_shapes(layer, arrays, dict.fromkeys(arrays, shape))
    if arrays["initial_level"].any():
        raise Refusal(f"{name} that starts at trained levels", "keep initial_level at zero")
    dt = float(layer.config.get("dt") or 0.001)
    kept = np.exp(-dt / np.maximum(arrays["tau"].ravel(), LEAST_TAU))
    builder.populations.append(Population(name, x.size))
    builder.projections += [
        Projection(x.population, name, 1.0 - kept, name=f"{name}.in", trainable=False),
        Projection(name, name, kept, delay=1, name=f"{name}.kept", trainable=False),
    ]
    builder.kept.add(name)
    return replace(x, population=name)
