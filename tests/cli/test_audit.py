"""audit from the command line: a table, and 1 for a leak."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.data.store import PatchStore
from eosin.splitting.split_file import write_split
from eosin.splitting.splits import by_case, by_folds, by_patch

Run = Callable[..., Any]


def test_a_clean_split(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(by_case(made_up_store), path)
    done = eosin("audit", made_up_store.path, path)
    assert done.code == 0
    assert "no leak found" in done.out
    assert "made up" in done.out


def test_a_leak_exits_with_1_after_the_table(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path
) -> None:
    path = tmp_path / "split.csv"
    write_split(by_patch(made_up_store), path)
    done = eosin("audit", made_up_store.path, path)
    assert done.code == 1
    assert "shared-cases" in done.out
    assert "touching" in done.out
    assert "error: " in done.err
    assert "eosin split" in done.err


def test_json_is_one_object(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(by_patch(made_up_store), path)
    done = eosin("audit", made_up_store.path, path, "--json")
    assert done.code == 1
    facts = json.loads(done.out)
    assert facts["leaking"] is True
    assert {finding["kind"] for finding in facts["findings"]} >= {"shared-cases", "touching"}
    assert facts["marks"]
    assert facts["split_marks"]


def test_folds(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(by_folds(made_up_store, k=4), path)
    assert eosin("audit", made_up_store.path, path, "--fold", 2).code == 0
    missing = eosin("audit", made_up_store.path, path)
    assert missing.code == 2
    assert "--fold 0..3" in missing.err


@pytest.mark.parametrize("text", ["", "hello", "# eosin split 1\n# scheme: x\n"])
def test_a_broken_split(eosin: Run, made_up_store: PatchStore, tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    done = eosin("audit", made_up_store.path, path, "--json")
    assert done.code == 2
    assert json.loads(done.out)["exit_code"] == 2
