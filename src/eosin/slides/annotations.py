"""What people drew on slides: QuPath's GeoJSON and ASAP's XML, as areas with a class.

Classes are renamed by a map of names; a class that maps to nothing, or whose name ends with "*" as
QuPath's ``Ignore*`` does, is cut out of all others: nothing is learned from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from eosin.errors import ImageError, SourceError, first_line, needing
from eosin.slides.geojson import MOST_BYTES, Area, Areas, read_geojson
from eosin.slides.polygons import valid
from eosin.slides.slide import Box
from eosin.sources.archives import read_file
from eosin.sources.layouts import plainly
from eosin.sources.names import folded

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

#: Endings of files of annotations, and of slides where one ends the name of another.
ENDINGS = (".geojson", ".geojson.gz", ".json", ".xml")
#: Shapes of ASAP that have an area; a spline is taken for the polygon of its points.
_ASAP_SHAPES = ("polygon", "rectangle", "spline")


def read_annotations(path: Path, bounds: Box) -> Areas:
    """The areas of a file, by its ending, in level-0 pixels.

    bounds: the scanned part of the slide, from which QuPath counts; ASAP counts from the corner of
    level 0. Raises SourceError where the file cannot be read.
    """
    return _read_asap(path) if path.suffix.lower() == ".xml" else read_geojson(path, bounds)


def file_for(slide: Path, folder: Path) -> Path | None:
    """The file of annotations of a slide: its name, with or without its ending, and an ending.

    Raises SourceError where several fit.
    """
    stems = {slide.name, slide.stem, re.sub(r"\.ome$", "", slide.stem, flags=re.I)}
    wanted = {stem + ending for stem in stems for ending in ENDINGS}
    found = sorted(each for each in folder.iterdir() if each.name in wanted)
    if len(found) > 1:
        raise SourceError(
            f"{folder} has {len(found)} files of annotations for {slide.name} "
            f"({', '.join(each.name for each in found)}); keep one"
        )
    return found[0] if found else None


@dataclass(frozen=True)
class Classes:
    """Where each class is; shapes are valid, and no two of the classes overlap."""

    shapes: dict[str, BaseGeometry]
    #: What is cut out of all classes, and what has a class that nobody asked for.
    out: BaseGeometry
    unknown: BaseGeometry
    unknown_names: tuple[str, ...] = ()


def by_class(areas: Sequence[Area], names: Mapping[str, str]) -> Classes:
    """One shape for all areas of a class.

    names: class of the file -> class of the store, or "" for one that is cut out; compared without
    case. Empty: every class keeps its name. Where areas of two classes overlap the smaller one
    decides, as an area that is drawn inside another does in QuPath.

    >>> from shapely import box
    >>> areas = [Area("Tumor: grade 3", box(0, 0, 4, 4)), Area("Ignore*", box(2, 0, 9, 9)),
    ...          Area("Stroma", box(0, 0, 9, 9))]
    >>> found = by_class(areas, {"tumor": "positive", "stroma": "negative"})
    >>> {name: shape.area for name, shape in sorted(found.shapes.items())}
    {'negative': 10.0, 'positive': 8.0}
    """
    with needing("slides", "reading annotations"):
        import shapely

    chosen = {folded(name): target for name, target in names.items()}
    named: list[tuple[str, BaseGeometry]] = []
    out: list[BaseGeometry] = []
    unknown: list[Area] = []
    for area in areas:
        target = _target(area.name, chosen)
        if target is None:
            unknown.append(area)
        elif target:
            named.append((target, area.shape))
        else:
            out.append(area.shape)
    left_out = valid(shapely.union_all(out))
    parts: dict[str, list[BaseGeometry]] = {}
    sizes = [shape.area for _, shape in named]
    tree = shapely.STRtree([shape for _, shape in named])
    for k, (name, shape) in enumerate(named):
        inner = [
            named[j][1]
            for j in tree.query(shape, "intersects").tolist()
            if named[j][0] != name and (sizes[j], -j) < (sizes[k], -k)
        ]
        own = shapely.difference(shape, shapely.union_all([left_out, *inner]))
        parts.setdefault(name, []).append(own)
    return Classes(
        {name: valid(shapely.union_all(each)) for name, each in parts.items()},
        left_out, valid(shapely.union_all([area.shape for area in unknown])),
        tuple(dict.fromkeys(area.name for area in unknown)),
    )  # fmt: skip


def _target(name: str, chosen: Mapping[str, str]) -> str | None:
    """The class of the store, "" for what is cut out, None for a class that nobody asked for."""
    # A derived class, "Tumor: grade 3", belongs to its first name unless it is listed itself.
    first = name.partition(":")[0].strip()
    for each in (name, first):
        if folded(each) in chosen:
            return chosen[folded(each)]
    if first.endswith("*"):
        return ""
    return None if chosen or not name else name


def _read_asap(path: Path) -> Areas:
    """The areas of an ASAP file; the class is the group, or the name of one without a group."""
    with needing("slides", "reading annotations"):
        import shapely

    try:
        data = read_file(path, MOST_BYTES)
        if re.search(rb"<!\s*(?:DOCTYPE|ENTITY)", data[:4096], re.I):
            raise ValueError("it declares a document type, which ASAP never does")
        root = ElementTree.fromstring(data)
    except ImageError as error:
        raise SourceError(f"{path} cannot be read ({error})") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise SourceError(f"{path} is no XML: {first_line(error)}") from None
    if root.tag != "ASAP_Annotations":
        raise SourceError(
            f"{path} is XML, but not ASAP's (it begins with {plainly(root.tag, 40)}); save it with "
            "ASAP, or export GeoJSON from QuPath"
        )
    areas, flat = [], 0
    for number, each in enumerate(root.iter("Annotation"), 1):
        points: list[tuple[int, float, float]] = []
        try:
            for point in each.iter("Coordinate"):
                # Some write a decimal comma.
                x, y = (float(point.attrib[k].replace(",", ".")) for k in ("X", "Y"))
                points.append((int(point.attrib.get("Order", len(points))), x, y))
            if not all(abs(x) < 1 << 31 and abs(y) < 1 << 31 for _, x, y in points):
                raise ValueError("a coordinate is too large")
        except (KeyError, ValueError) as error:
            raise SourceError(
                f"{path}: the coordinates of annotation {number} are damaged "
                f"({plainly(first_line(error))})"
            ) from None
        if each.get("Type", "").lower() not in _ASAP_SHAPES or len(points) < 3:
            flat += 1
            continue
        shape = valid(shapely.Polygon([(x, y) for _, x, y in sorted(points)]))
        group = (each.get("PartOfGroup") or "").strip()
        name = (each.get("Name") or "").strip()
        areas.append(Area(name if group in ("", "None") else group, shape))
    notes = [f"{path.name}: {flat:,} annotations have no area (dots, points)"] if flat else []
    return Areas(tuple(area for area in areas if not area.shape.is_empty), tuple(notes))
