"""JSON and TOML of any origin: what cannot be read is a ValueError, however it is broken."""

from __future__ import annotations

import errno
import json
import math
import tomllib
from pathlib import Path
from typing import Any

#: Levels of lists and objects inside of each other; eosin's own files have at most ten.
MOST_LEVELS = 100
_MOST = 1 << 63


def from_json(text: str | bytes) -> Any:
    """The value of a JSON text; NaN and Infinity, which JSON does not have, become None.

    Raises ValueError for what is not JSON, is nested too deeply for what walks through it, or has
    numbers or characters that nothing can compute with or write again.

    >>> from_json('{"a": [1, NaN]}')
    {'a': [1, None]}
    >>> from_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: it is nested too deeply
    """
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(value)
    if ("\\u" if isinstance(text, str) else b"\\u") in text:  # type: ignore[operator]
        # Half of a pair, which has no UTF-8: UnicodeEncodeError is a ValueError.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def is_special(path: Path) -> bool:
    """Whether a path is a pipe, device or socket, which may have no end or wait for a writer."""
    return path.exists() and not path.is_file() and not path.is_dir()


def read_text(path: Path) -> str:
    """The UTF-8 text of a file in a folder; OSError also for a pipe, which would wait for ever."""
    if is_special(path):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return path.read_text("utf-8")


def from_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text; ValueError as ``from_json`` has it.

    >>> from_toml("epochs = 3")
    {'epochs': 3}
    """
    try:
        value = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(value, infinite=True)
    return value


def _check(value: Any, *, infinite: bool = False) -> None:
    """Raise ValueError for a value that is too deep, or a number in it that is too large."""
    level = [value]
    for _ in range(MOST_LEVELS):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, int):
                if not -_MOST <= each < _MOST:
                    raise ValueError("a number that is too large")
            elif isinstance(each, float) and not (infinite or math.isfinite(each)):
                raise ValueError("a number that is too large")
        if not below:
            return
        level = below
    raise ValueError("it is nested too deeply")
