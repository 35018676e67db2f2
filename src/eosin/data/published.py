"""The published case lists of the breast-histopathology archive (84 train, 29 validation, 49 test).

Source: Cruz-Roa et al. 2014, SPIE Medical Imaging 9041; the lists as used by Janowczyk & Madabhushi
2016, J Pathol Inform 7:29. Two listed cases (9024, 8915) are not in the archive, and 119 of the
archive's 279 cases are in no list.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple


class PublishedCase(NamedTuple):
    """One case: its list and its patch counts in the complete archive."""

    case: str
    #: "train", "val", "test", or "" for a case in no list.
    part: str
    #: Patches of class 0 and 1; None where the archive lacks the case.
    n_negative: int | None
    n_positive: int | None


@cache
def published_cases() -> tuple[PublishedCase, ...]:
    """Every case that is in the archive or in a list.

    >>> cases = published_cases()
    >>> len(cases), sum(case.n_negative is not None for case in cases)
    (281, 279)
    >>> sum((case.n_negative or 0) + (case.n_positive or 0) for case in cases)
    277524
    """
    return tuple(_read())


def published_parts() -> dict[str, str]:
    """Case -> "train", "val" or "test", for the listed cases only.

    >>> parts = list(published_parts().values())
    >>> [parts.count(name) for name in ("train", "val", "test")]
    [84, 29, 49]
    """
    return {case.case: case.part for case in published_cases() if case.part}


def _read() -> Iterator[PublishedCase]:
    text = resources.files("eosin.data").joinpath("idc_published_cases.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        yield PublishedCase(
            case=row["case"],
            part=row["published_split"],
            n_negative=int(row["n_negative"]) if row["n_negative"] else None,
            n_positive=int(row["n_positive"]) if row["n_positive"] else None,
        )
