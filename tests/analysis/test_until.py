"""Runs that stop when the difference is known: early, on finished prefixes, and resumable."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from spiking_lmu.analysis.anytime import anytime_interval
from spiking_lmu.analysis.comparison import Comparison, Interrupted, Job, compare, known_to
from spiking_lmu.report import rows
from spiking_lmu.runs.processes import Processes
from spiking_lmu.runs.single import ThisProcess

from ..helpers.sharded import MODEL, Definition, Deployed, many

N = 1200
DATA = many(N)
UNTIL = 2.0


class Batches(Definition):
    """The definition in larger batches; remembers them."""

    def __init__(self):
        self.ran = []

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        deployed = Deployed(self, model)
        deployed.batch_size = 100
        return deployed

    def before(self, x):
        self.ran.append(len(x))


class Kills(Batches):
    """The first process to run a batch is killed."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def before(self, x):
        if not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def run(folder, target=None, *, samples=N, until=UNTIL, **options) -> Comparison:
    job = Job(target or Batches(), samples, verify=options.pop("verify", 0))
    settings = {"workers": 1, "progress": False, "journal": folder, **options}
    return compare({"small": MODEL}, DATA, [job], until=until, **settings)


class StopsAfter:
    """Progress that interrupts when the target has so many batches finished."""

    def __init__(self, batches):
        self.left = batches

    def start(self, label, done, total, unit="samples"):
        self.label = label

    def advance(self, samples, label=""):
        self.left -= "until" in self.label
        if not self.left:
            raise KeyboardInterrupt


def outcome_of(*arguments, **options):
    return run(*arguments, **options).outcomes[0]


def half_width(comparison: Comparison, n: int) -> float:
    rate, outcome = comparison.rate["small"], comparison.outcomes[0]
    ours = outcome.decisions[:n] == DATA.y[:n]
    theirs = rate.decisions[:n] == DATA.y[:n]
    return anytime_interval(ours.astype(int) - theirs, N).half_width


def is_prefix(outcome) -> bool:
    return outcome.indices.tolist() == DATA.indices[: len(outcome.indices)].tolist()


def test_a_run_ends_at_the_first_batch_that_is_enough(tmp_path):
    target = Batches()
    comparison = run(tmp_path, target)
    outcome, n = comparison.outcomes[0], len(comparison.outcomes[0].indices)
    assert n == sum(target.ran) < N
    assert is_prefix(outcome)
    assert half_width(comparison, n - target.ran[-1]) > UNTIL >= half_width(comparison, n)
    assert outcome.record["until"] == {"points": UNTIL, "reached": True, "samples": n}
    assert (outcome.wanted, outcome.until) == (n, UNTIL)
    assert len(comparison.rate["small"].indices) == N
    row = rows(comparison)[1]
    assert (row.paired.half_width, row.partial) == (half_width(comparison, n), False)


def test_too_few_samples_are_said_to_be_too_few(tmp_path):
    outcome = outcome_of(tmp_path, samples=40)
    assert outcome.record["until"] == {"points": UNTIL, "reached": False, "samples": 40}
    assert (len(outcome.indices), outcome.wanted) == (40, 40)


def test_all_samples_are_the_exact_difference(tmp_path):
    comparison = run(tmp_path, until=1e-6)
    outcome, rate = comparison.outcomes[0], comparison.rate["small"]
    assert outcome.record["until"]["reached"]
    assert len(outcome.indices) == N
    paired = rows(comparison)[1].paired
    truth = 100 * ((outcome.decisions == DATA.y).mean() - (rate.decisions == DATA.y).mean())
    assert (paired.low, paired.high) == (pytest.approx(truth), pytest.approx(truth))


def test_the_journal_serves_runs_with_and_without(tmp_path):
    first, rest, again = Batches(), Batches(), Batches()
    early = outcome_of(tmp_path, first)
    whole = outcome_of(tmp_path, rest, until=None)
    assert sum(first.ran) + sum(rest.ran) == N == len(whole.indices)
    assert "until" not in whole.record
    np.testing.assert_array_equal(whole.outputs[: len(early.indices)], early.outputs)
    assert len(outcome_of(tmp_path, again).indices) == N
    assert again.ran == []


def test_an_interrupted_run_goes_on_to_the_same_end(tmp_path):
    whole = outcome_of(tmp_path / "whole")

    with pytest.raises(Interrupted) as stopped:
        run(tmp_path / "part", progress=StopsAfter(2))
    part = stopped.value.comparison.outcomes[0]
    assert is_prefix(part)
    assert 0 < len(part.indices) < len(whole.indices)
    assert (part.record["until"]["reached"], part.wanted) == (False, N)
    resumed = outcome_of(tmp_path / "part")
    assert resumed.record["until"]["reached"]
    shared = min(len(whole.indices), len(resumed.indices))
    np.testing.assert_array_equal(resumed.outputs[:shared], whole.outputs[:shared])
    np.testing.assert_allclose(len(resumed.indices), len(whole.indices), atol=100)


class BackToFront:
    """Workers that are given four shards at a time and finish the last one first."""

    size, here = 4, True

    @contextmanager
    def open(self, setup, samples):
        def results(shards):
            coming = iter(shards)
            while some := list(islice(coming, 4)):
                for shard in reversed(some):
                    yield from crew.results([shard])

        with ThisProcess().open(setup, samples) as crew:
            yield SimpleNamespace(size=4, results=results)


def test_samples_that_finish_early_do_not_count_before_their_turn(tmp_path):
    """Stopped after the first result of the second four, which is the last of them."""

    with pytest.raises(Interrupted) as stopped:
        run(tmp_path, until=1.0, workers=BackToFront(), progress=StopsAfter(5))
    part = stopped.value.comparison.outcomes[0]
    (journal,) = tmp_path.glob("made-up-*.sqlite")
    with closing(sqlite3.connect(journal)) as connection:
        ((finished,),) = connection.execute("SELECT count(*) FROM samples")
    # The trace, three shards of 100, and a fifth that is not the next.
    assert is_prefix(part)
    assert part.record["until"]["samples"] == len(part.indices) < finished - 50


@pytest.mark.parametrize("workers", [BackToFront(), Processes(2)], ids=["late", "processes"])
def test_workers_give_a_prefix_that_is_enough(tmp_path, workers):
    comparison = run(tmp_path, workers=workers, verify=3)
    outcome = comparison.outcomes[0]
    n = len(outcome.indices)
    assert is_prefix(outcome)
    assert half_width(comparison, n) <= UNTIL
    assert (outcome.problem, outcome.verified, len(outcome.traces)) == ("", 3, 3)


def test_a_dead_worker_changes_nothing_of_that(tmp_path):
    (tmp_path / "deaths").mkdir()
    outcome = outcome_of(tmp_path, Kills(tmp_path / "deaths"), workers=Processes(2))
    assert (tmp_path / "deaths/died").exists()
    assert is_prefix(outcome)
    assert (outcome.problem, outcome.record["until"]["reached"]) == ("", True)


def test_samples_that_the_rate_model_lacks_decide_nothing(tmp_path):
    comparison = run(tmp_path)
    rate, outcome = comparison.rate["small"], comparison.outcomes[0]
    done = [
        SimpleNamespace(index=i, output=y)
        for i, y in zip(outcome.indices.tolist(), outcome.outputs, strict=True)
    ]
    has = np.arange(N) != 100
    lacking = replace(rate, indices=rate.indices[has], outputs=rate.outputs[has])
    none = replace(rate, indices=rate.indices[:0], outputs=rate.outputs[:0])
    known = [known_to(UNTIL, given, DATA)(done) for given in (rate, lacking, none)]
    assert known == [True, False, False]
