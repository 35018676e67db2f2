"""From a path to a plan: which members are patches, and what is known of each.

``open_source`` looks at the path (zip, tar, folder, CSV, Parquet, npz, IDX or HDF5), detects the
layout and gives a Plan (encoded images, any order, several threads) or an ArrayPlan (blocks of an
array, in order).
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eosin.data import arrays, listings, readings
from eosin.data.archives import MAX_BYTES, Files, is_unsafe
from eosin.data.arrays import ArrayPlan
from eosin.data.decode import is_image_name
from eosin.data.layouts import (
    LAYOUTS,
    TABLES,
    Entry,
    Layout,
    check_class_names,
    detect_layout,
    find_layout,
    magnification,
    natural_key,
    plainly,
)
from eosin.data.listings import Listing
from eosin.data.openers import Records, is_archive, open_files
from eosin.data.parquet import has_images
from eosin.data.tables import check_choice
from eosin.errors import ImageError, SourceError

#: A member of this name marks patches as synthetic.
MADE_UP = "MADE_UP.txt"


@dataclass
class Plan:
    """Encoded images to pack, in their final order."""

    layout: Layout
    files: Files
    classes: list[str]
    #: Index columns (label, case, x, y, part, slide, subtype, source), one value a candidate.
    columns: dict[str, list[Any]]
    #: Number of each candidate in ``files``.
    members: list[int]
    #: Candidate -> the first candidate of the same case and file name.
    twins: dict[int, int] = field(default_factory=dict)
    rejects: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0
    excluded: int = 0
    made_up: bool = False
    notes: list[str] = field(default_factory=list)
    #: What store.json keeps of the table, where the source has one.
    table: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.members)

    def close(self) -> None:
        """Close the source."""
        self.files.close()


def open_source(
    source: Path,
    *,
    layout: str | None = None,
    include: Sequence[str] = (),
    scratch: Path | None = None,
    max_bytes: int = MAX_BYTES,
    table: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> Plan | ArrayPlan:
    """List the patches at a path.

    source: a zip, tar, folder, CSV, Parquet, npz, IDX or HDF5 file. layout: a name of ``LAYOUTS``,
    or None to detect it. include: glob patterns of member paths or file names to keep. scratch: a
    folder for the one temporary file that a gzipped HDF5 file or tar needs. max_bytes: the most
    bytes of a member. table: the table that lists the images, a member of the source or a file.
    columns: role -> column of the table, where its name does not decide.

    Raises SourceError for a source that is missing, unknown or damaged, or has no patches, or can
    be read in several ways.
    """
    chosen = None if layout is None else find_layout(layout)
    if not source.exists():
        raise SourceError(f"{source}: no such file or folder")
    if (source / "store.json").is_file():
        raise SourceError(f"{source} is already a packed store; pack makes one from images")
    kind = _kind(source) if chosen is None else ("" if chosen.parse else chosen.name)
    columns = columns or {}
    if kind in ("idx", "medmnist", "pcam", "hdf5"):
        if include or table or columns:
            raise SourceError(
                f"--include, --table and --column are for image files; layout {kind} has arrays"
            )
        return arrays.open_arrays(source, LAYOUTS[kind], scratch=scratch)
    if kind == "manifest" and not source.is_dir() and not is_archive(source):
        if table is not None:
            raise SourceError(f"{source} is a table itself; leave out --table {table}")
        listing = listings.listing_of_file(source, columns, max_bytes=max_bytes)
        return _from_listing(source, listing, LAYOUTS["manifest"], include)
    files, records = open_files(
        source, scratch=scratch, max_bytes=max_bytes, column=columns.get("path")
    )
    try:
        if records is not None and table is None and chosen in (None, records.layout):
            return _from_records(source, files, records, columns, include)
        return _from_files(source, files, chosen, include, table, columns)
    except BaseException:
        files.close()
        raise


def _kind(source: Path) -> str:
    """The layout that the kind of file alone decides, or "" for image files."""
    name = source.name.lower()
    if source.is_dir():
        return arrays.kind_of_folder(source)
    if name.endswith(listings.SUFFIXES) or (name.endswith(".parquet") and not has_images(source)):
        return "manifest"
    if name.endswith(".npz"):
        return "medmnist"
    if name.endswith((".h5", ".hdf5", ".h5.gz", ".hdf5.gz")):
        return "hdf5"
    return "idx" if arrays.looks_like_idx(source) else ""


def _from_records(
    source: Path,
    files: Files,
    records: Records,
    columns: Mapping[str, str],
    include: Sequence[str],
) -> Plan:
    check_choice(columns, list(records.table.columns), str(source))
    listing = listings.listing_of(
        records.table, files, listings.Images(files.names), {**columns, "path": records.path}
    )
    if listing is None:
        raise listings.no_table(str(source), records.table)
    listing.notes += records.notes
    return _from_listing(source, listings.finished(listing), records.layout, include)


def _from_files(
    source: Path,
    files: Files,
    chosen: Layout | None,
    include: Sequence[str],
    table: str | Path | None,
    columns: Mapping[str, str],
) -> Plan:
    """By a table in the source where one explains the images, else by their paths."""
    manifest = LAYOUTS["manifest"]
    if chosen is not None and chosen.name in TABLES and chosen != manifest:
        raise SourceError(f"{source} is not of layout {chosen.name}: {chosen.about}")
    if table is not None:
        if chosen is not None and chosen != manifest:
            raise SourceError(f"choose one of --table {table} and --layout {chosen.name}")
        return _from_listing(source, listings.table_in(table, files, columns), manifest, include)
    if chosen is not None and chosen != manifest:
        if columns:
            raise SourceError(f"--column is for tables; layout {chosen.name} has none")
        return _from_paths(source, files, chosen, include)
    tables, wrong, others = readings.tables_in(files, columns)
    by_paths, failed = None, None
    if chosen is None:
        try:
            by_paths = _from_paths(source, files, None, include)
        except SourceError as error:
            failed = error
    folders: dict[int, str] = {}
    if by_paths is not None and (by_paths.layout.classes or len(by_paths.classes) > 1):
        labels = (by_paths.classes[label] for label in by_paths.columns["label"])
        folders = dict(zip(by_paths.members, labels, strict=True))
    if not tables:
        if wrong and not folders:
            raise SourceError(wrong[0])
        if by_paths is not None and not columns:
            by_paths.notes += [*(f"a table is not used: {each}" for each in wrong), *others]
            return by_paths
        raise (
            failed
            if failed and not columns
            else SourceError(f"{source} has no table that lists its images by path and label")
        )
    listing = readings.choose(
        source, tables, folders, by_paths.layout.name if by_paths else "",
        cases=by_paths is not None and all(by_paths.columns["case"]),
    )  # fmt: skip
    listing.notes += [*(f"a table is not used: {each}" for each in wrong), *others]
    return _from_listing(source, listings.finished(listing), manifest, include)


def _from_listing(source: Path, listing: Listing, layout: Layout, include: Sequence[str]) -> Plan:
    names, keep = listing.files.names, _filter(include)
    kept = [row for row in listing.rows if keep(names[row.member])]
    if not kept and not listing.rejects:
        raise SourceError(
            f"{source} lists no images" + (" that --include keeps" if include else "")
        )
    plan = _plan(
        layout, listing.files, [(names[row.member], row.member, row.entry) for row in kept]
    )
    plan.rejects += [(name, why) for name, why in listing.rejects if keep(name)]
    plan.excluded = len(listing.rows) - len(kept)
    plan.made_up = any(name.rpartition("/")[2] == MADE_UP for name in names)
    plan.notes, plan.table = listing.notes, listing.info()
    return plan


def _filter(include: Sequence[str]) -> Any:
    """A test of member paths: the path or the file name fits any pattern (* also fits /)."""
    if not include:
        return lambda name: True
    fits = re.compile("|".join(fnmatch.translate(pattern) for pattern in include)).match
    return lambda name: bool(fits(name) or fits(name.rpartition("/")[2]))


def _from_paths(source: Path, files: Files, chosen: Layout | None, include: Sequence[str]) -> Plan:
    ignored = excluded = 0
    made_up = False
    rejects = []
    candidates: list[tuple[str, str, int]] = []
    keep = _filter(include)
    for i, name in enumerate(files.names):
        if not is_image_name(name):
            made_up = made_up or name.rpartition("/")[2] == MADE_UP
            ignored += 1
        elif not keep(name):
            excluded += 1
        else:
            candidates.append((natural_key(name), name, i))
    for name, reason in files.refused:
        if not keep(name):
            excluded += 1
            continue
        if is_image_name(name) or reason.startswith(("link", "unread")):
            rejects.append((name, reason))
        else:
            ignored += 1
    if not candidates and not rejects:
        hint = f"{excluded} left out by --include" if excluded else f"{ignored} other files"
        raise SourceError(f"{source} contains no images (suffixes .png, .jpg, .tif, ...; {hint})")
    candidates.sort()
    layout = chosen or detect_layout([name for _, name, _ in candidates])
    if layout is None or layout.parse is None:
        shown = candidates[0][1] if candidates else rejects[0][0]
        raise SourceError(
            f"no known layout explains the paths of {source} (such as {plainly(shown)}); put the "
            "images into one folder a class, or use a CSV with path,label"
        )
    parse = layout.parse
    entries: list[tuple[str, int, Entry]] = []
    for _, name, i in candidates:
        try:
            if is_unsafe(name):
                raise ImageError("unsafe name: an absolute path or one with ..")
            entry = parse(name)
            if entry is None:
                raise ImageError(f"unknown name: it does not follow layout {layout.name}")
        except ImageError as error:
            rejects.append((name, str(error)))
        else:
            entries.append((name, i, entry))
    plan = _plan(layout, files, entries)
    plan.rejects += rejects
    plan.ignored, plan.excluded, plan.made_up = ignored, excluded, made_up
    names = plan.columns["source"] if layout.name == "breakhis" else ()
    values = sorted({magnification(name) for name in names}, key=natural_key)
    if len(values) > 1:
        shown = ", ".join(f"{value}x" for value in values)
        plan.notes.append(
            f"magnifications {shown} are mixed; keep one with --include '*-{values[0]}-*'"
        )
    return plan


def _plan(layout: Layout, files: Files, entries: list[tuple[str, int, Entry]]) -> Plan:
    labels = {entry.label for _, _, entry in entries}
    if layout.classes is None:
        classes = sorted(labels, key=natural_key)
        if layout.name == "folders":
            check_class_names(classes)
    else:
        classes = list(layout.classes)
    if len(classes) > 32_767:
        raise SourceError(f"{len(classes)} classes; a store has 32,767 at most")
    number = {name: k for k, name in enumerate(classes)}
    columns: dict[str, list[Any]] = {"label": [number[entry.label] for _, _, entry in entries]}
    by_field = list(zip(*(entry for _, _, entry in entries), strict=True)) or [()] * 7
    for name, values in zip(Entry._fields[1:], by_field[1:], strict=True):
        columns[name] = list(values)
    columns["source"] = _printable([name for name, _, _ in entries])
    plan = Plan(layout, files, classes, columns, [i for _, i, _ in entries])
    first: dict[tuple[str, str], int] = {}
    if layout.name not in TABLES:
        for k, (name, _, entry) in enumerate(entries):
            if entry.case:
                original = first.setdefault((entry.case, name[name.rfind("/") + 1 :]), k)
                if original != k:
                    plan.twins[k] = original
    return plan


def _printable(names: list[str]) -> list[str]:
    """The names in UTF-8; a file system may give bytes that are not."""
    with contextlib.suppress(UnicodeEncodeError):
        "".join(names).encode()
        return names
    return [name.encode("utf-8", "backslashreplace").decode() for name in names]
