"""Cases of a store as slides: the mosaic of the patches, with the labels that are known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from eosin.data.store import PatchStore
from eosin.errors import SlideError, StoreError, UserError, closest
from eosin.runtime.predictor import Predictor, examine_rows
from eosin.scanning.engine import Answered
from eosin.scanning.job import (
    THUMBNAIL_PX,
    Asked,
    Log,
    Prepared,
    Scanned,
    key_of_results,
    scan_of,
)
from eosin.scanning.scan import Grid, Ints
from eosin.scanning.writing import name_of
from eosin.slides.mosaic import CaseMosaic, slides_of
from eosin.slides.reading import overview
from eosin.slides.tissue import GLASS, TISSUE, Tissue
from eosin.splitting.seen import Seen

#: A grid whose steps are smaller parts of a patch than this is none.
_LEAST_STEP = 8


def cases_of(store: PatchStore, chosen: Sequence[str] | None) -> dict[str, tuple[str, str]]:
    """The slides of the cases of a store by name: (case, slide). chosen: None for all cases.

    Raises UserError for a case that is not there.
    """
    known = sorted({*store.cases.tolist()} - {""})
    for case in chosen or ():
        if case not in known:
            raise UserError(f"--case {case}: {store.path} has no such case; {closest(case, known)}")
    if not known:
        raise UserError(f"{store.path} does not record the case of any patch")
    found: dict[str, tuple[str, str]] = {}
    for case in dict.fromkeys(known if chosen is None else chosen):
        slides = slides_of(store, case)
        for slide in slides:
            name = name_of(f"{case}_{slide}.x" if len(slides) > 1 else f"{case}.x")
            while name in found:
                name += "-2"
            found[name] = (case, slide)
    return found


@dataclass(frozen=True)
class CaseJob:
    """A slide of a case; its patches are asked as they are in the store, and no others.

    store: with its classes in the order of the model's.
    """

    store: PatchStore
    case: str
    slide: str
    asked: Asked
    #: What the model has learned from: such a case has a mark.
    seen: Seen

    @property
    def path(self) -> Path:
        """The store."""
        return self.store.path

    def key(self) -> str:
        """See ``Job``."""
        return key_of_results(self.asked, self._known())

    def prepare(self) -> Prepared:
        """See ``Job``; SlideError where the patches lie on no grid."""
        begun = time.monotonic()
        try:
            mosaic = CaseMosaic(self.store, self.case, self.slide)
        except StoreError as error:
            raise SlideError(str(error)) from None
        grid = _grid(mosaic, self.store)
        picture, known = overview(mosaic, THUMBNAIL_PX)
        scale = mosaic.scale
        factor = mosaic.width_px / picture.shape[1], mosaic.height_px / picture.shape[0]
        tissue = Tissue(
            np.where(known, TISSUE, GLASS).astype(np.uint8),
            None if scale is None else (scale.x_um * factor[0], scale.y_um * factor[1]),
            "where the store has patches",
        )
        return Prepared(mosaic, tissue, grid, picture, self._known(), time.monotonic() - begun)

    def answer(self, prepared: Prepared, predictor: Predictor, log: Log) -> Scanned:
        """See ``Job``: what ``examine`` gives for the patches of the store, in their order."""
        begun, mosaic = time.monotonic(), prepared.slide
        assert isinstance(mosaic, CaseMosaic)
        rows, done, total = mosaic.rows, 0, len(mosaic.rows)

        def stepped(count: int) -> None:
            nonlocal done
            done += count
            log.progress(done, total)

        probabilities, distances = examine_rows(predictor, self.store.patches, rows, stepped)
        got = Answered(probabilities, distances, 0)
        marks = [str(mark) for mark in self.seen.check(self.store, rows, allow_seen=True)]
        scan = scan_of(
            prepared, self.asked, got, log.key, time.monotonic() - begun,
            truth=self.store.labels[rows].astype(np.int64), case=self.case,
            marks=[*self.asked.more.get("marks", ()), *marks],
        )  # fmt: skip
        return Scanned(scan, 0)

    def _known(self) -> dict[str, str]:
        return {"slide": self.store.digest, "case": self.case, "of_case": self.slide}


def _grid(mosaic: CaseMosaic, store: PatchStore) -> Grid:
    """The grid that the patches of a mosaic lie on, in the order of its rows."""
    height, width = store.patch_size
    x, y = mosaic.boxes[:, 0], mosaic.boxes[:, 1]
    steps = (_step(x, width), _step(y, height))
    if min(steps[0] * _LEAST_STEP - width, steps[1] * _LEAST_STEP - height) < 0:
        raise SlideError(
            f"the patches of {store.path} lie on no grid (steps of {steps[0]} x {steps[1]} "
            "pixels), so no heatmap of them can be drawn"
        )
    column, row = (x - x.min()) // steps[0], (y - y.min()) // steps[1]
    return Grid(
        (int(x.min()), int(y.min())), (Fraction(steps[0]), Fraction(steps[1])),
        (Fraction(width), Fraction(height)), int(column.max()) + 1, int(row.max()) + 1,
        column.astype(np.int64), row.astype(np.int64), (width, height), store.mpp,
    )  # fmt: skip


def _step(places: Ints, side: int) -> int:
    """The greatest step that all distances are multiples of, at most a patch's side."""
    step = int(np.gcd.reduce(np.diff(np.unique(places)))) if len(np.unique(places)) > 1 else side
    if step <= side:
        return step
    # Patches far apart: the largest part of the step that is no wider than a patch.
    return next(k for k in range(side, 0, -1) if step % k == 0)
