"""The loop over time of a recurrent hidden layer in TensorFlow, with its gradient written out.

Only this loop is sequential.  Its gradient is a second loop that carries two small arrays; the
gradient of the recurrent weights is one matrix product over all steps afterwards, where
automatic differentiation would add up one product a step.
"""

from __future__ import annotations

from typing import Any


def last_hidden(drive: Any, recurrent: Any, mask: Any, keep: float, kind: str) -> Any:
    """Hidden values at the last step of h[t] = f(drive[t] + (r[t] * mask) W), from rest.

    The trace r[t] = keep r[t-1] + (1 - keep) h[t-1] is what the layer sees of itself;
    with ``keep`` 0 it is h one step earlier.

    Parameters
    ----------
    drive
        Everything else that is added up, shape (steps, batch, units).
    recurrent
        Weights W of shape (units, units), from source (rows) to target (columns).
    mask
        Factors on the trace, (batch, units), without a gradient.
    keep
        Share of the trace that is kept from one step to the next, 0 to below 1.
    kind
        ``tanh`` or ``relu``.
    """
    import tensorflow as tf

    steps = drive.shape[0]
    shape = (drive.shape[1], drive.shape[2])
    activate = tf.tanh if kind == "tanh" else tf.nn.relu

    def forward(drive: Any, recurrent: Any) -> tuple[Any, Any]:
        hidden = tf.TensorArray(tf.float32, steps, element_shape=shape)
        traces = tf.TensorArray(tf.float32, steps, element_shape=shape)
        zero = tf.zeros(shape)

        def body(t: Any, h: Any, r: Any, hidden: Any, traces: Any) -> tuple[Any, ...]:
            r = keep * r + (1.0 - keep) * h if keep else h
            seen = r * mask
            h = activate(drive[t] + seen @ recurrent)
            return t + 1, h, r, hidden.write(t, h), traces.write(t, seen)

        state = tf.while_loop(
            lambda t, *_: t < steps, body, (0, zero, zero, hidden, traces), parallel_iterations=1
        )
        return state[3].stack(), state[4].stack()

    def backward(hidden: Any, traces: Any, recurrent: Any, upstream: Any) -> tuple[Any, Any]:
        slopes = tf.TensorArray(tf.float32, steps, element_shape=shape)
        back = tf.transpose(recurrent)

        def body(t: Any, dh: Any, dr: Any, slopes: Any) -> tuple[Any, ...]:
            h = hidden[t]
            slope = dh * (1.0 - h * h) if kind == "tanh" else dh * tf.cast(h > 0, tf.float32)
            dr = keep * dr + (slope @ back) * mask
            return t - 1, (1.0 - keep) * dr, dr, slopes.write(t, slope)

        state = tf.while_loop(
            lambda t, *_: t >= 0,
            body,
            (steps - 1, upstream, tf.zeros(shape), slopes),
            parallel_iterations=1,
        )
        slope = state[3].stack()
        return slope, tf.tensordot(traces, slope, [[0, 1], [0, 1]])

    @tf.custom_gradient
    def scan(drive: Any, recurrent: Any) -> Any:
        hidden, traces = forward(drive, recurrent)

        def gradient(upstream: Any) -> tuple[Any, Any]:
            return backward(hidden, traces, recurrent, upstream)

        return hidden[-1], gradient

    return scan(drive, recurrent)
