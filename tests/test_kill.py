"""The short form of benchmarks/kill.py, benchmarks/full.py and benchmarks/two_processes.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Rows = Callable[..., list[dict[str, str]]]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pack", "train"])
def test_killed_at_any_moment_nothing_is_lost(
    rows_of_benchmark: Rows, tmp_path: Path, command: str
) -> None:
    """Of a training every resume ends with the weights of one that was never killed."""
    words = ["--only", command, "--moments", "3", "--changes", "3"]
    rows = rows_of_benchmark("kill", tmp_path, *words)
    assert {row["command"] for row in rows} == {command, f"{command} --force"}
    assert len(rows) > 4
    assert [row["problem"] for row in rows] == [""] * len(rows)


@pytest.mark.slow
def test_two_processes_on_one_run_break_no_file(rows_of_benchmark: Rows, tmp_path: Path) -> None:
    rows = rows_of_benchmark("two_processes", tmp_path, "--pairs", "3")
    assert [row["problem"] for row in rows] == ["", "", ""]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pack", "train"])
def test_a_full_disk_is_one_sentence(rows_of_benchmark: Rows, tmp_path: Path, command: str) -> None:
    """On a small tmpfs where one can be mounted, by RLIMIT_FSIZE everywhere."""
    kinds = "pages,files,sizes"
    rows = rows_of_benchmark("full", tmp_path, "--only", command, "--points", "2", "--kinds", kinds)
    assert "sizes" in {row["kind"] for row in rows}
    assert [row["problem"] for row in rows] == [""] * len(rows)
