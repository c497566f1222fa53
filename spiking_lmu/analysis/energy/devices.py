"""Energy of one operation by device: published figures, in one table that users can extend."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from spiking_lmu.errors import FileError

SCHEMA = "spiking-lmu devices"
SCHEMA_VERSION = 1
#: A table of devices is a page of text; more is something else.
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Device:
    """What one operation costs on one device.

    Parameters
    ----------
    name
        ``"loihi"``.
    event_driven
        Whether it works on spikes alone; others compute every weight at every step.
    joules_per_synop, joules_per_neuron_update
        Joules for a synaptic operation (AC or MAC), and for a step of a neuron.
    source
        Where the figures were published.
    note
        What they mean.
    """

    name: str
    event_driven: bool
    joules_per_synop: float
    joules_per_neuron_update: float
    source: str
    note: str = ""


def load_devices(path: str | Path | None = None) -> tuple[Device, ...]:
    """The devices that come with the package, and those in the file ``path``.

    A device of the same name replaces the package's.

    Raises
    ------
    FileError
        The file cannot be read, or is no table of devices.
    """
    text = resources.files(__package__).joinpath("devices.json").read_text("utf-8")
    devices = {device.name: device for device in _parse(text, "devices.json")}
    if path is not None:
        devices |= {device.name: device for device in _parse(_read(Path(path)), str(path))}
    return tuple(devices.values())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _wrong(str(path), error.strerror or "an error", "a file to read") from error
    if len(content) > MAX_BYTES:
        raise _wrong(str(path), "a larger file", f"at most {MAX_BYTES:,} bytes")
    return content.decode("utf-8", "replace")


def _parse(text: str, path: str) -> list[Device]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "something else", "JSON") from error
    head = document if isinstance(document, dict) else {}
    if (head.get("schema"), head.get("schema_version")) != (SCHEMA, SCHEMA_VERSION):
        raise _wrong(path, "another file", f'"schema": "{SCHEMA}", "schema_version": 1')
    entries = head.get("devices")
    if not isinstance(entries, list):
        raise _wrong(path, "no list of devices", '"devices": [...]')
    return [_device(entry, path) for entry in entries]


def _device(entry: Any, path: str) -> Device:
    expected = {field.name for field in fields(Device)}
    if not isinstance(entry, dict) or not expected - {"note"} <= set(entry) <= expected:
        raise _wrong(path, "a device with other entries", ", ".join(sorted(expected)))
    for key in ("name", "source"):
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise _wrong(path, f"a device without {key}", f"text for {key}")
    if not isinstance(entry.get("note", ""), str) or not isinstance(entry["event_driven"], bool):
        raise _wrong(path, f"{entry['name']!r}", "text for note, true or false for event_driven")
    for key in ("joules_per_synop", "joules_per_neuron_update"):
        value = entry[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:
            raise _wrong(path, f"{key} of {entry['name']!r}: {value!r}"[:200], "joules, 0 to 1")
    return Device(**entry)


def _wrong(path: str, got: str, expected: str) -> FileError:
    return FileError(path, got=got, expected=expected, fix="see docs/energy.md for an example")
