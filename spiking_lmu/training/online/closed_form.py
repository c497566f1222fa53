"""What can be known of the memory before anything runs.

A memory dm/dt = A m + B u answers a wave of frequency f with H(f) = (2πif - A)⁻¹ B.  For white
noise up to a highest frequency all else follows from H.
"""

from __future__ import annotations

import numpy as np

from spiking_lmu.graph.lmu import continuous_matrices

Array = np.ndarray
#: Frequencies at which the spectrum is sampled; the integrands are smooth.
SAMPLES = 400


def frequency_response(order: int, theta: float, frequencies: Array) -> Array:
    """H(f) of each frequency (n,) in Hz, for theta in seconds: complex, shape (n, order)."""
    a, b = continuous_matrices(order, theta)
    waves = 2j * np.pi * np.asarray(frequencies)[:, None, None] * np.eye(order)
    return np.linalg.solve(waves - a, np.broadcast_to(b, (len(waves), order, 1)))[..., 0]


def memory_rms(order: int, theta: float, highest: float, rms: float) -> Array:
    """Root mean square of each dimension (order,) for white noise from 0 to ``highest`` Hz."""
    response = frequency_response(order, theta, _band(highest))
    return rms * np.sqrt(np.mean(np.abs(response) ** 2, axis=0))


def legendre_readout(order: int, theta: float, delay: float) -> Array:
    """Decoders (order,) of u(t - delay) from the memory.

    Source: Voelker et al. 2019, equation 3: the shifted Legendre polynomials at delay/theta.

    >>> legendre_readout(4, theta=1.0, delay=1.0).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    at = 2.0 * delay / theta - 1.0
    return np.polynomial.legendre.legvander(np.array([at]), order - 1)[0]


def best_readout(order: int, theta: float, delay: float, highest: float) -> tuple[Array, float]:
    """The linear readout with the least mean square error on such noise, and that error.

    The error is normalised by the rms of the input; it bounds what any linear readout of
    the memory can reach.
    """
    frequencies = _band(highest)
    response = frequency_response(order, theta, frequencies)
    wanted = np.exp(-2j * np.pi * frequencies * delay)
    rows = np.concatenate([response.real, response.imag])
    decoders = np.linalg.lstsq(rows, np.concatenate([wanted.real, wanted.imag]), rcond=None)[0]
    return decoders, readout_error(decoders, theta, delay, highest)


def readout_error(decoders: Array, theta: float, delay: float, highest: float) -> float:
    """Normalised error of a linear readout of the memory on white noise up to ``highest`` Hz."""
    frequencies = _band(highest)
    got = frequency_response(len(decoders), theta, frequencies) @ decoders
    wanted = np.exp(-2j * np.pi * frequencies * delay)
    return float(np.sqrt(np.mean(np.abs(got - wanted) ** 2)))


def _band(highest: float) -> Array:
    return (np.arange(SAMPLES) + 0.5) / SAMPLES * highest
