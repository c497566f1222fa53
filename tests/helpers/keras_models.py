"""Small Keras and KerasLMU models of every layer that is imported, with random weights.

Imported only where Keras 3 and keras-lmu are (``scripts/check-keras``); nothing here needs
spiking_lmu, which lives in another environment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: Those that are saved in the format of Keras 2 as well.
OLD_FORMAT = (
    "dense",
    "nested",
    "depthwise",
    "stacked",
    "lmu-everything",
    "activations",
    "functions",
    "frames-of-models",
)


def functional(keras: Any, shape: tuple[int | None, ...], *layers: Any) -> Any:
    x = entry = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(entry, x)


def models(keras: Any, keras_lmu: Any) -> dict[str, Callable[[], Any]]:
    """By name, what makes each model."""
    L = keras.layers

    def dense() -> Any:
        return keras.Sequential(
            [
                keras.Input((6,)),
                L.Normalization(mean=[0.5] * 6, variance=[4.0] * 6),
                L.Dense(8, activation="relu"),
                L.Dropout(0.2),
                L.Dense(7, use_bias=False),
                L.BatchNormalization(),
                L.Activation("tanh"),
                L.Dense(5, activation="sigmoid"),
                L.Dense(3, activation="softmax"),
            ]
        )

    def convolution() -> Any:
        return functional(
            keras,
            (9, 8, 2),
            L.Rescaling(0.5, offset=-0.25),
            L.ZeroPadding2D(((1, 2), (0, 1))),
            L.Conv2D(4, (3, 2), strides=(2, 1), activation="relu"),
            L.BatchNormalization(),
            L.ReLU(max_value=1.5),
            L.AveragePooling2D(2, padding="same"),
            L.Conv2D(6, 2, padding="same", groups=2),
            L.LeakyReLU(negative_slope=0.1),
            L.Flatten(),
            L.Dense(3),
        )

    def depthwise() -> Any:
        return functional(
            keras,
            (7, 6, 3),
            L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", padding="same"),
            L.SeparableConv2D(5, 2, depth_multiplier=2, activation="relu"),
            L.Conv2D(4, 2, dilation_rate=2, activation="relu6"),
            L.GlobalAveragePooling2D(),
            L.Dense(2),
        )

    def branches() -> Any:
        entry = keras.Input((6, 6, 2))
        one = L.Conv2D(4, 3, padding="same", activation="relu")(entry)
        two = L.Conv2D(4, 1, activation="relu")(entry)
        both = L.Concatenate()([one, two])
        added = L.Add()([one, two])
        mean = L.Average()([one, two, added])
        less = L.Subtract()([mean, two])
        x = L.Conv2D(3, 3, activation="relu")(both)
        y = L.Cropping2D(1)(L.Conv2D(3, 1, activation="relu")(less))
        z = L.Concatenate(axis=1)([x, y])
        z = L.Reshape((-1, 3))(L.Permute((2, 1, 3))(z))
        z = L.AveragePooling1D(2)(z)
        return keras.Model(entry, L.Dense(4)(L.Flatten()(z)))

    def one_dimension() -> Any:
        return functional(
            keras,
            (12, 3),
            L.Conv1D(4, 3, activation="relu", padding="causal", dilation_rate=2),
            L.SeparableConv1D(5, 3, activation="relu", padding="same"),
            L.DepthwiseConv1D(2, strides=2, activation="relu"),
            L.ZeroPadding1D(1),
            L.Cropping1D((1, 0)),
            L.UpSampling1D(2),
            L.AveragePooling1D(3, strides=2),
            L.Dense(4, activation="relu"),
            L.GlobalAveragePooling1D(),
            L.Dense(2),
        )

    def nested() -> Any:
        inner = functional(keras, (5,), L.Dense(4, activation="relu"), L.Dense(5))
        entry = keras.Input((5,))
        twice = inner(inner(entry))
        block = keras.Sequential([L.Dense(6, activation="relu"), L.Dense(3)])
        return keras.Model(entry, block(twice))

    def two_inputs() -> Any:
        a, b = keras.Input((3,)), keras.Input((2,))
        x = L.Concatenate()([L.Dense(4, activation="relu")(a), b])
        return keras.Model([a, b], L.Dense(2)(x))

    def lmu(**options: Any) -> Callable[[], Any]:
        def make() -> Any:
            options_ = {"memory_d": 2, "order": 5, "theta": 9.0, **options}
            kind = options_.pop("hidden", "rnn")
            layer = options_.pop("layer", keras_lmu.LMU)
            cell = {
                "rnn": lambda: L.SimpleRNNCell(7),
                "dense": lambda: L.Dense(7, activation="relu"),
                "none": lambda: None,
            }[kind]()
            return functional(keras, (11, 3), layer(hidden_cell=cell, **options_), L.Dense(3))

        return make

    def lmu_cell() -> Any:
        cell = keras_lmu.LMUCell(
            2, 4, 8.0, L.SimpleRNNCell(5), hidden_to_memory=True, use_bias=True
        )
        return functional(keras, (11, 3), L.RNN(cell, return_sequences=True), L.Dense(2))

    def stacked() -> Any:
        return functional(
            keras,
            (11, 3),
            L.Conv1D(4, 3, padding="causal", activation="relu"),
            keras_lmu.LMU(1, 4, 6.0, L.Dense(5, activation="relu"), return_sequences=True),
            L.TimeDistributed(L.Dense(4, activation="relu")),
            keras_lmu.LMU(2, 3, 5.0, L.SimpleRNNCell(6), input_to_hidden=True),
            L.Dropout(0.1),
            L.Dense(3, activation="softmax"),
        )

    def reshaped() -> Any:
        return functional(
            keras,
            (4, 6, 1),
            L.Reshape((-1, 2)),
            keras_lmu.LMU(1, 4, 6.0, L.SimpleRNNCell(5), input_to_hidden=True),
            L.Dense(3),
        )

    def simple_rnn() -> Any:
        return functional(
            keras,
            (10, 3),
            L.SimpleRNN(5, activation="relu", return_sequences=True),
            L.SimpleRNN(4, return_sequences=True),
            L.GlobalAveragePooling1D(),
            L.Dense(2),
        )

    def frames() -> Any:
        return functional(
            keras,
            (5, 6, 6, 1),
            L.TimeDistributed(L.Conv2D(3, 3, activation="relu")),
            L.TimeDistributed(L.AveragePooling2D(2)),
            L.TimeDistributed(L.Flatten()),
            keras_lmu.LMU(2, 3, 4.0, L.SimpleRNNCell(5), hidden_to_memory=False),
            L.Dense(2),
        )

    def maxima() -> Any:
        entry = keras.Input((9, 8, 2))
        x = L.Conv2D(4, 3, activation="relu")(entry)
        x = L.MaxPooling2D(2, padding="same")(x)
        x = L.Conv2D(4, 2, padding="same")(x)
        x = L.MaxPooling2D(3, strides=1)(x)
        y = L.Conv2D(4, 2, strides=2)(entry)
        y = L.GlobalMaxPooling2D()(y)
        z = L.Dense(4)(L.Flatten()(x))
        return keras.Model(entry, L.Dense(3)(L.Minimum()([L.Maximum()([y, z, L.ReLU()(y)]), y])))

    def channels_first() -> Any:
        first = {"data_format": "channels_first"}
        return functional(
            keras,
            (2, 7, 6),
            L.Conv2D(4, 3, activation="relu", **first),
            L.BatchNormalization(axis=1),
            L.AveragePooling2D(2, padding="same", **first),
            L.ZeroPadding2D(1, **first),
            L.Conv2D(3, 2, activation="relu", **first),
            L.Flatten(**first),
            L.Dense(3),
        )

    def functions() -> Any:
        ops = keras.ops
        entry = keras.Input((6, 5, 2))
        x = 0.5 - entry / 0.25
        x = L.Conv2D(4, 2, activation="relu")(0.5 * x + 1.0 - 0.25)
        y = ops.mean(x, axis=(1, 2))
        z = ops.reshape(x[:, 1:3, :, 2:], (-1, 16))
        z = ops.relu6(L.Dense(4)(z)) - y
        both = ops.concatenate([ops.tanh(z), ops.maximum(y, z), -y], axis=-1)
        return keras.Model(entry, L.Dense(3)(ops.relu(L.Dense(5)(both + 1.5))))

    def activations() -> Any:
        return functional(
            keras,
            (6, 5, 2),
            L.Conv2D(3, 2, activation=L.ReLU(max_value=1.2)),
            L.PReLU(shared_axes=[1, 2]),
            L.Identity(),
            L.Conv2D(3, 2, activation=L.LeakyReLU(negative_slope=0.4)),
            L.Flatten(),
            L.Dense(6, activation="leaky_relu"),
            L.PReLU(),
            L.Dense(4, activation=L.ReLU(negative_slope=0.3)),
            L.Dense(2),
        )

    def frames_of_models() -> Any:
        inner = functional(keras, (6, 6, 1), L.Conv2D(2, 3, activation="relu"), L.MaxPooling2D(2))
        entry = keras.Input((5, 6, 6, 1))
        x = L.TimeDistributed(keras.Sequential([inner, L.Flatten(), L.Dense(4)]))(entry)
        x = keras_lmu.LMU(1, 4, 5.0, L.Dense(6, activation="relu"), return_sequences=True)(x)
        return keras.Model(entry, L.Dense(2)(x[:, -1]))

    def named_inputs() -> Any:
        entries = {"b": keras.Input((3,), name="b"), "a": keras.Input((2,), name="a")}
        both = L.Concatenate()([L.Dense(4, activation="relu")(entries["a"]), entries["b"]])
        return keras.Model(entries, L.Dense(2)(both))

    everything = {
        "hidden_to_memory": True,
        "memory_to_memory": True,
        "input_to_hidden": True,
        "use_bias": True,
    }
    return {
        "dense": dense,
        "convolution": convolution,
        "depthwise": depthwise,
        "branches": branches,
        "one-dimension": one_dimension,
        "nested": nested,
        "two-inputs": two_inputs,
        "maxima": maxima,
        "channels-first": channels_first,
        "functions": functions,
        "activations": activations,
        "frames-of-models": frames_of_models,
        "named-inputs": named_inputs,
        "simple-rnn": simple_rnn,
        "frames": frames,
        "reshaped": reshaped,
        "stacked": stacked,
        "lmu-cell": lmu_cell,
        "lmu-rnn": lmu(),
        "lmu-dense": lmu(hidden="dense", input_to_hidden=True),
        "lmu-none": lmu(hidden="none"),
        "lmu-everything": lmu(**everything),
        "lmu-theta-zoh": lmu(trainable_theta=True, **everything),
        "lmu-theta-euler": lmu(
            trainable_theta=True, discretizer="euler", theta=30.0, return_sequences=True
        ),
        "lmu-euler": lmu(discretizer="euler", theta=30.0, hidden="dense"),
        "lmu-plain-input": lmu(memory_d=3, kernel_initializer=None),
        "lmu-feedforward": lmu(
            layer=keras_lmu.LMUFeedforward, hidden="dense", use_bias=True, return_sequences=True
        ),
    }


def randomise(model: Any, seed: int) -> None:
    """Random weights, such that no neuron is silent or saturated for all inputs."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = np.asarray(weight.numpy())
        name = weight.path.rpartition("/")[2]
        if value.dtype.kind != "f" or name in ("mean", "variance"):
            continue
        if name == "theta_inv":
            weight.assign(value * 0.8)
        elif name == "moving_variance":
            weight.assign(rng.uniform(0.5, 2.0, value.shape))
        elif value.ndim < 2:
            weight.assign(rng.normal(0.2, 0.3, value.shape))
        else:
            weight.assign(rng.normal(0, 2.0 / np.sqrt(value.size / value.shape[-1]), value.shape))


def write(folder: Any, names: list[str] | None = None) -> None:
    """Each model as ``NAME.keras``, some as ``.h5`` too, and what Keras makes of inputs."""
    import keras
    import keras_lmu

    for i, (name, make) in enumerate(models(keras, keras_lmu).items()):
        if names and name not in names:
            continue
        keras.utils.set_random_seed(i)
        keras.utils.clear_session()
        model = make()
        randomise(model, i)
        rng = np.random.default_rng(100 + i)
        x = [
            rng.uniform(-1, 1, (4, *tuple(entry.shape)[1:])).astype(np.float32)
            for entry in model.inputs
        ]
        fed: Any = x
        if name == "named-inputs":
            fed = {entry.name: value for entry, value in zip(model.inputs, x, strict=True)}
        y = model.predict(fed if len(x) > 1 else x[0], verbose=0)
        model.compile(loss="sparse_categorical_crossentropy" if name == "lmu-rnn" else "mse")
        model.save(folder / f"{name}.keras")
        if name in OLD_FORMAT:
            model.save(folder / f"{name}.h5")
        np.savez_compressed(
            folder / f"{name}.npz", y=y, **{f"x{k}": value for k, value in enumerate(x)}
        )


if __name__ == "__main__":
    import sys
    from pathlib import Path

    write(Path(sys.argv[1]), sys.argv[2:])
