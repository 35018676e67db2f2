"""The patches of a case as a slide: each patch's box gives the patch back exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import SlideError, StoreError
from eosin.slides.mosaic import CaseMosaic, slides_of
from eosin.slides.reading import overview, read


def make(
    path: Path, rows: list[dict[str, Any]], size: tuple[int, int] = (8, 8), **options: Any
) -> PatchStore:
    patches = np.random.default_rng(0).integers(0, 255, (len(rows), *size, 3)).astype(np.uint8)
    with StoreWriter(path, classes=["n", "p"], patch_size=size, **options) as writer:
        writer.append(patches, [{"label": 0, "case": "A"} | row for row in rows])
    return PatchStore.open(path)


def test_each_patch_comes_back(tmp_path: Path) -> None:
    places = [(101, 51), (109, 51), (101, 59), (149, 83)]
    store = make(tmp_path / "s", [{"x": x, "y": y} for x, y in places], mpp=0.5)
    slide = CaseMosaic(store, "A")
    assert slide.bounds == (101, 51, 56, 40)
    assert (slide.width_px, slide.height_px) == (157, 91)
    assert slide.scale is not None
    assert slide.scale == (0.5, 0.5, "the store")
    for row, (x, y) in enumerate(places):
        pixels, known = slide.region(0, x, y, 8, 8)
        np.testing.assert_array_equal(pixels, store.patches[row])
        assert known.all()
        again = read(slide, x, y, 8, 8, (1, 1))
        np.testing.assert_array_equal(again, store.patches[row])
    pixels, known = slide.region(0, 0, 0, slide.width_px, slide.height_px)
    assert known.sum() == 4 * 64
    assert (pixels[~known] == 255).all()
    assert overview(slide, 50)[0].shape[1] == 50


def test_places_of_a_coarser_grid(tmp_path: Path) -> None:
    """Patches that were reduced from 4 times their width lie side by side."""
    store = make(tmp_path / "s", [{"x": 3 + 32 * k, "y": 32 * j} for j in (0, 1) for k in range(3)])
    slide = CaseMosaic(store, "A")
    assert slide.source_px == 4
    assert slide.bounds == (0, 0, 24, 16)
    pixels, known = slide.region(0, 0, 0, 24, 16)
    assert known.all()
    for row in range(6):
        x, y, w, h = slide.boxes[row].tolist()
        np.testing.assert_array_equal(pixels[y : y + h, x : x + w], store.patches[row])


def test_a_cut_patch_is_only_its_picture(tmp_path: Path) -> None:
    rows = [{"x": 0, "y": 0}, {"x": 8, "y": 0, "width": 5, "height": 3}]
    slide = CaseMosaic(make(tmp_path / "s", rows), "A")
    _, known = slide.region(0, 8, 0, 8, 8)
    assert known.sum() == 15
    assert slide.width_px == 16


def test_an_unknown_scale_and_patches_without_a_place(tmp_path: Path) -> None:
    store = make(tmp_path / "s", [{"x": 0, "y": 0}, {}, {"x": 0, "y": 0}])
    slide = CaseMosaic(store, "A")
    assert slide.scale is None
    assert "1 patches have no place and are left out" in slide.info.notes
    assert "1 patches lie where another one lies" in slide.info.notes
    np.testing.assert_array_equal(slide.region(0, 0, 0, 8, 8)[0], store.patches[2])


def test_a_case_of_several_slides(tmp_path: Path) -> None:
    rows = [{"x": 0, "y": 0, "slide": name} for name in ("b", "a")]
    store = make(tmp_path / "s", rows)
    assert slides_of(store, "A") == ["a", "b"]
    np.testing.assert_array_equal(
        CaseMosaic(store, "A", "a").region(0, 0, 0, 8, 8)[0], store.patches[1]
    )
    with pytest.raises(StoreError, match="case A has 2 slides"):
        CaseMosaic(store, "A")
    with pytest.raises(StoreError, match="no slide 'c'"):
        CaseMosaic(store, "A", "c")


@pytest.mark.parametrize(
    ("rows", "case", "words"),
    [
        ([{}], "A", "gives no x and y"),
        ([{"x": 0, "y": 0}], "B", "no case 'B'"),
        ([{"x": 0, "y": 0, "case": ""}], "", "does not record the case"),
        ([{"x": -9, "y": 0}], "A", "which no slide has"),
        ([{"x": 2**30, "y": 0}], "A", "which no slide has"),
    ],
)
def test_what_is_no_mosaic(tmp_path: Path, rows: Any, case: str, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        CaseMosaic(make(tmp_path / "s", rows), case)


def test_a_closed_mosaic(tmp_path: Path) -> None:
    slide = CaseMosaic(make(tmp_path / "s", [{"x": 0, "y": 0}]), "A")
    with pytest.raises(SlideError, match="no level 1"):
        slide.region(1, 0, 0, 1, 1)
    slide.close()
    with pytest.raises(SlideError, match="is closed"):
        slide.region(0, 0, 0, 1, 1)


def test_made_up_cases(made_up_store: PatchStore) -> None:
    for case in sorted(set(made_up_store.cases.tolist()))[:3]:
        slide = CaseMosaic(made_up_store, case)
        for row, (x, y, w, h) in zip(slide.rows, slide.boxes.tolist(), strict=True):
            pixels, _ = slide.region(0, x, y, w, h)
            np.testing.assert_array_equal(pixels, made_up_store.patches[row][:h, :w])


@pytest.mark.real
@pytest.mark.slow
def test_a_real_case(real_data: Path, eosin: Any, tmp_path: Path) -> None:
    """979 patches of a complete case: at 4 micrometers a pixel, each comes back exactly."""
    source = real_data / "idc-sample.zip"
    if not source.exists():
        pytest.skip("the real patches are not beside the project")
    assert eosin("pack", source, tmp_path / "s.store", "--include", "*8863/*").code == 0
    store = PatchStore.open(tmp_path / "s.store")
    slide = CaseMosaic(store, "8863")
    assert slide.scale is not None
    assert slide.scale[:2] == (4.0, 4.0)
    assert slide.bounds == (51, 51, 2750, 2300)
    for row, (x, y, w, h) in zip(slide.rows, slide.boxes.tolist(), strict=True):
        np.testing.assert_array_equal(slide.region(0, x, y, w, h)[0], store.patches[row][:h, :w])
