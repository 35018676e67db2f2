"""Seen: the cases and patches that a model has learned from, wherever the list comes from.

A run folder has them in seen.parquet, with the names of its cases. What leaves the machine has
digests of these names in their place, keyed by the digest of the store that the model was trained
on. A reader of such a list does not learn the names, but the same cases are still recognized: the
names of any store's cases are digested with the same key and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import PatchStore
from eosin.errors import RunError
from eosin.folders import whole_file
from eosin.records.marks import Mark
from eosin.records.shared import case_digest as case_digest
from eosin.runs import RunFolder
from eosin.sources.files import read_parquet
from eosin.splitting.fingerprints import blank
from eosin.splitting.split_file import read_split

#: The file in a run folder, and beside an exported model.
SEEN = "seen.parquet"
_COLUMNS = ("case", "digest", "part", "key")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Overlap:
    """Which patches of a store a model has seen."""

    #: Names of the seen cases, and the number of patches that were seen by their pixels.
    cases: tuple[str, ...]
    patches: int
    #: bool [n]: whether each of the patches that were asked about was seen, by case or by pixels.
    rows: npt.NDArray[np.bool_] = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.cases or self.patches)

    @property
    def counts(self) -> str:
        """For a mark, which others may read: "2 cases and 30 patches"."""
        cases = f"{len(self.cases)} case{'s' * (len(self.cases) != 1)}"
        return f"{cases} and {self.patches} patch{'es' * (self.patches != 1)}"

    def __str__(self) -> str:
        """For a message on this machine: "2 cases and 30 patches (cases a, b)"."""
        some = ", ".join(self.cases[:5]) + (", ..." if len(self.cases) > 5 else "")
        return f"{self.counts} (cases {some})" if some else self.counts


@dataclass(frozen=True)
class Seen:
    """What a model has learned from: one row a patch, or one row a case.

    table: case (a name, or its digest), digest (of the pixels, or ""), part ("train": trained on;
    "val": validated on) and key (of the digested case; "" where the case is a name).

    >>> from types import SimpleNamespace
    >>> seen = Seen.of_cases({"train": ["a", "b"]})
    >>> store = SimpleNamespace(cases=np.array(["b", "c"]), path=Path("s.store"),
    ...                         index=pl.DataFrame({"digest": ["0", "1"]}))
    >>> str(seen.overlap(store)), str(seen.for_others("0f").overlap(store))
    ('1 case and 0 patches (cases b)', '1 case and 0 patches (cases b)')
    """

    table: pl.DataFrame = field(repr=False)

    @classmethod
    def of_run(cls, run: RunFolder) -> Seen:
        """What a run, or one before it, has seen; raises RunError if it cannot be read."""
        return cls.read(run / SEEN)

    @classmethod
    def read(cls, path: Path) -> Seen:
        """From a seen.parquet; one without parts counts as training, one without keys has names.

        Raises RunError if it cannot be read.
        """
        try:
            table = read_parquet(path)
            for name, value in (("part", "train"), ("key", "")):
                if name not in table.columns:
                    table = table.with_columns(pl.lit(value).alias(name))
            return cls(table.select(pl.col(_COLUMNS).cast(pl.String).fill_null("")))
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RunError(
                f"{path} cannot be read ({first}), so what the model has learned from is unknown"
            ) from None

    @classmethod
    def of_cases(cls, cases: Mapping[str, Iterable[str]], key: str = "") -> Seen:
        """From lists of cases by part, as an exported file has them; key: of their digests."""
        rows = [(case, "", part, key) for part, names in cases.items() for case in names]
        return cls(pl.DataFrame(rows, schema=dict.fromkeys(_COLUMNS, pl.String), orient="row"))

    @classmethod
    def of_store(cls, store: PatchStore, parts: Mapping[str, Rows]) -> Seen:
        """The training and validation patches of a store; parts: name -> int64 row numbers."""
        index = store.index.select("case", "digest")
        tables = [
            index[parts[part]].with_columns(part=pl.lit(part), key=pl.lit(""))
            for part in ("train", "val")
        ]
        return cls(pl.concat(tables).cast(pl.String))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def kinds(self) -> list[str]:
        """What can be recognized: "cases", where all of them are known, and "pixels"."""
        cases, pixels = (self.table[name] != "" for name in ("case", "digest"))
        known = {"cases": len(self) and cases.all(), "pixels": pixels.any()}
        return [name for name, applies in known.items() if applies]

    def joined(self, others: Iterable[Seen]) -> Seen:
        """With what others have seen; each row once."""
        tables = [self.table, *(other.table for other in others)]
        return Seen(pl.concat(tables).unique(maintain_order=True))

    def only(self, *parts: str) -> Seen:
        """Only what was seen in these parts: "train", "val"."""
        return Seen(self.table.filter(pl.col("part").is_in(parts)))

    def for_others(self, key: str) -> Seen:
        """With digests in place of the names of cases; key: digest of the model's store."""
        plain = pl.col("key") == ""
        names = self.table.filter(plain)["case"].unique().to_list()
        digested = pl.col("case").replace_strict(
            {name: case_digest(name, key) for name in names}, default="", return_dtype=pl.String
        )
        case = pl.when(plain).then(digested).otherwise("case").alias("case")
        keyed = pl.when(plain).then(pl.lit(key)).otherwise("key").alias("key")
        return Seen(self.table.with_columns(case, keyed).sort("part", "case", "digest"))

    def cases_by_part(self) -> dict[str, tuple[str, ...]]:
        """Part -> its cases, each once and in order; cases without a name are left out."""
        return {
            part: tuple(sorted(set(self.only(part).table["case"].to_list()) - {""}))
            for part in ("train", "val")
        }

    def write(self, path: Path) -> None:
        """Write it as a seen.parquet; one with names of cases has no column of keys."""
        keyed = bool((self.table["key"] != "").any())
        with whole_file(path) as temporary:
            (self.table if keyed else self.table.drop("key")).write_parquet(temporary)

    def overlap(self, store: PatchStore, rows: Rows | None = None) -> Overlap:
        """Which patches of a store were seen, by the name of the case or by pixels.

        Equal pixels of a blank patch, such as glass, are no evidence.
        rows: int64 [n], the patches that are asked about; by default all.
        """
        chosen = np.arange(len(store.cases)) if rows is None else rows
        cases, pixels = store.cases[chosen], store.index["digest"][chosen]
        shared = self.recognized(cases.tolist())
        digests = set(self.table["digest"].to_list()) - {""}
        by_pixels = pixels.is_in(list(digests)).to_numpy().copy()
        equal = np.flatnonzero(by_pixels)
        by_pixels[equal] = ~blank(store, chosen[equal])
        seen = np.isin(cases, sorted(shared)) | by_pixels
        return Overlap(tuple(sorted(shared)), int(by_pixels.sum()), seen)

    def recognized(self, names: Iterable[str]) -> set[str]:
        """The names among these that are of seen cases."""
        seen, keys = self._cases()
        return {name for name in set(names) - {""} if _listed(name, keys) & seen}

    def all_among(self, names: Iterable[str]) -> bool | None:
        """Whether every seen case is one of these; None where not all seen cases are known."""
        seen, keys = self._cases()
        among = set().union(*(_listed(name, keys) for name in names))
        return seen <= among if "cases" in self.kinds else None

    def _cases(self) -> tuple[set[tuple[str, str]], set[str]]:
        """Every seen case, its name or digest, with the key of the digest; and the keys."""
        seen: set[tuple[str, str]] = set(self.table.select("case", "key").unique().iter_rows())
        return seen, {key for _, key in seen}

    def check(
        self, store: PatchStore, rows: Rows | None = None, *, allow_seen: bool = False
    ) -> list[Mark]:
        """The mark for patches of a store that the model has learned from; none if there are none.

        rows: int64 [n], the patches to measure on; by default all. Raises RunError for seen
        patches unless ``allow_seen``. A validation patch counts as well: the threshold was chosen
        on it; leave those out with ``only("train")``.
        """
        shared = self.overlap(store, rows)
        if not shared:
            return []
        if not allow_seen:
            raise RunError(
                f"{shared} of {store.path} were seen in training: figures on them would be too "
                "good. Leave them out, or add --allow-seen to measure on them; every output then "
                "carries a mark"
            )
        return [Mark("seen", f"seen in training: {shared.counts} of {store.path.name}")]


def _listed(name: str, keys: Iterable[str]) -> set[tuple[str, str]]:
    """How a case would be listed: by its name, or its digest, for each key."""
    return {(case_digest(name, key) if key else name, key) for key in keys}


def case_names(run: RunFolder) -> set[str]:
    """Names of the cases of a run, as far as its files list them: what is not sent to others."""
    seen = Seen.of_run(run) if (run / SEEN).exists() else Seen.of_cases({})
    split = read_split(run / "split.csv").names if (run / "split.csv").exists() else ()
    return {*split, *seen.table.filter(pl.col("key") == "")["case"].to_list()} - {""}
