"""Which of two classes is positive: chosen, known from the names, or guessed and said to be.

The figures of two classes are about the positive one: sensitivity is its share that is found. It is
the second class of a store. Where nobody chooses it, the names decide: each gets a grade from
healthy to malignant by the words below, and the higher one is positive. Words of other languages
than English are German, French, Spanish, Italian, Portuguese, Chinese and Japanese.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from eosin.errors import UserError, closest

By = Literal["chosen", "layout", "names", "guess", "order", ""]

_HEALTHY, _BENIGN, _PRECURSOR, _MALIGNANT = range(4)

#: Parts of a word that decide wherever it has them, the first row that fits; accents are removed.
_PARTS: tuple[tuple[int, str], ...] = (
    (_MALIGNANT, r"abnormal|anormal|triplenegativ"),
    (_HEALTHY, r"normal|health|gesund|unauffall|saudavel|negativ|inconspic|正常|健康|阴性|陰性"),
    (_BENIGN, r"benign|benin|gutart|fibroaden|papillom|lipom|hamartom|良性"),
    (_PRECURSOR, r"adenom|dysplas|displas|hyperplas|atyp|situ|dcis|lcis|polyp|precanc|premalig"),
    (_MALIGNANT, r"cancer|cancr|krebs|tumor|tumour|tumeur|malign|bosartig|boesartig|carcin|karzin|"
     r"melanom|sarcom|sarkom|lymphom|linfom|gliom|blastom|neoplas|metast|positiv|positif|"
     r"癌|がん|腫瘍|腫瘤|肿瘤|悪性|恶性|惡性|陽性|阳性"),
)  # fmt: skip
#: Complete words. "adenocarcinoma" has "carcin" and no "adenom", so it is malignant.
_WORDS: tuple[tuple[int, str], ...] = (
    (_HEALTHY, r"sain|saine|sano|sana|sani|sao|control|ctrl|kontrolle|temoin|neg|norm|background|"
     r"none|absent|others?|wildtype|wt|mss"),
    (_BENIGN, r"nevus|naevus|nv"),
    (_MALIGNANT, r"idc|ilc|aca|acc|scc|luad|lusc|adc|ca|tum?|mets?|pos|msi|msih|msimut|mut|mutant|"
     r"mutated|hcc|rcc|mel|bcc"),
)  # fmt: skip
#: What decides only beside a class that is known as well: "1" beside "0", "m" beside "b".
_WEAK: tuple[tuple[int, str], ...] = (
    (_HEALTHY, r"0+|n|no|false"), (_BENIGN, r"b"), (_MALIGNANT, r"0*1|p|t|m|c|yes|true"),
)  # fmt: skip
_NOT = re.compile(r"non?|not|without|keine?|ohne|nicht|sans|pas|sin|senza|sem|nao")
#: The same as a part of one word: "nontumor", "notumor", "tumorfrei".
_BEFORE, _AFTER = ("non", "not", "no", "kein", "un", "非", "无", "無"), ("free", "frei", "libre")


class PositiveClass(NamedTuple):
    """The positive class of two, and how it was chosen: see ``SENTENCES``; "" and "" for more."""

    name: str
    by: By


def choose_positive(
    classes: Sequence[str], chosen: str | None = None, *, fixed: bool = False, option: str = ""
) -> PositiveClass:
    """The positive class: the chosen one, or that of the names, or a guess.

    chosen: its name; fixed: the layout defines the order, the second being positive; option: what
    chose it, for messages. Raises UserError for a class that is not there, and where there are not
    two classes, because no single one is positive then.

    >>> choose_positive(["cancer", "normal"])
    PositiveClass(name='cancer', by='names')
    >>> choose_positive(["alpha", "beta"])
    PositiveClass(name='beta', by='guess')
    """
    option = option or f"--positive {chosen}"
    if chosen is not None and len(classes) != 2:
        raise UserError(
            f"{option}: there {_are(classes)}, and a single positive one is defined for two; "
            "figures of more classes are means over all of them. Leave it out"
        )
    if len(classes) != 2:
        return PositiveClass("", "")
    if chosen is not None:
        if chosen not in classes:
            raise UserError(
                f"{option}: there is no such class; {closest(chosen, classes)} (the classes are "
                f"{', '.join(classes)})"
            )
        return PositiveClass(chosen, "chosen")
    if fixed:
        return PositiveClass(classes[1], "layout")
    known = known_positive(classes)
    return PositiveClass(known or classes[1], "names" if known else "guess")


def _are(classes: Sequence[str]) -> str:
    return "is one class" if len(classes) == 1 else f"are {len(classes)} classes"


def known_positive(classes: Sequence[str]) -> str | None:
    """The one of two classes that their names make positive; None where they decide nothing.

    >>> known_positive(["adenocarcinoma", "adenoma"]), known_positive(["no_idc", "idc"])
    ('adenocarcinoma', 'idc')
    >>> known_positive(["lung_aca", "lung_scc"]) is None
    True
    """
    if len(classes) != 2:
        return None
    grades = [_grade(name) for name in classes]
    joined = [re.sub(r"[\W_]+", "", _plain(name)) for name in classes]
    for mine in (0, 1):
        # "nonresponder" beside "responder", "not healthy" beside "healthy"
        if joined[1 - mine] and joined[1 - mine] in _denied(joined[mine]):
            return classes[mine if grades[1 - mine][0] == _HEALTHY else 1 - mine]
    (one, weak), (two, other_weak) = grades
    if (one is None and two is None) or one == two:
        return None
    if one is not None and two is not None:
        return classes[int(two > one)]
    known, is_weak, place = (one, weak, 0) if two is None else (two, other_weak, 1)
    # A precursor could be either beside a class that nothing is known of.
    if known is None or is_weak or known == _PRECURSOR:
        return None
    return classes[place if known == _MALIGNANT else 1 - place]


def _plain(name: str) -> str:
    """Lower case without accents, camelCase taken apart."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    letters = unicodedata.normalize("NFKD", apart.casefold())
    # Only the accents of Latin letters: those of kana are part of the letter.
    return unicodedata.normalize("NFKC", re.sub("[\u0300-\u036f]", "", letters))


def _denied(word: str) -> list[str]:
    """What a word may deny: "notumor" has "tumor" and, by chance, "umor"."""
    before = [word.removeprefix(start) for start in _BEFORE if word.startswith(start)]
    return before + [word.removesuffix(end) for end in _AFTER if word.endswith(end)]


def _grade(name: str) -> tuple[int | None, bool]:
    """How far from healthy a name is, or None, and whether only a weak sign tells it."""
    plain = re.sub(r"triple[\W_]+negativ", "triplenegativ", _plain(name))
    tokens = re.findall(r"[^\W\d_]+|\d+", plain)
    negated = any(_NOT.fullmatch(token) for token in tokens[:-1]) or "free" in tokens
    grades = []
    for token in tokens:
        inner = [grade for rest in _denied(token) if (grade := _graded(rest)) is not None]
        # "abnormal" is a word of its own, and "nonmalignant" is none.
        negated |= bool(inner)
        grade = inner[0] if inner else _graded(token)
        grades += [] if grade is None else [grade]
    if negated:
        # "not normal" is the positive one; "no tumor", and "no" anything, is not.
        return (_MALIGNANT if set(grades) == {_HEALTHY} else _HEALTHY), False
    if grades:
        # "benign tumor" is benign, and "carcinoma in situ" is not invasive.
        return min(grades), False
    if plain.endswith(("+", "-")):
        return (_MALIGNANT if plain.endswith("+") else _HEALTHY), True
    return (_first(re.fullmatch, _WEAK, tokens[-1]) if tokens else None), True


def _graded(token: str) -> int | None:
    word = _first(re.fullmatch, _WORDS, token)
    return _first(re.search, _PARTS, token) if word is None else word


def _first(
    fits: Callable[[str, str], object], rows: tuple[tuple[int, str], ...], token: str
) -> int | None:
    return next((grade for grade, pattern in rows if fits(pattern, token)), None)


#: How it was chosen, in words.
SENTENCES: dict[str, str] = {
    "chosen": "chosen by name",
    "layout": "as the layout defines it",
    "names": "known from the class names",
    "guess": "guessed: the class names do not tell, so it is the last one in their order; another: "
    "--positive NAME when packing, --set positive=NAME when training",
    "order": "the second class of a store of an earlier version, which put them in alphabetical "
    "order; another: --positive NAME when packing, --set positive=NAME when training",
}


def positive_sentence(classes: Sequence[str], by: str) -> str:
    """What the figures are about, for people; classes in the order of a store or a model.

    by: how the second of two classes became the positive one; "" where that is not recorded.

    >>> positive_sentence(["normal", "tumor"], "names")
    'positive class: tumor (the figures are about tumor); known from the class names'
    >>> positive_sentence(["a", "b", "c"], "")
    'no positive class: there are 3 classes, and the figures are means over them'
    """
    if len(classes) != 2:
        return (
            f"no positive class: there {_are(classes)}, and the figures are means over them"
            if len(classes) > 2
            else f"no positive class: there {_are(classes)}, and a model needs two"
        )
    name, known = classes[1], known_positive(classes)
    how = by or ("names" if known == name else "order")
    against = (
        f"; its name speaks against it, and {known} may be meant" if known == classes[0] else ""
    )
    if how == "chosen":
        against = ""
    return (
        f"positive class: {name} (the figures are about {name}); {SENTENCES.get(how, how)}{against}"
    )
