"""The rooms of the package: imports go one way, and no module is imported in a circle."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What each room may import, besides itself.  ``spiking_lmu`` itself is ``api``.
ARROWS = {
    "errors": set(),
    "compat": {"errors"},
    "graph": {"errors", "compat"},
    "files": {"errors", "graph"},
    "datasets": {"errors", "graph", "files", "compat"},
    "importers": {"errors", "graph", "files", "compat"},
    "conversion": {"errors", "graph", "files", "datasets", "importers", "compat"},
    "backends": {"errors", "graph", "files", "datasets", "conversion", "compat"},
    "runs": {"errors", "graph", "files", "datasets", "conversion", "backends", "compat"},
    "analysis": {
        *("errors", "graph", "files", "datasets", "conversion", "backends", "runs", "compat"),
    },
    "training": {
        *("errors", "graph", "files", "datasets", "conversion", "backends", "runs", "compat"),
        *("importers", "analysis"),
    },
    "targets": {"errors", "graph", "backends", "compat"},
}
ARROWS["report"] = {*ARROWS["analysis"], "analysis", "training", "importers"}
ARROWS["cli"] = {*ARROWS["report"], "report", "api"}
ARROWS["api"] = set()
#: The version, which pyproject.toml reads from there too.
ALLOWED_OF_ALL = {"__version__"}
#: Modules that others import by their name in a string: a result finds how it is shown.
BY_NAME = {"spiking_lmu.runs.result": "spiking_lmu.report.views"}
#: Where a word that is also the name of a target means something else.
OTHER_MEANINGS = {
    "spiking_lmu.compat": "packages, and the extras that install them",
    "spiking_lmu.cli.demo": "a demonstration of the targets that ship",
    "spiking_lmu.training.train": "the trainer that steps through a network with NengoDL",
    "spiking_lmu.training.fast": "the same trainer",
    "spiking_lmu.cli.train": "the same trainer",
}


def modules() -> dict[str, Path]:
    found = {}
    for base, prefix in (("spiking_lmu", "spiking_lmu"), ("targets", "spiking_lmu.targets")):
        for path in sorted((ROOT / base).rglob("*.py")):
            parts = path.relative_to(ROOT / base).with_suffix("").parts
            if base == "spiking_lmu" and parts[0] == "targets":
                continue
            parts = parts[:-1] if parts[-1] in ("__init__", "__main__") else parts
            found[".".join((prefix, *parts))] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "api"


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str, lazy: bool) -> frozenset[tuple[str, str]]:
    """Modules and names that a module imports from this package; ``lazy`` within functions too."""
    tree = parsed(module)
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in _statements(tree, lazy):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ""
            if node.level:
                start = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
            source = ".".join(part for part in (start, node.module) if part)
            for alias in node.names:
                deeper = f"{source}.{alias.name}"
                found.add((deeper, "") if deeper in MODULES else (source, alias.name))
    return frozenset((m, n) for m, n in found if m.split(".")[0] == "spiking_lmu")


def _statements(tree: ast.AST, lazy: bool):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            if lazy:
                yield from _statements(node, lazy)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
            continue
        yield node
        yield from _statements(node, lazy)


def test_arrows_go_one_way():
    wrong = []
    for module in MODULES:
        here = room(module)
        if here == "api":
            continue
        for other, name in imports(module, lazy=True):
            there = room(other)
            if there == "api" and name in ALLOWED_OF_ALL:
                continue
            if there != here and there not in ARROWS[here]:
                wrong.append(f"{module} imports {other} {name}")
    assert not wrong, "\n".join(wrong)


def test_rooms_have_no_circle():
    seen: set[str] = set()
    while len(seen) < len(ARROWS):
        free = {name for name, below in ARROWS.items() if name not in seen and below <= seen}
        assert free, f"a circle among {sorted(set(ARROWS) - seen)}"
        seen |= free


def test_no_module_is_imported_in_a_circle():
    """Imports inside functions, and those for types alone, count too."""
    below = {
        module: {other for other, _ in imports(module, lazy=True) if other in MODULES} - {module}
        for module in MODULES
    }
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        if module in done:
            return
        assert module not in path, " > ".join([*path[path.index(module) :], module])
        path.append(module)
        for other in sorted(below[module]):
            visit(other)
        path.pop()
        done.add(module)

    for module in sorted(MODULES):
        visit(module)


def test_imports_by_name_are_known():
    """They would hide a circle from the test before; all else goes through entry points."""
    found = {
        module: text
        for module in MODULES
        for text in strings(module)
        if text.count(".") > 1 and text in MODULES
    }
    assert found == BY_NAME


def test_core_names_no_target():
    """No string outside docstrings does, so that a target of somebody else's is treated alike."""
    targets = sorted(
        entry.name
        for entry in entry_points(group="spiking_lmu.targets")
        if entry.value.startswith("spiking_lmu.targets")
    )
    assert targets == ["loihi", "nengo-dl", "reference"]
    word = re.compile(rf"(?<![\w.-])({'|'.join(targets)})(?![\w-])")
    found = {
        f"{module}: {text}"
        for module in MODULES
        if room(module) != "targets" and not module.startswith(tuple(OTHER_MEANINGS))
        for text in strings(module)
        if word.search(text)
    }
    assert not found


def test_the_library_names_no_flag():
    """It names parameters, which the command line translates; other programs' options are theirs."""
    others = (
        "pip install",
        "--ignore-scripts",
        "--loglevel",
        "--fetch",
    )
    flag = re.compile(r"(?<![\w-])--[a-z]")
    found = {
        f"{module}: {text}"
        for module in MODULES
        if room(module) != "cli"
        for text in strings(module)
        if flag.search(text) and not any(other in text for other in others)
    }
    assert not found


@cache
def strings(module: str) -> frozenset[str]:
    """All string constants of a module but docstrings."""
    tree = parsed(module)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and isinstance(node.body[0], ast.Expr)
    }
    return frozenset(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings
    )


def test_no_more_than_a_dozen_rooms_and_two_files():
    names = {path.name for path in (ROOT / "spiking_lmu").iterdir()} - {"__pycache__"}
    assert {name for name in names if name.endswith(".py")} == {"__init__.py", "errors.py"}
    assert len({name for name in names if "." not in name} - {"targets"}) <= 12


#: What a newcomer looks for: the file that a search for the words in names would find, and a word
#: of its first line.
WHERE = {
    "neuron curves": ("spiking_lmu/graph/neurons.py", "response"),
    "Loihi's limits": ("targets/loihi/limits.py", "Loihi"),
    "the paired interval": ("spiking_lmu/analysis/statistics.py", "paired"),
    "a new data source": ("spiking_lmu/datasets/sources.py", "data sets come from"),
    "the ladder": ("spiking_lmu/analysis/explain/ladder.py", "ladder"),
    "names of save_params arrays": ("spiking_lmu/importers/parameters/naming.py", "name"),
}


def test_a_newcomer_finds_it_in_the_tree():
    overview = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = overview[overview.index("## The rooms") : overview.index("## The types")]
    for what, (file, word) in WHERE.items():
        first = (ROOT / file).read_text(encoding="utf-8").splitlines()[0]
        assert word.lower() in first.lower(), what
        room = Path(file).parts[1] if file.startswith("spiking_lmu") else "targets"
        assert f"| `{room}/`" in rooms, what


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


#: Functions of more than ten parameters, and why.
MANY_PARAMETERS = {
    "from_arrays": "what people write in one line, each by its name",
    "_update_all": "Numba compiles functions of arrays, and no objects",
}


def test_settings_objects_stand_in_the_place_of_many_parameters():
    long = {
        function.name
        for module in MODULES
        for function in functions(parsed(module))
        for given in [function.args]
        if len(given.posonlyargs + given.args + given.kwonlyargs) > 10
    }
    assert long == set(MANY_PARAMETERS)


def test_one_name_of_a_type_has_one_meaning():
    """Targets have engines of their own, each with the same few names."""
    homes: dict[str, list[str]] = {}
    for module in MODULES:
        for node in parsed(module).body:
            own = room(module) == "targets" or module.startswith("spiking_lmu.cli")
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not own:
                homes.setdefault(node.name, []).append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_no_test_looks_at_the_clock():
    """What a machine is slow at is no fault; speed is measured by scripts."""
    clocks = re.compile(r"perf_counter|time\.time\(|monotonic\(|process_time")
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    assert tests
    assert [path.name for path in tests if clocks.search(path.read_text(encoding="utf-8"))] == []
