"""The simulators that upstream's suites get: equal, different and refused are told apart."""

import json

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo

from ..helpers.side_by_side import HostSideBySide, difference
from .test_benchmark import script

nengo = import_nengo()


def network(rule=None):
    with nengo.Network(seed=0) as net:
        source, end = nengo.Node(lambda t: np.sin(20 * t)), nengo.Node(size_in=1)
        ensemble = nengo.Ensemble(20, 1)
        nengo.Connection(source, ensemble)
        learned = nengo.Connection(ensemble, end, learning_rule_type=rule)
        if rule is not None:
            nengo.Connection(end, learned.learning_rule)
        nengo.Probe(end, synapse=0.01, sample_every=0.005)
    return net


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    monkeypatch.setenv("SIDE_BY_SIDE_LOG", str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def run(net):
    with HostSideBySide(net) as simulator:
        simulator.run_steps(20)
        simulator.reset()
        simulator.run_steps(10)


def test_equal(log):
    run(network())
    assert [(line["kind"], line["steps"]) for line in log()] == [("equal", 20), ("equal", 10)]


def test_a_difference_is_noticed(log, monkeypatch):
    from spiking_lmu.backends.batched.host import BatchedHost

    real = BatchedHost.probed
    monkeypatch.setattr(BatchedHost, "probed", lambda self, probe: real(self, probe) + 1e-6)
    run(network())
    assert {line["kind"] for line in log()} == {"differs"}
    assert "strict, step 1" in log()[0]["why"]


def test_what_is_not_run_exactly_is_refused(log):
    run(network(nengo.PES()))
    assert {line["kind"] for line in log()} == {"refused"}
    summary = script("upstream-suites").summary(log())
    assert summary["simulations"] == {"refused": 2}
    assert len(summary["refused because"]) == 1


def test_differences_within_rounding_are_allowed_where_said():
    values = np.array([1.0, 2.0])
    assert difference(values, values, None) == ""
    assert difference(values + 1e-12, values, 1e-9) == ""
    assert "apart" in difference(values + 1e-12, values, None)
    assert "shape" in difference(values[:1], values, None)
