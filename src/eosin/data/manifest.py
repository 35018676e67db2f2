"""A CSV that lists patches: ``path,label[,case,x,y,part,slide,subtype]``."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from eosin.data.archives import MAX_BYTES, Files, read_file
from eosin.data.layouts import Entry, plainly
from eosin.errors import SourceError

_KNOWN = ("path", *Entry._fields)


class ListedFiles(Files):
    """The files that a manifest names; relative paths begin at the manifest's folder."""

    def __init__(self, root: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.names: list[str] = []
        self.sizes: list[int] = []
        self.refused: list[tuple[str, str]] = []

    def read(self, i: int) -> bytes:
        """The bytes of the i-th listed file."""
        return read_file(self.root / self.names[i], self.max_bytes)

    def same_bytes(self, i: int, j: int) -> bool:
        """Unknown without reading."""
        return True

    def close(self) -> None:
        """Nothing is held open."""


@dataclass
class Listed:
    """What a manifest says: a file and an entry a row, and the rows that cannot be used."""

    files: ListedFiles
    entries: list[Entry] = field(default_factory=list)
    rejects: list[tuple[str, str]] = field(default_factory=list)


def read_manifest(path: Path, *, max_bytes: int = MAX_BYTES) -> Listed:
    """Read a manifest; raises SourceError when it is no such CSV.

    path: CSV (or TSV) in UTF-8 with a header. A row without path or label, with a position that
    is no whole number, or with a path listed before is a reject.
    """
    listed = Listed(ListedFiles(path.parent, max_bytes=max_bytes))
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            names = [name.strip().lower() for name in rows.fieldnames or []]
            if "path" not in names or "label" not in names:
                found = plainly(", ".join(names)) or "none"
                raise SourceError(
                    f"{path} has the columns {found}; a manifest needs "
                    "path and label, and may have case, x, y, part, slide and subtype"
                )
            rows.fieldnames = names
            seen: set[str] = set()
            for row in rows:
                _add(listed, {name: (row.get(name) or "").strip() for name in _KNOWN}, seen,
                     f"line {rows.line_num}")  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{path} cannot be read as a CSV manifest in UTF-8: {plainly(error)}"
        ) from None
    return listed


def _add(listed: Listed, row: dict[str, str], seen: set[str], where: str) -> None:
    name = row["path"].replace("\\", "/")
    problem = ""
    positions: list[int | None] = []
    for axis in ("x", "y"):
        try:
            value = int(row[axis]) if row[axis] else None
            if value is not None and not -(2**31) <= value < 2**31:
                raise ValueError
            positions.append(value)
        except ValueError:
            problem = f"impossible position: {axis} is {row[axis][:40]!r} in {where}"
    if not name or not row["label"]:
        problem = f"incomplete row: {where} lacks its {'label' if name else 'path'}"
    elif name in seen:
        problem = f"duplicate name: listed again in {where}"
    if problem:
        listed.rejects.append((name or where, problem))
        return
    seen.add(name)
    listed.files.names.append(name)
    listed.files.sizes.append(0)
    listed.entries.append(
        Entry(row["label"], row["case"], positions[0], positions[1], row["part"], row["slide"],
              row["subtype"])
    )  # fmt: skip
