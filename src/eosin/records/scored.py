"""Scored: labels, probabilities and cases of the same patches, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Scored:
    """Patches with what is true and what a model answers.

    labels: int64 [N], class numbers; probabilities: float64 [N, K]; cases: str [N], "" where
    unknown. Raises ValueError where the lengths differ or a label has no column.

    >>> Scored([0, 1], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"]).classes
    2
    """

    labels: npt.NDArray[np.int64] = field(repr=False)
    probabilities: npt.NDArray[np.float64] = field(repr=False)
    cases: npt.NDArray[np.str_] = field(repr=False)

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels, np.int64)
        probabilities = np.asarray(self.probabilities, np.float64)
        cases = np.asarray(self.cases, np.str_)
        if probabilities.ndim != 2 or probabilities.shape[1] < 2:
            raise ValueError(f"probabilities have shape {probabilities.shape}, not [N, K], K >= 2")
        if labels.shape != (len(probabilities),) or cases.shape != labels.shape:
            raise ValueError(
                f"labels {labels.shape}, probabilities {probabilities.shape} and cases "
                f"{cases.shape} are not of the same patches"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < probabilities.shape[1]:
            raise ValueError(
                f"labels reach to {labels.max()}, with {probabilities.shape[1]} columns"
            )
        for name, value in (
            ("labels", labels), ("probabilities", probabilities), ("cases", cases),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.probabilities.shape[1])
