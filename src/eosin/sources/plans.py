"""A plan: the images that are packed, with what is known of each, in their final order."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from eosin.errors import ImageError, SourceError
from eosin.sources.archives import Files
from eosin.sources.layouts import TABLES, Entry, Layout, magnification, natural_key, plainly
from eosin.sources.names import CasePattern, one_spelling

#: A class of so many patches that is spelled as another one is asked about.
_MANY_PATCHES = 20


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
    #: How levels and cases were read, where the layout alone does not tell.
    reading: dict[str, Any] | None = None
    #: What store.json keeps of the table, where the source has one.
    table: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.members)

    def close(self) -> None:
        """Close the source."""
        self.files.close()


def plan_of(
    layout: Layout,
    files: Files,
    entries: list[tuple[str, int, Entry]],
    cases: CasePattern | None = None,
    *,
    remedy: str = "write them alike in the table",
) -> Plan:
    """A plan of the members that are patches: (path, number in ``files``, what is known of it).

    cases: how the paths give the case, in place of what is known of it. remedy: what to do where
    two spellings of one class have many patches each, or "" if they are one in any case.
    Raises SourceError for such spellings, and for too many classes.
    """
    entries = _readable(entries)
    rejects: list[tuple[str, str]] = []
    if cases is not None:
        entries = _with_cases(entries, cases, rejects)
    notes: list[str] = []
    if layout.classes is None:
        labels = _spellings("class", Counter(e.label for _, _, e in entries), files, notes, remedy)
        named = _spellings("case", Counter(e.case for _, _, e in entries), files, notes, "")
        if any(name != one for name, one in [*labels.items(), *named.items()]):
            entries = [
                (name, i, entry._replace(label=labels[entry.label], case=named[entry.case]))
                for name, i, entry in entries
            ]
        classes = sorted(set(labels.values()), key=natural_key)
    else:
        classes = list(layout.classes)
    if len(classes) > 32_767:
        raise SourceError(f"{len(classes)} classes; a store has 32,767 at most")
    number = {name: k for k, name in enumerate(classes)}
    columns: dict[str, list[Any]] = {"label": [number[entry.label] for _, _, entry in entries]}
    by_field = list(zip(*(entry for _, _, entry in entries), strict=True)) or [()] * 7
    for name, values in zip(Entry._fields[1:], by_field[1:], strict=True):
        columns[name] = list(values)
    columns["source"] = [name for name, _, _ in entries]
    plan = Plan(layout, files, classes, columns, [i for _, i, _ in entries], rejects=rejects)
    plan.notes = notes
    first: dict[tuple[str, ...], int] = {}
    if layout.name not in TABLES:
        for k, (name, _, entry) in enumerate(entries):
            if entry.case:
                # A copy in another part or with another label is no second copy but a leak.
                key = (
                    entry.case,
                    entry.label,
                    entry.part,
                    entry.slide,
                    name[name.rfind("/") + 1 :],
                )
                original = first.setdefault(key, k)
                if original != k:
                    plan.twins[k] = original
    if cases is not None:
        count = len(set(columns["case"]))
        text = f"{count:,} case{'s' * (count != 1)} by --case-pattern"
        plan.reading = {
            "levels": None,
            "case_pattern": cases.text,
            "text": f"{layout.name}: {text}",
        }
        if len(entries) > 20 and 2 * count > len(entries):
            plan.notes.append(
                f"{text} for {len(entries):,} images: if it takes more than the case, patches of "
                "one case come into several parts of a split"
            )
    return plan


def _with_cases(
    entries: list[tuple[str, int, Entry]], cases: CasePattern, rejects: list[tuple[str, str]]
) -> list[tuple[str, int, Entry]]:
    """The entries with cases by a pattern; those it does not fit are rejects."""
    kept = []
    for name, i, entry in entries:
        try:
            kept.append((name, i, entry._replace(case=cases.case_of(name))))
        except ImageError as error:
            rejects.append((name, str(error)))
    return kept


def _spellings(
    what: str, counts: Counter[str], files: Files, notes: list[str], remedy: str
) -> dict[str, str]:
    """Each name -> its one spelling, with a note; SourceError where both may be meant."""
    spelled = one_spelling(counts)
    groups: dict[str, list[str]] = {}
    for name, _ in counts.most_common():
        groups.setdefault(spelled[name], []).append(name)
    several = [names for names in groups.values() if len(names) > 1]
    for number, names in enumerate(several):
        shown = " and ".join(f"{plainly(repr(name), 60)} ({counts[name]:,})" for name in names[:4])
        if remedy and counts[names[1]] >= _MANY_PATCHES:
            raise SourceError(
                f"{files.path}: the classes {shown} differ in spelling alone and have many patches "
                f"each: {remedy}"
            )
        if number < 5:
            notes.append(f"{shown} are one {what}, {plainly(spelled[names[0]], 60)}")
    if len(several) > 5:
        notes.append(f"{len(several) - 5} further names in several spellings are one {what} each")
    return spelled


def archive_notes(plan: Plan) -> list[str]:
    """What is known of an archive and of no single file; a part that all patches have is dropped.

    Raises SourceError where the source has each patch twice.
    """
    notes, layout, columns = [], plan.layout, plan.columns
    if len(set(columns["part"])) == 1:
        columns["part"] = [""] * len(columns["part"])
    names = columns["source"]
    if layout.name == "nct-crc":
        plain = [name for name in names if "NONORM" not in name.upper() and "CRC-VAL" not in name]
        if 0 < len(plain) < sum("CRC-VAL" not in name for name in names):
            raise SourceError(
                f"{plan.files.path}: NCT-CRC-HE-100K and its NONORM twin have the same patches in "
                "other colors; keep one: --include '*NONORM*' --include '*CRC-VAL*'"
            )
    if layout.name == "breakhis":
        values = sorted({magnification(name) for name in names}, key=natural_key)
        if len(values) > 1:
            shown = ", ".join(f"{value}x" for value in values)
            notes.append(
                f"magnifications {shown} are mixed; keep one with --include '*-{values[0]}-*'"
            )
        slides: dict[str, set[str]] = {}
        for case, slide in zip(columns["case"], columns["slide"], strict=True):
            slides.setdefault(case, set()).add(slide)
        several = [", ".join(sorted(each)) for each in slides.values() if len(each) > 1]
        if several:
            notes.append(
                f"letters behind one number are one case: {'; '.join(several[:3])}"
                f"{'; ...' * (len(several) > 3)} ({len(several)} cases)"
            )
    return notes


def readable(name: str) -> str:
    """A name in UTF-8; a file system may give bytes that are not, and nothing could write them.

    >>> readable("P" + chr(0xDCE9))
    'P\\\\udce9'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def _readable(entries: list[tuple[str, int, Entry]]) -> list[tuple[str, int, Entry]]:
    """The entries with readable names, and what was taken from these."""
    with contextlib.suppress(UnicodeEncodeError):
        "".join(name for name, _, _ in entries).encode()
        return entries
    words = ("label", "case", "part", "slide", "subtype")

    def renamed(entry: Entry) -> Entry:
        changed: dict[str, Any] = {word: readable(getattr(entry, word)) for word in words}
        return entry._replace(**changed)

    return [(readable(name), i, renamed(entry)) for name, i, entry in entries]
