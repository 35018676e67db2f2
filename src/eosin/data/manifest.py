"""A CSV that lists patches: ``path,label[,case,x,y,part,slide,subtype]``."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from eosin.data.archives import MAX_BYTES, Files
from eosin.data.layouts import Entry, plainly
from eosin.errors import SourceError

_KNOWN = ("path", *Entry._fields)


@dataclass
class Listed:
    """The rows of a manifest: a file and an entry for each, and those that cannot be used."""

    #: Relative paths start at the manifest's folder.
    files: Files
    entries: list[Entry] = field(default_factory=list)
    rejects: list[tuple[str, str]] = field(default_factory=list)


def read_manifest(path: Path, *, max_bytes: int = MAX_BYTES) -> Listed:
    """Read a manifest; raises SourceError when the file is not one.

    path: CSV (or TSV) in UTF-8 with a header. A row without path or label, with a position that
    is not an integer, or with a path listed before is a reject.
    """
    listed = Listed(Files(path.parent, max_bytes=max_bytes))
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            names = [name.strip().lower() for name in rows.fieldnames or []]
            if "path" not in names or "label" not in names:
                shown = plainly(", ".join(names)) or "none"
                raise SourceError(
                    f"{path} has the columns {shown}; a manifest needs "
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
    listed.entries.append(
        Entry(row["label"], row["case"], positions[0], positions[1], row["part"], row["slide"],
              row["subtype"])
    )  # fmt: skip
