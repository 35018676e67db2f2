"""Trackio's SQLite database, read back with SQL."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eosin.runs import RunFolder

pytest.importorskip("trackio")
pytestmark = pytest.mark.slow


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def test_the_database_holds_the_run(
    opened: Any, story: Any, run: RunFolder, said: list[str]
) -> None:
    first = opened("trackio")
    story.tell(first, epochs=2)
    first.failed("stopped", stopped=True)
    second = opened("trackio")
    story.tell(second)
    (line,) = story.end(second)
    assert said == []
    folder = run.path.resolve().parent / "trackio"
    assert line == f"Trackio: TRACKIO_DIR={folder} trackio show --project idc"
    database = folder / "idc.db"
    found = rows(database, "select run_name, run_id, step, metrics from metrics order by id")
    assert {(name, identity) for name, identity, _, _ in found} == {("first", found[0][1])}
    told = [(step, json.loads(text)) for _, _, step, text in found]
    assert [(step, row["loss"]) for step, row in told if "loss" in row] == [
        (1, 1.0),
        (2, 0.5),
        (3, pytest.approx(1 / 3)),
    ]
    # Pictures and warnings stand at the epoch that they belong to.
    assert {step for step, _ in told} <= {0, 1, 2, 3}
    final = next(row for step, row in told if step == 3 and "test/auroc" in row)
    assert final["test/auroc"] == 0.75
    assert final["test/auroc_low"] == pytest.approx(0.65)
    assert any("no training patch of class rare" in json.dumps(row) for _, row in told)
    picture = next(row["figures/roc"] for _, row in told if "figures/roc" in row)
    stored = folder / "media" / picture["file_path"]
    assert stored.read_bytes()[:8] == (run / "roc.png").read_bytes()[:8]
    config = json.loads(rows(database, "select config from configs")[-1][0])
    assert config["epochs"] == 3
    assert config["split.scheme"] == "case"
    assert config["tag.mark.1"] == story.mark
    blobs = [path.read_bytes() for path in (folder / "artifacts").rglob("*") if path.is_file()]
    for name in ("model.safetensors", "model.json", "report.html", "MODEL_CARD.md"):
        assert (run / name).read_bytes() in blobs


def test_another_run_of_the_same_name_is_another_run(
    opened: Any, story: Any, run: RunFolder, said: list[str]
) -> None:
    story.end(opened("trackio"))
    (run / "tracking.json").unlink()
    story.end(opened("trackio"))
    assert story.kept("trackio")["identity"].startswith("first-")
    assert said == []


def test_a_place_that_cannot_be_written_is_one_warning(
    opened: Any, story: Any, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    tracker = opened("trackio", to={"trackio": str(tmp_path / "file")})
    story.tell(tracker)
    assert story.end(tracker) == []
    assert len(said) == 1
    assert said[0].startswith("Trackio is dropped: ")
