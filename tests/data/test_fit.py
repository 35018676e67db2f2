"""One rule from a file to a patch: sizes, kernel, refusals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from eosin.data.fit import PictureRule, resized
from eosin.errors import ImageError


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 100 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def by_hand(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each side by itself: shares of area where it shrinks, linear between centers where it grows.

    Rounded once between shrinking and growing, as pixels are.
    """

    def weights(target: int, source: int) -> np.ndarray:
        scale, left = source / target, np.arange(source)
        if target <= source:
            start = np.arange(target)[:, None] * scale
            return (np.minimum(left + 1, start + scale) - np.maximum(left, start)).clip(0) / scale
        centers = ((np.arange(target) + 0.5) * scale - 0.5).clip(0, source - 1)[:, None]
        return (1 - np.abs(left - centers)).clip(0)

    def apply(values: np.ndarray, target: tuple[int, int]) -> np.ndarray:
        down, across = (weights(t, s) for t, s in zip(target, values.shape[:2], strict=True))
        return np.einsum("yh,xw,hwc->yxc", down, across, values)

    small = (min(size[0], image.shape[0]), min(size[1], image.shape[1]))
    return apply(np.rint(apply(image.astype(float), small)), size)


@pytest.mark.parametrize(
    "size",
    [(100, 100), (61, 57), (20, 30), (20, 90), (90, 20), (50, 20), (90, 50), (1, 1), (7, 51)],
)  # fmt: skip
def test_a_side_that_shrinks_is_averaged_and_one_that_grows_is_interpolated(size):
    image = noise(*size)
    found = resized(image, (50, 50))
    assert found.shape == (50, 50, 3)
    assert found.dtype == np.uint8
    # OpenCV rounds its weights to 1/2048.
    assert np.abs(found - by_hand(image, (50, 50))).max() <= 1.01


def test_no_stripe_survives_where_one_side_grows_and_the_other_shrinks():
    """Without antialiasing along the shrinking side, stripes of one pixel became false ones."""
    stripes = np.zeros((40, 150, 3), np.uint8)
    stripes[:, ::3] = 240
    assert resized(stripes, (50, 50)).std() < 1


def test_stores_of_images_that_only_shrink_or_only_grow_keep_their_pixels():
    """Both sides one way: the pixels that earlier versions packed."""
    for size, method in (((100, 70), cv2.INTER_AREA), ((20, 30), cv2.INTER_LINEAR)):
        plain = cv2.resize(noise(*size), (50, 50), interpolation=method)
        np.testing.assert_array_equal(resized(noise(*size), (50, 50)), plain)


def test_padding_refusing_and_what_was_done():
    image = noise(3, 4)
    same, size, change, _ = PictureRule((3, 4)).read(png(image))
    np.testing.assert_array_equal(same, image)
    assert (size, change) == ((3, 4), "")
    padded, size, change, _ = PictureRule((5, 6)).read(png(image))
    np.testing.assert_array_equal(padded[:3, :4], image)
    assert (padded[3:] == 255).all()
    assert (padded[:, 4:] == 255).all()
    assert (size, change) == ((3, 4), "padded")
    for size in ((2, 6), (2, 2), (8, 2)):
        with pytest.raises(ImageError, match=r"too large: 4x3 px, not .*--fit resize"):
            PictureRule(size).read(png(image))
        scaled = PictureRule(size, "resize").read(png(image))
        assert (scaled.pixels.shape, scaled.change) == ((*size, 3), "resized")
    with pytest.raises(ImageError, match="odd size: 4x3 px, not 6x5"):
        PictureRule((5, 6), "reject").read(png(image))


def test_the_limit_of_pixels_holds_before_the_size_is_fitted():
    rule = PictureRule((2, 2), "resize", max_pixels=11)
    with pytest.raises(ImageError, match="too many pixels: it declares 4x3"):
        rule.read(png(noise(3, 4)))
