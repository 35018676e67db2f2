"""The measured patches of predictions.parquet: their rows, probabilities and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.grid import Rows
from eosin.data.store import PatchStore
from eosin.records.decision import OUT_OF_SCOPE, OUTSIDE, REFERRED
from eosin.records.points import REFER

#: The call of a patch for which there is no answer.
NO_CALL = -3


@dataclass(frozen=True)
class Predictions:
    """What a model answered for some rows of a store."""

    #: Rows of the store, their labels, and the class called, or REFER, OUTSIDE or NO_CALL, int64
    #: [n] each.
    rows: Rows
    labels: Rows
    calls: Rows
    #: float64 [n, K].
    probabilities: npt.NDArray[np.float64]

    @classmethod
    def of(cls, store: PatchStore, table: pl.DataFrame) -> Self:
        """Read the columns ``patch``, ``p_<class>`` and ``decision``.

        Raises ValueError where a column is missing, or there are rows that the store lacks.
        """
        columns = [f"p_{name}" for name in store.classes]
        needed = ("patch", "decision", *columns)
        if missing := [name for name in needed if name not in table.columns]:
            raise ValueError(f"the predictions lack the columns {missing}")
        rows = table["patch"].to_numpy().astype(np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(store):
            raise ValueError(f"predictions of rows up to {rows.max()}, the store has {len(store)}")
        codes = {name: k for k, name in reversed(list(enumerate(store.classes)))}
        codes = {REFERRED: REFER, OUT_OF_SCOPE: OUTSIDE, **codes}
        calls = np.array([codes.get(word, NO_CALL) for word in table["decision"]], np.int64)
        probabilities = table.select(pl.col(columns).cast(pl.Float64)).to_numpy()
        return cls(rows, store.labels[rows].astype(np.int64), calls, probabilities)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Rows) -> Predictions:
        """Those at some places."""
        return Predictions(
            self.rows[chosen], self.labels[chosen], self.calls[chosen], self.probabilities[chosen]
        )
