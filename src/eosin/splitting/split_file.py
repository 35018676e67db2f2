"""A split: which patches train, validate and test, and the readable CSV that keeps it.

The file begins with ``# key: value`` lines and goes on with one row a case or a patch::

    # eosin split 1
    # scheme: case
    # seed: 42
    # store: 5d1c...
    # leaking: no
    case,part
    8863,train
    8867,out

The second column is ``part`` (train, val, test or out) or ``fold`` (0 to k-1); the first ``case``
or ``patch`` (the row of the store's index).
"""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from eosin.data.grid import Rows
from eosin.data.store import PatchStore
from eosin.errors import SplitError, closest
from eosin.folders import whole_file
from eosin.splitting.balance import Codes

FORMAT = 1
PARTS = ("train", "val", "test")
#: The code of a case or patch that is in no part.
OUT = -1

_SPELLINGS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
    "out": "out", "": "out",
}  # fmt: skip
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Split:
    """An assignment of every case (or every patch) of one store to a part or a fold."""

    #: case, published, folds, file, patch or given.
    scheme: str
    #: The store that it was made for.
    store_digest: str
    #: What ``codes`` counts: one code a case, in the order of ``names``, or one a patch.
    unit: Literal["case", "patch"]
    #: int16 [len(names)] or [N]: index into PARTS, or the fold; OUT where left out.
    codes: Codes
    #: Case names; empty where the unit is a patch.
    names: tuple[str, ...] = ()
    #: Number of folds; 0 where ``codes`` are parts.
    folds: int = 0
    seed: int | None = None
    #: Known to put one case on both sides.
    leaking: bool = False
    #: Sentences for whoever made the split.
    notes: tuple[str, ...] = ()
    #: Sentences that every later output must carry.
    marks: tuple[str, ...] = ()
    #: Further header lines, such as the fractions.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The file that it was read from.
    path: Path | None = None

    def patch_codes(self, store: PatchStore) -> Codes:
        """int16 [N]: index of the part (or the fold) of every patch; OUT where left out.

        Raises SplitError when the split was made for another store.
        """
        if self.store_digest != store.digest:
            raise SplitError(
                f"the split was made for the store {self.store_digest[:12]}, but {store.path} is "
                f"{store.digest[:12]}; {another_split(store)}"
            )
        if self.unit == "patch":
            if len(self.codes) != len(store):
                raise SplitError(
                    f"the split has {len(self.codes):,} patches, {store.path} has {len(store):,}; "
                    f"{another_split(store)}"
                )
            return self.codes
        return by_name(store.cases, dict(zip(self.names, self.codes.tolist(), strict=True)))

    def parts(self, store: PatchStore, fold: int | None = None) -> dict[str, Rows]:
        """Rows of the store: {"train", "val", "test"} -> int64 [n], ascending, disjoint.

        fold: for a split into folds, the one to test on; the next one validates, the rest trains.
        Raises SplitError for another store, or a ``fold`` that is missing, needless or too high.
        """
        codes = self.patch_codes(store)
        if self.folds:
            last = self.folds - 1
            if fold is None:
                raise SplitError(
                    f"the split has {self.folds} folds; choose one with --fold 0..{last}"
                )
            if not 0 <= fold <= last:
                raise SplitError(f"fold {fold} does not exist; the split has folds 0 to {last}")
            known = codes >= 0
            test = codes == fold
            val = codes == (fold + 1) % self.folds
            masks = {"train": known & ~test & ~val, "val": val, "test": test}
        elif fold is not None:
            raise SplitError(
                f"fold {fold} was requested, but a split of scheme {self.scheme} has none"
            )
        else:
            masks = {name: codes == code for code, name in enumerate(PARTS)}
        return {name: np.flatnonzero(mask) for name, mask in masks.items()}


def another_split(store: PatchStore) -> str:
    """The command that makes another split of a store, by case, in words."""
    path = store.path.with_name(f"{store.path.resolve().name}.case.split.csv")
    name, target = shlex.quote(str(store.path)), shlex.quote(str(path))
    return (
        "make one that keeps cases and copies together with: "
        f"eosin split {name} --by case -o {target} --force (then choose it with --split {target})"
    )


def by_name(cases: npt.NDArray[np.str_], codes: Mapping[str, int]) -> Codes:
    """Spread a code per case over the patches: int16 [N]; OUT for a case that is not listed.

    >>> by_name(np.array(["a", "b", "a"]), {"a": 2}).tolist()
    [2, -1, 2]
    """
    if not len(cases):
        return np.zeros(0, np.int16)
    unique, inverse = np.unique(cases, return_inverse=True)
    table = np.array([codes.get(str(name), OUT) for name in unique], np.int16)
    return table[inverse]


def write_split(split: Split, path: str | os.PathLike[str]) -> None:
    """Write the CSV, complete or not at all.

    Raises DiskError where the disk refuses it, SplitError where there can be no such file.
    """
    target = Path(path)
    text = split_text(split)
    try:
        with whole_file(target) as temporary:
            temporary.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise SplitError(f"{target} cannot be written: {error.strerror or error}") from None


def split_text(split: Split) -> str:
    """The complete file as text; the same split always gives the same text."""
    out = io.StringIO()
    head = [("scheme", split.scheme)]
    if split.seed is not None:
        head.append(("seed", str(split.seed)))
    head += [("store", split.store_digest), ("leaking", "yes" if split.leaking else "no")]
    if split.folds:
        head.append(("folds", str(split.folds)))
    head += sorted(split.headers.items())
    head += [("note", note) for note in split.notes] + [("mark", mark) for mark in split.marks]
    out.write(f"# eosin split {FORMAT}\n")
    out.writelines(f"# {key}: {' '.join(value.split())}\n" for key, value in head)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([split.unit, "fold" if split.folds else "part"])
    words = [*PARTS, "out"]  # OUT is -1 and so picks the last
    names = split.names if split.unit == "case" else range(len(split.codes))
    for name, code in zip(names, split.codes.tolist(), strict=True):
        word = ("out" if code == OUT else str(code)) if split.folds else words[code]
        writer.writerow([name, word])
    return out.getvalue()


def is_split(path: Path) -> bool:
    """Whether a file starts as ``write_split`` starts one."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().startswith("# eosin split ")


def read_split(path: str | os.PathLike[str]) -> Split:
    """Read a file that ``write_split`` made, or a person edited.

    Raises SplitError, with the line, when it is not such a file or contradicts itself.
    """
    source = Path(path)
    head, rows = read_table(source)
    if "eosin split" not in head:
        raise SplitError(
            f"{source} is not a split of eosin (its first line is not '# eosin split {FORMAT}'); "
            f"make one of your own table with: "
            f"eosin split STORE --by file --file {shlex.quote(str(source))}"
        )
    if head["eosin split"] != [str(FORMAT)]:
        raise SplitError(
            f"{source} has split format {head['eosin split'][0]}, this version reads {FORMAT}; "
            "make the split again"
        )
    _, (unit, column) = next(rows, (0, ("", "")))
    if unit not in ("case", "patch") or column not in ("part", "fold"):
        raise SplitError(
            f"{source}: the columns are not case,part, patch,part, case,fold or patch,fold"
        )
    folds = _folds(head, column, source)
    names: list[str] = []
    codes: list[int] = []
    seen: set[str] = set()
    for line, (name, word) in rows:
        if name in seen:
            raise SplitError(f"{source}, line {line}: {unit} {name!r} is listed twice")
        seen.add(name)
        if unit == "patch" and name != str(len(names)):
            raise SplitError(
                f"{source}, line {line}: patch {name!r} where {len(names)} is expected; "
                "every patch has one row, in the order of the store"
            )
        names.append(name)
        codes.append(
            fold_code(word, folds, source, line) if folds else part_code(word, source, line)
        )
    seed = _one(head, "seed", source)
    leaking = _one(head, "leaking", source)
    if leaking not in ("yes", "no"):
        raise SplitError(f"{source}: '# leaking:' must be yes or no, not {leaking!r}")
    if seed is not None and not re.fullmatch(r"-?\d{1,18}", seed):
        raise SplitError(f"{source}: '# seed:' must be an integer, not {seed!r}")
    known = {"eosin split", "scheme", "seed", "store", "leaking", "folds", "note", "mark"}
    return Split(
        scheme=_one(head, "scheme", source) or "",
        store_digest=_one(head, "store", source) or "",
        unit="case" if unit == "case" else "patch",
        codes=np.array(codes, np.int16),
        names=tuple(names) if unit == "case" else (),
        folds=folds,
        seed=None if seed is None else int(seed),
        leaking=leaking == "yes",
        notes=tuple(head.get("note", ())),
        marks=tuple(head.get("mark", ())),
        headers={key: values[0] for key, values in head.items() if key not in known},
        path=source,
    )


def _one(head: Mapping[str, list[str]], key: str, source: Path) -> str | None:
    values = head.get(key, [])
    if len(values) > 1:
        raise SplitError(f"{source}: '# {key}:' is there {len(values)} times")
    if (not values or not values[0]) and key != "seed":
        raise SplitError(f"{source}: the line '# {key}: ...' is missing; make the split again")
    return values[0] if values else None


def _folds(head: Mapping[str, list[str]], column: str, source: Path) -> int:
    if column == "part":
        return 0
    text = _one(head, "folds", source) or ""
    if not re.fullmatch(r"\d{1,4}", text) or int(text) < 3:
        raise SplitError(f"{source}: '# folds:' must be an integer of 3 or more, not {text!r}")
    return int(text)


def part_code(word: str, source: Path, line: int) -> int:
    """The code of a part's name as people write it (validation, valid and val are one).

    Raises SplitError with file and line for any other word.
    """
    name = _SPELLINGS.get(word.strip().lower())
    if name is None:
        raise SplitError(
            f"{source}, line {line}: {word!r} is not a part; {closest(word, [*PARTS, 'out'])}"
        )
    return OUT if name == "out" else PARTS.index(name)


def fold_code(word: str, folds: int, source: Path, line: int) -> int:
    """The number of a fold, or OUT.

    Raises SplitError with file and line for anything else.
    """
    if word.strip().lower() in ("out", ""):
        return OUT
    if not re.fullmatch(r"\d{1,4}", word.strip()) or int(word) >= folds:
        raise SplitError(f"{source}, line {line}: fold {word!r} is not one of 0 to {folds - 1}")
    return int(word)


def read_table(source: Path) -> tuple[dict[str, list[str]], Iterator[tuple[int, tuple[str, str]]]]:
    """The header lines as key -> values, and (line, (first, second)) for every row.

    The column names come first.
    Raises SplitError when the file cannot be read as text or a row has not two columns.
    """
    try:
        size = source.stat().st_size
        if size > _MAX_BYTES:
            raise SplitError(f"{source} has {size:,} bytes; that is not a split")
        text = source.read_text("utf-8-sig")
    except FileNotFoundError:
        raise SplitError(f"{source}: no such file; make a split with: eosin split STORE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SplitError(f"{source} cannot be read as text ({error})") from None
    # Not splitlines: it also cuts at characters that may be inside a name.
    lines = text.replace("\r\n", "\n").split("\n")
    head: dict[str, list[str]] = {}
    start = 0
    while start < len(lines) and (lines[start].startswith("#") or not lines[start].strip()):
        key, colon, value = lines[start].lstrip("#").strip().partition(":")
        if not colon and key.startswith("eosin split"):
            key, value = "eosin split", key.removeprefix("eosin split")
        if key:
            head.setdefault(key.strip(), []).append(value.strip())
        start += 1
    return head, _rows(lines, start, source)


def _rows(lines: list[str], start: int, source: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    reader = csv.reader((line + "\n" for line in lines[start:]), strict=True)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            line = start + reader.line_num
            if len(row) != 2:
                raise SplitError(f"{source}, line {line}: {len(row)} columns instead of 2")
            yield line, (row[0].strip(), row[1].strip())
    except csv.Error as error:
        raise SplitError(f"{source}, line {start + reader.line_num}: {error}") from None


def first_names(values: Iterable[str], limit: int = 5) -> str:
    """The first few names in order, for a sentence.

    >>> first_names(["b", "a", "c"], 2)
    'a, b and 1 more'
    """
    names = sorted(set(values))
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"
