"""NAME.geojson and NAME.tiles.geojson.gz: regions and patches as QuPath 0.5 to 0.7 reads them.

Coordinates are corners in level-0 pixels minus the corner of the scanned part, from which QuPath
counts. Every object has a UUID, an object type and a classification with its color; geometries are
polygons and multi-polygons, valid ones.
"""

from __future__ import annotations

import gzip
import io
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
from eosin.slides.polygons import valid

if TYPE_CHECKING:
    pass

Feature = dict[str, Any]

#: Colors of what has no class.
REFER_COLOR, OUTSIDE_COLOR = "#e0b000", "#6b7280"
_KINDS = ("Polygon", "MultiPolygon")


def write_regions(scan: Scan, name: str, path: Path) -> int:
    """Write the regions of a scan as annotations; returns their number.

    Two classes: each focus of patches that were called positive. More classes: the foci of every
    class. name: of the slide's files, of which the ids are made.
    """
    # ASCII alone: some versions of QuPath read in the encoding of the system.
    features = [json.dumps(each, allow_nan=False) for each in regions(scan, name)]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(_collection(features))
    return len(features)


def write_tiles(scan: Scan, name: str, path: Path) -> None:
    """Write every patch as a tile with its probabilities, compressed."""
    with (
        open(path, "wb") as raw,
        # Neither a name nor a time in the file: the same scan gives the same bytes.
        gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as file,
        io.BufferedWriter(file, 1 << 20) as buffer,
    ):
        for text in _collection(tiles(scan, name)):
            buffer.write(text.encode())


def regions(scan: Scan, name: str) -> Iterator[Feature]:
    """The annotations: a focus each, with area, number of patches and probabilities."""
    import shapely.geometry

    one, key = positive(scan), key_of(scan, name)
    decided, placed = scan.decided, _placed(scan)
    for number in range(len(scan.decision.classes)) if one is None else (one,):
        numbers = foci(scan.grid, decided == number)
        for focus, rows in enumerate(_groups(numbers), 1):
            shape = shapely.union_all(shapely.box(*_runs(placed[rows]).T.astype(np.float64)))
            shape = valid(shape)
            if shape.is_empty:
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
            properties = {
                "objectType": "annotation",
                "name": f"{class_name(scan.decision.classes[number])} {focus}",
                "classification": classification(scan, number),
                "measurements": {k: round(v, 6) for k, v in measured.items() if np.isfinite(v)},
            }
            yield {
                "type": "Feature",
                "id": id_of(key, "region", number, focus),
                "geometry": _plain(shapely.geometry.mapping(shape)),
                "properties": properties,
            }


def tiles(scan: Scan, name: str) -> Iterator[str]:
    """The patches in their order, as JSON; those that lie outside the slide are left out.

    There can be a million, so the text of each is put together here.
    """
    decided, placed, key = scan.decided.tolist(), _placed(scan), key_of(scan, name)
    names = [f"Probability {class_name(each)}" for each in scan.decision.classes]
    values = np.asarray(scan.probabilities, np.float64)
    if scan.distances is not None:
        names.append("Distance")
        values = np.column_stack([values, scan.distances])
    keys = [f"{json.dumps(each)}: " for each in names]
    said = {each: json.dumps(classification(scan, each)) for each in set(decided)}
    rows = zip(
        placed.tolist(), decided, values.round(6).tolist(), np.isfinite(values).tolist(),
        scan.grid.column.tolist(), scan.grid.row.tolist(), strict=True,
    )  # fmt: skip
    for (x0, y0, x1, y1), number, measured, known, column, row in rows:
        if x0 == x1 or y0 == y1:
            continue
        each = (k + repr(v) for k, v, there in zip(keys, measured, known, strict=True) if there)
        yield (
            f'{{"type": "Feature", "id": "{id_of(key, "tile", column, row)}", "geometry": '
            f'{{"type": "Polygon", "coordinates": [[[{x0}, {y0}], [{x1}, {y0}], [{x1}, {y1}], '
            f'[{x0}, {y1}], [{x0}, {y0}]]]}}, "properties": {{"objectType": "tile", '
            f'"classification": {said[number]}, "measurements": {{{", ".join(each)}}}}}}}'
        )


def class_name(text: str) -> str:
    """A class's name as QuPath keeps it: a colon would make it a class derived from another.

    >>> class_name("tumor: invasive"), class_name(" "), class_name("a" + chr(10) + "b")
    ('tumor - invasive', 'unnamed', 'a b')
    """
    words = " ".join(text.replace(":", " - ").split())
    return words or "unnamed"


def classification(scan: Scan, decided: int) -> dict[str, Any]:
    """The classification of a class number, ``REFER`` or ``OUTSIDE``, with its color."""
    others = {REFER: (REFERRED, REFER_COLOR), OUTSIDE: (OUT_OF_SCOPE, OUTSIDE_COLOR)}
    shown, color = others.get(decided) or (
        class_name(scan.decision.classes[decided]),
        CLASS_COLORS[decided % len(CLASS_COLORS)],
    )
    return {"name": shown, "color": list(rgb(color))}


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


def _collection(features: Iterable[str]) -> Iterator[str]:
    """A FeatureCollection as text, one object a line."""
    yield '{"type": "FeatureCollection", "features": ['
    between = "\n"
    for feature in features:
        yield between + feature
        between = ",\n"
    yield "\n]}\n"
