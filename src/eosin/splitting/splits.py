"""Ways to split a store: by case, published lists, folds, a file, by patch, as given.

Each is a pure function of the store and its options and returns a ``Split``. A case stays together
wherever it is known; where it is not, the split carries a mark.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from eosin.data.grid import Rows
from eosin.data.published import published_parts
from eosin.data.store import PatchStore
from eosin.errors import SplitError, closest
from eosin.records.scored import Floats
from eosin.splitting.balance import Codes, balanced
from eosin.splitting.copies import joined
from eosin.splitting.split_file import (
    OUT,
    PARTS,
    Split,
    by_name,
    first_names,
    part_code,
    read_table,
)

UNKNOWN_CASES = (
    "cases are unknown: patches of one case may be in several parts, so figures may be too good"
)
PATCH_RANDOM = (
    "patch-random split: patches of one case are on both sides, so every figure is too good"
)
SHARED_CASES = "cases are on both sides of the split, so every figure is too good"


def groups_of(store: PatchStore) -> Rows:
    """int64 [N]: what must stay together: the case, else the slide, else the patch, with copies.

    Copies are equal and nearly equal pictures, as the audit searches for them.
    """
    if not len(store):
        return np.zeros(0, np.int64)
    names = np.where(store.cases != "", np.char.add("c", store.cases), "")
    if not store.cases_known:
        slides = np.asarray(store.index["slide"].to_list(), dtype=np.str_)
        rows = np.char.add("r", np.arange(len(store)).astype(np.str_))
        fallback = np.where(slides != "", np.char.add("s", slides), rows)
        names = np.where(names != "", names, fallback)
    return joined(store, np.unique(names, return_inverse=True)[1])


def parse_fractions(text: str) -> tuple[float, float, float]:
    """Shares of train, validation and test from "60/20/20" or "0.6/0.2/0.2".

    >>> parse_fractions("60/20/20")
    (0.6, 0.2, 0.2)
    """
    words = re.split(r"[/,: ]+", text.strip())
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    total = sum(numbers)
    if (
        len(numbers) != 3
        or not all(0 <= number <= 100 for number in numbers)
        or numbers[0] == 0
        or min(abs(total - 100), abs(total - 1)) > 1e-6
    ):
        raise SplitError(
            f"fractions {text!r}: give three shares for train/val/test that sum to 100, "
            "such as 60/20/20; train must not be 0"
        )
    train, val, test = (number / total for number in numbers)
    return train, val, test


def by_case(
    store: PatchStore, *, fractions: Sequence[float] = (0.6, 0.2, 0.2), seed: int = 42
) -> Split:
    """Complete cases to train, validation and test, close to the requested shares in every class.

    fractions: shares of train, validation and test; they sum to 1.
    Raises SplitError when there are fewer cases than parts.
    """
    used = [code for code, share in enumerate(fractions) if share > 0]
    groups = groups_of(store)
    codes = np.array(used, np.int16)[
        balanced(_contents(store, groups), [fractions[code] for code in used], seed=seed)
    ]
    headers = {"fractions": "/".join(f"{100 * share:g}" for share in fractions)}
    return _finish(store, "case", codes[groups], seed=seed, headers=headers)


def by_folds(store: PatchStore, *, k: int = 5, seed: int = 42) -> Split:
    """Complete cases to k folds of about equal size and class shares, for cross-validation.

    k: number of folds, at least 3 (one tests, the next validates, the rest trains).
    Raises SplitError for fewer than 3 folds, or fewer cases than folds.
    """
    if not 3 <= k <= 1000:
        raise SplitError(
            f"{k} folds: at least 3 are needed (one tests, one validates, the rest trains)"
        )
    groups = groups_of(store)
    codes = balanced(_contents(store, groups), [1 / k] * k, seed=seed)
    return _finish(store, "folds", codes[groups], seed=seed, folds=k)


def by_published(store: PatchStore, *, unlisted: str = "out") -> Split:
    """The published lists of the breast-histopathology archive.

    unlisted: what is done with cases in no list: "out" (left out) or "train" (marked from then on).
    Raises SplitError when no case of the store is in a list, or ``unlisted`` is another word.
    """
    if unlisted not in ("out", "train"):
        raise SplitError(f"unlisted cases can be 'out' or 'train', not {unlisted!r}")
    lists = published_parts()
    cases = sorted(set(store.cases.tolist()) - {""})
    present = [case for case in cases if case in lists]
    free = [case for case in cases if case not in lists]
    if not present:
        raise SplitError(
            f"none of the {len(cases)} cases of {store.path} is in the published lists, which are "
            "those of the Kaggle archive breast-histopathology-images; use --by case"
        )
    codes = {case: PARTS.index(lists[case]) for case in present}
    absent = [case for case in lists if case not in codes]
    counts = {part: [lists[case] for case in absent].count(part) for part in PARTS}
    by_part = ", ".join(f"{n} {part}" for part, n in counts.items() if n)
    notes = []
    if absent:
        notes.append(
            f"{len(absent)} of {len(lists)} listed cases are not in the store ({by_part}): "
            f"{first_names(absent)}"
        )
    marks = []
    if free:
        fate = "left out" if unlisted == "out" else "added to train"
        verb = "case is in no list and is" if len(free) == 1 else "cases are in no list and are"
        notes.append(f"{len(free)} {verb} {fate}: {first_names(free)}")
        if unlisted == "train":
            codes |= dict.fromkeys(free, 0)
            marks.append(
                f"{len(free)} cases in no published list were added to the training part, "
                "so figures do not compare with published ones"
            )
    return _finish(
        store, "published", by_name(store.cases, codes), headers={"unlisted": unlisted},
        notes=notes, marks=marks,
    )  # fmt: skip


def by_patch(store: PatchStore, *, seed: int = 42) -> Split:
    """The article's split: a quarter of the patches, drawn at random, is the test part. It leaks.

    The article has no validation part; here a fifth of its training 75 % is taken for it, so that
    a threshold can be chosen (60/15/25). The test part is drawn as the article draws it.
    """
    from sklearn.model_selection import train_test_split

    n = len(store)
    if n < 8:
        raise SplitError(f"{store.path} has {n} patches; a patch-random split needs at least 8")
    rest, test = train_test_split(np.arange(n), test_size=int(0.25 * n), random_state=seed)
    _, val = train_test_split(rest, test_size=int(0.2 * len(rest)), random_state=seed)
    codes = np.zeros(n, np.int16)
    codes[val] = PARTS.index("val")
    codes[test] = PARTS.index("test")
    return _finish(
        store, "patch", codes, seed=seed, unit="patch", leaking=True, marks=[PATCH_RANDOM],
        headers={"fractions": "60/15/25"},
    )  # fmt: skip


def by_given(store: PatchStore, *, seed: int = 42) -> Split:
    """The source's own train, validation and test parts.

    Where it has no validation part, 10 % of the training part is taken, by case where known.
    Raises SplitError when the source gave no parts, an unknown one, or no training part.
    """
    words = store.index["part"].to_list()
    if not any(words):
        raise SplitError(f"{store.path}: its source gave no parts; use --by case")
    table = {word: part_code(word, store.path, 0) for word in sorted(set(words))}
    codes = np.array([table[word] for word in words], np.int16)
    train = np.flatnonzero(codes == 0)
    if not len(train):
        raise SplitError(f"{store.path}: its source gave no training part; use --by case")
    notes = []
    if not (codes == PARTS.index("val")).any():
        groups = np.unique(groups_of(store)[train], return_inverse=True)[1]
        contents = _contents(store, groups, train)
        taken = balanced(contents, [0.9, 0.1], seed=seed)[groups] == 1
        codes[train[taken]] = PARTS.index("val")
        unit = "by case" if store.cases_known else "by patch (copies together)"
        notes.append(f"the source has no validation part: 10 % of train is taken, {unit}")
    return _finish(store, "given", codes, seed=seed, notes=notes)


def by_file(store: PatchStore, path: str | os.PathLike[str]) -> Split:
    """A person's own CSV with the columns case,part or source,part or patch,part.

    ``patch`` is the row of the store's index, ``source`` the path inside what was packed. Every
    case (or patch) of the store must have a row; ``out`` leaves one out.
    Raises SplitError, with the line, for an unknown or doubled name, and for missing ones.
    """
    file = Path(path)
    _, rows = read_table(file)
    _, (column, second) = next(rows, (0, ("", "")))
    if column not in ("case", "source", "patch") or second not in ("part", "split"):
        raise SplitError(
            f"{file}: its columns are {column!r} and {second!r}; it needs case,part or source,part "
            "or patch,part"
        )
    if column == "patch":
        names = [str(row) for row in range(len(store))]
    else:
        names = store.index[column].to_list()
    known = set(names) - {""}
    codes: dict[str, int] = {}
    for line, (name, word) in rows:
        if name not in known:
            hint = closest(name, known) if len(known) <= 5000 else f"{len(known):,} are known"
            raise SplitError(f"{file}, line {line}: no {column} {name!r} in {store.path}; {hint}")
        if name in codes:
            raise SplitError(f"{file}, line {line}: {column} {name!r} is listed twice")
        codes[name] = part_code(word, file, line)
    missing = [name for name in known if name not in codes]
    if missing:
        raise SplitError(
            f"{file} does not list {len(missing):,} of {len(known):,} {column} names of "
            f"{store.path}: {first_names(missing)}; give each a part, or 'out'"
        )
    assigned = np.array([codes.get(name, OUT) for name in names], np.int16)
    if not (assigned == 0).any():
        raise SplitError(f"{file} assigns nothing to train")
    return _finish(store, "file", assigned, headers={"file": file.name})


def _finish(
    store: PatchStore,
    scheme: str,
    codes: Codes,
    *,
    seed: int | None = None,
    unit: str = "case",
    folds: int = 0,
    leaking: bool = False,
    notes: Sequence[str] = (),
    marks: Sequence[str] = (),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Split:
    """A Split of per-patch codes, kept by case where no case is divided; else by patch."""
    names, first, inverse = np.unique(store.cases, return_index=True, return_inverse=True)
    torn = np.unique(inverse[codes[first][inverse] != codes])
    marks = list(marks)
    if not store.cases_known:
        marks.append(UNKNOWN_CASES)
    shared = _shared(inverse[store.cases != ""], codes[store.cases != ""])
    if shared and not leaking:
        leaking = True
        marks.append(f"{shared:,} of {len(names):,} {SHARED_CASES}")
    by_case_only = unit == "case" and store.cases_known and not len(torn)
    return Split(
        scheme=scheme,
        store_digest=store.digest,
        unit="case" if by_case_only else "patch",
        codes=(codes[first] if by_case_only else codes).astype(np.int16),
        names=tuple(str(name) for name in names) if by_case_only else (),
        folds=folds,
        seed=seed,
        leaking=leaking,
        notes=tuple(notes),
        marks=tuple(marks),
        headers=dict(headers),
    )


def _shared(cases: Rows, codes: Codes) -> int:
    """How many of the cases, int64 [n], have patches in more than one part (OUT is none)."""
    pairs = np.unique(np.stack([cases, codes])[:, codes != OUT], axis=1)
    return int((np.bincount(pairs[0]) > 1).sum()) if pairs.size else 0


def _contents(store: PatchStore, groups: Rows, rows: Rows | None = None) -> Floats:
    """float64 [G, K + 2]: a group's patches of each class, its patches, and itself.

    groups: int64 [n], the group of each of ``rows`` (of all patches by default).
    """
    labels = store.labels if rows is None else store.labels[rows]
    classes = len(store.classes)
    count = int(groups.max()) + 1 if len(groups) else 0
    table = np.bincount(groups * classes + labels, minlength=count * classes)
    counts = table.reshape(count, classes).astype(np.float64)
    return np.column_stack([counts, counts.sum(axis=1), np.ones(count)])
