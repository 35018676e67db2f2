"""Tissue at low power: pale and fatty tissue stays, specks go, flaws have a number each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fakes import FakeSlide

from eosin.errors import UserError
from eosin.slides import lowpower
from eosin.slides.find import TissueSettings, find_tissue
from eosin.slides.lowpower import low_power
from eosin.slides.slide import Known, Level, Pixels, Scale
from eosin.slides.tissue import BLUR, BUBBLE, FOLD, GLASS, PEN, TISSUE, Tissue, parse_qc
from eosin.synthetic.archive import make_case

WHITE, EOSIN, PALE, DARK = (246, 244, 245), (225, 140, 175), (243, 229, 238), (120, 70, 140)
UM8 = Scale(8.0, 8.0, "a test")


def blank(height: int = 200, width: int = 200) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 1.2, (height, width, 3))
    return np.asarray(np.clip(np.array(WHITE) + noise, 0, 255), np.uint8)


def stained(image: Pixels, place: Any, color: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(1).normal(0, 4, image[place].shape)
    image[place] = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)


def labels_of(image: Pixels, scale: Scale | None = UM8, **settings: Any) -> Any:
    return find_tissue(FakeSlide(image, scale), TissueSettings(focus_um=0, **settings)).labels


def test_pale_tissue_is_kept_beside_dark_tissue() -> None:
    image = blank()
    stained(image, np.s_[20:100, 20:100], DARK)
    stained(image, np.s_[120:180, 60:160], PALE)
    labels = labels_of(image)
    assert (labels[22:98, 22:98] == TISSUE).all()
    assert (labels[122:178, 62:158] == TISSUE).mean() > 0.99
    assert (labels[20:100, 110:] == GLASS).all()
    # Otsu's threshold alone loses it.
    assert (labels_of(image, most=1.0)[122:178, 62:158] == TISSUE).mean() < 0.3


def test_fat_is_tissue_thin_walls_around_white_holes() -> None:
    """Walls of 4 micrometers around holes of 100 micrometers, on a slide of 2 micrometers."""
    image = blank(800, 800)
    for k in range(100, 701, 52):
        stained(image, np.s_[k : k + 2, 100:702], EOSIN)
        stained(image, np.s_[100:702, k : k + 2], EOSIN)
    labels = labels_of(image, Scale(2.0, 2.0, "a test"))
    assert labels.shape == (200, 200)
    assert (labels[26:167, 26:167] == TISSUE).all()
    assert (labels[:22] == GLASS).all()


def test_made_up_cases_are_found_with_their_fat() -> None:
    drawn = make_case("90002", 0, width_px=500, height_px=400)
    labels = find_tissue(FakeSlide(drawn.image, Scale(4.0, 4.0, ""))).labels
    tissue = drawn.tissue[:400, :500].reshape(200, 2, 250, 2).any(axis=(1, 3))
    assert (labels[tissue] == TISSUE).mean() > 0.98
    assert ((labels == TISSUE) & ~tissue).sum() < 0.25 * tissue.sum()  # holes of fat cells


def test_specks_go_and_holes_are_filled_by_area() -> None:
    """At 8 micrometers a pixel 20,000 um2 are 312 pixels and 40,000 um2 are 625."""
    image = blank(200, 300)
    stained(image, np.s_[10:26, 10:26], DARK)  # 256 pixels
    stained(image, np.s_[10:30, 60:80], DARK)  # 400 pixels
    stained(image, np.s_[60:180, 20:280], DARK)
    image[80:100, 40:60] = WHITE  # a hole of 400 pixels
    image[80:120, 120:160] = WHITE  # a hole of 1,600 pixels
    labels = labels_of(image)
    assert (labels[5:32, 5:32] == GLASS).all()
    assert (labels[12:28, 62:78] == TISSUE).all()
    assert (labels[80:100, 40:60] == TISSUE).all()
    assert (labels[85:115, 125:155] == GLASS).all()
    assert (labels_of(image, speck_um2=10_000)[12:24, 12:24] == TISSUE).all()
    assert (labels_of(image, hole_um2=10_000)[85:95, 45:55] == GLASS).all()


def test_a_small_picture_of_tissue_is_no_speck() -> None:
    image = blank(12, 12)
    stained(image, np.s_[:, :8], EOSIN)
    assert (labels_of(image)[:, :8] == TISSUE).all()


def test_gray_dust_and_shadows_are_no_tissue() -> None:
    image = blank()
    image[40:120, 40:120] = 190
    assert not labels_of(image).any()


@pytest.mark.parametrize("value", [255, 244, 0, 128])
def test_a_slide_of_one_color_has_no_tissue_and_one_pixel_is_no_error(value: int) -> None:
    for shape in ((50, 60, 3), (1, 1, 3), (1, 40, 3)):
        labels = labels_of(np.full(shape, value, np.uint8))
        assert labels.shape == shape[:2]
        assert not (labels == TISSUE).any()


def test_missing_tiles_are_no_tissue() -> None:
    image = blank()
    stained(image, np.s_[:], EOSIN)
    known = np.ones((200, 200), bool)
    known[:100] = False
    labels = find_tissue(FakeSlide(image, UM8, known=known)).labels
    assert (labels[:100] == GLASS).all()
    assert (labels[100:] == TISSUE).all()


def flawed() -> tuple[FakeSlide, dict[str, tuple[int, int]]]:
    """A made-up case with ink, a fold and bubbles, and a place of each in the mask (y, x)."""
    import cv2

    image = make_case("90002", 0).image.astype(np.float32)
    strip = np.zeros(image.shape[:2], np.uint8)
    cv2.polylines(strip, [np.array([[500, 250], [620, 420], [640, 600]])], False, 1, 14)
    image[strip > 0] = image[strip > 0] ** 2 / np.array((248, 246, 246), np.float32)
    image = np.clip(image, 0, 255).astype(np.uint8)
    cv2.circle(image, (300, 560), 60, (70, 72, 75), 3)
    cv2.circle(image, (900, 90), 50, (150, 150, 150), 3)
    cv2.polylines(image, [np.array([[30, 60], [200, 100], [330, 380]])], False, (30, 60, 170), 16)
    cv2.line(image, (700, 760), (980, 700), (20, 130, 60), 14)
    cv2.line(image, (20, 700), (150, 790), (25, 25, 28), 14)
    cv2.line(image, (560, 20), (680, 40), (200, 30, 50), 14)
    places = {
        "blue": (38, 50), "red": (15, 310), "green": (365, 420), "black": (372, 42),
        "fold": (235, 310), "on tissue": (270, 150), "on glass": (45, 450),
    }  # fmt: skip
    return FakeSlide(image, Scale(4.0, 4.0, "")), places


def test_ink_folds_and_bubbles_have_their_own_numbers() -> None:
    slide, places = flawed()
    found = find_tissue(slide)
    seen = {name: int(found.labels[place]) for name, place in places.items()}
    assert seen == {
        "blue": PEN, "red": PEN, "green": PEN, "black": PEN, "fold": FOLD, "on tissue": BUBBLE,
        "on glass": BUBBLE,
    }  # fmt: skip
    # Nothing else is flagged: what was drawn covers about 6 percent.
    shares = found.shares()
    assert 0.02 < shares["pen"] < 0.04
    assert 0.003 < shares["fold"] < 0.012
    assert 0.02 < shares["bubble"] < 0.035
    assert sum(shares.values()) == pytest.approx(1)
    clean = find_tissue(FakeSlide(make_case("90002", 0).image, Scale(4.0, 4.0, ""))).shares()
    assert clean["pen"] == clean["fold"] == clean["bubble"] == clean["out of focus"] == 0


def test_flaws_are_left_alone_where_nobody_asks() -> None:
    slide, _ = flawed()
    labels = find_tissue(slide, TissueSettings(flaws=False)).labels
    assert set(np.unique(labels)) == {GLASS, TISSUE}


def textured(height: int, width: int) -> Pixels:
    """Tissue with nuclei, at 1 micrometer a pixel."""
    import cv2

    rng = np.random.default_rng(3)
    image = np.full((height, width, 3), EOSIN, np.float32)
    image += rng.normal(0, 6, (height, width, 1))
    for x, y in rng.integers(0, (width, height), (height * width // 350, 2)):
        cv2.circle(image, (int(x), int(y)), 4, DARK, -1)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.7), 0, 255).astype(np.uint8)


def test_areas_out_of_focus_are_found_by_their_sharpness() -> None:
    import cv2

    image = textured(1024, 2048)
    image[:, 1024:] = cv2.GaussianBlur(image[:, 1024:], (0, 0), 3)
    found = find_tissue(FakeSlide(image, Scale(1.0, 1.0, ""), reduced=(4,)))
    assert found.labels.shape == (128, 256)
    assert (found.labels[:, :120] == TISSUE).all()
    assert (found.labels[:, 136:] == BLUR).all()
    assert not found.notes
    # Only tissue is looked at: half of it is read.
    half = np.full_like(image, 245)
    half[:, :1024] = image[:, :1024]
    slide = FakeSlide(half, Scale(1.0, 1.0, ""), reduced=(4,))
    find_tissue(slide)
    fine = [read for read in slide.reads if read[0] == 0]
    assert fine
    assert max(x + width for _, x, _, width, _ in fine) <= 2048


def test_sharpness_is_not_judged_on_a_coarse_slide_and_a_note_says_so() -> None:
    found = find_tissue(FakeSlide(blank(), UM8))
    assert found.notes == (
        "sharpness is not judged: it needs a level of at least 2 micrometers a pixel",
    )


def test_a_slide_without_a_scale_has_a_mask_and_a_note() -> None:
    image = blank()
    stained(image, np.s_[40:160, 40:160], EOSIN)
    found = find_tissue(FakeSlide(image, None))
    assert found.mpp is None
    assert found.areas_mm2() == {}
    assert (found.labels[45:155, 45:155] == TISSUE).all()
    assert "the slide has no scale" in found.notes[0]


def test_blocks_give_what_one_read_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_case("90002", 0, width_px=331, height_px=277).image
    slide = FakeSlide(image, Scale(1.7, 1.7, ""))
    whole = low_power(slide, 8.0)
    assert len(slide.reads) == 1
    monkeypatch.setattr(lowpower, "_SIDE_PX", 60)
    parts = low_power(slide, 8.0)
    assert len(slide.reads) > 20
    # A block begins at the nearest pixel of a level, so its pixels may be shifted by half of one.
    assert np.abs(whole.pixels.astype(int) - parts.pixels).mean() < 6
    assert whole.mpp == parts.mpp == pytest.approx((331 * 1.7 / 70, 277 * 1.7 / 59))


class Huge(FakeSlide):
    """A slide of 100,000 x 100,000 pixels with one level, which keeps none of them."""

    def __init__(self) -> None:
        super().__init__(blank(2, 2), Scale(0.25, 0.25, ""))
        self.width_px = self.height_px = 100_000
        self.levels = (Level(100_000, 100_000),)

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        self.reads.append((level, x, y, width, height))
        return np.broadcast_to(np.uint8(240), (height, width, 3)), np.broadcast_to(True, (1, 1))  # type: ignore[return-value]


def test_a_huge_slide_is_read_in_blocks() -> None:
    slide = Huge()
    slide.width_px = 300_000
    width, height, step = lowpower.whole_steps(slide, 8.0)
    assert 13e6 < width * height <= lowpower.MOST_PX
    assert width / height == pytest.approx(3, rel=1e-3)
    slide.width_px = 100_000
    width, height, step = lowpower.whole_steps(slide, 8.0)
    places = list(lowpower.blocks(slide, width, height, step))
    assert sum(w * h for *_, w, h in places) == width * height == 3125 * 3125
    assert max(w * h for *_, w, h in places) * 32 * 32 <= 1 << 23
    for place in places[:: len(places) // 3]:
        pixels, known = lowpower.read_block(slide, *place, step)
        assert pixels.shape == (place[3], place[2], 3)
        assert known.all()
        assert np.unique(pixels).tolist() == [240]
    assert max(max(read[3:]) for read in slide.reads) <= 4096 + 64


def test_qc_decides_what_is_left_out() -> None:
    labels = np.array([[GLASS, TISSUE, PEN, FOLD, BLUR, BUBBLE]], np.uint8)
    found = Tissue(labels, (1000.0, 500.0), "a test")
    assert found.used().tolist() == [[False, True, False, False, False, False]]
    assert found.used(parse_qc("all")).tolist() == found.used().tolist()
    assert found.used(parse_qc("none")).tolist() == [[False, True, True, True, True, True]]
    assert found.used(parse_qc("pen, focus")).tolist() == [[False, True, False, True, False, True]]
    assert found.areas_mm2() == {
        "glass": 0.5, "tissue": 0.5, "pen": 0.5, "fold": 0.5, "out of focus": 0.5, "bubble": 0.5,
    }  # fmt: skip
    with pytest.raises(UserError, match="--qc folds: did you mean fold"):
        parse_qc("folds")


def test_cover_is_the_exact_share_of_a_box() -> None:
    labels = np.array([[TISSUE, TISSUE, GLASS], [GLASS, PEN, GLASS]], np.uint8)
    found = Tissue(labels, None, "a test")
    # The slide has 30 x 20 pixels, so a pixel of the mask is 10 x 10 of them.
    x, y = np.array([0, 15, 5, 25, -10]), np.array([0, 0, 5, 0, 0])
    assert found.cover((30, 20), x, y, (10, 10)).tolist() == [1, 0.5, 0.5, 0, 0]
    assert found.cover((30, 20), x, y, (10, 10), (TISSUE, PEN)).tolist() == [1, 0.5, 0.75, 0, 0]
    assert found.cover((30, 20), np.array([0]), np.array([0]), (30, 20)).tolist() == [2 / 6]


@pytest.mark.slow
def test_the_comparison_of_ways_runs(rows_of_benchmark: Any, tmp_path: Path) -> None:
    rows = rows_of_benchmark("tissue", tmp_path, "--short")
    dice = {(row["slide"], row["way"]): float(row["dice"]) for row in rows if row["dice"]}
    assert dice["drawn 90001", "eosin"] > dice["drawn 90001", "saturation"]
    assert {row["way"] for row in rows if not row["dice"]} == {"flaws"}
