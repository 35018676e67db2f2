"""What the figures of an evaluation draw: points of curves, counts of bins, shares of rows.

Computed once here, drawn as PNG files by ``figures`` and inside the report by ``reporting``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked
from eosin.evaluation.metrics import score_histogram
from eosin.evaluation.ranking import precision_recall_points, roc_points

#: A curve is drawn on fewer than this many pixels in a page, in either direction.
_PIXELS = 450


@dataclass(frozen=True)
class Curves:
    """The curves of two classes, ready to draw.

    >>> curves = Curves.of([0, 1, 1], [0.1, 0.6, 0.9])
    >>> curves.true_rate.tolist(), int(curves.counts.sum())
    ([0.0, 0.5, 1.0, 1.0], 3)
    """

    #: float64 [M] each, from (0, 0) to (1, 1).
    false_rate: Floats
    true_rate: Floats
    #: float64 [P] each.
    recall: Floats
    precision: Floats
    #: Patches by probability: edges float64 [B + 1], counts int64 [2, B] by true class.
    edges: Floats
    counts: Ints

    @classmethod
    def of(cls, y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> Self | None:
        """The curves of y_true int [N] and y_prob float [N] or [N, 2]; None for more classes."""
        if checked(y_true, y_prob)[1].ndim == 2:
            return None
        return cls(
            *roc_points(y_true, y_prob),
            *precision_recall_points(y_true, y_prob),
            *score_histogram(y_true, y_prob),
        )

    def for_page(self) -> Curves:
        """The same with fewer points, which looks the same on a page."""
        roc, pr = thinned(self.false_rate, self.true_rate), thinned(self.recall, self.precision)
        return Curves(*roc, *pr, self.edges, self.counts)


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A curve with far fewer points that looks the same on a page.

    x, y: float [M], both 0 to 1, in drawing order. A point is kept where the curve has moved by a
    pixel since the last one kept, together with the point before it, so that steps stay steps.

    >>> x = np.linspace(0, 1, 100_000)
    >>> len(thinned(x, x)[0]) < 1000
    True
    """
    if len(x) < 2:
        return x, y
    step, at_x, at_y, last = 1 / _PIXELS, float(x[0]), float(y[0]), 0
    kept = [0]
    for k in range(1, len(x)):
        here_x, here_y = float(x[k]), float(y[k])
        if abs(here_x - at_x) >= step or abs(here_y - at_y) >= step or k == len(x) - 1:
            if k - 1 > last:
                kept.append(k - 1)
            kept.append(k)
            at_x, at_y, last = here_x, here_y, k
    chosen = np.asarray(kept)
    return x[chosen], y[chosen]


def row_shares(counts: npt.ArrayLike) -> Floats:
    """Each count as a share of its row, 0 in an empty row: float64 [K, K].

    >>> row_shares([[3, 1], [0, 0]]).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    matrix = np.asarray(counts, np.float64)
    total = matrix.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    return shares
