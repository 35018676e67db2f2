"""Numbers and names as a reader of the report sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: {value, low, high} as in evaluation.json.
Figure = Mapping[str, Any]

FIGURES = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "macro_auroc": "AUROC, mean of classes",
    "macro_average_precision": "Average precision, mean of classes",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "macro_f1": "F1, mean of classes",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "npv": "Negative predictive value",
    "accuracy": "Accuracy",
    "brier": "Brier score",
}

BASELINES = {
    "base_rate": "the base rate",
    "color_histogram": "color alone",
    "nearest_neighbors": "nearest neighbors",
}

PARTS = {"test": "test", "val": "validation", "all": "whole store", "train": "training"}

#: Stands where there is no number.
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


def span(figure: Figure | None, digits: int = 3) -> str:
    """The interval in words, or "".

    >>> span({"value": 0.9, "low": 0.85, "high": 0.95})
    '0.850 to 0.950'
    """
    low, high = (figure or {}).get("low"), (figure or {}).get("high")
    return f"{number(low, digits)} to {number(high, digits)}" if known(low) and known(high) else ""


def measured(figure: Figure | None, digits: int = 3) -> tuple[str, str]:
    """A figure and its interval, for a cell of a table.

    >>> measured({"value": 0.9, "low": 0.85, "high": 0.95})
    ('0.900', '0.850 to 0.950')
    """
    return number((figure or {}).get("value"), digits), span(figure, digits)


def in_words(figure: Figure | None, digits: int = 3) -> str:
    """A figure with its interval inside a sentence.

    >>> in_words({"value": 0.9, "low": 0.85, "high": 0.95})
    '0.900 (0.850 to 0.950)'
    """
    value, interval = measured(figure, digits)
    return f"{value} ({interval})" if interval else value


def count(number_of: object, one: str, many: str = "") -> str:
    """A counted noun.

    >>> count(1, "case"), count(5685, "patch", "patches")
    ('1 case', '5,685 patches')
    """
    if not known(number_of):
        return f"an unknown number of {many or one + 's'}"
    whole = int(number_of)  # type: ignore[call-overload]
    return f"{whole:,} {one if whole == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """The text with a capital and a full stop.

    >>> sentence("the split leaks")
    'The split leaks.'
    """
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?:" else ".")


def listed(items: list[str], most: int = 8) -> str:
    """Names in a row, cut where they are too many.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], 2)
    ('a, b and c', 'a, b and 1 more')
    """
    shown = items[:most] + ([f"{len(items) - most} more"] if len(items) > most else [])
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""


def integer(value: object) -> str:
    """A whole number with separators, or that it is not recorded.

    >>> integer(12345.0), integer(None)
    ('12,345', 'not recorded')
    """
    return f"{int(value):,}" if known(value) else "not recorded"  # type: ignore[call-overload]


def answered_by(exported: Mapping[str, object]) -> str:
    """Which exported file gave the figures, from "exported" of evaluation.json.

    >>> answered_by({"file": "a.onnx", "kind": "int8", "runtime": "R 1", "run": "x"})[:55]
    'The exported file a.onnx (int8) was asked by R 1; the r'
    """
    return (
        f"The exported file {exported.get('file')} ({exported.get('kind')}) was asked by "
        f"{exported.get('runtime')}; the run that it comes from is "
        f"{exported.get('run') or 'not recorded'}, and EXPORT_CARD.md beside the file says how "
        "near its answers are to that run's."
    )
