"""A made-up but plausible comparison: 3 targets, 2 neurons, 200 images, 346 neurons."""

from __future__ import annotations

import dataclasses

import numpy as np

from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.runs.results import Outcome, Trace

N, STEPS, CLASSES = 200, 834, 10
POPULATIONS = {"u": 2, "m": 256, "h": 88}
TARGETS = {"reference": "host", "nengo-dl": "host", "loihi": "chip emulator"}
HOSTILE = '<script src="https://example.invalid/x.js"></script>|*`\x1b[31m$x_1$'


def decide(labels: np.ndarray, wrong: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Outputs whose largest value is the label except for the samples ``wrong``."""
    decided = labels.copy()
    decided[wrong] = (labels[wrong] + rng.choice([2, 5, 7], len(wrong))) % CLASSES
    outputs = rng.normal(0, 0.1, (len(labels), CLASSES))
    outputs[np.arange(len(labels)), decided] += 1
    return outputs


def make_trace(index: int, decided: int, label: int, rng: np.random.Generator) -> Trace:
    time_ = np.linspace(0, 1, STEPS)[:, None]
    heights = rng.normal(0, 0.15, CLASSES)
    heights[[label, decided]] = 0.75, 0.9
    readout = heights * time_**2 + np.cumsum(rng.normal(0, 0.006, (STEPS, CLASSES)), axis=0)
    readout[-60:] = readout[-60:-59] + np.linspace(0, 1, 60)[:, None] ** 0.3 * (
        heights - readout[-60]
    )
    spikes = {}
    for name, size in POPULATIONS.items():
        rate = rng.gamma(0.6, 0.03, size) * (1 + np.sin(9 * time_ + np.arange(size) / 20))
        spikes[name] = np.argwhere(rng.random((STEPS, size)) < rate)
    return Trace(index, readout, spikes)


def make_comparison(traced: int = 2) -> Comparison:
    rng = np.random.default_rng(7)
    indices = np.sort(rng.choice(10_000, N, replace=False))
    labels = rng.integers(0, CLASSES, N)
    errors = rng.permutation(np.arange(traced, N))
    # The second traced sample is wrong on loihi only.
    errors = np.insert(errors, 15, np.arange(traced)[1:2])
    rate_outputs = decide(labels, errors[:4], rng)
    disk = np.hypot(*np.mgrid[-14:14, -14:14])
    images = {int(i): np.exp(-((disk - 4 - k) ** 2) / 4) for k, i in enumerate(indices[:traced])}
    rate, outcomes = {}, []
    lost = {"reference": 3, "nengo-dl": 4, "loihi": 17}
    for model, neuron in (
        ("psmnist-if.slmu", "SpikingRectifiedLinear"),
        ("psmnist-lif.slmu", "LIF"),
    ):
        everything = {name: rng.poisson(9 * size, N) for name, size in POPULATIONS.items()}
        rate[model] = Outcome(
            model, "RectifiedLinear", "rate", indices, rate_outputs, {}, {}, 1.3, 784, N
        )
        for target, place in TARGETS.items():
            n = 120 if (target, neuron) == ("loihi", "LIF") else N
            extra = lost[target] + (4 if neuron == "LIF" else 0)
            outputs = decide(labels, errors[1 : 4 + extra], rng)
            traces = tuple(
                make_trace(int(i), int(outputs[k].argmax()), int(labels[k]), rng)
                for k, i in enumerate(indices[:traced])
            )
            outcomes.append(
                Outcome(
                    model,
                    neuron,
                    target,
                    indices[:n],
                    outputs[:n],
                    {name: counts[:n] for name, counts in everything.items()},
                    {"input": "host", "u": place, "m": place, "h": place, "output": "host"},
                    {"reference": 95.0, "nengo-dl": 21.5, "loihi": 4210.0}[target],
                    STEPS,
                    N,
                    "interrupted by the user" if n < N else "",
                    traces,
                    {"seed": 0, "minibatch": 50, "target_version": "1.1.0"},
                )
            )
    provenance = {
        "command": "spiking-lmu compare psmnist-if.slmu psmnist-lif.slmu --samples 200 --trace 2",
        "date": "2025-01-01T12:00:00Z",
        "seed": 0,
        "versions": {"spiking-lmu": "0.1.0", "nengo": "4.1.0", "numpy": "2.1.3"},
        "sha256": {"psmnist-if.slmu": "9f" * 32, "psmnist-lif.slmu": "3c" * 32},
    }
    return Comparison(
        "psmnist test",
        10_000,
        indices,
        labels,
        images,
        tuple("0123456789"),
        rate,
        tuple(outcomes),
        provenance,
    )


def one(comparison: Comparison, **changes: object) -> Comparison:
    """The comparison with its first outcome alone, changed."""
    outcome = dataclasses.replace(comparison.outcomes[0], **changes)
    rate = {outcome.model: comparison.rate["psmnist-if.slmu"]}
    return dataclasses.replace(comparison, outcomes=(outcome,), rate=rate)


def hostile(comparison: Comparison) -> Comparison:
    """The comparison with markup, control characters and mathematics in every name."""
    outcome = dataclasses.replace(
        comparison.outcomes[0],
        model=HOSTILE,
        neuron=HOSTILE,
        target=HOSTILE,
        problem=HOSTILE,
        placement={HOSTILE: HOSTILE},
        options={HOSTILE: HOSTILE},
        traces=tuple(
            dataclasses.replace(t, spikes={HOSTILE: t.spikes["m"]})
            for t in comparison.outcomes[0].traces
        ),
    )
    return dataclasses.replace(
        comparison,
        outcomes=(outcome,),
        data=HOSTILE,
        classes=(HOSTILE,) * CLASSES,
        rate={HOSTILE: comparison.rate["psmnist-if.slmu"]},
        provenance={HOSTILE: HOSTILE},
    )
