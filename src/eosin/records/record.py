"""What every typed part of a JSON file shares: it is frozen, and nothing it reads is lost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator


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
        """Null means the default where a field has one that is not None."""
        if not isinstance(data, Mapping):
            return data
        defaults = {field.alias or name: field.default for name, field in cls.model_fields.items()}
        return {k: v for k, v in data.items() if v is not None or defaults.get(k) is None}

    def to_json(self) -> dict[str, Any]:
        """The keys that were read or set, as plain values for JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def changed(self, **fields: Any) -> Self:
        """The same record with other values of some fields, validated."""
        return type(self).model_validate({**self.to_json(), **fields})


def first_problem(error: Exception) -> str:
    """The first thing that is wrong with a record, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        return ": ".join(filter(None, [".".join(map(str, first["loc"])), message]))
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
