"""What one made-up case is like: its look (stain, scanner, cells) and its ground plan.

The look differs between cases more than color differs between classes. The plan has which area is
glass, fat, stroma, benign glands, lymphocytes or invasive tissue.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from eosin.synthetic.brushes import Map, Mask, Rng, enlarge, noise

#: Stain maps are painted at this many times the final resolution.
SCALE = 2
#: The ground plan has one value for this many final pixels.
COARSE_PX = 4


def _between(low: float, high: float) -> Any:
    """A number that is drawn for each case, evenly between two limits."""
    return field(metadata={"limits": (low, high)})


@dataclass(frozen=True)
class Look:
    """What is particular to one case; lengths in final pixels, densities as optical density."""

    #: Color vectors, float32 [3]: optical density in R, G, B for one unit of stain.
    hematoxylin: Map
    eosin: Map
    #: The color of glass, float32 [3], 0 to 255.
    light: Map
    #: Positive: Gaussian blur in final pixels; negative: strength of a sharpening scanner.
    blur: float = _between(-0.7, 0.6)
    #: Spread of the sensor's noise in gray values.
    grain: float = _between(1.5, 4.0)
    #: Factor on all lengths of cells.
    cell_size: float = _between(0.8, 1.05)
    #: Invasive nests: distance, size and irregularity of nuclei, how full and how coarse they are.
    nest_spacing_px: float = _between(3.3, 4.1)
    nest_radius_px: float = _between(1.2, 1.68)
    nest_spread: float = _between(0.14, 0.34)
    nest_stretch: float = _between(1.5, 2.3)
    nest_filled: float = _between(0.55, 0.85)
    nest_cell_px: float = _between(9, 17)
    nest_weight: float = _between(0.75, 1.15)
    benign_weight: float = _between(0.8, 1.2)
    benign_radius_px: float = _between(1.1, 1.4)
    lymph_radius_px: float = _between(0.85, 1.16)
    lymph_spread: float = _between(0.06, 0.15)
    lymph_filled: float = _between(0.6, 1.0)
    #: Shares of the area that is not invasive; lymphocytes as a share of the dense part.
    fat_share: float = _between(0.08, 0.34)
    dense_share: float = _between(0.4, 0.72)
    lymph_share: float = _between(0.2, 0.6)
    fiber_contrast: float = _between(0.1, 0.3)
    stroma: float = _between(0.55, 0.85)
    clefts: float = _between(0.0, 1.0)
    #: Share of the invasive area with single fat cells.
    fatty_nests: float = _between(0.0, 0.3)


def draw_look(rng: Rng) -> Look:
    """Draw the particulars of a case."""

    def vector(base: tuple[float, float, float], spread: float, strength: float) -> Map:
        turned = np.array(base) * np.exp(rng.normal(0, spread, 3))
        return np.asarray(turned / np.linalg.norm(turned) * strength, np.float32)

    u = rng.uniform
    return Look(
        vector((0.66, 0.68, 0.32), 0.07, u(0.85, 1.45)),
        vector((0.16, 0.84, 0.52), 0.10, u(0.65, 1.2)),
        (u(240, 250) + rng.uniform(-3, 3, 3)).astype(np.float32),
        # In the order of the fields, on which the pictures depend.
        *(u(*each.metadata["limits"]) for each in fields(Look) if each.metadata),
    )


@dataclass(frozen=True)
class Plan:
    """The ground plan: bool [h, w] each, at the resolution of the stain maps."""

    tissue: Mask
    tumor: Mask
    fat: Mask
    lymph: Mask
    hyperplasia: Mask
    lobules: Mask


def draw_plan(rng: Rng, shape: tuple[int, int], look: Look, burden: float, fill: bool) -> Plan:
    """Share out the section: shape (height, width) in pixels of the stain maps."""
    unit = COARSE_PX * SCALE
    low = (-(-shape[0] // unit), -(-shape[1] // unit))

    def field(cell_px: float) -> Map:
        return noise(rng, low, cell_px / COARSE_PX)

    y = np.linspace(-1, 1, low[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, low[1], dtype=np.float32)[None]
    # A third of the sections is off center and meets the right or lower border.
    shift_x, shift_y = np.where(rng.random(2) < 0.17, 0.12, -0.03) + rng.uniform(-0.02, 0.02, 2)
    inside = 1.0 - np.abs(1.14 * (x - shift_x)) ** 3 - np.abs(1.14 * (y - shift_y)) ** 3
    inside = inside + 0.2 * field(170) + 0.1 * field(60) + 0.05 * field(20) + 0.02 * field(8)
    section = np.ones(low, bool) if fill else inside > 0.05

    def top(score: Map, where: Mask, share: float) -> Map:
        """The score minus its threshold, so that ``share`` of the area ``where`` is above 0."""
        if not where.any():
            return score * 0 - 1
        return score - np.float32(np.quantile(score[where], 1 - min(max(share, 0.0), 1.0)))

    invasion = field(190) + 0.45 * field(70) + 0.25 * field(26)
    invasion = top(invasion, section, burden)
    free = section & (invasion < 0)
    septa = 0.9 * np.clip(1 - np.abs(field(55)) / 0.16, 0, 1)
    fatness = field(140) + 0.5 * field(50) + 0.3 * field(18) - septa
    fatness = fatness - 0.7 * np.clip(inside, 0, 1) - 0.3 * (invasion > -0.2)
    fatness = top(fatness.astype(np.float32), free, look.fat_share)
    free &= fatness < 0
    dense = top(0.8 * field(150) + field(60) + 0.5 * field(22), free, look.dense_share)
    lymphoid = top(field(100) + 0.3 * field(30), free & (dense > 0), look.lymph_share)
    glandular = field(80)

    def spread_out(score: Map) -> Map:
        return enlarge(np.asarray(score, np.float32), shape)

    tissue = np.ones(shape, bool) if fill else spread_out(inside - np.float32(0.05)) > 0
    tumor = tissue & (spread_out(invasion) > 0)
    fat = tissue & ~tumor & (spread_out(fatness) > 0)
    crowded = tissue & ~tumor & ~fat & (spread_out(dense) > 0)
    lymph = crowded & (spread_out(lymphoid) > 0)
    hyperplasia = crowded & ~lymph & (spread_out(glandular) > -0.25)
    return Plan(tissue, tumor, fat, lymph, hyperplasia, crowded & ~lymph & ~hyperplasia)


def thin(rng: Rng, where: Mask, share: float) -> Mask:
    """Part of an area, in patches of about 90 final pixels."""
    low = (where.shape[0] // 16 + 1, where.shape[1] // 16 + 1)
    field = noise(rng, low, 90 * SCALE / 16)
    return where & (
        enlarge(field - np.quantile(field, 1 - share).astype(np.float32), where.shape) > 0
    )
