"""Models of old KerasLMU, which needs Keras 2: fixtures ``keras-lmu-VERSION-….h5``.

    pip install --no-deps --target LMU keras-lmu==0.4.2
    PYTHONPATH=LMU TF_USE_LEGACY_KERAS=1 python tests/helpers/keras_lmu_versions.py FOLDER

with tf-keras installed; nothing here needs spiking_lmu.  KerasLMU up to 0.8 imports parts of Keras
2 from where they were in its time; they are found where tf-keras has them.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

#: Those that are kept as fixtures, of all that are compared.
KEPT = ("lmu-everything", "lmu-feedforward")


class Keras2(MetaPathFinder, Loader):
    """``keras`` and ``keras.…`` as modules of tf-keras."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.split(".")[0] == "keras" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        below = spec.name.removeprefix("keras")
        for base in ("tf_keras", "tf_keras.src"):
            try:
                return importlib.import_module(base + below)
            except ModuleNotFoundError:
                continue
        raise ModuleNotFoundError(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """It has run already."""


def write(folder: Path, names: list[str]) -> None:
    """The models named, or all of KerasLMU's, with what Keras makes of inputs."""
    import tensorflow as tf

    for name in [n for n in sys.modules if n.split(".")[0] == "keras"]:
        del sys.modules[name]
    sys.meta_path.insert(0, Keras2())
    import keras_lmu
    from keras_models import models

    keras = tf.keras
    for i, (name, make) in enumerate(models(keras, keras_lmu).items()):
        if name not in names and (names or not name.startswith(("lmu", "stacked", "frames"))):
            continue
        keras.backend.clear_session()
        model, rng = make(), np.random.default_rng(i)
        for weight in model.weights:
            value = weight.numpy()
            if "theta_inv" in weight.name:
                weight.assign(0.8 * value)
            elif value.ndim < 2:
                weight.assign(rng.normal(0.2, 0.3, value.shape))
            else:
                spread = 2 / np.sqrt(value.size / value.shape[-1])
                weight.assign(rng.normal(0, spread, value.shape))
        x = rng.uniform(-1, 1, (4, *model.input_shape[1:])).astype(np.float32)
        path = folder / f"keras-lmu-{version('keras-lmu')}-{name}.h5"
        model.save(path)
        np.savez_compressed(path.with_suffix(".npz"), x0=x, y=model.predict(x, verbose=0))


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:])
