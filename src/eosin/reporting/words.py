"""Numbers and names as a reader of the report sees them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeVar, cast

from markupsafe import Markup

from eosin.evaluation.definitions import NAMES
from eosin.records.evaluation import Evaluation, Exported
from eosin.records.figures import Figure

T = TypeVar("T")

_BESIDE = {"precision": "precision", "npv": "negative predictive value"}
#: Figures in words, as a heading has them.
FIGURES = {name: f"{text[0].upper()}{text[1:]}" for name, text in (NAMES | _BESIDE).items()}

BASELINES = {
    "base_rate": "the base rate",
    "color_histogram": "color alone",
    "nearest_neighbors": "nearest neighbors",
}

PARTS = {"test": "test", "val": "validation", "all": "whole store", "train": "training"}

#: Letters of Hebrew, Arabic and the scripts beside them, and what is between two of them.
_RIGHT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_RIGHT_TO_LEFT = re.compile(f"[{_RIGHT}](?:[^{_RIGHT}a-zA-Z<>]{{0,3}}[{_RIGHT}])*")
#: What turns the direction of all the text after it.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")

#: In place of a number that is missing.
NONE = "–"


def known(value: object) -> bool:
    """Whether this is a number that can be shown."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: object, digits: int = 3) -> str:
    """A number with fixed digits, or a dash.

    >>> number(0.96315), number(None)
    ('0.963', '–')
    """
    return f"{value:.{digits}f}" if known(value) else NONE


def percent(value: object, digits: int = 1) -> str:
    """A share in percent, or a dash.

    >>> percent(0.96315)
    '96.3 %'
    """
    return f"{100 * float(value):.{digits}f} %" if known(value) else NONE  # type: ignore[arg-type]


def span(figure: Figure, digits: int = 3) -> str:
    """The interval in words, or "".

    >>> span(Figure(value=0.9, low=0.85, high=0.95))
    '0.850 to 0.950'
    """
    if figure.low is None or figure.high is None:
        return ""
    return f"{number(figure.low, digits)} to {number(figure.high, digits)}"


def measured(figure: Figure | None) -> tuple[str, str]:
    """A figure and its interval, for a cell of a table.

    >>> measured(Figure(value=0.9, low=0.85, high=0.95))
    ('0.900', '0.850 to 0.950')
    """
    shown = figure or Figure()
    return number(shown.value), span(shown)


def in_words(figure: Figure) -> str:
    """A figure with its interval inside a sentence.

    >>> in_words(Figure(value=0.9, low=0.85, high=0.95))
    '0.900 (0.850 to 0.950)'
    """
    value, interval = measured(figure)
    return f"{value} ({interval})" if interval else value


def count(number_of: object, one: str, many: str = "") -> str:
    """A counted noun.

    >>> count(1, "case"), count(5685, "patch", "patches")
    ('1 case', '5,685 patches')
    """
    if not known(number_of):
        return f"an unknown number of {many or one + 's'}"
    size = int(number_of)  # type: ignore[call-overload]
    return f"{size:,} {one if size == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """The text with a capital and a full stop.

    >>> sentence("the split leaks")
    'The split leaks.'
    """
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?:" else ".")


def listed(items: Sequence[str], most: int = 8) -> str:
    """Names in a row, cut where they are too many.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], 2)
    ('a, b and c', 'a, b and 1 more')
    """
    shown = [*items[:most]] + ([f"{len(items) - most} more"] if len(items) > most else [])
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""


def integer(value: object) -> str:
    """A whole number with separators, or that it is not recorded.

    >>> integer(12345.0), integer(None)
    ('12,345', 'not recorded')
    """
    return f"{int(value):,}" if known(value) else "not recorded"  # type: ignore[call-overload]


def answered_by(exported: Exported) -> str:
    """Which exported file gave the figures.

    >>> answered_by(Exported(file="a.onnx", kind="int8", runtime="R 1", run="x"))[:48]
    'The exported file a.onnx (int8) was run by R 1; '
    """
    kind = f" ({exported.kind})" if exported.kind else ""
    runtime = f"was run by {exported.runtime}" if exported.runtime else "gave the figures"
    return (
        f"The exported file {exported.file}{kind} {runtime}; it comes from the run "
        f"{exported.run or '(not recorded)'}, and EXPORT_CARD.md beside the file says how near its "
        "answers are to that run's."
    )


def patches_of(evaluation: Evaluation, unknown: str = "") -> str:
    """What was measured: "320 patches of 8 cases"; ``unknown`` is added where cases are not known.

    >>> patches_of(Evaluation(n_patches=320, n_cases=8))
    '320 patches of 8 cases'
    """
    text = count(evaluation.n_patches, "patch", "patches")
    return (
        f"{text} of {count(evaluation.n_cases, 'case')}" if evaluation.n_cases else text + unknown
    )


def isolated(value: T) -> T:
    """A text in which names written from right to left turn nothing around them.

    Each run of such letters is put between the marks that isolate it; marks in names are left out.

    >>> [hex(ord(c)) for c in isolated("a \\u05d0 1")]
    ['0x61', '0x20', '0x2068', '0x5d0', '0x2069', '0x20', '0x31']
    """
    if not isinstance(value, str) or value.isascii() or isinstance(value, Markup):
        return value
    text = _RIGHT_TO_LEFT.sub("\u2068\\g<0>\u2069", _TURNING.sub("", value))
    return cast(T, text)


def rule(name: str) -> str:
    """A rule's name in words.

    >>> rule("balanced_accuracy")
    'balanced accuracy'
    """
    return name.replace("_", " ")
