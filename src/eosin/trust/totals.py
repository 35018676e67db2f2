"""Totals of patches in every bootstrap replicate, by one product of weights and sums of a unit.

Many figures (a calibration error, a net benefit, a sensitivity) are functions of a few totals over
the patches. A replicate draws complete units, so its totals are the units' own sums, each as often
as the unit was drawn: no resampled set of patches is ever built.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints
from eosin.evaluation.resampling import draws
from eosin.records.scored import Units


def totals(values: npt.ArrayLike, cells: Ints, width: int) -> Floats:
    """Sums of each row of values over the patches of each cell: float64 [M, width].

    values: float [M, N]; cells: int [N], 0 to ``width`` - 1.

    >>> totals([[1, 1, 1], [0.5, 0.25, 0]], np.array([0, 0, 1]), 2).tolist()
    [[2.0, 1.0], [0.75, 0.0]]
    """
    rows = np.asarray(values, dtype=np.float64)
    return np.stack([np.bincount(cells, row, width) for row in rows])


def replicate_totals(
    values: npt.ArrayLike,
    cells: Ints,
    width: int,
    units: Units,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> Floats:
    """``totals`` of every bootstrap replicate over units: float64 [replicates, M, width].

    values: float [M, N]; cells: int [N], 0 to ``width`` - 1; units: of the same N patches. The
    same seed gives the same draws as everywhere, so figures can be compared draw by draw.

    >>> from eosin.records.scored import resampling_units
    >>> units = resampling_units(["a", "a", "b"], 3)
    >>> result = replicate_totals([[1, 1, 1]], np.array([0, 1, 0]), 2, units, replicates=4)
    >>> result.shape, bool(np.all(result[..., 0] == 2))
    ((4, 1, 2), True)
    """
    from scipy.sparse import csr_array

    rows = np.asarray(values, dtype=np.float64)
    count = len(rows)
    place = np.arange(count)[:, None] * width + cells
    # Sparse: where patches are the units, each fills one cell and a dense table would be zeros.
    table = csr_array(
        (rows.ravel(), (place.ravel(), np.tile(units.codes, count))),
        shape=(count * width, units.count),
    )
    blocks = [
        (table @ block.T.astype(np.float64)).T for block in draws(units.count, replicates, seed)
    ]
    return np.concatenate(blocks).reshape(-1, count, width)
