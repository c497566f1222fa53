"""From a trained NengoDL network to a graph."""

from __future__ import annotations

from typing import Any

from spiking_lmu.errors import ImportNetworkError
from spiking_lmu.graph.graph import Graph

from .build import build_graph
from .plan import make_plan
from .save_params import Trained, loaded_simulator


def from_nengo_dl(
    network: Any, simulator_or_params: Any, *, input: Any = None, output: Any = None
) -> Graph:
    """Import ``network`` with its trained weights.

    One simulation step of the rate network becomes one presentation: a connection with
    ``synapse=0`` becomes a projection with a delay of one presentation, a Lowpass synapse
    keeps its time constant.  Spiking neurons stay spiking, and start with a voltage of zero
    whatever their ``initial_state``.  A synapse on the probe is not part of the graph.

    Parameters
    ----------
    network
        The ``nengo.Network``.
    simulator_or_params
        The open ``nengo_dl.Simulator`` that trained it, and the latest of this network that
        was built (each takes over the network's Keras layers); or a file written by its
        ``save_params``; or that file's arrays as a list.  A file holds arrays by position
        only: it is checked for their number, shapes and values, and cannot be told from one
        of another network that has the same.
    input
        The input Node or its name, where several Nodes have no incoming connections; the
        others are then constants.
    output
        A Probe, an object or a name, where several objects are probed.

    Returns
    -------
    Its populations are named by label, by attribute of their Network (``lmu.h``), or by
    what they are and a number (``dense1``).

    Raises
    ------
    ImportNetworkError
        Parts without a counterpart in a graph, all of them in one line.
    FileError
        A parameter file that is damaged, hostile, or of another network.
    MissingExtraError
        NengoDL is not installed.
    """
    from spiking_lmu.compat import import_nengo, import_nengo_dl

    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    if not isinstance(network, nengo.Network):
        raise ImportNetworkError(
            "network",
            got=type(network).__name__,
            expected="a nengo.Network",
            fix="pass the network first, then its simulator or parameter file",
        )
    plan = make_plan(network, input, output, nengo, nengo_dl)
    if isinstance(simulator_or_params, nengo_dl.Simulator):
        _check_simulator(simulator_or_params, network)
        return build_graph(plan, Trained(simulator_or_params), nengo)
    with loaded_simulator(network, simulator_or_params, nengo_dl) as simulator:
        # Within the simulator the network holds copies of its layers.
        plan = make_plan(network, input, output, nengo, nengo_dl)
        return build_graph(plan, Trained(simulator), nengo, redrawn=True)


def _check_simulator(simulator: Any, network: Any) -> None:
    if simulator.closed:
        raise ImportNetworkError(
            "simulator",
            got="a closed one, which has lost its trained weights",
            expected="an open nengo_dl.Simulator",
            fix="import inside the with block, or from a file of sim.save_params",
        )
    if simulator.model.toplevel is not network:
        raise ImportNetworkError(
            "simulator",
            got="a simulator of another network",
            expected="one of the network given",
            fix="pass the network that the simulator was built with",
        )
