"""What holds for all tests."""

import re
from importlib.util import find_spec

import pytest

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import MissingExtraError, TargetError

#: The package that shows whether an extra is installed.
EXTRAS = {
    "dl": "nengo_dl",
    "loihi": "nengo_loihi",
    "fast": "numba",
    "cluster": "distributed",
}
OPTIONAL = {*EXTRAS.values(), "tensorflow"}


@pytest.fixture(autouse=True, scope="session")
def _no_decoder_cache():
    """Nengo warns where two processes lock its cache at once, and warnings are errors here."""
    import_nengo().rc["decoder_cache"]["enabled"] = "False"


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
