"""GeoJSON as QuPath writes and reads it: areas with a class, in pixels of the full resolution.

QuPath counts from the corner of the scanned part (``openslide.bounds-*``), and so do these files;
in memory everything counts from the corner of level 0.
"""

from __future__ import annotations

import gzip
import io
import json
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eosin.errors import ImageError, SourceError, first_line, needing
from eosin.folders import whole_file
from eosin.slides.polygons import valid
from eosin.slides.slide import Box
from eosin.sources.archives import read_file
from eosin.sources.layouts import plainly
from eosin.texts import from_json

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

#: The most bytes of a file of annotations.
MOST_BYTES = 1 << 30
#: Object types that a person draws; others are made by the thousand by programs.
_DRAWN = ("annotation", "")


@dataclass(frozen=True)
class Area:
    """A valid polygon or multi-polygon in level-0 pixels, and its class; "" where it has none."""

    name: str
    shape: BaseGeometry


@dataclass(frozen=True)
class Areas:
    """What a file of annotations has."""

    areas: tuple[Area, ...]
    #: What was not taken, a sentence each.
    notes: tuple[str, ...] = ()


def write_geojson(
    path: Path, areas: Iterable[tuple[Area, tuple[int, int, int]]], bounds: Box, name: str
) -> None:
    """Write areas, each with its color, as annotations that QuPath opens on the slide.

    bounds: the scanned part, from whose corner QuPath counts; name: of the slide, of which the ids
    are made, so that the same areas have the same ids. Raises DiskError where the disk refuses it.
    """
    import shapely
    from shapely.geometry import mapping

    features, corner = [], np.array((bounds.x, bounds.y))
    for number, (area, color) in enumerate(areas):
        shape = shapely.transform(area.shape, lambda points: points - corner)
        key = f"{name}\0{area.name}\0{number}\0{shape.wkt}"
        features.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
                "geometry": mapping(shape),
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": area.name, "color": list(color)},
                },
            }
        )
    with whole_file(path) as temporary:
        text = json.dumps({"type": "FeatureCollection", "features": features})
        temporary.write_text(text + "\n", "utf-8")


def read_geojson(path: Path, bounds: Box) -> Areas:
    """The areas of a GeoJSON file (or .geojson.gz), in level-0 pixels.

    Points, lines, and objects that are no annotations (detections, cells, tiles) are left out, and
    a note has their number. Raises SourceError where the file cannot be read.
    """
    with needing("slides", "reading annotations"):
        import shapely

    try:
        data = read_file(path, MOST_BYTES)
        if path.suffix.lower() == ".gz":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise ImageError(f"too many bytes: more than {MOST_BYTES:,} when unpacked")
        content = from_json(data)
    except ImageError as error:
        raise SourceError(f"{path} cannot be read ({error})") from None
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is no GeoJSON: {first_line(error)}") from None
    areas, other, flat, corner = [], 0, 0, np.array((bounds.x, bounds.y))
    for number, feature in enumerate(_features(path, content), 1):
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        if str(properties.get("objectType", properties.get("object_type", ""))) not in _DRAWN:
            other += 1
            continue
        shape = _shape(path, number, feature.get("geometry"))
        if shape is None or shape.is_empty:
            flat += 1
            continue
        shape = shapely.transform(shape, lambda points: points + corner)
        areas.append(Area(_class_of(properties), shape))
    notes = []
    if other:
        notes.append(f"{path.name}: {other:,} detections, cells or tiles are no annotations")
    if flat:
        notes.append(f"{path.name}: {flat:,} annotations have no area (points, lines)")
    return Areas(tuple(areas), tuple(notes))


def _features(path: Path, content: Any) -> list[dict[str, Any]]:
    """The features of a collection, of a list, or of one alone."""
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    elif isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    if not isinstance(content, list) or not all(
        isinstance(each, dict) and each.get("type") == "Feature" for each in content
    ):
        raise SourceError(
            f"{path} is JSON, but no collection of features; export annotations from QuPath with "
            "File > Export objects as GeoJSON"
        )
    return content


def _shape(path: Path, number: int, geometry: Any) -> BaseGeometry | None:
    """A valid shape with an area, or None for points, lines and nothing."""
    from shapely.errors import ShapelyError
    from shapely.geometry import shape

    if not isinstance(geometry, dict) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        return None
    try:
        made = valid(shape(geometry))
        if all(abs(value) < 1 << 31 for value in made.bounds):
            return made
        why = "a coordinate is too large"
    except (ShapelyError, ValueError, TypeError, LookupError, AttributeError) as error:
        why = first_line(error)
    raise SourceError(f"{path}: the geometry of feature {number} is damaged ({plainly(why)})")


def _class_of(properties: dict[str, Any]) -> str:
    """The class of an object; a derived class has its names with colons between."""
    given = properties.get("classification")
    if isinstance(given, dict):
        names = given.get("names")
        if isinstance(names, list) and names:
            return ": ".join(map(str, names))
        given = given.get("name")
    return given.strip() if isinstance(given, str) else ""
