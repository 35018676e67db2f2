"""Which table of a source explains its images, and which image each of its rows means."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from eosin.errors import ImageError, SourceError
from eosin.sources.archives import MAX_BYTES, Files, FolderFiles, read_file
from eosin.sources.arrays import part_of
from eosin.sources.layouts import PARTS, Entry, plainly
from eosin.sources.levels import HANDFUL
from eosin.sources.likeness import MOST_CLASSES
from eosin.sources.members import is_image_name, is_unsafe
from eosin.sources.names import folded
from eosin.sources.tables import (
    ROLES,
    Roles,
    Table,
    check_choice,
    entries_of,
    parse_table,
    roles_of,
    squeezed,
)

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")

#: The column of labels that a table does not have itself.
_FOLDERS = "the folders"


class Row(NamedTuple):
    """A row that has its image: the name and number of the image, and what the row says of it."""

    name: str
    member: int
    entry: Entry


@dataclass
class Listing:
    """A table with the images that it means."""

    name: str
    files: Files
    roles: Roles
    rows: list[Row] = field(default_factory=list)
    rejects: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Different paths in the table, and the images that they mean, also those of unusable rows.
    paths: int = 0
    mentioned: set[int] = field(default_factory=set)
    #: Images that no row means.
    unlisted: int = 0

    def info(self) -> dict[str, object]:
        """What store.json keeps of it."""
        return {
            "name": self.name, "columns": self.roles.columns, "unused": self.roles.unused,
            "unlisted": self.unlisted,
        }  # fmt: skip

    def labels(self) -> dict[int, str]:
        """The label of each image."""
        return {row.member: row.entry.label for row in self.rows}

    def __str__(self) -> str:
        labels = sorted({row.entry.label for row in self.rows})
        shown = plainly(", ".join(labels[:4])) + (", ..." if len(labels) > 4 else "")
        return f"the table {self.name} ({len(self.rows):,} images; {len(labels)} classes: {shown})"


class Images:
    """Finds the image that a table means by a path, a file name or a name without a suffix.

    >>> images = Images(["train/1.png", "test/1.png", "train/2.png"])
    >>> images.find("2"), images.find("test/1"), images.find("/kaggle/train/1.png")
    (2, 1, 0)
    >>> images.find("1")
    'ambiguous name: fits train/1.png and test/1.png'
    >>> images.find("1", part="train"), images.find("3")
    (0, 'missing: no image of this name')
    """

    def __init__(self, names: Iterable[str], numbers: Iterable[int] | None = None) -> None:
        self._names = list(names)
        self._numbers = list(numbers or range(len(self._names)))
        self._exact = dict(zip(self._names, self._numbers, strict=True))
        self._ends: dict[str, list[int]] = {}
        for k, name in enumerate(self._names):
            last = name.rpartition("/")[2]
            for end in {last, last.rpartition(".")[0]}:
                self._ends.setdefault(end, []).append(k)

    def find(self, path: str, *, folder: str = "", part: str = "") -> int | str:
        """The number of an image, or why there is none.

        folder: where the table is, with a slash at its end; part: that of the row, which decides
        between equal names in several parts.
        """
        for full in (folder + path, path):
            if full in self._exact:
                return self._exact[full]
        pieces = path.split("/")
        fitting = [k for k in self._ends.get(pieces[-1], ()) if self._same_end(k, pieces)]
        for test in (
            lambda name: name.startswith(folder),
            lambda name: part in {PARTS.get(above.lower()) for above in name.split("/")[:-1]},
        ):
            if len(fitting) > 1 and (closer := [k for k in fitting if test(self._names[k])]):
                fitting = closer
        if not fitting:
            return "missing: no image of this name"
        if len(fitting) > 1:
            shown = " and ".join(plainly(self._names[k]) for k in fitting[:2])
            return f"ambiguous name: fits {shown}"
        return self._numbers[fitting[0]]

    def _same_end(self, k: int, pieces: list[str]) -> bool:
        """Whether the folders that both name are the same, from the file upwards."""
        above = self._names[k].split("/")[:-1]
        both = min(len(above), len(pieces) - 1)
        return above[len(above) - both :] == pieces[len(pieces) - 1 - both : -1]


def listing_of(
    table: Table,
    files: Files,
    images: Images,
    chosen: Mapping[str, str] | None = None,
    labels: Mapping[int, str] | None = None,
) -> Listing | None:
    """A table with its images; None where it has no labels or its paths are not those of images.

    labels: the class of each image by its folder, for a table that has the cases alone.
    Raises SourceError where two columns fit one role, where one image has two labels, and where
    the labels are no classes.
    """
    folder = table.name.rpartition("/")[0] + "/" if "/" in table.name else ""

    def fits(values: Sequence[str]) -> int:
        names = {value.replace("\\", "/").removeprefix("./") for value in values if value}
        return sum(not isinstance(images.find(n, folder=folder), str) for n in names)

    return listing(table, files, images.find, fits, chosen or {}, folder, labels)


def listing(
    table: Table,
    files: Files,
    find: Callable[..., int | str],
    fits: Callable[[Sequence[str]], int],
    chosen: Mapping[str, str],
    folder: str = "",
    labels: Mapping[int, str] | None = None,
) -> Listing | None:
    """The same with another way to find an image."""
    roles = roles_of(table, chosen, fits)
    if labels and {"path", "case"} <= roles.columns.keys() and "label" not in roles.columns:
        members = [find(path, folder=folder) for path in table.columns[roles.columns["path"]]]
        table = _labeled(table, [labels.get(m, "") if isinstance(m, int) else "" for m in members])
        roles.columns["label"] = _FOLDERS
    if not {"path", "label"} <= roles.columns.keys():
        return None
    if "label" not in chosen:
        _check_labels(table, roles.columns["label"])
    entries, rejects = entries_of(table, roles)
    made = Listing(table.name, files, roles, rejects=rejects, notes=list(roles.notes))
    made.paths = len({path for path in table.columns[roles.columns["path"]] if path})
    first: dict[int, int] = {}
    own_part = part_of(table.name)
    for row, path, entry in entries:
        member = find(path, folder=folder, part=entry.part or own_part)
        if isinstance(member, str):
            made.rejects.append((path, member))
            continue
        earlier = first.setdefault(member, len(made.rows))
        if earlier == len(made.rows):
            made.rows.append(Row(path, member, entry))
        elif (label := made.rows[earlier].entry.label) != entry.label:
            raise SourceError(
                f"{table.name} gives {plainly(path)} two labels, {plainly(label)} and "
                f"{plainly(entry.label)} ({table.places[row]}); correct the table"
            )
        else:
            made.rejects.append((path, f"duplicate name: listed again in {table.places[row]}"))
    refused = (find(path, folder=folder, part=own_part) for path, _ in rejects)
    made.mentioned = {*first, *(member for member in refused if not isinstance(member, str))}
    return made


def _labeled(table: Table, labels: Sequence[str]) -> Table:
    """The rows of a table that have a label elsewhere, with that in a column of its own."""
    rows = [row for row, label in enumerate(labels) if label]
    columns = {**table.columns, _FOLDERS: labels}
    return Table(
        table.name,
        {name: [values[row] for row in rows] for name, values in columns.items()},
        [table.places[row] for row in rows],
        {k: table.damaged[row] for k, row in enumerate(rows) if row in table.damaged},
    )


def _check_labels(table: Table, column: str) -> None:
    """Ask about labels that are as many as their images, such as probabilities."""
    classes = sorted({folded(label) for label in set(table.columns[column]) if label})
    if len(classes) > MOST_CLASSES and len(table) < HANDFUL * len(classes):
        raise SourceError(
            f"{table.name}: the column {plainly(column)} has {len(classes):,} values for "
            f"{len(table):,} images ({plainly(', '.join(classes[:3]))}, ...), which may be no "
            f"classes; choose another with --column label=NAME, or take it with --column "
            f"label={column}"
        )


def listing_of_file(
    path: Path, chosen: Mapping[str, str], *, max_bytes: int = MAX_BYTES
) -> Listing:
    """The images that a CSV lists: paths from its folder, or names of images anywhere below it.

    Raises SourceError for a file that is no table of images.
    """
    try:
        table = parsed(str(path), read_file(path, max_bytes))
    except ImageError as error:
        raise SourceError(f"{path} cannot be read: {error}") from None
    check_choice(chosen, list(table.columns), str(path))
    table = replace(table, name=path.name)
    plain = Files(path.parent, max_bytes=max_bytes)
    numbers: dict[str, int] = {}

    def find(name: str, *, folder: str = "", part: str = "") -> int:
        return numbers.setdefault(name, len(numbers))

    def fits(values: Sequence[str]) -> int:
        names = list(dict.fromkeys(value for value in values if value))
        sample = names[:: max(1, len(names) // 50)][:50]
        # Cells are texts of any kind; os.path has no error for one that can be no path.
        return sum(os.path.isfile(path.parent / name.replace("\\", "/")) for name in sample)

    names = table.columns.get(roles_of(table, chosen, fits).columns.get("path", ""), [])
    there = fits(names) / max(1, min(50, len(set(names) - {""})))
    if there < 0.5:
        # Most are not where the table has them: names without folders or suffixes, most often.
        files = FolderFiles(path.parent, max_bytes=max_bytes)
        other = listing_of(table, files, images_of(files), chosen)
        if other is not None and len(other.rows) > there * other.paths:
            return finished(other)
    made = listing(table, plain, find, fits, chosen)
    if made is None:
        raise no_table(str(path), table, chosen)
    plain.names += numbers
    beside = set()
    for folder in {name.rpartition("/")[0] for name in numbers}:
        below = folder + "/" if folder else ""
        with contextlib.suppress(OSError, ValueError):  # ValueError: a path with a null byte
            beside |= {below + file.name for file in (path.parent / folder).iterdir()}
    return finished(made, beside)


def table_in(
    path: Path | str,
    files: Files,
    chosen: Mapping[str, str],
    labels: Mapping[int, str] | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Listing:
    """The listing of one table that a person chose: a member of the source, or a file elsewhere.

    labels: see ``listing_of``.
    """
    name = str(path)
    try:
        if name in files.names:
            table = read_table(files, files.names.index(name))
        elif os.path.isfile(path):
            table = parsed(Path(path).name, read_file(Path(path), max_bytes))
        else:
            shown = plainly(", ".join(filter(is_table, files.names))) or "none"
            raise SourceError(
                f"--table {name}: no such file, neither in {files.path} (tables there: {shown}) "
                "nor elsewhere"
            )
    except ImageError as error:
        raise SourceError(f"{name} cannot be read: {error}") from None
    check_choice(chosen, list(table.columns), name)
    made = listing_of(table, files, images_of(files), chosen, labels)
    if made is None:
        raise no_table(name, table, chosen)
    if not made.rows:
        raise SourceError(nothing_listed(made))
    return finished(made)


def nothing_listed(made: Listing) -> str:
    """Why no row of a table means an image."""
    first, why = made.rejects[0]
    column = f", by the column {made.roles.columns['path']}; another: --column path=NAME"
    return (
        f"{made.name}: no row can be used of {made.files.path}; the first is {plainly(first)} "
        f"({plainly(why)}){column * why.startswith('missing')}"
    )


def no_table(name: str, table: Table, chosen: Collection[str]) -> SourceError:
    """What a table lacks."""
    if not len(table):
        return SourceError(
            f"{name} has no rows; a table of images has a row with path and label each"
        )
    shown = plainly(", ".join(table.columns))
    if any(map(is_image_name, table.columns)):
        return SourceError(
            f"{name} begins with {shown}; its first line must name the columns, such as path,label"
        )
    known = set(map(squeezed, table.columns))
    lacking = [r for r in ("path", "label") if r not in chosen and not known & set(ROLES[r])]
    options = [f"--column {role}=NAME" for role in lacking or ("path", "label")]
    return SourceError(
        f"{name} has the columns {shown}, and none is the {' or the '.join(lacking or ['path'])} "
        f"of the images by its name; choose with {' '.join(options)}"
    )


def images_of(files: Files) -> Images:
    """The images of a source by name; those with unsafe names cannot be meant."""
    numbers = [
        i for i, name in enumerate(files.names) if is_image_name(name) and not is_unsafe(name)
    ]
    return Images([files.names[i] for i in numbers], numbers)


def finished(made: Listing, beside: Iterable[str] | None = None) -> Listing:
    """The listing with its parts and with what its users should know.

    beside: names of files where the images are; None: those of the source.
    """
    files = made.files
    if "part" not in made.roles.columns and not any(row.entry.part for row in made.rows):
        names = (files.names[row.member] for row in made.rows)
        parts = [part_of(n.rpartition("#" if ".parquet#" in n else "/")[0]) for n in names]
        if len(set(parts) - {""}) > 1:
            made.rows = [
                row._replace(entry=row.entry._replace(part=part))
                for row, part in zip(made.rows, parts, strict=True)
            ]
    if any(squeezed(name) != role for role, name in made.roles.columns.items()):
        shown = ", ".join(f"{role}={name}" for role, name in made.roles.columns.items())
        made.notes.insert(0, f"the columns of {made.name} are read as {plainly(shown)}")
    if made.roles.unused:
        shown = plainly(", ".join(made.roles.unused))
        made.notes.append(
            f"columns of {made.name} that are not used: {shown}; --column ROLE=NAME uses one"
        )
    listed = {files.names[member] for member in made.mentioned}
    others = (
        [name for name in files.names if name not in listed]
        if beside is None
        else ([name for name in beside if name not in listed])
    )
    others = list(filter(is_image_name, others))
    made.unlisted = len(others)
    counts = Counter(name.partition("/")[0] + "/" if "/" in name else "" for name in others)
    for folder, count in sorted(counts.items())[:20]:
        noun, verb = ("image", "is") if count == 1 else ("images", "are")
        where = f" in {plainly(folder)}" if folder else ""
        made.notes.append(f"{count:,} {noun}{where} {verb} not in the table {made.name}")
    return made


def is_table(name: str) -> bool:
    """Whether a member may be a table, by its name."""
    last = name.rpartition("/")[2].lower()
    return (
        (last.endswith(SUFFIXES) or last == "metadata.parquet")
        and not last.startswith(".")
        and not last.endswith(".split.csv")
        and "__MACOSX/" not in name
    )


def read_table(files: Files, i: int) -> Table:
    """The table in member i."""
    return parsed(files.names[i], files.read(i))


def parsed(name: str, data: bytes) -> Table:
    """The table in a file, by the kind that its name tells."""
    if not name.lower().endswith(".parquet"):
        return parse_table(name, data)
    from eosin.sources.parquet import parquet_table

    return parquet_table(name, data)
