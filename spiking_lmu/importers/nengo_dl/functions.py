"""What NengoDL computes on values, by name: neuron types, TensorFlow functions, Keras layers.

Nothing is recognised by running it: a function is what TensorFlow or Keras defines under
its name, a class is exactly the one that Nengo, NengoDL or Keras defines (a subclass may
compute anything).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.graph.neurons import LINEAR, Neuron

#: The functions that have a neuron, by the name that TensorFlow and Keras give them.
FUNCTIONS = {
    "tanh": Neuron("tanh"),
    "relu": Neuron("relu"),
    "sigmoid": Neuron("sigmoid"),
    "linear": LINEAR,
    "identity": LINEAR,
}
_HOMES = ("tensorflow", "keras", "tf_keras")
#: Largest matrix that a Dense layer on the last of several axes is unrolled to, in numbers.
MAX_UNROLLED = 1 << 28


class NoCounterpart(Exception):
    """Why something has no counterpart in a graph, and what to do instead."""

    def __init__(self, why: str, instead: str) -> None:
        self.why, self.instead = why, instead
        super().__init__(f"{why}; {instead}")


@dataclass(frozen=True)
class Computation:
    """What a TensorNode computes: ``neuron(kernel · input + bias)``.

    ``layer`` is the Keras Dense layer that holds kernel and bias, None where there is
    neither; ``repeats`` says over how many positions of the leading axes it is applied.
    """

    neuron: Neuron
    layer: Any = None
    repeats: int = 1


def neuron_of(neuron_type: Any, nengo: Any, nengo_dl: Any) -> Neuron:
    """The neuron model of an Ensemble.

    The formulas are those of ``nengo/neurons.py`` and ``nengo_dl/neurons.py``: Sigmoid and
    Tanh have no amplitude but a largest rate, 1/tau_ref.

    Raises
    ------
    NoCounterpart
        Another type, a subclass, or a constant that the neuron does not have.
    """
    kind = type(neuron_type)
    if kind in (nengo.RectifiedLinear, nengo.SpikingRectifiedLinear):
        name = "relu" if kind is nengo.RectifiedLinear else "spiking_relu"
        return Neuron(name, amplitude=float(neuron_type.amplitude))
    if kind in (nengo.LIFRate, nengo.LIF, nengo_dl.SoftLIFRate):
        constants = {
            key: float(getattr(neuron_type, key)) for key in ("amplitude", "tau_rc", "tau_ref")
        }
        if kind is nengo_dl.SoftLIFRate:
            return Neuron("soft_lif", **constants, sigma=float(neuron_type.sigma))
        if kind is nengo.LIF and neuron_type.min_voltage != 0:
            raise NoCounterpart(
                f"LIF neurons with min_voltage={neuron_type.min_voltage}", "use min_voltage=0"
            )
        return Neuron("lif" if kind is nengo.LIF else "lif_rate", **constants)
    if kind in (nengo.Sigmoid, nengo.Tanh):
        name = "sigmoid" if kind is nengo.Sigmoid else "tanh"
        return Neuron(name, amplitude=1.0 / float(neuron_type.tau_ref))
    if kind is nengo.Direct:
        raise NoCounterpart("Direct neurons", "use a passthrough Node")
    raise NoCounterpart(
        f"{kind.__name__} neurons",
        "use RectifiedLinear, SpikingRectifiedLinear, LIFRate, LIF, SoftLIFRate, Sigmoid or Tanh",
    )


def function_of(function: Any, tf: Any) -> Neuron:
    """The neuron for a function of TensorFlow or Keras, such as ``tf.nn.tanh``.

    Raises
    ------
    NoCounterpart
        Any other function, the user's own of the same name included.
    """
    if function is None:  # Keras: no activation
        return LINEAR
    for home in (tf.nn, tf.math, tf, tf.keras.activations):
        for name, neuron in FUNCTIONS.items():
            if getattr(home, name, None) is function:
                return neuron
    inner = inspect.unwrap(function) if callable(function) else function
    inner_name = getattr(inner, "__name__", None)
    # functools.wraps copies __module__ and __name__; a function's globals cannot be copied.
    homes = [
        str(getattr(f, "__globals__", {}).get("__name__", "")).partition(".")[0]
        for f in (function, inner)
    ]
    if inner_name in FUNCTIONS and all(home in _HOMES for home in homes):
        return FUNCTIONS[inner_name]
    shown = getattr(function, "__name__", type(function).__name__)
    raise NoCounterpart(
        f"the function {shown}", "use tf.nn.tanh, tf.nn.relu, tf.nn.sigmoid or a neuron type"
    )


def computation_of(node: Any, tf: Any) -> Computation:
    """What a TensorNode computes.

    Raises
    ------
    NoCounterpart
        A function or layer that is none of those known, or one that reads the time.
    """
    if node.pass_time or node.shape_in is None:
        raise NoCounterpart(
            "a TensorNode that reads the simulation time", "build it with pass_time=False"
        )
    if not isinstance(node.tensor_func, tf.keras.layers.Layer):
        return Computation(function_of(node.tensor_func, tf))
    layer, layers = node.tensor_func, tf.keras.layers
    if type(layer) in (layers.Dropout, layers.Flatten, layers.Reshape):
        return Computation(LINEAR)
    if type(layer) is layers.Activation:
        return Computation(function_of(layer.activation, tf))
    if type(layer) is layers.ReLU:
        if layer.max_value is None and not layer.negative_slope and not layer.threshold:
            return Computation(Neuron("relu"))
        raise NoCounterpart("a ReLU layer with a bound, slope or threshold", "use a plain ReLU")
    if type(layer) is layers.Dense:
        repeats = int(np.prod(node.shape_in[:-1]))
        if repeats**2 * node.shape_in[-1] * layer.units > MAX_UNROLLED:
            raise NoCounterpart(
                f"a Dense layer on the last axis of the shape {tuple(node.shape_in)} "
                "(too large when unrolled)",
                "flatten its input or make it smaller",
            )
        return Computation(function_of(layer.activation, tf), layer, repeats)
    raise NoCounterpart(
        f"a layer of type {type(layer).__name__}",
        "use Dense, Dropout, Flatten, Reshape or Activation layers",
    )


def unrolled(kernel: np.ndarray, repeats: int) -> np.ndarray:
    """Kernel (in, units) of a Dense layer as weights (repeats · units, repeats · in).

    NengoDL hands a layer the flat input in its shape, the last axis varying fastest.
    """
    return kernel.T if repeats == 1 else np.kron(np.eye(repeats, dtype=kernel.dtype), kernel.T)
