"""A sheet of explained images: each a row of patch, maps, probability and decision."""

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

from eosin.data.fit import PictureRule
from eosin.errors import UserError, closest
from eosin.figures.canvas import INK, MARK, PAPER, QUIET, save
from eosin.inference.explain import explain, feature_layer, occlusion_windows
from eosin.inference.images import ImagePrediction, classify, image_files, picture_rule
from eosin.inference.maps import (
    CAVEAT,
    MapPlace,
    Method,
    enlarged,
    map_place,
    on_white,
    overlay,
    why_empty,
)
from eosin.inference.torch_predictor import TorchPredictor
from eosin.records.model import INTENDED_USE

#: Images on one sheet.
MOST = 64
NAMES: dict[Method, str] = {"grad-cam": "Grad-CAM", "occlusion": "occlusion"}

_SIDE, _GAP, _TEXT, _MARGIN, _DPI = 220, 10, 400, 36, 150
#: More images than this are drawn in two columns.
_ONE_COLUMN = 10
#: Map values computed at once, so that large images do not fill the memory.
_BLOCK = 8_000_000


@dataclass(frozen=True)
class DrawnMap:
    """One map of one image: laid over the patch, its place, and how strong it is."""

    picture: npt.NDArray[np.uint8]
    #: In pixels of the image file.
    place: MapPlace
    #: The largest value: for occlusion the mean drop of the log odds; 0 where the map is empty.
    largest: float
    #: Why the map is empty, or "".
    note: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.place.as_dict(), "largest": self.largest, "note": self.note}


@dataclass
class Explained:
    """One image with its prediction and its maps; no maps where it could not be read."""

    prediction: ImagePrediction
    #: uint8 [H, W, 3], as the model sees the image.
    patch: npt.NDArray[np.uint8] | None = None
    #: The class whose score is explained.
    target: str = ""
    maps: dict[Method, DrawnMap] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the row of ``predict``, the target, and each map's place in the image file.

        A place in the padding of a padded image is outside of the file's own pixels.
        """
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
    rule: PictureRule | None = None,
) -> tuple[list[Explained], int]:
    """The first images with their maps, and how many were left out (not even read).

    paths, rule: as ``predict_images`` takes them; a map explains the patch that the rule gives.
    target: the class to explain; by default the one that was decided, or the most probable one
    where the decision is not a class.
    A file that cannot be read is a row with its reason. Raises UserError for an unknown class.
    """
    if target is not None and target not in predictor.classes:
        raise UserError(f"no class {target!r} in this run; {closest(target, predictor.classes)}")
    rule = rule or picture_rule(predictor)
    with image_files(paths, predictor.facts, rule) as (files, rule):
        pairs = classify(predictor, files[:most], rule)
        left_out = len(files) - len(pairs)
    rows = [
        Explained(row, picture.pixels, target or _called(row)) if picture else Explained(row)
        for picture, row in pairs
    ]
    for method in methods:
        _add_maps(predictor, [row for row in rows if row.patch is not None], method)
    return rows, left_out


def _called(row: ImagePrediction) -> str:
    if row.decision in row.probabilities:
        return row.decision
    return max(row.probabilities, key=row.probabilities.__getitem__)


def _add_maps(predictor: TorchPredictor, rows: Sequence[Explained], method: Method) -> None:
    height, width = predictor.patch_size
    step = max(1, _BLOCK // (height * width))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        patches = np.stack([row.patch for row in block if row.patch is not None])
        targets = [predictor.classes.index(row.target) for row in block]
        maps = explain(predictor.model, patches, target=targets, method=method, scaled=False)
        for row, patch, values in zip(block, patches, maps, strict=True):
            resized = row.prediction.change == "resized"
            row.maps[method] = DrawnMap(
                overlay(patch, values, side_px=_SIDE),
                map_place(values, row.prediction.size if resized else None),
                max(0.0, float(values.max())),
                why_empty(values, method),
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
    """Write the sheet as PNG; a failure leaves nothing behind. Returns its path.

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
        style = {"va": "top", "color": INK, "fontsize": 8, **style}
        figure.text(x / width, 1 - y / height, text, ha="left", parse_math=False, **style)

    y = _MARGIN - 12
    for text, color, size, weight, step in heading:
        write(_MARGIN, y, text, color=color, fontsize=size, fontweight=weight)
        y += step
    titles = ["patch", *(_title(predictor, method) for method in methods)]
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
    write(_MARGIN, height - 34, INTENDED_USE, color=QUIET, fontsize=8)
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
        "class named beside it. Each map is scaled by itself: compare the places of maps, not "
        "their strength."
    )
    if "grad-cam" in methods:
        height, across = feature_layer(predictor.model)[1]
        reading += f" Grad-CAM has {across} x {height} cells here, enlarged."
    count = f"{shown} image{'s' if shown != 1 else ''}"
    if left_out:
        count += f"; {left_out:,} more were not read (a sheet has room for {MOST})"
    lines = [(mark, MARK, 9.5, "bold", 28) for mark in marks]
    lines += [(f"What the score of {_clean(name)} depends on", INK, 14.0, "bold", 40)]
    lines += [(count, QUIET, 9.0, "normal", 26), (CAVEAT, INK, 9.5, "bold", 28)]
    lines += [(reading, QUIET, 8.5, "normal", 24)]
    return [
        (line, color, size, weight, step)
        for text, color, size, weight, step in lines
        # A letter is about 0.6 of its size wide; a point is _DPI / 72 pixels.
        for line in textwrap.wrap(text, int((width - 2 * _MARGIN) * 72 / _DPI / (0.6 * size)))
    ]


def _title(predictor: TorchPredictor, method: Method) -> str:
    if method == "grad-cam":
        return NAMES[method]
    height, width = occlusion_windows(predictor.patch_size)[0]
    return f"{NAMES[method]}, {width} x {height} px"


def _pictures(row: Explained, methods: Sequence[Method]) -> Iterator[npt.NDArray[np.uint8]]:
    if row.patch is None:
        yield from [np.full((_SIDE, _SIDE, 3), 244, np.uint8)] * (1 + len(methods))
        return
    yield on_white(enlarged(row.patch, _SIDE), _SIDE)
    yield from (row.maps[method].picture for method in methods)


def _words(row: Explained) -> Iterator[tuple[str, dict[str, Any], int]]:
    """(text, style, step in pixels) of each line beside the pictures."""
    prediction = row.prediction
    for line in textwrap.wrap(_clean(Path(prediction.file).name), 40)[:2] or ["?"]:
        yield line, {"fontweight": "bold"}, 20
    if prediction.error:
        for line in textwrap.wrap(_clean(prediction.error), 44)[:6]:
            yield line, {"color": MARK}, 19
        return
    yield f"decision: {_clean(prediction.decision)}", {}, 20
    if prediction.change and prediction.size:
        across_down = f"{prediction.size[1]} x {prediction.size[0]} px"
        yield f"{prediction.change} from {across_down}", {"color": QUIET, "fontsize": 7.5}, 18
    chance = prediction.probabilities[row.target]
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
