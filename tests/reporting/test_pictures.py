"""Pictures inside a page: exact or small, and together never too large."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from eosin.figures.panels import PANEL_PX, Key, Panel, compose
from eosin.reporting.pictures import (
    GALLERY_BYTES,
    MOSAIC_BYTES,
    STEPS,
    Draft,
    encode,
    resized,
    within,
)

Image = npt.NDArray[np.uint8]


def noise(height: int, width: int, seed: int = 0) -> Image:
    """The worst that can be encoded."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def decoded(uri: str) -> Image:
    head, _, body = uri.partition(",")
    assert head in {f"data:image/{kind};base64" for kind in ("png", "jpeg", "webp")}
    found = cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return np.asarray(found[:, :, ::-1], np.uint8)


def test_tissue_is_nearly_the_same_in_fewer_bytes() -> None:
    smooth = cv2.resize(noise(12, 12), (240, 240), interpolation=cv2.INTER_CUBIC)
    image = np.asarray(smooth, np.uint8)
    fine, coarse = (encode(image, quality=quality) for quality in (90, 30))
    assert len(coarse) < len(fine) < image.nbytes
    assert np.abs(decoded(fine).astype(int) - image).mean() < 6


def test_a_side_that_webp_cannot_hold() -> None:
    uri = encode(np.zeros((1, 20_000, 3), np.uint8), quality=80)
    assert uri.startswith("data:image/jpeg")


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4), (4, 4, 4)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        encode(np.zeros(shape, np.uint8))


def test_resized_keeps_at_least_a_pixel() -> None:
    assert resized(noise(3, 40), 0.05).shape == (1, 2, 3)
    image = noise(4, 4)
    assert resized(image, 1.0) is image


def test_small_pictures_are_left_as_they_are() -> None:
    pictures, note = within([Draft(noise(20, 30), "t", "a", "c", "n")], 1_000_000)
    (one,) = pictures
    assert (one.width_px, one.height_px, note) == (30, 20, "")
    assert (one.title, one.alt, one.caption, one.note) == ("t", "a", "c", "n")


@pytest.mark.parametrize(
    ("count", "side", "budget"),
    [(3, 400, 160_000), (12, 150, 50_000), (60, 60, 30_000), (1, 900, 2_000)],
)
def test_any_pictures_fit_the_budget(count: int, side: int, budget: int) -> None:
    image = noise(side, side)
    pictures, note = within([Draft(image, str(k), "a", "c") for k in range(count)], budget)
    assert sum(len(each.data_uri) for each in pictures) <= budget
    assert bool(note) == (len(pictures) < count)
    assert pictures or count == 1
    assert [each.title for each in pictures] == [str(k) for k in range(len(pictures))]
    for each in pictures[:1]:
        assert decoded(each.data_uri).shape == (each.height_px, each.width_px, 3)


def test_the_best_step_that_fits_is_taken() -> None:
    drafts = [Draft(noise(64, 64, seed), "t", "a", "c") for seed in range(3)]
    totals = []
    for scale, quality in STEPS:
        small = [resized(draft.image, scale) for draft in drafts]
        totals.append(sum(len(encode(image, quality=quality)) for image in small))
    for budget in [*totals, totals[0] + 1, totals[3] - 1]:
        pictures, _ = within(drafts, budget)
        wanted = next(total for total in totals if total <= budget)
        assert sum(len(each.data_uri) for each in pictures) == wanted


def test_the_page_has_room_for_all() -> None:
    assert MOSAIC_BYTES + 2 * GALLERY_BYTES < 3_000_000


def test_panels_stand_in_two_columns() -> None:
    image = np.full((100, 200, 3), 7, np.uint8)
    keys = [Key("#112233", "an entry with many words " * 9), *[Key("#445566", "b")] * 30]
    panels = [
        Panel("a" * 200, image, keys),
        Panel("b", image, bar=(50.0, "1 mm")),
        Panel("c", image, ramp=("0", "1"), keys=[Key("#f0f0f0", "d", stripes="#000000")]),
        Panel("e", image, keys=[Key("#d1602a", "f", line=True)]),
    ]
    sheet = compose(panels)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 2 * PANEL_PX + 40
    assert (sheet == 7).all(axis=2).sum() == 4 * PANEL_PX * PANEL_PX // 2
    assert compose(panels[:3], columns=1).shape[1] == PANEL_PX


def test_tall_panels_are_drawn_narrower() -> None:
    sheet = compose([Panel("a", np.full((900, 30, 3), 7, np.uint8))] * 2)
    assert sheet.shape[0] < 2 * PANEL_PX


def test_panels_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        compose([Panel("a", noise(4, 4)), Panel("b", noise(4, 5))])
