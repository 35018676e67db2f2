"""A sheet of explained images: each a row of image, maps, probability and decision."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.decode import decode
from eosin.errors import ImageError, UserError, closest
from eosin.figures.canvas import INK, MARK, PAPER, QUIET, save
from eosin.inference.explain import explain, feature_layer, occlusion_windows
from eosin.inference.images import ImagePrediction, _files, predict_images
from eosin.inference.maps import (
    CAVEAT,
    MapFacts,
    Maps,
    Method,
    enlarged,
    map_facts,
    on_white,
    overlay,
    why_empty,
)
from eosin.inference.torch_predictor import TorchPredictor

NOT_FOR_DIAGNOSIS = "Research and education only, not for diagnosis."
#: Images on one sheet.
MOST = 64
NAMES: dict[Method, str] = {"grad-cam": "Grad-CAM", "occlusion": "occlusion"}

_SIDE, _GAP, _TEXT, _MARGIN, _DPI = 220, 10, 400, 36, 150
#: More images than this stand in two columns.
_ONE_COLUMN = 10
#: Map values computed at once, so that large images do not fill the memory.
_BLOCK = 8_000_000


@dataclass(frozen=True)
class DrawnMap:
    """One map of one image: laid over it, where it lies, and how strong it is."""

    picture: npt.NDArray[np.uint8]
    facts: MapFacts
    #: The largest value: for occlusion the mean drop of the log odds; 0 where the map is empty.
    largest: float
    #: Why the map is empty, or "".
    note: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.facts.as_dict(), "largest": self.largest, "note": self.note}


@dataclass
class Explained:
    """One image with its prediction and its maps; no maps where it could not be read."""

    prediction: ImagePrediction
    #: The class whose score is explained.
    target: str = ""
    image: npt.NDArray[np.uint8] | None = None
    maps: dict[Method, DrawnMap] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what ``predict`` says, the target, and each map's place in pixels."""
        return {
            **self.prediction.as_dict(),
            "target": self.target or None,
            "maps": {method: drawn.as_dict() for method, drawn in self.maps.items()},
        }


def explain_images(
    predictor: TorchPredictor,
    paths: Sequence[Path],
    *,
    methods: Sequence[Method],
    target: str | None = None,
    most: int = MOST,
) -> tuple[list[Explained], int]:
    """The first images with their maps, and how many were left out (not even read).

    paths: image files, folders and zips, as ``predict_images`` takes them.
    target: the class to explain; by default the one that was decided, or the most probable one
    where the decision is no class.
    A file that cannot be read is a row with its reason. Raises UserError for an unknown class.
    """
    if target is not None and target not in predictor.classes:
        raise UserError(f"no class {target!r} in this run; {closest(target, predictor.classes)}")
    total = sum(1 for _ in _files(paths))
    rows: list[Explained] = []
    # Both walk the same files in the same order; decisions are made in one place only.
    files = _files(paths)
    for row in predict_images(predictor, paths):
        _, read = next(files)
        found = Explained(row)
        if not row.error:
            # A file that went away since is one that cannot be read.
            try:
                found.image = decode(read())
            except ImageError as problem:
                found.prediction = ImagePrediction(row.file, {}, "", None, error=str(problem))
            else:
                found.target = target or _called(row)
        rows.append(found)
        if len(rows) == most:
            break
    for block in _blocks(rows):
        _explain_block(predictor, block, methods)
    return rows, total - len(rows)


def _called(row: ImagePrediction) -> str:
    if row.decision in row.probabilities:
        return row.decision
    return max(row.probabilities, key=row.probabilities.__getitem__)


def _blocks(rows: Sequence[Explained]) -> Iterator[list[Explained]]:
    by_size: dict[tuple[int, ...], list[Explained]] = {}
    for row in rows:
        if row.image is not None:
            by_size.setdefault(row.image.shape, []).append(row)
    for size, members in by_size.items():
        step = max(1, _BLOCK // (size[0] * size[1]))
        yield from (members[k : k + step] for k in range(0, len(members), step))


def _explain_block(
    predictor: TorchPredictor, rows: Sequence[Explained], methods: Sequence[Method]
) -> None:
    patches = np.stack([row.image for row in rows if row.image is not None])
    targets = [predictor.classes.index(row.target) for row in rows]
    for method in methods:
        raw = explain(predictor.model, patches, target=targets, method=method, scaled=False)
        for row, patch, found in zip(rows, patches, raw, strict=True):
            row.maps[method] = drawn_map(patch, found, method)


def drawn_map(patch: npt.NDArray[np.uint8], found: Maps, method: Method) -> DrawnMap:
    """A raw map laid over its patch: uint8 [H, W, 3] and float [H, W]."""
    return DrawnMap(
        overlay(patch, found, side_px=_SIDE),
        map_facts(found),
        max(0.0, float(found.max())),
        why_empty(found, method),
    )


def draw_sheet(
    rows: Sequence[Explained],
    path: Path,
    *,
    predictor: TorchPredictor,
    name: str,
    methods: Sequence[Method],
    marks: Sequence[str] = (),
    left_out: int = 0,
) -> Path:
    """Write the sheet as PNG, whole or not at all; returns its path.

    name: of the run; marks: its warnings, drawn in red; left_out: images that are not on the sheet.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 1 if len(rows) <= _ONE_COLUMN else 2
    lines = -(-len(rows) // columns)
    panels = 1 + len(methods)
    wide = panels * (_SIDE + _GAP) + _TEXT
    width = columns * wide + 2 * _MARGIN
    heading = _heading(predictor, name, methods, marks, len(rows), left_out, width)
    head = _MARGIN + sum(step for *_, step in heading) + 34
    height = head + lines * (_SIDE + _GAP) + 44
    sheet = np.full((height, width, 3), 255, np.uint8)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)

    def write(x: float, y: float, text: str, **style: Any) -> None:
        given: dict[str, Any] = {
            "va": "top",
            "ha": "left",
            "color": INK,
            "fontsize": 8,
            "parse_math": False,
        }
        figure.text(x / width, 1 - y / height, text, **(given | style))

    y = _MARGIN - 12
    for text, color, size, weight, step in heading:
        write(_MARGIN, y, text, color=color, fontsize=size, fontweight=weight)
        y += step
    titles = ["image", *(_title(predictor, method) for method in methods)]
    for column in range(columns):
        for k, title in enumerate(titles):
            left = _MARGIN + column * wide + k * (_SIDE + _GAP)
            write(left, head - 8, title, va="bottom", color=QUIET, fontsize=7.5)
    for number, row in enumerate(rows):
        column, line = divmod(number, lines)
        left, top = _MARGIN + column * wide, head + line * (_SIDE + _GAP)
        for k, picture in enumerate(_pictures(row, methods)):
            x = left + k * (_SIDE + _GAP)
            sheet[top : top + _SIDE, x : x + _SIDE] = picture
        down = float(top)
        for text, style, step in _words(row):
            write(left + panels * (_SIDE + _GAP) + 4, down, text, **style)
            down += step
    write(_MARGIN, height - 34, NOT_FOR_DIAGNOSIS, color=QUIET, fontsize=8)
    figure.figimage(sheet)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; that needs no warning.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        return save(figure, path)


def _heading(
    predictor: TorchPredictor,
    name: str,
    methods: Sequence[Method],
    marks: Sequence[str],
    shown: int,
    left_out: int,
    width: int,
) -> list[tuple[str, str, float, str, int]]:
    """(text, color, size in points, weight, step in pixels) of each line above the rows."""
    reading = (
        "Full color and the yellow line: where a map reaches half of its own maximum, for the "
        "class named beside it. Each map is scaled by itself, so maps compare in place, not in "
        "strength."
    )
    if "grad-cam" in methods:
        height, across = feature_layer(predictor.model)[1]
        reading += f" Grad-CAM has {across} x {height} cells here, enlarged."
    count = f"{shown} image{'s' if shown != 1 else ''}"
    if left_out:
        count += f"; {left_out:,} more were left out, not even read (a sheet holds {MOST})"
    given = [(mark, MARK, 9.5, "bold", 28) for mark in marks]
    given += [(f"What the score of {_clean(name)} depends on", INK, 14.0, "bold", 40)]
    given += [(count, QUIET, 9.0, "normal", 26), (CAVEAT, INK, 9.5, "bold", 28)]
    given += [(reading, QUIET, 8.5, "normal", 24)]
    return [
        (line, color, size, weight, step)
        for text, color, size, weight, step in given
        # A letter is about 0.6 of its size wide; a point is _DPI / 72 pixels.
        for line in textwrap.wrap(text, int((width - 2 * _MARGIN) * 72 / _DPI / (0.6 * size)))
    ]


def _title(predictor: TorchPredictor, method: Method) -> str:
    if method == "grad-cam":
        return NAMES[method]
    height, width = occlusion_windows(predictor.patch_size)[0]
    return f"{NAMES[method]}, {width} x {height} px"


def _pictures(row: Explained, methods: Sequence[Method]) -> Iterator[npt.NDArray[np.uint8]]:
    if row.image is None:
        yield from [np.full((_SIDE, _SIDE, 3), 244, np.uint8)] * (1 + len(methods))
        return
    yield on_white(enlarged(row.image, _SIDE), _SIDE)
    yield from (row.maps[method].picture for method in methods)


def _words(row: Explained) -> Iterator[tuple[str, dict[str, Any], int]]:
    """(text, style, step in pixels) of each line beside the pictures."""
    found = row.prediction
    for line in textwrap.wrap(_clean(Path(found.file).name), 40)[:2] or ["?"]:
        yield line, {"fontweight": "bold"}, 20
    if found.error:
        for line in textwrap.wrap(_clean(found.error), 44)[:6]:
            yield line, {"color": MARK}, 19
        return
    yield f"decision: {_clean(found.decision)}", {}, 20
    chance = found.probabilities[row.target]
    yield f"explained: {_clean(row.target)}, probability {chance:.3f}", {}, 20
    occluded = row.maps.get("occlusion")
    small = partial(textwrap.wrap, width=48)
    if occluded is not None and occluded.largest > 0:
        text = f"most important part covered: about {covered(chance, occluded.largest):.3f}"
        yield text, {"color": QUIET, "fontsize": 7.5}, 18
    for method, drawn in row.maps.items():
        for line in small(f"{NAMES[method]}: {drawn.note}") if drawn.note else ():
            yield line, {"color": QUIET, "fontsize": 7.5}, 18


def covered(probability: float, drop: float) -> float:
    """The probability after its log odds fell by ``drop``.

    >>> round(covered(0.5, math.log(3)), 3)
    0.25
    """
    inside = min(max(probability, 1e-7), 1 - 1e-7)
    return 1 / (1 + math.exp(min(drop - math.log(inside / (1 - inside)), 700.0)))


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
