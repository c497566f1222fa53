"""Networks of public examples, trained with Keras 3; run by ``scripts/accuracy-keras``.

Imported only where Keras 3 is; nothing here needs spiking_lmu.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained: Adam, with a learning rate that falls to zero.

    Parameters
    ----------
    build
        Makes it, given Keras and the shape of its data.
    epochs, batch, rate
        Passes over the training samples, samples of a step (of samples that differ in length
        those of one length), and the first learning rate.
    """

    build: Callable[[Any, tuple[int, ...], int], Any]
    epochs: int
    batch: int = 200
    rate: float = 0.001


def nengo_dl_cnn(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """That of NengoDL's *Converting a Keras model to a spiking neural network*."""
    L = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = L.Conv2D(32, 3, activation="relu")(inputs)
    x = L.Conv2D(64, 3, strides=2, activation="relu")(x)
    return keras.Model(inputs, L.Dense(classes)(L.Flatten()(x)))


def small_cnn(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
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
            L.Dense(classes),
        ]
    )


def fashion_cnn(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Three convolutions with batch normalisation, for Fashion-MNIST."""
    L = keras.layers
    x = inputs = keras.Input((28, 28, 1))
    for filters, strides in ((16, 2), (32, 1), (64, 2)):
        x = L.Conv2D(filters, 3, strides=strides, use_bias=False)(x)
        x = L.ReLU()(L.BatchNormalization()(x))
    return keras.Model(inputs, L.Dense(classes)(L.Dropout(0.3)(L.Flatten()(x))))


def series_lmu(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Conv1D along time, then KerasLMU's layer, for several channels."""
    import keras_lmu

    L = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, shape[-1])),
            L.Conv1D(16, 5, padding="causal", activation="relu"),
            keras_lmu.LMU(
                memory_d=4,
                order=8,
                theta=int(shape[0]),
                hidden_cell=L.Dense(64, activation="relu"),
                input_to_hidden=True,
            ),
            L.Dense(classes),
        ]
    )


RECIPES = {
    "nengo-dl-cnn": Recipe(nengo_dl_cnn, 2),
    "small-cnn": Recipe(small_cnn, 2),
    "fashion-cnn": Recipe(fashion_cnn, 8),
    "series-lmu": Recipe(series_lmu, 80, batch=20, rate=0.003),
}


def main(name: str, data: str, output: str, outputs: str) -> None:
    """Train on ``data``, and write what Keras then says of ``asked``.

    ``data`` has ``x`` and ``y``; ``lengths`` of samples and ``asked_lengths``, where they differ.
    """
    import keras

    keras.utils.set_random_seed(0)
    with np.load(data) as file:
        arrays = dict(file)
    x, y, asked = arrays["x"], arrays["y"], arrays["asked"]
    recipe = RECIPES[name]
    model = recipe.build(keras, x.shape[1:], int(y.max()) + 1)
    x, asked = (
        a.reshape(len(a), *(n or a.shape[1] for n in model.input_shape[1:])) for a in (x, asked)
    )
    batches = list(_batches(arrays.get("lengths"), len(x), recipe.batch))
    steps = recipe.epochs * len(batches)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    if "lengths" in arrays:
        rng = np.random.default_rng(0)
        for _ in range(recipe.epochs):
            for i in rng.permutation(len(batches)):
                chosen, length = batches[i]
                found = model.train_on_batch(x[chosen, :length], y[chosen])
        print("loss and accuracy of the last batches:", found)
        said = [
            model.predict_on_batch(sample[None, :length])[0]
            for sample, length in zip(asked, arrays["asked_lengths"], strict=True)
        ]
    else:
        model.fit(x, y, batch_size=recipe.batch, epochs=recipe.epochs, verbose=2)
        said = model.predict(asked, verbose=0)
    model.save(output)
    np.save(outputs, np.asarray(said))


def _batches(lengths: Any, samples: int, batch: int) -> Iterator[tuple[Any, int]]:
    """Batches of samples of one length, and that length."""
    if lengths is None:
        yield from ((np.arange(i, min(i + batch, samples)), 0) for i in range(0, samples, batch))
        return
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        yield from ((same[i : i + batch], int(length)) for i in range(0, len(same), batch))


if __name__ == "__main__":
    main(*sys.argv[1:])
