"""Tissue on a slide, found at low power by its color against the slide's own glass.

The measure is the difference between the largest and the smallest optical density of the three
channels, after the glass is made white: what HSV saturation is on a logarithmic scale. Stains have
it even where they are pale; dust, shadows and the edge of the cover slip do not. Otsu's threshold
of it is lowered where it would lose pale tissue. docs/decisions/0036-tissue.md has the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.slides.lowpower import LowPower, low_power
from eosin.slides.slide import Known, Pixels, Slide
from eosin.slides.tissue import FLAWS, TISSUE, Labels, Mask, Tissue

Floats = npt.NDArray[np.float32]

#: The color of glass where a slide shows none.
USUAL_GLASS = np.full(3, 245, np.float32)
#: What is assumed for a slide without a scale: it is read at 2,048 pixels along its longer side.
UNSCALED_UM = 10.0


@dataclass(frozen=True)
class TissueSettings:
    """How tissue is found; lengths in micrometers on the slide."""

    #: Micrometers a pixel of the mask.
    um: float = 8.0
    #: Gaps so wide between parts of tissue are closed: broken walls of fat cells.
    gap_um: float = 48.0
    #: Holes up to this area belong to the tissue (fat cells, small lumens), specks up to it do not.
    hole_um2: float = 40_000.0
    speck_um2: float = 20_000.0
    #: Limits of the threshold, in optical density.
    least: float = 0.02
    most: float = 0.035
    #: Micrometers a pixel at which sharpness is judged; 0: it is not.
    focus_um: float = 2.0
    #: Whether flaws are looked for.
    flaws: bool = True


def find_tissue(
    slide: Slide, settings: TissueSettings | None = None, picture: LowPower | None = None
) -> Tissue:
    """The mask of a slide, with its flaws; memory does not grow with the file's resolution.

    picture: the slide at ``settings.um``, where it has been read already. A slide without a scale
    is taken for one that is read at 10 micrometers a pixel, and a note says so. Raises SlideError
    where the file is damaged.
    """
    from eosin.slides.quality import blurred, flaws

    settings = settings or TissueSettings()
    picture = picture or low_power(slide, settings.um)
    um = UNSCALED_UM if picture.mpp is None else (picture.mpp[0] * picture.mpp[1]) ** 0.5
    absorbed = density(picture)
    labels = found_in(absorbed, picture.known, um, settings)
    notes = []
    if picture.mpp is None:
        notes.append(
            f"the slide has no scale: its mask was made as if a pixel of it were {UNSCALED_UM:g} "
            "micrometers wide; --mpp gives the scale"
        )
    if settings.flaws:
        flaws(absorbed, picture.known, labels, um)
        judged = blurred(slide, labels, settings.focus_um) if settings.focus_um else False
        if not judged and settings.focus_um:
            notes.append(
                "sharpness is not judged: it needs a level of at least "
                f"{settings.focus_um:g} micrometers a pixel"
            )
    text = f"eosin: saturation against the slide's glass at {um:.3g} micrometers a pixel"
    if settings.flaws:
        text += f", with flaws ({', '.join(FLAWS)})"
    return Tissue(labels, picture.mpp, text, tuple(notes))


def found_in(absorbed: Floats, known: Known, um: float, settings: TissueSettings) -> Labels:
    """TISSUE and GLASS of a reduced slide: uint8 [h, w].

    absorbed: optical densities, float32 [3, h, w]; known: where the slide has pixels, bool [h, w];
    um: micrometers a pixel.
    """
    import cv2

    strength = spread(absorbed)
    mask = strength > threshold_of(strength[known], settings)
    closed = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_CLOSE, disk(settings.gap_um / 2, um))
    # On a small picture the only piece of tissue is no speck.
    least_px = min(settings.speck_um2 / um**2, mask.size / 100)
    mask = without_small(closed.view(bool), least_px)
    mask = filled(mask, settings.hole_um2 / um**2)
    return np.where(mask & known, np.uint8(TISSUE), np.uint8(0))


def glass_of(pixels: Pixels, known: Known) -> Floats:
    """The color of glass: float32 [3], the most common of bright and gray pixels.

    pixels: uint8 [h, w, 3]; known: bool [h, w]. A usual white where a slide has nearly none.
    """
    # A million pixels tell it as well as all of them.
    every = max(1, int((known.size / 1e6) ** 0.5))
    flat = pixels[::every, ::every][known[::every, ::every]].astype(np.int16)
    if not len(flat):
        return USUAL_GLASS
    low, high = flat.min(axis=1), flat.max(axis=1)
    bright = (high >= 190) & (high - low <= 30)
    if bright.sum() < 0.002 * len(flat):
        return USUAL_GLASS
    gray = flat.sum(axis=1) // 3
    counts = np.bincount(gray[bright], minlength=256)
    peak = int(np.convolve(counts, np.ones(7), "same").argmax())
    near = bright & (np.abs(gray - peak) <= 4)
    return np.asarray(np.median(flat[near], axis=0), np.float32)


def density(picture: LowPower) -> Floats:
    """Optical densities against the slide's glass, at least 0: float32 [3, h, w].

    0 where the slide has no pixels.
    """
    glass = np.maximum(glass_of(picture.pixels, picture.known), 1)
    levels = np.maximum(np.arange(256, dtype=np.float32), 1)
    absorbed = np.empty((3, *picture.known.shape), np.float32)
    for k in range(3):
        absorbed[k] = np.maximum(np.log(glass[k] / levels), 0)[picture.pixels[..., k]]
    absorbed[:, ~picture.known] = 0
    return absorbed


def spread(absorbed: Floats) -> Floats:
    """The difference of the largest and smallest density: float32 [3, h, w] -> float32 [h, w].

    >>> gray, pale = [0.7, 0.7, 0.7], [0.0, 0.25, 0.125]
    >>> spread(np.array([[gray, pale]], np.float32).transpose(2, 0, 1)).tolist()
    [[0.0, 0.25]]
    """
    return np.asarray(absorbed.max(axis=0) - absorbed.min(axis=0), np.float32)


def threshold_of(strength: Floats, settings: TissueSettings) -> float:
    """Otsu's threshold within the limits: strength float32 [n] -> optical density.

    It stays above four times the usual strength of glass, where a scanner is noisy.
    """
    import cv2

    if not strength.size:
        return settings.most
    top = 0.6
    levels = (np.minimum(strength, top) * (255 / top)).astype(np.uint8).reshape(-1, 1)
    otsu = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0] * top / 255
    quiet = strength[strength < settings.most]
    noise = min(4 * float(np.median(quiet)), 2 * settings.most) if quiet.size else 0.0
    return max(settings.least, noise, min(float(otsu), settings.most))


def disk(radius_um: float, um: float) -> Labels:
    """A round brush for morphology: uint8 [k, k] of at least 3 pixels."""
    import cv2

    side = 2 * max(1, round(radius_um / um)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def filled(mask: Mask, most_px: float) -> Mask:
    """The mask with its holes of up to so many pixels; what touches the border is no hole.

    >>> ring = np.pad(np.zeros((1, 1), bool), 1, constant_values=True)
    >>> int(filled(ring, 1).sum()), int(filled(ring, 0).sum()), int(filled(~ring, 9).sum())
    (9, 8, 1)
    """
    import cv2

    empty = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(empty, connectivity=4)
    hole = stats[:count, cv2.CC_STAT_AREA] <= most_px
    hole[[0, numbers[0, 0]]] = False
    return np.asarray(mask | hole[numbers[1:-1, 1:-1]], bool)


def without_small(mask: Mask, least_px: float) -> Mask:
    """The mask without parts of fewer pixels: bool [h, w].

    >>> without_small(np.array([[True, False, True, True]]), 2).tolist()
    [[False, False, True, True]]
    """
    import cv2

    count, numbers, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    kept = stats[:count, cv2.CC_STAT_AREA] >= least_px
    kept[0] = False
    return np.asarray(kept[numbers], bool)
