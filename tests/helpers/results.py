"""One small result of every kind, made up where making a real one takes long."""

from __future__ import annotations

import numpy as np

import spiking_lmu as sl
from spiking_lmu.analysis.calibration import Calibration, CalibrationResult, Screened, Trial
from spiking_lmu.analysis.choice import Candidate, Choice
from spiking_lmu.analysis.free_run import FORCED, PERSISTENCE, FreeRun
from spiking_lmu.analysis.memories import MemoryChoice, TriedMemory
from spiking_lmu.analysis.metrics import Score
from spiking_lmu.analysis.statistics import mcnemar
from spiking_lmu.analysis.tradeoff import Point
from spiking_lmu.backends.contract import rate_lmu, small_lmu
from spiking_lmu.conversion import Options
from spiking_lmu.runs.result import Result
from spiking_lmu.training.online.delay import LearnedDelay
from spiking_lmu.training.online.delay_line import LineDelay
from spiking_lmu.training.online.delay_spec import DelaySpec
from spiking_lmu.training.train import TrainingResult

QUIET = {"workers": 1, "progress": False}
TASK = sl.Task(names=("a", "b", "c"))


def one_of_each() -> list[Result]:
    """Results of every kind that there is, in no order."""
    spiking, x = small_lmu()
    rate, _ = rate_lmu()
    data = sl.Dataset("made up", "test", x, [0, 1, 2, 0], TASK)
    compared = sl.compare(spiking, data, "reference", samples=3, explain=3, **QUIET)
    tuned = sl.fine_tune(rate, data, noise=0.1, batches=3, progress=False)
    return [
        compared,
        compared.explanations[0],
        compared.tradeoffs[0],
        sl.check(spiking, "reference"),
        sl.energy(spiking, compared),
        tuned,
        _calibrated(spiking),
        _trained(rate),
        _choice(data),
        *_delays(),
        _memories(spiking),
        _free_run(),
    ]


def _calibrated(spiking: sl.Model) -> CalibrationResult:
    paired = mcnemar(np.array([True, False]), np.array([True, True]))
    point = Point(20, 0.01, 32, 0.5, paired, 1, 1, 0.1, 40.0, {"chip": 1e-6})
    found = Calibration(
        {"lmu.h": 200.0},
        point,
        (Screened({"lmu.h": 200.0}, 1, 1, 0.1),),
        ((Trial({"lmu.h": 200.0}, 2, (point,)),),),
    )
    spiking.provenance["conversion"] = {"calibration": found.to_dict()}
    return CalibrationResult(spiking, Options(), "reference", "made up train", 2, found)


def _trained(rate: sl.Model) -> TrainingResult:
    curve = [{"loss": 0.5, "validation_loss": 0.6}, {"loss": 0.4, "validation_loss": 0.5}]
    settings = {"epochs": 2}
    rate.provenance["training"] = {"settings": settings}
    return TrainingResult(rate, "made up", curve, Score("nrmse", 0.1, 0.08, 0.12, 40), settings)


def _choice(data: sl.Dataset) -> Choice:
    tried = Candidate("3 levels", "rate loop", 50, 0.98, 0.5, -0.1, 1.0, 12, None, False)
    found = Candidate("5 levels", "reference", 50, 1.0, 0.0, -0.1, 0.1, 12, 30.0, True)
    return Choice(Options(), data, found, 0.2, (tried, found), True, "", 1.0)


def _delays() -> tuple[Result, Result]:
    spec = DelaySpec(duration=2.0, off=1.0, neurons=4)
    wave = np.sin(np.arange(spec.steps) / 20.0)
    late = np.roll(wave, spec.delay_steps)
    ensemble = np.ones((4, spec.order)), np.ones(4), np.ones(4), np.ones(4)
    learned = LearnedDelay(spec, "reference", wave, late, 0.9 * late, *ensemble, 1.0)
    return learned, LineDelay(spec, "reference", 6, wave, late, 0.9 * late, 100, 1000, 1.0)


def _free_run() -> FreeRun:
    truth = np.sin(np.arange(12.0)).reshape(1, 12, 1).repeat(2, axis=0)
    names = (PERSISTENCE, FORCED, "rate", "reference")
    predictions = {name: truth + 0.1 * place for place, name in enumerate(names)}
    return FreeRun(
        "lmu", "made up test", "reference", 5, truth, np.ones(1), predictions, {}, 40.0, None, 1, 1
    )


def _memories(spiking: sl.Model) -> MemoryChoice:
    host = TriedMemory(
        "host",
        0,
        score=0.9,
        low=0.8,
        high=0.95,
        loss=0.0,
        spikes=10.0,
        synops=20.0,
        macs=30.0,
        updates=40.0,
        cores=1,
        steps=12,
    )
    line = TriedMemory("line", 1, problem="too many neurons")
    return MemoryChoice(
        spiking, "reference", "made up train", 9, True, "accuracy", 0.9, 0.5, (host, line), host
    )
