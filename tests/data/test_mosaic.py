"""A case put together: every patch in its place, whatever its coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.mosaic import EMPTY, mosaic_image
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import StoreError

SIZE = 10


def make(path: Path, rows: list[dict[str, Any]], **info: Any) -> PatchStore:
    """Patch number k is of the plain gray 10 * k."""
    patches = np.zeros((len(rows), SIZE, SIZE, 3), np.uint8)
    patches += (10 * np.arange(len(rows), dtype=np.uint8))[:, None, None, None]
    with StoreWriter(
        path / "s.store", classes=["a", "b"], patch_size=(SIZE, SIZE), info=info, replace=True
    ) as writer:
        writer.append(patches, rows)
    return PatchStore.open(path / "s.store")


def at(*places: tuple[int, int], **more: Any) -> list[dict[str, Any]]:
    return [{"label": 0, "case": "A", "x": x, "y": y, **more} for x, y in places]


def test_x_is_the_column(tmp_path: Path) -> None:
    store = make(tmp_path, at((101, 51), (131, 51), (101, 61)))
    found = mosaic_image(store, np.arange(3))
    assert found.image.shape == (20, 40, 3)
    assert (found.left_px, found.top_px, found.scale, found.reduced) == (101, 51, 1.0, 1.0)
    assert found.image[5, 5, 0] == 0
    assert found.image[5, 35, 0] == 10
    assert found.image[15, 5, 0] == 20
    assert found.image[15, 35, 0] == EMPTY
    assert found.boxes.tolist() == [[0, 0, 10, 10], [30, 0, 40, 10], [0, 10, 10, 20]]


def mosaic_plain(store: PatchStore, rows: np.ndarray) -> np.ndarray:
    """What ``mosaic_image`` draws where nothing is reduced, patch by patch: the reference."""
    columns = ("y", "x", "height", "width")
    boxes = [(row, *(store.index[name][row] for name in columns)) for row in rows.tolist()]
    top, left = min(box[1] for box in boxes), min(box[2] for box in boxes)
    boxes = [(row, y - top, x - left, tall, wide) for row, y, x, tall, wide in boxes]
    shape = (max(b[1] + b[3] for b in boxes), max(b[2] + b[4] for b in boxes), 3)
    image = np.full(shape, EMPTY, np.uint8)
    for row, down, across, tall, wide in boxes:
        image[down : down + tall, across : across + wide] = store.patches[row, :tall, :wide]
    return image


def test_equal_to_the_plain_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = [(int(x) * SIZE, int(y) * SIZE) for x, y in rng.integers(0, 9, (25, 2))]
    rows = at(*places)
    for row in rows[::4]:
        row |= {"width": 7, "height": 3}
    store = make(tmp_path, rows)
    chosen = np.arange(25)
    plain = mosaic_plain(store, chosen)
    found = mosaic_image(store, chosen).image
    # A step of at least one patch: the field is as wide as the patch, nothing is reduced.
    assert (found[: plain.shape[0], : plain.shape[1]] == plain).all()


def test_padding_does_not_cover_a_neighbor(tmp_path: Path) -> None:
    rows = at((0, 0), (6, 0))
    rows[0] |= {"width": 6}
    store = make(tmp_path, list(reversed(rows)))
    assert (mosaic_image(store, np.arange(2)).image[:, 6:16, 0] == 0).all()


def test_a_reduced_field_is_drawn_without_gaps(tmp_path: Path) -> None:
    store = make(tmp_path, at((0, 0), (40, 0), (0, 40), (40, 40)))
    found = mosaic_image(store, np.arange(4))
    assert found.scale == 0.25
    assert found.image.shape == (20, 20, 3)
    assert (found.image != EMPTY).all()


def test_wild_coordinates_are_drawn_smaller(tmp_path: Path) -> None:
    far = 2**31 - 1
    store = make(tmp_path, at((-far, -far), (far, far), (0, 3)))
    found = mosaic_image(store, np.arange(3), max_px=1_000_000)
    assert found.image.size / 3 <= 1_100_000
    assert found.reduced > 1e6
    assert (found.boxes[:, 2] > found.boxes[:, 0]).all()


def test_unknown_positions_and_two_slides(tmp_path: Path) -> None:
    store = make(tmp_path, [{"label": 0, "case": "A"}] * 2)
    with pytest.raises(StoreError, match="positions are unknown"):
        mosaic_image(store, np.arange(2))
    store = make(tmp_path, [*at((0, 0)), *at((0, 0), slide="other")])
    with pytest.raises(StoreError, match="2 slides cannot be drawn as one"):
        mosaic_image(store, np.arange(2))
