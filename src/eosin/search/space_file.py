"""The space file: TOML with one table for each key that is searched; every mistake a sentence.

::

    [learning_rate]
    low = 1e-4
    high = 1e-1
    log = true

    [batch_size]
    choices = [64, 128]

    ["arguments.dropout"]
    low = 0.0
    high = 0.5
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from eosin.config import Recipe
from eosin.errors import RecipeError, closest
from eosin.search.space import NOT_SEARCHED, Dimension
from eosin.texts import from_toml

_WORDS = ("low", "high", "log", "step", "choices")
_HOW = "write low and high, or choices"


def read_space(path: str | os.PathLike[str]) -> tuple[Dimension, ...]:
    """The dimensions of a space file, in its order.

    Raises RecipeError for a file that cannot be read, an unknown key or word, and a range or list
    that is not valid.
    """
    source = Path(path)
    try:
        tables = from_toml(source.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{source}: the space file cannot be read ({reason})") from None
    except ValueError as error:
        raise RecipeError(f"{source}: not valid TOML ({error})") from None
    return parse_space(tables, origin=str(source))


def parse_space(tables: Mapping[str, Any], *, origin: str = "space") -> tuple[Dimension, ...]:
    """The same from tables already read.

    >>> parse_space({"batch_size": {"choices": [64, 128]}})[0].sentence()
    'batch_size of 64, 128'
    >>> parse_space({"batchsize": {"choices": [64, 128]}})
    Traceback (most recent call last):
    eosin.errors.RecipeError: space: unknown key 'batchsize'; did you mean batch_size?
    """
    flat: dict[str, Any] = {}
    for key, table in tables.items():
        if key == "arguments" and isinstance(table, dict) and not set(table) & set(_WORDS):
            # [arguments.dropout] is the same as ["arguments.dropout"].
            flat |= {f"arguments.{name}": inner for name, inner in table.items()}
        else:
            flat[key] = table
    if not flat:
        raise RecipeError(
            f"{origin} lists nothing to search; give each recipe key a table, for example "
            "[learning_rate] with low = 1e-4, high = 1e-1, log = true"
        )
    return tuple(_dimension(key, table, origin) for key, table in flat.items())


def _dimension(key: str, table: Any, origin: str) -> Dimension:
    head, _, tail = key.partition(".")
    if head not in Recipe.model_fields:
        raise RecipeError(f"{origin}: unknown key {key!r}; {closest(head, Recipe.model_fields)}")
    if head in NOT_SEARCHED:
        raise RecipeError(f"{origin}: {head} is not searched: {NOT_SEARCHED[head]}")
    if (head == "arguments") != bool(tail):
        raise RecipeError(
            f"{origin}: {key} is not a single value; "
            + ("use one argument, as in [arguments.dropout]" if not tail else f"use [{head}]")
        )
    where = f"{origin}, [{key}]"
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: {table!r} is not a table; {_HOW}")
    if unknown := [word for word in table if word not in _WORDS]:
        raise RecipeError(f"{where}: unknown word {unknown[0]!r}; {closest(unknown[0], _WORDS)}")
    if "choices" in table:
        if others := [word for word in table if word != "choices"]:
            raise RecipeError(f"{where}: choices cannot be combined with {', '.join(others)}")
        return Dimension(key, "choice", choices=_choices(table["choices"], where))
    return _range(key, table, where)


def _choices(values: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise RecipeError(f"{where}: choices is {values!r}, not a list")
    try:
        labels = [json.dumps(choice, allow_nan=False) for choice in values]
    except (TypeError, ValueError):
        raise RecipeError(
            f"{where}: choices are numbers, words, true or false, or lists of these"
        ) from None
    if len(labels) < 2:
        raise RecipeError(f"{where}: {len(labels)} choices; at least 2 are something to search")
    if doubled := [label for label in labels if labels.count(label) > 1]:
        raise RecipeError(f"{where}: {doubled[0]} is in choices twice")
    return tuple(values)


def _range(key: str, table: Mapping[str, Any], where: str) -> Dimension:
    kind = _kind_of(key, table)
    if kind is None:
        raise RecipeError(f"{where}: it takes no numbers from a range; write choices = [...]")
    for word in ("low", "high"):
        if word not in table:
            raise RecipeError(f"{where}: {word} is missing; {_HOW}")
    numbers = {
        word: _number(table[word], word, where, kind)
        for word in ("low", "high", "step")
        if word in table
    }
    low, high, step = numbers["low"], numbers["high"], numbers.get("step")
    log = table.get("log", False)
    if not isinstance(log, bool):
        raise RecipeError(f"{where}: log is {log!r}; it is true or false")
    if low >= high:
        raise RecipeError(f"{where}: low = {low:g} is not below high = {high:g}")
    if log and low <= 0:
        raise RecipeError(f"{where}: a log range starts above 0, not at low = {low:g}")
    if step is not None:
        _check_step(low, high, step, log, where)
    return Dimension(key, kind, low, high, log, step)


def _kind_of(key: str, table: Mapping[str, Any]) -> Literal["float", "int"] | None:
    """Of the recipe's key; of an argument, by how its ends are written; None for a word."""
    head, _, tail = key.partition(".")
    if tail:
        numbers = [table.get(word, 0) for word in ("low", "high", "step")]
        return "int" if all(isinstance(each, int) for each in numbers) else "float"
    annotation = Recipe.model_fields[head].annotation
    return "int" if annotation is int else "float" if annotation is float else None


def _number(value: Any, word: str, where: str, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RecipeError(f"{where}: {word} is {value!r}, not a number")
    if kind == "int" and value != int(value):
        raise RecipeError(f"{where}: {word} is {value!r}, but the key takes whole numbers")
    return float(value)


def _check_step(low: float, high: float, step: float, log: bool, where: str) -> None:
    if log:
        raise RecipeError(f"{where}: log and step exclude each other")
    if step <= 0 or step > high - low:
        raise RecipeError(f"{where}: step = {step:g} does not fit between {low:g} and {high:g}")
    steps = (high - low) / step
    if not math.isclose(steps, round(steps), abs_tol=1e-9):
        raise RecipeError(f"{where}: steps of {step:g} from {low:g} do not end at high = {high:g}")
