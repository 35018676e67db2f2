"""Made-up slides, written by the tests themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

Pixels = npt.NDArray[np.uint8]
Write = Callable[..., Path]

#: Aperio's text with a scale; tests add or leave out parts of it.
APERIO = "Aperio Image Library v11.2.1\n{w}x{h} (256x256)|AppMag = 20|MPP = 0.499"


@pytest.fixture(scope="session")
def picture() -> Callable[..., Pixels]:
    """A function (width, height, seed) -> uint8 [h, w, 3], smooth and noisy as tissue is."""

    def make(width: int = 700, height: int = 500, seed: int = 0) -> Pixels:
        rng = np.random.default_rng(seed)
        rough = rng.integers(60, 256, (height // 16 + 2, width // 16 + 2, 3)).astype(np.uint8)
        smooth = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(-12, 13, smooth.shape)
        return np.clip(smooth.astype(int) + noise, 0, 255).astype(np.uint8)

    return make


def halved(pixels: Pixels, times: int = 2) -> Pixels:
    """A picture reduced by area; sides rounded down."""
    high, wide = (side // times for side in pixels.shape[:2])
    cut = np.ascontiguousarray(pixels[: high * times, : wide * times])
    return np.asarray(cv2.resize(cut, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="session")
def write_tiff() -> Write:
    """A function that writes pictures as pages of a tiled TIFF and gives its path.

    The first is the whole slide; the rest are marked as reduced ones. Options go to tifffile.
    """
    import tifffile

    def write(path: Path, *pages: Pixels, marked: bool = True, **options: Any) -> Path:
        file = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
        description = options.pop("description", None)
        options = {"tile": (128, 128), "photometric": "rgb", "metadata": None} | options
        with tifffile.TiffWriter(path, **file) as tiff:
            for number, page in enumerate(pages):
                tiff.write(
                    page, subfiletype=1 if number and marked else 0,
                    description=description if not number else None, **options,
                )  # fmt: skip
        return path

    return write


@pytest.fixture(scope="session")
def reduced_by() -> Callable[..., Pixels]:
    """The function ``halved``."""
    return halved


@pytest.fixture(scope="session")
def aperio() -> Callable[..., str]:
    """A function (width, height) -> Aperio's text of a slide of that size."""
    return lambda width, height: APERIO.format(w=width, h=height)


@pytest.fixture
def real_wsi() -> Path:
    """The folder of real slides beside the project; the test is skipped where it is not there."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "wsi"
    if not folder.is_dir():
        pytest.skip("the real slides are not beside the project")
    return folder
