"""Origin: where the first weights of a model come from; Teacher: whose answers it learned from.

Both are kept in environment.json and model.json under "start" and "teacher". A run is identified by
the digest of its network's tensors, so evaluating it changes nothing for what was made from it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from eosin.errors import RunError
from eosin.records.record import Record
from eosin.records.weights import WEIGHTS, weights_digest


class Parent(Record):
    """A run that another model was made from."""

    path: str = ""
    weights_digest: str = ""
    #: Earlier versions: SHA-256 of its model.safetensors. For an encoder: of its weights files.
    digest: str = ""

    @classmethod
    def of(cls, folder: Path, **known: Any) -> Self:
        """A finished run as it is now; raises RunError where its weights cannot be read."""
        return cls(path=str(folder.resolve()), weights_digest=weights_digest(folder), **known)

    def check(self) -> None:
        """Raise RunError where the weights are missing, or are not those that were recorded."""
        file = Path(self.path) / WEIGHTS
        if not file.exists():
            raise RunError(
                f"{file}, which this run started from, is missing; restore it, or start a new run"
            )
        if self.weights_digest:
            same = weights_digest(file.parent) == self.weights_digest
        else:
            same = hashlib.sha256(file.read_bytes()).hexdigest() == self.digest
        if not same:
            raise RunError(
                f"{file}, which this run started from, has changed since; start a new run"
            )


class Teacher(Parent):
    """A run whose answers another one learned from."""

    recipe: str | None = None
    parameters: int | None = None


class Member(Parent):
    """A run that is part of an ensemble."""

    recipe: dict[str, Any] = Field(default_factory=dict)
    parameters: int | None = None
    temperature: float = 1.0


class Origin(Parent):
    """Where the first weights come from.

    kind: "random"; "run" (the weights of an earlier run, at ``path``); "encoder" (pretrained
    weights, in the file at ``path``); "ensemble" (of ``members``); "cut" (of the run at ``path``,
    by "eosin prune"). What else is known of an encoder's weights is kept as it was passed.

    >>> Origin(kind="cut", path="run", keep=0.5, by="taylor").to_json()
    {'kind': 'cut', 'path': 'run', 'keep': 0.5, 'by': 'taylor'}
    """

    kind: str = "random"
    #: Of a run: its classes, input scaling and the digest of its store.
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    store: str | None = None
    #: Of an encoder: its name in the table.
    encoder: str = ""
    members: tuple[Member, ...] = ()
    #: Of a cut network: the share of channels that was kept, and by what they were chosen.
    keep: float | None = None
    by: str = ""

    def to_json(self) -> dict[str, Any]:
        """The kind, and what was set."""
        return {"kind": self.kind, **super().to_json()}
