"""What NengoDL computes on values, by name: neuron types, TensorFlow functions, Keras layers.

Nothing is recognised by running it: a function is what TensorFlow or Keras defines under
its name, a class is exactly the one that Nengo, NengoDL or Keras defines (a subclass may
compute anything).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spiking_lmu.graph.neurons import LINEAR, Neuron
from spiking_lmu.graph.transforms import AveragePool, Convolution

from ..pieces import Piece

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

    ``weigh`` makes the weights of a Keras layer: of its kernel, or of None where it has none, as
    pooling.  ``layer`` is the layer that holds kernel and bias, None where there is neither;
    ``repeats`` says at how many places it is applied.
    Where there are ``pieces``, the function is their sum, and the neuron is one rectified
    linear neuron for each.
    """

    neuron: Neuron
    layer: Any = None
    repeats: int = 1
    weigh: Callable[[Any], Any] | None = None
    pieces: tuple[Piece, ...] = ()


RELU = Neuron("relu")


def leaky_relu(slope: float, amplitude: float = 1.0) -> Computation:
    """``amplitude · (max(x, 0) - slope · max(-x, 0))``: two rectified linear neurons."""
    return Computation(RELU, pieces=(Piece(1, 0, amplitude), Piece(-1, 0, -slope * amplitude)))


def bounded_relu(bound: float) -> Computation:
    """``min(max(x, 0), bound)``, which is ``max(x, 0) - max(x - bound, 0)``."""
    return Computation(RELU, pieces=(Piece(1, 0, 1), Piece(1, -bound, -1)))


#: The functions that have a neuron, by the name that TensorFlow and Keras give them.
FUNCTIONS = {
    "tanh": Computation(Neuron("tanh")),
    "relu": Computation(RELU),
    "relu6": bounded_relu(6.0),
    "leaky_relu": leaky_relu(0.2),  # the slope is an argument; this is its default
    "sigmoid": Computation(Neuron("sigmoid")),
    "linear": Computation(LINEAR),
    "identity": Computation(LINEAR),
}


def neuron_of(
    neuron_type: Any,
    nengo: Any,
    nengo_dl: Any,
    *,
    spiking: bool = False,
    smoothing: float | None = None,
) -> Computation:
    """What the neurons of an Ensemble compute.

    NengoDL trains spiking neurons by their rates (``nengo_dl/neuron_builders.py``,
    ``training_step``), so the rates are what such a network is.  The formulas are those of
    ``nengo/neurons.py`` and ``nengo_dl/neurons.py``: Sigmoid and Tanh have no amplitude but a
    largest rate, 1/tau_ref.

    Parameters
    ----------
    spiking
        Keep spiking neurons as they are.
    smoothing
        ``lif_smoothing`` of the network: LIF neurons were trained as SoftLIF of that sigma.

    Raises
    ------
    NoCounterpart
        Another type, a subclass, or a constant that the neuron does not have.
    """
    kind = type(neuron_type)
    if kind in (nengo.RectifiedLinear, nengo.SpikingRectifiedLinear):
        spikes = spiking and kind is nengo.SpikingRectifiedLinear
        name = "spiking_relu" if spikes else "relu"
        return Computation(Neuron(name, amplitude=float(neuron_type.amplitude)))
    if kind in (nengo.LIFRate, nengo.LIF, nengo_dl.SoftLIFRate):
        constants = {
            key: float(getattr(neuron_type, key)) for key in ("amplitude", "tau_rc", "tau_ref")
        }
        if kind is nengo_dl.SoftLIFRate:
            return Computation(Neuron("soft_lif", **constants, sigma=float(neuron_type.sigma)))
        if kind is nengo.LIFRate or not spiking:
            if kind is nengo.LIF and smoothing:
                return Computation(Neuron("soft_lif", **constants, sigma=float(smoothing)))
            return Computation(Neuron("lif_rate", **constants))
        if neuron_type.min_voltage != 0:
            raise NoCounterpart(
                f"LIF neurons with min_voltage={neuron_type.min_voltage}", "use min_voltage=0"
            )
        return Computation(Neuron("lif", **constants))
    if kind in (nengo.Sigmoid, nengo.Tanh):
        name = "sigmoid" if kind is nengo.Sigmoid else "tanh"
        return Computation(Neuron(name, amplitude=1.0 / float(neuron_type.tau_ref)))
    if kind in (nengo_dl.LeakyReLU, nengo_dl.SpikingLeakyReLU):
        if spiking and kind is nengo_dl.SpikingLeakyReLU:
            raise NoCounterpart("neurons with negative spikes", "import them with spiking=False")
        return leaky_relu(float(neuron_type.negative_slope), float(neuron_type.amplitude))
    if kind in (nengo.RegularSpiking, nengo.PoissonSpiking, nengo.StochasticSpiking):
        if spiking:
            raise NoCounterpart(
                f"{kind.__name__} neurons, which no target has",
                "import them with spiking=False and convert their rates",
            )
        rates = neuron_of(neuron_type.base_type, nengo, nengo_dl)
        return _times(rates, float(neuron_type.amplitude))
    if kind is nengo.Direct:
        raise NoCounterpart("Direct neurons", "use a passthrough Node")
    raise NoCounterpart(f"{kind.__name__} neurons", _instead_of(kind.__name__))


def kind_of(neuron_type: Any, nengo: Any, nengo_dl: Any) -> str:
    """What unnamed neurons of this type are called: as they were written."""
    for spiking in (True, False):
        try:
            computation = neuron_of(neuron_type, nengo, nengo_dl, spiking=spiking)
        except NoCounterpart:
            continue
        if not computation.pieces:
            return computation.neuron.kind
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(neuron_type).__name__).lower()


def _times(rates: Computation, amplitude: float) -> Computation:
    neuron = replace(rates.neuron, amplitude=rates.neuron.amplitude * amplitude)
    if not rates.pieces:
        return replace(rates, neuron=neuron)
    pieces = tuple(replace(p, weight=p.weight * amplitude) for p in rates.pieces)
    return replace(rates, pieces=pieces)


def _instead_of(kind: str) -> str:
    if kind.startswith("AdaptiveLIF"):
        return (
            "their rate follows what they fired before, which a response curve cannot; use LIF, "
            "and a lowpass synapse with negative weights for the adaptation"
        )
    if kind.startswith("Loihi"):
        return (
            f"put {kind.removeprefix('Loihi')} neurons with the same constants in their place, "
            "which take the same trained weights; on a chip their spikes come as its own do"
        )
    return (
        "use RectifiedLinear, LIFRate, SoftLIFRate, Sigmoid, Tanh, LeakyReLU, their spiking "
        "kinds, or Regular-, Poisson- or StochasticSpiking of them"
    )


def function_of(function: Any, tf: Any) -> Computation:
    """What a function of TensorFlow or Keras computes, such as ``tf.nn.tanh``.

    Raises
    ------
    NoCounterpart
        Any other function, the user's own of the same name included.
    """
    if function is None:  # Keras: no activation
        return Computation(LINEAR)
    for home in (tf.nn, tf.math, tf, tf.keras.activations):
        for name, computation in FUNCTIONS.items():
            if getattr(home, name, None) is function:
                return computation
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
    if inner_name in ("softmax", "softmax_v2") and all(home in _HOMES for home in homes):
        raise NoCounterpart(
            "the function softmax",
            "where it is the last, leave it out and train with from_logits=True: the largest "
            "output stays the largest",
        )
    raise NoCounterpart(
        f"the function {shown}",
        "use tf.nn.tanh, tf.nn.relu, tf.nn.leaky_relu, tf.nn.sigmoid or a neuron type",
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
        return function_of(node.tensor_func, tf)
    layer, layers = node.tensor_func, tf.keras.layers
    if type(layer) in (layers.Dropout, layers.Flatten, layers.Reshape):
        return Computation(LINEAR)
    if type(layer) is layers.Activation:
        return function_of(layer.activation, tf)
    if type(layer) is layers.LeakyReLU:
        return leaky_relu(float(layer.alpha))
    if type(layer) is layers.ReLU:
        slope, bound = float(layer.negative_slope or 0), layer.max_value
        if layer.threshold or (slope and bound is not None):
            raise NoCounterpart("a ReLU layer with a threshold", "use a plain ReLU")
        if bound is not None:
            return bounded_relu(float(bound))
        return leaky_relu(slope) if slope else Computation(RELU)
    if type(layer) is layers.Dense:
        repeats = int(np.prod(node.shape_in[:-1]))
        if repeats**2 * node.shape_in[-1] * layer.units > MAX_UNROLLED:
            raise NoCounterpart(
                f"a Dense layer on the last axis of the shape {tuple(node.shape_in)} "
                "(too large when unrolled)",
                "flatten its input or make it smaller",
            )
        return replace(
            function_of(layer.activation, tf),
            layer=layer,
            repeats=repeats,
            weigh=lambda kernel: unrolled(kernel, repeats),
        )
    if type(layer) in (layers.Conv1D, layers.Conv2D):
        return _convolution(node, layer, tf)
    pools = (layers.AveragePooling1D, layers.AveragePooling2D)
    if type(layer) in (*pools, layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D):
        return _pool(node, layer, type(layer) in pools)
    raise NoCounterpart(
        f"a layer of type {type(layer).__name__}",
        "use Dense, Conv1D, Conv2D, average pooling, Dropout, Flatten, Reshape, ReLU, LeakyReLU "
        "or Activation layers",
    )


def _convolution(node: Any, layer: Any, tf: Any) -> Computation:
    _require_channels_last(layer)
    if layer.padding not in ("valid", "same"):
        raise NoCounterpart(
            f"a convolution with padding={layer.padding!r}",
            "use padding='valid' or 'same', with zeros before it where it looks back",
        )

    def convolve(kernel: np.ndarray) -> Convolution:
        return Convolution(
            tuple(map(int, node.shape_in)),
            np.asarray(kernel),
            strides=tuple(layer.strides),
            padding=layer.padding,
            groups=int(layer.groups),
            dilation=tuple(layer.dilation_rate),
        )

    repeats = int(np.prod(node.shape_out[:-1]))
    found = function_of(layer.activation, tf)
    return replace(found, layer=layer, repeats=repeats, weigh=convolve)


def _pool(node: Any, layer: Any, windows: bool) -> Computation:
    _require_channels_last(layer)
    shape = tuple(map(int, node.shape_in))
    size = shape[:-1] if not windows else _each(layer.pool_size)
    strides, padding = (_each(layer.strides), layer.padding) if windows else (size, "valid")
    pool = AveragePool(shape, size, strides=strides, padding=padding)
    return Computation(LINEAR, weigh=lambda _: pool)


def _each(value: Any) -> tuple[int, ...]:
    """What Keras holds as a number or a tuple, by its version."""
    return tuple(int(n) for n in np.atleast_1d(value))


def _require_channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise NoCounterpart(
            f"a layer of type {type(layer).__name__} with channels first",
            "use data_format='channels_last'",
        )


def unrolled(kernel: np.ndarray, repeats: int) -> np.ndarray:
    """Kernel (in, units) of a Dense layer as weights (repeats · units, repeats · in).

    NengoDL hands a layer the flat input in its shape, the last axis varying fastest.
    """
    return kernel.T if repeats == 1 else np.kron(np.eye(repeats, dtype=kernel.dtype), kernel.T)
