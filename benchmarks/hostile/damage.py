"""Damage to bytes, to values (JSON, TOML) and to lines of text; every draw from a given generator.

Each function returns what it made and a few words that say what was done to it.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from typing import Any

#: Values that stand where something else is expected.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, -(2**31), 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400,
    0.5, -0.0, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf, "", " ", "0", "1e999", "nan",
    "true", "null", "../../..", "/nowhere/x", "..", "a\x00b", "a\nb", "\x1b[31mred", "\ud800",
    "\u202egnp.exe", "{0}", "%s%n", "[bold]x[/]", "é" * 300, "x" * 100_000, [], {}, [[]], [None],
    {"": {}}, [1, "a", None], {"a": 1}, list(range(3000)),
)  # fmt: skip
NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
TEXTS = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b"\r", b"\n\n", b"-1", b"NaN",
    b"1e999",
    b"99999999999999999999", b"../", b"\x1b[2J", b"'", b'"', b"[" * 3000, b"{", b"A" * 5000,
)  # fmt: skip


def bytes_of(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Bytes with one to four changes; half of the places are near the start or the end."""
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data, words = rng.choice(_BYTES)(rng, data)
        done.append(words)
    return data, "; ".join(done)


def _place(rng: random.Random, data: bytes) -> int:
    size = max(len(data), 1)
    draw = rng.random()
    if draw < 0.35:
        return rng.randrange(min(size, 128))
    return size - 1 - rng.randrange(min(size, 128)) if draw < 0.5 else rng.randrange(size)


def _flip(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    changed = bytearray(data)
    count = rng.choice((1, 1, 2, 8, 64))
    for _ in range(count if data else 0):
        changed[_place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(changed), f"{count} bits flipped"


def _number(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    at, width = _place(rng, data), rng.choice((1, 2, 4, 8))
    value = rng.choice(NUMBERS) if width < 8 else rng.choice((0, 2**63 - 1, 2**63, 2**64 - 1))
    order = rng.choice(("little", "big"))
    written = (value & (256**width - 1)).to_bytes(width, order)  # type: ignore[arg-type]
    return data[:at] + written + data[at + width :], f"{value:#x} written over byte {at}"


def _cut(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    keep = rng.choice((0, 1, 4, 16, _place(rng, data), len(data) // 2, len(data) - 1))
    return data[: max(keep, 0)], f"cut to {max(keep, 0)} bytes"


def _piece(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = _place(rng, data)
    return start, start + rng.choice((1, 2, 4, 16, 256, max(len(data) // 4, 1)))


def _without(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    start, end = _piece(rng, data)
    return data[:start] + data[end:], f"bytes {start} to {end} taken out"


def _twice(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    start, end = _piece(rng, data)
    return data[:end] + data[start:], f"bytes {start} to {end} twice"


def _filled(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    start, end = _piece(rng, data)
    fill = rng.choice((b"\x00", b"\xff", b"\x80", b"0"))
    part = fill * len(data[start:end])
    return data[:start] + part + data[end:], f"bytes {start} to {end} are {fill.hex()}"


def _with(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    at, text = _place(rng, data), rng.choice(TEXTS)
    return data[:at] + text + data[at:], f"{text[:12]!r} put in at {at}"


def _around(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    more = rng.choice((rng.randbytes(20), b"\x00" * 4096, data[:64], b"PK\x05\x06", b"\n"))
    if rng.random() < 0.5:
        return more + data, "something before it"
    return data + more, "something behind it"


def _other(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    made = rng.choice(
        (b"", b"\x00" * 1000, rng.randbytes(500), b"<html>not found</html>", data[::-1], b"null",
         b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    )  # fmt: skip
    return made, f"replaced by {made[:20]!r}"


_BYTES = (_flip, _flip, _number, _number, _cut, _cut, _without, _twice, _filled, _with, _around,
          _other)  # fmt: skip


def value_of(rng: random.Random, value: Any) -> tuple[Any, str]:
    """A nested value with one to three of its items changed."""
    value, done = json.loads(json.dumps(value)), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return rng.choice(VALUES), "replaced as a whole"
        # Of large lists, no more than of the rest.
        shallow = [place for place in places if place[2] <= 2]
        holder, key, _, words = rng.choice(shallow if shallow and rng.random() < 0.6 else places)
        done.append(f"{words}: {_change(rng, holder, key, places)}")
    return value, "; ".join(done)


def _places(value: Any, depth: int = 0, words: str = "") -> Any:
    items: list[Any] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))[:40]
    for key, item in items:
        name = f"{words}.{str(key)[:30]}" if words else str(key)[:30]
        yield value, key, depth, name
        if depth < 6:
            yield from _places(item, depth + 1, name)


def _change(rng: random.Random, holder: Any, key: Any, places: list[Any]) -> str:
    value = holder[key]
    draw = rng.random()
    if draw < 0.5:
        holder[key] = rng.choice(VALUES)
    elif draw < 0.6:
        del holder[key]
        return "taken out"
    elif draw < 0.68:
        holder[key] = rng.choice(([value], {"a": value}, str(value), [value, value], [value] * 500))
    elif draw < 0.74 and isinstance(holder, dict):
        holder[rng.choice(("x", f"{key} ", str(key).upper(), ""))] = holder.pop(key)
        return "renamed"
    elif draw < 0.82:
        other, name, _, words = rng.choice(places)
        holder[key] = json.loads(json.dumps(other.get(name) if isinstance(other, dict) else value))
        return f"the value of {words}"
    elif isinstance(value, bool):
        holder[key] = not value
    elif isinstance(value, int | float) and abs(value) < 1e300:
        holder[key] = rng.choice(
            (-value, value + 1, value - 1, value * 10**9, value / 3, str(value), value * 1e300)
        )
    elif isinstance(value, str):
        holder[key] = rng.choice((value[:-1], value + "x", value.upper(), value[::-1], value * 500))
    elif isinstance(value, list):
        holder[key] = rng.choice((value[:-1], value + value, value[::-1], value[:1], []))
    else:
        holder[key] = rng.choice(VALUES)
    return f"now {str(holder[key])[:40]!r}"


def deep(rng: random.Random) -> Any:
    """A value nested hundreds of times: a parser or a walk that calls itself may end on it."""
    made: Any = 1
    for _ in range(rng.choice((50, 500, 900))):
        made = [made] if rng.random() < 0.5 else {"a": made}
    return made


def json_of(rng: random.Random, text: str) -> tuple[bytes, str]:
    """A JSON text with its values damaged, or its text, or its bytes."""
    draw = rng.random()
    if draw < 0.78:
        value, words = value_of(rng, json.loads(text))
        return json.dumps(value, indent=rng.choice((None, 1))).encode(), words
    if draw < 0.86:
        value = json.loads(text)
        made = rng.choice(
            (b"[" * 100_000, b'{"a":' * 50_000, b"null", b"[]", b"{}", b'"x"', b"1" * 5000, b"",
             text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode(), text.encode() * 2,
             text.replace("{", '{"format": 1, "format": 9,', 1).encode(), b"NaN",
             json.dumps(deep(rng)).encode(), json.dumps([value]).encode())
        )  # fmt: skip
        return made, f"another text: {made[:20]!r}"
    return bytes_of(rng, text.encode())


LITERALS = (
    "nan", "inf", "-inf", "0", "-1", "1e308", "99999999999", "9223372036854775807", '""', '"x"',
    "true", "[]", "[[[[1]]]]", "{}", "{ a = 1 }", "1979-05-27T07:32:00Z", "07:32:00", '"\\u0000"',
    "'../../x'", "0.0000000001", "[1, 'a']", "0x10", "1_0", "'''\nx'''", "[nan]", "-0.0", "",
    '"' + "y" * 20_000 + '"', "[" * 200 + "]" * 200, "[" * 3000, "10" * 3000, "{ x = {}, y = [] }",
)  # fmt: skip


def toml_of(rng: random.Random, text: str) -> tuple[bytes, str]:
    """A TOML text with some of its lines damaged, or its bytes."""
    if rng.random() < 0.15:
        return bytes_of(rng, text.encode())
    lines, done = text.splitlines(), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(max(len(lines), 1))
        line = lines[at] if lines else ""
        key = line.partition("=")[0].strip()
        draw = rng.random()
        if draw < 0.6 and key:
            lines[at : at + 1] = [f"{key} = {rng.choice(LITERALS)}"]
        elif draw < 0.68:
            lines[at : at + 1] = []
        elif draw < 0.74:
            lines.insert(at, line)
        elif draw < 0.8:
            lines.insert(at, f"[{rng.choice(('a.b', 'arguments', key or 'x', '[x]', '', 'a..b'))}]")
        elif draw < 0.86:
            lines.insert(at, f"unknown{rng.randrange(9)} = {rng.choice(LITERALS)}")
        elif draw < 0.93:
            swapped = re.sub(r"\d+", lambda m: str(rng.choice((0, -1, 10**12, m[0] * 9))), line)
            lines[at : at + 1] = [swapped]
        else:
            lines.insert(
                at, rng.choice(("=", '"', "a = ", "[", "\x00", "a.b.c = 1", "# \x07", "]"))
            )
        done.append(f"line {at + 1}")
    return "\n".join(lines).encode("utf-8", "surrogatepass"), "; ".join(done)


def lines_of(
    rng: random.Random, text: str, line: Callable[[random.Random, str], tuple[bytes, str]]
) -> tuple[bytes, str]:
    """A file of one record a line, with lines damaged by ``line``, twice, gone or in disorder."""
    if rng.random() < 0.15:
        return bytes_of(rng, text.encode())
    lines: list[bytes] = [each.encode() for each in text.splitlines()]
    at, draw = rng.randrange(max(len(lines), 1)), rng.random()
    words = "in disorder"
    if draw < 0.65 and lines:
        lines[at], words = line(rng, lines[at].decode())
        lines[at] = lines[at].replace(b"\n", b" ")
    elif draw < 0.75:
        lines[at : at + 1], words = [], "taken out"
    elif draw < 0.85:
        lines[at:at], words = lines[at : at + 1] * rng.choice((1, 50)), "repeated"
    elif draw < 0.93:
        rng.shuffle(lines)
    else:
        lines.insert(at, rng.choice((b"", b"{}", b"null", b"[]", b"x", b"\xff\xfe", b'"a"', b"1")))
        words = "one more"
    return b"\n".join(lines) + b"\n", f"line {at + 1}: {words}"
