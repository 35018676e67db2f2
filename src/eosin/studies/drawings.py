"""Pictures of a study: patches with captions, and the gap as pairs of dots."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore
from eosin.evaluation.definitions import NAMES
from eosin.figures.canvas import BLUE, INK, MARK, ORANGE, PAPER, QUIET, canvas, save

Path_ = str | os.PathLike[str]

_ACROSS = 8
_TILE_PX, _GAP_PX, _CAPTION_PX = 120, 12, 54
_WIDTH_IN, _SIDE_IN = 10.4, 0.25


def suspects_gallery(
    store: PatchStore, suspects: Mapping[str, Any], path: Path_, marks: Sequence[str] = ()
) -> Path:
    """Draw label suspects, each with its case, its label and the class the model gives instead.

    suspects: the key "suspects" of crossval.json, its rows naming rows of the store.
    """
    rows = suspects["rows"]
    shown = "" if len(rows) == suspects["total"] else f", the {len(rows)} most contradicted shown"
    sheet, places = _sheet(store, [row["patch"] for row in rows])
    high, wide = sheet.shape[:2]
    figure, (axes,) = canvas(
        f"Label suspects of {store.path.name}",
        f"{suspects['total']:,} of {suspects['of']:,} patches{shown}; under each its case, its "
        "label, and the class that the out-of-fold model gives with its probability. For a person "
        "to look at: nothing was removed or relabeled.",
        marks=_short(marks),
        width_in=_WIDTH_IN,
        height_in=(_WIDTH_IN - _SIDE_IN - 0.3) * high / wide + 1.75,
        side_in=_SIDE_IN,
        foot_in=0.3,
    )
    axes.imshow(sheet, interpolation="antialiased", extent=(0, wide, high, 0), aspect="equal")
    axes.set_anchor("NW")
    axes.set_axis_off()
    for (x, y), row in zip(places, rows, strict=True):
        suggested = f"{row['suggested']} {row['probability']:.3f}"
        captions = (
            (row["case"] or "case unknown", INK, "normal"),
            (f"labeled {row['label']}", QUIET, "normal"),
            (suggested, MARK, "bold"),
        )
        for number, (text, color, weight) in enumerate(captions):
            axes.text(
                x + _TILE_PX / 2,
                y + 11 + 15 * number,
                _fitting(text),
                color=color,
                fontsize=7.6,
                fontweight=weight,
                ha="center",
                va="center",
                parse_math=False,
            )
    return save(figure, path)


def _sheet(
    store: PatchStore, rows: Sequence[int]
) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int]]]:
    """The picture uint8 [h, w, 3], and the lower left corner (x, y) in px of every patch in it."""
    import cv2

    height, width = store.patch_size
    tall = max(1, round(_TILE_PX * height / width))
    step = tall + _CAPTION_PX + _GAP_PX
    lines = -(-len(rows) // _ACROSS)
    sheet = np.full((lines * step, _ACROSS * (_TILE_PX + _GAP_PX) - _GAP_PX, 3), 255, np.uint8)
    how = cv2.INTER_AREA if width > _TILE_PX else cv2.INTER_NEAREST
    places = []
    for number, row in enumerate(rows):
        x, y = (number % _ACROSS) * (_TILE_PX + _GAP_PX), (number // _ACROSS) * step
        patch = np.ascontiguousarray(store.patches[row])
        sheet[y : y + tall, x : x + _TILE_PX] = cv2.resize(
            patch, (_TILE_PX, tall), interpolation=how
        )
        places.append((x, y + tall))
    return sheet, places


def _fitting(text: str, most: int = 22) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _short(marks: Sequence[str], most: int = 3) -> list[str]:
    """The first few marks: a picture has no room for all of fifteen runs."""
    kept = [mark if len(mark) <= 160 else mark[:159] + "…" for mark in marks[:most]]
    return [*kept, f"and {len(marks) - most} more"] if len(marks) > most else kept


def gap_dots(path: Path_, result: Mapping[str, Any]) -> Path:
    """Draw gap.json: a panel a method, and for every seed its figure under both splits, joined."""
    name = result["figures"][0]
    methods = result["methods"]
    figure, drawn = canvas(
        "What a patch-random split adds",
        "Test figures of the same method under both splits; a line joins the two of a seed. "
        f"{result['n_patches']:,} patches of {result['n_cases']:,} cases; recipe "
        f"{result['recipe']['name']}",
        marks=_short(result["marks"]),
        width_in=3.4 * len(methods) + 1.0,
        height_in=5.6,
        panels=len(methods),
        side_in=0.75,
        foot_in=0.55,
        head_in=0.95,
    )
    sides = {
        method: [(r[name]["case_disjoint"], r[name]["patch_random"]) for r in each["per_seed"]]
        for method, each in methods.items()
    }
    pairs = {method: [pair for pair in each if None not in pair] for method, each in sides.items()}
    known = [value for each in pairs.values() for pair in each for value in pair]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = max(0.01, 0.12 * (high - low))
    for axes, (method, each) in zip(drawn, methods.items(), strict=True):
        for pair in pairs[method]:
            axes.plot([0, 1], pair, color="#aab2bd", linewidth=1.4, zorder=2)
        for place, color in enumerate((BLUE, ORANGE)):
            axes.plot(
                [place] * len(pairs[method]), [pair[place] for pair in pairs[method]], "o",
                color=color, markersize=9, markeredgecolor=PAPER, markeredgewidth=1.3, zorder=3,
            )  # fmt: skip
        axes.set(xlim=(-0.45, 1.45), ylim=(low - room, high + room))
        axes.set_xticks([0, 1], ["case-disjoint", "patch-random"])
        axes.tick_params(axis="x", colors=INK, length=0)
        axes.grid(visible=False, axis="x")
        axes.set_title(
            method.replace("_", " "), loc="left", color=INK, fontsize=12, fontweight="bold", pad=34
        )
        axes.text(
            0, 1.03, _difference_words(each["differences"][name]), transform=axes.transAxes,
            color=QUIET, fontsize=9.6, ha="left", va="bottom",
        )  # fmt: skip
    drawn[0].set_ylabel(NAMES[name])
    return save(figure, path)


def _difference_words(difference: Mapping[str, Any]) -> str:
    value, low, high = (difference[key] for key in ("value", "low", "high"))
    if value is None:
        return "the difference is not defined"
    span = "" if low is None else f"\n95 % interval {low:.3f} to {high:.3f}"
    return f"patch-random {'higher' if value >= 0 else 'lower'} by {abs(value):.3f}{span}"
