"""Readable, stable and unique names for the parts of a Nengo network.

An object is called by its label; else by the attribute that holds it in its Network (or
Network subclass); else by what it is and a number.  Networks inside the network come
before it: ``lmu.h``.

NengoDL's Converter labels objects after Keras layers (``dense_3.0``).  Keras numbers its
layers over the whole process, so those labels are replaced by what the layer is and its
number in the network (``dense1``), unless the layer was given a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MAX_LENGTH = 150
#: What there is one of, and so needs no number.
SINGLE = ("input", "readout")
#: What Keras counts some kinds of layer as.
KERAS_COUNTS = {"input_layer": "input", "functional": "model"}


class Unique:
    """Hands out names, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, name: str) -> str:
        """``name``, with a number where it was handed out before: ``lmu2``, ``lif1_2``."""
        candidate, number = name, 1
        between = "_" if name[-1:].isdigit() else ""
        while candidate in self._taken:
            number += 1
            candidate = f"{name}{between}{number}"
        self._taken.add(candidate)
        return candidate


class Names(Unique):
    """Names of a network's Nodes and Ensembles.

    Parameters
    ----------
    network
        The top network; its own name is not part of any name.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}
        self._known: dict[int, str] = {}
        self._prefix: dict[int, str] = {}
        self._walk(network, "")

    def _walk(self, network: Any, prefix: str) -> None:
        attributes = {
            id(value): key for key, value in vars(network).items() if not key.startswith("_")
        }
        converted = _converted_layers(network)
        for part in (*network.nodes, *network.ensembles):
            self._prefix[id(part)] = prefix
            name = _without_count(part.label, converted) or attributes.get(id(part))
            if name is None and hasattr(part, "neurons"):
                # Each access makes a new Neurons object, so they are compared, not identified.
                name = next((k for k, v in vars(network).items() if _is_neurons(v, part)), None)
            if name is not None:
                self._known[id(part)] = prefix + _clean(name)
            elif getattr(part, "tensor_func", None) is not None:
                own = given_name(part.tensor_func)
                if own:
                    self._known[id(part)] = prefix + _clean(own)
        for inner in network.networks:
            label = _without_count(inner.label, converted)
            name = label or attributes.get(id(inner)) or _class_name(inner)
            self._walk(inner, self.unique(prefix + _clean(name)) + ".")

    def of(self, part: Any, kind: str) -> str:
        """The name of a Node or Ensemble; ``kind`` (``"node"``) where it has none of its own."""
        if id(part) in self._known:
            return self.unique(self._known[id(part)])
        if kind in SINGLE:
            return self.unique(self._prefix.get(id(part), "") + kind)
        base = self._prefix.get(id(part), "") + kind
        self._counts[base] = self._counts.get(base, 0) + 1
        return self.unique(f"{base}{self._counts[base]}")

    def describe(self, part: Any) -> str:
        """The name of an object for a message, its type and size where it has none."""
        known = self._known.get(id(part))
        return known or f"an unnamed {type(part).__name__} of size {part.size_out}"

    def advise(self, parts: Iterable[Any]) -> str:
        """What to do before one of ``parts`` can be named; empty where all have names."""
        unnamed = any(id(part) not in self._known for part in parts)
        return ", after giving a label='…' to what has no name" if unnamed else ""

    def find(self, name: str, network: Any) -> Any:
        """The Node or Ensemble whose label or attribute is ``name``, or None."""
        for part in (*network.all_nodes, *network.all_ensembles):
            if self._known.get(id(part)) == name:
                return part
        return None


def layer_kind(function: Any) -> str:
    """``dense`` for a Keras Dense layer; nothing for a function."""
    if not isinstance(getattr(function, "name", None), str):
        return ""
    # as Keras makes its names (keras/utils/generic_utils.py, to_snake_case)
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", type(function).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def given_name(function: Any) -> str:
    """The name that a Keras layer was given, nothing where Keras made it.

    Keras counts layers over the whole process: its ``dense_3`` means nothing here.
    """
    kind = layer_kind(function)
    kind = KERAS_COUNTS.get(kind, kind)
    if not kind or re.fullmatch(rf"{re.escape(kind)}(_\d+)?", function.name):
        return ""
    return str(function.name)


def _converted_layers(network: Any) -> dict[str, str]:
    """What replaces the label of each Keras layer in a network of ``nengo_dl.Converter``.

    Source: ``nengo_dl/converter.py``, ``ConvertModel.convert``, which keeps ``layer_map``.
    """
    counts: dict[str, int] = {}
    names = {}
    for layer, nodes in getattr(network, "layer_map", {}).items():
        name = given_name(layer)
        if not name:
            kind = KERAS_COUNTS.get(layer_kind(layer), layer_kind(layer))
            counts[kind] = counts.get(kind, 0) + 1
            name = kind if kind in SINGLE else f"{kind}{counts[kind]}"
        names[layer.name] = name  # where a layer falls back to a TensorNode
        for number in nodes:
            # A layer that is used once needs no number.
            names[f"{layer.name}.{number}"] = name if len(nodes) == 1 else f"{name}.{number}"
    return names


def _without_count(label: str | None, converted: dict[str, str]) -> str | None:
    for old in sorted(converted, key=len, reverse=True):
        if label is not None and (label == old or label.startswith(f"{old}.")):
            return converted[old] + label[len(old) :]
    return label


def _is_neurons(value: Any, ensemble: Any) -> bool:
    return type(value).__name__ == "Neurons" and value.ensemble is ensemble


def _class_name(network: Any) -> str:
    """``lmu`` for an LMUCell, ``network`` for a plain Network."""
    name = type(network).__name__.lower()
    for ending in ("cell", "network"):
        if name.endswith(ending) and name != ending:
            return name[: -len(ending)]
    return name


def _clean(name: object) -> str:
    return "_".join(str(name).split())[:MAX_LENGTH] or "unnamed"
