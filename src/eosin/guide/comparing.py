"""Whether a value is the expected one, and in words what is different."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_MOST_LETTERS = 120


def difference(expected: Any, value: Any, *, tolerance: float = 1e-6) -> str:
    """ "" where the values agree, or the words after the expression: "gives 3, and 6 is expected".

    expected, value: numbers, text, None, lists, tuples, dictionaries, NumPy arrays of any shape;
    numbers may differ by ``tolerance`` times the larger of 1 and the expected value.

    >>> difference(1, 1.0), difference([1, 2], np.array([1.0, 2.0]))
    ('', '')
    >>> difference(np.zeros(3), np.zeros((3, 1)))
    'gives an array of shape (3, 1), and shape (3,) is expected'
    >>> difference(6, 3)
    'gives `3`, and `6` is expected'
    """
    if value is None and expected is not None:
        return "gives nothing (`None`); look for a missing `return`"
    if value is Ellipsis:
        return "gives `...`: replace it with your code"
    if isinstance(expected, bool | np.bool_):
        agree = isinstance(value, bool | np.bool_ | int | float) and bool(value) is bool(expected)
        return _both(expected, value, agree)
    if isinstance(expected, str) or expected is None:
        return _both(expected, value, type(value) is type(expected) and value == expected)
    if isinstance(expected, Mapping):
        return _of_mapping(expected, value, tolerance)
    return _of_numbers(expected, value, tolerance)


def _of_mapping(expected: Mapping[Any, Any], value: Any, tolerance: float) -> str:
    if not isinstance(value, Mapping):
        return _both(expected, value)
    for key, item in expected.items():
        if key not in value:
            return f"has no `{shown(key)}`"
        if words := difference(item, value[key], tolerance=tolerance):
            return f"at `{shown(key)}` {words}"
    extra = [key for key in value if key not in expected]
    return f"has `{shown(extra[0])}`, which is not expected" if extra else ""


def _of_numbers(expected: Any, value: Any, tolerance: float) -> str:
    try:
        want = np.asarray(expected)
    except ValueError:  # rows of different lengths
        return _of_rows(expected, value, tolerance)
    try:
        have = np.asarray(value)
    except ValueError:
        return f"gives rows of different lengths, and `{shown(expected)}` is expected"
    if have.dtype.kind not in "biuf" or want.dtype.kind not in "biuf":
        return _both(expected, value, have.shape == want.shape and bool(np.all(have == want)))
    if have.shape != want.shape:
        if isinstance(value, list | tuple) and max(have.size, want.size) <= 8:
            return _both(expected, value)
        return f"gives {_form(have, value)}, and {_form_wanted(want)} is expected"
    wide = want.astype(np.float64), have.astype(np.float64)
    off = ~np.isclose(wide[1], wide[0], rtol=tolerance, atol=tolerance, equal_nan=True)
    if not off.any():
        return ""
    if want.size <= 8:
        return _both(expected, value)
    at = tuple(int(k) for k in np.argwhere(off)[0])
    place = ", ".join(map(str, at))
    return f"gives `{shown(have[at])}` at [{place}], and `{shown(want[at])}` is expected there"


def _of_rows(expected: Any, value: Any, tolerance: float) -> str:
    if not isinstance(value, list | tuple) or len(value) != len(expected):
        return _both(expected, value)
    for k, (each, other) in enumerate(zip(expected, value, strict=True)):
        if words := difference(each, other, tolerance=tolerance):
            return f"at [{k}] {words}"
    return ""


def _form(array: np.ndarray[Any, Any], value: Any) -> str:
    return (
        f"an array of shape {array.shape}" if array.ndim else f"the single value `{shown(value)}`"
    )


def _form_wanted(array: np.ndarray[Any, Any]) -> str:
    return f"shape {array.shape}" if array.ndim else "a single number"


def _both(expected: Any, value: Any, agree: bool = False) -> str:
    return "" if agree else f"gives `{shown(value)}`, and `{shown(expected)}` is expected"


def shown(value: Any) -> str:
    """A value as a learner reads it, shortened.

    >>> shown(0.30000000000000004), shown(np.array([1.0, 2.5])), shown("a")
    ('0.3', '[1, 2.5]', "'a'")
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        inner = ", ".join(shown(item) for item in value[:12])
        inner += ", ..." if len(value) > 12 else ""
        text = f"[{inner}]" if isinstance(value, list) else f"({inner})"
    elif isinstance(value, bool) or value is None:
        text = str(value)
    elif isinstance(value, float):
        text = _float(value)
    else:
        text = repr(value).replace("`", "'")
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 4] + " ..."


def _float(value: float) -> str:
    if math.isfinite(value):
        return f"{value:.6g}"
    return "NaN" if math.isnan(value) else ("infinity" if value > 0 else "-infinity")
