"""A delayed projection that delivers a mean over the presentation that ended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.errors import SpecError
from spiking_lmu.files.slmu import load, save
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.rate_twin import on_presentations, rate_twin
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

from ..helpers.strategies import graphs


def counting(first=None, begins=0, size=3):
    """Neurons, and a linear population that is what a delayed projection delivers of them."""
    return Graph(
        (
            Population("x", size),
            Population("h", size, Neuron("spiking_relu"), scale=50.0),
            Population("y", size),
        ),
        (
            Projection("x", "h"),
            Projection("h", "y", delay=1, mean_from=first, begins=begins),
        ),
        "x",
        "y",
    )


@pytest.mark.parametrize(("first", "begins"), [(0, 0), (3, 0), (2, 2)])
def test_it_is_the_mean_of_what_came_in_these_steps(first, begins):
    x = np.random.default_rng(0).uniform(0, 9, (2, 5, 3))
    timing, seen = Timing(7, settle_steps=9), []
    outputs = run_reference(
        counting(first, begins), x, timing, lambda step, values, _: seen.append(values["h"])
    )
    of_inputs = np.array(seen)[:35].reshape(5, 7, 2, 3)
    means = of_inputs[:, first:].mean(axis=1)
    for step, index in enumerate(timing.presented(5)):
        ended = means[index - 1] if index >= max(begins, 1) else np.zeros((2, 3))
        np.testing.assert_allclose(outputs[:, step], ended, atol=1e-12)


def averaging(graph, first):
    """The same graph with means in the place of last values."""
    changed = (replace(p, mean_from=first) if p.delay else p for p in graph.projections)
    return replace(graph, projections=tuple(changed))


@settings(max_examples=30, deadline=None)
@given(graphs(("linear", "relu", "tanh"), synapses=False), st.integers(0, 3), st.integers(0, 5))
def test_a_rate_graph_keeps_its_presentations(graph, first, settle):
    x = np.random.default_rng(0).normal(size=(2, 5, graph.input_size))
    want, timing = run_reference(graph, x), Timing(4, settle)
    got = run_reference(averaging(graph, first), x, timing)[:, timing.presentation_ends(5)]
    scale = max(1.0, np.abs(want).max())
    np.testing.assert_allclose(got / scale, want / scale, atol=1e-9)


def test_a_linear_front_end_is_taken_out_as_before():
    """What stands throughout a presentation is its own mean."""
    graph = averaging(build(LmuSpec(order=4, theta=6.0, units=5, output_size=2)), 3)
    front = split(graph)
    assert front is not None
    x, timing = np.random.default_rng(0).normal(size=(2, 5, 1)), Timing(4, 2)
    want = run_reference(graph, x, timing)
    got = run_reference(front.rest, front.deliver(x), timing)
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_the_rate_network_behind_it_reads_rates():
    spiking = counting(first=4)
    rate = rate_twin(spiking)
    assert [p.mean_from for p in rate.projections] == [None, None]
    assert on_presentations(rate, 0.001) is rate
    x = np.random.default_rng(0).uniform(0, 1, (1, 4, 3))
    outputs = run_reference(rate, x)
    np.testing.assert_allclose(outputs[:, 1:], x[:, :-1])


@pytest.mark.parametrize("first", [-1, True, 1.5, "2"])
def test_what_is_no_step_is_refused(first):
    with pytest.raises(SpecError, match="mean_from of x_to_y: got"):
        Projection("x", "y", delay=1, mean_from=first)


def test_a_mean_needs_a_delay_and_steps():
    with pytest.raises(SpecError, match="mean_from of x_to_y: got 3 without a delay"):
        Projection("x", "y", mean_from=3)
    with pytest.raises(SpecError, match="without its first 5 steps, where an input takes 5"):
        Model(counting(first=5), Timing(5))
    with pytest.raises(SpecError, match="use steps_per_input=6 or more"):
        run_reference(counting(first=5), np.zeros((1, 2, 3)), Timing(5))
    assert run_reference(counting(first=5), np.zeros((1, 2, 3)), Timing(6)).shape == (1, 12, 3)


def test_a_file_keeps_it_and_older_files_are_what_they_were(tmp_path):
    plain, counted = (Model(counting(first), Timing(5)) for first in (None, 3))
    assert len({plain.digest, counted.digest, Model(counting(2), Timing(5)).digest}) == 3
    save(counted, tmp_path / "counted.slmu")
    again = load(tmp_path / "counted.slmu")
    assert again.digest == counted.digest
    assert again.graph.projections[1].mean_from == 3
    assert "mean from step 3 on" in repr(again)
