"""Functions of ``keras.ops`` in a functional model: ``x + y``, ``keras.ops.relu(x)``, ``x[:, -1]``.

Keras 3 saves each as a layer with what it was called with; nothing of it is run.  Numbers beside
the inputs (``2 * x - 1``) are part of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from spiking_lmu.graph.transforms import OneToOne, Sparse

from .keras_activations import Refusal, parse_activation
from .keras_builder import Builder, Tensor
from .keras_file import Layer

#: Functions that are layers under another name; what the layer is called, and its configuration.
AS_LAYERS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "ops.Add": ("Add", lambda config: {}),
    "ops.Concatenate": ("Concatenate", lambda config: {"axis": config.get("axis", 0)}),
    "ops.Maximum": ("Maximum", lambda config: {}),
    "ops.Minimum": ("Minimum", lambda config: {}),
    "ops.Subtract": ("Subtract", lambda config: {}),
}
#: Functions of one input that are activations.
ACTIVATIONS = {
    "ops.LeakyRelu": "leaky_relu",
    "ops.Relu": "relu",
    "ops.Relu6": "relu6",
    "ops.Sigmoid": "sigmoid",
    "ops.Softmax": "softmax",
    "ops.Tanh": "tanh",
}
#: Functions of an input and a number: factor and offset of each, and with the two exchanged.
ARITHMETIC: dict[str, tuple[Callable[[Any], tuple[Any, Any]], Any]] = {
    "ops.Add": (lambda c: (1.0, c), lambda c: (1.0, c)),
    "ops.Subtract": (lambda c: (1.0, -c), lambda c: (-1.0, c)),
    "ops.Multiply": (lambda c: (c, 0.0), lambda c: (c, 0.0)),
    "ops.TrueDivide": (lambda c: (1.0 / c, 0.0), None),
    "ops.Divide": (lambda c: (1.0 / c, 0.0), None),
    "ops.Negative": (lambda c: (-1.0, 0.0), None),
}
OTHERS = ("ops.GetItem", "ops.Mean", "ops.Reshape", "ops.Transpose", "ops.Squeeze")
INSTEAD = "use layers of Keras, or +, -, * and / by a number, relu, mean, reshape, concatenate"


def problems(layer: Layer) -> Iterator[tuple[str, str]]:
    """What of the function has no counterpart, and what to do."""
    known = {*AS_LAYERS, *ACTIVATIONS, *ARITHMETIC, *OTHERS}
    if layer.kind not in known:
        yield "no counterpart", INSTEAD
        return
    inputs = len(layer.calls[0]) if layer.calls else 0
    if layer.kind in ARITHMETIC and layer.kind not in AS_LAYERS and inputs > 1:
        yield "a product of activities", "use layers without products of activities"


def add(
    builder: Builder,
    layer: Layer,
    inputs: list[Tensor],
    name: str,
    handlers: Any,
    last: bool,
) -> Tensor:
    """The function's populations and projections; its output."""
    kind, config = layer.kind, layer.config
    if kind in ARITHMETIC and len(inputs) == 1:
        return _affine(builder, layer, inputs[0], name)
    if kind in AS_LAYERS:
        other, of = AS_LAYERS[kind]
        layer = replace(layer, kind=other, config=of(config))
        return handlers[other](builder, layer, inputs, name, last)
    if len(inputs) != 1:
        raise Refusal(f"{name} ({kind}) of {len(inputs)} inputs", INSTEAD)
    if kind in ACTIVATIONS:
        value = {"class_name": ACTIVATIONS[kind], "config": dict(config)}
        parse_activation(value)
        layer = replace(layer, kind="Activation", config={"activation": value})
        return handlers["Activation"](builder, layer, inputs, name, last)
    x = builder.materialised(inputs[0], f"{name}.padded")
    return {
        "ops.GetItem": _item,
        "ops.Mean": _mean,
        "ops.Reshape": _reshape,
        "ops.Squeeze": _squeeze,
        "ops.Transpose": _transpose,
    }[kind](builder, layer, x, name, handlers)


def _affine(builder: Builder, layer: Layer, x: Tensor, name: str) -> Tensor:
    """An input and a number or an array of numbers, in either order."""
    x = builder.materialised(x, f"{name}.padded")
    numbers = [a for a in layer.arguments if a is not None]
    if layer.kind == "ops.Negative":
        numbers = [1.0]
    if len(numbers) != 1 or isinstance(numbers[0], bool | dict | str):
        raise Refusal(f"{name} ({layer.kind}) with {numbers!r:.60}", INSTEAD)
    first, exchanged = ARITHMETIC[layer.kind]
    place = layer.arguments.index(None)
    rule = first if place == 0 else exchanged
    constant = np.asarray(numbers[0], float)
    if rule is None or not np.isfinite(constant).all() or constant.ndim > len(x.shape):
        raise Refusal(f"{name} ({layer.kind}) of a number by an input", INSTEAD)
    if layer.kind in ("ops.TrueDivide", "ops.Divide") and not constant.all():
        raise Refusal(f"{name} by zero", "divide by something else")
    gain, offset = (np.broadcast_to(v, x.shape).ravel().copy() for v in rule(constant))
    made = builder.linear(name, x, OneToOne(gain), offset)
    return replace(x, population=made)


def _item(builder: Builder, layer: Layer, x: Tensor, name: str, handlers: Any) -> Tensor:
    """``x[:, -1]`` of a sequence, its last step; or parts of one presentation."""
    key = next((a for a in layer.arguments if a is not None), None)
    keys = list(key) if isinstance(key, list) else [key]
    if not keys or _slice(keys[0]) != slice(None):
        raise Refusal(f"{name}: some samples of a batch", "take all of them, x[:, …]")
    keys = keys[1:]
    if x.timed:
        if not keys or keys[0] != -1 or any(_slice(k) != slice(None) for k in keys[1:]):
            raise Refusal(f"{name}: inputs of a sequence by number", "take the last, x[:, -1]")
        return replace(x, timed=False, steps=None)
    index = np.arange(x.size).reshape(x.shape)
    chosen = tuple(k if isinstance(k, int) and not isinstance(k, bool) else _slice(k) for k in keys)
    return builder.picked(x, np.asarray(index[chosen]), name)


def _slice(value: Any) -> slice:
    """``{"class_name": "__slice__", "config": {"start": …}}`` as a slice."""
    if value == {"class_name": "__ellipsis__", "config": {}}:
        raise Refusal("an index with …", "write all axes")
    config = value.get("config") if isinstance(value, dict) else None
    if not isinstance(config, dict) or value.get("class_name") != "__slice__":
        raise Refusal(f"the index {value!r:.40}", "use numbers and slices")
    parts = [config.get(key) for key in ("start", "stop", "step")]
    if not all(p is None or (isinstance(p, int) and not isinstance(p, bool)) for p in parts):
        raise Refusal(f"the slice {parts}", "use whole numbers")
    return slice(*parts)


def _axes(layer: Layer, x: Tensor, name: str) -> list[int]:
    """Axes of one presentation, from Keras's with the batch and perhaps the time in front."""
    axis = layer.config.get("axis")
    axes: list[Any] = axis if isinstance(axis, list) else [axis]
    before = 2 if x.timed else 1
    rank = len(x.shape) + before
    numbers = [a for a in axes if isinstance(a, int) and not isinstance(a, bool)]
    if not axes or len(numbers) < len(axes):
        raise Refusal(f"{name} over the axes {axis}", "name the axes of an image or its channels")
    found = [a % rank - before for a in numbers]
    if min(found) < 0:
        raise Refusal(f"{name} over samples or time", "name the axes of an image or its channels")
    return found


def _mean(builder: Builder, layer: Layer, x: Tensor, name: str, handlers: Any) -> Tensor:
    axes = _axes(layer, x, name)
    ends = np.arange(x.size).reshape(x.shape)
    kept = [n for i, n in enumerate(x.shape) if i not in axes] or [1]
    columns = np.moveaxis(ends, axes, range(-len(axes), 0)).ravel()
    size = int(np.prod(kept))
    number = x.size // size
    rows = np.repeat(np.arange(size), number)
    transform = Sparse((size, x.size), rows, columns, np.full(x.size, 1.0 / number))
    made = builder.linear(name, x, transform)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return replace(x, population=made, shape=shape if layer.config.get("keepdims") else tuple(kept))


def _reshape(builder: Builder, layer: Layer, x: Tensor, name: str, handlers: Any) -> Tensor:
    shape = list(layer.config.get("newshape") or [])
    if x.timed or not shape or shape[0] not in (-1, None):
        raise Refusal(f"{name} over samples or time", "reshape what is in one sample, (-1, …)")
    layer = replace(layer, kind="Reshape", config={"target_shape": shape[1:]})
    return handlers["Reshape"](builder, layer, [x], name, False)


def _squeeze(builder: Builder, layer: Layer, x: Tensor, name: str, handlers: Any) -> Tensor:
    axes = _axes(layer, x, name)
    if any(x.shape[a] != 1 for a in axes):
        raise Refusal(f"{name} of an axis that is longer than 1", "use Reshape")
    return replace(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in axes) or (1,))


def _transpose(builder: Builder, layer: Layer, x: Tensor, name: str, handlers: Any) -> Tensor:
    order = layer.config.get("axes")
    if x.timed or not isinstance(order, list) or not order or order[0] != 0:
        raise Refusal(f"{name} over samples or time", "swap axes of one sample")
    layer = replace(layer, kind="Permute", config={"dims": order[1:]})
    return handlers["Permute"](builder, layer, [x], name, False)
