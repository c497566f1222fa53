"""Comparing on a made-up target and on the reference, killed, resumed and broken."""

from types import SimpleNamespace

import numpy as np
import pytest

from spiking_lmu.analysis.comparison import Interrupted, Job, compare
from spiking_lmu.backends.target import Run
from spiking_lmu.datasets import from_arrays
from spiking_lmu.errors import DatasetError, TargetError
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.runs.cutting import to_verify

from ..helpers.sharded import MODEL, SAMPLES, DiffersOnUpstream, dataset

MODELS, SETTINGS = {"small": MODEL}, {"workers": 1, "progress": False}


class Target:
    """The definition itself, which stops after some batches."""

    name, extra, summary, distributions = "made-up", "", "the definition", ("numpy",)

    def __init__(self, stop_after=None, error=KeyboardInterrupt):
        self.stop_after, self.error, self.ran, self.verified = stop_after, error, [], []

    def available(self):
        return ""

    def check(self, model):
        return []

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        self.memory_limit = memory_limit
        return self

    placement, batch_size = {"lmu.h": "somewhere"}, 2
    notes, verifies = ("made up",), True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, x, *, raster=False):
        if self.stop_after is not None and len(self.ran) >= self.stop_after:
            raise self.error("stop")
        self.ran.append(len(x))
        outputs = run_reference(MODEL.graph, x, MODEL.timing)
        spikes = {"lmu.h": np.ones((len(x), 20), int)}
        rasters = tuple({"lmu.h": np.zeros((1, 2), int)} for _ in x) if raster else ()
        return Run(outputs, spikes, 0.5, rasters)

    def verify(self, x, run):
        assert run.outputs.shape == run_reference(MODEL.graph, x, MODEL.timing).shape
        self.verified += [int(np.flatnonzero((sample == SAMPLES).all((1, 2)))[0]) for sample in x]


def run(tmp_path, target, n=12, verify=0, **options):
    job = Job(target, n, verify=verify)
    return compare(MODELS, dataset(), [job], **SETTINGS, journal=tmp_path, **options)


def same(one, other):
    np.testing.assert_array_equal(one.outputs, other.outputs)
    np.testing.assert_array_equal(one.indices, other.indices)
    assert one.spikes_per_sample == other.spikes_per_sample


def test_outcome_is_the_targets(tmp_path):
    comparison = run(tmp_path, Target())
    outcome = comparison.outcomes[0]
    expected = run_reference(MODEL.graph, SAMPLES, MODEL.timing)[:, -1]
    np.testing.assert_allclose(outcome.outputs, expected, atol=1e-12)
    assert outcome.spikes_per_sample == 20
    assert outcome.placement == {"lmu.h": "somewhere"}
    assert [trace.index for trace in outcome.traces] == [0, 10, 20]
    rate = run_reference(MODEL.rate, SAMPLES)[:, -1]
    np.testing.assert_allclose(comparison.rate["small"].outputs, rate, atol=1e-12)


def test_a_stopped_run_keeps_what_is_finished_and_goes_on(tmp_path):
    whole = run(tmp_path / "whole", Target()).outcomes[0]
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path / "part", Target(stop_after=3))
    part = stopped.value.comparison.outcomes[0]
    assert len(part.indices) == 3 + 2 + 2
    assert part.wanted == 12
    second = Target()
    resumed = run(tmp_path / "part", second).outcomes[0]
    assert sum(second.ran) == 5
    same(resumed, whole)


def test_finished_samples_serve_smaller_and_larger_runs(tmp_path):
    run(tmp_path, Target(), n=6)
    more, fewer = Target(), Target()
    run(tmp_path, more, n=10)
    assert sum(more.ran) == 4
    assert len(run(tmp_path, fewer, n=4).outcomes[0].indices) == 4
    assert fewer.ran == []


def test_another_model_or_seed_starts_anew(tmp_path):
    run(tmp_path, Target())
    again = Target()
    run(tmp_path, again, seed=1)
    assert sum(again.ran) == 12


def test_other_data_of_the_same_name_start_anew(tmp_path):
    """Names are a user's; what is kept is known by what is in the arrays."""
    answers = np.arange(12) % 3
    outputs = []
    for x in (SAMPLES[:12], 0 * SAMPLES[:12]):
        data = from_arrays(x, answers, test=(x, answers), name="mine").test
        job = Job(Target(), 12, verify=0)
        result = compare(MODELS, data, [job], **SETTINGS, journal=tmp_path)
        outputs.append(result.outcomes[0].outputs)
        np.testing.assert_allclose(
            outputs[-1], run_reference(MODEL.graph, x, MODEL.timing)[:, -1], atol=1e-12
        )
    assert np.abs(outputs[0] - outputs[1]).max() > 0


@pytest.mark.parametrize("error", [TargetError, RuntimeError])
def test_a_failing_target_is_a_row_and_the_others_go_on(tmp_path, error):
    def fail(text):
        if error is RuntimeError:
            return RuntimeError(text)
        return TargetError("x", got="y", expected="z", fix=text)

    jobs = [Job(Target(1, fail), 12), Job(SimpleTarget(), 12)]
    comparison = compare(MODELS, dataset(), jobs, **SETTINGS, journal=tmp_path)
    broken, fine = comparison.outcomes
    assert "stop" in broken.problem
    assert len(broken.indices) == 3
    assert (fine.problem, len(fine.indices)) == ("", 12)


class SimpleTarget(Target):
    name = "simple"


def test_progress_is_told_about_every_sample(tmp_path):
    told = []
    progress = SimpleNamespace(
        start=lambda label, done, total, unit="samples": told.append([label, done, total]),
        advance=lambda samples, label="": told[-1].append(samples),
    )
    run(tmp_path, Target(), n=4)
    compare(MODELS, dataset(), [Job(Target(), 12)], workers=1, journal=tmp_path, progress=progress)
    assert told[-1][:3] == ["small · made-up", 4, 12]
    assert sum(told[-1][3:]) == 8


def test_random_samples_are_verified_once(tmp_path):
    """Those that the seed draws; more of them later, without running anything else again."""
    first, same_again, more, fewer = Target(), Target(), Target(), Target()
    assert run(tmp_path, first, verify=2).outcomes[0].verified == 2
    assert set(first.verified) == set(to_verify(0, 12, 2))
    assert run(tmp_path, same_again, verify=2).outcomes[0].verified == 2
    assert (same_again.ran, same_again.verified) == ([], [])
    assert run(tmp_path, more, verify=5).outcomes[0].verified == 5
    assert set(more.verified) == set(to_verify(0, 12, 5)) - set(to_verify(0, 12, 2))
    assert sum(more.ran) == 3
    assert run(tmp_path, fewer, verify=0).outcomes[0].verified == 5
    assert fewer.ran == []


def test_nothing_is_verified_where_it_cannot_be(tmp_path):
    target = Target()
    target.verifies = False
    assert run(tmp_path, target, verify=3).outcomes[0].verified == 0
    assert target.verified == []
    again = Target()
    again.verifies = False
    run(tmp_path, again, verify=3)
    assert again.ran == []


def test_a_difference_is_the_outcomes_problem(tmp_path):
    for _ in range(2):  # what was not verified is not kept either
        outcome = run(tmp_path, DiffersOnUpstream(), verify=1).outcomes[0]
        assert "other spikes" in outcome.problem
        assert outcome.verified == 0
    assert run(tmp_path, DiffersOnUpstream(), verify=0).outcomes[0].problem == ""


def test_finished_runs_deploy_nothing(tmp_path):
    whole = run(tmp_path, Target(), verify=3).outcomes[0]
    target = Target()
    target.deploy = None
    again = run(tmp_path, target, verify=3).outcomes[0]
    assert (again.problem, again.placement) == ("", whole.placement)
    assert again.notes == ("made up",)


def test_samples_of_another_shape_are_refused_before_anything_runs(tmp_path):
    from dataclasses import replace

    flat = replace(dataset(), x=SAMPLES.reshape(12, 1, 12), lengths=None)
    with pytest.raises(DatasetError, match="12 numbers an input"):
        compare(MODELS, flat, [Job(Target(), 12)], **SETTINGS, journal=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_handed_to_the_target(tmp_path):
    target = Target()
    run(tmp_path, target, memory_limit=12345)
    assert target.memory_limit == 12345
