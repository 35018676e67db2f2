"""The engine: places without drift, the same batches every time, and answers that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.errors import SlideError, StoppedError
from eosin.scanning.answers import Answers
from eosin.scanning.blocks import batches, plan_of
from eosin.scanning.engine import answer
from eosin.scanning.grid import Lens, grid_of, starts
from eosin.slides.reading import factors
from eosin.slides.slide import Box, Level, Scale, SlideInfo
from eosin.slides.tissue import TISSUE, Tissue


@dataclass
class Picture:
    """A slide over an array: the reference of all that is read."""

    pixels: np.ndarray
    scale: Scale | None
    bounds: Box
    sides: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.height_px, self.width_px = self.sides or self.pixels.shape[:2]
        self.levels = (Level(self.width_px, self.height_px),)
        self.path, self.reader = Path("slide.tif"), "array"
        self.info = SlideInfo("array")
        self.read = 0

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Any:
        self.read += 1
        out = np.full((height, width, 3), 255, np.uint8)
        known = np.zeros((height, width), bool)
        tall, wide = self.pixels.shape[:2]
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, wide), min(y + height, tall)
        if x0 < x1 and y0 < y1:
            out[y0 - y : y1 - y, x0 - x : x1 - x] = self.pixels[y0:y1, x0:x1]
            known[y0 - y : y1 - y, x0 - x : x1 - x] = True
        return out, known


def picture(height: int = 300, width: int = 400, mpp: float = 1.0, **more: Any) -> Picture:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    box = more.pop("bounds", Box(0, 0, width, height))
    return Picture(pixels, Scale(mpp, mpp, "test"), box, **more)


def all_tissue(*cells: int) -> Tissue:
    return Tissue(np.full(cells or (10, 10), TISSUE, np.uint8), None, "test")


class Mean:
    """Answers with the mean of red, so that an answer tells its patch."""

    classes = ("n", "p")

    def __init__(self, distance: bool = True) -> None:
        self.asked: list[int] = []
        self.distance = distance

    def examine(self, patches: np.ndarray) -> Any:
        self.asked.append(len(patches))
        p = patches[..., 0].mean((1, 2)).astype(np.float32) / 255
        return np.stack([1 - p, p], 1), p * 2 if self.distance else None


LENS = Lens((10, 10), 1.0)


def test_the_last_tile_of_a_wide_slide_does_not_drift() -> None:
    # 0.2527 um a pixel: a patch of 50 at 4 um is 791.4523... pixels of the slide.
    mpp = 0.2527
    slide = Picture(np.zeros((1, 1, 3), np.uint8), Scale(mpp, mpp, ""), Box(0, 0, 100_000, 900))
    slide.width_px, slide.height_px = 100_000, 900
    slide.levels = (Level(100_000, 900), Level(25_001, 225))
    grid = grid_of(slide, all_tissue(), Lens((50, 50), 4.0), least=0)
    exact = Fraction("4.0") / Fraction("0.2527") * 50
    assert grid.columns == int((100_000 - exact + Fraction(1, 2)) / exact) + 1
    x, _ = grid.corners()
    assert abs(int(x[-1]) - (grid.columns - 1) * exact) <= Fraction(1, 2)
    plan = plan_of(slide, grid)
    assert plan.level == 1
    # Within half a pixel of the level, which is 4 wide: 25,001 is 100,000 / 4 with a margin.
    placed = int(plan.left[-1]) * factors(slide, slide.levels[1])[0]
    assert abs(placed - (grid.columns - 1) * exact) <= 2


def test_patches_are_the_pixels_at_their_corners() -> None:
    slide = picture()
    grid = grid_of(slide, all_tissue(), LENS, least=0)
    assert (grid.columns, grid.rows, len(grid)) == (40, 30, 1200)
    plan = plan_of(slide, grid)
    x, y = grid.corners()
    seen = 0
    for cells, patches in batches(slide, grid, plan, 100, readers=2):
        for cell, patch in zip(cells, patches, strict=True):
            there = slide.pixels[y[cell] : y[cell] + 10, x[cell] : x[cell] + 10]
            assert np.array_equal(patch, there)
        seen += len(cells)
    assert seen == 1200
    assert slide.read == 1


def test_few_patches_far_apart_are_read_by_themselves() -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[2, 3] = labels[27, 35] = TISSUE
    slide = picture()
    grid = grid_of(slide, Tissue(labels, None, ""), LENS)
    assert list(zip(grid.column.tolist(), grid.row.tolist(), strict=True)) == [(3, 2), (35, 27)]
    list(batches(slide, grid, plan_of(slide, grid), 100))
    assert slide.read == 2


@pytest.mark.parametrize("mpp", [0.25, 0.3, 0.5])
def test_a_finer_slide_is_reduced_by_area(mpp: float) -> None:
    slide = picture(mpp=mpp)
    grid = grid_of(slide, all_tissue(), LENS, least=0)
    plan = plan_of(slide, grid)
    (_, patches), *_ = batches(slide, grid, plan, 1 << 20)
    side = plan.across
    assert side == round(10 / mpp)
    wanted = slide.pixels[:side, :side].reshape(-1, 3).mean(0)
    assert abs(patches[0].reshape(-1, 3).mean(0) - wanted).max() < 1


def test_overlapping_patches_and_bounds() -> None:
    slide = picture(bounds=Box(7, 11, 100, 50))
    grid = grid_of(slide, all_tissue(), LENS._replace(stride_um=5.0), least=0)
    assert (grid.columns, grid.rows) == (19, 9)
    x, y = grid.corners()
    assert (x.min(), y.min(), x.max(), y.max()) == (7, 11, 97, 51)


def test_the_share_of_tissue_is_counted_where_the_patch_lies() -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[:15, :20] = TISSUE
    slide = picture()
    tissue = Tissue(labels, None, "")
    found = {}
    for least in (0.5, 0.75, 0.8, 1.0):
        grid = grid_of(slide, tissue, Lens((40, 40), 1.0), least=least)
        found[least] = int(grid.row.max())
    # Of row 3, which is 12 to 16 of the mask, three quarters are tissue.
    assert found == {0.5: 3, 0.75: 3, 0.8: 2, 1.0: 2}


@pytest.mark.parametrize(
    ("slide", "lens", "words"),
    [
        (picture(5, 5), LENS, "smaller than one patch"),
        (Picture(np.zeros((9, 9, 3), np.uint8), None, Box(0, 0, 9, 9)), LENS, "--mpp"),
        (
            picture(sides=(900_000, 900_000), bounds=Box(0, 0, 900_000, 900_000)),
            LENS,
            "larger --stride-um",
        ),
    ],
)
def test_a_slide_that_no_grid_fits_is_a_sentence(slide: Any, lens: Lens, words: str) -> None:
    with pytest.raises(SlideError, match=words):
        grid_of(slide, all_tissue(), lens)


def test_answers_are_in_the_order_of_the_grid(tmp_path: Path) -> None:
    slide, model = picture(), Mean()
    grid = grid_of(slide, all_tissue(), LENS, least=0)
    told: list[int] = []
    got = answer(
        slide, grid, plan_of(slide, grid), model, log=tmp_path / "a", key="k",
        progress=lambda done, total: told.append(done),
    )  # fmt: skip
    x, y = grid.corners()
    for cell in (0, 39, 40, 1199):
        there = slide.pixels[y[cell] : y[cell] + 10, x[cell] : x[cell] + 10, 0].mean() / 255
        assert got.probabilities[cell, 1] == pytest.approx(there, abs=1e-6)
        assert got.distances is not None
        assert got.distances[cell] == pytest.approx(2 * there, abs=1e-6)
    assert model.asked == [512, 512, 176]
    assert told == [0, 512, 1024, 1200]


def test_without_a_check_of_scope_there_are_no_distances(tmp_path: Path) -> None:
    slide = picture()
    grid = grid_of(slide, all_tissue(), LENS, least=0)
    got = answer(
        slide, grid, plan_of(slide, grid), Mean(distance=False), log=tmp_path / "a", key="k"
    )
    assert got.distances is None


def test_a_stopped_scan_goes_on_with_the_same_batches(tmp_path: Path) -> None:
    slide, first, second, whole = picture(), Mean(), Mean(), Mean()
    grid = grid_of(slide, all_tissue(), LENS, least=0)
    plan, log = plan_of(slide, grid), tmp_path / "log"
    with pytest.raises(StoppedError, match="512 of 1,200"):
        answer(slide, grid, plan, first, log=log, key="k", stop=lambda: True)
    # What a kill in the middle of a write leaves.
    with open(log, "ab") as file:
        file.write(b"12345")
    got = answer(slide, grid, plan, second, log=log, key="k")
    assert (got.resumed, second.asked) == (512, [512, 176])
    wanted = answer(slide, grid, plan, whole, log=tmp_path / "other", key="k")
    assert np.array_equal(got.probabilities, wanted.probabilities)
    again = answer(slide, grid, plan, third := Mean(), log=log, key="k")
    assert (again.resumed, third.asked) == (1200, [])
    answer(slide, grid, plan, third, log=log, key="other")
    assert third.asked == [512, 512, 176]


def test_a_file_of_anything_is_no_answers(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"anything else, longer than the head of the file is" * 9)
    with Answers(tmp_path / "a", "k", 3) as answers:
        assert len(answers) == 0
        answers.append(np.ones((2, 3), np.float32))
    with Answers(tmp_path / "a", "k", 3) as answers:
        assert answers.read().tolist() == [[1, 1, 1], [1, 1, 1]]


def test_a_damaged_place_ends_the_slide_and_keeps_the_answers(tmp_path: Path) -> None:
    slide = picture(3000, 200)
    grid = grid_of(slide, all_tissue(), LENS, least=0)
    plan, sound = plan_of(slide, grid), slide.region

    def torn(level: int, x: int, y: int, width: int, height: int) -> Any:
        if y > 0:
            raise SlideError("slide.tif is damaged at 0, 1530")
        return sound(level, x, y, width, height)

    slide.region = torn  # type: ignore[method-assign]
    with pytest.raises(SlideError, match="damaged"):
        answer(slide, grid, plan, Mean(), log=tmp_path / "a", key="k")
    slide.region = sound  # type: ignore[method-assign]
    got = answer(slide, grid, plan, Mean(), log=tmp_path / "a", key="k")
    assert got.resumed == 2560


def test_starts_are_the_nearest_whole_pixels() -> None:
    assert starts(3, Fraction(5, 2), 4, Fraction(1)).tolist() == [3, 6, 8, 10]
