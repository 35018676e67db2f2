"""JSON and TOML of any origin: whatever is wrong with a text, reading it is a ValueError."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from eosin.texts import MOST_LEVELS, from_json, from_toml, read_text


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        "[" * (MOST_LEVELS + 1) + "]" * (MOST_LEVELS + 1),
        "1" * 400,
        '{"a": [1e999]}',
        '{"a": "\\ud800"}',
        '{"\\udc00": 1}',
        "",
        "{",
    ],
)
def test_json_that_nothing_can_work_with_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_json(text)
    with pytest.raises(ValueError, match=r".+"):
        from_json(text.encode())


def test_what_json_does_not_have_is_none_and_the_rest_is_kept() -> None:
    assert from_json("[NaN, -Infinity, 0.5]") == [None, None, 0.5]
    assert from_json('{"a": {"b": ["\\ud83d\\ude00", -9223372036854775808]}}') == {
        "a": {"b": ["\U0001f600", -(2**63)]}
    }


@pytest.mark.parametrize("text", ["x = " + "[" * 3000, "x = " + "1" * 100, "x = ", "\0"])
def test_toml_that_nothing_can_work_with_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_toml(text)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes")
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.json")
    with pytest.raises(OSError, match="pipe"):
        read_text(tmp_path / "model.json")
