"""More than 8 bits: one white for a source, kept in the store."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from eosin.data.decode import decode, image_size
from eosin.data.depth import Deep, to_rgb, white_of
from eosin.data.fit import PictureRule
from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.errors import ImageError, SourceError


def packed(tmp_path: Path, images: dict[str, np.ndarray], ending: str = ".png") -> PatchStore:
    for name, image in images.items():
        path = tmp_path / "source" / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)
    return pack(tmp_path / "source", tmp_path / "store")


@pytest.mark.parametrize(
    ("top", "value", "seen"),
    [(200, 100, 100), (1000, 512, 128), (4000, 2048, 128), (16000, 8192, 128), (65000, 32896, 128)],
)
def test_the_range_of_the_source_decides(tmp_path: Path, top: int, value: int, seen: int) -> None:
    """A dark image is read as its bright neighbor is."""
    dark, bright = (np.full((4, 4, 3), each, np.uint16) for each in (value, top))
    store = packed(tmp_path, {"normal/1": bright, "tumor/2": dark})
    assert store.patches[1, 0, 0].tolist() == [seen] * 3
    white = next(w for w in (255, 1023, 4095, 16383, 65535) if w >= top)
    assert store.info["white"] == white
    assert store.info["deep_images"] == 2
    assert any("16-bit" in note and f"0 to {white}" in note for note in store.info["notes"])
    # What predict reads with the rule of the model is the same.
    rule = PictureRule((4, 4), white=store.info["white"])
    data = (tmp_path / "source/tumor/2.png").read_bytes()
    np.testing.assert_array_equal(rule.read(data).pixels, store.patches[1])


def test_eight_bits_need_no_note(tmp_path: Path) -> None:
    store = packed(tmp_path, {"normal/1": np.zeros((4, 4, 3), np.uint8)})
    assert store.info["white"] is None
    assert store.info["deep_images"] == 0
    assert not any("16-bit" in note for note in store.info["notes"])


@pytest.mark.parametrize(("white", "shape"), [(1.0, (4, 6)), (255.0, (4, 6, 3)), (1.0, (4, 6, 3))])
def test_floating_point_images(tmp_path: Path, white: float, shape: tuple[int, ...]) -> None:
    half = np.full(shape, white / 2, np.float32)
    full = half.copy()
    full[0, 0] = white
    store = packed(tmp_path, {"normal/1": full, "tumor/2": half}, ".tif")
    assert store.info["white"] == white
    assert store.patch_size == (4, 6)
    assert store.patches[0, 0, 0].tolist() == [255] * 3
    assert (store.patches[1] == 128).all()
    data = (tmp_path / "source/tumor/2.tif").read_bytes()
    assert image_size(data) == (4, 6)
    assert (decode(data, white=white) == 128).all()


def test_channels_of_floating_point_colors_keep_their_order() -> None:
    image = np.zeros((1, 1, 3), np.float32)
    image[0, 0] = [0.2, 0.4, 1.0]  # OpenCV writes blue, green, red
    data = cv2.imencode(".tif", image)[1].tobytes()
    assert decode(data, white=1.0)[0, 0].tolist() == [255, 102, 51]
    with pytest.raises(ImageError, match="too many pixels"):
        decode(cv2.imencode(".tif", np.zeros((9, 9, 3), np.float32))[1].tobytes(), max_pixels=80)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_arrays(tmp_path: Path, kind: type) -> None:
    images = np.full((6, 4, 4, 3), 2048, kind)
    images[0] = 4000
    labels = np.arange(6, dtype=np.uint8)[:, None] % 2
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=labels)
    store = pack(tmp_path / "a.npz", tmp_path / "store")
    assert store.info["white"] == 4095
    assert store.info["deep_images"] == 6
    assert (store.patches[1] == 128).all()
    assert (store.patches[0] == 249).all()


def test_one_rule_must_fit_all(tmp_path: Path) -> None:
    (tmp_path / "source/n").mkdir(parents=True)
    Image.fromarray(np.full((4, 4), 3000, np.uint16)).save(tmp_path / "source/n/1.png")
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "source/n/2.tif")
    with pytest.raises(SourceError, match=r"integers up to 3000 with floating-point .* up to 0\.5"):
        pack(tmp_path / "source", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_values_that_no_picture_has() -> None:
    for bad in (np.nan, np.inf, -1.0, 70000.0):
        with pytest.raises(ImageError, match="unsupported pixels"):
            to_rgb(np.array([[0, bad]], np.float64))
    with pytest.raises(ImageError, match="other depth: values up to 4000"):
        to_rgb(np.array([[4000]], np.uint16), 255.0)


def test_integers_round_as_floating_point_does() -> None:
    values = np.arange(65536, dtype=np.uint16)[None]
    for white in (4095.0, 65535.0):
        mine = values[:, : int(white) + 1]
        wanted = np.floor(mine / white * 255 + 0.5)
        np.testing.assert_array_equal(to_rgb(mine, white)[..., 0], wanted)
    assert (to_rgb(values[:, :256], 255.0)[..., 0] == values[:, :256]).all()


def test_opacity_may_use_all_bits() -> None:
    pixels = np.array([[[100, 65535], [100, 0]]], np.uint16)
    assert to_rgb(pixels, 255.0)[0, :, 0].tolist() == [100, 255]


def test_white_of_many() -> None:
    assert white_of([Deep(3000, False), Deep(10, False)]) == 4095
    assert white_of([Deep(1.0, True)]) == 1
    assert white_of([Deep(1.2, True)]) == 255
