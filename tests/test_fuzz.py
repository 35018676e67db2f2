"""The short form of benchmarks/fuzz.py, and what the long form has found, each by its kind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Rows = Callable[..., list[dict[str, str]]]


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_hostile_sources_and_stores_end_with_a_sentence(
    rows_of_benchmark: Rows, tmp_path: Path
) -> None:
    rows = rows_of_benchmark("fuzz", tmp_path, "--short", "--inputs", "160", "--jobs", "1")
    assert sum(int(row["inputs"]) for row in rows) == 160
    assert {row["command"] for row in rows} == {
        "pack", "split", "audit", "inspect", "card", "recipes"
    }  # fmt: skip
    assert not [row for row in rows if int(row["fault"])]
    # Not everything is refused: what is harmless is read.
    assert sum(int(row["succeeded"]) for row in rows) > 40


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_hostile_inputs_of_every_kind_end_with_a_sentence(
    rows_of_benchmark: Rows, tmp_path: Path
) -> None:
    rows = rows_of_benchmark("fuzz", tmp_path, "--inputs", "150", "--jobs", "1", "--seed", "7")
    assert not [row for row in rows if int(row["fault"])]
    assert len({row["kind"] for row in rows}) > 20
