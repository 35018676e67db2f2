"""Scored: labels, probabilities and cases of the same patches, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CASES_UNKNOWN = "cases unknown: patches resampled, interval too narrow"


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn in a bootstrap: cases, or patches where the case is unknown."""

    #: The unit of each patch, int64 [N], 0 to ``count`` - 1.
    codes: Ints = field(repr=False)
    count: int
    #: "cases" or "patches"
    kind: str
    #: Names of the known cases, sorted.
    names: tuple[str, ...]
    note: str = ""

    @property
    def counted(self) -> str:
        """How many there are, in words.

        >>> resampling_units(["a", "a"], 2).counted
        '1 case'
        """
        one = {"cases": "case", "patches": "patch"}[self.kind]
        return f"1 {one}" if self.count == 1 else f"{self.count} {self.kind}"


def resampling_units(cases: Sequence[str] | npt.ArrayLike | None, n: int) -> Units:
    """The units to draw for ``n`` patches.

    cases: [N] names, "" where unknown, or None. A patch of unknown case is a unit of its own.
    Raises ValueError where the number of names is not ``n``.

    >>> units = resampling_units(["b", "a", "b"], 3)
    >>> units.codes.tolist(), units.names, units.kind
    ([1, 0, 1], ('a', 'b'), 'cases')
    """
    if cases is None:
        return Units(np.arange(n), n, "patches", (), CASES_UNKNOWN)
    listed = np.asarray(cases)
    if listed.shape != (n,):
        raise ValueError(
            f"cases has {listed.size} entries and y_true has {n}; they must be the same"
        )
    # Unicode, not objects: sorting 70,000 Python strings takes longer than the bootstrap.
    names, codes = np.unique(listed.astype(np.str_), return_inverse=True)
    if not n or names[0] != "":
        return Units(codes.astype(np.int64), len(names), "cases", tuple(names.tolist()))
    known = tuple(names[1:].tolist())
    if not known:
        return Units(np.arange(n), n, "patches", (), CASES_UNKNOWN)
    lost = codes == 0
    codes = np.where(lost, len(known) + np.cumsum(lost) - 1, codes - 1)
    note = f"the case of {lost.sum()} of {n} patches is unknown; each of them is drawn alone"
    return Units(codes, len(known) + int(lost.sum()), "cases", known, note)


@dataclass(frozen=True)
class Scored:
    """Patches with their true classes and what a model answers.

    labels: int64 [N], class numbers; probabilities: float64 [N, K]; cases: str [N], "" where
    unknown. Raises ValueError where the lengths differ or a label has no column.

    >>> Scored([0, 1], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"]).classes
    2
    """

    labels: Ints = field(repr=False)
    probabilities: Floats = field(repr=False)
    cases: npt.NDArray[np.str_] = field(repr=False)

    def __post_init__(self) -> None:
        labels, probabilities = np.asarray(self.labels), np.asarray(self.probabilities, np.float64)
        if labels.ndim != 1 or probabilities.ndim != 2 or probabilities.shape[1] < 2:
            raise ValueError(
                f"y_true must be [N] and y_prob [N] or [N, K] with K of 2 or more; "
                f"got shapes {labels.shape}, {probabilities.shape}"
            )
        if len(labels) != len(probabilities):
            raise ValueError(
                f"y_true has {len(labels)} entries and y_prob has {len(probabilities)}; "
                "they must be the same"
            )
        if labels.size and labels.dtype.kind not in "iub" and not np.all(labels % 1 == 0):
            raise ValueError("y_true must be whole class numbers")
        known = probabilities.shape[1]
        if labels.size and not 0 <= labels.min() <= labels.max() < known:
            raise ValueError(
                f"y_true has class numbers {labels.min()} to {labels.max()}; "
                f"y_prob has {known} classes, so 0 to {known - 1} are known"
            )
        cases = np.asarray(self.cases)
        cases = cases if cases.dtype.kind == "U" else cases.astype(np.str_)
        if cases.shape != labels.shape:
            raise ValueError(
                f"cases has {cases.size} entries and y_true has {len(labels)}; "
                "they must be the same"
            )
        for name, value in (
            ("labels", labels.astype(np.int64, copy=False)), ("probabilities", probabilities),
            ("cases", cases),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        y_true: npt.ArrayLike,
        y_prob: npt.ArrayLike,
        cases: Sequence[str] | npt.ArrayLike | None = None,
    ) -> Scored:
        """From truth int [N], probabilities float [N] (of class 1) or [N, K], and case names.

        >>> Scored.of([0, 1], [0.25, 0.75]).probabilities.tolist()
        [[0.75, 0.25], [0.25, 0.75]]
        """
        scores = np.asarray(y_prob, np.float64)
        if scores.ndim == 1:
            scores = np.stack([1 - scores, scores], axis=1)
        return cls(
            np.asarray(y_true), scores,
            np.asarray(np.full(np.shape(y_true), "") if cases is None else cases),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.probabilities.shape[1])

    @cached_property
    def scores(self) -> Floats:
        """float64 [N], the probability of class 1; or float64 [N, K] for K > 2."""
        return self.probabilities[:, 1] if self.classes == 2 else self.probabilities

    @cached_property
    def finite(self) -> npt.NDArray[np.bool_]:
        """Whether the probabilities of each patch are numbers: bool [N]."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @cached_property
    def units(self) -> Units:
        """What a bootstrap draws."""
        return resampling_units(self.cases, len(self))

    def take(self, rows: Ints) -> Scored:
        """Some of the patches: rows int64 [n] or bool [N]."""
        return Scored(self.labels[rows], self.probabilities[rows], self.cases[rows])

    def answering(self, probabilities: npt.ArrayLike) -> Scored:
        """The same patches with other probabilities, float [N] or [N, K]."""
        return Scored.of(self.labels, probabilities, self.cases)
