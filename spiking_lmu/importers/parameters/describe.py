"""What a parameter is, in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def describe_connection(
    connection: Any, kind: str, shape: tuple[int, ...], *, constant: bool = False
) -> str:
    """Weights or decoders of a Nengo Connection, by the kind of its transform.

    ``constant`` says that they weigh what never changes, as biases do.
    """
    transform = type(connection.transform).__name__
    if kind == "decoders":
        return "decoders (post, neurons), with transform and function in them"
    if hasattr(connection.pre_obj, "neurons"):
        return "weights between neurons (post, pre), with decoders and encoders in them"
    if transform in ("Convolution", "ConvolutionTranspose"):
        return "kernel of a convolution (height, width, channels in, filters)"
    if transform == "Sparse":
        return "the stored entries of a sparse matrix (post, pre)"
    of = " of a constant, as biases are" if constant else ""
    size = np.arange(connection.post_obj.size_in)[connection.post_slice].size
    if len(shape) == 2:
        return f"weights (post, pre){of}"
    if math.prod(shape) == size:
        return f"weights{of}, one for each of {size:,} connections"
    return f"one weight{of}, the same for each of {size:,} connections"


def describe_encoders(ensemble: Any) -> str:
    """Encoders as a simulation uses them."""
    return f"encoders of the {_neurons(ensemble)} (neurons, dimensions), times gain and over radius"


def describe_bias(ensemble: Any) -> str:
    """Biases of neurons."""
    return (
        f"one input weight for each of the {_neurons(ensemble)}: its bias, the weight of a "
        "constant 1"
    )


def describe_gain(ensemble: Any) -> str:
    """Gains of neurons."""
    return (
        f"one number for each of the {_neurons(ensemble)}: what input to .neurons is multiplied "
        "by; a constant, which save_params does not save"
    )


def describe_variable(node: Any, kind: str) -> str:
    """A variable of the Keras layer in a TensorNode."""
    layer = node.tensor_func
    units = getattr(layer, "units", getattr(layer, "filters", None))
    text = f"{kind} of {type(layer).__name__}" + (f"({units})" if units else "")
    positions = int(np.prod(node.shape_in[:-1])) if node.shape_in else 1
    if type(layer).__name__ == "Dense" and positions > 1:
        text += f", applied to each of the {positions:,} positions of its input {node.shape_in}"
    return text


def _neurons(ensemble: Any) -> str:
    name = type(ensemble.neuron_type).__name__
    return f"{ensemble.n_neurons:,} {name} neuron{'s' if ensemble.n_neurons != 1 else ''}"
