"""What every typed part of a JSON file shares: it is frozen, and nothing it reads is lost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

T = TypeVar("T", bound="Record")


def _finite(value: Any) -> Any:
    """None for NaN and infinities, which JSON cannot carry."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


#: A number, or None where it is not defined.
Number = Annotated[float | None, BeforeValidator(_finite)]


class Record(BaseModel):
    """A part of a JSON file. Keys that this version has no field for are kept and written back.

    >>> class Point(Record):
    ...     x: Number = None
    ...     note: str = ""
    >>> point = Point.model_validate({"x": 0.5, "note": None, "later": 1})
    >>> point.note, point.to_json()
    ('', {'x': 0.5, 'later': 1})
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        """Null stands for the default where a field has one that is not None."""
        if not isinstance(data, Mapping):
            return data
        defaults = {field.alias or name: field.default for name, field in cls.model_fields.items()}
        return {k: v for k, v in data.items() if v is not None or defaults.get(k) is None}

    def to_json(self) -> dict[str, Any]:
        """The keys that were read or given, as plain values for JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def unknown_keys(self, prefix: str = "") -> list[str]:
        """Paths of the keys that this version has no field for, such as ``referral.achieved.x``."""
        found = [f"{prefix}{key}" for key in self.model_extra or {}]
        for name in type(self).model_fields:
            found += _unknown(getattr(self, name), f"{prefix}{name}")
        return found

    def changed(self, **fields: Any) -> Self:
        """The same record with other values of some fields, validated."""
        return type(self).model_validate({**self.to_json(), **fields})


def _unknown(value: Any, prefix: str) -> list[str]:
    if isinstance(value, Record):
        return value.unknown_keys(f"{prefix}.")
    if isinstance(value, Mapping):
        return [key for name, each in value.items() for key in _unknown(each, f"{prefix}.{name}")]
    if isinstance(value, tuple):
        return [key for each in value for key in _unknown(each, prefix)]
    return []
