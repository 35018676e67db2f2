"""Flaws of a slide: pen marks, folds, air bubbles and areas out of focus.

Each is a rule of a few lines on optical densities, with lengths in micrometers; none is learned.
They mark what is plain, and miss what is not: red ink that looks like blood, a fold of one thin
layer, a bubble that is cut by the edge of the slide.
"""

from __future__ import annotations

import numpy as np

from eosin.slides.find import Floats, disk, spread, without_small
from eosin.slides.lowpower import blocks, read_block, steps, together
from eosin.slides.slide import Known, Pixels, Slide
from eosin.slides.tissue import BLUR, BUBBLE, FOLD, GLASS, PEN, TISSUE, Ints, Labels, Mask

#: A cell in which sharpness is judged, and the ratio of fine to coarse detail below which it is
#: blurred. Of CMU-1-Small-Region at 2 micrometers a pixel 95 of 100 sharp cells are above 0.6, and
#: 95 of 100 are below 0.24 once it is blurred by 2 micrometers.
CELL_UM, SHARP = 128.0, 0.25
#: A square of so many gray levels is the least coarse detail by which sharpness can be judged.
LEAST_DETAIL = 0.3


def flaws(absorbed: Floats, known: Known, labels: Labels, um: float) -> None:
    """Set PEN, FOLD and BUBBLE in the labels of a reduced slide, uint8 [h, w].

    absorbed: optical densities, float32 [3, h, w]; known: where the slide has pixels, bool [h, w];
    um: micrometers a pixel.
    """
    least, most = absorbed.min(axis=0), absorbed.max(axis=0)
    air = bubbles(least, most, um) & known
    ink = pen(absorbed, least, most, um) & known & ~air
    # Next to either, tissue looks darker than it is.
    tissue = (labels == TISSUE) & ~near(ink | air, 32, um)
    labels[folds(absorbed, tissue, um)] = FOLD
    labels[air] = BUBBLE
    labels[ink] = PEN
    # What is left around a mark that was drawn on glass is its border.
    left = labels == TISSUE
    labels[left & ~without_small(left, 20_000 / um**2) & near(ink, 100, um)] = GLASS


def pen(absorbed: Floats, least: Floats, most: Floats, um: float) -> Mask:
    """Ink, on glass or on tissue: bool [h, w].

    absorbed: optical densities, float32 [3, h, w], with their least and most. Both stains absorb
    green most. Blue and green ink absorb red more than that, black ink absorbs all alike, and red
    ink absorbs much more of green and blue than of red.
    """
    import cv2

    red, green, blue = absorbed
    cold = (red > 0.2) & (red > green + 0.1)
    black = (least > 0.9) & (least > 0.72 * most)
    # As red as no eosin: even blood, and only just.
    warm = (green > 1.2) & (blue > 0.9) & (blue > 0.6 * green) & (red < 0.3 * green)
    ink = without_small(cold | black | warm, 1500 / um**2)
    ink = cv2.morphologyEx(ink.view(np.uint8), cv2.MORPH_CLOSE, disk(32, um)).view(bool)
    ink = without_small(ink, 8000 / um**2)
    return near(ink, 16, um)


def folds(absorbed: Floats, tissue: Mask, um: float) -> Mask:
    """Strips of tissue that absorb as two layers do: bool [h, w].

    The mean of all channels is compared with that of most stained tissue of the slide, of its dense
    parts, and of stained tissue within 400 micrometers. A strip is at least three times as long as
    wide, and 300 micrometers wide at most.
    """
    import cv2

    mean = cv2.GaussianBlur(absorbed.mean(axis=0), (0, 0), max(0.5, 10 / um))
    stained = tissue & (spread(absorbed) > 0.1)
    if not stained.any():
        return stained
    most, dense = np.quantile(mean[stained], (0.75, 0.95))
    around = _local_mean(mean, stained, 400 / um)
    # Two layers have the color of one. What is dark for its many nuclei is bluer than what is near.
    red = cv2.GaussianBlur(absorbed[0], (0, 0), max(0.5, 10 / um))
    reds = _local_mean(red, stained, 400 / um)
    alike = red * around < (reds + 0.15 * around) * mean
    plain = tissue & (mean > max(1.6 * most, 1.2 * dense)) & (mean > 1.5 * around) & alike
    dark = tissue & (mean > max(1.25 * most, 0.95 * dense)) & (mean > 1.3 * around) & alike
    dark = cv2.morphologyEx(dark.view(np.uint8), cv2.MORPH_CLOSE, disk(16, um)).view(bool)
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(dark.view(np.uint8), connectivity=8)
    deep = cv2.distanceTransform(dark.view(np.uint8), cv2.DIST_L2, 5)
    width = np.zeros(count)
    np.maximum.at(width, numbers[dark], 2 * deep[dark])
    area = stats[:, cv2.CC_STAT_AREA]
    seeds = np.bincount(numbers[plain], minlength=count)
    strip = (area >= 10_000 / um**2) & (area >= 3 * width**2) & (width <= 300 / um)
    strip &= seeds >= 0.2 * area
    strip[0] = False
    return near(strip[numbers], 16, um) & tissue


def _local_mean(values: Floats, where: Mask, radius_px: float) -> Floats:
    """The mean of the values within a square, of places ``where`` alone: float32 [h, w]."""
    import cv2

    side = 2 * max(1, round(radius_px)) + 1
    weight = where.astype(np.float32)
    total = cv2.blur(values * weight, (side, side), borderType=cv2.BORDER_CONSTANT)
    share = cv2.blur(weight, (side, side), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total / np.maximum(share, 1e-6), np.float32)


def bubbles(least: Floats, most: Floats, um: float) -> Mask:
    """Round areas inside a thin gray line, with the line: bool [h, w].

    least, most: the smallest and largest optical density of each pixel, float32 [h, w]. The border
    of a bubble scatters light of every color alike, which no stain does.
    """
    import cv2

    gray = (least > 0.1) & (least > 0.65 * most)
    wide = cv2.morphologyEx(gray.view(np.uint8), cv2.MORPH_OPEN, disk(56, um)).view(bool)
    line = (gray & ~wide).view(np.uint8)
    line = cv2.morphologyEx(line, cv2.MORPH_CLOSE, disk(24, um))
    found = np.zeros(line.shape, np.uint8)
    contours, above = cv2.findContours(line, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for contour, (_, _, _, parent) in zip(contours, above[0] if len(contours) else (), strict=True):
        area, around = cv2.contourArea(contour), cv2.arcLength(contour, True)
        # A hole of the line; its outline counted over pixels is longer than a circle by 5 percent.
        if parent >= 0 and area >= 30_000 / um**2 and 4 * np.pi * area / around**2 >= 0.65:
            cv2.drawContours(found, [contour], 0, 1, cv2.FILLED)
    inside = found.view(bool)
    return np.asarray(inside | (near(inside, 40, um) & line.view(bool)), bool)


def near(mask: Mask, distance_um: float, um: float) -> Mask:
    """The mask and what is so near to it: bool [h, w]."""
    import cv2

    if not mask.any():
        return mask
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk(distance_um, um)), np.uint8).view(bool)


def blurred(slide: Slide, labels: Labels, focus_um: float) -> bool:
    """Set BLUR in the labels where tissue is out of focus; returns whether it could be judged.

    labels: uint8 [h, w], stretched over the slide. Only blocks with tissue are read, at
    ``focus_um`` a pixel. Sharpness is fine detail divided by coarse detail, which depends neither
    on the stain nor on how much there is to see.
    """
    import cv2

    if slide.scale is None or max(slide.scale[:2]) > 1.1 * focus_um:
        return False
    width, height, step = steps(slide, focus_um)
    cell = round(CELL_UM / focus_um)
    # The cell of each row and column of the mask.
    sides = zip((height, width), labels.shape, strict=True)
    to_row, to_column = (
        ((np.arange(pixels) + 0.5) * side / pixels // cell).astype(np.int64)
        for side, pixels in sides
    )
    rows, columns = int(to_row[-1]) + 1, int(to_column[-1]) + 1
    tissue = _cell_means(labels == TISSUE, to_row, to_column)
    soft = np.zeros((rows, columns), np.float32)
    side = 16

    def judge(corner: tuple[int, int]) -> None:
        row, column = corner
        part = np.s_[row : row + side, column : column + side]
        high, wide = tissue[part].shape
        pixels = np.empty((high * cell, wide * cell, 3), np.uint8)
        for left, top, across, down in blocks(slide, wide * cell, high * cell, step):
            pixels[top : top + down, left : left + across] = read_block(
                slide, column * cell + left, row * cell + top, across, down, step
            )[0]
        soft[part] = sharpness(pixels, cell) < SHARP

    corners = [
        (row, column)
        for row in range(0, rows, side)
        for column in range(0, columns, side)
        if (tissue[row : row + side, column : column + side] >= 0.5).any()
    ]
    together(judge, corners)
    # A single cell decides nothing: most of its neighbors with tissue have to agree.
    judged = (tissue >= 0.5).astype(np.float32)
    agree = cv2.blur(soft * judged, (3, 3)) / np.maximum(cv2.blur(judged, (3, 3)), 1e-6)
    out = (soft > 0) & (judged > 0) & (agree > 0.5)
    labels[(labels == TISSUE) & out[to_row][:, to_column]] = BLUR
    return True


def _cell_means(mask: Mask, to_row: Ints, to_column: Ints) -> Floats:
    """The share of a mask in each cell: float32 [rows, columns].

    to_row, to_column: the cell of each row and column of the mask.
    """
    firsts = [np.searchsorted(cells, np.arange(cells[-1] + 1)) for cells in (to_row, to_column)]
    total = np.add.reduceat(mask.astype(np.float32), firsts[0], axis=0)
    total = np.add.reduceat(total, firsts[1], axis=1)
    return np.asarray(total / np.outer(np.bincount(to_row), np.bincount(to_column)), np.float32)


def sharpness(pixels: Pixels, cell_px: int) -> Floats:
    """Fine detail divided by coarse detail in square cells: float32 [rows, columns].

    pixels: uint8 [h, w, 3] of whole cells. Infinite where there is too little detail to judge by.
    """
    import cv2

    gray = pixels.mean(axis=2, dtype=np.float32)
    fine, coarse = cv2.GaussianBlur(gray, (0, 0), 0.8), cv2.GaussianBlur(gray, (0, 0), 2.4)
    shape = gray.shape[0] // cell_px, cell_px, gray.shape[1] // cell_px, cell_px
    high = np.square(gray - fine).reshape(shape).mean(axis=(1, 3))
    middle = np.square(fine - coarse).reshape(shape).mean(axis=(1, 3))
    return np.where(middle < LEAST_DETAIL, np.inf, high / np.maximum(middle, 1e-6))
