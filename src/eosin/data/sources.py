"""From a path to a plan: which members are patches, and what is known of each.

``open_source`` looks at the path (zip, folder, CSV, npz, IDX or HDF5), detects the layout and
gives a Plan (encoded images, any order, several threads) or an ArrayPlan (blocks of an
array, in order).
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eosin.data import arrays, manifest
from eosin.data.archives import MAX_BYTES, Files
from eosin.data.arrays import ArrayPlan
from eosin.data.layouts import (
    LAYOUTS,
    Entry,
    Layout,
    detect_layout,
    find_layout,
    natural_key,
    plainly,
)
from eosin.data.levels import parse_levels
from eosin.data.members import has_image_suffix, is_image_name
from eosin.data.names import CasePattern
from eosin.data.nested import open_files
from eosin.data.plans import Plan, archive_notes, plan_of
from eosin.data.trees import TreeLayout
from eosin.errors import ImageError, SourceError

#: A member of this name marks patches as synthetic.
MADE_UP = "MADE_UP.txt"


def open_source(
    source: Path,
    *,
    layout: str | None = None,
    include: Sequence[str] = (),
    levels: str | None = None,
    case_pattern: str | None = None,
    scratch: Path | None = None,
    max_bytes: int = MAX_BYTES,
) -> Plan | ArrayPlan:
    """List the patches at a path.

    source: a zip, folder, CSV, npz, IDX or HDF5 file. layout: a name of ``LAYOUTS``, or None to
    detect it. include: glob patterns of member paths or file names to keep. levels: what each level
    of folders is, such as "part/label/case" (``eosin.data.levels``), or None to find that.
    case_pattern: a regular expression with one group, the case, that is searched in file names
    (``CasePattern``). scratch: a folder for the temporary files that a gzipped HDF5 file and a
    packed zip inside of a zip need. max_bytes: the most bytes of a member.

    Raises SourceError for a source that is missing, unknown or damaged, or has no patches.
    """
    chosen = None if layout is None else find_layout(layout)
    cases = None if case_pattern is None else CasePattern(case_pattern)
    if levels is not None:
        parse_levels(levels)
        if chosen is not None and chosen.name != "folders":
            raise SourceError(f"--levels is for folders; layout {chosen.name} has its own levels")
        chosen = LAYOUTS["folders"]
    if not source.exists():
        raise SourceError(f"{source}: no such file or folder")
    if (source / "store.json").is_file():
        raise SourceError(f"{source} is already a packed store; pack makes one from images")
    kind = _kind(source) if chosen is None else chosen.name
    if kind in ("idx", "medmnist", "pcam"):
        for option, used in (("--include", include), ("--case-pattern", cases)):
            if used:
                raise SourceError(f"{option} is for image files; layout {kind} has arrays")
        return arrays.open_arrays(source, LAYOUTS[kind], scratch=scratch)
    if kind == "manifest":
        if source.is_dir():
            raise SourceError(f"{source} is a folder; use the CSV file of the manifest itself")
        return _from_manifest(source, include, cases, max_bytes)
    if not source.is_dir():
        _check_zip(source)
    files = open_files(source, max_bytes=max_bytes, scratch=scratch)
    try:
        return _from_paths(source, files, chosen, include, levels, cases)
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


def _from_manifest(
    source: Path, include: Sequence[str], cases: CasePattern | None, max_bytes: int
) -> Plan:
    listed = manifest.read_manifest(source, max_bytes=max_bytes)
    keep = _filter(include)
    chosen = [i for i, name in enumerate(listed.files.names) if keep(name)]
    entries = [(listed.files.names[i], i, listed.entries[i]) for i in chosen]
    if not entries and not listed.rejects:
        raise SourceError(
            f"{source} lists no images" + (" that --include keeps" if include else "")
        )
    plan = plan_of(LAYOUTS["manifest"], listed.files, entries, cases)
    plan.rejects += listed.rejects
    plan.excluded = len(listed.entries) - len(chosen)
    return plan


def _filter(include: Sequence[str]) -> Any:
    """A test of member paths: the path or the file name fits any pattern (* also fits /)."""
    if not include:
        return lambda name: True
    fits = re.compile("|".join(fnmatch.translate(pattern) for pattern in include)).match
    return lambda name: bool(fits(name) or fits(name.rpartition("/")[2]))


def _from_paths(
    source: Path,
    files: Files,
    chosen: Layout | None,
    include: Sequence[str],
    levels: str | None,
    cases: CasePattern | None,
) -> Plan:
    ignored = excluded = 0
    made_up = False
    rejects = []
    hidden: Counter[str] = Counter()
    candidates: list[tuple[str, str, int]] = []
    keep = _filter(include)
    for i, name in enumerate(files.names):
        if not is_image_name(name):
            file = name.rpartition("/")[2]
            made_up = made_up or file == MADE_UP
            if has_image_suffix(name) and not file.startswith("._"):
                hidden[name.rpartition("/")[0]] += 1
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
    notes = list(files.notes)
    if hidden:
        notes.append(
            f"left out: {hidden.total():,} hidden images or thumbnails "
            f"(in {plainly(', '.join(sorted(hidden)[:3]))})"
        )
    if not candidates and not rejects:
        hint = f"{excluded} left out by --include" if excluded else f"{ignored} other files"
        raise SourceError(f"{source} contains no images (suffixes .png, .jpg, .tif, ...; {hint})")
    candidates.sort()
    layout = chosen or detect_layout([name for _, name, _ in candidates]) or LAYOUTS["folders"]
    tree: TreeLayout | None = None
    parse = layout.parse
    if parse is None:
        names = [name for _, name, _ in candidates if not _is_unsafe(name)]
        tree = _tree(source, names or [name for name, _ in rejects], levels, cases)
        parse = tree.parse
        notes += tree.notes
    entries: list[tuple[str, int, Entry]] = []
    for _, name, i in candidates:
        try:
            if _is_unsafe(name):
                raise ImageError("unsafe name: an absolute path or one with ..")
            if tree is not None and name in tree.left_out:
                ignored += 1
                continue
            entry = parse(name)
            if entry is None:
                rule = tree.levels if tree else f"layout {layout.name}"
                raise ImageError(f"unknown name: it does not follow {rule}")
        except ImageError as error:
            rejects.append((name, str(error)))
        else:
            entries.append((name, i, entry))
    remedy = f"take them as one with --levels '{tree.levels}', or rename a folder" if tree else ""
    plan = plan_of(layout, files, entries, cases, remedy="" if levels else remedy)
    plan.rejects += rejects
    plan.ignored, plan.excluded, plan.made_up = ignored, excluded, made_up
    plan.notes = notes + plan.notes
    if tree is None:
        plan.notes += archive_notes(plan)
    else:
        pattern = plan.reading or {"case_pattern": None, "text": ""}
        more = pattern["text"].replace(f"{layout.name}:", ",")
        plan.reading = {**pattern, "levels": tree.levels, "text": tree.text + more}
    return plan


def _tree(
    source: Path, names: list[str], levels: str | None, cases: CasePattern | None
) -> TreeLayout:
    if not any("/" in name for name in names):
        shown = names[0] if names else "../.."
        raise SourceError(
            f"no known layout explains the paths of {source} (such as {plainly(shown)}); put the "
            "images into one folder a class, or list them in a CSV with path,label,case"
        )
    try:
        return TreeLayout(names, levels=levels, cases=cases)
    except SourceError as error:
        raise SourceError(f"{source}: {error}") from None


def _is_unsafe(name: str) -> bool:
    return (
        name[0] == "/"
        or name[1:2] == ":"
        or "\0" in name
        or (".." in name and ".." in name.split("/"))
    )
