"""One slide from its file to its results: opened, looked at, answered, written; or its cause."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from eosin.records.decision import Decision
from eosin.runtime.predictor import Predictor
from eosin.scanning.blocks import Plan, plan_of
from eosin.scanning.engine import Progress, answer
from eosin.scanning.grid import LEAST_TISSUE, Lens, grid_of
from eosin.scanning.identity import fingerprint, key_of
from eosin.scanning.scan import Grid, Scan
from eosin.slides.opening import open_slide
from eosin.slides.reading import overview
from eosin.slides.reduced import with_reduced
from eosin.slides.slide import Pixels, Slide
from eosin.slides.tissue import TISSUE, Tissue

#: Longest side of the picture of the whole slide.
THUMBNAIL_PX = 1600
#: Raised when a scan of the same settings would give other numbers or files.
VERSION = 1
#: Folder of locks and answers inside the results.
WORK = ".scan"


@dataclass(frozen=True)
class Asked:
    """What is asked of every slide."""

    lens: Lens
    decision: Decision
    #: What the answers of the model depend on.
    model: Mapping[str, Any]
    #: Numbers of the mask that are scanned, and the least share of them in a patch.
    keep: Collection[int] = (TISSUE,)
    least: float = LEAST_TISSUE
    #: The reader to use, by name; None: the first that opens a slide rightly.
    reader: str | None = None
    #: Finds the tissue of a slide.
    find: Callable[[Slide], Tissue] = field(kw_only=True)
    #: What ``find`` depends on.
    tissue: Mapping[str, Any] = field(default_factory=dict)
    #: Added to what is kept of the settings.
    more: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """For keys and for NAME.json."""
        return {
            "version": VERSION,
            "model": dict(self.model),
            "patch_px": list(self.lens.patch_px),
            "mpp": self.lens.mpp,
            "stride_um": self.lens.stride_um,
            "keep": sorted(self.keep),
            "least_tissue": self.least,
            "tissue": dict(self.tissue),
            "reader": self.reader,
        }


class Prepared(NamedTuple):
    """A slide that is open, and all that is known before a model is asked."""

    slide: Slide
    tissue: Tissue
    grid: Grid
    plan: Plan
    thumbnail: Pixels
    #: Digest of the file, and of all that answers depend on.
    fingerprint: str
    key: str
    seconds: float


def result_key(path: Path, asked: Asked, mpp: float | None) -> str:
    """The digest that the results of a slide carry: the same again would be the same files."""
    point = asked.decision.point
    return key_of(
        asked.settings()
        | {"slide": fingerprint(path), "name": path.name, "slide_mpp": mpp}
        | {"point": point.to_json(), "scope": asked.decision.scope_limit}
    )


def prepare(path: Path, asked: Asked, *, mpp: float | None = None) -> Prepared:
    """Open a slide, find its tissue and lay the grid. Raises SlideError with the reason if not."""
    begun = time.monotonic()
    slide = with_reduced(open_slide(path, reader=asked.reader, mpp=mpp))
    try:
        tissue = asked.find(slide)
        grid = grid_of(slide, tissue, asked.lens, keep=asked.keep, least=asked.least)
        plan = plan_of(slide, grid)
        mark = fingerprint(path)
        assert slide.scale is not None
        key = key_of(
            asked.settings()
            | {"slide": mark, "scale": list(slide.scale[:2]), "opened_by": slide.reader}
            | {"level": plan.level, "cells": len(grid), "bounds": list(slide.bounds)}
        )
        picture, _ = overview(slide, THUMBNAIL_PX)
        return Prepared(slide, tissue, grid, plan, picture, mark, key, time.monotonic() - begun)
    except BaseException:
        slide.close()
        raise


def answered(
    prepared: Prepared,
    asked: Asked,
    predictor: Predictor,
    log: Path,
    *,
    key: str,
    progress: Progress = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Scan, int]:
    """Ask the model for every patch of a slide; also how many an earlier scan had answered.

    key: what the results will carry (``result_key``). Raises as ``engine.answer``.
    """
    begun = time.monotonic()
    got = answer(
        prepared.slide, prepared.grid, prepared.plan, predictor,
        log=log, key=prepared.key, progress=progress, stop=stop,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    settings = asked.settings() | dict(asked.more) | {
        "slide": prepared.fingerprint, "key": key, "level": prepared.plan.level,
        "seconds": {"prepare": round(prepared.seconds, 2), "answer": round(seconds, 2)},
        "resumed": got.resumed,
    }  # fmt: skip
    scan = Scan(
        prepared.slide, prepared.grid, asked.decision, got.probabilities, got.distances,
        prepared.tissue, prepared.thumbnail, settings,
    )  # fmt: skip
    return scan, got.resumed
