"""A model of KerasSpiking, which needs Keras 2; writes the fixture ``keras-spiking.h5``.

    TF_USE_LEGACY_KERAS=1 python tests/helpers/keras_spiking_models.py FOLDER

with keras-spiking installed; nothing here needs spiking_lmu.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def write(folder: Path) -> None:
    """The model, inputs, and its outputs by rates, as it is trained."""
    import keras_spiking
    import tensorflow as tf

    L = tf.keras.layers
    tf.random.set_seed(0)
    model = tf.keras.Sequential(
        [
            L.Reshape((-1, 12), input_shape=(7, 4, 3)),
            L.TimeDistributed(L.Dense(6)),
            keras_spiking.SpikingActivation("relu", spiking_aware_training=False),
            keras_spiking.Lowpass(0.004),
            L.GlobalAveragePooling1D(),
            L.Dense(3),
        ]
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name.endswith("tau:0"):
            weight.assign(rng.uniform(0.001, 0.01, weight.shape))
    x = rng.uniform(-1, 1, (4, 7, 4, 3)).astype(np.float32)
    model.save(folder / "keras-spiking.h5")
    np.savez_compressed(folder / "keras-spiking.npz", x0=x, y=model(x, training=True).numpy())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
