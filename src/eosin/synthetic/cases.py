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
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from eosin.synthetic import brushes
from eosin.synthetic.brushes import Glands, Map, Mask, Nuclei, Rng, cells, enlarge, noise, scatter
from eosin.synthetic.sections import SCALE, Look, Plan, draw_look, draw_plan, thin


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


def _fibers(rng: Rng, shape: tuple[int, int]) -> tuple[Map, Map]:
    """Wavy streaks (spread near 1) and the angle along them in radians, float32 [h, w] each.

    A texture stretched along x is read at coordinates bent by smooth noise.
    """
    low = (shape[0] // 8 + 1, shape[1] // 8 + 1)
    lift = 40 * noise(rng, low, 160 * SCALE / 8) + 5 * noise(rng, low, 36 * SCALE / 8)
    turn = rng.uniform(0, np.pi)
    y, x = np.mgrid[0 : low[0], 0 : low[1]].astype(np.float32) * 8
    along = np.cos(turn) * x + np.sin(turn) * y
    across = np.cos(turn) * y - np.sin(turn) * x + SCALE * lift
    slope_y, slope_x = np.gradient(across, 8.0)
    angle = np.arctan2(slope_x, -slope_y)
    tile = (768, 1024)
    texture = (
        noise(rng, tile, 11 * SCALE, across_px=1.2 * SCALE)
        + 0.6 * noise(rng, tile, 34 * SCALE, across_px=3.2 * SCALE)
        + 0.7 * noise(rng, tile, 3.0 * SCALE, across_px=0.8 * SCALE)
    )
    streaks = cv2.remap(
        texture / np.float32(1.36),
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
    loose = noise(rng, (shape[0] // 8 + 1, shape[1] // 8 + 1), 45 * SCALE / 8)
    eosin = 1 + look.fiber_contrast * streaks + 0.16 * enlarge(loose, shape)
    eosin = (look.stroma * np.maximum(eosin, 0.1)).astype(np.float32)
    violet = np.full(shape, 0.06, np.float32)
    nuclei: list[Nuclei] = []

    def place(points: tuple[Map, Map], radius_px: float, **form: Any) -> None:
        nuclei.append(cells(rng, points, radius_px=radius_px * s, **form))

    # Invasive nests: irregular islands and cords with disordered nuclei of unequal size.
    form = noise(rng, shape, look.nest_cell_px * SCALE) + 0.35 * streaks
    nests = plan.tumor & (form > np.quantile(form[::8, ::8], 1 - look.nest_filled))
    eosin[nests] = look.stroma * (0.35 + 0.3 * eosin[nests] + 0.08 * patchy[nests])
    violet[nests] = 0.22
    place(
        scatter(rng, nests, look.nest_spacing_px * s, jitter=0.42, drift_px=0.6 * s),
        look.nest_radius_px,
        spread=look.nest_spread,
        stretch=look.nest_stretch,
        weight=look.nest_weight,
        weight_spread=0.28,
    )

    # Lymphocytes: small, round, dark, close together.
    form = noise(rng, shape, 14 * SCALE) + 0.35 * streaks
    lymph = plan.lymph & (form > np.quantile(form[::8, ::8], 1 - look.lymph_filled))
    eosin[lymph] *= 0.7
    violet[lymph] = 0.16
    apart = 2.5 * look.lymph_radius_px * s
    place(
        scatter(rng, lymph, apart, jitter=0.3, keep=0.85, drift_px=2.5 * s),
        look.lymph_radius_px,
        spread=look.lymph_spread,
        stretch=1.3,
        weight=1.1 * look.benign_weight,
    )

    # Benign glands: rings of evenly spaced nuclei, full (hyperplasia), small (lobules) or open.
    free = plan.tissue & ~(plan.tumor | plan.fat | plan.lymph | plan.hyperplasia | plan.lobules)
    open_ducts, wide_ducts = thin(rng, free, 0.12), thin(rng, free, 0.1)
    kinds = (
        (_glands(rng, plan.hyperplasia, (7 * s, 14 * s), 2.3, (0.0, 0.35)), 6, 2.7),
        (_glands(rng, plan.lobules, (4.2 * s, 6.5 * s), 2.25, (0.2, 0.4)), 1, 2.4),
        (_glands(rng, open_ducts, (9 * s, 15 * s), 4.5, (0.45, 0.65)), 2, 2.5),
        (_glands(rng, wide_ducts, (16 * s, 30 * s), 4.0, (0.7, 0.85)), 3, 2.5),
    )
    eosin[plan.lobules] *= 0.75
    empty = np.zeros(shape, bool)
    for glands, layers, spacing in kinds:
        if not glands.x.size:
            continue
        halo = brushes.fill_glands(shape, glands, 1.12)
        body = brushes.fill_glands(shape, glands, 1.0)
        eosin[halo & ~body] *= 0.6
        eosin[body] = look.stroma * (0.5 + 0.07 * patchy[body])
        violet[body] = 0.22
        x, y, around = brushes.ring_points(
            rng, glands, spacing_px=spacing * look.benign_radius_px * s * 0.87, layers=layers,
            jitter=0.12,
        )  # fmt: skip
        turned = around + np.float32(np.pi / 2)
        benign = {"spread": 0.08, "stretch": 1.3, "weight": look.benign_weight}
        place((x, y), look.benign_radius_px, angle=turned, **benign)
        empty |= brushes.fill_glands(shape, glands, np.maximum(glands.lumen - 0.08, 0))

    # Spindle-shaped nuclei along the fibers, everywhere in the stroma.
    x, y = scatter(rng, plan.tissue & ~nests & ~plan.fat, 7.5 * s, jitter=0.5, keep=0.75)
    along = angle[y.astype(np.intp), x.astype(np.intp)]
    spindles = {"spread": 0.15, "stretch": 4.0, "weight": 0.8 * look.benign_weight}
    place((x, y), 0.95, angle=along, **spindles)
    stained = brushes.stamp(shape, brushes.join(nuclei))
    violet += np.float32(1.5) * (1 - np.exp(-stained / np.float32(1.5)))

    # Capillaries filled with red cells: small, bright red, along the fibers.
    x, y = scatter(rng, plan.tissue & ~plan.fat, 26 * s, jitter=0.5, keep=0.35)
    along = angle[y.astype(np.intp), x.astype(np.intp)]
    eosin += brushes.stamp(
        shape,
        cells(rng, (x, y), radius_px=1.2 * s, spread=0.3, stretch=4.0, weight=0.8, angle=along),
    )

    # Fat, empty lumens, clefts between fibers, glass.
    radius = 7.5 * s
    single = thin(rng, plan.tumor, look.fatty_nests) | thin(rng, free, 0.15)
    x, y = (
        np.concatenate(pair)
        for pair in zip(
            scatter(rng, plan.fat, 1.62 * radius, jitter=0.25),
            scatter(rng, single, 2.6 * radius, jitter=0.5, keep=0.6),
            strict=True,
        )
    )
    walls, holes = brushes.foam(rng, shape, (x, y), radius, 0.85 * SCALE)
    eosin[walls & plan.fat] *= 0.6
    empty |= holes & ~(plan.hyperplasia | plan.lobules)
    empty |= (streaks > 3.4 - 0.8 * look.clefts) & ~nests
    empty |= ~plan.tissue
    eosin[empty], violet[empty] = 0.015, 0.0
    return violet, eosin


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
    look = draw_look(rng)
    drawn_burden = 0.01 + 0.8 * rng.random() ** 1.9
    shape = (height_px * SCALE, width_px * SCALE)
    plan = draw_plan(rng, shape, look, drawn_burden if burden is None else burden, fill)
    violet, eosin = _paint(rng, shape, look, plan)
    size = (width_px, height_px)
    violet = np.asarray(cv2.resize(violet, size, interpolation=cv2.INTER_AREA))
    eosin = np.asarray(cv2.resize(eosin, size, interpolation=cv2.INTER_AREA))
    density = violet[..., None] * look.hematoxylin + eosin[..., None] * look.eosin
    image: Map = look.light * np.exp(-density)
    if look.blur > 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), look.blur))
    elif look.blur < 0:
        image -= np.float32(look.blur) * (image - cv2.GaussianBlur(image, (0, 0), 0.8))
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
