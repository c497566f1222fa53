"""A network whose answer is its next input: the loop from its output to its input, as a graph.

With answers y and the range of the data that the network was trained on, it sees

    u[k] = given[k]                  for k < prompt,
    u[k] = given[k] + y[k-1] / range   from then on.

So one graph is led by a series and then let go.  The way back is a projection with a delay that
begins with the first input after the prompt; the closed graph is one like any other, and a target
runs it as it runs those.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spiking_lmu.errors import SpecError

from .graph import Graph, Population, Projection
from .transforms import OneToOne

Array = np.ndarray
#: Names of the new populations: what is given, the answers as the readout's filter leaves them,
#: and the answers as they are held over the next input.
GIVEN, FILTERED, ANSWER = "loop.given", "loop.filtered", "loop.answer"


def close_loop(graph: Graph, prompt: int, ranges: Array, readout_tau: float = 0.0) -> Graph:
    """``graph`` with its output led back to its input, one presentation later.

    The closed graph puts out y[k-1] at input k, which is 0 at the first.

    Parameters
    ----------
    graph
        Rate or spiking, with as many outputs as inputs.
    prompt
        Inputs at which it sees what is given alone, 1 or more.
    ranges
        What each answer is divided by to be an input, (outputs,).
    readout_tau
        Time constant in seconds of the lowpass on the answers; 0 is none.

    Raises
    ------
    SpecError
        Not as many outputs as inputs.

    >>> from .reference import run_reference
    >>> x, y = Population("x", 1), Population("y", 1)
    >>> halved = Graph((x, y), (Projection("x", "y", np.array([[0.5]])),), "x", "y")
    >>> given = np.array([4.0, 1.0, 0.0, 0.0]).reshape(1, 4, 1)
    >>> run_reference(close_loop(halved, 2, np.ones(1)), given).ravel().tolist()
    [0.0, 2.0, 0.5, 0.25]
    """
    size = graph.input_size
    if graph.output_size != size:
        raise SpecError(
            "network to close the loop of",
            got=f"{graph.output_size} outputs and {size} inputs",
            expected="as many outputs as inputs, each the next value of its input",
            fix="train it to predict the next input",
        )
    populations = [Population(GIVEN, size), *graph.populations, Population(ANSWER, size)]
    projections = [*graph.projections]
    source = graph.output
    if readout_tau:
        populations.append(Population(FILTERED, size))
        projections.append(Projection(source, FILTERED, tau=readout_tau, name="loop.readout"))
        source = FILTERED
    back = OneToOne(1.0 / np.asarray(ranges, float))
    projections += [
        Projection(GIVEN, graph.input, name="loop.lead"),
        Projection(source, graph.input, back, delay=1, name="loop.back", begins=prompt),
        Projection(source, ANSWER, delay=1, name="loop.hold"),
    ]
    return replace(
        graph,
        populations=tuple(populations),
        projections=tuple(projections),
        input=GIVEN,
        output=ANSWER,
    )
