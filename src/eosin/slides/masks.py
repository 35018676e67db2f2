"""Masks of slides in and out: outlines in GeoJSON, and OME-TIFF or PNG with a number a pixel.

Numbers are those of ``eosin.slides.tissue``, and those of GrandQC are understood. A TIFF or PNG is
stretched over the slide, or over its scanned part where only that has the same proportions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eosin.data.tints import rgb
from eosin.errors import SourceError, UserError, first_line, needing
from eosin.folders import whole_file
from eosin.slides.geojson import Area, read_geojson, write_geojson
from eosin.slides.lowpower import mpp_of, whole_steps
from eosin.slides.polygons import inside, outline
from eosin.slides.slide import Box, Slide
from eosin.slides.tissue import (
    BLUR,
    BUBBLE,
    COLORS,
    FOLD,
    GLASS,
    NAMES,
    PEN,
    TISSUE,
    Labels,
    Tissue,
)
from eosin.sources.names import folded

#: What a TIFF of eosin says of itself.
ABOUT = "eosin mask: " + ", ".join(f"{number} {name}" for number, name in enumerate(NAMES))
#: Endings of files that a mask can be written to, and read from.
WRITTEN = (".geojson", ".ome.tif", ".ome.tiff")
READ = (".geojson", ".geojson.gz", ".json", ".tif", ".tiff", ".png")

#: Number of GrandQC -> number here. It has one for dark spots and foreign objects, which are no
#: tissue here, and one for glass.
_GRANDQC = (GLASS, TISSUE, FOLD, GLASS, PEN, BUBBLE, BLUR, GLASS)
#: Names of classes in files of eosin, GrandQC and others, in small letters.
_WORDS = {
    "glass": GLASS, "background": GLASS, "darkspot & foreign object": GLASS, "darkspot": GLASS,
    "tissue": TISSUE, "normal tissue": TISSUE, "clean tissue": TISSUE,
    "pen": PEN, "penmarking": PEN, "pen marking": PEN, "pen marks": PEN, "pen mark": PEN,
    "fold": FOLD, "folds": FOLD, "tissue fold": FOLD,
    "out of focus": BLUR, "oof": BLUR, "blur": BLUR, "blurred": BLUR,
    "bubble": BUBBLE, "air bubble": BUBBLE, "edge & air bubble": BUBBLE,
}  # fmt: skip
#: Micrometers a pixel of a mask that is made of outlines.
_OUTLINE_UM = 8.0


def write_mask(tissue: Tissue, slide: Slide, path: Path) -> None:
    """Write a mask as GeoJSON or OME-TIFF, by the file's ending.

    Raises UserError for another ending, DiskError where the disk refuses it.
    """
    if path.name.lower().endswith(".geojson"):
        height, width = tissue.labels.shape
        scale = slide.width_px / width, slide.height_px / height
        areas = [
            (Area(NAMES[number], outline(tissue.labels == number, scale)), rgb(COLORS[number]))
            for number in range(1, len(NAMES))
            if (tissue.labels == number).any()
        ]
        write_geojson(path, areas, slide.bounds, slide.path.name)
    elif path.name.lower().endswith((".ome.tif", ".ome.tiff")):
        _write_tiff(tissue, path)
    else:
        raise UserError(f"{path}: a mask is written to a name that ends with {', '.join(WRITTEN)}")


def _write_tiff(tissue: Tissue, path: Path) -> None:
    with needing("slides", "writing a TIFF"):
        import tifffile

    about: dict[str, object] = {"axes": "YX", "Name": "tissue", "Description": ABOUT}
    resolution = None
    if tissue.mpp is not None:
        x, y = tissue.mpp
        about |= {"PhysicalSizeX": x, "PhysicalSizeXUnit": "µm"}
        about |= {"PhysicalSizeY": y, "PhysicalSizeYUnit": "µm"}
        # Several readers look at these tags alone.
        resolution = 1e4 / x, 1e4 / y
    with whole_file(path) as temporary:
        tifffile.imwrite(
            temporary, tissue.labels, ome=True, metadata=about, tile=(256, 256),
            compression="zlib", photometric="minisblack", resolution=resolution,
            resolutionunit="CENTIMETER" if resolution else None,
        )  # fmt: skip


def read_mask(path: Path, slide: Slide) -> Tissue:
    """The mask of a slide in a file: GeoJSON, or a TIFF or PNG with a number a pixel.

    Raises SourceError where it cannot be read, or does not fit the slide.
    """
    name = path.name.lower()
    if name.endswith((".geojson", ".geojson.gz", ".json")):
        return _from_outlines(path, slide)
    if not name.endswith((".tif", ".tiff", ".png")):
        raise SourceError(f"{path}: a mask is a file that ends with {', '.join(READ)}")
    values = _read_png(path) if name.endswith(".png") else _read_tiff(path)
    labels, numbers = _numbered(path, values)
    labels = _placed(path, labels, slide)
    height, width = labels.shape
    mpp = None
    if slide.scale is not None:
        mpp = slide.scale.x_um * slide.width_px / width, slide.scale.y_um * slide.height_px / height
    return Tissue(labels, mpp, f"{path.name} ({numbers})")


def _from_outlines(path: Path, slide: Slide) -> Tissue:
    """A mask at 8 micrometers a pixel; classes by their names, flaws over tissue."""
    found = read_geojson(path, slide.bounds)
    if not found.areas:
        raise SourceError(f"{path} has no annotation with an area, so it is no mask")
    notes = list(found.notes)
    numbers = [_WORDS.get(folded(area.name).replace(" and ", " & ")) for area in found.areas]
    pairs = list(zip(found.areas, numbers, strict=True))
    other = list(dict.fromkeys(area.name for area, number in pairs if number is None))
    # Where nothing is called tissue, what has another name is.
    rest = None if TISSUE in numbers else TISSUE
    if other:
        shown = ", ".join(name or "(no class)" for name in other[:4]) + ", ..." * (len(other) > 4)
        notes.append(f"{path.name}: {shown} {'taken for tissue' if rest else 'not used'}")
    width, height, step = whole_steps(slide, _OUTLINE_UM)
    labels = np.zeros((height, width), np.uint8)
    for wanted in (TISSUE, PEN, FOLD, BLUR, BUBBLE, GLASS):
        for area, number in pairs:
            if (rest if number is None else number) == wanted:
                labels[inside(area.shape, labels.shape, (float(step[0]), float(step[1])))] = wanted
    return Tissue(labels, mpp_of(slide, step), f"{path.name} (outlines)", tuple(notes))


def _read_png(path: Path) -> npt.NDArray[np.integer]:
    from PIL import Image, UnidentifiedImageError

    from eosin.data.decode import STRICT, check_pixels
    from eosin.errors import ImageError

    try:
        with STRICT, Image.open(path, formats=("PNG",)) as image:
            check_pixels(image.height, image.width, 1 << 28)
            # A palette's numbers are the mask, its colors are for people.
            if image.mode not in ("L", "P", "1", "I;16", "I"):
                raise SourceError(
                    f"{path} is a picture in color (an overlay?) and no mask, which has one number "
                    "a pixel; use the .geojson or .ome.tif of the mask"
                )
            return np.asarray(image).astype(np.int64)
    except (OSError, UnidentifiedImageError, ImageError, ValueError, Image.DecompressionBombError,
            Warning) as error:  # fmt: skip
        raise SourceError(f"{path} cannot be read as a mask ({first_line(error)})") from None


def _read_tiff(path: Path) -> npt.NDArray[np.integer]:
    with needing("slides", "reading a TIFF"):
        import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            if len(page.shape) != 2 or np.dtype(page.dtype).kind not in "ubi":
                raise SourceError(
                    f"{path} contains {page.dtype} {list(page.shape)}; a mask has one whole number "
                    "a pixel"
                )
            if page.size > 1 << 30:
                raise SourceError(f"{path} declares {page.size:,} pixels, too many for a mask")
            return np.asarray(page.asarray())
    except (OSError, ValueError, tifffile.TiffFileError, KeyError, IndexError) as error:
        raise SourceError(f"{path} cannot be read as a mask ({first_line(error)})") from None


def _numbered(path: Path, values: npt.NDArray[np.integer]) -> tuple[Labels, str]:
    """Values of a file as the numbers of ``tissue``, and whose they are."""
    present = np.unique(values).tolist()
    if set(present) <= {0, 255}:
        return (values > 0).astype(np.uint8), "tissue and glass"
    if present[0] >= 0 and present[-1] < len(NAMES):
        return values.astype(np.uint8), "numbers of eosin"
    if present[0] >= 0 and present[-1] < len(_GRANDQC):
        return np.array(_GRANDQC, np.uint8)[values], "numbers of GrandQC"
    raise SourceError(
        f"{path} has the values {_listed(present)}; a mask has 0 and 1, 0 and 255, those of eosin "
        f"({ABOUT.partition(': ')[2]}), or those of GrandQC (1 to 7)"
    )


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


def _placed(path: Path, labels: Labels, slide: Slide) -> Labels:
    """Labels of the whole slide, from those of the slide or of its scanned part."""
    height, width = labels.shape
    whole = Box(0, 0, slide.width_px, slide.height_px)
    if _fits(labels.shape, whole):
        return labels
    part = slide.bounds
    if not _fits(labels.shape, part):
        raise SourceError(
            f"{path} has {width}x{height} pixels and the slide {whole.width}x{whole.height}: not "
            "the same proportions, so the mask is of another slide or of a part of it"
        )
    wide, tall = part.width / width, part.height / height
    out = np.zeros(
        (max(1, round(whole.height / tall)), max(1, round(whole.width / wide))), np.uint8
    )
    left, top = round(part.x / wide), round(part.y / tall)
    kept = labels[: out.shape[0] - top, : out.shape[1] - left]
    out[top : top + kept.shape[0], left : left + kept.shape[1]] = kept
    return out


def _fits(shape: tuple[int, ...], box: Box) -> bool:
    """Whether a picture has the proportions of a box, up to a pixel of it or 1 percent."""
    height, width = shape
    step = box.width / width, box.height / height
    return abs(step[0] / step[1] - 1) <= max(0.01, 1 / min(height, width))
