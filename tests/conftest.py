"""What holds for all tests."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import MissingExtraError, TargetError

#: The package that shows whether an extra is installed.
EXTRAS = {
    "dl": "nengo_dl",
    "loihi": "nengo_loihi",
    "fast": "numba",
    "cluster": "distributed",
}
#: Modules that simulate, train, or start interpreters: ``-m "not slow"`` leaves them out.
SLOW = {
    *("analysis/test_calibrate", "analysis/test_choice", "analysis/test_compare_tasks"),
    *("analysis/test_explain", "analysis/test_explain_line", "backends/test_targets"),
    *("analysis/test_tradeoff", "cli/test_import_options", "cli/test_parameters_command"),
    *("analysis/test_until", "backends/test_host_spikes", "conversion/test_line_levels"),
    *("backends/test_batched_api", "backends/test_batched_exact", "backends/test_batched_host"),
    *("backends/test_batched_learning", "backends/test_batched_real", "backends/test_benchmark"),
    *("backends/test_convolutions", "backends/test_driven", "backends/test_engines"),
    "backends/test_loihi_rungs",
    *("backends/test_nengo_dl", "backends/test_on_host", "backends/test_third_party"),
    *("compat/test_compat_nengo", "compat/test_compat_nengo_loihi", "compat/test_hook"),
    *("conversion/test_levels", "conversion/test_line", "datasets/test_archives"),
    *("importers/test_import_check", "importers/test_import_forms"),
    *("importers/test_importer_files", "importers/test_importer_keras"),
    *("importers/test_importer_nengo_dl", "importers/test_importer_refusals"),
    *("importers/test_parameters", "importers/test_parameters_files"),
    "importers/test_parameters_values",
    *("report/test_report_explanation", "report/test_report_html"),
    *("runs/test_cluster", "runs/test_interrupts", "runs/test_service", "runs/test_workers"),
    *("importers/test_parameters_docs", "training/test_learning_rules_docs"),
    *("training/test_learning_delay", "training/test_learning_rules", "training/test_live_weights"),
    *("training/test_memristors", "training/test_train", "training/test_train_dense"),
    *("training/test_train_fast", "training/test_train_sequences"),
}
OPTIONAL = {*EXTRAS.values(), "tensorflow"}
#: A busy machine is no failure.  The fast subset looks at fewer examples where a test does not
#: say how many.
settings.register_profile("whole", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)


def pytest_configure(config):
    settings.load_profile("fast" if _fast(config) else "whole")


def pytest_ignore_collect(collection_path, config):
    """The fast subset does not even import slow modules, which bring TensorFlow."""
    if _fast(config) and _name(collection_path) in SLOW:
        return True
    return None


def _fast(config):
    return config.option.markexpr == "not slow"


def _name(path):
    """As in SLOW; empty outside the tests."""
    here = Path(__file__).parent
    return path.relative_to(here).with_suffix("").as_posix() if path.is_relative_to(here) else ""


@pytest.fixture(autouse=True, scope="session")
def _no_decoder_cache():
    """Nengo warns where two processes lock its cache at once, and warnings are errors here."""
    import_nengo().rc["decoder_cache"]["enabled"] = "False"


def pytest_collection_modifyitems(items):
    """Mark what is in the modules named above."""
    for item in items:
        if _name(item.path) in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _without_extra_skipped())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _without_extra_skipped())


def _without_extra_skipped():
    """Skip a test that asked for an extra that is not installed; the reason is the error."""
    try:
        return (yield)
    except (MissingExtraError, TargetError, ModuleNotFoundError) as error:
        named = re.search(r"spiking-lmu\[(\w+)\]", str(error))
        modules = {EXTRAS.get(named[1])} if named else {getattr(error, "name", None)}
        if not any(m in OPTIONAL and find_spec(m) is None for m in modules):
            raise
        pytest.skip(str(error))
