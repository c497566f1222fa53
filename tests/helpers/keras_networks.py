"""Networks of public examples, trained with Keras 3; run by ``scripts/accuracy-keras``.

Imported only where Keras 3 is; nothing here needs spiking_lmu.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def nengo_dl_cnn(keras: Any) -> Any:
    """That of NengoDL's *Converting a Keras model to a spiking neural network*."""
    L = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(32, 3, activation="relu"),
            L.Conv2D(64, 3, strides=2, activation="relu"),
            L.Flatten(),
            L.Dense(10),
        ]
    )


def small_cnn(keras: Any) -> Any:
    """Three convolutions with an average pool, small enough for a few cores of the chip."""
    L = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(8, 3, strides=2, activation="relu"),
            L.Conv2D(16, 3, activation="relu"),
            L.AveragePooling2D(2),
            L.Conv2D(32, 3, activation="relu"),
            L.Flatten(),
            L.Dense(10),
        ]
    )


NETWORKS = {"nengo-dl-cnn": nengo_dl_cnn, "small-cnn": small_cnn}


def main(name: str, data: str, output: str, epochs: str) -> None:
    """Train on ``data`` (.npz with x in 0 to 1, and y), batches of 200, Adam at 0.001."""
    import keras

    keras.utils.set_random_seed(0)
    with np.load(data) as arrays:
        x, y = arrays["x"].reshape(-1, 28, 28, 1).astype(np.float32), arrays["y"]
    model = NETWORKS[name](keras)
    model.compile(
        keras.optimizers.Adam(0.001),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x, y, batch_size=200, epochs=int(epochs), verbose=2)
    model.save(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
