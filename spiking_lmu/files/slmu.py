"""Model ⇄ one ``.slmu`` file: a ZIP of ``manifest.json`` and raw NPY arrays.

The layout is described in ``docs/format.md``.  Nothing is unpickled, nothing is extracted
to disk, nothing is read beyond the sizes that the manifest declares, and every array is
checked against its SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from spiking_lmu.errors import FileError, SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Activity, Model, describe_graph
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Scaling, Task
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import transform_from

from .writing import write_atomically

FORMAT = "spiking-lmu"
FORMAT_VERSION = 2
#: Versions that can be read.
READABLE = (1, 2)
MANIFEST = "manifest.json"
#: Limits on what is read, in bytes and entries: far above any model that fits a chip.
MAX_MANIFEST, MAX_ARRAY, MAX_TOTAL, MAX_ENTRIES = 16 << 20, 1 << 30, 4 << 30, 10_000
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DTYPES = {"<f4", "<f8"}


def save(model: Model, path: str | Path | BinaryIO) -> None:
    """Write ``model`` to a path or an open file; the same model always gives the same bytes.

    Raises
    ------
    FileError
        The folder does not exist or cannot be written.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
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
    text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False).encode()
    target = write_atomically(path) if isinstance(path, str | Path) else nullcontext(path)
    with target as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in {MANIFEST: text, **payload}.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


def _store(array: np.ndarray, index: dict[str, Any], payload: dict[str, bytes]) -> str:
    little = np.ascontiguousarray(array, dtype="<f8")
    if (little.astype("<f4") == little).all():
        little = little.astype("<f4")
    buffer = io.BytesIO()
    np.lib.format.write_array(
        buffer, little.reshape(array.shape), version=(1, 0), allow_pickle=False
    )
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    name = f"arrays/{digest[:24]}.npy"
    payload[name] = data
    index[name] = {
        "sha256": digest,
        "bytes": len(data),
        "shape": list(array.shape),
        "dtype": little.dtype.str,
    }
    return name


def load(path: str | Path | BinaryIO) -> Model:
    """Read a ``.slmu`` file, by its path or open.

    Raises
    ------
    FileError
        Missing, truncated, of another format or version, altered, or hostile.
    """
    name = "model"
    if isinstance(path, str | Path):
        path, name = Path(path), Path(path).name
        _require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, name)
    except (
        zipfile.BadZipFile,
        EOFError,
        OSError,
        NotImplementedError,
        zlib.error,
    ) as error:
        raise _damaged(name, f"a file that is not a whole ZIP archive ({error})") from error
    except SpecError as error:
        raise _damaged(name, f"{error.what} with {error.got}, not {error.expected}") from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise _damaged(name, f"a manifest that does not follow the format ({detail})") from error


def _read(archive: zipfile.ZipFile, name: str) -> Model:
    entries = {info.filename: info for info in archive.infolist()}
    if len(entries) > MAX_ENTRIES or len(entries) != len(archive.infolist()):
        raise _damaged(name, f"{len(archive.infolist())} entries, some twice or too many")
    if MANIFEST not in entries:
        raise _damaged(name, f"an archive without {MANIFEST}")
    manifest = json.loads(
        _entry(archive, entries[MANIFEST], MAX_MANIFEST, name), parse_constant=_no_nan
    )
    if manifest.get("format") != FORMAT:
        raise _damaged(name, f"format {manifest.get('format')!r}")
    if manifest.get("format_version") not in READABLE:
        raise FileError(
            name,
            got=f"format version {manifest.get('format_version')!r}",
            expected=f"version {' or '.join(map(str, READABLE))}",
            fix="update spiking-lmu, or convert the model again",
        )
    extra = sorted(set(entries) - {MANIFEST, *manifest["arrays"]})
    if extra:
        raise _damaged(name, f"the undeclared entry {extra[0][:80]!r}")
    if sum(int(declared["bytes"]) for declared in manifest["arrays"].values()) > MAX_TOTAL:
        raise _damaged(name, f"more than {MAX_TOTAL >> 30} GiB of arrays")
    arrays = {
        key: _array(archive, entries, key, declared, name)
        for key, declared in manifest["arrays"].items()
    }
    graphs = {key: _graph(parts, arrays) for key, parts in manifest["graphs"].items()}
    scaling = manifest.get("scaling")
    return Model(
        graph=graphs["graph"],
        timing=Timing(**manifest["timing"]),
        task=_task(manifest["task"]),
        activity={key: Activity(**value) for key, value in manifest["activity"].items()},
        rate_graph=graphs.get("rate_graph"),
        provenance=dict(manifest["provenance"]),
        scaling=None if scaling is None else Scaling(**scaling),
    )


def _task(entry: str | dict[str, Any]) -> Task:
    """The task; a word in files of version 1."""
    if isinstance(entry, str):
        return Task.parse(entry)
    return Task(**{**entry, "names": tuple(entry["names"])})


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, name: str) -> bytes:
    if info.file_size > limit:
        raise _damaged(name, f"{info.filename} of {info.file_size} bytes, more than {limit}")
    if info.flag_bits & 1:
        raise _damaged(name, f"the encrypted entry {info.filename}")
    with archive.open(info) as file:
        data = file.read(limit + 1)
    if len(data) != info.file_size:
        raise _damaged(name, f"{info.filename} of another length than declared")
    return data


def _array(
    archive: zipfile.ZipFile,
    entries: dict[str, zipfile.ZipInfo],
    key: str,
    declared: dict[str, Any],
    name: str,
) -> np.ndarray:
    if key not in entries:
        raise _damaged(name, f"no entry {key[:80]!r}")
    shape, dtype = tuple(declared["shape"]), declared["dtype"]
    if dtype not in _DTYPES:
        raise _damaged(name, f"an array of dtype {dtype!r}")
    size = int(np.dtype(dtype).itemsize) * int(np.prod(shape, dtype=object))
    if not size <= declared["bytes"] <= min(size + 1024, MAX_ARRAY):
        raise _damaged(name, f"{declared['bytes']} bytes for an array of shape {shape}")
    data = _entry(archive, entries[key], int(declared["bytes"]), name)
    if hashlib.sha256(data).hexdigest() != declared["sha256"]:
        raise _damaged(name, f"{key} with another SHA-256 than declared")
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if array.shape != shape or array.dtype.str != dtype:
        raise _damaged(name, f"{key} of shape {array.shape} and dtype {array.dtype.str}")
    array.flags.writeable = False
    return array


def _graph(parts: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> Graph:
    populations, projections = [], []
    head = parts[0]
    for part in parts[1:]:
        values = {key: arrays[name] for key, name in part["arrays"].items()}
        if part["part"] == "population":
            neuron = Neuron(**part["neuron"])
            populations.append(
                Population(
                    part["name"],
                    part["size"],
                    neuron,
                    values["gain"],
                    values["bias"],
                    part["scale"],
                    part.get("on_host", False),
                )
            )
        else:
            projections.append(
                Projection(
                    part["pre"],
                    part["post"],
                    transform_from(part.get("transform", {}), values),
                    part["tau"],
                    part["delay"],
                    part["name"],
                    bool(part["trainable"]),
                )
            )
    return Graph(tuple(populations), tuple(projections), head["input"], head["output"])


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise FileError(
            str(path),
            got="a folder" if path.is_dir() else "nothing there",
            expected="a .slmu file",
            fix="check the path, or list shipped models with: spiking-lmu models",
        )


def _damaged(name: str, got: str) -> FileError:
    return FileError(
        name,
        got=got,
        expected="an intact .slmu file",
        fix="convert the model again or fetch a fresh copy",
    )


def _no_nan(text: str) -> float:
    raise ValueError(f"the number {text}")
