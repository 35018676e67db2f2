"""Micrometers a pixel of a slide, from what its file says; an objective power alone is no scale."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from eosin.errors import SlideError, UserError
from eosin.slides.slide import LEAST_MPP, MOST_MPP, Scale

#: OME-XML's names of units of length, in micrometers. A unit of pixels is none.
UNITS = {
    "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4,
    "m": 1e6, "pm": 1e-6, "Å": 1e-4, "in": 25400.0, "thou": 25.4,
}  # fmt: skip
#: Micrometers of TIFF's units of resolution: 2 is the inch, 3 the centimeter.
_TIFF_UNITS = {2: 25400.0, 3: 10000.0}


def number(text: object) -> float | None:
    """A positive number as vendors write it, with a point or a comma; None for anything else.

    >>> number("0,2520"), number("40"), number("0"), number("nan"), number("20x")
    (0.252, 40.0, None, None, None)
    """
    try:
        value = float(str(text).strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def plausible(x: float | None, y: float | None, source: str) -> tuple[Scale | None, str]:
    """The scale, or None with a sentence that says what was found; (None, "") for nothing.

    x, y: micrometers a level-0 pixel.

    >>> plausible(1000, 1000, "XResolution")[1]
    'XResolution gives 1000 micrometers a pixel, which no slide has; give the right one with --mpp'
    >>> plausible(0.5, 0.25, "MPP")[0].anisotropic
    True
    """
    if x is None or y is None:
        return None, ""
    if not all(LEAST_MPP <= side <= MOST_MPP for side in (x, y)):
        found = f"{x:.6g}" if x == y else f"{x:.6g} by {y:.6g}"
        return None, (
            f"{source} gives {found} micrometers a pixel, which no slide has; give the right one "
            "with --mpp"
        )
    scale = Scale(x, y, source)
    if scale.anisotropic:
        return scale, f"pixels are not square: {x:.6g} by {y:.6g} micrometers ({source})"
    return scale, ""


def given(mpp: float) -> Scale:
    """The scale that a user gives; raises UserError for one that no slide has.

    >>> given(0.25)
    Scale(x_um=0.25, y_um=0.25, source='--mpp')
    """
    if not LEAST_MPP <= mpp <= MOST_MPP:
        raise UserError(
            f"--mpp {mpp:g} is no scale of a slide: give micrometers a pixel, {LEAST_MPP:g} to "
            f"{MOST_MPP:g} (40x is often 0.25)"
        )
    return Scale(float(mpp), float(mpp), "--mpp")


def read_scales(path: Path) -> dict[str, float]:
    """Micrometers a pixel by the name of a slide's file, from a CSV with the columns slide, mpp.

    A slide may be a path or a name, with or without its ending. Raises UserError for a file
    without these columns, a number that no slide has, or a slide that is there twice.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            start = file.read(4096)
            file.seek(0)
            semicolons = ";" in start.partition("\n")[0]
            rows = list(csv.DictReader(file, delimiter=";" if semicolons else ","))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a CSV of slide,mpp ({error})") from None
    found: dict[str, float] = {}
    for line, row in enumerate(rows, 2):
        if row.get("slide") is None or row.get("mpp") is None:
            raise UserError(f"{path}: line {line} has no slide and mpp; the columns are slide,mpp")
        name, value = Path(str(row["slide"]).strip()).name, number(row["mpp"])
        if value is None or not LEAST_MPP <= value <= MOST_MPP:
            raise UserError(
                f"{path}: line {line} has mpp {row['mpp']!r}; micrometers a pixel are "
                f"{LEAST_MPP:g} to {MOST_MPP:g}"
            )
        if found.setdefault(name, value) != value:
            raise UserError(f"{path}: line {line} gives {name} a second mpp; keep one")
    if not found:
        raise UserError(f"{path} has no slides; the columns are slide,mpp")
    return found


def scale_of(path: Path, scales: Mapping[str, float]) -> float | None:
    """The micrometers a pixel of a slide in such a table; None where it has none.

    >>> scale_of(Path("a/S1.svs"), {"S1": 0.25}), scale_of(Path("S2.svs"), {"S1.svs": 0.25})
    (0.25, None)
    """
    return scales.get(path.name, scales.get(path.stem))


def aperio(description: str) -> tuple[Scale | None, float | None, str]:
    """Scale, objective power and a note from Aperio's text.

    >>> aperio("Aperio Image|AppMag = 40,0|MPP = 0,2520")
    (Scale(x_um=0.252, y_um=0.252, source='ImageDescription: MPP'), 40.0, '')
    """
    pairs = (part.partition("=") for part in description.split("|")[1:])
    words = {name.strip(): text.strip() for name, _, text in pairs}
    power, mpp = number(words.get("AppMag")), number(words.get("MPP"))
    scale, note = plausible(mpp, mpp, "ImageDescription: MPP")
    return scale, power, note


def without_scale(power: float | None) -> str:
    """What to tell of a slide without a scale.

    >>> without_scale(40.0)
    'no micrometers a pixel; objective power 40 is often 0.25: give --mpp 0.25 if that is right'
    >>> without_scale(None)
    'no micrometers a pixel; give them with --mpp'
    """
    if power is None:
        return "no micrometers a pixel; give them with --mpp"
    usual = f"{10 / power:.3g}"
    return (
        f"no micrometers a pixel; objective power {power:g} is often {usual}: give --mpp {usual} "
        "if that is right"
    )


def resolution(
    pixels: tuple[tuple[int, int], tuple[int, int]] | None, unit: int
) -> tuple[Scale | None, str]:
    """Scale and note from TIFF's resolution tags: pixels a unit as fractions, and the unit.

    >>> resolution(((50800, 1), (50800, 1)), 2)[0].x_um
    0.5
    >>> resolution(((1, 1), (1, 1)), 1)
    (None, '')
    """
    length = _TIFF_UNITS.get(unit)
    if pixels is None or length is None or any(each <= 0 for pair in pixels for each in pair):
        return None, ""
    x, y = (length * below / above for above, below in pixels)
    return plausible(x, y, "TIFF XResolution, YResolution")


def ome_root(text: str) -> ElementTree.Element | None:
    """The OME-XML of an ImageDescription; None for any other text, and for one with entities."""
    start = text.lstrip("\ufeff \t\r\n")
    if not start.startswith("<") or "<OME" not in start[:2000] or "<!" in _no_comments(start):
        return None
    try:
        # An encoding in the declaration is that of the file, not of this text.
        return ElementTree.fromstring(re.sub(r"^<\?xml.*?\?>", "", start, flags=re.S))
    except ElementTree.ParseError as error:
        raise SlideError(f"its OME-XML is damaged ({error})") from None


def _no_comments(text: str) -> str:
    return re.sub(r"<!--.*?-->", "", text, flags=re.S)


def ome_pixels(root: ElementTree.Element) -> list[tuple[str, dict[str, str], int, set[str]]]:
    """Each image of OME-XML: its name, the attributes of Pixels, its first IFD, and files."""
    found = []
    for image in _named(root, "Image"):
        for pixels in _named(image, "Pixels"):
            data = _named(pixels, "TiffData")
            first = int(data[0].get("IFD", 0)) if data else 0
            files = {each.get("FileName", "") for one in data for each in _named(one, "UUID")}
            found.append((image.get("Name", ""), dict(pixels.attrib), first, files - {""}))
    return found


def ome(pixels: Mapping[str, str]) -> tuple[Scale | None, str]:
    """Scale and note from the attributes of OME-XML's Pixels.

    >>> ome({"PhysicalSizeX": "500", "PhysicalSizeXUnit": "nm", "PhysicalSizeY": "0.5"})[0].x_um
    0.5
    """
    sides = []
    for side in "XY":
        size = number(pixels.get(f"PhysicalSize{side}"))
        unit = pixels.get(f"PhysicalSize{side}Unit", "µm")
        sides.append(None if size is None or unit not in UNITS else size * UNITS[unit])
    return plausible(sides[0], sides[1], "OME-XML PhysicalSize")


def _named(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """The children of that name, in any namespace."""
    return [child for child in element if child.tag.rpartition("}")[2] == name]
