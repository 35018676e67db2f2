"""What a model has learned from already, so that nothing is measured on it by mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import PatchStore
from eosin.errors import RunError
from eosin.runs import RunFolder

#: The file in a run folder, and beside an exported model.
SEEN = "seen.parquet"


def seen_table(run: RunFolder) -> pl.DataFrame:
    """Case, digest and part (train, val) of what a run, or one before it, has seen.

    Raises RunError where its seen.parquet cannot be read.
    """
    return read_seen(run / SEEN)


def read_seen(path: Path) -> pl.DataFrame:
    """A seen.parquet: case, digest and part ("train" or "val") of every patch.

    A file without parts is taken as training. Raises RunError where it cannot be read.
    """
    try:
        seen = pl.read_parquet(path)
        if "part" not in seen.columns:
            seen = seen.with_columns(part=pl.lit("train"))
        return seen.select("case", "digest", "part")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(
            f"{path} cannot be read ({error}), so what the run has seen is unknown"
        ) from None


def seen_before(
    seen: pl.DataFrame, store: PatchStore, rows: npt.NDArray[np.int64] | None = None
) -> tuple[list[str], int]:
    """Cases of a store, and number of its patches by pixels, that stand in a table of seen ones.

    seen: from ``seen_table``; rows: int64 [n], the patches that are asked about, by default all.
    Training and validation patches both count: the threshold was chosen on the latter.
    """
    chosen = np.arange(len(store)) if rows is None else rows
    cases = set(seen["case"].to_list()) - {""}
    shared = sorted(cases & set(store.cases[chosen].tolist()))
    known = seen["digest"].unique().to_list()
    return shared, int(store.index["digest"][chosen].is_in(known).sum())
