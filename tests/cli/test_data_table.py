"""What docs/data.md says that commands and sources take is what they take."""

import argparse
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from spiking_lmu.cli.main import complete_parser, main

ROOT = Path(__file__).parents[2]


def script():
    """``scripts/data-table`` as a module."""
    loader = SourceFileLoader("data_table", str(ROOT / "scripts/data-table"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


TABLE = script()
ROWS = {
    cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
    for line in (ROOT / "docs/data.md").read_text("utf-8").splitlines()
    if len(cells := line.split("|")) in (7, 8)
}


def commands_that_take_data():
    """Each command with ``--data``, or with data in its first place."""
    (commands,) = (
        a for a in complete_parser()._actions if isinstance(a, argparse._SubParsersAction)
    )
    return {
        name: parser
        for name, parser in commands.choices.items()
        if any(action.dest == "data" for action in parser._actions)
    }


def test_every_command_that_takes_data_has_its_row():
    listed = {line.split()[0] for line in TABLE.COMMANDS.values()}
    assert listed == set(commands_that_take_data())
    assert {f"`{name}`" for name in TABLE.COMMANDS} | set(TABLE.SOURCES) <= set(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("task", TABLE.TASKS)
def test_every_command_takes_what_the_table_says(task):
    """Samples of different lengths; training has tests of its own."""
    names = tuple(name for name in TABLE.COMMANDS if name != "train")
    for name, refusal in TABLE.cell(task, True, names).items():
        written = ROWS[f"`{name}`"][TABLE.TASKS.index(task)]
        assert written.removeprefix("one length; else: ") == (refusal or TABLE.FITS), name


@pytest.mark.slow
@pytest.mark.parametrize("source", TABLE.SOURCES)
def test_every_source_has_the_tasks_that_the_table_says(source):
    for package, extra in (("aeon", "aeon"), ("pyarrow", "parquet")):
        if extra in source:
            pytest.importorskip(package, reason=f"needs: pip install 'spiking-lmu[{extra}]'")
    assert TABLE.source_row(source) == ROWS[source]


@pytest.mark.parametrize("line", TABLE.COMMANDS.values())
def test_every_command_says_in_one_line_that_a_file_is_not_there(
    line, tmp_path, monkeypatch, capsys
):
    """All of them hand the name to the same reader."""
    monkeypatch.chdir(tmp_path)
    TABLE.write_file("classification last", False)
    TABLE.write_models()
    Path("report.json").write_text("{}")
    assert main(line.replace("mine.npz", "gone.npz").split()) == 1
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert "gone.npz: got nothing there" in said
