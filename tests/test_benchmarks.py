"""The benchmarks' own house: scripts that say how they are run, and the harness they share."""

from __future__ import annotations

import ast
import csv
import doctest
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.fixture
def harness() -> Iterator[Any]:
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("harness")
    sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.name for path in SCRIPTS])
def test_a_script_says_what_it_measures_and_how_it_is_run(script: Path) -> None:
    tree = ast.parse(script.read_text("utf-8"))
    text = ast.get_docstring(tree)
    assert text
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if "main" in made:
        assert f"python benchmarks/{script.name}" in text


def test_jobs_take_turns_and_the_first_is_the_reference(harness: Any) -> None:
    order: list[str] = []
    jobs = {"plain": lambda: order.append("plain"), "fast": lambda: order.append("fast")}
    times = harness.alternate(jobs, repeats=3)
    assert order == ["plain", "fast"] * 4
    assert all(len(found.seconds) == 3 for found in times.values())
    plain, fast = harness.Times((4.0, 2.0, 3.0)), harness.Times((1.0, 1.0, 2.0))
    rows = harness.rows_of({"plain": plain, "fast": fast}, work=6)
    assert [(row["median_s"], row["patches_per_s"], row["ratio"]) for row in rows] == [
        (3.0, 2.0, 1.0),
        (1.0, 6.0, 3.0),
    ]
    # Of jobs that do not do the same amount, work a second is compared.
    rows = harness.rows_of({"plain": plain, "fast": fast}, work={"plain": 6, "fast": 2})
    assert [row["ratio"] for row in rows] == [1.0, 1.0]


def test_a_table_is_named_by_hardware_and_versions(
    harness: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = harness.write_csv("x", [{"a": 1}, {"a": 2, "b": "c"}], packages=("numpy",),
                             folder=tmp_path)  # fmt: skip
    assert harness.hardware() in path.name
    assert "-numpy" in path.name
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["a"], row["b"]) for row in rows] == [("1", ""), ("2", "c")]
    harness.show([{"job": "p", "ratio": 1.5}], "title")
    assert "1.5" in capsys.readouterr().out


def test_the_memory_of_a_child_is_its_own(harness: Any) -> None:
    held = bytearray(200 << 20)
    done = harness.child(["-c", "print(len(b'x' * (50 << 20)))"])
    assert done.stdout.strip() == str(50 << 20)
    assert 50 < done.peak_mib < 150
    with pytest.raises(RuntimeError, match="gave 3"):
        harness.child(["-c", "raise SystemExit(3)"])
    assert held


def test_code_lines_are_counted_without_comments_and_docstrings(
    harness: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = importlib.import_module("code_lines")
    assert doctest.testmod(counter).failed == 0
    text = '''"""Two
lines."""

import os  # why

LONG = """not a
docstring"""


class A:
    """A."""

    async def f(self) -> int:
        """F."""
        # Nothing.
        return (
            1
        )
'''
    assert counter.code_lines(text) == 1 + 2 + 1 + 1 + 3
    monkeypatch.setattr("sys.argv", ["code_lines.py", ".", "."])
    counter.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["room", "old", "new", "change"]
    assert {"data", "cli", "beside"} <= {row[0] for row in rows}
    assert rows[-1][0] == "all"
    numbers = [int(row[1].replace(",", "")) for row in rows[1:]]
    assert sum(numbers[:-1]) == numbers[-1]
    assert {row[3] for row in rows[1:]} == {"+0"}
