"""NAME.parquet: a row a patch, with its place, its probabilities and what was decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from eosin.records.model import INTENDED_USE
from eosin.records.points import OUTSIDE, REFER
from eosin.scanning.scan import Ints, Scan

#: Before the name of a class.
PROBABILITY = "p_"


def write_table(scan: Scan, path: Path) -> None:
    """Write the patches of a scan in their order.

    Columns: x, y, width, height in level-0 pixels (int32), the field that the patch shows; x_um,
    y_um (float64), the same corner in micrometers, null without a scale; p_CLASS (float32);
    decision: a class, "refer" or "out of scope"; refer, out_of_scope (bool); distance (float32)
    where the model checks its scope; label where it is known; column, row (int32) in the grid.
    """
    import polars as pl

    grid, decided = scan.grid, scan.decided
    x, y = grid.corners()
    wide, tall = (int(side + 0.5) for side in grid.field_px)
    scale = scan.slide.scale
    count = len(grid)
    probabilities = np.asarray(scan.probabilities, np.float32)
    columns = [
        pl.Series("x", x, pl.Int32),
        pl.Series("y", y, pl.Int32),
        pl.Series("width", np.full(count, wide), pl.Int32),
        pl.Series("height", np.full(count, tall), pl.Int32),
        pl.Series("x_um", x * scale.x_um if scale else [None] * count, pl.Float64),
        pl.Series("y_um", y * scale.y_um if scale else [None] * count, pl.Float64),
        *(
            pl.Series(PROBABILITY + name, probabilities[:, k], pl.Float32)
            for k, name in enumerate(scan.decision.classes)
        ),
        pl.Series("decision", scan.decision.names(decided), pl.String),
        *([] if scan.truth is None else [_labels(scan, scan.truth)]),
        pl.Series("refer", decided == REFER, pl.Boolean),
        pl.Series("out_of_scope", decided == OUTSIDE, pl.Boolean),
        *([] if scan.distances is None else [pl.Series("distance", scan.distances, pl.Float32)]),
        pl.Series("column", grid.column, pl.Int32),
        pl.Series("row", grid.row, pl.Int32),
    ]
    about = {
        "frame": "level-0 pixels, (0, 0) the upper left corner of the reader's level 0",
        "mpp": None if scale is None else [scale.x_um, scale.y_um],
        "reader": scan.slide.reader,
        "intended_use": INTENDED_USE,
    }
    with open(path, "wb") as file:  # polars takes some names for patterns
        pl.DataFrame(columns).write_parquet(file, metadata={"eosin": json.dumps(about)})


def _labels(scan: Scan, truth: Ints) -> Any:
    """The class of each label, null where it is none of the model's."""
    import polars as pl

    names = [*scan.decision.classes, None]
    return pl.Series("label", [names[number] for number in truth.tolist()], pl.String)
