"""Mark: a limit that goes with every figure of a run, with its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BeforeValidator

Kind = Literal["made_up", "leak", "seen", "no_test", "own_split", "diagnosis", "scale", "other"]

#: How the plain sentences of earlier versions begin or what they contain; the first that fits.
_EARLIER: tuple[tuple[Kind, str], ...] = (
    ("own_split", r"^of the run's own split"),
    ("diagnosis", r"^(no weight changed|constant predictions)"),
    ("made_up", r"made[- ]up"),
    ("no_test", r"no test part"),
    ("seen", r"seen in training|has seen"),
    ("leak", r"leak|shared|both (sides|parts)|duplicate|patch-random|random"),
)


@dataclass(frozen=True)
class Mark:
    """One limit: what kind it is of, and the sentence for people."""

    kind: Kind
    sentence: str

    def __str__(self) -> str:
        return self.sentence

    def to_json(self) -> dict[str, str]:
        """For JSON files.

        >>> Mark("leak", "two cases are in both parts").to_json()
        {'kind': 'leak', 'sentence': 'two cases are in both parts'}
        """
        return {"kind": self.kind, "sentence": self.sentence}

    @classmethod
    def read(cls, value: Any) -> Mark:
        """From JSON; the plain sentence of an earlier version gets its kind here.

        Raises ValueError for anything else.

        >>> Mark.read("MADE-UP DATA: not real").kind
        'made_up'
        """
        if isinstance(value, Mark):
            return value
        if isinstance(value, dict) and isinstance(value.get("sentence"), str):
            kind = value.get("kind")
            known = kind in get_args(Kind)
            return cls(cast(Kind, kind) if known else "other", value["sentence"])
        if isinstance(value, str):
            lowered = value.lower()
            kinds = (kind for kind, pattern in _EARLIER if re.search(pattern, lowered))
            return cls(next(kinds, "other"), value)
        raise ValueError(f"a mark is an object with a sentence, not {value!r}")


#: The marks of a record, of any version.
Marks = tuple[Annotated[Mark, BeforeValidator(Mark.read)], ...]


def unique(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Each mark once, in order."""
    return tuple(dict.fromkeys(marks))
