"""Small data sets in the forms that people bring: each is packed as the table beside them expects.

The table is the file of a script outside of the project; without the script the tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.errors import UserError

SCRIPT = Path(__file__).parents[2] / ".." / "shared" / "cases" / "make.py"

#: One at a time, so that each is a test of its own.
NAMES = (
    "label-case", "case-label", "part-label-case", "positive-word", "positive-guess",
    "positive-chosen", "table-file", "table-folder", "table-tabs", "table-twice", "breakhis",
    "spelling", "depth", "copies", "nested-zip", "competition", "qupath",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the script of the cases is not here")


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> tuple[Path, dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, SCRIPT, folder], check=True, capture_output=True, timeout=120)
    rows = json.loads((folder / "expected.json").read_text("utf-8"))
    return folder, {row["name"]: row for row in rows}


def test_every_case_is_tried(cases):
    assert sorted(cases[1]) == sorted(NAMES)


def options(args: list[str]) -> dict[str, Any]:
    """The options of the command as those of the function."""
    pairs = zip(args[::2], args[1::2], strict=True)
    return {name.removeprefix("--").replace("-", "_"): value for name, value in pairs}


@pytest.mark.parametrize(
    "name",
    NAMES,
)
def test_case(name, cases, tmp_path, eosin):
    folder, rows = cases
    row = rows[name]
    source, args = folder / row["source"], row["args"]
    shown = eosin("pack", source, tmp_path / "shown", *args)
    text = shown.out + shown.err
    if "refuse" in row:
        assert shown.code == 2
        assert row["refuse"] in text
        with pytest.raises(UserError, match=row["refuse"]):
            pack(source, tmp_path / "s", **options(args))
        assert not list(tmp_path.iterdir())
        return
    assert shown.code == 0, text
    assert row.get("say", "") in text
    store = pack(source, tmp_path / "s", **options(args))
    assert store.digest == PatchStore.open(tmp_path / "shown").digest
    measured = {
        "classes": list(store.classes),
        "positive": store.classes[-1],
        "cases": len(set(store.cases) - {""}),
        "parts": dict(store.index["part"].value_counts().rows()),
        "patches": len(store),
    }
    assert {key: measured[key] for key in measured if key in row} == {
        key: row[key] for key in measured if key in row
    }
    if "positive" in row:
        assert len(store.classes) == 2
