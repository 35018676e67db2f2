"""What a name says of its patch: case, slide and position, in the forms of tools and archives."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from eosin.data.layouts import natural_key, plainly
from eosin.errors import ImageError, SourceError


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


_NUMBER = r"-?\d+(?:[.,]\d+)?"
#: QuPath's region of a tile: [d=4,x=800,y=0,w=200,h=200]; d, z and t where not 1, 0 and 0.
_QUPATH = re.compile(rf"(.*?)\s*\[((?:[a-z]={_NUMBER},)*[a-z]={_NUMBER})\][^\[\]/]*")
_REGION = re.compile(rf"([a-z])=({_NUMBER})")
_SLIDE_FILE = re.compile(
    r"(?:\.ome)?\.(?:svs|ndpi|mrxs|scn|bif|vsi|qptiff|czi|tiff?|dcm|zarr)$", re.I
)

#: Identifiers that archives give to patients: (pattern, archive); group 1 is the patient.
_PATIENTS = tuple(
    (re.compile(rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])", re.I), archive)
    for pattern, archive in (
        (r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?:-[A-Z0-9]+)*", "TCGA barcodes"),
        (r"(C3[LN]-\d{5})(?:-\d+)*", "CPTAC identifiers"),
        (r"(GTEX-[A-Z0-9]{4,5})(?:-\d+)*", "GTEx identifiers"),
        (r"(patient_\d{3})_node_\d", "CAMELYON17 names"),
        (r"(BRACS_\d+)", "BRACS names"),
        (r"(CRC-Prim-HE-\d+)(?:_\d+)?", "Kather 2016 names"),
    )
)
_WORDS = "patient|pat|case|subject|subj|slide|wsi|specimen|donor|biopsy|pt"
_NUMBERED = re.compile(
    rf"(?<![A-Za-z0-9])((?:{_WORDS})[-_ ]?\d+|^[ps]\d+)(?![A-Za-z0-9]).*\d.*\.\w+", re.I
)
_PLACED = re.compile(r"(.*[^\W_].*?)[-_ ]+x[-_= ]?\d+[-_, ]+y[-_= ]?\d+[^\d/]*\.\w+", re.I)
#: Names before a position that are no case.
_PLAIN = re.compile(r"(?:patch|tile|img|image|crop|roi|region)e?s?[-_ ]?", re.I)
_STEM = re.compile(r"(.*?[^\W_].*?)[-_ ]+\(?\d+\)?\.\w+")


def qupath(name: str) -> NameFacts | None:
    """A tile that QuPath wrote, or None.

    >>> qupath("slide_3.svs [d=2,5,x=800,y=0,w=200,h=200].png")
    NameFacts(case='slide_3', slide='slide_3', x=800, y=0, downsample=2.5)
    >>> qupath("slide_3.png") is None
    True
    """
    match = _QUPATH.fullmatch(name)
    if match is None:
        return None
    region = {key: float(value.replace(",", ".")) for key, value in _REGION.findall(match[2])}
    if not {"x", "y"} <= region.keys():
        return None
    slide = _SLIDE_FILE.sub("", match[1].strip())
    x, y = region["x"], region["y"]
    if max(abs(x), abs(y)) >= 1 << 31:
        raise ImageError(f"impossible position: {match[2][:40]}")
    known = patient(slide)
    return NameFacts(known.case if known else slide, slide, int(x), int(y), region.get("d"))


def patient(name: str) -> NameFacts | None:
    """The patient of a name with an identifier that a known archive gave, or None.

    >>> patient("blk-AAAF-TCGA-AZ-6601-01Z-00-DX1.png")
    NameFacts(case='TCGA-AZ-6601', slide='TCGA-AZ-6601-01Z-00-DX1', x=None, y=None, downsample=None)
    """
    for pattern, _ in _PATIENTS:
        if match := pattern.search(name):
            return NameFacts(match[1], match[0])
    return None


def archive_of(names: Sequence[str]) -> str:
    """Which archive's identifiers most of the names have, in words, or ""."""
    for pattern, archive in _PATIENTS:
        if sum(pattern.search(name) is not None for name in names) > len(names) / 2:
            return archive
    return ""


def _numbered(name: str) -> NameFacts | None:
    match = _NUMBERED.search(name)
    return NameFacts(match[1]) if match else None


def _placed(name: str) -> NameFacts | None:
    match = _PLACED.match(name)
    return NameFacts(match[1]) if match and not _PLAIN.fullmatch(match[1]) else None


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
    for form in FORMS:
        cases: Counter[str] = Counter()
        for name in sample:
            try:
                facts = form.read(name)
            except ImageError:
                facts = NameFacts("")
            if facts is not None:
                cases[facts.case] += 1
        if cases.total() < max(1, 0.9 * len(sample)):
            continue
        if form.sure or (len(cases) > 1 and 2 * len(cases) <= len(sample)):
            return form if form.about else form._replace(about=archive_of(sample))
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
        if match := _STEM.fullmatch(name):
            counts[match[1]] += 1
            marks[name[match.end(1)]] += 1
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


def folded(name: str) -> str:
    """A name without what people do not mean: case of letters, outer spaces, composition.

    >>> folded(" Tumor") == folded("tumor"), folded("e\\u0301") == folded("\\u00e9")
    (True, True)
    """
    return name if name.isdigit() else " ".join(_composed(name).split()).casefold()


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)
