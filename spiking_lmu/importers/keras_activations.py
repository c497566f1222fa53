"""Activations of Keras as neurons, or as sums of rectified linear pieces."""

from __future__ import annotations

from typing import Any

from .pieces import Piece, leaky

#: Rate neurons by name of the activation.
NEURONS = {"linear": "linear", "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}


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
    if name in NEURONS:
        return NEURONS[name], None
    if name == "softmax":
        return "linear", None
    if name == "relu6":
        return "relu", leaky(0.0, 6.0)
    if name in ("leaky_relu", "leakyrelu"):
        return "relu", leaky(float(config.get("negative_slope", 0.2)))
    raise Refusal(
        f"the activation {name}", "train with relu, leaky_relu, relu6, tanh, sigmoid or none"
    )


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
