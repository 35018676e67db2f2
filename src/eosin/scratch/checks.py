"""Checks of arguments for the other files: numbers, shapes and labels, or a clear sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
#: An array of float64; its shape is in the docstring of whoever uses it.
Floats = npt.NDArray[np.float64]
#: An array of int64: class numbers, counts, positions.
Ints = npt.NDArray[np.int64]


class NotFiniteError(ValueError):
    """Values that are nan or infinite."""


def numbers(values: npt.ArrayLike, name: str, *shape: int | str) -> Floats:
    """The values as finite float64 of a shape, where a letter means any length.

    Raises ValueError where they are not numbers, not finite, empty, or of another shape.

    >>> numbers([[1, 2], [3, 4]], "x", "N", 2).dtype
    dtype('float64')
    >>> numbers([1, 2], "x", "N", 2)
    Traceback (most recent call last):
    ValueError: x has the shape [2]; it must be [N, 2]
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from None
    expected = ", ".join(str(side) for side in shape)
    fits = array.ndim == len(shape) and all(
        isinstance(side, str) or side == actual
        for side, actual in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has the shape {list(array.shape)}; it must be [{expected}]")
    if array.size == 0:
        raise ValueError(f"{name} is empty, of shape {list(array.shape)}; give at least one value")
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise NotFiniteError(f"{name} has {bad} values that are not finite; remove or replace them")
    return array


def labels(y: npt.ArrayLike, count: int, classes: int) -> Ints:
    """Class numbers as int64 [N], each from 0 to ``classes`` - 1.

    Raises ValueError for another length than ``count``, for fractions, and for other classes.

    >>> labels([0, 2, 1], 3, 3).tolist()
    [0, 2, 1]
    """
    array = numbers(y, "y", count)
    rounded = array.astype(np.int64)
    wrong = (rounded != array) | (rounded < 0) | (rounded >= classes)
    if wrong.any():
        raise ValueError(
            f"y has the label {array[wrong][0]:g}; with {classes} classes the labels are whole "
            f"numbers from 0 to {classes - 1}"
        )
    return rounded


def whole_number(value: int, name: str, least: int = 1) -> int:
    """The value where it is a whole number of at least ``least``; else a ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    return int(value)


def share(value: float, name: str) -> float:
    """The value where 0 <= value < 1, as a momentum is; else a ValueError."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}; it must be at least 0 and below 1")
    return float(value)


def above_zero(value: float, name: str) -> float:
    """The value where it is finite and above 0, as a learning rate is; else a ValueError."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value!r}; it must be a finite number above 0")
    return float(value)


def one_of(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of that name; a ValueError with the existing names, if there is none."""
    if name not in table:
        raise ValueError(f"{what} is {name!r}; it must be one of {', '.join(table)}")
    return table[name]
