"""Choose, order and show rows of runs: columns, conditions such as "auroc>0.9", order."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from eosin.config import Recipe
from eosin.errors import UserError, closest
from eosin.experiments.rows import COLUMNS, RunRow

#: Shown where no columns are asked for.
STANDARD = ("name", "recipe", "network", "status", "epochs", "seconds", "part", "auroc",
            "average_precision", "accuracy")  # fmt: skip
#: Words that people write for a column.
SHORT = {"ap": "average_precision", "auc": "auroc", "architecture": "network"}

_CONDITION = re.compile(r"\s*([\w.-]+)\s*(>=|<=|!=|==|=|>|<|~)\s*(.*?)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge,
    "<": operator.lt, "<=": operator.le,
}  # fmt: skip


def checked_key(name: str, option: str) -> str:
    """A column or a recipe key by the name that a person gave; raises UserError that helps.

    >>> checked_key("ap", "--sort"), checked_key("arguments.width", "--filter")
    ('average_precision', 'arguments.width')
    >>> checked_key("aurok", "--sort")
    Traceback (most recent call last):
    eosin.errors.UserError: --sort: unknown key 'aurok'; did you mean auroc or marks?
    """
    key = SHORT.get(name.strip().lower(), name.strip())
    known = {*COLUMNS, *Recipe.model_fields}
    if key in known or key.split(".")[0] in Recipe.model_fields:
        return key
    raise UserError(f"{option}: unknown key {name.strip()!r}; {closest(key, known)}")


def columns_of(text: str | None) -> list[str]:
    """The columns to show, from "name,auroc,learning_rate"; None gives the standard ones.

    Raises UserError for one that does not exist.
    """
    if text is None:
        return list(STANDARD)
    names = [checked_key(name, "--columns") for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"--columns {text!r} lists none; for example: --columns name,auroc,seed")
    return list(dict.fromkeys(names))


def kept(rows: Iterable[RunRow], conditions: Sequence[str]) -> list[RunRow]:
    """The rows for which every condition holds: ``auroc>0.9``, ``recipe=compact``, ``name~fold``.

    = and != compare words without regard to case and accept * and ?; ~ means that it is contained.
    An unknown value meets no condition. Raises UserError for a condition that is not valid.
    """
    tests = [_test(text) for text in conditions]
    return [row for row in rows if all(test(row) for test in tests)]


def _test(text: str) -> Callable[[RunRow], bool]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UserError(
            f"--filter {text!r}: write key, sign and value, for example 'recipe=compact' or "
            "'auroc>0.9' (signs: = != > >= < <= ~)"
        )
    name, sign, operand = match.groups()
    key = checked_key(name, f"--filter {text!r}")
    number = _number(operand)
    numeric = key in COLUMNS and COLUMNS[key].number
    if sign in (">", ">=", "<", "<=") and number is None and numeric:
        raise UserError(f"--filter {text!r}: {operand!r} is not a number")

    def holds(row: RunRow) -> bool:
        result = row.value(key)
        if result is None:
            return False
        if sign == "~":
            return operand.lower() in _word(result)
        value = _number(result)
        if value is not None and number is not None:
            return _COMPARE[sign](value, number)
        if sign in ("=", "==", "!="):
            return fnmatch.fnmatchcase(_word(result), operand.lower()) == (sign != "!=")
        # Dates and names have an order as well.
        return _COMPARE[sign](_word(result), operand.lower())

    return holds


def _number(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _word(value: object) -> str:
    return str(value).lower()


def ordered(rows: Sequence[RunRow], key: str, *, reverse: bool = False) -> list[RunRow]:
    """The rows by a column or recipe key: the better first where there is a better, else ascending.

    Runs without it come last in either direction. reverse: the other order.
    """
    falling = bool(COLUMNS[key].larger) if key in COLUMNS else False
    known = sorted((r for r in rows if r.value(key) is not None), key=lambda row: row.name)
    known.sort(key=lambda row: _order(row.value(key)), reverse=falling != reverse)
    return known + [row for row in rows if row.value(key) is None]


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers before words, each in their own order."""
    number = _number(value)
    return (1, 0.0, _word(value)) if number is None else (0, number, "")
