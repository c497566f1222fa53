"""Images as sequences of pixels, shifted and shuffled anew in every epoch."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


class ImageEpochs:
    """Epochs of pixel sequences (samples, pixels); subclasses present them in another form.

    Parameters
    ----------
    images
        Float images (samples, height, width) in [0, 1], not permuted.
    labels
        Classes (samples,).
    permutation
        Order in which pixels are presented, shape (height · width,).
    shift
        Largest random shift in pixels along each axis; 0 leaves images alone.
    held_out
        How many of the last samples are never trained on.
    samples
        Limits an epoch to a random part of the data.
    """

    def __init__(
        self,
        images: Array,
        labels: Array,
        permutation: Array,
        *,
        shift: int,
        held_out: int,
        samples: int | None = None,
    ) -> None:
        self._images, self._labels = images, labels
        self._permutation, self._shift = permutation, shift
        self._kept = len(labels) - held_out
        self.samples = min(samples or self._kept, self._kept)

    def training(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """This epoch's inputs and labels, shuffled."""
        order = rng.permutation(self._kept)[: self.samples]
        images = self._images[order]
        if self._shift:
            images = shifted(images, self._shift, rng)
        return self._present(self._pixels(images)), self._labels[order]

    def held_out(self) -> tuple[Array, Array]:
        """Inputs and labels of what is held out, unshifted."""
        return self._present(self._pixels(self._images[self._kept :])), self._labels[self._kept :]

    def _pixels(self, images: Array) -> Array:
        return images.reshape(len(images), len(self._permutation))[:, self._permutation]

    def _present(self, pixels: Array) -> Array:
        return pixels


def shifted(images: Array, most: int, rng: np.random.Generator) -> Array:
    """Each image (samples, height, width) moved by up to ``most`` pixels along each axis."""
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    moves = rng.integers(0, 2 * most + 1, (len(images), 2))
    height, width = images.shape[1:]
    result = np.empty_like(images)
    for down in range(2 * most + 1):
        for right in range(2 * most + 1):
            chosen = (moves == (down, right)).all(axis=1)
            result[chosen] = padded[chosen, down : down + height, right : right + width]
    return result
