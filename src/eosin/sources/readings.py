"""The tables in a source, and which of them, or of its folders, says what the images are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from eosin.errors import ImageError, SourceError
from eosin.sources.archives import Files
from eosin.sources.arrays import part_of
from eosin.sources.layouts import plainly
from eosin.sources.listings import (
    Images,
    Listing,
    images_of,
    is_table,
    listing_of,
    no_table,
    nothing_listed,
    read_table,
)
from eosin.sources.members import own_folders
from eosin.sources.tables import agree, check_choice

#: A source with more tables than this is not one that a table describes.
_MOST_TABLES = 200


def tables_in(
    files: Files, chosen: Mapping[str, str], labels: Mapping[int, str]
) -> tuple[list[Listing], list[str], list[str], list[str]]:
    """(listings that explain images, tables that would and are wrong, why others are not used, and
    what those lack that have images and no labels).

    labels: the class of each image by its folder, for a table that has the cases alone.
    A table explains images where at least half of its paths are images. Tables of equal columns
    for different parts (train.csv, test.csv) are one listing.
    """
    own = own_folders(files.names)
    numbers = [
        i
        for i, name in enumerate(files.names)
        if is_table(name) and not (own and name.startswith(own))
    ]
    listings: list[Listing] = []
    wrong: list[str] = []
    others: list[str] = []
    lacking: list[str] = []
    known: dict[str, None] = {}
    if len(numbers) > _MOST_TABLES:
        return [], [], [f"{len(numbers)} tables are not looked at; choose one with --table"], []
    images = images_of(files) if numbers else Images(())
    for i in numbers:
        name = files.names[i]
        try:
            table = read_table(files, i)
        except (SourceError, ImageError) as error:
            others.append(f"the table {name} is not used: {plainly(error)}")
            continue
        known |= dict.fromkeys(table.columns)
        try:
            made = listing_of(table, files, images, chosen, labels)
        except SourceError as error:
            wrong.append(str(error))
            continue
        if made is None or not made.rows:
            if made is not None:
                lacking.append(nothing_listed(made))
            elif not len(table) or any(
                isinstance(images.find(value.replace("\\", "/")), int)
                for values in table.columns.values()
                for value in values[:20]
            ):
                lacking.append(str(no_table(name, table, chosen)))
            continue
        if re.search("submission|predict", name.rpartition("/")[2], re.I):
            others.append(
                f"the table {name} is not used: its labels are answers or places for them; "
                f"--table {name} takes it"
            )
        elif 2 * len(made.rows) < made.paths:
            others.append(
                f"the table {name} is not used: {len(made.rows):,} of its {made.paths:,} images "
                f"are here; choose it with --table {name}"
            )
        else:
            listings.append(made)
    if chosen:
        check_choice(chosen, list(known), f"the tables of {files.path}")
    return _joined(listings), wrong, others, lacking


def _joined(listings: list[Listing]) -> list[Listing]:
    """Tables of equal columns, each for another part, as one."""
    groups: dict[tuple[str, ...], list[Listing]] = {}
    for made in listings:
        groups.setdefault((*made.roles.columns.values(), *made.roles.unused), []).append(made)
    joined = []
    for group in groups.values():
        parts = [part_of(made.name) for made in group]
        images = [row.member for made in group for row in made.rows]
        if len(group) == 1 or len({*parts, ""}) <= len(parts) or len(set(images)) < len(images):
            joined += group
            continue
        one = replace(
            group[0], name=", ".join(made.name for made in group), rows=[],
            rejects=[reject for made in group for reject in made.rejects],
            notes=list(dict.fromkeys(note for made in group for note in made.notes)),
            paths=sum(made.paths for made in group),
            mentioned=set().union(*(made.mentioned for made in group)),
        )  # fmt: skip
        for part, made in zip(parts, group, strict=True):
            one.rows += [
                row._replace(entry=row.entry._replace(part=row.entry.part or part))
                for row in made.rows
            ]
        joined.append(one)
    return joined


def choose(
    source: Path, listings: list[Listing], folders: Mapping[int, str], layout: str, *, cases: bool
) -> Listing | None:
    """The table to take; SourceError with all readings where that is open.

    folders: the class of each image by its path, empty where paths say nothing; layout: its name;
    cases: whether the paths also give the case. Of tables that agree the one that says most is
    taken, and a table that agrees with the folders before them where it adds the case; None for
    the folders, where they have it and no table does.
    """
    best = next((a for a in listings if all(_covers(a, b) for b in listings)), None)
    if best is not None:
        for other in listings:
            if other is not best:
                best.notes.append(f"{other.name} says the same as {best.name} or less")
        labels = best.labels()
        if not folders:
            return best
        if folders.keys() <= labels.keys() and agree(
            [labels[i] for i in folders], list(folders.values())
        ):
            if cases and "case" not in best.roles.columns:
                return None
            best.notes.append(f"the folders of {source.name} have the same classes as {best.name}")
            return best
    ways = [str(made) for made in listings]
    options = [
        "--layout manifest" if ", " in made.name and len(listings) == 1 else f"--table {made.name}"
        for made in listings
        if ", " not in made.name or len(listings) == 1
    ]
    if folders:
        classes = sorted(set(folders.values()))
        shown = plainly(", ".join(classes[:4])) + (", ..." if len(classes) > 4 else "")
        ways.append(f"the folders ({len(folders):,} images; {len(classes)} classes: {shown})")
        options.append(f"--layout {layout}")
    raise SourceError(
        f"{source} can be read in {len(ways)} ways: {'; '.join(ways)}. Choose one with "
        f"{' or '.join(options)}"
    )


def _covers(a: Listing, b: Listing) -> bool:
    """Whether a says of its images at least what b says of them."""
    if a is b:
        return True
    first = {row.member: row.entry for row in a.rows}
    if not (
        b.roles.columns.keys() <= a.roles.columns.keys()
        and all(row.member in first for row in b.rows)
    ):
        return False
    pairs = [(first[row.member], row.entry) for row in b.rows]
    roles = [role for role in ("label", "case", "slide") if role in b.roles.columns]
    same = all(
        agree([getattr(x, role) for x, _ in pairs], [getattr(y, role) for _, y in pairs])
        for role in roles
    )
    return same and (
        len(a.rows) > len(b.rows)
        or len(a.roles.columns) > len(b.roles.columns)
        or a.labels() == b.labels()
        or not all(label.isdigit() for label in a.labels().values())
    )
