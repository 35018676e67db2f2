"""What can be compared: an evaluated run, an evaluation on another store, a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import PatchStore
from eosin.errors import RunError, StoreError, first_line
from eosin.records.marks import Mark
from eosin.runs import RunFolder
from eosin.sources.files import read_parquet, read_predictions

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """Predictions of one run on what it was measured on."""

    name: str
    path: Path
    #: run or crossval.
    kind: str
    classes: tuple[str, ...]
    #: patch, case, label, threshold (null for more than two classes) and p_<class>.
    table: pl.DataFrame
    store_path: str
    store_digest: str
    #: Cases that the run has learned from; a cross-validation judges no case that it learned.
    learned: frozenset[str]
    #: Pixel digests of the patches that the run has learned from.
    pixels: frozenset[str]
    marks: tuple[str, ...]
    #: What the interval does not include: "one training run", "mean of 3 training seeds".
    training: str

    def probabilities(self, rows: npt.NDArray[np.int64]) -> Floats:
        """float64 [n, K] of rows of the table."""
        result: Floats = self.table[rows].select([f"p_{c}" for c in self.classes]).to_numpy()
        return result.astype(np.float64)


def in_order(entry: Entry, classes: tuple[str, ...]) -> Entry:
    """The same predictions with the classes in another order; labels are mapped by name.

    classes: the entry's own, in any order. Of two classes the threshold is turned as well: what was
    called the one class still is.
    """
    if entry.classes == classes:
        return entry
    order = {k: classes.index(name) for k, name in enumerate(entry.classes)}
    table = entry.table.with_columns(pl.col("label").replace_strict(order))
    if len(classes) == 2 and not table["threshold"].null_count():
        # p >= t was the second class; 1 - p > 1 - t is now the second.
        turned = np.nextafter(1 - table["threshold"].to_numpy(), 2)
        table = table.with_columns(threshold=pl.Series(turned))
    return replace(entry, classes=classes, table=table)


def read_entries(paths: Sequence[str | Path]) -> list[Entry]:
    """Read what is to be compared, each under a name of its own.

    Raises RunError where a folder is none of the three kinds, was not evaluated, or is damaged.
    """
    resolved = [Path(path).resolve() for path in paths]
    for place, path in enumerate(resolved):
        if path in resolved[:place]:
            raise RunError(f"{paths[place]} is listed twice; a run cannot be compared with itself")
    entries = [_read(Path(path)) for path in paths]
    return [replace(e, name=name) for e, name in zip(entries, _names(resolved), strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many more as it takes to tell them apart.

    >>> _names([Path("/a/b/run"), Path("/a/c/run")])
    ['b/run', 'c/run']
    """
    for count in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _read(path: Path) -> Entry:
    if not path.is_dir():
        raise RunError(f"{path}: no such run folder; make one with: eosin train STORE -o {path}")
    for file, kind in (("crossval.json", "crossval"), ("evaluation.json", "run")):
        if (path / file).is_file():
            return _entry(path, file, kind)
    reasons = {
        "gap.json": "is a study of the gap, which has compared its own runs: gap.md",
        "plan.json": "is a study without a result yet; run its command again to resume it",
        "recipe.toml": f"has not been evaluated; first run: eosin evaluate {path}",
        "": "is neither an evaluated run nor a cross-validation (it has no evaluation.json and no "
        "crossval.json)",
    }
    raise RunError(f"{path} {next(why for name, why in reasons.items() if (path / name).exists())}")


def _entry(path: Path, file: str, kind: str) -> Entry:
    content = RunFolder(path).read_json(file)
    try:
        classes = tuple(map(str, content["classes"]))
        marks = tuple(str(Mark.read(mark)) for mark in content["marks"])
        where, digest = (str(content["store"][key]) for key in ("path", "digest"))
        seeds = len(content["seeds"]) if kind == "crossval" else 1
        part = str(content["part"]) if kind == "run" else ""
        threshold = (content.get("threshold") or {}).get("value")
        threshold = None if threshold is None else float(threshold)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        again = "run its command again" if kind == "crossval" else "evaluate again"
        what = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
        raise RunError(f"{path / file} {what}; {again}") from None
    table = _table(path, classes, "threshold" if kind == "crossval" else "part")
    cases = pixels = frozenset[str]()
    training = "one training run"
    if kind == "crossval":
        training = f"mean of {seeds} training seeds" if seeds > 1 else training
        training += " a fold"
    else:
        table = table.with_columns(threshold=pl.lit(threshold, pl.Float64))
        table = table.filter(pl.col("part") == part).drop("part")
        run = path if (path / "seen.parquet").is_file() else Path(str(content.get("run", path)))
        # A run that is measured on validation has not trained on it; its figures carry a mark.
        cases, pixels = _learned(run, len(table) if part == "val" else 0)
    return Entry(
        path.name, path, kind, classes, table, where, digest, cases, pixels, marks, training
    )


def _table(path: Path, classes: Sequence[str], needed: str) -> pl.DataFrame:
    file = path / "predictions.parquet"
    numbers = [f"p_{name}" for name in classes]
    columns = ["patch", "case", "label", *numbers]
    try:
        table = read_predictions(file)
        result = table.select([*columns, needed])
        outside = result.select(
            pl.any_horizontal(~pl.col(numbers).is_between(0, 1.0001).all()).any()
            | ~pl.col("label").is_between(0, len(classes) - 1).all()
            | (pl.col("patch") < 0).any()
        ).item()
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{file} cannot be read ({first_line(error)}); evaluate again") from None
    if result.select(pl.any_horizontal(pl.col(columns).is_null().any())).item():
        raise RunError(f"{file} lacks values of some patches; evaluate again")
    if outside:
        raise RunError(f"{file} has labels or probabilities that cannot be; evaluate again")
    if result["patch"].n_unique() != len(result) and needed != "part":
        raise RunError(f"{file} lists a patch twice; evaluate again")
    return result


def _learned(run: Path, apart: int) -> tuple[frozenset[str], frozenset[str]]:
    """Cases and pixel digests that a run has learned from.

    apart: patches of the validation part, to leave out where the run was measured on them; 0
    leaves out none. Older files do not mark these rows: there they come last.
    """
    file = run / "seen.parquet"
    try:
        seen = read_parquet(file, dict.fromkeys(("case", "digest", "part"), "text"))
        if apart and "part" in seen.columns:
            seen = seen.filter(pl.col("part") != "val")
        else:
            seen = seen.head(len(seen) - apart)
        return frozenset(seen["case"]) - {""}, frozenset(seen["digest"])
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise RunError(
            f"{file} cannot be read ({first_line(error)}), so what the run has learned from is "
            "unknown"
        ) from None


def pixels_of(entry: Entry) -> list[str] | None:
    """The pixel digest of every row of the entry's table, or None without its store."""
    try:
        store = PatchStore.open(entry.store_path)
    except StoreError:
        return None
    if store.digest != entry.store_digest:
        return None
    return list(map(str, store.index["digest"][entry.table["patch"].to_numpy()]))
