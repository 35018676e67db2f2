"""Brushes for made-up tissue: smooth noise, scattered points, nuclei, rings of cells, fat.

Every brush works on float32 maps of stain density [H, W] in the pixels of the map it is given and
draws from the generator it is given, so that the same seed paints the same picture.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rng = np.random.Generator


class Nuclei(NamedTuple):
    """Ellipses to stamp; each array is float32 [n], lengths in pixels, angles in radians."""

    x: Map
    y: Map
    radius: Map
    #: Long radius divided by short radius, at least 1.
    stretch: Map
    angle: Map
    #: Optical density of hematoxylin in the middle.
    weight: Map


class Glands(NamedTuple):
    """Round groups of cells; each array is float32 [n], lengths in pixels, angles in radians."""

    x: Map
    y: Map
    radius: Map
    #: Radius of the empty middle, as a share of the radius.
    lumen: Map
    #: How far the outline leaves a circle, as a share of the radius.
    wobble: Map
    phase: Map


def noise(
    rng: Rng, shape: tuple[int, int], cell_px: float, *, across_px: float | None = None
) -> Map:
    """Smooth noise with mean 0 and a spread near 1: float32 [H, W].

    cell_px: distance between independent values along x (and along y, unless ``across_px``).

    >>> noise(np.random.default_rng(0), (40, 60), 10).shape
    (40, 60)
    """
    height, width = shape
    step_y, step_x = across_px or cell_px, cell_px
    rows, columns = int(height / step_y) + 4, int(width / step_x) + 4
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    size = (int(columns * step_x) + 1, int(rows * step_y) + 1)
    if size[0] * size[1] > 4 * height * width:  # A cell larger than the map: do not blow up all.
        return np.asarray(cv2.resize(grid[:4, :4], (width, height), interpolation=cv2.INTER_CUBIC))
    full = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    y, x = int(step_y), int(step_x)
    return np.ascontiguousarray(full[y : y + height, x : x + width]) * np.float32(1.35)


def enlarge(field: Map, shape: tuple[int, int]) -> Map:
    """A coarse map stretched to ``shape`` (height, width) with linear interpolation."""
    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def scatter(
    rng: Rng,
    inside: Mask,
    spacing_px: float,
    *,
    jitter: float,
    keep: float = 1.0,
    drift_px: float = 0.0,
) -> tuple[Map, Map]:
    """Points (x, y) about ``spacing_px`` apart where ``inside`` (bool [H, W]) is true.

    jitter: shift from a hexagonal lattice as a share of the spacing; 0 is a crystal, 0.5 disorder.
    keep: share of the points that stay.
    drift_px: spread by which the points then leave their place, so that borders are not sharp.
    """
    height, width = inside.shape
    rows, columns = int(height / (spacing_px * 0.87)) + 2, int(width / spacing_px) + 2
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x = (x + 0.5 * (y % 2)) * np.float32(spacing_px)
    y *= np.float32(spacing_px * 0.87)
    reach = np.float32(2 * jitter * spacing_px)
    x = (x + (rng.random(x.shape, dtype=np.float32) - 0.5) * reach).ravel()
    y = (y + (rng.random(y.shape, dtype=np.float32) - 0.5) * reach).ravel()
    chosen = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if keep < 1:
        chosen &= rng.random(x.size, dtype=np.float32) < keep
    x, y = x[chosen], y[chosen]
    chosen = inside[y.astype(np.intp), x.astype(np.intp)]
    x, y = x[chosen], y[chosen]
    if drift_px:
        shift = rng.standard_normal((2, x.size), dtype=np.float32) * np.float32(drift_px)
        x, y = np.clip(x + shift[0], 0, width - 1), np.clip(y + shift[1], 0, height - 1)
    return x, y


def stamp(shape: tuple[int, int], nuclei: Nuclei) -> Map:
    """Sum of soft-edged ellipses: float32 [H, W] of optical density.

    Every nucleus has its own size, shape and angle; all pixels of all windows are evaluated at
    once and added by a counted sum, whose order does not depend on threads.
    """
    height, width = shape
    total = np.zeros(height * width, np.float64)
    if not nuclei.x.size:
        return total.reshape(shape).astype(np.float32)
    long = nuclei.radius * np.sqrt(nuclei.stretch)
    reach = np.ceil(long + 0.7).astype(np.intp)
    for k in np.unique(reach):  # Few sizes; a window no larger than needed.
        some = np.flatnonzero(reach == k)
        x, y, radius, stretch, angle, weight = (values[some, None] for values in nuclei)
        dy, dx = (grid.ravel()[None] for grid in np.mgrid[-k : k + 1, -k : k + 1])
        column, row = x.astype(np.intp) + dx, y.astype(np.intp) + dy
        u, v = column - x, row - y
        cos, sin, root = np.cos(angle), np.sin(angle), np.sqrt(stretch)
        u, v = (u * cos + v * sin) / root, (v * cos - u * sin) * root
        value = np.clip(radius - np.sqrt(u * u + v * v) + np.float32(0.5), 0, 1) * weight
        column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
        total += np.bincount(
            (row * width + column).ravel(), weights=value.ravel(), minlength=total.size
        )
    return total.reshape(shape).astype(np.float32)


def cells(
    rng: Rng,
    points: tuple[Map, Map],
    *,
    radius_px: float,
    spread: float,
    stretch: float,
    weight: float,
    weight_spread: float = 0.15,
    angle: Map | None = None,
) -> Nuclei:
    """Nuclei at points: ``spread`` is the log-normal spread of the radius, ``stretch`` the largest
    ratio of long to short radius; ``angle`` (radians, [n]) is random where not given.
    """
    x, y = points
    size = x.size

    def normal() -> Map:
        return rng.standard_normal(size, dtype=np.float32)

    def uniform() -> Map:
        return rng.random(size, dtype=np.float32)

    radius = np.float32(radius_px) * np.exp(np.clip(normal(), -2, 2) * np.float32(spread))
    density = np.float32(weight) * (1 + np.float32(weight_spread) * np.clip(normal(), -2, 2))
    ratio = 1 + uniform() * np.float32(stretch - 1)
    turned = uniform() * np.float32(np.pi) if angle is None else angle.astype(np.float32)
    return Nuclei(x, y, radius, ratio, turned, density)


def join(parts: list[Nuclei]) -> Nuclei:
    """All nuclei in one."""
    return Nuclei(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _outline(glands: Glands, which: npt.NDArray[np.intp], theta: Map) -> Map:
    """The radius of an outline at the angle ``theta``, as a share of the gland's radius."""
    phase, wobble = glands.phase[which], glands.wobble[which]
    bumps = np.cos(2 * theta + phase) + np.float32(0.6) * np.cos(3 * theta - 2 * phase)
    return np.asarray(1 + wobble * bumps, np.float32)


def ring_points(
    rng: Rng, glands: Glands, *, spacing_px: float, layers: int, jitter: float
) -> tuple[Map, Map, Map]:
    """Evenly spaced nuclei in rings, outermost first: x, y and the angle along the ring, each [n].

    layers: rings at most; a ring that would be inside the lumen is left out.
    """
    count = glands.x.size
    gland = np.repeat(np.arange(count), layers)
    layer = np.tile(np.arange(layers, dtype=np.float32), count)
    radius = glands.radius[gland] - (layer + np.float32(0.55)) * np.float32(spacing_px)
    kept = radius > np.maximum(glands.lumen[gland] * glands.radius[gland], 0.4 * spacing_px)
    gland, radius = gland[kept], radius[kept]
    around = np.maximum((2 * np.pi * radius / spacing_px).astype(np.intp), 1)
    ring = np.repeat(np.arange(radius.size), around)
    first = np.repeat(np.cumsum(around) - around, around)
    place = (np.arange(ring.size) - first).astype(np.float32)
    start = rng.random(radius.size, dtype=np.float32)
    theta = np.float32(2 * np.pi) * ((place / around[ring] + start[ring]) % 1)
    shake = rng.standard_normal((2, ring.size), dtype=np.float32) * np.float32(jitter * spacing_px)
    distance = radius[ring] * _outline(glands, gland[ring], theta)
    x = glands.x[gland[ring]] + distance * np.cos(theta) + shake[0]
    y = glands.y[gland[ring]] + distance * np.sin(theta) + shake[1]
    return x, y, theta + np.float32(np.pi / 2)


def fill_glands(shape: tuple[int, int], glands: Glands, scale: Map | float) -> Mask:
    """The area inside the outlines, their radii times ``scale`` (a number or [n]): bool [H, W]."""
    drawn = np.zeros(shape, np.uint8)
    theta = np.linspace(0, 2 * np.pi, 24, endpoint=False, dtype=np.float32)[None]
    which = np.arange(glands.x.size)[:, None]
    radius = (glands.radius * scale)[:, None] * _outline(glands, which, theta)
    x, y = glands.x[:, None] + radius * np.cos(theta), glands.y[:, None] + radius * np.sin(theta)
    for polygon in np.rint(np.stack([x, y], axis=-1)).astype(np.int32):
        cv2.fillPoly(drawn, [polygon], 1)
    return drawn.astype(bool)


def foam(
    rng: Rng, shape: tuple[int, int], points: tuple[Map, Map], radius_px: float, wall_px: float
) -> tuple[Mask, Mask]:
    """Fat cells, drawn one over the other like soap foam: (walls, holes), bool [H, W] each."""
    drawn = np.zeros(shape, np.uint8)
    x, y = (np.rint(values).astype(int).tolist() for values in points)
    size = rng.uniform(0.72, 1.18, len(x)) * radius_px
    long = (size * rng.uniform(1.0, 1.25, len(x))).tolist()
    turn = rng.uniform(0, 180, len(x)).tolist()
    for i, short in enumerate(size.tolist()):
        for value, shrink in ((1, 0.0), (2, wall_px)):
            axes = (max(round(long[i] - shrink), 1), max(round(short - shrink), 1))
            cv2.ellipse(drawn, (x[i], y[i]), axes, turn[i], 0, 360, value, -1)
    return drawn == 1, drawn == 2
