"""Every kind of result shows itself in every way; what the API returns is such a result."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import pkgutil
import typing
from dataclasses import replace

import pytest
from rich.console import Console

import spiking_lmu as sl
from spiking_lmu.backends.target import Target
from spiking_lmu.errors import SpecError
from spiking_lmu.report.learning_words import training_table
from spiking_lmu.report.views import VIEWS
from spiking_lmu.runs.result import Result

from ..helpers.results import one_of_each

#: What functions of the API return that is no result: models, data, and ways to more of them.
OTHERS = {sl.Model, sl.Graph, sl.Dataset, sl.Splits, sl.Scaling, sl.Task, sl.Timing, Target}


@pytest.fixture(scope="module")
def results():
    return {type(result): result for result in one_of_each()}


def test_there_is_one_of_each_kind(results):
    for module in pkgutil.walk_packages(sl.__path__, "spiking_lmu."):
        room = module.name.split(".")[1]
        if room in ("analysis", "training", "runs") and "nengo_dl" not in module.name:
            importlib.import_module(module.name)
    assert set(results) == set(Result.__subclasses__()) == set(VIEWS)


def test_each_shows_itself_in_every_way(results, tmp_path):
    for kind, result in results.items():
        name = kind.__name__
        assert json.loads(result.to_json()), name
        assert result._repr_html_().startswith("<div"), name
        assert result.to_html().startswith("<!DOCTYPE html>"), name
        assert result.to_markdown().startswith("# "), name
        assert repr(result) == str(result) != "", name
        console = Console(record=True, width=100, file=io.StringIO())
        console.print(result)
        assert console.export_text().strip(), name
        writers = {"json": result.to_json, "html": result.to_html, "md": result.to_markdown}
        for ending, write in writers.items():
            path = tmp_path / f"{name}.{ending}"
            assert write(path) is None, name  # a notebook would show a page's source
            assert path.read_text() == write(), name
        assert isinstance(VIEWS[kind].rows(result), list), name
        if VIEWS[kind].picture is None:
            with pytest.raises(SpecError, match="something to draw"):
                result.to_svg()


def test_lines_stay_lines(results):
    explanation = next(r for r in results.values() if type(r).__name__ == "Explanation")
    names = [step.name for step in explanation.ladder.steps]
    fragment, document = explanation._repr_html_(), explanation.to_markdown().splitlines()
    assert [name for name in names if f"<p>{name}: " not in fragment] == []
    assert [n for n in names if not any(line.startswith(f"{n}: ") for line in document)] == []


def test_a_regression_is_no_accuracy(results):
    trained = next(r for r in results.values() if type(r).__name__ == "TrainingResult")
    assert "NRMSE on 40 test samples: 0.1 (0.08–0.12)" in trained.to_html()
    assert "Validation" in str(trained)


def test_a_long_curve_is_shown_in_a_few_rows(results):
    trained = next(r for r in results.values() if type(r).__name__ == "TrainingResult")
    curve = [{"loss": 1.0, "validation_loss": 2.0}] * 40 + [{"loss": 1.0, "refit": 1.0}] * 30
    table = training_table(replace(trained, curve=curve))
    epochs = list(table.columns[0].cells)
    assert epochs[:2] == ["1", "5"]
    assert [epochs[i] for i in (9, 10, -1)] == ["40", "on all, 1", "on all, 30"]
    assert "20 of 70 epochs" in str(table.caption)
    short = training_table(replace(trained, curve=curve[:3]))
    assert (short.row_count, short.caption) == (3, None)


@pytest.mark.parametrize("name", sl.__all__)
def test_functions_return_results_or_parts_of_models(name):
    function = getattr(sl, name)
    if not inspect.isfunction(function):
        return
    returned = typing.get_type_hints(
        function, vars(importlib.import_module(function.__module__)) | vars(typing) | NAMES
    )["return"]
    if inspect.isclass(returned) and returned.__module__.startswith("spiking_lmu"):
        assert issubclass(returned, Result) or returned in OTHERS, returned


#: For annotations that are imported for types alone.
NAMES = {kind.__name__: kind for kind in OTHERS}
