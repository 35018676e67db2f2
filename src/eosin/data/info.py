"""store.json as typed keys: a store is refused where one of them cannot be what it says."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from eosin.data.positive import By
from eosin.records.record import Record

Count = Annotated[int, Field(le=2**62)]
Side = Annotated[int, Field(gt=0, le=65_536)]


class Conflicts(Record):
    """The same pixels with two labels."""

    count: Count = 0


class StoreInfo(Record):
    """What store.json has; the index, the patches and these have to agree besides.

    >>> from eosin.records.record import first_problem
    >>> try:
    ...     StoreInfo.model_validate({"classes": "ab"})
    ... except ValueError as error:
    ...     print(first_problem(error))
    classes: Input should be a valid list
    """

    classes: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    patch_size: tuple[Side, Side]
    count: Annotated[int, Field(le=2**40)]
    digest: Annotated[str, Field(min_length=1)]
    cases_known: bool
    mpp: Annotated[float, Field(gt=0)] | None = None
    positive: str | None = None
    positive_by: By = ""
    counts: dict[str, Count] = Field(default_factory=dict)
    cases: Count = 0
    made_up: bool = False
    layout: str | None = None
    fit: str = "pad"
    white: float | None = None
    deep_images: Count = 0
    other_sizes: Count = 0
    nested_copies: Count = 0
    nested_differing: Count = 0
    duplicates: Count = 0
    conflicts: Conflicts | None = None
    rejects_count: Count = 0
    reject_reasons: dict[str, Count] = Field(default_factory=dict)
    rejects: list[dict[str, Any]] = Field(default_factory=list)
    ignored: Count = 0
    excluded: Count = 0
    notes: list[str] = Field(default_factory=list)
    origin: Any = None
    source: str | None = None

    @model_validator(mode="after")
    def _agrees(self) -> StoreInfo:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is listed twice")
        return self
