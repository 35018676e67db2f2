"""What each level of a tree of folders stands for: part, label, case, slide, or nothing.

Levels are told apart by what they hold. A few names that repeat under many others are labels, many
that do not are cases; train and test are parts; images, tiles and 40X divide nothing. Where two
readings fit, none is taken: the message shows them with their counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from eosin.errors import SourceError
from eosin.sources.evidence import options_of, sizes_of
from eosin.sources.layouts import Entry, natural_key, plainly
from eosin.sources.likeness import (
    MOST_CLASSES,
    Likeness,
    kind_of_level,
    likeness,
    part_of,
    stray_names,
    why_left_out,
)
from eosin.sources.names import folded, patient

ROLES = ("part", "label", "case", "slide", "subtype", "*")

#: Several classes of fewer patches than this are asked about.
HANDFUL = 10

#: A reading is taken where its evidence is above that of all others by so much.
_MARGIN = 1.5
_MOST_LEVELS = 12

#: Path of a folder -> the names of its levels, or the number of its images.
Rows = Mapping[str, tuple[str, ...]]
Counts = Mapping[str, int]


@dataclass(frozen=True)
class Reading:
    """One way to read the folders: a role for each level below those that all images share."""

    roles: tuple[str, ...]
    #: Patches by class and by part, and the number of cases.
    classes: Mapping[str, int]
    parts: Mapping[str, int]
    cases: int
    #: Patches that no class has.
    without_label: int
    evidence: float = 0.0

    @property
    def levels(self) -> str:
        """As ``--levels`` takes it."""
        return "/".join(self.roles)

    def words(self) -> str:
        """Its counts in words."""
        names = sorted(self.classes, key=natural_key)
        shown = ", ".join(f"{plainly(name, 24)} {self.classes[name]:,}" for name in names[:4])
        text = f"{_counted(len(names), 'class', 'classes')} ({shown}{', ...' * (len(names) > 4)})"
        if "case" in self.roles:
            text += f", {_counted(self.cases, 'case', 'cases')}"
        order = sorted(self.parts, key=lambda part: ("train val test".find(part), part))
        return text + "".join(f", {part} {self.parts[part]:,}" for part in order)


@dataclass
class Tree:
    """The folders of a source by the reading that was taken."""

    reading: Reading
    #: What each folder says of its images.
    entries: dict[str, Entry]
    #: Folders whose images are left out, with the reason.
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_tree(folders: Counts, *, levels: str | None = None) -> Tree:
    """The one reading of a tree that fits.

    folders: path of a folder, with forward slashes and "" for the top -> number of its images.
    levels: the roles to use, such as "part/label/case", or None to find them.
    Raises SourceError where several readings fit or none does, with the readings and their counts.

    >>> tree = read_tree({f"{label}/P{k}": 9 for label in ("benign", "tumor") for k in range(5)})
    >>> tree.reading.levels, tree.entries["tumor/P3"].case
    ('label/case', 'P3')
    """
    roles = None if levels is None else parse_levels(levels)
    rows = {folder: _names_of(folder)[: 4 * _MOST_LEVELS] for folder in folders}
    left_out = {
        folder: why for folder, row in rows.items() for why in map(why_left_out, row) if why
    }
    if len(left_out) == len(rows):
        left_out = {}
    rows = {folder: row for folder, row in rows.items() if folder not in left_out}
    counts = {folder: folders[folder] for folder in rows}
    shared = _shared(rows, counts)
    if roles is not None:
        depths: Counter[int] = Counter()
        for folder, row in rows.items():
            depths[len(row)] += counts[folder]
        shared = max(0, min(shared, depths.most_common(1)[0][0] - len(roles)))
    rows = {folder: row[shared:] for folder, row in rows.items()}
    if roles is None:
        reading, notes = _find(rows, counts)
    else:
        reading, notes = _count(roles, rows, counts), []
        if 2 * reading.without_label > sum(counts.values()):
            raise SourceError(
                f"--levels {levels}: {reading.without_label:,} images are below fewer levels than "
                "that; name each level of folders from the top, without those that all images share"
            )
    tree = Tree(reading, {}, left_out, notes)
    read = _reader(reading.roles)
    for folder, row in rows.items():
        entry = read(row)
        if entry is not None:
            tree.entries[folder] = entry
        elif row and "part" in reading.roles and part_of(row[0]) and kind_of_level(row):
            tree.left_out[folder] = f"in {row[0]} and without a label"
    if "part" in reading.roles:
        level = reading.roles.index("part")
        others = {
            row[level] for row in rows.values() if len(row) > level and not part_of(row[level])
        }
        if others:
            tree.notes.append(
                f"{_list(sorted(others))} on the level of parts is none: its images have no part"
            )
    reasons: Counter[str] = Counter()
    for folder, why in tree.left_out.items():
        reasons[why] += folders[folder]
    tree.notes += [f"left out: {_counted(n, 'image', 'images')} {w}" for w, n in reasons.items()]
    return tree


def parse_levels(text: str) -> tuple[str, ...]:
    """The roles of ``--levels``; raises SourceError for what is none.

    >>> parse_levels("part/label/case")
    ('part', 'label', 'case')
    """
    roles = tuple(role.strip().lower() for role in text.strip().strip("/").split("/"))
    named = [role for role in roles if role != "*"]
    if not set(roles) <= set(ROLES) or "label" not in named or len(set(named)) < len(named):
        raise SourceError(
            f"--levels {plainly(text)!r} is no list of levels: name each level of folders from the "
            "top as label (once), part, case, slide, subtype, or * for one that does not matter, "
            "such as part/label/case"
        )
    return roles


def _names_of(folder: str) -> tuple[str, ...]:
    """The names of a folder's levels; a zip in the source is a folder."""
    names = folder.split("/") if folder else []
    return tuple(name[:-4] if name[-4:].lower() == ".zip" else name for name in names)


def _shared(rows: Rows, counts: Counts) -> int:
    """How many levels from the top all images share, but for a few that lie beside them."""
    shared, most = 0, 0.8 * sum(counts.values())
    while True:
        names = {folded(row[shared]) for row in rows.values() if len(row) > shared}
        deeper = sum(counts[folder] for folder, row in rows.items() if len(row) > shared + 1)
        if len(names) != 1 or deeper < most or kind_of_level(names) == "part":
            return shared
        if likeness(frozenset(names)).case >= 2:  # one case alone
            return shared
        shared += 1


def _reader(roles: Sequence[str]) -> Callable[[Sequence[str]], Entry | None]:
    """What the names of a path's levels mean by these roles; None where it has no label."""
    label, case, slide, part, subtype = (
        roles.index(role) if role in roles else _MOST_LEVELS
        for role in ("label", "case", "slide", "part", "subtype")
    )

    def read(row: Sequence[str]) -> Entry | None:
        depth = len(row)
        if depth <= label or not row[label]:
            return None
        of_case = row[case] if case < depth else ""
        of_slide = row[slide] if slide < depth else ""
        if known := patient(of_case):
            of_case, of_slide = known.case, of_slide or of_case
        return Entry(
            row[label],
            of_case,
            part=part_of(row[part]) if part < depth else "",
            slide=of_slide,
            subtype=row[subtype] if subtype < depth else "",
        )

    return read


def _count(roles: Sequence[str], rows: Rows, counts: Counts, evidence: float = 0.0) -> Reading:
    classes: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    cases: set[str] = set()
    spelled: dict[str, str] = {}
    without = 0
    read = _reader(roles)
    for folder, row in rows.items():
        entry = read(row)
        if entry is None:
            without += counts[folder]
            continue
        classes[spelled.setdefault(folded(entry.label), entry.label)] += counts[folder]
        if entry.part:
            parts[entry.part] += counts[folder]
        if entry.case:
            cases.add(folded(entry.case))
    return Reading(_trimmed(roles), classes, parts, len(cases), without, evidence)


def _trimmed(roles: Sequence[str]) -> tuple[str, ...]:
    """The roles without those at the end that do not matter."""
    return tuple(roles[: max(k for k, role in enumerate(roles) if role != "*") + 1])


def _find(rows: Rows, counts: Counts) -> tuple[Reading, list[str]]:
    """The reading that fits, and notes; SourceError with all readings where it is not one."""
    keys: Counter[tuple[str, ...]] = Counter()
    spelled: dict[str, str] = {}
    for folder, row in rows.items():
        keys[tuple(spelled.setdefault(folded(name), name) for name in row)] += counts[folder]
    levels = [Counter[str]() for _ in range(max(map(len, keys), default=0))]
    for names, count in keys.items():
        for level, name in zip(levels, names, strict=False):
            level[name] += count
    if len(levels) > _MOST_LEVELS:
        raise SourceError(
            f"the folders are {len(levels)} levels deep, and {_MOST_LEVELS} are read; put images "
            "below a folder of their class, or list them in a CSV with path,label,case"
        )
    kinds = [kind_of_level(level) for level in levels]
    for k in range(1, len(levels)):
        if all(names[k] == names[k - 1] for names in keys if len(names) > k):
            kinds[k] = "holder"  # an archive unpacked into a folder of its own name
    if "fold" in kinds and "part" in kinds:
        fold = levels[kinds.index("fold")]
        raise SourceError(
            f"the folders are {len(fold)} folds, each with parts of its own, so an image may be in "
            f"several of them; pack one: --include '*{plainly(min(fold))}/*'"
        )
    like = {
        k: likeness(frozenset(level))
        for k, level in enumerate(levels)
        # One name divides nothing, unless it is that of a case.
        if not kinds[k] and (len(level) > 1 or likeness(frozenset(level)).case >= 2)
    }
    if max((each.label for each in like.values()), default=-1) < 1:
        # The only class there is.
        single = [k for k, kind in enumerate(kinds) if not kind and k not in like]
        named = [k for k in single if likeness(frozenset(levels[k])).label >= 2]
        for k in (named or (single if not like else []))[-1:]:
            like[k] = likeness(frozenset(levels[k]))
    options = sorted(options_of(like, kinds, keys), key=lambda option: -option[1])
    readings = [_count(roles, rows, counts, evidence) for roles, evidence in options[:4]]
    if not readings:
        first = plainly(max(counts, key=lambda folder: counts[folder])) or "no folder"
        raise SourceError(
            f"no level of the folders ({first}) has the names of labels; put the images into one "
            "folder a class, or list them in a CSV with path,label,case"
        )
    best = readings[0]
    label = best.roles.index("label")
    strays = stray_names(levels[label]) if 1 < len(levels[label]) <= MOST_CLASSES else []
    if strays:
        _ask(f"{_list(strays)} on the level of labels may be no label", readings)
    for k, level in enumerate(levels):
        twice = sorted(name for name in level if name in levels[label] and not name.isdigit())
        if twice and k != label and not kinds[k]:
            _ask(f"{_list(twice)} are on several levels of folders", readings)
    if len(readings) > 1 and best.evidence - readings[1].evidence < _MARGIN:
        _ask("the folders can be read in several ways", readings)
    _check(best, like, readings)
    notes = list(_notes(best, levels, kinds))
    case = best.roles.index("case") if "case" in best.roles else 0
    for k in range(case):
        _, cases, pairs = sizes_of(keys, k, case)
        if pairs > cases and kinds[k] != "part":
            upper = sorted(levels[k], key=natural_key)
            notes.append(
                f"a case name that is below several of {_list(upper)} is taken for one case"
            )
    return best, notes


def _check(reading: Reading, like: Mapping[int, Likeness], readings: Sequence[Reading]) -> None:
    """Ask where the only reading is a doubtful one."""
    label = like[reading.roles.index("label")]
    names = sorted(reading.classes, key=natural_key)
    sizes = sorted(reading.classes.values())
    if label.label < 1:
        what = "case numbers" if all(name.isdigit() for name in names) else "cases"
        number = f"{len(names)} folders" if len(names) > 1 else "folder"
        _ask(f"the {number} {_list(names)} look like {what}, not classes", readings)
    case = reading.roles.index("case") if "case" in reading.roles else -1
    if (
        label.case >= 1
        and label.label < 2
        and case > 0
        and like[case].case < 2
        and like[case].label >= 0
        and reading.roles.index("label") < case
    ):
        _ask(f"the folders {_list(names)} may be classes or cases", readings)
    if case >= 0 and reading.cases < 4 and like[case].case < 1.5:
        roles = _trimmed(["*" if role == "case" else role for role in reading.roles])
        _ask(
            f"the level of {reading.cases} names below or above the labels may have cases or not",
            [*readings, replace(reading, roles=roles)],
        )
    if len(names) > MOST_CLASSES:
        _ask(f"the folders give {len(names)} classes ({_list(names)})", readings)
    if label.label < 2 and len(names) > 3 and sizes[len(sizes) // 2] < HANDFUL:
        _ask(f"the folders give {len(names)} classes of a handful of images each", readings)


def _notes(
    reading: Reading, levels: Sequence[Mapping[str, int]], kinds: Sequence[str]
) -> Iterator[str]:
    for k, (level, kind) in enumerate(zip(levels, kinds, strict=True)):
        names = sorted(level, key=natural_key)
        if kind == "fold":
            yield f"the folds {_list(names)} are not kept; eosin split makes folds by case"
        elif kind == "magnification" and len(names) > 1:
            yield (
                f"magnifications {_list(names)} are mixed; keep one with "
                f"--include '*/{plainly(names[0])}/*'"
            )
        elif not kind and len(names) > 1 and (*reading.roles, *"*" * len(levels))[k] == "*":
            yield f"the level of {_list(names)} is not kept"
    if len(reading.classes) == 1:
        yield f"there is one class only, {_list(list(reading.classes))}: a model needs two"


def _ask(why: str, readings: Sequence[Reading]) -> NoReturn:
    choices = "".join(f"--levels '{r.levels}': {r.words()}; " for r in readings)
    raise SourceError(
        f"{why}, so nothing was packed; tell eosin pack what the levels are, * for one that "
        f"does not matter: {choices}or list the images in a CSV with path,label,case"
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(plainly(name, 24) for name in names[:3]) + ", ..." * (len(names) > 3)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
