"""Parameters by name in NengoDL: read from a live simulator or a file, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.files.writing import write_atomically

from .assigning import check_names, check_value
from .layout import layout
from .mismatch import scale_notes
from .parameter import Parameter

Array = np.ndarray


def from_simulator(simulator: Any) -> dict[str, Parameter]:
    """Every parameter of an open ``nengo_dl.Simulator`` by name, with its current value.

    Raises
    ------
    ImportNetworkError
        The simulator is closed.
    """
    slots = layout(simulator)
    arrays = _arrays(simulator)
    return {slot.name: slot.filled(arrays) for slot in slots}


def from_file(network: Any, params: str | Path | list[Array]) -> dict[str, Parameter]:
    """Every parameter of ``network`` by name, with the values of a ``save_params`` file.

    Parameters
    ----------
    network
        The ``nengo.Network`` that the file was saved from; a simulator of it is built.
    params
        The file, or its arrays in order.  Numbers that are not finite are let through.

    Raises
    ------
    FileError
        A damaged file, or one of another network: which array, and probably why.
    """
    if isinstance(params, str | Path):
        from ..nengo_dl.save_params import read_params

        return compare_with_network(network, read_params(params), Path(params).name)[0]
    return compare_with_network(network, params, "list of parameters")[0]


def compare_with_network(
    network: Any, arrays: list[Array], name: str
) -> tuple[dict[str, Parameter], tuple[str, ...]]:
    """What :func:`from_file` gives, and what a reader should know before believing it."""
    from spiking_lmu.compat import import_nengo_dl

    from ..nengo_dl.save_params import built_simulator, check_params

    with built_simulator(network, import_nengo_dl()) as simulator:
        check_params(name, arrays, simulator, finite=False)
        arrays = [np.asarray(array) for array in arrays]
        slots, built = layout(simulator), _arrays(simulator)
        found = {slot.name: slot.filled(arrays) for slot in slots}
        own = {slot.name: slot.filled(built) for slot in slots}
    return found, scale_notes(network, own, found)


def assign(simulator: Any, values: Mapping[str, Parameter | Array]) -> None:
    """Put values into an open ``nengo_dl.Simulator``; parameters not named keep theirs.

    Parameters
    ----------
    values
        By name, as :func:`from_simulator` gives them; arrays will do.

    Raises
    ------
    SpecError
        A name that the network does not have, another shape, numbers that are not finite, or
        another value for a constant such as a gain.
    """
    import tensorflow as tf

    slots = {slot.name: slot for slot in layout(simulator)}
    check_names(values, slots, "the network")
    arrays = _arrays(simulator)
    new = list(arrays)
    for name, given in values.items():
        slot = slots[name]
        value = check_value(name, given, slot.shape)
        if slot.place is not None:
            position = slot.place.array
            new[position] = slot.place.put(new[position], value)
        elif not np.array_equal(value, np.asarray(slot.constant).astype(value.dtype)):
            raise SpecError(
                name,
                got="a new value for a constant",
                expected="the value that the network was built with",
                fix=f"leave {name} out, or build the network with it",
            )
    variables = simulator.keras_model.weights
    changed = [
        i for i, (one, other) in enumerate(zip(arrays, new, strict=True)) if one is not other
    ]
    tf.keras.backend.batch_set_value([(variables[i], new[i]) for i in changed])


def save_params(
    network: Any,
    values: Mapping[str, Parameter | Array],
    path: str | Path,
    *,
    base: str | Path | None = None,
) -> None:
    """Write a file that ``Simulator.load_params`` of ``network`` reads, ending in ``.npz``.

    Parameters
    ----------
    values
        By name.
    base
        A ``save_params`` file with what ``values`` does not name; without one every parameter
        that such a file holds must be named.

    Raises
    ------
    SpecError
        As for :func:`assign`, or a parameter without value.
    FileError
        ``base`` does not fit the network, or ``path`` cannot be written.
    """
    from spiking_lmu.compat import import_nengo_dl

    from ..nengo_dl.save_params import built_simulator, loaded_simulator

    nengo_dl = import_nengo_dl()
    opened = (
        built_simulator(network, nengo_dl)
        if base is None
        else loaded_simulator(network, base, nengo_dl)
    )
    with opened as simulator:
        held = [slot.name for slot in layout(simulator) if slot.place is not None]
        missing = [name for name in held if name not in values]
        if base is None and missing:
            raise SpecError(
                "parameters",
                got=f"no value for {', '.join(missing[:3])} ({len(missing)} of {len(held)})",
                expected="a value for each that save_params saves",
                fix="give a save_params file that has the others, or export all of them",
            )
        assign(simulator, values)
        arrays = _arrays(simulator)
    path = Path(path)
    with write_atomically(path if path.suffix == ".npz" else f"{path}.npz") as file:
        np.savez_compressed(file, *arrays)


def _arrays(simulator: Any) -> list[Array]:
    import tensorflow as tf

    return [np.asarray(v) for v in tf.keras.backend.batch_get_value(simulator.keras_model.weights)]
