"""Keras models as layers and arrays, read and not executed.

Three sources give the same :class:`Saved` model:

- a ``.keras`` file: a ZIP archive of ``config.json`` and an HDF5 file whose groups are named
  after the classes of the layers (Keras 3, ``saving/saving_lib.py``, ``_save_container_state``);
- an ``.h5`` file of Keras 2: HDF5 with the configuration as an attribute, and arrays under the
  layers' names (``saving/legacy/hdf5_format.py``);
- a live model, of which only ``to_json`` and ``weights`` are asked.

Files are hostile: no class is looked up, no function is unpacked, and of HDF5 only plain
arrays of numbers inside the file itself are read, up to a size.  HDF5's own library, which
parses them, is not hardened; read files of strangers where a crash does no harm.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spiking_lmu.errors import FileError, ImportNetworkError, SpikingLmuError, missing_extra
from spiking_lmu.files.archive import (
    MAX_JSON,
    SMALL,
    Refused,
    Wanted,
    open_archive,
    parse_json,
    read_bytes,
    reading,
)

Array = np.ndarray
#: Limits on what is read of HDF5: bytes of a file, an array and all arrays; groups; depth.
MAX_FILE, MAX_ARRAY, MAX_TOTAL, MAX_GROUPS, MAX_DEPTH = 2 << 30, 1 << 30, 2 << 30, 20_000, 20
#: How many times larger than the file all arrays may be, beyond :data:`SMALL`: an array that was
#: never written takes no room in the file.
RATIO = 16
#: Layers of a model, with those of models inside of it.
MAX_LAYERS = 5_000
#: Packages whose classes are known by their name alone.
KNOWN_PACKAGES = ("keras", "keras_lmu", "keras_spiking", "tf_keras", "builtins")
#: Classes of models whose structure is in their configuration.
MODELS = ("Functional", "Sequential", "Model")
#: Filters that are part of HDF5: deflate, shuffle, checksum.  Others are loaded as plug-ins.
FILTERS = {1, 2, 3}


class CallOutput(NamedTuple):
    """What one input of a layer is: an output of another call, or a number."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a saved model.

    Parameters
    ----------
    kind
        Its class: ``"Dense"``; of a function of ``keras.ops`` ``"ops.Relu"``.
    name
        Unique in the model that it belongs to.
    config
        As Keras wrote it.
    calls
        Of each call of the layer, where its inputs come from.
    arrays
        By path below the layer, in the order in which the layer made them: ``"kernel"`` with
        the last part of a name where the file has names, ``"0"`` where it has none, and
        ``"cell/0"`` for those of an inner layer.
    inner
        The model inside, for a layer that is a model or ``TimeDistributed`` around one.
    arguments
        Of a function of ``keras.ops`` what it is called with, numbers beside the inputs included.
    """

    kind: str
    name: str
    config: dict[str, Any]
    calls: tuple[tuple[CallOutput, ...], ...] = ()
    arrays: dict[str, Array] = field(default_factory=dict)
    inner: Saved | None = None
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Saved:
    """A saved model: its layers, and which of their outputs it takes in and gives out.

    A sequential model is one in which each layer reads the one before.
    """

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[CallOutput, ...]
    outputs: tuple[CallOutput, ...]
    source: str = ""
    #: Name of the loss that it was compiled with, in small letters without underscores; "" if
    #: that is not known.
    loss: str = ""

    def __getitem__(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


def read_saved(path_or_model: Any) -> Saved:
    """Read a ``.keras`` or ``.h5`` file, or look at a live model.

    Raises
    ------
    FileError
        Missing, damaged, hostile, or of weights alone.
    ImportNetworkError
        A model written as a Python class, whose structure is in its code.
    MissingExtraError
        h5py is not installed.
    """
    if not isinstance(path_or_model, str | Path):
        return _read_live(path_or_model)
    path = Path(path_or_model)
    wanted = Wanted(
        path.name,
        "a whole model as Keras saves it: .keras, or .h5",
        "save it again with: model.save('model.keras')",
    )
    if path.suffix == ".keras":
        return _read_keras(path, wanted)
    content = read_bytes(path, MAX_FILE, wanted)
    if content[:8] != b"\x89HDF\r\n\x1a\n":
        raise wanted.refused(f"a file that is neither ({path.suffix or 'no suffix'})")
    return _read_h5(content, path.name, wanted)


def _read_keras(path: Path, wanted: Wanted) -> Saved:
    with open_archive(path, wanted) as archive:
        if "config.json" not in archive.names:
            raise Refused("an archive without config.json")
        config = archive.json("config.json")
        weights = archive.read("model.weights.h5", MAX_FILE)
    with _reading(wanted), opened(weights) as file:
        return _model(config, _Stored(all_arrays(file)), path.name)


def _read_h5(content: bytes, name: str, wanted: Wanted) -> Saved:
    with _reading(wanted), opened(content) as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise Refused("weights without a model")
        config = _attribute(text)
        compiled = file.attrs.get("training_config")
        if isinstance(config, dict) and compiled is not None:
            config = {**config, "compile_config": _attribute(compiled)}
        group = _group(file, "model_weights")
        arrays = all_arrays(group)
        named = {
            layer: tuple(_text(n) for n in _group(group, layer).attrs.get("weight_names", ()))
            for layer in group
        }
        return _model(config, _Named(arrays, named), name)


def _read_live(model: Any) -> Saved:
    if not (hasattr(model, "to_json") and hasattr(model, "weights")):
        raise ImportNetworkError(
            "Keras model",
            got=type(model).__name__,
            expected="a Keras model, or the path of a .keras or .h5 file",
            fix="pass one of these",
        )
    wanted = Wanted("Keras model", "a functional or sequential model", "build it as one of these")
    try:
        text = model.to_json()
    except NotImplementedError as error:
        raise ImportNetworkError(
            "Keras model",
            got="a model that is a Python class of its own",
            expected="a functional or sequential model",
            fix="build it with keras.Model(inputs, outputs) or keras.Sequential",
        ) from error
    loss = getattr(model, "loss", None)
    if not isinstance(loss, str | None):
        loss = getattr(loss, "__name__", type(loss).__name__)
    with _reading(wanted):
        config = parse_json(text.encode())
        if isinstance(config, dict):
            config = {**config, "compile_config": {"loss": loss}}
        return _model(config, _Live(model), "")


class _Stored:
    """Arrays of a ``.keras`` file: groups are named after classes and counted."""

    def __init__(self, arrays: dict[str, Array], prefix: str = "") -> None:
        self._arrays, self._prefix, self._seen = arrays, prefix, dict[str, int]()
        if not prefix and any(p.startswith("_layer_checkpoint_dependencies/") for p in arrays):
            self._folder = "_layer_checkpoint_dependencies"
        else:
            self._folder = "layers"

    def of(self, kind: str, name: str) -> dict[str, Array]:
        """The arrays of the next layer of this class."""
        path = self._next(kind)
        found = {}
        for key, array in self._arrays.items():
            if key.startswith(path):
                parts = key.removeprefix(path).split("/")
                if parts[-2:-1] == ["vars"]:
                    found["/".join([*parts[:-2], parts[-1]])] = array
        return dict(sorted(found.items(), key=lambda item: _numbered(item[0])))

    def inside(self, kind: str, name: str) -> _Stored:
        """Those of a model that is a layer, or in a wrapper."""
        below = "layer/" if kind == "TimeDistributed" else ""
        return _Stored(self._arrays, self._next(kind) + below)

    def _next(self, kind: str) -> str:
        snake = to_snake_case(kind)
        count = self._seen.get(snake, 0)
        self._seen[snake] = count + 1
        return f"{self._prefix}{self._folder}/{snake}{f'_{count}' if count else ''}/"


class _Named:
    """Arrays of an ``.h5`` file: groups and arrays have the names that they had in Keras."""

    def __init__(self, arrays: dict[str, Array], names: dict[str, tuple[str, ...]]) -> None:
        self._arrays, self._names = arrays, names

    def of(self, kind: str, name: str) -> dict[str, Array]:
        """The arrays of the layer ``name``."""
        paths = self._names.get(name, ())
        return _by_name(name, [(p, self._arrays[f"{name}/{p}"]) for p in paths])

    def inside(self, kind: str, name: str) -> _Inside:
        """Those of a model that is a layer are in one list, one layer after the other."""
        paths = self._names.get(name, ())
        return _Inside([(p, self._arrays[f"{name}/{p}"]) for p in paths])


class _Inside:
    """Named arrays whose names begin with the layer's."""

    def __init__(self, arrays: Sequence[tuple[str, Array]]) -> None:
        self._arrays = arrays

    def of(self, kind: str, name: str) -> dict[str, Array]:
        """Those with the layer's name in their path."""
        return _by_name(name, [(p, a) for p, a in self._arrays if name in p.split("/")[:-1]])

    def inside(self, kind: str, name: str) -> _Inside:
        """Layers further inside have their names in the path as well."""
        return self


class _Live:
    """Arrays of a model in memory."""

    def __init__(self, model: Any) -> None:
        self._layers = {layer.name: layer for layer in model.layers}

    def of(self, kind: str, name: str) -> dict[str, Array]:
        """What the layer has as its weights."""
        layer = self._layers.get(name)
        weights = () if layer is None else layer.weights
        return _by_name(name, [(getattr(w, "path", w.name), _in_memory(w)) for w in weights])

    def inside(self, kind: str, name: str) -> _Live:
        """Those of a model that is a layer, or in a wrapper."""
        layer = self._layers[name]
        return _Live(layer.layer if kind == "TimeDistributed" else layer)


def _in_memory(weight: Any) -> Array:
    return np.array(weight.numpy() if hasattr(weight, "numpy") else weight)


def _by_name(layer: str, arrays: Sequence[tuple[str, Array]]) -> dict[str, Array]:
    """``lstm/cell/kernel:0`` as ``cell/kernel``; names that come twice get a number."""
    found: dict[str, Array] = {}
    for path, array in arrays:
        parts = path.split(":")[0].split("/")
        if layer in parts[:-1]:
            parts = parts[parts.index(layer) + 1 :]
        key = unique = "/".join(parts)
        count = 1
        while unique in found:
            count += 1
            unique = f"{key}_{count}"
        found[unique] = array
    return found


def _model(config: Any, stored: Any, source: str) -> Saved:
    """From ``{"class_name": …, "config": {"layers": […]}}``."""
    kind, inside = _require(config, "class_name", str), _require(config, "config", dict)
    if kind not in MODELS:
        raise ImportNetworkError(
            f"Keras model {source}".strip(),
            got=f"a model of the class {kind}, whose structure is in its code",
            expected="a functional or sequential model",
            fix="build it with keras.Model(inputs, outputs) or keras.Sequential",
        )
    specs = inside.get("layers")
    if not isinstance(specs, list) or not 0 < len(specs) <= MAX_LAYERS:
        raise Refused(f"a model without layers, or with more than {MAX_LAYERS:,}")
    name = str(inside.get("name", kind.lower()))
    layers = tuple(_layer(spec, stored) for spec in specs)
    loss = _loss(config.get("compile_config"))
    names = [layer.name for layer in layers]
    if len(set(names)) != len(names):
        raise Refused("two layers of the same name")
    if kind == "Sequential":
        return _sequential(name, layers, source, loss)
    ends = {key: tuple(_ends(inside.get(f"{key}_layers"))) for key in ("input", "output")}
    return Saved(name, *_counted(layers, ends["input"], ends["output"]), source, loss)


def _counted(
    layers: tuple[Layer, ...], inputs: tuple[CallOutput, ...], outputs: tuple[CallOutput, ...]
) -> tuple[tuple[Layer, ...], tuple[CallOutput, ...], tuple[CallOutput, ...]]:
    """The same with calls counted from 0 in this model.

    Keras 2 also counts calls from before a layer became part of the model: a model inside
    another was called once when it was made.
    """
    named = {layer.name: len(layer.calls) for layer in layers}
    seen: dict[str, set[int]] = {}
    for source in (*inputs, *outputs, *(s for layer in layers for c in layer.calls for s in c)):
        seen.setdefault(source.layer, set()).add(source.call)
    number = {
        (name, call): i
        for name, calls in seen.items()
        if len(calls) == named.get(name)
        for i, call in enumerate(sorted(calls))
    }

    def counted(ends: tuple[CallOutput, ...]) -> tuple[CallOutput, ...]:
        return tuple(s._replace(call=number.get((s.layer, s.call), s.call)) for s in ends)

    again = tuple(replace(layer, calls=tuple(map(counted, layer.calls))) for layer in layers)
    return again, counted(inputs), counted(outputs)


def _loss(compiled: Any) -> str:
    """``"sparsecategoricalcrossentropy"`` of whichever way it is written."""
    loss = compiled.get("loss") if isinstance(compiled, dict) else None
    if isinstance(loss, dict):
        loss = loss.get("class_name")
    return str(loss or "").replace("_", "").lower()


def _layer(spec: Any, stored: Any) -> Layer:
    kind, config = class_of(spec), _require(spec, "config", dict)
    name = str(spec.get("name") or config.get("name", ""))
    if not 0 < len(name) <= 200:
        raise Refused("a layer without a name")
    calls = tuple(_call(node) for node in spec.get("inbound_nodes") or ())
    if kind in MODELS:
        inner = _model(spec, stored.inside(kind, name), name)
        return Layer(kind, name, config, calls, {}, inner)
    if kind == "TimeDistributed" and class_of(config.get("layer")) in MODELS:
        inner = _model(config["layer"], stored.inside(kind, name), name)
        return Layer(kind, name, config, calls, {}, inner)
    if "module" not in spec and kind not in (*MODELS, "InputLayer"):
        # In an .h5 file of Keras 3 a function is told from a layer by what every layer has.
        kind = kind if {"dtype", "trainable"} & set(config) else f"ops.{kind}"
    if kind.startswith("ops."):
        return Layer(kind, name, config, calls, arguments=_arguments(spec))
    return Layer(kind, name, config, calls, stored.of(kind, name))


def class_of(spec: Any) -> str:
    """The class of a layer; of another package than Keras or KerasLMU, with its package.

    A class of the user's may have the name of one of Keras's and compute something else.
    """
    package, _, name = _require(spec, "class_name", str).rpartition(">")
    registered = spec.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        package = registered.rpartition(">")[0]
    module = spec.get("module")
    if not package and isinstance(module, str) and re.fullmatch(r"keras(\.src)?\.ops\.\w+", module):
        return f"ops.{name}"
    if not package and isinstance(module, str):
        known = module.split(".")[0] in KNOWN_PACKAGES
        package = "" if known else module
    return name if package in ("", "keras-lmu") else f"{package}>{name}"


def _sequential(name: str, layers: tuple[Layer, ...], source: str, loss: str) -> Saved:
    """Layer after layer; an input layer is added if only the first layer tells its shape."""
    if layers[0].kind != "InputLayer":
        shape = layers[0].config.get("batch_input_shape")
        entry = Layer("InputLayer", f"{name}.input", {"batch_shape": shape}, ((),))
        layers = (entry, *layers)
    linked = [Layer(layers[0].kind, layers[0].name, layers[0].config, ((),))]
    for before, layer in pairwise(layers):
        calls = ((CallOutput(before.name, 0, 0),),)
        linked.append(Layer(layer.kind, layer.name, layer.config, calls, layer.arrays, layer.inner))
    first, last = CallOutput(layers[0].name, 0, 0), CallOutput(layers[-1].name, 0, 0)
    return Saved(name, tuple(linked), (first,), (last,), source, loss)


def _call(node: Any) -> tuple[CallOutput, ...]:
    """The inputs of one call: Keras 3 writes a dictionary, Keras 2 a list of lists."""
    if isinstance(node, dict):
        found = list(_tensors(node.get("args")))
        return (*found, *_tensors(node.get("kwargs")))
    return tuple(_ends(node))


def _arguments(spec: Any) -> tuple[Any, ...]:
    """Arguments of the one call of a function, None where there is an input."""
    nodes = spec.get("inbound_nodes") or [{}]
    if len(nodes) != 1 or not isinstance(nodes[0], dict):
        raise Refused("a function that is called more than once")
    given = (nodes[0].get("args") or [], nodes[0].get("kwargs") or {})
    if not (isinstance(given[0], list) and isinstance(given[1], dict)):
        raise Refused("layers that are connected in an unknown way")
    values = [*given[0], *given[1].values()]
    return tuple(None if list(_tensors(value)) else value for value in values)


def _tensors(value: Any) -> Iterator[CallOutput]:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield from _ends([value["config"]["keras_history"]])
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _tensors(item)


def _ends(value: Any) -> Iterator[CallOutput]:
    """``[["name", 0, 0], …]`` or a single ``["name", 0, 0]``, with more behind it in Keras 2.

    Keras 3 writes inputs with names as a dictionary, and feeds them in the order of the names.
    """
    if isinstance(value, dict) and value:
        value = [value[name] for name in sorted(value)]
    if not isinstance(value, list):
        raise Refused("layers that are connected in an unknown way")
    if len(value) >= 3 and isinstance(value[0], str):
        value = [value]
    for item in value:
        if not (isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str)):
            raise Refused("layers that are connected in an unknown way")
        yield CallOutput(item[0], int(item[1]), int(item[2]))


def _require(value: Any, key: str, kind: type) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get(key), kind):
        raise Refused(f"a configuration without {key}")
    return value[key]


@contextmanager
def _reading(wanted: Wanted) -> Iterator[None]:
    """As :func:`reading`, but errors of this package other than the file's come through."""
    try:
        with reading(wanted):
            yield
    except FileError as error:
        if isinstance(error.__cause__, SpikingLmuError):
            raise error.__cause__ from None
        raise


@contextmanager
def opened(content: bytes) -> Iterator[Any]:
    """An HDF5 file of which these are the bytes."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("reading Keras files", "h5py", "keras") from error
    if content[:8] != b"\x89HDF\r\n\x1a\n":
        raise Refused("weights that are not HDF5")
    with h5py.File(io.BytesIO(content), "r") as file:
        yield file


def _group(parent: Any, name: str) -> Any:
    """A group inside the file; links to elsewhere are none."""
    import h5py

    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise Refused(f"no group {name[:80]!r}")
    found = parent[name]
    if not isinstance(found, h5py.Group):
        raise Refused(f"no group {name[:80]!r}")
    return found


def all_arrays(group: Any, words: bool = False) -> dict[str, Array]:
    """All arrays of numbers below ``group`` by path; whatever the optimizer keeps is left out.

    With ``words`` text is let through, and not read.
    """
    import h5py

    found: dict[str, Array] = {}
    total = groups = 0
    most = min(MAX_TOTAL, max(SMALL, RATIO * group.file.id.get_filesize()))
    waiting = [("", group, 0)]
    while waiting:
        prefix, parent, depth = waiting.pop()
        for name in parent:
            if not prefix and name in ("optimizer", "optimizer_weights"):
                continue
            groups += 1
            if groups > MAX_GROUPS or depth > MAX_DEPTH:
                raise Refused("more groups than a model has")
            if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
                raise Refused(f"a link to elsewhere, {name[:80]!r}")
            # Keras on Windows and old ones elsewhere write "layers\dense".
            path, item = f"{prefix}{name}".replace("\\", "/"), parent[name]
            if isinstance(item, h5py.Group):
                waiting.append((f"{path}/", item, depth + 1))
                continue
            if words and isinstance(item, h5py.Dataset) and item.dtype.kind in "OS":
                if item.external or item.is_virtual:
                    raise Refused(f"text in another file, {path[:80]!r}")
                continue
            total += _require_plain(item, path)
            if total > most:
                raise Refused(f"more than {most:,} bytes of arrays")
            found[path] = np.asarray(item[()])
    return found


def _require_plain(item: Any, path: str) -> int:
    """Bytes of an array of numbers that is in the file; anything else is refused."""
    import h5py

    numbers = (
        isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub" and item.shape is not None
    )
    if not numbers or item.external or item.is_virtual:
        raise Refused(f"something that is no array of numbers, {path[:80]!r}")
    plist = item.id.get_create_plist()
    if {plist.get_filter(i)[0] for i in range(plist.get_nfilters())} - FILTERS:
        raise Refused(f"an array packed by a plug-in, {path[:80]!r}")
    if item.nbytes > MAX_ARRAY:
        raise Refused(f"{path[:80]!r} of {item.nbytes:,} bytes, more than {MAX_ARRAY:,}")
    return int(item.nbytes)


def _attribute(text: Any) -> Any:
    """The JSON document in an attribute."""
    return parse_json(text if isinstance(text, bytes) else str(text).encode(), limit=MAX_JSON)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _numbered(path: str) -> list[tuple[int, str]]:
    """Sort key by which ``10`` comes behind ``9``."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in path.split("/")]


def to_snake_case(name: str) -> str:
    """As Keras names groups (``utils/naming.py``).

    >>> to_snake_case("SeparableConv2D"), to_snake_case("LMUFeedforward"), to_snake_case("ReLU")
    ('separable_conv2d', 'lmu_feedforward', 're_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
