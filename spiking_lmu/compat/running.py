"""What happens around the code of each package while it is imported: one function for each."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from . import patches
from .quiet import no_warnings, quiet_import

Execute = Callable[[], None]


def nengo(execute: Execute) -> None:
    """nengo 4.1.0 reads numpy.core, an old name from NumPy 2 on."""
    with no_warnings():
        execute()
        patches.mend_expm()


def nengo_dl(execute: Execute) -> None:
    """NengoDL finds Keras 2, under the names that it asks for, and does not search for a GPU."""
    import_module("nengo")
    with quiet_import():
        engine = patches.keras_2_engine()
        with patches.keras_engine_names(engine), patches.no_search_for_a_gpu():
            execute()
        patches.mend_linear_filter()
        patches.tell_nengo_loihi()


def nengo_loihi(execute: Execute) -> None:
    """nengo-loihi does not import TensorFlow, and is told of NengoDL if that is there."""
    import_module("nengo")
    with quiet_import():
        with patches.nengo_dl_later():
            execute()
        patches.mend_nengo_loihi()
        patches.mend_decode_neurons()
        patches.mend_splitting()
        patches.mend_discretising()
        patches.tell_nengo_loihi()
