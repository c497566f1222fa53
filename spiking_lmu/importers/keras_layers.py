"""What each layer of Keras becomes: one function a layer, and what is refused.

A function adds populations and projections to a :class:`.keras_builder.Builder` and says where the
layer's output is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from spiking_lmu.graph.graph import Population, Projection
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.transforms import (
    AveragePool,
    Convolution,
    Dense,
    OneToOne,
    Transform,
    Windows,
)

from . import keras_lmu, keras_ops, keras_spiking
from .keras_activations import Refusal, activation_name, parse_activation
from .keras_builder import Builder, Tensor, require_size
from .keras_file import Layer, Saved, class_of
from .keras_maxima import extreme, max_pool
from .pieces import Piece, leaky

Array = np.ndarray
#: Layers that do nothing after training.
PASSING = {
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "InputLayer",
    "SpatialDropout1D",
    "SpatialDropout2D",
}
#: Layers that are refused, and what to use instead.
INSTEAD = {
    **dict.fromkeys(keras_lmu.GATED, keras_lmu.RETRAIN + "; gates multiply activities"),
    "Bidirectional": "train with one direction; the other can only begin at the end of a sequence",
    **dict.fromkeys(
        ("Attention", "AdditiveAttention", "MultiHeadAttention", "Multiply", "Dot"),
        "use layers without products of activities",
    ),
    **dict.fromkeys(
        ("LayerNormalization", "GroupNormalization", "UnitNormalization"),
        "train with BatchNormalization, which is constant after training",
    ),
    **dict.fromkeys(("Lambda", "TFOpLambda"), "use layers of Keras; code is not run"),
    **dict.fromkeys(("Embedding", "Masking"), "do that to the data before"),
}


def every(saved: Saved) -> Iterator[Layer]:
    """All layers, those of inner models and wrappers included."""
    for layer in saved.layers:
        yield layer
        if layer.inner is not None:
            yield from every(layer.inner)
        elif layer.kind == "TimeDistributed":
            yield wrapped(layer)


def wrapped(layer: Layer) -> Layer:
    """The layer inside a wrapper, with its arrays."""
    spec = layer.config["layer"]
    arrays = {path.removeprefix("layer/"): array for path, array in layer.arrays.items()}
    return Layer(class_of(spec), layer.name, dict(spec["config"]), layer.calls, arrays)


def layer_problems(layer: Layer, last: bool) -> Iterator[tuple[str, str]]:
    """What in the layer's configuration has no counterpart, and what to do."""
    if layer.inner is not None:
        if len(layer.inner.outputs) != 1:
            yield f"{len(layer.inner.outputs)} outputs", "give models inside a model one output"
        return
    if layer.kind in INSTEAD:
        yield "no counterpart", INSTEAD[layer.kind]
        return
    if layer.kind in keras_lmu.LAYERS:
        yield from keras_lmu.problems(layer)
        cell = keras_lmu.cell_of(layer)
        hidden = keras_lmu.hidden_of(cell.config)
        config = cell.config if cell.kind == "SimpleRNNCell" else (hidden or ("", {}))[1]
        yield from _activation_problems(config.get("activation"), False)
        return
    if layer.kind == "TimeDistributed" or layer.kind in PASSING:
        return
    if layer.kind in keras_spiking.LAYERS:
        yield from keras_spiking.problems(layer)
        yield from _activation_problems(layer.config.get("activation"), False)
        return
    if layer.kind.startswith("ops."):
        yield from keras_ops.problems(layer)
        return
    if layer.kind not in HANDLERS:
        yield "no counterpart", "use one of: " + ", ".join(sorted(HANDLERS))
        return
    if layer.kind not in ("LeakyReLU", "ReLU", "PReLU"):
        yield from _activation_problems(layer.config.get("activation"), last)
    if layer.kind == "ReLU" and layer.config.get("threshold"):
        yield f"the threshold {layer.config['threshold']}", "train without one"
    if layer.kind == "Normalization" and layer.config.get("invert"):
        yield "invert=True", "train without"
    if layer.kind.startswith("UpSampling") and layer.config.get("interpolation") not in (
        None,
        "nearest",
    ):
        yield f"interpolation {layer.config['interpolation']}", "train with nearest"


def _activation_problems(value: Any, last: bool) -> Iterator[tuple[str, str]]:
    try:
        parse_activation(value)
    except Refusal as error:
        yield error.got, error.fix
    if activation_name(value)[0] == "softmax" and not last:
        yield "a softmax before the output", "keep it for the end"


#: From the builder, a layer, its inputs, its name and whether it is the last, to its output.
Handler = Callable[["Builder", Layer, list[Tensor], str, bool], Tensor]


def _bias_name(config: dict[str, Any]) -> list[str]:
    return ["bias"] if config.get("use_bias", True) else []


def _weighted(
    builder: Builder,
    layer: Layer,
    x: Tensor,
    transform: Transform,
    shape: tuple[int, ...],
    bias: Array | None,
    name: str,
    last: bool,
) -> Tensor:
    """A transform, a bias for each channel, and the layer's activation."""
    require_size(prod(shape), name)
    activation = layer.config.get("activation")
    if activation_name(activation)[0] == "softmax":
        builder.softmax_left_out(name, last)
    if bias is not None:
        bias = np.tile(bias, prod(shape) // len(bias))
    made = builder.activated(name, prod(shape), bias, activation, [(x.population, transform, "")])
    return replace(x, population=made.population, shape=shape, padding=())


def _dense(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    arrays = builder.arrays(layer, ["kernel", *_bias_name(layer.config)])
    kernel, units = arrays["kernel"], int(layer.config["units"])
    builder.check_shapes(layer, arrays, {"kernel": (x.shape[-1], units), "bias": (units,)})
    transform: Transform = Dense(kernel.T)
    if len(x.shape) > 1:
        # The same at every place: a convolution with a window of one.
        places = x.shape[:-1]
        transform = Convolution(x.shape, kernel.reshape(*(1 for _ in places), *kernel.shape))
    shape = (*x.shape[:-1], units)
    return _weighted(builder, layer, x, transform, shape, arrays.get("bias"), name, last)


def _convolution(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    config, (x,) = layer.config, inputs
    if x.timed:
        return _convolution_in_time(builder, layer, x, name, last)
    channels = x.shape[-1]
    groups = int(config.get("groups") or 1)
    window = _numbers(config["kernel_size"], len(x.shape) - 1)
    if layer.kind.startswith("Separable"):
        kernel, bias = _separable(builder, layer, channels, window)
    elif layer.kind.startswith("Depthwise"):
        names = [_depthwise_name(layer), *_bias_name(config)]
        arrays = builder.arrays(layer, names)
        multiplier = int(config.get("depth_multiplier", 1))
        groups = channels
        builder.check_shapes(
            layer,
            arrays,
            {names[0]: (*window, channels, multiplier), "bias": (channels * multiplier,)},
        )
        kernel = arrays[names[0]].reshape(*window, 1, channels * multiplier)
        bias = arrays.get("bias")
    else:
        filters = int(config["filters"])
        arrays = builder.arrays(layer, ["kernel", *_bias_name(config)])
        builder.check_shapes(
            layer,
            arrays,
            {"kernel": (*window, channels // groups, filters), "bias": (filters,)},
        )
        kernel, bias = arrays["kernel"], arrays.get("bias")
    strides = _numbers(config.get("strides", 1), len(window))
    dilation = _numbers(config.get("dilation_rate", 1), len(window))
    x, padding = _conv_padding(builder, x, layer, window, strides, dilation, name)
    transform = Convolution(x.shape, kernel, strides, padding, groups, dilation)
    return _weighted(builder, layer, x, transform, transform.output_shape, bias, name, last)


def _conv_padding(
    builder: Builder,
    x: Tensor,
    layer: Layer,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    name: str,
) -> tuple[Tensor, Any]:
    """Padding of a ZeroPadding layer before and of the convolution itself, in one."""
    own = str(layer.config.get("padding", "valid"))
    if own == "causal":
        reach = (window[0] - 1) * dilation[0]
        own_pairs: Any = ((reach, 0),)
    elif own == "same":
        padded = builder.materialised(x, f"{name}.padded")
        return padded, Windows.of(padded.shape[:-1], window, strides, own, dilation).padding
    else:
        own_pairs = ((0, 0),) * len(window)
    if x.padding:
        own_pairs = tuple(
            (a + c, b + d) for (a, b), (c, d) in zip(x.padding, own_pairs, strict=True)
        )
    return replace(x, padding=()), own_pairs


def _depthwise_name(layer: Layer) -> str:
    """Keras 2 calls it ``depthwise_kernel``, Keras 3 ``kernel``."""
    return next((p for p in layer.arrays if p.startswith("depthwise")), "kernel")


def _separable(
    builder: Builder, layer: Layer, channels: int, window: tuple[int, ...]
) -> tuple[Array, Array | None]:
    """A depthwise convolution and one over channels, as the one convolution that they are."""
    config = layer.config
    arrays = builder.arrays(layer, ["depthwise_kernel", "pointwise_kernel", *_bias_name(config)])
    multiplier, filters = int(config.get("depth_multiplier", 1)), int(config["filters"])
    ones = (1,) * len(window)
    builder.check_shapes(
        layer,
        arrays,
        {
            "depthwise_kernel": (*window, channels, multiplier),
            "pointwise_kernel": (*ones, channels * multiplier, filters),
            "bias": (filters,),
        },
    )
    points = arrays["pointwise_kernel"].reshape(channels, multiplier, filters)
    return np.einsum("...cm,cmf->...cf", arrays["depthwise_kernel"], points), arrays.get("bias")


def _convolution_in_time(
    builder: Builder, layer: Layer, x: Tensor, name: str, last: bool
) -> Tensor:
    """Conv1D along the time axis: a chain of populations that remember earlier inputs."""
    config = layer.config
    if layer.kind != "Conv1D" or len(x.shape) != 1:
        raise Refusal(f"{name} ({layer.kind}) along time", "put it into TimeDistributed")
    if str(config.get("padding")) != "causal" or _numbers(config.get("strides", 1), 1) != (1,):
        raise Refusal(
            f"{name} with padding {config.get('padding')!r} and strides {config.get('strides')} "
            "before a recurrent layer",
            "train with padding='causal' and strides=1: no step may wait for later ones",
        )
    groups, filters = int(config.get("groups") or 1), int(config["filters"])
    (window,), (dilation,) = (
        _numbers(config["kernel_size"], 1),
        _numbers(config.get("dilation_rate", 1), 1),
    )
    arrays = builder.arrays(layer, ["kernel", *_bias_name(config)])
    shapes = {"kernel": (window, x.size // groups, filters), "bias": (filters,)}
    builder.check_shapes(layer, arrays, shapes)
    links, source = [], x.population
    for back in range((window - 1) * dilation + 1):
        if back:
            past = f"{name}.past{back}"
            builder.populations.append(Population(past, x.size))
            builder.projections.append(Projection(source, past, delay=1, trainable=False))
            source = past
        if back % dilation == 0:
            tap = arrays["kernel"][window - 1 - back // dilation]
            whole = Convolution((1, x.size), tap[None], groups=groups).matrix(0)
            links.append((source, Dense(whole), f"{name}.tap{back}"))
    if activation_name(config.get("activation"))[0] == "softmax":
        builder.softmax_left_out(name, last)
    made = builder.activated(name, filters, arrays.get("bias"), config.get("activation"), links)
    return replace(x, population=made.population, shape=(filters,))


def _average(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    if layer.kind.startswith("Global"):
        return _global_average(builder, layer, x, name)
    if x.timed:
        raise Refusal(f"{name} along time", "pool inside TimeDistributed, or with strides before")
    axes = len(x.shape) - 1
    pool = _numbers(layer.config["pool_size"], axes)
    strides = _numbers(layer.config.get("strides") or pool, axes)
    transform = AveragePool(x.shape, pool, strides, str(layer.config.get("padding", "valid")))
    made = builder.linear(name, x, transform)
    return replace(x, population=made, shape=transform.output_shape)


def _global_average(builder: Builder, layer: Layer, x: Tensor, name: str) -> Tensor:
    if not x.timed:
        transform = AveragePool(x.shape, x.shape[:-1])
        made = builder.linear(name, x, transform)
        kept = transform.output_shape if layer.config.get("keepdims") else x.shape[-1:]
        return replace(x, population=made, shape=kept)
    if x.steps is None or len(x.shape) != 1 or layer.config.get("keepdims"):
        raise Refusal(f"{name} over a time axis of unknown length", "fix the length in keras.Input")
    # The mean over time is what has been added up by the last step.
    share = OneToOne(np.full(x.size, 1.0 / x.steps))
    made = builder.linear(name, x, share)
    builder.projections.append(
        Projection(made, made, delay=1, name=f"{name}.kept", trainable=False)
    )
    return replace(x, population=made, timed=False, steps=None)


def _flatten(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    if x.timed:
        raise Refusal(f"{name} over the time axis", "use the last step: return_sequences=False")
    if layer.kind == "Flatten":
        return replace(x, shape=(x.size,))
    if layer.kind == "Reshape":
        return replace(x, shape=target_shape(layer.config["target_shape"], x.size))
    order = [int(n) - 1 for n in layer.config["dims"]]
    return builder.picked(x, np.arange(x.size).reshape(x.shape).transpose(order), name)


def _zero_padding(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.before")
    if x.timed:
        raise Refusal(f"{name} along time", "use Conv1D with padding='causal'")
    pairs = _pairs(layer.config["padding"], len(x.shape) - 1)
    return replace(x, padding=pairs)


def _places(builder: Builder, given: Tensor, name: str, verb: str) -> tuple[Tensor, Array]:
    """A tensor without a time axis, and the place of each of its values, in its shape."""
    x = builder.materialised(given, f"{name}.padded")
    if x.timed:
        raise Refusal(f"{name} along time", f"{verb} the data instead")
    return x, np.arange(x.size).reshape(x.shape)


def _cropping(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x, index = _places(builder, inputs[0], name, "cut")
    pairs = _pairs(layer.config["cropping"], len(x.shape) - 1)
    inside = tuple(slice(a, n - b) for (a, b), n in zip(pairs, x.shape, strict=False))
    return builder.picked(x, index[inside], name)


def _up_sampling(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x, index = _places(builder, inputs[0], name, "repeat")
    sizes = _numbers(layer.config["size"], len(x.shape) - 1)
    require_size(x.size * prod(sizes), name)
    for axis, times in enumerate(sizes):
        index = np.repeat(index, times, axis)
    return builder.picked(x, index, name)


def _batch_norm(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    config = layer.config
    x = builder.materialised(inputs[0], f"{name}.padded")
    axis = _axis(config.get("axis", -1), x, name)
    names = [
        *(["gamma"] if config.get("scale", True) else []),
        *(["beta"] if config.get("center", True) else []),
        "moving_mean",
        "moving_variance",
    ]
    arrays = builder.arrays(layer, names)
    channels = (x.shape[axis],)
    builder.check_shapes(layer, arrays, dict.fromkeys(names, channels))
    variance = arrays["moving_variance"] + float(config.get("epsilon", 1e-3))
    gain = arrays.get("gamma", np.ones(channels)) / np.maximum(_deviation(variance, name), 1e-30)
    offset = arrays.get("beta", np.zeros(channels)) - gain * arrays["moving_mean"]
    along = [1] * len(x.shape)
    along[axis] = -1
    return _affine(builder, x, gain.reshape(along), offset.reshape(along), name)


def _rescaling(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    gain = np.asarray(layer.config["scale"], float)
    offset = np.asarray(layer.config.get("offset", 0.0), float)
    return _affine(builder, x, gain, offset, name)


def _normalization(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    config = layer.config
    x = builder.materialised(inputs[0], f"{name}.padded")
    axis = config.get("axis", -1)
    if axis not in (None, [], ()) and _axis(axis, x, name) != len(x.shape) - 1:
        raise Refusal(f"{name} along axis {axis}", "normalise the channels, axis=-1")
    if config.get("mean") is not None:
        mean, variance = (np.asarray(config[key], float).ravel() for key in ("mean", "variance"))
    else:
        arrays = builder.arrays(layer, ["mean", "variance", "count"])
        mean, variance = arrays["mean"].ravel(), arrays["variance"].ravel()
    # Keras divides by no less than its epsilon.
    gain = 1.0 / np.maximum(_deviation(variance, name), 1e-7)
    return _affine(builder, x, gain, -mean * gain, name)


def _deviation(variance: Array, name: str) -> Array:
    if not (np.isfinite(variance).all() and (variance >= 0).all()):
        raise Refusal(f"{name} with a variance below 0", "save the model again")
    return np.sqrt(variance)


def _affine(builder: Builder, x: Tensor, gain: Array, offset: Array, name: str) -> Tensor:
    """Each channel by a factor, and an offset added."""
    gain, offset = (np.broadcast_to(a, x.shape).ravel() for a in (gain, offset))
    made = builder.linear(name, x, OneToOne(np.array(gain)), np.array(offset))
    return replace(x, population=made)


def _activation(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x, config = builder.materialised(inputs[0], f"{name}.padded"), layer.config
    if layer.kind == "Softmax":
        builder.softmax_left_out(name, last)
        return x
    if layer.kind == "Activation" and activation_name(config.get("activation"))[0] == "softmax":
        builder.softmax_left_out(name, last)
        return x
    if layer.kind == "Activation":
        value: Any = config.get("activation")
        made = builder.activated(name, x.size, None, value, [(x.population, OneToOne(), "")])
        return replace(x, population=made.population)
    if layer.kind == "PReLU":
        return _in_pieces(builder, x, leaky(_own_slopes(builder, layer, x)), name)
    if layer.kind == "LeakyReLU":
        pieces = leaky(float(config.get("negative_slope", config.get("alpha", 0.3))))
    else:
        largest = config.get("max_value")
        pieces = leaky(
            float(config.get("negative_slope") or 0.0), None if largest is None else float(largest)
        )
    return _in_pieces(builder, x, pieces, name)


def _own_slopes(builder: Builder, layer: Layer, x: Tensor) -> Array:
    """The slope below zero of each value; axes that share one are of length 1."""
    slopes = builder.arrays(layer, ["alpha"])["alpha"]
    if x.timed:
        if slopes.ndim != len(x.shape) + 1 or slopes.shape[0] != 1:
            raise Refusal(f"{layer.name} with slopes for each step", "train with shared_axes=[1]")
        slopes = slopes[0]
    if slopes.ndim != len(x.shape) or any(
        n not in (1, m) for n, m in zip(slopes.shape, x.shape, strict=False)
    ):
        raise Refusal(f"{layer.name} with slopes of shape {slopes.shape}", "save the model again")
    return np.broadcast_to(slopes, x.shape).ravel()


def _in_pieces(builder: Builder, x: Tensor, pieces: tuple[Piece, ...], name: str) -> Tensor:
    if len(pieces) == 1:
        made = builder.activated(name, x.size, None, "relu", [(x.population, OneToOne(), "")])
        return replace(x, population=made.population)
    builder.populations.append(Population(name, x.size))
    for i, piece in enumerate(pieces):
        part = f"{name}.part{i + 1}"
        builder.populations.append(
            Population(part, x.size, Neuron("relu"), np.array(piece.gain), np.array(piece.bias))
        )
        builder.projections.append(Projection(x.population, part))
        weights = np.broadcast_to(piece.weight, (x.size,)).copy()
        builder.projections.append(Projection(part, name, weights))
    return replace(x, population=name)


def _max_pool(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    return max_pool(builder, layer, builder.materialised(inputs[0], f"{name}.padded"), name)


def _extreme(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    return extreme(builder, layer, _alike(builder, inputs, name), name)


def _alike(builder: Builder, inputs: Sequence[Tensor], name: str) -> list[Tensor]:
    """Inputs of one shape."""
    parts = [builder.materialised(x, f"{name}.padded{i}") for i, x in enumerate(inputs)]
    if len({(p.shape, p.timed) for p in parts}) != 1:
        raise Refusal(f"{name} of different shapes", "give all the same shape")
    return parts


def _sum(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    parts = _alike(builder, inputs, name)
    weights = [1.0] * len(parts)
    if layer.kind == "Subtract":
        weights = [1.0, -1.0]
    if layer.kind == "Average":
        weights = [1.0 / len(parts)] * len(parts)
    builder.populations.append(Population(name, parts[0].size))
    for i, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        array = None if weight == 1 else np.full(part.size, weight)
        builder.projections.append(
            Projection(part.population, name, array, name=f"{name}.term{i + 1}", trainable=False)
        )
    return replace(parts[0], population=name)


def _concatenate(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    parts = [builder.materialised(x, f"{name}.padded{i}") for i, x in enumerate(inputs)]
    if len({p.timed for p in parts}) != 1:
        raise Refusal(f"{name} of a sequence and a single value", "give all the same time axis")
    axis, rank = int(layer.config.get("axis", -1)), len(parts[0].shape)
    before = 2 if parts[0].timed else 1
    # From the end, as an axis of one presentation: samples and time are in front of these.
    axis = axis - before - rank if axis >= 0 else axis
    if not -rank <= axis < 0:
        raise Refusal(f"{name} along samples or time", "concatenate features")
    return builder.concatenated(parts, name, axis)


def _axis(axis: Any, x: Tensor, name: str) -> int:
    """The place in the shape of one presentation of an axis of Keras's."""
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    before = 2 if x.timed else 1
    rank = len(x.shape) + before
    if not isinstance(axis, int) or not before <= axis % rank < rank or not -rank <= axis < rank:
        raise Refusal(f"{name} along axis {axis}", "normalise the channels, axis=-1")
    return axis % rank - before


def _numbers(value: Any, count: int) -> tuple[int, ...]:
    values = value if isinstance(value, list | tuple) else [value] * count
    return tuple(int(v) for v in values)


def _pairs(value: Any, axes: int) -> tuple[tuple[int, int], ...]:
    """``1``, ``[1, 2]`` (by axis, or both ends of the only one) or ``[[1, 1], [2, 0]]``."""
    if isinstance(value, int):
        return ((value, value),) * axes
    if axes == 1 and len(value) == 2 and isinstance(value[0], int):
        return ((int(value[0]), int(value[1])),)
    pairs = [(v, v) if isinstance(v, int) else (v[0], v[1]) for v in value]
    if len(pairs) != axes:
        raise ValueError(f"padding {value} for {axes} axes")
    return tuple((int(a), int(b)) for a, b in pairs)


def target_shape(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """A shape in which one number may be -1."""
    known = prod(n for n in shape if n != -1)
    target = tuple(size // known if n == -1 else int(n) for n in shape)
    if prod(target) != size:
        raise Refusal(f"a Reshape of {size} values to {tuple(shape)}", "save the model again")
    return target


HANDLERS: dict[str, Handler] = {
    "Activation": _activation,
    "Add": _sum,
    "Average": _sum,
    "AveragePooling1D": _average,
    "AveragePooling2D": _average,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Cropping1D": _cropping,
    "Cropping2D": _cropping,
    "Dense": _dense,
    "DepthwiseConv1D": _convolution,
    "DepthwiseConv2D": _convolution,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": _average,
    "GlobalAveragePooling2D": _average,
    "GlobalMaxPooling1D": _max_pool,
    "GlobalMaxPooling2D": _max_pool,
    "LeakyReLU": _activation,
    "MaxPooling1D": _max_pool,
    "MaxPooling2D": _max_pool,
    "Maximum": _extreme,
    "Minimum": _extreme,
    "Normalization": _normalization,
    "PReLU": _activation,
    "Permute": _flatten,
    "ReLU": _activation,
    "Rescaling": _rescaling,
    "Reshape": _flatten,
    "SeparableConv1D": _convolution,
    "SeparableConv2D": _convolution,
    "Softmax": _activation,
    "Subtract": _sum,
    "UpSampling1D": _up_sampling,
    "UpSampling2D": _up_sampling,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
}
