"""A target of somebody else's: every command works with it, and a broken one stops no other."""

import json

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu import datasets
from spiking_lmu.backends import registry
from spiking_lmu.backends.contract import TargetContract, small_lmu
from spiking_lmu.backends.options import TargetOption, check_options, options_of
from spiking_lmu.backends.registry import find_targets, get_target
from spiking_lmu.backends.target import Deployment, Target
from spiking_lmu.cli.main import complete_parser, main
from spiking_lmu.conversion import measure_activity
from spiking_lmu.errors import SpecError, TargetError
from spiking_lmu.files import slmu
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model

from ..helpers import sharded
from ..helpers.third_party import example_files, install, quantised, tutorials_contract

__all__ = ["quantised"]

#: The contract over the target of the tutorial, as the tutorial writes it.
TestCoarse = tutorials_contract()


class TestQuantised(TargetContract):
    """The contract, over the example of the documentation."""

    @pytest.fixture(autouse=True)
    def _installed(self, quantised):
        self.target = quantised


def test_the_example_is_three_files():
    assert set(example_files()) == {
        "pyproject.toml",
        "quantised/__init__.py",
        "quantised/simulator.py",
    }


@pytest.fixture
def rate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph = build(LmuSpec(order=4, units=8))
    x = datasets.load("psmnist", "test", samples=2).x
    slmu.save(Model(graph, activity=measure_activity(graph, x)), "rate.slmu")


def test_every_command_has_it(quantised, rate, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["targets"]) == 0
    assert "neurons that fire at one of a few rates" in capsys.readouterr().out

    assert (
        main(
            [
                "convert",
                "rate.slmu",
                "-o",
                "spiking.slmu",
                "--target",
                "quantised",
                "--settle-steps",
                "5",
            ]
        )
        == 0
    )
    assert "200 Hz" in capsys.readouterr().out
    assert main(["convert", "rate.slmu", "-o", "fast.slmu", "--max-rate", "800"]) == 0

    assert main(["check", "spiking.slmu", "--target", "quantised"]) == 0
    assert "nothing to say against it" in capsys.readouterr().out
    assert main(["check", "fast.slmu", "--target", "quantised"]) == 0
    assert "1 warning" in capsys.readouterr().out

    compare = [
        "compare",
        "spiking.slmu",
        "--targets",
        "reference,quantised",
        "--samples",
        "2",
        "--workers",
        "1",
    ]
    assert main([*compare, "--bits", "1", "--json", "coarse.json"]) == 0
    assert main([*compare, "--json", "fine.json", "--report", "page.html"]) == 0
    coarse, fine = (outputs(name) for name in ("coarse.json", "fine.json"))
    np.testing.assert_array_equal(coarse["reference"], fine["reference"])
    assert not np.array_equal(coarse["quantised"], fine["quantised"])
    with open("page.html", encoding="utf-8") as file:
        assert "quantised" in file.read()

    assert main(["explain", "spiking.slmu", "--target", "quantised", "--samples", "2"]) == 0
    assert "quantised against the rate model" in capsys.readouterr().out


def outputs(name):
    """Spikes of each run by target."""
    with open(name, encoding="utf-8") as file:
        return {row["target"]: row["spikes"] for row in json.load(file)["rows"]}


def test_documents_show_its_options(quantised):
    (commands,) = complete_parser()._subparsers._group_actions
    for name in ("compare", "run", "explain"):
        assert "--bits" in commands.choices[name].format_help(), name


def test_its_options_are_in_the_help_and_checked(quantised, rate, capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--bits BITS" in shown
    assert (
        "quantised: How finely a firing rate is set: there are 2 to this power. (default 8)"
        in shown
    )
    main(["convert", "rate.slmu", "-o", "spiking.slmu", "--settle-steps", "5"])
    capsys.readouterr()
    run = ["run", "spiking.slmu", "--samples", "1"]
    assert main([*run, "--target", "quantised", "--bits", "many"]) == 1
    assert "bits: got 'many', expected a whole number" in capsys.readouterr().err
    assert main([*run, "--target", "reference", "--bits", "4"]) == 1
    assert "--bits: got '4', expected an option of reference" in capsys.readouterr().err
    assert main([*run, "--target", "quantised", "--bits", "0", "--workers", "1"]) == 1
    assert "bits of quantised: got 0, expected 1 to 16" in " ".join(capsys.readouterr().out.split())


ANYTHING = {
    "missing": ("raise RuntimeError('two\\nlines \\x1b[31m')", "TARGET", "RuntimeError: two lines"),
    "exits": ("import sys; sys.exit(3)", "TARGET", "SystemExit: 3"),
    "nothing": ("", "TARGET", "AttributeError"),
    "text": ("TARGET = 'loihi'", "TARGET", "is of type str"),
    "class": ("from quantised_base import Mine as TARGET", "TARGET", "is a class"),
    "misnamed": (
        "from quantised_base import Mine; TARGET = Mine()",
        "TARGET",
        "its name is 'mine'",
    ),
    "summaryless": (
        "from quantised_base import Mine\nTARGET = Mine(); TARGET.name = 'summaryless'; TARGET.summary = None",
        "TARGET",
        "its summary is no str",
    ),
    "unready": (
        "from quantised_base import Mine\nTARGET = Mine(); TARGET.name = 'unready'; TARGET.available = lambda: 1 / 0",
        "TARGET",
        "its check failed: ZeroDivisionError",
    ),
    "abstract": (
        "from spiking_lmu.backends.target import Target; TARGET = Target()",
        "TARGET",
        "TypeError",
    ),
    "long": ("raise ValueError('x' * 100000)", "TARGET", "xxx…"),
}
BASE = """
from spiking_lmu.backends.target import Target

class Mine(Target):
    name = "mine"

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        raise NotImplementedError
"""


@pytest.fixture
def anything(tmp_path, monkeypatch):
    """Every adapter of `ANYTHING`, installed."""
    files = {f"adapter_{name}.py": text for name, (text, _, _) in ANYTHING.items()}
    entries = {name: f"adapter_{name}:{attribute}" for name, (_, attribute, _) in ANYTHING.items()}
    install(tmp_path, "anything", {**files, "quantised_base.py": BASE}, entries)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_an_entry_point_may_be_anything(anything, capsys, monkeypatch):
    """One line each; the others go on."""
    found = {one.name: one for one in find_targets()}
    for name, (_, _, message) in ANYTHING.items():
        assert message in found[name].unusable, name
        assert found[name].unusable.isprintable()
        assert len(found[name].unusable) <= 300
        with pytest.raises(TargetError, match=f"target {name}"):
            get_target(name)
    assert get_target("reference").name == "reference"
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["targets"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("reference") < shown.index("loihi") < shown.index("abstract")
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "--engine" in capsys.readouterr().out


def test_two_packages_with_one_name(tmp_path, monkeypatch):
    """Neither is taken: which it would be is chance."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        install(
            tmp_path / name,
            name,
            {"quantised_base.py": BASE + "TARGET = Mine()"},
            {"mine": "quantised_base:TARGET"},
        )
        monkeypatch.syspath_prepend(str(tmp_path / name))
    with pytest.raises(TargetError, match="several packages"):
        get_target("mine")


class Everything(Target):
    name = "everything"

    def deploy(
        self,
        model,
        inputs,
        *,
        seed=0,
        memory_limit=None,
        share: "float | None" = None,
        fast: bool = True,
        where: "Deployment | None" = None,
        unknown: "NoSuchName" = None,  # noqa: F821
    ):
        """Build.

        Parameters
        ----------
        share, fast
            Of
            something.

        Raises
        ------
        TargetError
            Never.
        """


def test_options_are_read_off_the_signature():
    found = options_of(Everything())
    assert found["share"] == TargetOption("share", None, float, (), "Of something.")
    assert found["fast"] == TargetOption("fast", True, bool, (), "Of something.")
    assert found["where"].kind is None
    assert found["unknown"].kind is None
    assert found["share"].parse("0.5") == 0.5
    assert found["fast"].parse("no") is False
    for name, text in (("share", "half"), ("fast", "maybe")):
        with pytest.raises(SpecError, match=f"{name}: got '{text}'"):
            found[name].parse(text)
    check_options(Everything(), {"share": 0.5})
    with pytest.raises(TargetError, match=r"option speed of target everything.*share, fast"):
        check_options(Everything(), {"speed": 1})


def test_a_minimal_target_has_every_ability():
    target, model = Everything(), small_lmu()[0]
    assert (target.available(), target.check(model), target.cores(model)) == ("", [], ())
    assert target.rungs(model, 3) == ()
    assert target.online_learning is None
    assert target.cells.response(model.graph["lmu.h"].neuron, np.array([20.0]), 0.001) == [20.0]


def test_without_a_name_it_is_the_one_that_changes_most(monkeypatch):
    every = [registry.FoundTarget(t.name, t) for t in (get_target("reference"), Everything())]
    broken = registry.FoundTarget("broken", None, "cannot be loaded")
    monkeypatch.setattr(registry, "find_targets", lambda: (*every, broken))
    assert registry.given_target(None).name == "everything"
    assert registry.given_target("reference").name == "reference"
    assert registry.given_target(every[1].target) is every[1].target
    monkeypatch.setattr(registry, "find_targets", lambda: (broken,))
    with pytest.raises(TargetError, match="got none"):
        registry.given_target(None)


def test_a_job_with_an_option_that_its_target_has_not_is_one_line(tmp_path):
    from spiking_lmu.runs.runner import Job

    job = Job(get_target("reference"), options={"bits": 4})
    found = spiking_lmu.compare(
        sharded.MODEL, sharded.dataset(4), [job], workers=1, journal=tmp_path
    )
    assert "option bits of target reference" in found.outcomes[-1].problem
