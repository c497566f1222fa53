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

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spiking_lmu.errors import FileError, SpecError
from spiking_lmu.files.archive import Refused, Wanted, npy, open_archive, parse_json, write_archive
from spiking_lmu.files.writing import write_atomically

from .parameter import Parameter

if TYPE_CHECKING:
    from spiking_lmu.files.archive import Archive

FORMAT, FORMAT_VERSION = "spiking-lmu parameters", 1
MANIFEST = "parameters.json"


def save(parameters: Mapping[str, Parameter], path: str | Path) -> None:
    """Write the file; the same parameters always give the same bytes.

    Raises
    ------
    FileError
        The folder does not exist or cannot be written.
    SpecError
        A name or text is too long, or no text.
    """
    from spiking_lmu.files.schema import NamedManifest, checked

    entries = []
    payload = {}
    for name, parameter in parameters.items():
        value = np.asarray(parameter.value)
        payload[_entry(name)] = npy(value)
        entries.append(
            {
                "name": name,
                "kind": parameter.kind,
                "pre": parameter.pre,
                "post": parameter.post,
                "trainable": parameter.trainable,
                "description": parameter.description,
                "shape": list(value.shape),
                "dtype": value.dtype.newbyteorder("<").str,
            }
        )
    manifest = {"format": FORMAT, "format_version": FORMAT_VERSION, "parameters": entries}
    text = json.dumps(manifest, indent=1).encode()
    try:
        checked(parse_json(text), NamedManifest, MANIFEST)
    except Refused as error:
        raise SpecError(
            "the parameters",
            got=f"what a file cannot hold: {error}",
            expected="names of 1 to 400 characters, and texts of at most 2,000",
            fix="shorten or correct them",
        ) from error
    with write_atomically(path) as file:
        write_archive(file, {MANIFEST: text, **payload})


def is_named(path: str | Path) -> bool:
    """Whether ``path`` is a ZIP archive with the entry ``parameters.json``."""
    try:
        with open_archive(path, _wanted(path)) as archive:
            return MANIFEST in archive.names
    except FileError:
        return False


def load(path: str | Path) -> dict[str, Parameter]:
    """Read the file.

    Raises
    ------
    FileError
        Missing, damaged, of another format or version, or hostile.
    """
    wanted = _wanted(path)
    with open_archive(path, wanted) as archive:
        return _read(archive, wanted)


def _read(archive: Archive, wanted: Wanted) -> dict[str, Parameter]:
    from spiking_lmu.files.schema import NamedManifest, checked

    document = archive.json(MANIFEST)
    head = document if isinstance(document, dict) else {}
    found = head.get("format"), head.get("format_version")
    if found != (FORMAT, FORMAT_VERSION):
        raise wanted.refused(
            f"format {str(found[0])[:80]!r}, version {str(found[1])[:20]}",
            expected=f"format {FORMAT!r}, version {FORMAT_VERSION}",
            fix="update spiking-lmu, or export again",
        )
    declared = checked(document, NamedManifest, MANIFEST).parameters
    places = [_entry(part.name) for part in declared]
    if sorted([MANIFEST, *places]) != sorted(archive.names):
        raise Refused(f"other entries than {MANIFEST} says")
    parameters = {}
    for key, part in zip(places, declared, strict=True):
        value = archive.array(key)
        if list(value.shape) != part.shape or value.dtype.str != part.dtype:
            raise Refused(f"{key[:80]} of shape {value.shape} and dtype {value.dtype.str}")
        parameters[part.name] = Parameter(
            part.name, part.kind, value, part.pre, part.post, part.trainable, part.description
        )
    return parameters


def _entry(name: str) -> str:
    """The entry of a parameter; different names never share one."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff%\\/:]", _coded, name) + ".npy"


def _coded(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}%" if ord(found[0]) > 0xFF else f"%{ord(found[0]):02X}"


def _wanted(path: str | Path) -> Wanted:
    return Wanted(
        Path(path).name,
        expected="an intact file that spiking-lmu export wrote",
        fix="export the parameters again",
    )
