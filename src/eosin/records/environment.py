"""``RunEnvironment``: environment.json, where and how a run was made."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from eosin.records.evaluation import Audit, MeasuredStore
from eosin.records.origin import Origin, Teacher
from eosin.records.record import Record


class TrainedStore(MeasuredStore):
    """The store that a run was made from."""

    layout: str = ""


class RunEnvironment(Record):
    """Versions, machine, command and data of a run.

    >>> RunEnvironment.model_validate({"eosin": "0.1.0", "packages": {"numpy": "2"}}).versions()
    {'eosin': '0.1.0', 'numpy': '2'}
    """

    date: str = ""
    eosin: str = ""
    python: str = ""
    packages: dict[str, Any] = Field(default_factory=dict)
    #: system, processor and cores, and what else was recorded.
    machine: dict[str, Any] = Field(default_factory=dict)
    command: str = ""
    store: TrainedStore = TrainedStore()
    audit: Audit | None = None
    fold: int | None = None
    marks: list[Any] = Field(default_factory=list)
    start: Origin | None = None
    teacher: Teacher | None = None

    def versions(self) -> dict[str, str]:
        """Name -> version of eosin, Python and each package that is recorded."""
        named = {"eosin": self.eosin, "Python": self.python, **self.packages}
        return {name: str(version) for name, version in named.items() if version}
