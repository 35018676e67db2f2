"""The leakage audit: what the parts of a split share, and what they should not.

A leak is a case on both sides, the same or nearly the same picture on both sides, or two patches
that touch each other on a slide and are on both sides. Labels that contradict each other are a
warning, consecutive case numbers a hint. No audit sees everything: nothing in an archive ties a
case to a patient, and a picture moved by a few pixels is found only where its position is known.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np

from eosin.data.grid import Rows, field_px, positions, slide_numbers
from eosin.data.store import PatchStore
from eosin.errors import LeakError
from eosin.splitting.balance import Codes
from eosin.splitting.copies import near_pairs, numbered
from eosin.splitting.fingerprints import Fingerprints, fingerprints, same_pictures
from eosin.splitting.split_file import PARTS, Split, another_split, first_names
from eosin.splitting.splits import UNKNOWN_CASES

Severity = Literal["leak", "warning", "hint"]
Parts = Mapping[str, Rows]

_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One kind of thing that the parts share."""

    #: shared-cases, exact-copies, near-copies, touching, label-conflicts, unknown-cases,
    #: consecutive-cases.
    kind: str
    severity: Severity
    #: Cases for the kinds that are about cases, else patches (pictures for label-conflicts).
    count: int
    sentence: str
    #: Count by pair of parts, such as {"train-test": 12}.
    pairs: Mapping[str, int] = field(default_factory=dict)
    #: Pairs of rows of the store's index; empty where the finding is about names.
    examples: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class AuditResult:
    """Everything an audit found, leaks first."""

    findings: tuple[Finding, ...]
    #: Patches looked at, by part.
    compared: Mapping[str, int]
    #: Patches of one plain color, which no copy search looks at.
    flat: int
    #: Patches with too little picture for the search of near copies (flat ones included).
    sparse: int

    @property
    def leaking(self) -> bool:
        """Whether any finding is a leak."""
        return any(finding.severity == "leak" for finding in self.findings)

    @property
    def verdict(self) -> Literal["leak", "unknown", "none"]:
        """A leak; or none found but cases unknown, so that nothing excludes one; or none found."""
        unknown = any(finding.kind == "unknown-cases" for finding in self.findings)
        return "leak" if self.leaking else "unknown" if unknown else "none"

    @property
    def marks(self) -> tuple[str, ...]:
        """Sentences that every output made with a leaking split must carry."""
        return tuple(
            f"leak: {finding.sentence}" for finding in self.findings if finding.severity == "leak"
        )

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {
            "leaking": self.leaking, "verdict": self.verdict, **asdict(self),
            "marks": list(self.marks),
        }  # fmt: skip


def audit(store: PatchStore, split: Split, *, fold: int | None = None) -> AuditResult:
    """Search the parts of a split for what they share; what is left out is not looked at.

    fold: for a split into folds, the one to test on.
    Raises SplitError when the split does not belong to the store or the fold does not exist.
    """
    parts = {name: rows for name, rows in split.parts(store, fold).items() if len(rows)}
    rows = np.concatenate([np.zeros(0, np.int64), *parts.values()])
    part_of = np.full(len(store), -1, np.int16)
    for name, members in parts.items():
        part_of[members] = PARTS.index(name)
    prints = fingerprints(store, rows)
    groups = same_pictures(store, prints)
    findings = (
        shared_cases(store, parts),
        exact_copies(groups, part_of),
        near_copies(store, prints, groups, part_of),
        touching(store, parts, part_of),
        label_conflicts(store, groups),
        unknown_cases(store, parts),
        consecutive_cases(store, parts),
    )
    return AuditResult(
        findings=tuple(filter(None, findings)),
        compared={name: len(members) for name, members in parts.items()},
        flat=int(prints.flat.sum()),
        sparse=int(prints.sparse.sum()),
    )


def refuse_leak(
    result: AuditResult, store: PatchStore, split: Split, *, fold: int | None, allow_leaks: bool
) -> None:
    """Raise LeakError where an audit found a leak, with commands that show and avoid it.

    Not for the scheme ``patch``, which is known to leak and marked, nor with ``allow_leaks``.
    """
    if not result.leaking or split.scheme == "patch" or allow_leaks:
        return
    leaks = [finding.sentence for finding in result.findings if finding.severity == "leak"]
    name = shlex.quote(str(store.path))
    looked = "" if fold is None else f" --fold {fold}"
    see = f"see: eosin audit {name} {shlex.quote(str(split.path))}{looked}; " if split.path else ""
    raise LeakError(
        f"the split leaks: {'; '.join(leaks)}; {see}{another_split(store)}; to go on with "
        "this one, add --allow-leaks: every output is then marked"
    )


def shared_cases(store: PatchStore, parts: Parts) -> Finding | None:
    """Cases with patches in more than one part."""
    cases = {name: set(store.cases[rows].tolist()) - {""} for name, rows in parts.items()}
    pairs = {
        f"{one}-{other}": count
        for one, other in combinations(cases, 2)
        if (count := len(cases[one] & cases[other]))
    }
    every_case: set[str] = set().union(*cases.values())
    shared = [case for case in every_case if sum(case in part for part in cases.values()) > 1]
    if not shared:
        return None
    sentence = (
        f"{len(shared):,} of {len(every_case):,} cases are in more than one part: "
        f"{first_names(shared)}"
    )
    return Finding("shared-cases", "leak", len(shared), sentence, pairs)


def exact_copies(groups: Sequence[Rows], part_of: Codes) -> Finding | None:
    """Patches whose picture, turned or not, is in another part as well."""
    pairs = [
        (row, other)
        for group in groups
        if len(set(part_of[group].tolist())) > 1
        for row, other in _across(group.tolist(), part_of)
    ]
    return _copies("exact-copies", "the same pixels as one of", pairs, part_of)


def near_copies(
    store: PatchStore, prints: Fingerprints, groups: Sequence[Rows], part_of: Codes
) -> Finding | None:
    """Patches that look like one of another part: close hashes, then pixels that correlate.

    A patch is done with the first such picture of a part; how many more there are is not counted.
    """
    exact = numbered(groups, len(store))
    busy = np.flatnonzero(~prints.sparse)
    where = part_of[prints.rows[busy]]
    pairs: list[tuple[int, int]] = []
    for early, late in combinations(sorted(set(where.tolist())), 2):
        found = near_pairs(store, prints, exact, busy[where == late], busy[where == early])
        pairs += zip(*(rows.tolist() for rows in found), strict=True)
    return _copies("near-copies", "nearly the same picture as one of", pairs, part_of)


def touching(store: PatchStore, parts: Parts, part_of: Codes) -> Finding | None:
    """Patches that touch or overlap a patch of another part on the same slide."""
    from scipy.spatial import cKDTree

    x, y, known = positions(store)
    known = known & ((store.index["slide"] != "") | (store.index["case"] != "")).to_numpy()
    if not known.any():
        return None
    slide = slide_numbers(store)
    reach = field_px(store)
    apart = 4.0 * reach + np.ptp(x) + np.ptp(y)
    points = np.stack([slide * apart, x, y], axis=1)
    members = {name: rows[known[rows]] for name, rows in parts.items()}
    pairs: list[tuple[int, int]] = []
    for early, late in combinations(members, 2):
        on_both = np.intersect1d(slide[members[early]], slide[members[late]])
        table, query = (
            part[np.isin(slide[part], on_both)] for part in (members[early], members[late])
        )
        if not len(on_both):
            continue
        distance, nearest = cKDTree(points[table]).query(
            points[query], p=np.inf, distance_upper_bound=reach * 1.0001
        )
        close = np.isfinite(distance)
        pairs += zip(query[close].tolist(), table[nearest[close]].tolist(), strict=True)
    return _copies("touching", "a neighbor on the slide in", pairs, part_of)


def label_conflicts(store: PatchStore, groups: Sequence[Rows]) -> Finding | None:
    """Pictures that are in the parts with two different labels."""
    bad = [group for group in groups if len(set(store.labels[group].tolist())) > 1]
    if not bad:
        return None
    examples = []
    for group in bad[:_EXAMPLES]:
        labels = store.labels[group]
        other = group[labels != labels[0]][0]
        examples.append((int(group[0]), int(other)))
    verb = "has" if len(bad) == 1 else "have"
    sentence = f"{_counted('picture', len(bad))} {verb} two labels for the same pixels"
    return Finding("label-conflicts", "warning", len(bad), sentence, {}, tuple(examples))


def unknown_cases(store: PatchStore, parts: Parts) -> Finding | None:
    """Patches whose case the source does not give, where there is more than one part."""
    count = sum(int((store.cases[rows] == "").sum()) for rows in parts.values())
    if not count or len(parts) < 2:
        return None
    return Finding("unknown-cases", "warning", count, UNKNOWN_CASES)


def consecutive_cases(store: PatchStore, parts: Parts) -> Finding | None:
    """Case numbers that follow each other across parts: they may be of one patient."""
    part_of: dict[tuple[str, int], set[str]] = {}
    for name, rows in parts.items():
        for case in set(store.cases[rows].tolist()):
            match = re.fullmatch(r"(.*?)(\d{1,15})", case)
            if match:
                part_of.setdefault((match[1], int(match[2])), set()).add(name)
    pairs = [
        (prefix, number)
        for prefix, number in sorted(part_of)
        if (prefix, number + 1) in part_of
        and len(part_of[prefix, number] | part_of[prefix, number + 1]) > 1
    ]
    if not pairs:
        return None
    shown = first_names([f"{prefix}{number}/{number + 1}" for prefix, number in pairs])
    verb = "is" if len(pairs) == 1 else "are"
    sentence = (
        f"{_counted('pair', len(pairs))} of consecutive case numbers {verb} in different parts and "
        f"may be of one patient: {shown}"
    )
    return Finding("consecutive-cases", "hint", len(pairs), sentence)


def _across(group: Sequence[int], part_of: Codes) -> list[tuple[int, int]]:
    """Every row of a group with one row of each earlier part."""
    first: dict[int, int] = {}
    for row in group:
        first.setdefault(int(part_of[row]), row)
    return [
        (row, other) for row in group for part, other in first.items() if part < int(part_of[row])
    ]


def _copies(
    kind: str, what: str, pairs: Sequence[tuple[int, int]], part_of: Codes
) -> Finding | None:
    """A finding from pairs (row of a later part, row of an earlier part)."""
    if not pairs:
        return None
    by_parts: dict[tuple[int, int], set[int]] = {}
    for row, other in pairs:
        by_parts.setdefault((int(part_of[other]), int(part_of[row])), set()).add(row)
    phrases = [
        f"{_counted('patch', len(rows))} of {PARTS[late]} {'has' if len(rows) == 1 else 'have'} "
        f"{what} {PARTS[early]}"
        for (early, late), rows in sorted(by_parts.items())
    ]
    count = len({row for row, _ in pairs})
    examples = tuple(sorted(set(pairs))[:_EXAMPLES])
    counts = {f"{PARTS[a]}-{PARTS[b]}": len(rows) for (a, b), rows in sorted(by_parts.items())}
    return Finding(kind, "leak", count, "; ".join(phrases), counts, examples)


def _counted(noun: str, count: int) -> str:
    """The noun with its number: "1 patch", "2,000 patches"."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{ending}"
