"""What the names on one level of folders look like: parts, folds, labels, cases, or nothing.

The vocabulary is that of public archives of tissue patches; a name outside it is judged by its
form: names that differ in a number alone are most often cases.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from eosin.sources.layouts import PARTS
from eosin.sources.names import patient

#: More classes than this are asked about.
MOST_CLASSES = 20


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Folders that only hold images.
_HOLDERS = _words(
    "all crop crops data dataset export exported files he image images img imgs jpeg jpg "
    "output patch patches pictures png raw roi rois set sets tif tiff tile tiles"
)
#: Folders of pictures that belong to patches and are none.
_MASKS = _words(
    "annotation annotations groundtruth gt heatmap heatmaps mask masks overlay overlays "
    "segmentation segmentations"
)
#: Words of labels, as a whole and as beginnings.
_LABELS = _words(
    "abnormal aca acc adi adipose artefact artifact atypia atypical back background bcc blank "
    "blood complex connective dcis dead deb debris diseased ductal dysplasia dysplastic empty "
    "epithelial epithelium false fat fea fibroadenoma fibrosis glandular glass healthy high "
    "hp hyperplasia hyperplastic idc ilc immune inflammation inflammatory insitu intact "
    "invasive keratin lcis lesion lobular low lym mib msi msih msimut mss muc mucin mucinous "
    "mucosa mucus mus muscle mutant mutated n neg negative neoplastic no nontumor norm normal "
    "other others papillary pb phyllodes polyp pos positive sca scc serrated ssa ssl str "
    "stroma stromal tissue true tubular tum tva udh unaffected viable wildtype yes"
)
_LABEL_ROOTS = (
    "adenocarc", "adenom", "adenos", "benign", "benin", "bénin", "bösart", "cancer", "cancr",
    "carcin", "eosinoph", "gesund", "gliom", "gutart", "karzin", "krebs", "lympho",
    "malign", "melano", "metasta", "naev", "necro", "neutroph", "nevus", "noncancer", "plasma",
    "sarco", "squam", "tumo",
)  # fmt: skip
#: Words before the number of a label, of a patient, and of what several may be of one patient.
_LABEL_STEMS = _words(
    "cat category class cluster digit g gleason grade isup label level score stage type"
)
_CASE_STEMS = _words("case cases donor id p pat patient patients pt subj subject")
_SLIDE_STEMS = _words("biopsy block core s sample slide specimen spot wsi")
_UNLABELED = _words("unannotated unlabeled unlabelled")
_LEFT_OUT_HINT = re.compile("mask|annot|segm|truth|gt|overlay|heatm|unlab", re.I)
_FOLD = re.compile(r"(?:k?[-_ ]?fold|cv)[-_ ]?\d+", re.I)
#: 40X, or a number that is a usual magnification or width in pixels.
_MAGNIFICATION = re.compile(
    r"\d+(?:\.\d+)?[-_ ]?x|x\d+|40|80|100|120|128|160|200|224|256|400|512|1024", re.I
)
#: Scores such as 2+ and Gleason's 3+4, beside plain numbers.
_SCORE = re.compile(r"\d(?:\+\d?)?")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]+|\d+")


class Likeness(NamedTuple):
    """How much names look like labels and like cases, each from -2 (not at all) to 2 (by words)."""

    label: float
    case: float


@lru_cache(maxsize=1 << 18)
def words_of(name: str) -> tuple[str, ...]:
    """Words and numbers of a name, in lower case.

    >>> words_of("01_TUMOR tissue-b2")
    ('01', 'tumor', 'tissue', 'b', '2')
    """
    return tuple(_WORD.findall(name.casefold()))


def part_of(name: str) -> str:
    """The part that a folder's name has a word for: train, val, test, or "".

    >>> part_of("training_set"), part_of("Valid"), part_of("hold-out"), part_of("CRC_DX_TEST")
    ('train', 'val', 'test', 'test')
    """
    plain = name.casefold().replace("hold-out", "holdout").replace("hold_out", "holdout")
    parts = {PARTS[word] for word in words_of(plain) if word in PARTS}
    return parts.pop() if len(parts) == 1 else ""


def why_left_out(name: str) -> str:
    """Why images in a folder of this name are no labeled patches, or "".

    >>> why_left_out("train_masks"), why_left_out("Unlabeled"), why_left_out("masked_tumor")
    ('in folders of masks', 'in unlabeled folders', '')
    """
    if not _LEFT_OUT_HINT.search(name):
        return ""
    words = set(words_of(name))
    others = {word for word in words - _MASKS - _UNLABELED if not word.isdigit()}
    if not others <= _HOLDERS | PARTS.keys():
        return ""
    return (
        "in unlabeled folders"
        if words & _UNLABELED
        else "in folders of masks" * bool(words & _MASKS)
    )


def kind_of_level(names: Collection[str]) -> str:
    """What the vocabulary alone decides: part, fold, magnification, holder (of images), or "".

    >>> [kind_of_level(names) for names in (["train", "test"], ["40X", "100X"], ["images"])]
    ['part', 'magnification', 'holder']
    >>> kind_of_level(["train_tumor", "test_tumor", "train_fat", "test_fat"])
    ''
    """
    names = _sample(names)
    parts = [name for name in names if part_of(name)]
    if parts and 2 * len(parts) >= len(names):
        others = {
            frozenset(w for w in words_of(name) if w not in PARTS and w not in _HOLDERS)
            for name in parts
        }
        return "part" if len(others) == 1 or not any(map(_label_words, others)) else ""
    for kind, fits in (("fold", _FOLD.fullmatch), ("magnification", _MAGNIFICATION.fullmatch)):
        if all(map(fits, names)):
            return kind
    return "holder" if all(set(words_of(name)) <= _HOLDERS for name in names) else ""


def stray_names(names: Collection[str]) -> list[str]:
    """Names that are not on the level of the others: a part, a holder of images or a case.

    >>> stray_names(["tumor", "normal", "images"]), stray_names(["P1", "P2"])
    (['images'], [])
    """
    strays = [n for n in names if set(words_of(n)) & PARTS.keys() or kind_of_level([n])]
    cases = [name for name in names if likeness(frozenset({name})).case >= 1.5]
    return sorted([*strays, *cases] if len(cases) < len(names) else strays)


def likeness(names: frozenset[str]) -> Likeness:
    """How much the names of a level look like labels, and like cases.

    >>> likeness(frozenset({"benign", "malignant"})), likeness(frozenset({"P01", "P02"}))
    (Likeness(label=2, case=-1), Likeness(label=-2, case=2))
    """
    return Likeness(*_likeness(frozenset(_sample(names)), len(names) <= MOST_CLASSES))


@lru_cache(maxsize=256)
def _likeness(names: frozenset[str], few: bool) -> tuple[float, float]:
    count = len(names)
    stems = [{word for word in words_of(name) if not word.isdigit()} for name in names]
    most = 0.8 * count
    numbered = sum(_DIGITS.search(name) is not None for name in names) >= most
    series = numbered and 2 * len({_DIGITS.sub("#", name) for name in names}) <= max(count, 2)
    if sum(patient(name) is not None for name in names) >= most:
        return -2, 2
    if any("+" in name for name in names) and all(map(_SCORE.fullmatch, names)):
        return 2, -1
    if series:
        if all(stem & _LABEL_STEMS for stem in stems):
            return 2, -1
        for known, case in ((_CASE_STEMS, 2), (_SLIDE_STEMS, 1.5)):
            if all(stem & known for stem in stems):
                return -2, case
        if all(name.isdecimal() for name in names):
            return _numbers(sorted(int(name) for name in names))
        return (0, 1) if few else (-1, 1.5)
    if few and 2 * sum(map(_label_words, stems)) >= count:
        return 2, -1
    if numbered and sum(bool(stem & (_CASE_STEMS | _SLIDE_STEMS)) for stem in stems) >= most:
        return -1, 1.5
    if numbered or not few:
        return (0, 1) if few else (-1, 1)
    return 1, 0


def _sample(names: Collection[str]) -> Collection[str]:
    """Some 1,000 of many names."""
    return names if len(names) < 2000 else sorted(names)[:: len(names) // 1000]


def _numbers(values: list[int]) -> tuple[float, float]:
    if values == [0, 1]:
        return 2, 0
    run = values == list(range(values[0], values[0] + len(values))) and values[0] in (0, 1)
    return (1, 1) if run and 1 < len(values) <= MOST_CLASSES else (0, 1.25)


def _label_words(words: Collection[str]) -> bool:
    return any(
        word in _LABELS or word in _LABEL_STEMS or word.startswith(_LABEL_ROOTS) for word in words
    )
