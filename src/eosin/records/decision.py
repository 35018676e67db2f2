"""Decision: a class, "refer" or "out of scope" for each patch. Whatever answers uses only this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.records.points import OUTSIDE as OUTSIDE
from eosin.records.points import REFER, OperatingPoint

REFERRED = "refer"
OUT_OF_SCOPE = "out of scope"


@dataclass(frozen=True)
class Decision:
    """The rule by which a model answers: one operating point and the out-of-scope limit.

    A patch whose distance from the training patches exceeds the limit is out of scope; all others
    are answered or referred by the operating point.
    """

    classes: tuple[str, ...]
    point: OperatingPoint
    #: Distance beyond which a patch is out of scope; None where the model has no such check.
    scope_limit: float | None = None

    def decide(
        self, probabilities: npt.ArrayLike, distances: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.int64]:
        """Class numbers, ``REFER`` or ``OUTSIDE``: int64 [N].

        probabilities: float [N, K]; distances: float [N], or None to leave the check out.

        >>> rule = Decision(("n", "p"), OperatingPoint("f1", 0.5), scope_limit=2.0)
        >>> rule.decide([[0.7, 0.3], [0.1, 0.9]], [1.0, 3.0]).tolist()
        [0, -2]
        """
        decided = self.point.decide(probabilities)
        if distances is not None and self.scope_limit is not None:
            # A distance that is not a number is not a near one.
            outside = ~(np.asarray(distances, np.float64) <= self.scope_limit)
            decided[outside] = OUTSIDE
        return decided

    def names(self, decided: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
        """What people read for the numbers of ``decide``.

        >>> Decision(("n", "p"), OperatingPoint("f1", 0.5)).names([0, -1, -2])
        ['n', 'refer', 'out of scope']
        """
        words = {REFER: REFERRED, OUTSIDE: OUT_OF_SCOPE, **dict(enumerate(self.classes))}
        return [words[int(number)] for number in decided]
