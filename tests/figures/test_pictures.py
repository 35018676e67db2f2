"""Pictures: complete or not there, readable, for any names and any number of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eosin.data.store import PatchStore, StoreWriter
from eosin.data.tints import CLASS_COLORS
from eosin.errors import StoreError
from eosin.figures import pictures


def make(path: Path, classes: list[str], cases: list[str], **more: Any) -> PatchStore:
    """Sixty patches on a grid of 10 x 6, their labels and cases in turn."""
    patches = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    rows = [
        {"label": k % len(classes), "case": cases[k % len(cases)], "slide": "s",
         "x": 8 * (k % 10), "y": 8 * (k // 10)} for k in range(60)
    ]  # fmt: skip
    with StoreWriter(
        path / "s.store", classes=classes, patch_size=(8, 8), mpp=more.pop("mpp", None), info=more
    ) as writer:
        writer.append(patches, rows)
    return PatchStore.open(path / "s.store")


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_patch_grid_of_any_number_of_classes(tmp_path: Path, count: int) -> None:
    store = make(tmp_path, [f"class {k}" for k in range(count)], ["A", "B", ""])
    path = pictures.patch_grid(store, tmp_path / "new" / "patches.png")
    assert size(path)[0] == 1560
    assert [p.name for p in path.parent.iterdir()] == ["patches.png"]


def test_names_that_look_like_markup(tmp_path: Path) -> None:
    store = make(tmp_path, ["$\\frac{", "a_b^c 浸潤"], ["$x$", "n\new", "q" * 300], made_up=True)
    pictures.patch_grid(store, tmp_path / "p.png")
    rows = np.flatnonzero(store.cases == "$x$")
    pictures.truth_map(store, rows, tmp_path / "t.png")


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    store = make(tmp_path, ["a", "b"], ["A"])
    files = [
        pictures.patch_grid(store, tmp_path / f"{k}.png", seed=seed).read_bytes()
        for k, seed in enumerate((1, 1, 2))
    ]
    assert files[0] == files[1] != files[2]


def test_truth_map_shows_the_classes_in_their_colors(tmp_path: Path) -> None:
    store = make(tmp_path, ["a", "b"], ["A"], mpp=2.0)
    path = pictures.truth_map(store, np.arange(60), tmp_path / "t.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    for color in CLASS_COLORS[:2]:
        wanted = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
        assert (np.abs(pixels - wanted).max(axis=1) <= 2).any()


def test_heatmap(tmp_path: Path) -> None:
    store = make(tmp_path, ["a", "b"], ["A"], mpp=2.0)
    values = np.linspace(0, 1, 60)
    values[3] = np.nan
    width, height = size(pictures.heatmap(store, np.arange(60), values, tmp_path / "h.png"))
    assert width > height
    with pytest.raises(ValueError, match="60 rows but 3"):
        pictures.heatmap(store, np.arange(60), np.ones(3), tmp_path / "h.png")


def test_nothing_to_draw_and_nowhere_to_write(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "e.store", classes=["a"], patch_size=(8, 8)):
        pass
    with pytest.raises(StoreError, match="contains no patches"):
        pictures.patch_grid(PatchStore.open(tmp_path / "e.store"), tmp_path / "p.png")
    store = make(tmp_path, ["a", "b"], ["A"])
    (tmp_path / "p.png").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        pictures.patch_grid(store, tmp_path / "p.png")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_sample_shows_many_cases(tmp_path: Path) -> None:
    store = make(tmp_path, ["a"], ["A"] * 7 + ["B", "C", "D"])
    rows = pictures._sample(store, 0, 4, np.random.default_rng(0))
    assert sorted(store.cases[rows]) == ["A", "B", "C", "D"]
