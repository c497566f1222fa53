"""Batched, bit-exact execution of the networks that nengo-loihi 1.1.0 builds for its emulator.

``nengo_loihi.Simulator`` runs one sample at a time, with a Python loop over spikes.  This
package takes the model that it built and runs many samples at once::

    with nengo_loihi.Simulator(network, target="sim") as simulator:
        batched = BatchedSimulator(simulator, {input_node: x})   # x: (batch, steps, size)
    batched.run(x.shape[1])
    batched.data[probe]                                          # (batch, steps, size)

The chip part is integer arithmetic and gives the same bits for every sample.  The host part
is floating point: the same bits with ``strict=True``, else equal up to the order in which
BLAS adds (differences near 1e-13).  With a ``margin``, ``BatchedSimulator.near`` tells in which
samples a spike could hinge on that.  What cannot be run this way raises :class:`Unsupported`.

Weights that learn on the chip (PES) are kept for each sample by itself.  Random numbers, of
chip noise and of the rounding of learned weights, come from the seed that ``simulator`` was
made with and are the same for all samples: each sample is what a new stock simulator with
that seed makes of it.

Networks built with ``target="simreal"``, without quantisation, run with
``program=extract_real(simulator.model)``: the same equations in float32, whose sums BLAS adds in
another order.  :func:`round_weights` comes between the two: real numbers, with the chip's weights
and biases.
"""

from .chip.program import ChipProgram, extract
from .chip.real import RealProgram, extract_real, round_weights
from .simulator import BatchedSimulator, Record
from .unsupported import Unsupported

__all__ = [
    "BatchedSimulator",
    "ChipProgram",
    "RealProgram",
    "Record",
    "Unsupported",
    "extract",
    "extract_real",
    "round_weights",
]
