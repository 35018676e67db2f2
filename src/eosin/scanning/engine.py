"""The engine: patches of a grid through a predictor, in batches that are the same every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eosin.cores import usable_cores
from eosin.errors import StoppedError
from eosin.runtime.predictor import Predictor
from eosin.scanning.answers import Answers
from eosin.scanning.blocks import Plan, batches
from eosin.scanning.scan import Floats, Grid
from eosin.slides.slide import Slide

#: Patches and pixels of a batch.
BATCH, BATCH_PIXELS = 512, 1 << 24

Progress = Callable[[int, int], None]


class Answered(NamedTuple):
    """What a model answered for the cells of a grid, in the order of the grid."""

    #: float32 [n, K].
    probabilities: Floats
    #: float32 [n]; None where the model has no out-of-scope check.
    distances: Floats | None
    #: Patches that an earlier scan had answered.
    resumed: int


def answer(
    slide: Slide,
    grid: Grid,
    plan: Plan,
    predictor: Predictor,
    *,
    log: Path,
    key: str,
    progress: Progress = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Answered:
    """Answer every cell of a grid; what is answered is kept in ``log`` at once.

    key: digest of all that the answers depend on; answers of another key are not used. The log
    stays, so that a scan that was interrupted goes on with its first batch that is not there.
    Raises SlideError where the slide is damaged, StoppedError where ``stop`` says so.
    """
    classes = len(predictor.classes)
    width, height = grid.patch_px
    size = max(8, min(BATCH, BATCH_PIXELS // (width * height)))
    total = len(grid)
    # The distance is the last column; a model without the check has none.
    with Answers(log, f"{key} {size}", classes + 1) as answers:
        # Only the last batch may be smaller.
        answers.keep(total if len(answers) >= total else len(answers) // size * size)
        resumed = len(answers)
        progress(resumed, total)
        readers = max(1, usable_cores()[0])
        if resumed < total:
            read = batches(slide, grid, plan, size, first=resumed // size, readers=readers)
            for _, patches in read:
                answers.append(_row(predictor, patches))
                progress(len(answers), total)
                if stop() and len(answers) < total:
                    raise StoppedError(
                        f"stopped in {slide.path.name} after {len(answers):,} of {total:,} "
                        "patches, which are kept: the same command goes on from there"
                    )
        rows = np.empty((total, classes + 1), np.float32)
        rows[plan.order] = answers.read()
    distances = rows[:, -1]
    unknown = bool(total) and bool(np.isneginf(distances).all())
    return Answered(
        np.ascontiguousarray(rows[:, :-1]),
        None if unknown or not total else np.ascontiguousarray(distances),
        resumed,
    )


def _row(predictor: Predictor, patches: np.ndarray) -> Floats:
    """Probabilities and distance of patches as rows: float32 [n, K + 1]."""
    probabilities, distances = predictor.examine(patches)
    if distances is None:
        # No distance is minus infinity: one that is not a number is a distance.
        distances = np.full(len(patches), -np.inf, np.float32)
    return np.hstack([probabilities, distances[:, None]]).astype(np.float32)
