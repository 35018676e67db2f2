"""What a name says of its patch: case, slide and position, in the forms of tools and archives."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from eosin.errors import ImageError, SourceError
from eosin.sources.layouts import natural_key, plainly


class NameFacts(NamedTuple):
    """What one name says; x, y are level-0 pixels of the patch's top-left corner."""

    case: str
    slide: str = ""
    x: int | None = None
    y: int | None = None
    #: Level-0 pixels a pixel of the patch, where the name has it.
    downsample: float | None = None


class NameForm(NamedTuple):
    """One way to write names of files."""

    #: Words for the reader: "from ...".
    about: str
    read: Callable[[str], NameFacts | None]
    #: Whether two names in this form are enough; otherwise a case must have several patches.
    sure: bool = True


_NUMBER = r"(-?\d{1,12}(?:[.,]\d{1,12})?)"
#: QuPath's region of a tile: [d=4,x=800,y=0,w=200,h=200]; d, z and t where not 1, 0 and 0.
_REGION = re.compile(
    rf"\[(?:d={_NUMBER},)?x={_NUMBER},y={_NUMBER}(?:,[a-z]={_NUMBER}){{0,9}}\][^\[\]/]*"
)
_SLIDE_FILE = re.compile(
    r"(?:\.ome)?\.(?:svs|ndpi|mrxs|scn|bif|vsi|qptiff|czi|tiff?|dcm|zarr)$", re.I
)

#: Identifiers that archives give to patients (the group) and their slides (all of it).
_PATIENTS = {
    "TCGA barcodes": r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?:-[A-Z0-9]+)*",
    "CPTAC identifiers": r"(C3[LN]-\d{5})(?:-\d+)*",
    "GTEx identifiers": r"(GTEX-[A-Z0-9]{4,5})(?:-\d+)*",
    "CAMELYON17 names": r"(patient_\d{3})_node_\d",
    "BRACS names": r"(BRACS_\d+)",
    "Kather 2016 names": r"(CRC-Prim-HE-\d+)(?:_\d+)?",
}
_PATIENT = re.compile(rf"(?<![A-Z0-9])(?:{'|'.join(_PATIENTS.values())})(?![A-Z0-9])", re.I)
_WORDS = "patient|pat|case|subject|subj|slide|wsi|specimen|donor|biopsy|pt"
_NUMBERED = re.compile(
    rf"(?<![A-Za-z0-9])((?:{_WORDS})[-_ .]?\d+|^[ps]\d+)(?![A-Za-z0-9])[^\d]*\d", re.I
)
#: What is behind the name of a slide: a position, or a number alone.
_PLACE = re.compile(r"[-_ ]x[-_= ]?\d+[-_, ]+y[-_= ]?\d+\D{0,40}\.\w+$", re.I)
_COUNT = re.compile(r"([-_ ])\(?\d{1,9}\)?\.\w+$")
#: Names before a position that are no case.
_PLAIN = re.compile(r"(?:patch|tile|img|image|crop|roi|region)e?s?", re.I)
#: A longer name is not looked at.
_LONGEST = 300


def qupath(name: str) -> NameFacts | None:
    """A tile that QuPath wrote, or None.

    >>> qupath("slide_3.svs [d=2,5,x=800,y=0,w=200,h=200].png")
    NameFacts(case='slide_3', slide='slide_3', x=800, y=0, downsample=2.5)
    >>> qupath("slide_3.png") is None
    True
    """
    at = name.rfind("[")
    match = _REGION.fullmatch(name, at) if at >= 0 else None
    if match is None:
        return None
    down, x, y, *_ = match.groups()
    case, slide = _slide(name[:at])
    return NameFacts(case, slide, _position(x), _position(y), _number(down) if down else None)


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _position(text: str) -> int:
    value = int(text if text.isdigit() else _number(text))
    if abs(value) >= 1 << 31:
        raise ImageError(f"impossible position: {text}")
    return value


@lru_cache(maxsize=4096)
def _slide(before: str) -> tuple[str, str]:
    """Case and slide of the name that QuPath has before a region."""
    slide = _SLIDE_FILE.sub("", before.strip())
    known = patient(slide)
    return known.case if known else slide, slide


@lru_cache(maxsize=65_536)
def patient(name: str) -> NameFacts | None:
    """The patient of a name with an identifier that a known archive gave, or None.

    >>> patient("blk-AAAF-TCGA-AZ-6601-01Z-00-DX1.png")
    NameFacts(case='TCGA-AZ-6601', slide='TCGA-AZ-6601-01Z-00-DX1', x=None, y=None, downsample=None)
    """
    match = _PATIENT.search(name)
    return NameFacts(next(filter(None, match.groups())), match[0]) if match else None


def _archives(names: Sequence[str]) -> str:
    """The archive whose identifiers the names have, in words."""
    counts = Counter(
        about
        for name in names
        for about, pattern in _PATIENTS.items()
        if re.search(pattern, name, re.I)
    )
    return counts.most_common(1)[0][0] if counts else ""


def _numbered(name: str) -> NameFacts | None:
    match = _NUMBERED.search(name)
    return NameFacts(match[1]) if match else None


def _placed(name: str) -> NameFacts | None:
    match = _PLACE.search(name)
    before = name[: match.start()].strip("-_ ") if match else ""
    return NameFacts(before) if before and not _PLAIN.fullmatch(before) else None


FORMS = (
    NameForm("QuPath tile names, with x and y", qupath),
    NameForm("", patient),
    NameForm("file names that begin with a patient, case or slide number", _numbered, sure=False),
    NameForm("file names, before x and y", _placed, sure=False),
)


def form_of(paths: Sequence[str]) -> NameForm | None:
    """The form that nine of ten file names have, judged by a sample, or None.

    >>> form_of([f"tumor/patient_{k % 3}_{k}.png" for k in range(9)]).about
    'file names that begin with a patient, case or slide number'
    >>> form_of([f"tumor/patient_{k}.png" for k in range(9)]) is None
    True
    """
    sample = [path[path.rfind("/") + 1 :] for path in paths[:: max(1, len(paths) // 2000)]]
    sample = [name for name in sample if len(name) < _LONGEST]
    for form in FORMS:
        cases: Counter[str] = Counter()
        for name in sample:
            facts = None
            with contextlib.suppress(ImageError):
                facts = form.read(name)
            if facts is not None:
                cases[facts.case] += 1
        if cases.total() < max(1, 0.9 * len(sample)):
            continue
        if form.sure or (len(cases) > 1 and 2 * len(cases) <= len(sample)):
            return form if form.about else form._replace(about=_archives(sample))
    return None


def suggestion(paths: Sequence[str], labels: Sequence[str]) -> str:
    """A sentence where the file names may begin with the case, or "".

    >>> suggestion([f"tumor/A{k % 4}_{k}.png" for k in range(40)], ["tumor"])
    "the file names begin with 4 names (A0, A1, A2, ...): if cases, --case-pattern '^(.+)_'"
    """
    counts: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    for path in paths[:: max(1, len(paths) // 5000)]:
        name = path[path.rfind("/") + 1 :]
        match = _COUNT.search(name) if len(name) < _LONGEST else None
        if match and name[: match.start()].strip("-_ "):
            counts[name[: match.start()]] += 1
            marks[match[1]] += 1
    known = {label.casefold() for label in labels}
    if not 2 <= len(counts) <= counts.total() / 2 or {n.casefold() for n in counts} <= known:
        return ""
    first = ", ".join(plainly(name, 30) for name in sorted(counts, key=natural_key)[:3])
    mark = re.escape(marks.most_common(1)[0][0]).replace("\\ ", " ").replace("\\-", "-")
    return (
        f"the file names begin with {len(counts):,} names ({first}{', ...' * (len(counts) > 3)}): "
        f"if cases, --case-pattern '^(.+){mark}'"
    )


class CasePattern:
    """A regular expression with one group: the case. It is searched in the file name, or in the
    whole path where the pattern contains a slash.

    >>> CasePattern(r"^(\\w+?)_").case_of("tumor/P7_12.png")
    'P7'

    Raises SourceError for a pattern that is none or does not have one group.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise SourceError(
                f"--case-pattern {plainly(text)!r} is not a regular expression: {error}"
            ) from None
        if self._pattern.groups != 1:
            raise SourceError(
                f"--case-pattern {plainly(text)!r} has {self._pattern.groups} groups; it needs "
                "one, in parentheses, that is the case: '^([^_]+)_'; (?:...) does not count"
            )
        self._whole = "/" in text

    def case_of(self, path: str) -> str:
        """The case of a path; ImageError where the pattern does not match."""
        match = self._pattern.search(path if self._whole else path[path.rfind("/") + 1 :])
        if match is None or not (match[1] or "").strip():
            raise ImageError("unknown case: --case-pattern does not match the name")
        return match[1]


def one_spelling(counts: Mapping[str, int]) -> dict[str, str]:
    """Names -> the one that stands for all its spellings: the most frequent, composed, trimmed.

    >>> one_spelling({"Tumor": 9, "tumor ": 1, "normal": 5})
    {'Tumor': 'Tumor', 'tumor ': 'Tumor', 'normal': 'normal'}
    """
    chosen: dict[str, str] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        chosen.setdefault(folded(name), " ".join(_composed(name).split()) or name)
    return {name: chosen[folded(name)] for name in counts}


@lru_cache(maxsize=1 << 18)
def folded(name: str) -> str:
    """A name without what people do not mean: case of letters, outer spaces, composition.

    >>> folded(" Tumor") == folded("tumor"), folded("e\\u0301") == folded("\\u00e9")
    (True, True)
    """
    return " ".join(_composed(name).split()).casefold()


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)
