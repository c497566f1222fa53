"""From a trained NengoDL network to a graph."""

from __future__ import annotations

from typing import Any

from spiking_lmu.errors import ImportNetworkError
from spiking_lmu.graph.graph import DEFAULT_DT, Graph
from spiking_lmu.graph.rate_twin import on_presentations

from .build import build_graph
from .checking import check_import
from .plan import ImportPlan, make_plan
from .save_params import TrainedParameters, loaded_simulator


def from_nengo_dl(
    network: Any,
    simulator_or_params: Any,
    *,
    input: Any = None,
    output: Any = None,
    spiking: bool = False,
    dt: float | None = None,
    check: bool = True,
) -> Graph:
    """Import ``network`` with its trained weights.

    One simulation step of the network becomes one presentation: a connection with ``synapse=0``
    becomes a projection with a delay of one presentation, and a Lowpass synapse a filter that
    moves once a presentation (:mod:`spiking_lmu.graph.rate_twin`), so that the graph computes the
    same however long inputs are shown.  A synapse on the probe is part of the graph, unless
    the same object has a probe without one.

    Spiking neurons become the rate neurons that NengoDL trained in their place: LIFRate for LIF
    (SoftLIFRate with ``lif_smoothing``), RectifiedLinear for SpikingRectifiedLinear, the base of
    Regular-, Poisson- and StochasticSpiking.  ``spiking_lmu.convert`` makes them spike.

    Parameters
    ----------
    network
        The ``nengo.Network``, or the ``nengo_dl.Converter`` that made it.
    simulator_or_params
        The open ``nengo_dl.Simulator`` that trained it, and the latest of this network that
        was built (each takes over the network's Keras layers); or a file written by its
        ``save_params``; or that file's arrays as a list.  A file holds arrays by position
        only: it is checked for their number, shapes and values, and cannot be told from one
        of another network that has the same.
    input
        The input Node or its name, or several in the order of the data's channels; other Nodes
        without incoming connections are then constants.  Not needed for a Converter's network,
        nor where there is one such Node, nor where all of them put out zeros or a process: those
        are the channels, in the order in which they were made.
    output
        A Probe, an object or a name, where several objects are probed that lead nowhere.
    spiking
        Keep spiking neurons, and synapses in seconds.  The neurons start with a voltage of zero
        whatever their ``initial_state``.
    dt
        Seconds of a step, where a file stands in the place of the simulator, which knows it
        (0.001 if not given).
    check
        Run random inputs through NengoDL and through the graph, and refuse if they differ.
        Spiking neurons are compared by their rates.

    Returns
    -------
    Its populations are named by label, by attribute of their Network (``lmu.h``), or by
    what they are and a number (``dense1``); several inputs are fed by one called ``input``.

    Raises
    ------
    ImportNetworkError
        Parts without a counterpart in a graph, all of them in one line; or the graph computes
        something else than NengoDL does.
    FileError
        A parameter file that is damaged, hostile, or of another network.
    MissingExtraError
        NengoDL is not installed.

    Warns
    -----
    ImportNetworkWarning
        What a file does not say and may be wrong: see
        :func:`~spiking_lmu.importers.parameters.mismatch.scale_notes`.

    ``from_nengo_dl(network, simulator)`` gives a graph; ``Model(from_nengo_dl(...))`` can be saved
    and converted.
    """
    from spiking_lmu.compat import import_nengo, import_nengo_dl

    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    if isinstance(network, nengo_dl.Converter):
        network = network.net
    if not isinstance(network, nengo.Network):
        raise ImportNetworkError(
            "network",
            got=type(network).__name__,
            expected="a nengo.Network or nengo_dl.Converter",
            fix="pass the network first, then its simulator or parameter file",
        )
    plan = make_plan(network, input, output, nengo, nengo_dl, spiking=spiking)
    if isinstance(simulator_or_params, nengo_dl.Simulator):
        simulator = simulator_or_params
        _check_simulator(simulator, network, dt)
        return _imported(network, simulator, plan, nengo, nengo_dl, check=check)
    with loaded_simulator(
        network, simulator_or_params, nengo_dl, dt=DEFAULT_DT if dt is None else dt
    ) as simulator:
        # Within the simulator the network holds copies of its layers.
        plan = make_plan(network, input, output, nengo, nengo_dl, spiking=spiking)
        graph = _imported(network, simulator, plan, nengo, nengo_dl, check=check, redrawn=True)
    return graph


def _imported(
    network: Any,
    simulator: Any,
    plan: ImportPlan,
    nengo: Any,
    nengo_dl: Any,
    *,
    check: bool,
    redrawn: bool = False,
) -> Graph:
    graph = build_graph(
        plan, TrainedParameters(simulator), nengo, dt=float(simulator.dt), redrawn=redrawn
    )
    if check:
        check_import(network, simulator, plan, graph, nengo_dl)
    return graph if plan.spiking else on_presentations(graph, graph.dt)


def _check_simulator(simulator: Any, network: Any, dt: float | None) -> None:
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
    if dt is not None and dt != simulator.dt:
        raise ImportNetworkError(
            "dt",
            got=f"{dt:g} s",
            expected=f"the simulator's, {simulator.dt:g} s",
            fix="leave dt out: the simulator knows it",
        )
