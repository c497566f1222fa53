"""What holds for all tests."""

import pytest

from spiking_lmu.compat import import_nengo


@pytest.fixture(autouse=True, scope="session")
def _no_decoder_cache():
    """Nengo warns where two processes lock its cache at once, and warnings are errors here."""
    import_nengo().rc["decoder_cache"]["enabled"] = "False"
