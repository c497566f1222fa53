"""Energy of one operation by device: published figures, in one table that users can extend."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from spiking_lmu.files.archive import Refused, Wanted, parse_json, read_bytes, reading

SCHEMA = "spiking-lmu devices"
SCHEMA_VERSION = 1
#: A table of devices is a page of text; more is something else.
MAX_BYTES = 1_000_000
FIX = "see docs/energy.md for an example"


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
    joules_per_idle_update
        For a step of a neuron in which no spike arrives and nothing can happen, of event-driven
        devices; None where no such figure was published.
    """

    name: str
    event_driven: bool
    joules_per_synop: float
    joules_per_neuron_update: float
    source: str
    note: str = ""
    joules_per_idle_update: float | None = None


def load_devices(path: str | Path | None = None) -> tuple[Device, ...]:
    """The devices that come with the package, and those in the file ``path``.

    A device of the same name replaces the package's.

    Raises
    ------
    FileError
        The file cannot be read, or is no table of devices.
    """
    own = resources.files(__package__).joinpath("devices.json").read_bytes()
    devices = {device.name: device for device in _parse(own, "devices.json")}
    if path is not None:
        wanted = Wanted(str(path), f"a table of devices of at most {MAX_BYTES:,} bytes", FIX)
        content = read_bytes(path, MAX_BYTES, wanted)
        devices |= {device.name: device for device in _parse(content, str(path))}
    return tuple(devices.values())


def _parse(content: bytes, path: str) -> list[Device]:
    from spiking_lmu.files.schema import DeviceTable, checked

    wanted = Wanted(path, f'"schema": "{SCHEMA}", "schema_version": {SCHEMA_VERSION}', FIX)
    with reading(wanted):
        document = parse_json(content, limit=MAX_BYTES)
        head = document if isinstance(document, dict) else {}
        if (head.get("schema"), head.get("schema_version")) != (SCHEMA, SCHEMA_VERSION):
            raise Refused("another file")
        table = checked(document, DeviceTable, "a table")
    return [
        Device(
            entry.name,
            entry.event_driven,
            entry.joules_per_synop,
            entry.joules_per_neuron_update,
            entry.source,
            entry.note,
            entry.joules_per_idle_update,
        )
        for entry in table.devices
    ]
