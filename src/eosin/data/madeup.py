"""One made-up section of breast tissue, drawn in the low-power look of the Kaggle patches.

First the ground plan: which area is glass, fat, stroma, benign glands, lymphocytes or invasive
nests. Then every area is painted as two maps, the density of hematoxylin (nuclei, blue-violet) and
of eosin (fibers and cell bodies, pink), at twice the final resolution. Light through both stains
follows Beer and Lambert: ``I = I0 * exp(-(H * h + E * e))`` for the color vectors h and e.

What differs between cases (stain, brightness, blur, cell size, growth pattern) differs more than
color does between classes, and benign dense tissue is as dark as invasive tissue: only the
arrangement of the nuclei tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from eosin.data import brushes
from eosin.data.brushes import Glands, Map, Mask, Nuclei, Rng, cells, enlarge, noise, scatter

#: Stain maps are painted at this many times the final resolution.
SCALE = 2
#: The ground plan has one value for this many final pixels.
COARSE_PX = 4


@dataclass(frozen=True)
class MadeUpCase:
    """A drawn section. All arrays share height and width in pixels of about 4 micrometers."""

    case: str
    seed: int
    #: uint8 [H, W, 3], RGB.
    image: npt.NDArray[np.uint8]
    #: bool [H, W]: invasive tissue.
    truth: Mask
    #: bool [H, W]: tissue of any kind, the holes of fat cells not counted.
    tissue: Mask


@dataclass(frozen=True)
class Look:
    """What is particular to one case; lengths in final pixels, densities as optical density."""

    hematoxylin: Map
    eosin: Map
    light: Map
    blur_px: float
    grain: float
    cell_size: float
    nest_spacing_px: float
    nest_radius_px: float
    nest_spread: float
    nest_stretch: float
    nest_filled: float
    nest_cell_px: float
    nest_weight: float
    benign_weight: float
    benign_radius_px: float
    lymph_radius_px: float
    fat_share: float
    dense_share: float
    lymph_share: float
    fiber_contrast: float
    stroma: float
    clefts: float


def _look(rng: Rng) -> Look:
    """Draw the particulars of a case."""

    def vector(base: tuple[float, float, float], spread: float, strength: float) -> Map:
        turned = np.array(base) * np.exp(rng.normal(0, spread, 3))
        return np.asarray(turned / np.linalg.norm(turned) * strength, np.float32)

    u = rng.uniform
    return Look(
        hematoxylin=vector((0.66, 0.68, 0.32), 0.07, u(0.85, 1.45)),
        eosin=vector((0.16, 0.84, 0.52), 0.10, u(0.75, 1.35)),
        light=np.array([u(240, 250), u(238, 248), u(240, 250)], np.float32),
        blur_px=u(0.0, 0.65),
        grain=u(1.5, 4.0),
        cell_size=u(0.88, 1.14),
        nest_spacing_px=u(3.3, 4.1),
        nest_radius_px=u(1.25, 1.7),
        nest_spread=u(0.22, 0.34),
        nest_stretch=u(1.6, 2.3),
        nest_filled=u(0.55, 0.85),
        nest_cell_px=u(9, 17),
        nest_weight=u(0.75, 1.15),
        benign_weight=u(0.8, 1.2),
        benign_radius_px=u(1.1, 1.4),
        lymph_radius_px=u(0.85, 1.2),
        fat_share=u(0.08, 0.34),
        dense_share=u(0.3, 0.65),
        lymph_share=u(0.2, 0.6),
        fiber_contrast=u(0.15, 0.4),
        stroma=u(0.55, 0.85),
        clefts=u(0.0, 1.0),
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


def _plan(rng: Rng, shape: tuple[int, int], look: Look, burden: float, fill: bool) -> Plan:
    """Share out the section: shape (height, width) in pixels of the stain maps."""
    unit = COARSE_PX * SCALE
    low = (-(-shape[0] // unit), -(-shape[1] // unit))

    def field(cell_px: float) -> Map:
        return noise(rng, low, cell_px / COARSE_PX)

    y = np.linspace(-1, 1, low[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, low[1], dtype=np.float32)[None]
    shift_x, shift_y = rng.uniform(-0.08, 0.16, 2)
    inside = 1.0 - np.abs(x - shift_x) ** 2.8 - np.abs(y - shift_y) ** 2.8
    inside = inside + 0.25 * field(170) + 0.12 * field(60) + 0.04 * field(20)
    section = np.ones(low, bool) if fill else inside > 0.05

    def top(score: Map, where: Mask, share: float) -> Map:
        """The score minus its threshold, so that ``share`` of the area ``where`` is above 0."""
        if not where.any():
            return score * 0 - 1
        return score - np.float32(np.quantile(score[where], 1 - min(max(share, 0.0), 1.0)))

    invasion = field(190) + 0.45 * field(70) + 0.16 * field(24)
    invasion = top(invasion, section, burden)
    free = section & (invasion < 0)
    fatness = field(150) + 0.5 * field(50) - 0.7 * np.clip(inside, 0, 1) - 0.3 * (invasion > -0.2)
    fatness = top(fatness.astype(np.float32), free, look.fat_share)
    free &= fatness < 0
    dense = top(field(120) + 0.5 * field(45), free, look.dense_share)
    kind = field(90)
    lymphoid = top(kind, free & (dense > 0), look.lymph_share)
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


def _fibers(rng: Rng, shape: tuple[int, int]) -> tuple[Map, Map]:
    """Wavy streaks (spread near 1) and the angle along them in radians, float32 [h, w] each.

    A texture stretched along x is read at coordinates bent by smooth noise.
    """
    bend = 60.0 * SCALE
    low = (shape[0] // 8 + 1, shape[1] // 8 + 1)
    lift = noise(rng, low, 120 * SCALE / 8) + 0.3 * noise(rng, low, 35 * SCALE / 8)
    turn = rng.uniform(0, np.pi)
    y, x = np.mgrid[0 : low[0], 0 : low[1]].astype(np.float32) * 8
    along = np.cos(turn) * x + np.sin(turn) * y
    across = np.cos(turn) * y - np.sin(turn) * x + bend * lift
    slope_y, slope_x = np.gradient(across, 8.0)
    angle = np.arctan2(slope_x, -slope_y)
    tile = (768, 1024)
    texture = (
        noise(rng, tile, 26 * SCALE, across_px=1.6 * SCALE)
        + 0.8 * noise(rng, tile, 60 * SCALE, across_px=4 * SCALE)
        + 0.35 * noise(rng, tile, 5 * SCALE, across_px=1.0 * SCALE)
    )
    streaks = cv2.remap(
        texture / np.float32(1.3),
        enlarge(along.astype(np.float32), shape),
        enlarge(across.astype(np.float32), shape),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(streaks), enlarge(angle.astype(np.float32), shape)


def _glands(
    rng: Rng, where: Mask, radius_px: tuple[float, float], gap: float, lumen: tuple[float, float]
) -> Glands:
    """Glands packed into an area; radii and the gap factor in pixels of the stain maps."""
    mean = (radius_px[0] + radius_px[1]) / 2
    x, y = scatter(rng, where, mean * gap, jitter=0.12)
    n = x.size

    def uniform(low: float, high: float) -> Map:
        return rng.uniform(low, high, n).astype(np.float32)

    return Glands(
        x, y, uniform(*radius_px), uniform(*lumen), uniform(0.02, 0.12), uniform(0, 2 * np.pi)
    )


def _paint(rng: Rng, shape: tuple[int, int], look: Look, plan: Plan) -> tuple[Map, Map]:
    """The densities of hematoxylin and eosin, float32 [h, w] each."""
    s = SCALE * look.cell_size
    streaks, angle = _fibers(rng, shape)
    patchy = noise(rng, shape, 9 * SCALE)
    eosin = look.stroma * (1 + look.fiber_contrast * streaks)
    eosin = np.maximum(eosin, 0.12).astype(np.float32)
    violet = np.full(shape, 0.05, np.float32)
    nuclei: list[Nuclei] = []

    # Invasive nests: irregular islands and cords with disordered nuclei of unequal size.
    form = noise(rng, shape, look.nest_cell_px * SCALE) + 0.35 * streaks
    nests = plan.tumor & (form > np.quantile(form[::8, ::8], 1 - look.nest_filled))
    eosin[nests] = 0.5 * look.stroma + 0.1 * patchy[nests]
    violet[nests] = 0.16
    nuclei.append(
        cells(
            rng,
            scatter(rng, nests, look.nest_spacing_px * s, jitter=0.42),
            radius_px=look.nest_radius_px * s,
            spread=look.nest_spread,
            stretch=look.nest_stretch,
            weight=look.nest_weight,
            weight_spread=0.28,
        )
    )

    # Lymphocytes: small, round, dark, close together.
    eosin[plan.lymph] *= 0.55
    violet[plan.lymph] = 0.12
    nuclei.append(
        cells(
            rng,
            scatter(rng, plan.lymph, 2.55 * look.lymph_radius_px * s, jitter=0.3, keep=0.85),
            radius_px=look.lymph_radius_px * s,
            spread=0.08,
            stretch=1.15,
            weight=1.1 * look.benign_weight,
        )
    )

    # Benign glands: rings of evenly spaced nuclei, full (hyperplasia), small (lobules) or open.
    free = plan.tissue & ~(plan.tumor | plan.fat | plan.lymph | plan.hyperplasia | plan.lobules)
    kinds = (
        (_glands(rng, plan.hyperplasia, (9 * s, 17 * s), 2.0, (0.0, 0.3)), 7, 2.75),
        (_glands(rng, plan.lobules, (4.5 * s, 7 * s), 2.15, (0.2, 0.4)), 1, 2.5),
        (_glands(rng, _thin(rng, free, 0.1), (9 * s, 15 * s), 4.5, (0.45, 0.65)), 2, 2.6),
    )
    eosin[plan.lobules] *= 0.75
    empty = np.zeros(shape, bool)
    for glands, layers, spacing in kinds:
        if not glands.x.size:
            continue
        halo = brushes.fill_glands(shape, glands, 1.12)
        body = brushes.fill_glands(shape, glands, 1.0)
        eosin[halo & ~body] *= 0.6
        eosin[body] = 0.48 * look.stroma + 0.05 * patchy[body]
        violet[body] = 0.15
        x, y, around = brushes.ring_points(
            rng, glands, spacing_px=spacing * look.benign_radius_px * s * 0.87, layers=layers,
            jitter=0.09,
        )  # fmt: skip
        nuclei.append(
            cells(
                rng,
                (x, y),
                radius_px=look.benign_radius_px * s,
                spread=0.08,
                stretch=1.3,
                weight=look.benign_weight,
                angle=around + np.float32(np.pi / 2),
            )
        )
        empty |= brushes.fill_glands(shape, glands, np.maximum(glands.lumen - 0.08, 0))

    # Spindle-shaped nuclei along the fibers, everywhere in the stroma.
    x, y = scatter(rng, plan.tissue & ~nests & ~plan.fat, 7.5 * s, jitter=0.5, keep=0.75)
    along = angle[y.astype(np.intp), x.astype(np.intp)]
    nuclei.append(
        cells(
            rng,
            (x, y),
            radius_px=0.95 * s,
            spread=0.15,
            stretch=4.0,
            weight=0.8 * look.benign_weight,
            angle=along,
        )
    )
    stained = brushes.stamp(shape, brushes.join(nuclei))
    violet += np.float32(1.5) * (1 - np.exp(-stained / np.float32(1.5)))

    # Fat, empty lumens, clefts between fibers, glass.
    radius = 7.5 * s
    x, y = scatter(rng, plan.fat, 1.62 * radius, jitter=0.22)
    walls, holes = brushes.foam(rng, shape, (x, y), radius, 1.2 * SCALE)
    eosin[walls & plan.fat] *= 0.75
    empty |= holes & (plan.fat | _thin(rng, plan.tissue, 0.5))
    empty |= (streaks > 3.2 - 0.7 * look.clefts) & ~nests
    empty |= ~plan.tissue
    eosin[empty], violet[empty] = 0.015, 0.0
    return violet, eosin


def _thin(rng: Rng, where: Mask, share: float) -> Mask:
    """Part of an area, in patches of about 90 final pixels."""
    low = (where.shape[0] // 16 + 1, where.shape[1] // 16 + 1)
    field = noise(rng, low, 90 * SCALE / 16)
    return where & (
        enlarge(field - np.quantile(field, 1 - share).astype(np.float32), where.shape) > 0
    )


def make_case(
    case: str,
    seed: int,
    *,
    width_px: int = 1000,
    height_px: int = 800,
    burden: float | None = None,
    fill: bool = False,
) -> MadeUpCase:
    """Draw one section; the same arguments give the same pixels.

    burden: share of the section that is invasive; drawn between 0.01 and 0.8 where not given.
    fill: tissue everywhere, without glass around it.

    >>> drawn = make_case("90001", 0, width_px=120, height_px=100)
    >>> drawn.image.shape, drawn.truth.dtype, bool((drawn.truth & ~drawn.tissue).any())
    ((100, 120, 3), dtype('bool'), False)
    """
    rng = np.random.default_rng([seed, int.from_bytes(case.encode()), 1])
    look = _look(rng)
    drawn_burden = 0.01 + 0.8 * rng.random() ** 1.9
    shape = (height_px * SCALE, width_px * SCALE)
    plan = _plan(rng, shape, look, drawn_burden if burden is None else burden, fill)
    violet, eosin = _paint(rng, shape, look, plan)
    size = (width_px, height_px)
    violet = np.asarray(cv2.resize(violet, size, interpolation=cv2.INTER_AREA))
    eosin = np.asarray(cv2.resize(eosin, size, interpolation=cv2.INTER_AREA))
    density = violet[..., None] * look.hematoxylin + eosin[..., None] * look.eosin
    image: Map = look.light * np.exp(-density)
    if look.blur_px > 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), look.blur_px))
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(look.grain)
    tumor = cv2.resize(plan.tumor.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    tissue = (violet + eosin) > 0.15
    return MadeUpCase(
        case=case,
        seed=seed,
        image=np.clip(np.rint(image), 0, 255).astype(np.uint8),
        truth=tumor & tissue,
        tissue=tissue,
    )
