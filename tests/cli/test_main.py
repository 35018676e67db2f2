"""The program around the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.cli.main import COMMANDS, STAGES


def test_a_command_that_cannot_be_loaded_is_one_sentence(
    eosin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ModuleNotFoundError("No module named 'eosin.cli.gone'")

    monkeypatch.setattr("eosin.cli.main.register", broken)
    found = eosin("learn", "--json")
    assert found.code == 1
    assert "internal error" in found.err
    assert "eosin.cli.gone" in found.err
    assert "Traceback" not in found.err
    assert json.loads(found.out)["exit_code"] == 1


def test_a_missing_part_is_one_sentence_with_the_line_that_installs_it(
    eosin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Callable[[], None]:
        def register() -> None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return register

    monkeypatch.setattr("eosin.cli.main.register", missing("captum"))
    found = eosin("explain", "run", "--json")
    assert found.code == 2
    assert 'eosin explain needs an optional part; install it with: pip install "eosin[train]"' in (
        found.err
    )
    assert json.loads(found.out)["exit_code"] == 2
    # A part of an installed package that is not there is a fault of eosin's.
    monkeypatch.setattr("eosin.cli.main.register", missing("torch.gone"))
    found = eosin("train", "store")
    assert found.code == 1
    assert "internal error" in found.err


@pytest.mark.parametrize("columns", [80, 100])
def test_help_groups_the_commands_by_stage_and_cuts_no_line(columns: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eosin", "--help"],
        capture_output=True, check=True, encoding="utf-8",
        env={**os.environ, "COLUMNS": str(columns)},
    )  # fmt: skip
    lines = done.stdout.partition("\nStart:\n")[2].splitlines()
    expected = []
    for stage, commands in STAGES.items():
        expected += [f"{stage}:", *(f"  {name:9}  {line}" for name, line in commands.items()), ""]
    assert lines[: len(expected) - 1] == expected[1:]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_every_command_is_in_one_stage() -> None:
    assert list(STAGES) == ["Start", "Data", "Train", "Measure", "Use", "Slides", "Many runs"]
    assert sum(map(len, STAGES.values())) == len(COMMANDS)
    assert all(line.endswith(".") for line in COMMANDS.values())


def test_a_command_that_does_not_exist_is_the_users_mistake(eosin: Callable[..., Any]) -> None:
    done = eosin("trian", "--json")
    assert done.code == 2
    assert "Did you mean 'train'" in done.err
    found = json.loads(done.out)
    assert found["error"].startswith("No such command 'trian'. Did you mean")
    assert found["exit_code"] == 2


def test_a_full_disk_is_one_sentence(
    eosin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "a.store")

    monkeypatch.setattr("eosin.cli.main.register", full)
    done = eosin("learn", "--json")
    assert done.code == 1
    assert "error: a.store cannot be written: the disk is full (" in done.err
    assert "; free space there or choose another folder, then run the same" in done.err
    assert json.loads(done.out)["exit_code"] == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["recipes"], ["recipes", "--json"], ["--help"]])
def test_output_on_a_full_disk_is_one_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "eosin", *words], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: the output cannot be written (No space left on device): free space where it goes, "
        "then run the same command again"
    ]


def test_no_memory_is_one_sentence(
    eosin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def poor() -> None:
        raise MemoryError

    monkeypatch.setattr("eosin.cli.main.register", poor)
    done = eosin("learn")
    assert done.code == 1
    assert done.err.startswith("error: the memory is full; close other programs")
