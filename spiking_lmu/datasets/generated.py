"""Data that a seed decides: the Mackey-Glass series and band-limited noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiking_lmu.errors import DatasetError
from spiking_lmu.graph.task import Task

from .dataset import Dataset, Splits
from .request import Request

Array = np.ndarray
#: From a generator, samples and steps: x and y.
Draw = Callable[[np.random.Generator, int, int], tuple[Array, Array]]

#: Euler steps for each unit of time.
SUBSTEPS = 10
#: Units of time at the beginning that are left out: the series forgets how it started.
WASHOUT = 100


def mackey_glass(request: Request) -> Splits:
    """Predict a chaotic series some steps ahead, at every step.

    Options: ``ahead`` (15), ``tau`` (17), ``length`` (1000 steps), ``samples`` (64 for training,
    a fourth of that each for validation and test), ``seed`` (0), and ``step`` (1), the units of
    time from one input to the next, in which ``tau`` is.

    Source: M. C. Mackey and L. Glass, "Oscillation and chaos in physiological control systems",
    Science 197 (1977) 287-289; the task, 15 steps ahead at tau = 17, is that of A. R. Voelker,
    I. Kajić, C. Eliasmith, "Legendre Memory Units", NeurIPS 2019, section 3.3.
    """
    request.require({"ahead", "tau", "length", "samples", "seed", "step", "dt"}, argument=False)
    ahead = _within(request, "ahead", 15, 1, 10_000)
    tau = _within(request, "tau", 17, 1, 1000)
    step = _within(request, "step", 1, 1, 1000)

    def draw(rng: np.random.Generator, samples: int, length: int) -> tuple[Array, Array]:
        series = mackey_glass_series(rng, samples, (length + ahead) * step, tau)[:, ::step]
        return series[:, :length, None], series[:, ahead:, None]

    return _generated(request, "mackey-glass", 1000, (f"in {ahead} steps",), draw)


def mackey_glass_series(
    rng: np.random.Generator, samples: int, length: int, tau: int = 17
) -> Array:
    """Series of length ``length`` from random beginnings, shape (samples, length).

    dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t), by Euler's method with
    :data:`SUBSTEPS` steps a unit of time; then tanh(x - 1), which is about ±0.4, as is usual.
    """
    history = 1.2 + 0.2 * (rng.uniform(size=(tau * SUBSTEPS, samples)) - 0.5)
    x = np.full(samples, 1.2)
    series = np.empty((length, samples))
    oldest = 0
    for step in range(-WASHOUT, length):
        for _ in range(SUBSTEPS):
            delayed = history[oldest].copy()
            history[oldest] = x
            oldest = (oldest + 1) % len(history)
            x = x + (0.2 * delayed / (1.0 + delayed**10) - 0.1 * x) / SUBSTEPS
        if step >= 0:
            series[step] = x
    return np.tanh(series.T - 1.0)


def noise(request: Request) -> Splits:
    """Band-limited noise, and at every step its value some steps ago.

    Options: ``delay`` (10 steps), ``band`` (highest frequency, 0.05 periods a step), ``length``
    (500 steps), ``samples`` (64 for training), ``seed`` (0), ``dt``.  Values have a root mean
    square of 0.5; before the first step the value is 0.
    """
    request.require({"delay", "band", "length", "samples", "seed", "dt"}, argument=False)
    delay = _within(request, "delay", 10, 0, 10_000)
    band = request.number("band", 0.05)
    if not 0 < band <= 0.5:
        raise DatasetError(
            "band of noise", got=f"{band:g}", expected="0 to 0.5 periods a step", fix="try 0.05"
        )

    def draw(rng: np.random.Generator, samples: int, length: int) -> tuple[Array, Array]:
        x = band_limited(rng, samples, length, band)
        y = np.zeros_like(x)
        y[:, delay:] = x[:, : max(0, length - delay)]
        return x[:, :, None], y[:, :, None]

    return _generated(request, "noise", 500, (f"{delay} steps ago",), draw)


def band_limited(rng: np.random.Generator, samples: int, length: int, band: float) -> Array:
    """White up to ``band`` periods a step and nothing above, root mean square 0.5."""
    spectrum = rng.normal(size=(samples, length // 2 + 1, 2)) @ np.array([1.0, 1.0j])
    frequency = np.fft.rfftfreq(length)
    spectrum[:, (frequency == 0) | (frequency > max(band, 1 / length))] = 0
    x = np.fft.irfft(spectrum, length, axis=1)
    x *= 0.5 / np.sqrt(np.mean(x**2, axis=1, keepdims=True))
    return np.asarray(x)


def _generated(
    request: Request, name: str, length: int, names: tuple[str, ...], draw: Draw
) -> Splits:
    """Three parts from three streams of one seed."""
    seed = _within(request, "seed", 0, 0, 2**31)
    length = _within(request, "length", length, 2, 1_000_000)
    samples = _within(request, "samples", 64, 4, 100_000)
    task = Task("regression", "every", names)
    dt = request.number("dt", 1.0) if "dt" in request.options else None
    parts: dict[str, Dataset] = {}
    for place, (split, share) in enumerate((("train", 1), ("validation", 4), ("test", 4))):
        rng = np.random.default_rng([seed, place])
        x, y = draw(rng, samples // share, length)
        source = f"generated by seed {seed}"
        parts[split] = Dataset(request.name, split, x, y, task, source=source, dt=dt)
    return Splits(request.name, dict(parts))


def _within(request: Request, key: str, default: int, low: int, high: int) -> int:
    value = request.whole(key, default)
    if not low <= value <= high:
        raise DatasetError(
            f"{key} of {request.name}",
            got=str(value),
            expected=f"{low} to {high}",
            fix="choose a number in that range",
        )
    return value
