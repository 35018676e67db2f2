"""NAME.geojson and NAME.tiles.geojson.gz: regions and patches as QuPath 0.5 to 0.7 reads them.

Coordinates are corners in level-0 pixels minus the corner of the scanned part, from which QuPath
counts. Every object has a UUID, an object type and a classification with its color; geometries are
polygons and multi-polygons, valid ones.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eosin.data.tints import CLASS_COLORS, rgb
from eosin.records.decision import OUT_OF_SCOPE, REFERRED
from eosin.records.points import OUTSIDE, REFER
from eosin.scanning.areas import mm2
from eosin.scanning.cells import boxes, foci, positive
from eosin.scanning.ids import id_of, key_of
from eosin.scanning.scan import Ints, Scan

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Feature = dict[str, Any]

#: Colors of what has no class.
REFER_COLOR, OUTSIDE_COLOR = "#e0b000", "#6b7280"
_KINDS = ("Polygon", "MultiPolygon")


def write_regions(scan: Scan, name: str, path: Path) -> int:
    """Write the regions of a scan as annotations; returns their number.

    Two classes: each focus of patches that were called positive. More classes: the foci of every
    class. name: of the slide's files, of which the ids are made.
    """
    features = list(regions(scan, name))
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(_collection(features))
    return len(features)


def write_tiles(scan: Scan, name: str, path: Path) -> None:
    """Write every patch as a tile with its probabilities, compressed."""
    with (
        open(path, "wb") as raw,
        # Neither a name nor a time in the file: the same scan gives the same bytes.
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file,
    ):
        for text in _collection(tiles(scan, name)):
            file.write(text.encode())


def regions(scan: Scan, name: str) -> Iterator[Feature]:
    """The annotations: a focus each, with area, number of patches and probabilities."""
    import shapely

    one, key = positive(scan), key_of(scan, name)
    decided, placed = scan.decided, _placed(scan)
    for number in range(len(scan.decision.classes)) if one is None else (one,):
        numbers = foci(scan.grid, decided == number)
        for focus, rows in enumerate(_groups(numbers), 1):
            shape = shapely.union_all(shapely.box(*_runs(placed[rows]).T.astype(np.float64)))
            shape = _valid(shape)
            if shape is None:
                continue
            values = scan.probabilities[rows, number].astype(np.float64)
            measured = {
                "Patches": len(rows),
                "Mean probability": float(values.mean()),
                "Highest probability": float(values.max()),
            }
            area = mm2(scan, shape.area).value
            if area is not None:
                measured = {"Area mm2": area, **measured}
            shown = scan.decision.classes[number]
            yield _feature(
                id_of(key, "region", number, focus), "annotation", shape, number, scan, measured,
                label=f"{class_name(shown)} {focus}",
            )  # fmt: skip


def tiles(scan: Scan, name: str) -> Iterator[Feature]:
    """The patches in their order; those that lie outside the slide are left out."""
    import shapely

    decided, placed, grid, key = scan.decided, _placed(scan), scan.grid, key_of(scan, name)
    names = [f"Probability {class_name(each)}" for each in scan.decision.classes]
    for row, (left, top, right, bottom) in enumerate(placed.tolist()):
        if left == right or top == bottom:
            continue
        measured = dict(zip(names, scan.probabilities[row].tolist(), strict=True))
        if scan.distances is not None:
            measured["Distance"] = float(scan.distances[row])
        place = (int(grid.column[row]), int(grid.row[row]))
        yield _feature(
            id_of(key, "tile", *place), "tile", shapely.box(left, top, right, bottom),
            int(decided[row]), scan, measured,
        )  # fmt: skip


def class_name(text: str) -> str:
    """A class's name as QuPath keeps it: a colon would make it a class derived from another.

    >>> class_name("tumor: invasive"), class_name(" "), class_name("a" + chr(10) + "b")
    ('tumor - invasive', 'unnamed', 'a b')
    """
    words = " ".join(text.replace(":", " - ").split())
    return words or "unnamed"


def _feature(
    number: str, kind: str, shape: BaseGeometry, decided: int, scan: Scan,
    measured: dict[str, float], *, label: str = "",
) -> Feature:  # fmt: skip
    from shapely.geometry import mapping

    names = {REFER: (REFERRED, REFER_COLOR), OUTSIDE: (OUT_OF_SCOPE, OUTSIDE_COLOR)}
    shown, color = names.get(decided) or (
        class_name(scan.decision.classes[decided]),
        CLASS_COLORS[decided % len(CLASS_COLORS)],
    )
    known = {name: round(value, 6) for name, value in measured.items() if np.isfinite(value)}
    return {
        "type": "Feature",
        "id": number,
        "geometry": _plain(mapping(shape)),
        "properties": {
            "objectType": kind,
            **({"name": label} if label else {}),
            "classification": {"name": shown, "color": list(rgb(color))},
            "measurements": known,
        },
    }


def _plain(geometry: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers where they are whole, which all are."""

    def whole(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [whole(each) for each in value]
        return int(value) if float(value).is_integer() else value

    return {"type": geometry["type"], "coordinates": whole(geometry["coordinates"])}


def _placed(scan: Scan) -> Ints:
    """The boxes of the patches in QuPath's frame: int64 [n, 4]."""
    left, top = scan.slide.bounds.x, scan.slide.bounds.y
    return np.asarray(boxes(scan) - np.array([left, top, left, top]), np.int64)


def _groups(numbers: Ints) -> list[Ints]:
    """The rows of each number from 1 on."""
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(1, numbers.max(initial=0) + 2))
    return [order[a:b] for a, b in pairwise(starts.tolist())]


def _runs(boxes: Ints) -> Ints:
    """Boxes that touch in a row as one: fewer to unite."""
    boxes = boxes[np.lexsort((boxes[:, 0], boxes[:, 1]))]
    begins = np.ones(len(boxes), np.bool_)
    begins[1:] = (boxes[1:, 1] != boxes[:-1, 1]) | (boxes[1:, 0] != boxes[:-1, 2])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(boxes)) - 1
    return np.column_stack([boxes[first, :2], boxes[last, 2:]])


def _valid(shape: BaseGeometry) -> BaseGeometry | None:
    """A valid polygon or multi-polygon with what of the shape has an area; None for nothing."""
    import shapely
    from shapely.geometry import MultiPolygon

    shape = shapely.make_valid(shape)
    if shape.geom_type not in _KINDS:
        parts = [part for part in shapely.get_parts(shape) if part.geom_type in _KINDS]
        shape = shapely.union_all(parts) if parts else MultiPolygon()
    return None if shape.is_empty else shape


def _collection(features: Iterable[Feature]) -> Iterator[str]:
    """A FeatureCollection as text, one object a line."""
    yield '{"type": "FeatureCollection", "features": ['
    between = "\n"
    for feature in features:
        # ASCII alone: some versions of QuPath read in the encoding of the system.
        yield between + json.dumps(feature, allow_nan=False)
        between = ",\n"
    yield "\n]}\n"
