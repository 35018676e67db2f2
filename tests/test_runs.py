"""Run folders: what is written, and what is said of damaged ones."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from eosin.config import Recipe
from eosin.errors import RunError, UserError
from eosin.runs import RunFolder, environment, recorded_path, recorded_places


def test_metrics_can_be_cut_and_survive_a_torn_last_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create()
    for epoch in range(1, 6):
        run.append_metrics({"epoch": epoch, "loss": float("nan")})
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 6, "lo')
    assert [row["epoch"] for row in run.metrics()] == [1, 2, 3, 4, 5]
    run.keep_metrics(3)
    assert run.metrics() == [{"epoch": epoch, "loss": None} for epoch in (1, 2, 3)]
    (run / "metrics.jsonl").write_text('{"a": 1}\njunk\n{"a": 2}\n')
    with pytest.raises(RunError, match="line 2"):
        run.metrics()


def test_json_has_no_nan(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_json("x.json", {"a": [float("inf"), 1.5], "b": {"c": float("nan")}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}}
    assert run.read_json("x.json")["a"] == [None, 1.5]


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_damaged_json_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RunError, match=r"x\.json"):
        RunFolder(tmp_path).read_json("x.json")


def test_only_a_run_folder_opens(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run folder"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(RunError, match="is not a run folder"):
        RunFolder.open(tmp_path)
    recipe = Recipe(epochs=7, arguments={"widths": [1, 2]})
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    assert RunFolder.open(tmp_path).recipe() == recipe


def test_a_folder_in_use_is_not_taken(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "my run")
    assert run.create() == []
    (run / "resume.pt").touch()
    with pytest.raises(UserError, match=r"resume it with: eosin train --resume '.*my run'"):
        run.create()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="is a file"):
        RunFolder(file).create()
    with pytest.raises(UserError, match="cannot be made"):
        RunFolder(file / "below").create()


def test_a_folder_that_is_not_a_run_is_refused_and_force_is_not_offered(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for force in (False, True):
        with pytest.raises(UserError, match="contains other files; choose another") as refused:
            RunFolder(tmp_path).create(force=force)
        assert "--force" not in str(refused.value)


def test_the_recorded_command_can_be_pasted_back(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["eosin", "train", "my data/s.store", "-o", "it's"]
    monkeypatch.setattr("sys.argv", words)
    assert shlex.split(environment()["command"]) == words


def test_a_recorded_path_is_found_from_anywhere(tmp_path: Path) -> None:
    record = recorded_path(tmp_path / "a" / "s.store", tmp_path / "a" / "runs" / "r")
    assert recorded_places(record, tmp_path / "b" / "runs" / "r") == [
        tmp_path / "a" / "s.store", tmp_path / "b" / "s.store",
    ]  # fmt: skip


def test_the_environment_names_versions_and_machine() -> None:
    found = environment()
    assert found["packages"]["torch"] != "not installed"
    assert found["machine"]["cores"] >= 1
    assert found["eosin"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[1]\n{}\n", b"null\n{}\n", b"[" * 90_000 + b"\n{}\n"]
)
def test_damaged_metrics_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(RunError, match=r"metrics\.jsonl"):
        RunFolder(tmp_path).metrics()
