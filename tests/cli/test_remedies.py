"""Every command that a message names exists with its options, and those of a leak run as they are.

What is refused leaves no folder behind.
"""

from __future__ import annotations

import ast
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from tests.splitting.test_audit import make, pictures

from eosin.cli.main import COMMANDS, app, register
from eosin.splitting.split_file import Split, write_split

SOURCES = Path(__file__).parents[2] / "src" / "eosin"
_COMMAND = re.compile(r"(?:: |`|with |^|\n\s*|use )eosin ([a-z]+)\b([^;`,()\n]*)")


def texts() -> Iterator[tuple[str, str]]:
    """(file, text) of every string of the sources that is not a docstring; "_" for a value."""
    for path in sorted(SOURCES.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "_" for part in parts
            )
            if isinstance(node, ast.JoinedStr | ast.Constant) and "eosin " in text:
                yield str(path.relative_to(SOURCES)), text


@functools.cache
def options(name: str) -> frozenset[str]:
    register()
    command: Any = typer.main.get_command(app).commands[name]
    words = (word for each in command.params for word in (*each.opts, *each.secondary_opts))
    return frozenset(words)


def test_every_named_command_and_option_exists() -> None:
    unknown, known = [], 0
    for file, text in texts():
        for name, rest in _COMMAND.findall(text):
            if name not in COMMANDS:
                if re.match(r" *(-|[A-Z]{3,})", rest):
                    unknown.append(f"{file}: eosin {name}{rest}")
                continue
            known += 1
            named = set(re.findall(r"(?<!\S)(-{1,2}[a-z][a-z0-9-]*)", rest))
            known_options = options(name) | {"--help"}
            unknown += [f"{file}: eosin {name} has no {word}" for word in named - known_options]
    assert unknown == []
    assert known > 40


@pytest.fixture
def leaking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a space in its name, with a store and a split that tears a copy."""
    place = tmp_path / "my data"
    place.mkdir()
    patches = pictures(40, seed=1)
    patches[39] = patches[0]
    rows = [{"label": k % 2, "case": f"c{k // 4}"} for k in range(40)]
    store, _ = make(place, patches, rows, ["train"] * 40)
    codes = np.repeat(np.array([0, 1, 2], np.int16), [24, 4, 12])
    codes[39] = 1
    write_split(Split("file", store.digest, "patch", codes), place / "own.csv")
    monkeypatch.chdir(tmp_path)
    return place


@pytest.mark.parametrize(
    "command",
    [
        ["audit", "{store}", "{split}"],
        ["train", "{store}", "--split", "{split}", "-o", "made"],
        ["baselines", "{store}", "--split", "{split}"],
        ["search", "{store}", "--split", "{split}", "--trials", "1", "-o", "made"],
    ],
)
def test_the_remedies_of_a_leak_run_as_they_are(
    command: list[str], leaking: Path, tmp_path: Path, eosin: Any
) -> None:
    places = {"store": leaking / "s.store", "split": leaking / "own.csv"}
    code, *texts = eosin(*[word.format(**places) for word in command])
    text = "".join(texts)
    assert code == 1
    assert not (tmp_path / "made").exists()
    named = re.findall(r"(?:see|with): (eosin .*?)(?:;| \(then|\n|$)", text)
    assert named
    for line in named:
        words = shlex.split(line)[1:]
        code, *said = eosin(*words)
        assert code == (1 if words[0] == "audit" else 0), said
    again = shlex.split(re.search(r"\(then choose it with --split (.*?)\)", text)[1])[0]  # type: ignore[index]
    assert eosin("audit", places["store"], again).code == 0


@pytest.mark.parametrize(
    "command",
    [
        ["train", "{store}", "-o", "made", "--set", "arguments.bogus=1"],
        ["crossval", "{store}", "-o", "made", "--set", "arguments.bogus=1", "-k", "3"],
        ["gap", "{store}", "-o", "made", "--set", "arguments.bogus=1"],
        ["search", "{store}", "-o", "made", "--set", "arguments.bogus=1", "--trials", "1"],
        ["probe", "{store}", "-o", "made", "--encoder", "nobody"],
    ],
)
def test_what_is_refused_leaves_no_folder(
    command: list[str], leaking: Path, tmp_path: Path, eosin: Any
) -> None:
    code, *texts = eosin(*[word.format(store=leaking / "s.store") for word in command])
    text = "".join(texts)
    assert code == 2
    assert "known: blocks" in text or "nobody" in text
    assert not (tmp_path / "made").exists()


def test_unknown_cases_exclude_no_leak(tmp_path: Path, eosin: Any) -> None:
    rows = [{"label": k % 2, "case": ""} for k in range(20)]
    store, _ = make(tmp_path, pictures(20), rows, ["train"] * 20)
    split = str(tmp_path / "s.csv")
    assert eosin("split", store.path, "-o", split).code == 0
    code, *texts = eosin("audit", store.path, split)
    text = "".join(texts)
    assert (code, "no leak found" in text) == (0, False)
    assert "a leak is not excluded" in text


def test_a_foreign_folder_is_named_for_what_it_is(tmp_path: Path, eosin: Any) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    code, *texts = eosin("evaluate", tmp_path / "notes")
    text = "".join(texts)
    assert (code, "not a run folder" in text, "eosin train" in text) == (2, True, True)
    (tmp_path / "notes" / "recipe.toml").touch()
    code, *texts = eosin("evaluate", tmp_path / "notes")
    text = "".join(texts)
    assert (code, "no complete folder of eosin" in text) == (2, True)
