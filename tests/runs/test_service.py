"""The one run service: what was stopped goes on, whatever it was, and the settings reach all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu as sl
from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.errors import SpecError, TargetError
from spiking_lmu.runs.processes import Processes
from spiking_lmu.runs.progress import Silent
from spiking_lmu.runs.runner import Job
from spiking_lmu.runs.service import RunSettings, open_service, rate_task

from ..helpers.sharded import MODEL, Definition, Fails, many

N = 24
DATA = many(N)
QUIET = {"workers": 1, "progress": False, "verify": 0}


class Counting(Silent):
    """Counts the samples that were run, and stops after so many."""

    def __init__(self, stop=None):
        self.ran, self.stop, self.labels = 0, stop, []

    def start(self, label, done, total, unit="samples"):
        self.labels.append(label)

    def advance(self, amount, label=""):
        self.ran += amount
        if self.stop is not None and self.ran >= self.stop:
            raise KeyboardInterrupt


def explained(folder, progress, **settings):
    settings = {**QUIET, "progress": progress, "journal": folder, **settings}
    return sl.explain(MODEL, DATA, "reference", **settings)


def test_an_explanation_that_was_stopped_goes_on(tmp_path):
    whole = Counting()
    expected = explained(tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        explained(tmp_path / "part", Counting(stop=2 * N + 1))
    rest = Counting()
    found = explained(tmp_path / "part", rest)
    assert whole.ran == 5 * N
    assert rest.ran < 3 * N
    for one, other in zip(found.ladder.steps, expected.ladder.steps, strict=True):
        np.testing.assert_array_equal(one.outputs, other.outputs)
        for mine, theirs in zip(one.layers, other.layers, strict=True):
            np.testing.assert_array_equal(mine.histogram, theirs.histogram)
    nothing = Counting()
    explained(tmp_path / "part", nothing)
    assert nothing.ran == 0


def test_an_explanation_is_the_same_in_several_processes(tmp_path):
    here = explained(None, False)
    there = explained(None, False, workers=2)
    for one, other in zip(here.ladder.steps, there.ladder.steps, strict=True):
        np.testing.assert_allclose(one.outputs, other.outputs, atol=1e-9)
        assert (one.step, one.total) == (other.step, other.total)


def calibrated(folder, progress):
    rate = replace(MODEL, graph=MODEL.rate, rate_graph=None, timing=sl.Timing())
    settings = RunSettings(**{**QUIET, "journal": folder, "progress": progress})
    return sl.calibrate(
        rate, DATA, "reference", calibration_samples=N, readout_tau=0.01, settings=settings
    )


def test_a_calibration_that_was_stopped_goes_on(tmp_path):
    whole = Counting()
    expected = calibrated(tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        calibrated(tmp_path / "part", Counting(stop=whole.ran // 2))
    rest = Counting()
    found = calibrated(tmp_path / "part", rest)
    assert 0 < rest.ran <= whole.ran // 2 + N
    assert found.model.digest == expected.model.digest
    assert found.search.to_dict() == expected.search.to_dict()


def test_the_settings_reach_every_rung():
    """Every rung of the target runs under the options of the target itself."""
    given = []

    class Noting(Definition):
        name = "noting"

        def deploy(self, model, inputs, *, seed=0, memory_limit=None, engine: str = "auto"):
            given.append((engine, memory_limit, seed))
            return super().deploy(model, inputs)

        def rungs(self, model, inputs, *, seed=0, memory_limit=None, engine="auto"):
            given.append((engine, memory_limit, seed))
            return ()

    settings = {**QUIET, "seed": 3, "memory_limit": 10**8, "options": {"engine": "stock"}}
    sl.explain(MODEL, DATA, Noting(), **settings)
    assert ("stock", 10**8, 3) in given


def test_an_error_of_a_target_comes_out_as_it_was():
    with pytest.raises(TargetError, match=r"^x: got y, expected z; stop$"):
        sl.explain(MODEL, DATA, Fails("deploy", "family"), **QUIET)
    with (
        open_service(RunSettings(**QUIET)) as service,
        pytest.raises(TargetError, match="RuntimeError: stop at once"),
    ):
        service.run(replace(rate_task("m", MODEL, DATA), job=Job(Fails("run", "other"))))


def test_processes_are_kept_for_the_next_setup():
    """One start for all rungs; the context ends them."""
    import multiprocessing

    model, _ = small_lmu()
    with Processes(2) as workers:
        found = []
        for _ in range(2):
            sl.compare(model, DATA, [Job(sl.get_target("reference"), N)], **_with(workers))
            found.append({child.pid for child in multiprocessing.active_children()})
        assert found[0] == found[1] != set()
    assert multiprocessing.active_children() == []


def _with(workers):
    return {**QUIET, "workers": workers, "memory_limit": 10**6}


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"seed": -1}, "seed: got -1"),
        ({"verify": -1}, "verify: got -1"),
        ({"memory_limit": "many"}, "memory_limit: got 'many'"),
        ({"memory_limit": 0}, "memory_limit: got 0"),
        ({"workers": True}, "workers: got True"),
        ({"cluster": "tcp://a:1", "workers": 2}, "workers: got cluster too"),
    ],
)
def test_settings_out_of_range_name_their_parameter(choices, says):
    with pytest.raises(SpecError, match=f"^{says}"):
        RunSettings(**choices)
