"""From a path to a plan: which members are patches, and what is known of each.

``open_source`` looks at the path (zip, tar, folder, CSV, Parquet, npz, IDX or HDF5), detects the
layout and gives a Plan (encoded images, any order, several threads) or an ArrayPlan (blocks of an
array, in order).
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eosin.errors import ImageError, SourceError
from eosin.sources import arrays, listings, readings
from eosin.sources.archives import MAX_BYTES, Files
from eosin.sources.arrays import ArrayPlan
from eosin.sources.layouts import (
    LAYOUTS,
    TABLES,
    Entry,
    Layout,
    detect_layout,
    find_layout,
    natural_key,
    plainly,
)
from eosin.sources.levels import parse_levels
from eosin.sources.listings import Listing
from eosin.sources.members import (
    has_image_suffix,
    is_image_name,
    is_slide,
    is_unsafe,
    own_folders,
)
from eosin.sources.names import CasePattern
from eosin.sources.openers import Records, is_archive, open_files
from eosin.sources.parquet import has_images
from eosin.sources.plans import Plan, archive_notes, plan_of
from eosin.sources.tables import check_choice
from eosin.sources.trees import TreeLayout
from eosin.texts import is_special

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
    table: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> Plan | ArrayPlan:
    """List the patches at a path.

    source: a zip, tar, folder, CSV, Parquet, npz, IDX or HDF5 file. layout: a name of ``LAYOUTS``,
    or None to detect it. include: glob patterns of member paths or file names to keep. levels: what
    each level of folders is, such as "part/label/case" (``eosin.sources.levels``), or None to find
    it. case_pattern: a regular expression with one group, the case, that is searched in file names
    (``CasePattern``). scratch: a folder for the temporary files that a gzipped HDF5 file and a
    packed zip inside of a zip need, or a packed tar. max_bytes: the most bytes of a member. table:
    the table that lists the images, a member of the source or a file. columns: role -> column of
    the table, where its name does not decide.

    Raises SourceError for a source that is missing, unknown or damaged, or has no patches, or can
    be read in several ways.
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
    if is_special(source):
        raise SourceError(f"{source} is a pipe or a device; save its content as a file first")
    if (source / "store.json").is_file():
        raise SourceError(f"{source} is already a packed store; pack makes one from images")
    kind = _kind(source) if chosen is None else chosen.name
    columns = columns or {}
    if kind in ("idx", "medmnist", "pcam", "hdf5"):
        for option, used in (("--include", include), ("--case-pattern", cases),
                             ("--table", table), ("--column", columns)):  # fmt: skip
            if used:
                raise SourceError(f"{option} is for image files; layout {kind} has arrays")
        return arrays.open_arrays(source, LAYOUTS[kind], scratch=scratch)
    if kind == "manifest" and not source.is_dir() and not is_archive(source):
        if table is not None:
            raise SourceError(f"{source} is a table itself; leave out --table {table}")
        listing = listings.listing_of_file(source, columns, max_bytes=max_bytes)
        return _from_listing(source, listing, LAYOUTS["manifest"], include, cases)
    files, records = open_files(
        source, scratch=scratch, max_bytes=max_bytes, column=columns.get("path")
    )
    try:
        if records is not None and table is None and chosen in (None, records.layout):
            return _from_records(source, files, records, columns, include, cases)
        return _from_files(source, files, chosen, include, table, columns, levels, cases)
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
    cases: CasePattern | None,
) -> Plan:
    check_choice(columns, list(records.table.columns), str(source))
    listing = listings.listing_of(
        records.table, files, listings.Images(files.names), {**columns, "path": records.path}
    )
    if listing is None:
        raise listings.no_table(str(source), records.table, (*columns, "path"))
    listing.notes += records.notes
    return _from_listing(source, listings.finished(listing), records.layout, include, cases)


def _from_files(
    source: Path,
    files: Files,
    chosen: Layout | None,
    include: Sequence[str],
    table: str | Path | None,
    columns: Mapping[str, str],
    levels: str | None,
    cases: CasePattern | None,
) -> Plan:
    """By a table in the source where one explains the images, else by their paths."""
    manifest = LAYOUTS["manifest"]
    if chosen is not None and chosen.name in TABLES and chosen != manifest:
        raise SourceError(f"{source} is not of layout {chosen.name}: {chosen.about}")
    if table is not None:
        if chosen is not None and chosen != manifest:
            raise SourceError(f"choose one of --table {table} and --layout {chosen.name}")
        listing = listings.table_in(
            table, files, columns, _classes(_by_paths(source, files, include, levels, cases)[0])
        )
        return _from_listing(source, listing, manifest, include, cases)
    if chosen is not None and chosen != manifest:
        if columns:
            raise SourceError(f"--column is for tables; layout {chosen.name} has none")
        plan = _from_paths(source, files, chosen, include, levels, cases)
        if levels is not None:
            _add_cases(plan, readings.tables_in(files, {}, _classes(plan))[0])
        return plan
    by_paths, failed = None, None
    if chosen is None:
        by_paths, failed = _by_paths(source, files, include, levels, cases)
    folders = _classes(by_paths)
    tables, wrong, others, lacking = readings.tables_in(
        files, columns, {} if by_paths is None or by_paths.layout.classes else folders
    )
    if not tables:
        if wrong and not folders:
            raise SourceError(wrong[0])
        if by_paths is not None and not columns:
            by_paths.notes += [
                *(f"a table is not used: {each}" for each in [*wrong, *lacking]),
                *others,
            ]
            return by_paths
        reasons = [*lacking, *others][:2]
        if not failed or columns:
            reasons = reasons or ["there is no table that lists the images by path and label"]
            raise SourceError(f"{source}: {'; '.join(reasons)}")
        if not reasons:
            raise failed
        texts = ["; ".join(reasons), f"By its paths: {failed}"]
        if "--levels" in str(failed):  # a question that can be answered comes first
            texts = [str(failed), f"A table: {texts[0]}"]
        raise SourceError(". ".join(texts))
    taken = readings.choose(
        source, tables, folders, by_paths.layout.name if by_paths else "",
        cases=by_paths is not None and all(by_paths.columns["case"]),
    )  # fmt: skip
    notes = [*(f"a table is not used: {each}" for each in wrong), *others]
    if taken is None and by_paths is not None and not columns:
        names = ", ".join(made.name for made in tables)
        notes.append(f"{names}: the same classes as the folders, which have the cases")
        by_paths.notes += notes
        return by_paths
    taken = taken or tables[0]
    taken.notes += notes
    return _from_listing(source, listings.finished(taken), manifest, include, cases)


def _by_paths(
    source: Path,
    files: Files,
    include: Sequence[str],
    levels: str | None,
    cases: CasePattern | None,
) -> tuple[Plan | None, SourceError | None]:
    """What the paths say, or why they say nothing."""
    try:
        return _from_paths(source, files, None, include, levels, cases), None
    except SourceError as error:
        return None, error


def _classes(by_paths: Plan | None) -> dict[int, str]:
    """The class of each image by its path; none where all are of one that no layout defines."""
    if by_paths is None or not (by_paths.layout.classes or len(by_paths.classes) > 1):
        return {}
    labels = (by_paths.classes[label] for label in by_paths.columns["label"])
    return dict(zip(by_paths.members, labels, strict=True))


def _add_cases(by_paths: Plan, tables: Sequence[Listing]) -> None:
    """The cases of a table, where the paths have none."""
    for table in tables:
        known = {row.member: row.entry.case for row in table.rows if row.entry.case}
        if not any(by_paths.columns["case"]) and set(by_paths.members) <= known.keys():
            by_paths.columns["case"] = [known[member] for member in by_paths.members]
            column = table.roles.columns["case"]
            by_paths.notes.append(f"the cases are those of {table.name} ({plainly(column)})")


def _from_listing(
    source: Path,
    listing: Listing,
    layout: Layout,
    include: Sequence[str],
    cases: CasePattern | None,
) -> Plan:
    names, keep = listing.files.names, _filter(include)
    kept = [row for row in listing.rows if keep(names[row.member])]
    if not kept and not listing.rejects:
        raise SourceError(
            f"{source} lists no images" + (" that --include keeps" if include else "")
        )
    entries = [(names[row.member], row.member, row.entry) for row in kept]
    plan = plan_of(layout, listing.files, entries, cases)
    plan.rejects += [(name, why) for name, why in listing.rejects if keep(name)]
    plan.excluded = len(listing.rows) - len(kept)
    plan.made_up = any(name.rpartition("/")[2] == MADE_UP for name in names)
    plan.notes = [*listing.files.notes, *listing.notes, *plan.notes]
    plan.table = listing.info()
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
    keep, own, own_images = _filter(include), own_folders(files.names), 0
    slides = []
    for i, name in enumerate(files.names):
        if own and name.startswith(own):
            own_images += has_image_suffix(name)
            ignored += 1
        elif not is_image_name(name):
            file = name.rpartition("/")[2]
            made_up = made_up or file == MADE_UP
            slides += [name] if is_slide(name) else []
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
    if own_images:
        many = "s" * (own_images != 1)
        notes.append(f"left out: {own_images:,} image{many} in folders of eosin ({own[0]}, ...)")
    if hidden:
        notes.append(
            f"left out: {hidden.total():,} hidden image{'s' * (hidden.total() > 1)} or thumbnails "
            f"(in {plainly(', '.join(sorted(hidden)[:3]))})"
        )
    if slides:
        notes.append(
            f"whole slides are not read (here {len(slides):,}, such as {plainly(slides[0])}): "
            "export their tiles, or label patches of them with --annotations"
        )
    if not candidates and not rejects:
        hint = f"{excluded} left out by --include" if excluded else f"{ignored} other files"
        more = f"; {notes[-1]}" if slides else ""
        raise SourceError(
            f"{source} contains no images (suffixes .png, .jpg, .tif, ...; {hint}){more}"
        )
    candidates.sort()
    layout = chosen or detect_layout([name for _, name, _ in candidates]) or LAYOUTS["folders"]
    tree: TreeLayout | None = None
    parse = layout.parse
    if parse is None:
        names = [name for _, name, _ in candidates if not is_unsafe(name)]
        tree = _tree(source, names or [name for name, _ in rejects], levels, cases)
        parse = tree.parse
        notes += tree.notes
    entries: list[tuple[str, int, Entry]] = []
    for _, name, i in candidates:
        try:
            if is_unsafe(name):
                raise ImageError("unsafe name: an absolute path or one with ..")
            if tree is not None and name in tree.left_out:
                ignored += 1
                continue
            entry = parse(name)
            if entry is None:
                raise ImageError(
                    f"unknown name: it is not below a folder of a label (levels {tree.levels})"
                    if tree
                    else f"unknown name: it does not follow layout {layout.name}"
                )
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
