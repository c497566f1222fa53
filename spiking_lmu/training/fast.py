"""The recurrent cell in plain TensorFlow: everything but the hidden layer's loop at once.

The memory is fixed and linear, so the current that it sends to the hidden layer over all steps
is one convolution of the input with the kernel W_m R + W_x, where R is the memory's impulse
response (Chilkuri & Eliasmith 2021, equation 26, for every step).  It is done by FFT.  Only
h[t] depends on h[t-1], and that loop is in :mod:`.scan`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo_dl
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.lmu import LmuSpec, build, impulse_response, kept

from .scan import last_hidden

Array = np.ndarray

#: Trained weights by the name of their projection in the graph, with their variable's name.
WEIGHTS = ("lmu.x_to_h", "lmu.m_to_h", "lmu.h_to_h", "readout_weights")


class FastCell:
    """One recurrent LMU layer and its readout, trainable.

    Parameters
    ----------
    spec
        One input, one layer, tanh (no biases, as in the NengoDL example) or relu (biases).
    length
        Inputs of a sequence.
    seed
        Draws the initial weights, as :func:`spiking_lmu.graph.lmu.build` does.

    Raises
    ------
    SpecError
        Another kind of network.
    """

    def __init__(self, spec: LmuSpec, length: int, seed: int = 0) -> None:
        import_nengo_dl()  # makes tf.keras mean Keras 2
        import tensorflow as tf

        fits = spec.cell == "recurrent" and spec.input_size == 1 and spec.layers == 1
        if not fits or spec.neuron.kind not in ("tanh", "relu") or spec.neuron.amplitude != 1:
            raise SpecError(
                "network for the fast trainer",
                got=f"{spec.cell} cell, {spec.input_size} inputs, {spec.layers} layers, "
                f"{spec.neuron.kind}",
                expected="one recurrent layer with one input and tanh or relu neurons",
                fix="use trainer=nengo-dl",
            )
        self.spec, self._length = spec, length
        graph = build(spec, seed)
        weights = {p.name: p.weights for p in graph.projections}
        self.weights = {name: tf.Variable(weights[name], dtype=tf.float32) for name in WEIGHTS}
        if spec.neuron.kind == "relu":
            self.weights["lmu.h.bias"] = tf.Variable(tf.zeros(spec.units))
            self.weights["readout.bias"] = tf.Variable(tf.zeros(spec.output_size))
        keep = kept(spec.current_tau)
        lowpass = (1.0 - keep) * keep ** np.arange(length)
        response = impulse_response(spec.order, spec.theta, length)[:, ::-1]
        smooth = np.stack([np.convolve(row, lowpass)[:length] for row in response])
        self._memory = tf.constant(smooth, tf.float32)
        self._direct = tf.constant(lowpass[None], tf.float32)

    @property
    def variables(self) -> list[Any]:
        """The trained variables, in a fixed order."""
        return list(self.weights.values())

    def logits(self, u: Any, mask: Any = None, dropped: Any = None) -> Any:
        """Readout at the last input of sequences ``u`` (batch, length).

        ``mask`` (batch, units) multiplies what the hidden layer sees of itself, ``dropped`` what
        the readout sees.
        """
        import tensorflow as tf

        mask = tf.ones((u.shape[0], self.spec.units)) if mask is None else mask
        recurrent = tf.transpose(self.weights["lmu.h_to_h"])
        keep = kept(self.spec.recurrence_tau)
        hidden = last_hidden(self._drive(u), recurrent, mask, keep, self.spec.neuron.kind)
        return self._readout(hidden, dropped)

    def logits_from_memory(self, u: Any, dropped: Any = None) -> Any:
        """The same with recurrent weights of zero: only the last step counts, in one product."""
        import tensorflow as tf

        current = u[:, ::-1] @ tf.transpose(self._kernel()) + self.weights.get("lmu.h.bias", 0.0)
        activate = tf.tanh if self.spec.neuron.kind == "tanh" else tf.nn.relu
        return self._readout(activate(current), dropped)

    def _readout(self, hidden: Any, dropped: Any) -> Any:
        import tensorflow as tf

        hidden = hidden if dropped is None else hidden * dropped
        weights = tf.transpose(self.weights["readout_weights"])
        return hidden @ weights + self.weights.get("readout.bias", 0.0)

    def _kernel(self) -> Any:
        """Current for an input of 1 by how long ago it was, shape (units, length)."""
        return self.weights["lmu.m_to_h"] @ self._memory + self.weights["lmu.x_to_h"] * self._direct

    def _drive(self, u: Any) -> Any:
        """Current from input and memory, shape (length, batch, units)."""
        import tensorflow as tf
        from scipy.fft import next_fast_len

        size = next_fast_len(2 * self._length - 1, real=True)
        pixels = tf.signal.rfft(u, [size])
        kernel = tf.signal.rfft(self._kernel(), [size])
        current = tf.signal.irfft(pixels[:, None] * kernel[None], [size])[..., : self._length]
        return tf.transpose(current, (2, 0, 1)) + self.weights.get("lmu.h.bias", 0.0)

    def graph(self) -> Graph:
        """The network with the weights as they are now."""
        graph = build(self.spec)
        values = {name: v.numpy().astype(float) for name, v in self.weights.items()}
        biased = [
            replace(graph[name], bias=values[f"{name}.bias"])
            for name in ("lmu.h", "readout")
            if f"{name}.bias" in values
        ]
        return replace(
            graph.with_populations(biased),
            projections=tuple(
                p.with_weights(values[p.name]) if p.name in values else p for p in graph.projections
            ),
        )
