"""Parameters with their names in one ``.npz`` file, for NumPy and whatever else reads ZIP.

The file is a ZIP archive.  Each parameter is the entry ``<name>.npy``, in NumPy's own format
and precision; ``parameters.json`` says what each one is.  Characters that not every system
takes in a name (control characters, ``/``, ``\\``, ``:``, ``%``) stand as ``%`` and their code in
hexadecimal.  ``np.load`` reads it as it is::

    {"format": "spiking-lmu parameters", "format_version": 1,
     "parameters": [{"name": "lmu.h_to_h", "kind": "weights", "pre": "lmu.h", "post": "lmu.h",
                     "trainable": true, "description": "…", "shape": [3, 3], "dtype": "<f4"}]}

Nothing is pickled.  Reading trusts nothing: sizes, types and names are checked first.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import FileError
from spiking_lmu.files.writing import write_atomically

from ..nengo_dl.save_params import MAX_ARRAY, MAX_TOTAL, read_array
from .parameter import Parameter

FORMAT, FORMAT_VERSION = "spiking-lmu parameters", 1
MANIFEST = "parameters.json"
#: Limits on what is read, in bytes, entries and characters.
MAX_MANIFEST, MAX_ENTRIES, MAX_NAME = 16 << 20, 10_000, 400
_EPOCH = (1980, 1, 1, 0, 0, 0)


def save(parameters: Mapping[str, Parameter], path: str | Path) -> None:
    """Write the file; the same parameters always give the same bytes.

    Raises
    ------
    FileError
        The folder does not exist or cannot be written.
    """
    entries = []
    payload = {}
    for name, parameter in parameters.items():
        value = np.ascontiguousarray(parameter.value)
        value = value.astype(value.dtype.newbyteorder("<")).reshape(parameter.value.shape)
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, value, version=(1, 0), allow_pickle=False)
        payload[_entry(name)] = buffer.getvalue()
        entries.append(
            {
                "name": name,
                "kind": parameter.kind,
                "pre": parameter.pre,
                "post": parameter.post,
                "trainable": parameter.trainable,
                "description": parameter.description,
                "shape": list(value.shape),
                "dtype": value.dtype.str,
            }
        )
    manifest = {"format": FORMAT, "format_version": FORMAT_VERSION, "parameters": entries}
    text = json.dumps(manifest, indent=1).encode()
    with write_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        for key, data in {MANIFEST: text, **payload}.items():
            info = zipfile.ZipInfo(key, _EPOCH)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)


def is_named(path: str | Path) -> bool:
    """Whether ``path`` is a ZIP archive with the entry ``parameters.json``."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False


def load(path: str | Path) -> dict[str, Parameter]:
    """Read the file.

    Raises
    ------
    FileError
        Missing, damaged, of another format or version, or hostile.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(
            str(path),
            got="a folder" if path.is_dir() else "nothing there",
            expected="an .npz file of named parameters",
            fix="check the path",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path.name)
    except FileError:
        raise
    except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, OSError) as error:  # type: ignore[attr-defined]
        raise _bad(path.name, f"a file that is not a whole ZIP archive ({error})") from error
    except (
        LookupError,
        TypeError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        MemoryError,
    ) as error:
        raise _bad(path.name, f"an entry that cannot be read ({error})") from error


def _read(archive: zipfile.ZipFile, name: str) -> dict[str, Parameter]:
    infos = archive.infolist()
    entries = {info.filename: info for info in infos}
    if len(infos) > MAX_ENTRIES or len(entries) != len(infos):
        raise _bad(name, f"{len(infos)} entries, some twice or too many")
    if MANIFEST not in entries:
        raise _bad(name, f"an archive without {MANIFEST}")
    if sum(info.file_size for info in infos) > MAX_TOTAL:
        raise _bad(name, f"more than {MAX_TOTAL >> 30} GiB of arrays")
    manifest = json.loads(_bytes(archive, entries[MANIFEST], MAX_MANIFEST, name))
    if manifest["format"] != FORMAT or manifest["format_version"] != FORMAT_VERSION:
        raise FileError(
            name,
            got=f"format {str(manifest['format'])[:80]!r}, "
            f"version {str(manifest['format_version'])[:20]}",
            expected=f"format {FORMAT!r}, version {FORMAT_VERSION}",
            fix="update spiking-lmu, or export again",
        )
    declared = {_entry(_name(part, name)): part for part in manifest["parameters"]}
    if len(declared) != len(manifest["parameters"]) or {MANIFEST, *declared} != set(entries):
        raise _bad(name, f"other entries than {MANIFEST} says")
    found = {}
    for key, part in declared.items():
        value = read_array(name, key, _bytes(archive, entries[key], MAX_ARRAY, name))
        if list(value.shape) != part["shape"] or value.dtype.str != part["dtype"]:
            raise _bad(name, f"{key} of shape {value.shape} and dtype {value.dtype.str}")
        texts = [part[field] for field in ("kind", "pre", "post", "description")]
        if not all(isinstance(text, str) for text in texts):
            raise _bad(name, f"something else than text about {key}")
        if part["trainable"] not in (True, False, None):
            raise _bad(name, f"trainable {str(part['trainable'])[:20]} for {key}")
        kind, pre, post, description = texts
        found[part["name"]] = Parameter(
            part["name"], kind, value, pre, post, part["trainable"], description
        )
    return found


def _entry(name: str) -> str:
    """The entry of a parameter; different names never share one."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff%\\/:]", _coded, name) + ".npy"


def _coded(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}%" if ord(found[0]) > 0xFF else f"%{ord(found[0]):02X}"


def _name(part: Any, name: str) -> str:
    given = part["name"]
    if not isinstance(given, str) or not 0 < len(given) <= MAX_NAME:
        raise _bad(name, "a parameter without a name")
    return given


def _bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, name: str) -> bytes:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _bad(name, f"{info.filename[:80]!r} with compression method {info.compress_type}")
    if info.file_size > limit:
        raise _bad(name, f"{info.filename[:80]!r} of {info.file_size} bytes, more than {limit}")
    with archive.open(info) as file:
        return file.read(info.file_size + 1)


def _bad(name: str, got: str) -> FileError:
    return FileError(
        name,
        got=got,
        expected="an intact file that spiking-lmu export wrote",
        fix="export the parameters again",
    )
