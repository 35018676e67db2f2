"""From a path to a plan: which members are patches, and what is known of each.

``open_source`` looks at the path (zip, folder, CSV, npz, IDX or HDF5), detects the layout and
gives a Plan (encoded images, any order, several threads) or an ArrayPlan (blocks of an
array, in order).
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eosin.data import arrays, manifest
from eosin.data.archives import MAX_BYTES, Files, FolderFiles, ZipFiles
from eosin.data.arrays import ArrayPlan
from eosin.data.decode import is_image_name
from eosin.data.layouts import (
    LAYOUTS,
    Entry,
    Layout,
    check_class_names,
    detect_layout,
    find_layout,
    magnification,
    natural_key,
    plainly,
)
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
) -> Plan | ArrayPlan:
    """List the patches at a path.

    source: a zip, folder, CSV, npz, IDX or HDF5 file. layout: a name of ``LAYOUTS``, or None to
    detect it. include: glob patterns of member paths or file names to keep. scratch: a folder for
    the one temporary file that a gzipped HDF5 file needs. max_bytes: the most bytes of a member.

    Raises SourceError for a source that is missing, unknown or damaged, or has no patches.
    """
    chosen = None if layout is None else find_layout(layout)
    if not source.exists():
        raise SourceError(f"{source}: no such file or folder")
    if (source / "store.json").is_file():
        raise SourceError(f"{source} is already a packed store; pack makes one from images")
    kind = _kind(source) if chosen is None else ("" if chosen.parse else chosen.name)
    if kind in ("idx", "medmnist", "pcam"):
        if include:
            raise SourceError(f"--include filters image files; layout {kind} has arrays")
        return arrays.open_arrays(source, LAYOUTS[kind], scratch=scratch)
    if kind == "manifest":
        if source.is_dir():
            raise SourceError(f"{source} is a folder; use the CSV file of the manifest itself")
        return _from_manifest(source, include, max_bytes)
    files: Files
    if source.is_dir():
        files = FolderFiles(source, max_bytes=max_bytes)
    else:
        _check_zip(source)
        files = ZipFiles(source, max_bytes=max_bytes)
    try:
        return _from_paths(source, files, chosen, include)
    except BaseException:
        files.close()
        raise


def _kind(source: Path) -> str:
    """The layout that the kind of file alone decides, or "" for image files."""
    name = source.name.lower()
    if source.is_dir():
        return arrays.kind_of_folder(source)
    if name.endswith((".csv", ".tsv")):
        return "manifest"
    if name.endswith(".npz"):
        return "medmnist"
    if name.endswith((".h5", ".hdf5", ".h5.gz", ".hdf5.gz")):
        return "pcam"
    return "idx" if arrays.looks_like_idx(source) else ""


def _check_zip(source: Path) -> None:
    try:
        with open(source, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise SourceError(f"{source} cannot be opened: {error.strerror}") from None
    if start[:2] == b"PK" or source.suffix.lower() == ".zip":
        return
    if source.suffix.lower() in (".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"):
        raise SourceError(f"{source}: {source.suffix} is not read; unpack it and pack the folder")
    raise SourceError(
        f"{source} begins with {start!r}: neither a zip nor a folder, CSV, npz, IDX or HDF5 file"
    )


def _from_manifest(source: Path, include: Sequence[str], max_bytes: int) -> Plan:
    listed = manifest.read_manifest(source, max_bytes=max_bytes)
    keep = _filter(include)
    chosen = [i for i, name in enumerate(listed.files.names) if keep(name)]
    entries = [(listed.files.names[i], i, listed.entries[i]) for i in chosen]
    if not entries and not listed.rejects:
        raise SourceError(
            f"{source} lists no images" + (" that --include keeps" if include else "")
        )
    plan = _plan(LAYOUTS["manifest"], listed.files, entries)
    plan.rejects += listed.rejects
    plan.excluded = len(listed.entries) - len(chosen)
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
            "images into one folder a class, or use a CSV manifest with path,label"
        )
    parse = layout.parse
    entries: list[tuple[str, int, Entry]] = []
    for _, name, i in candidates:
        try:
            if _is_unsafe(name):
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


def _is_unsafe(name: str) -> bool:
    return (
        name[0] == "/"
        or name[1:2] == ":"
        or "\0" in name
        or (".." in name and ".." in name.split("/"))
    )


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
    if layout.name != "manifest":
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
