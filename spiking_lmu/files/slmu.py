"""Model ⇄ one ``.slmu`` file: a ZIP of ``manifest.json`` and raw NPY arrays.

The layout is described in ``docs/format.md``.  Files are read by :mod:`.archive`, which trusts
nothing, and their manifest is held against :mod:`.schema`; every array is checked against its
SHA-256, and the whole model against its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Activity, Model, describe_graph, require_model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Scaling, Task
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import transform_from

from .archive import (
    Refused,
    Wanted,
    npy,
    open_archive,
    parse_json,
    parse_npy,
    write_archive,
)
from .writing import write_atomically

if TYPE_CHECKING:
    from .archive import Archive
    from .schema import ActivityEntry, ArrayEntry, Manifest, Part, ScalingEntry, TaskEntry

FORMAT = "spiking-lmu"
FORMAT_VERSION = 2
#: Versions that can be read.
READABLE = (1, 2)
MANIFEST = "manifest.json"
EXPECTED, FIX = "an intact .slmu file", "convert the model again or fetch a fresh copy"


def save(model: Model, path: str | Path | BinaryIO) -> None:
    """Write ``model`` to a path or an open file; the same model always gives the same bytes.

    Parameters
    ----------
    model
        A rate model or a spiking one.
    path
        Where to, usually with the ending ``.slmu``; or a file that is open for writing bytes.

    Raises
    ------
    FileError
        The folder does not exist or cannot be written.
    SpecError
        The model has something in it that the format does not hold: a name with control
        characters, provenance that is not JSON, more than the format's limits.

    >>> import io
    >>> from spiking_lmu.files.zoo import load_model
    >>> file = io.BytesIO()
    >>> save(load_model("mnist-dense"), file)
    >>> len(file.getvalue()) > 100_000
    True
    """
    require_model(model)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "digest": model.digest,
        "task": asdict(model.task),
        "scaling": None if model.scaling is None else asdict(model.scaling),
        "timing": asdict(model.timing),
        "activity": {name: asdict(value) for name, value in model.activity.items()},
        "provenance": model.provenance,
        "graphs": {},
        "arrays": {},
    }
    payload: dict[str, bytes] = {}
    graphs = {"graph": model.graph}
    if model.rate_graph is not None:
        graphs["rate_graph"] = model.rate_graph
    for key, graph in graphs.items():
        parts = []
        for header, arrays in describe_graph(graph):
            refs = {
                name: _store(array, manifest["arrays"], payload) for name, array in arrays.items()
            }
            parts.append({**header, "arrays": refs})
        manifest["graphs"][key] = parts
    text = _manifest_text(manifest)
    target = write_atomically(path) if isinstance(path, str | Path) else nullcontext(path)
    with target as file:
        write_archive(file, {MANIFEST: text, **payload})


def _manifest_text(manifest: dict[str, Any]) -> bytes:
    """The manifest as it is written, once it is known that it can be read."""
    try:
        text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False).encode()
        _model_entries(_checked_manifest(parse_json(text)))
    except (Refused, TypeError, ValueError, RecursionError) as error:
        raise SpecError(
            "the model",
            got=f"what a .slmu file cannot hold: {error}",
            expected="parts and provenance within the format's limits (docs/format.md)",
            fix="shorten or correct it",
        ) from error
    return text


def _store(array: np.ndarray, index: dict[str, Any], payload: dict[str, bytes]) -> str:
    values: np.ndarray = np.asarray(array, dtype=np.float64)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if (single == values).all():
        values = single
    data = npy(values)
    digest = hashlib.sha256(data).hexdigest()
    name = f"arrays/{digest[:24]}.npy"
    payload[name] = data
    index[name] = {
        "sha256": digest,
        "bytes": len(data),
        "shape": list(values.shape),
        "dtype": values.dtype.newbyteorder("<").str,
    }
    return name


def load(path: str | Path | BinaryIO) -> Model:
    """Read a ``.slmu`` file, by its path or open.

    Raises
    ------
    FileError
        Missing, truncated, of another format or version, altered, or hostile.
    """
    name = Path(path).name if isinstance(path, str | Path) else "model"
    wanted = Wanted(name, EXPECTED, FIX)
    with open_archive(path, wanted) as archive:
        try:
            return _read(archive, wanted)
        except SpecError as error:
            got = f"{error.what} with {error.got}, not {error.expected}"
            raise wanted.refused(got) from error


def _read(archive: Archive, wanted: Wanted) -> Model:
    document = archive.json(MANIFEST)
    _require_version(document, wanted)
    manifest = _checked_manifest(document)
    undeclared = sorted(set(archive.names) - {MANIFEST, *manifest.arrays})
    if undeclared:
        raise Refused(f"the undeclared entry {undeclared[0][:80]!r}")
    entries = _model_entries(manifest)
    arrays = {name: _array(archive, name, declared) for name, declared in manifest.arrays.items()}
    rate = manifest.graphs.rate_graph
    model = Model(
        graph=_graph(manifest.graphs.graph, arrays),
        rate_graph=None if rate is None else _graph(rate, arrays),
        **entries,
    )
    _require_consistent(model)
    if manifest.digest and manifest.digest != model.digest:
        raise Refused("parts that are not those of the model's digest")
    return model


def _require_version(document: Any, wanted: Wanted) -> None:
    """Raise unless the manifest is of a version that can be read, which decides all else."""
    found = document if isinstance(document, dict) else {}
    if found.get("format") != FORMAT:
        raise Refused(f"format {str(found.get('format'))[:80]!r}")
    version = found.get("format_version")
    if version not in READABLE:
        raise wanted.refused(
            f"format version {str(version)[:20]}",
            expected=f"version {' or '.join(map(str, READABLE))}",
            fix="update spiking-lmu, or convert the model again",
        )


def _checked_manifest(document: Any) -> Manifest:
    from .schema import MAX_PROVENANCE, Manifest, checked

    manifest = checked(document, Manifest, "a manifest")
    size = len(json.dumps(manifest.provenance))
    if size > MAX_PROVENANCE:
        raise Refused(f"provenance of {size:,} bytes, more than {MAX_PROVENANCE:,}")
    used = {
        reference
        for parts in (manifest.graphs.graph, manifest.graphs.rate_graph or [])
        for part in parts
        for reference in part.arrays.values()
    }
    if used != set(manifest.arrays):
        name = min(used ^ set(manifest.arrays))
        raise Refused(f"{name}, which is {'not declared' if name in used else 'not used'}")
    return manifest


def _model_entries(manifest: Manifest) -> dict[str, Any]:
    """All of a model but its graphs."""
    return {
        "timing": Timing(**_fields(manifest.timing)),
        "task": _task(manifest.task),
        "activity": _activity(manifest.activity),
        "provenance": manifest.provenance,
        "scaling": _scaling(manifest.scaling),
    }


def _task(entry: str | TaskEntry) -> Task:
    """The task; a word in files of version 1."""
    if isinstance(entry, str):
        return Task.parse(entry)
    return Task(**{**_fields(entry), "names": tuple(entry.names)})


def _scaling(entry: ScalingEntry | None) -> Scaling | None:
    return None if entry is None else Scaling(tuple(entry.offset), tuple(entry.range))


def _activity(entries: Mapping[str, ActivityEntry]) -> dict[str, Activity]:
    found = {name: Activity(**_fields(entry)) for name, entry in entries.items()}
    if found and not any(activity.largest_current for activity in found.values()):
        raise Refused("activity of 0 everywhere, which was never measured")
    return found


def _array(archive: Archive, name: str, declared: ArrayEntry) -> np.ndarray:
    data = archive.read(name, declared.bytes)
    if len(data) != declared.bytes:
        raise Refused(f"{name} of {len(data):,} bytes, not {declared.bytes:,}")
    if hashlib.sha256(data).hexdigest() != declared.sha256:
        raise Refused(f"{name} with another SHA-256 than declared")
    array = parse_npy(data)
    if list(array.shape) != declared.shape or array.dtype.str != declared.dtype:
        raise Refused(f"{name} of shape {array.shape} and dtype {array.dtype.str}")
    return array


def _graph(parts: list[Part], arrays: Mapping[str, np.ndarray]) -> Graph:
    from .schema import GraphPart, PopulationPart

    populations, projections = [], []
    for part in parts:
        values = {key: arrays[name] for key, name in part.arrays.items()}
        if isinstance(part, GraphPart):
            head = part
        elif isinstance(part, PopulationPart):
            neuron = Neuron(**_fields(part.neuron))
            populations.append(
                Population(
                    part.name,
                    part.size,
                    neuron,
                    values["gain"],
                    values["bias"],
                    part.scale,
                    part.on_host,
                    part.pulse,
                )
            )
        else:
            projections.append(
                Projection(
                    part.pre,
                    part.post,
                    transform_from(_builtins(part.transform), values),
                    part.tau,
                    part.delay,
                    part.name,
                    part.trainable,
                    part.begins,
                    part.mean_from,
                )
            )
    return Graph(tuple(populations), tuple(projections), head.input, head.output, head.dt)


def _require_consistent(model: Model) -> None:
    """Raise unless what is said beside the graph is about the graph."""
    names = {p.name for graph in (model.graph, model.rate) for p in graph.populations}
    strangers = sorted(set(model.activity) - names)
    if strangers:
        raise Refused(f"activity of the population {strangers[0]!r}, which is not in the graph")
    sizes = [(graph.input_size, graph.output_size) for graph in (model.graph, model.rate)]
    if sizes[0] != sizes[1]:
        raise Refused(f"a rate graph with {sizes[1]} inputs and outputs for one with {sizes[0]}")


def _fields(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def _builtins(entry: Any) -> dict[str, Any]:
    """An entry with a tag as the dictionary that was written."""
    from msgspec import to_builtins

    return {} if entry is None else dict(to_builtins(entry))
