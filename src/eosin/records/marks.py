"""Marks: what must be known before any figure of a run is quoted, each of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["made_up", "leak", "seen", "no_test", "own_split", "diagnosis", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: How the sentences began that earlier versions wrote without a kind.
_BEGINNINGS: tuple[tuple[str, Kind], ...] = (
    ("made-up", "made_up"),
    ("leak", "leak"),
    ("patch-random", "leak"),
    ("seen in training", "seen"),
    ("the split has no test", "no_test"),
    ("of the run's own split", "own_split"),
    ("no weight changed", "diagnosis"),
    ("constant predictions", "diagnosis"),
)


@dataclass(frozen=True)
class Mark:
    """A sentence that stands on everything made from a run, and what it is about."""

    kind: Kind
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def read_mark(given: Any) -> Mark:
    """A mark from JSON: {kind, sentence}, or the plain sentence of an earlier version.

    >>> read_mark("leak: 3 cases are in two parts").kind
    'leak'
    """
    if isinstance(given, Mark):
        return given
    if isinstance(given, Mapping):
        kind = given.get("kind")
        return Mark(kind if kind in KINDS else "other", str(given.get("sentence") or ""))
    text = str(given)
    kind = next((k for start, k in _BEGINNINGS if text.lower().startswith(start)), "other")
    return Mark(kind, text)
