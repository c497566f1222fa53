"""Open simulators whose parameters are known, and the files that NengoDL writes of them."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from spiking_lmu.importers import parameters

from . import networks, parameter_networks


def numbered(simulator):
    """Give every number in the simulator's variables another value, by name; return them."""
    values, start = {}, 1
    for name, parameter in parameters.from_simulator(simulator).items():
        if parameter.place is not None:
            size = parameter.value.size
            values[name] = np.arange(start, start + size, dtype="<f4").reshape(
                parameter.value.shape
            )
            start += size
    parameters.assign(simulator, values)
    return values


def saved(simulator, path):
    """The arrays of a file that NengoDL writes, by its own keys."""
    simulator.save_params(path)
    with np.load(f"{path}.npz") as file:
        return dict(file)


def saved_arrays(path):
    with np.load(path) as file:
        return list(file.values())


@contextmanager
def small_lmu(folder):
    """The LMU of NengoDL's example, small; an open simulator of it and its file."""
    network = networks.lmu(units=5, order=4, theta=6.0)
    path = folder / "params"
    with networks.simulate(network, minibatch_size=2) as simulator:
        simulator.save_params(path)
        yield network, simulator, path.with_suffix(".npz")


@contextmanager
def numbered_layers(folder):
    """The network of three neuron layers, numbered; an open simulator, values and file."""
    network = parameter_networks.three_layers()
    with networks.simulate(network) as simulator:
        values = numbered(simulator)
        file = saved(simulator, folder / "params")
        simulator.save_params(folder / "state", include_state=True)
        yield network, simulator, values, file, folder
