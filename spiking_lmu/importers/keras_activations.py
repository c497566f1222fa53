"""Activations of Keras as neurons, or as sums of rectified linear pieces."""

from __future__ import annotations

from typing import Any

from .pieces import Piece, leaky

#: Rate neurons by name of the activation.
NEURONS = {"linear": "linear", "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}


#: Activations that come in.
KNOWN = ("relu", "leaky_relu", "relu6", "tanh", "sigmoid")


#: What a ReLU layer may have besides.
RELU_OPTIONS = ("max_value", "negative_slope", "threshold")


class Refusal(Exception):
    """A layer that has no counterpart: what it has, and what to do."""

    def __init__(self, got: str, fix: str) -> None:
        super().__init__(got)
        self.got, self.fix = got, fix


def parse_activation(value: Any) -> tuple[str, tuple[Piece, ...] | None]:
    """The neuron's kind, and the pieces of an activation that is a sum of several.

    A softmax is linear here; who asks has seen to it that it is the last.

    Raises
    ------
    Refusal
        An activation without a counterpart.
    """
    name, config = activation_name(value)
    if name == "relu" and any(config.get(key) for key in RELU_OPTIONS):
        # A ReLU layer in the place of a function.
        if config.get("threshold"):
            raise Refusal(f"the threshold {config['threshold']}", "train without one")
        largest = config.get("max_value")
        slope = float(config.get("negative_slope") or 0.0)
        return "relu", leaky(slope, None if largest is None else float(largest))
    if name in NEURONS:
        return NEURONS[name], None
    if name == "softmax":
        return "linear", None
    if name == "relu6":
        return "relu", leaky(0.0, 6.0)
    if name in ("leaky_relu", "leakyrelu"):
        # As a function it has 0.2; the layer has its own, which Keras 2 called alpha.
        usual = config.get("alpha", 0.3 if name == "leakyrelu" else 0.2)
        return "relu", leaky(float(config.get("negative_slope", usual)))
    if name == "hard_sigmoid":
        raise Refusal(
            "the activation hard_sigmoid, which Keras 2 and 3 compute differently",
            "train with sigmoid",
        )
    raise Refusal(f"the activation {name}", f"train with {', '.join(KNOWN)} or none")


def activation_name(value: Any) -> tuple[str, dict[str, Any]]:
    """``"relu"``, or what a serialised function or layer is called."""
    if value is None:
        return "linear", {}
    if isinstance(value, str):
        return value.split(">")[-1], {}
    config = value.get("config")
    if isinstance(config, str):
        return config, {}
    name = str((config or {}).get("name") or value.get("class_name"))
    return str(value.get("class_name", name)).lower(), dict(config or {})
