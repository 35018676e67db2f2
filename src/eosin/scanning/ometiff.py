"""NAME.heatmap.ome.tif: the probabilities as a pyramid that viewers lay over the slide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eosin.records.model import INTENDED_USE
from eosin.records.points import OUTSIDE, REFER
from eosin.scanning.cells import positive, raster, sides
from eosin.scanning.ids import id_of, key_of
from eosin.scanning.scan import Ints, Scan

Channels = npt.NDArray[np.uint8]

#: Values of the last channel.
NO_PATCH, IS_OUTSIDE, IS_REFERRED, IS_ANSWERED = 0, 85, 170, 255
TILE_PX = 256
#: Pixels a step that are tried, so that the sides of patches fall on sides of pixels.
_PARTS = (1, 2, 3, 4, 6, 8)
#: More parts are not taken where all channels would have more pixels than this.
_MOST_PX = 1 << 25


@dataclass(frozen=True)
class Raster:
    """The heatmap's pixels on the slide."""

    #: Level-0 pixels for each, along x and y.
    pixel_px: tuple[Fraction, Fraction]
    width: int
    height: int
    #: How far a patch's side can lie from the side of a pixel, in level-0 pixels.
    off_px: float
    channels: tuple[str, ...]

    def words(self) -> str:
        """What the pixels are, for people and for the file's metadata."""
        x, y = (float(side) for side in self.pixel_px)
        return (
            f"A pixel is {x:.6g} x {y:.6g} level-0 pixels of the slide; the first begins at (0, 0) "
            f"of its level 0. Sides of patches are exact to {self.off_px:.3g} level-0 pixels. "
            "Probabilities are 0 to 255 for 0 to 1, in the file's reduced levels the mean of the "
            "patches there. Where there is no patch they are 0; the last channel tells: "
            f"{NO_PATCH} no patch, {IS_OUTSIDE} out of scope, {IS_REFERRED} referred, "
            f"{IS_ANSWERED} answered. {INTENDED_USE}"
        )


def plan(scan: Scan) -> Raster:
    """The raster of a scan: as few pixels as its patches' sides allow.

    A patch that stands where the grid's origin or overlapping steps put it begins anywhere, and the
    picture begins at (0, 0). So a step is divided into up to 8 pixels.
    """
    grid, slide = scan.grid, scan.slide
    one, classes = positive(scan), scan.decision.classes
    names = [f"probability of {each}" for each in (classes if one is None else (classes[one],))]
    names.append("answer")
    near = max(1.0, float(max(grid.step_px)) / 64)
    best: tuple[float, int] | None = None
    for parts in _PARTS:
        pixel = (grid.step_px[0] / parts, grid.step_px[1] / parts)
        size = math.ceil(slide.width_px / pixel[0]) * math.ceil(slide.height_px / pixel[1])
        if parts > 1 and size * len(names) > _MOST_PX:
            break
        off = max(_off(scan, axis, pixel[axis]) for axis in (0, 1))
        if best is None or off < best[0]:
            best = (off, parts)
        if off <= near:
            break
    assert best is not None
    off, parts = best
    pixel = (grid.step_px[0] / parts, grid.step_px[1] / parts)
    return Raster(
        pixel_px=pixel,
        width=max(1, math.ceil(slide.width_px / pixel[0])),
        height=max(1, math.ceil(slide.height_px / pixel[1])),
        off_px=off,
        channels=tuple(names),
    )


def _off(scan: Scan, axis: int, pixel: Fraction) -> float:
    """How far the sides of boxes are from sides of pixels at most, in level-0 pixels."""
    places = np.concatenate(sides(scan.grid, axis)).astype(np.float64)
    if not len(places):
        return 0.0
    step = float(pixel)
    return float(np.abs(places - np.rint(places / step) * step).max())


def write_heatmap(scan: Scan, name: str, path: Path) -> Raster:
    """Write the pyramid; returns what its pixels are. name: of the slide's files.

    uint8 [C, H, W] in tiles: a channel with the probability of the positive class (of each class
    where there are more than two), and one with what was answered. The scale is in the OME metadata
    and in the resolution of the TIFF, which some readers look at alone.
    """
    import tifffile

    planned = plan(scan)
    levels = _pyramid(_pixels(scan, planned))
    about: dict[str, object] = {
        "axes": "CYX",
        # Left to tifffile, it would tell this machine's network address and the time.
        "UUID": f"urn:uuid:{id_of(key_of(scan, name), 'heatmap')}",
        "Name": "heatmap",
        "Description": planned.words(),
        "Channel": {"Name": list(planned.channels)},
    }
    um = _um(scan, planned)
    if um is not None:
        about |= {"PhysicalSizeX": um[0], "PhysicalSizeXUnit": "µm"}
        about |= {"PhysicalSizeY": um[1], "PhysicalSizeYUnit": "µm"}
    with tifffile.TiffWriter(path, ome=True) as file:
        for number, level in enumerate(levels):
            resolution = None
            if um is not None:
                # A reduced level covers what the first covers, whatever its size was rounded to.
                wide = um[0] * planned.width / level.shape[2]
                tall = um[1] * planned.height / level.shape[1]
                resolution = (1e4 / wide, 1e4 / tall)
            file.write(
                level,
                photometric="minisblack",
                tile=(TILE_PX, TILE_PX),
                compression="zlib",
                resolution=resolution,
                resolutionunit=None if um is None else "CENTIMETER",
                software=False,
                **(
                    {"subifds": len(levels) - 1, "metadata": about}
                    if number == 0
                    else {"subfiletype": 1, "metadata": None}
                ),
            )
    return planned


def _um(scan: Scan, planned: Raster) -> tuple[float, float] | None:
    """Micrometers a pixel of the heatmap, along x and y."""
    scale = scan.slide.scale
    if scale is None:
        return None
    x, y = planned.pixel_px
    return float(x) * scale.x_um, float(y) * scale.y_um


def _pixels(scan: Scan, planned: Raster) -> Channels:
    """The first level: uint8 [C, H, W]."""
    wide, tall = (float(side) for side in planned.pixel_px)
    x = (np.arange(planned.width, dtype=np.float64) + 0.5) * wide
    y = (np.arange(planned.height, dtype=np.float64) + 0.5) * tall
    one = positive(scan)
    chosen = range(len(scan.decision.classes)) if one is None else (one,)
    values = np.nan_to_num(np.asarray(scan.probabilities, np.float32), nan=0.0)
    bytes_ = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    planes = [raster(scan.grid, bytes_[:, k], 0, x, y) for k in chosen]
    planes.append(raster(scan.grid, _answers(scan.decided), NO_PATCH, x, y))
    return np.stack(planes).astype(np.uint8)


def _answers(decided: Ints) -> npt.NDArray[np.uint8]:
    out = np.full(len(decided), IS_ANSWERED, np.uint8)
    out[decided == REFER] = IS_REFERRED
    out[decided == OUTSIDE] = IS_OUTSIDE
    return out


def _pyramid(first: Channels) -> list[Channels]:
    """Levels, each half as large, until one tile holds it."""
    levels = [first]
    while max(levels[-1].shape[1:]) > TILE_PX:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(level: Channels) -> Channels:
    """Half the size, rounded up: probabilities are the mean of where there is a patch.

    Of different answers the largest stays, so that a place with an answer is not lost.
    """
    _, tall, wide = level.shape
    padded = np.pad(level, ((0, 0), (0, tall % 2), (0, wide % 2)))
    blocks = padded.reshape(len(level), (tall + 1) // 2, 2, (wide + 1) // 2, 2)
    there = blocks[-1] != NO_PATCH
    count = np.maximum(there.sum(axis=(1, 3)), 1)
    sums = (blocks[:-1] * there).sum(axis=(2, 4), dtype=np.uint16)
    means = (sums + count // 2) // count
    return np.concatenate([means, blocks[-1:].max(axis=(2, 4))]).astype(np.uint8)
