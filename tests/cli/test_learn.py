"""`eosin learn`: the list, one lesson in each form, and what is said when it cannot be."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_lessons_are_listed(eosin: Run) -> None:
    done = eosin("learn")
    assert done.code == 0
    for words in ("Perceptron and decision", "minutes", "Open one with: eosin learn 1"):
        assert words in done.out


def test_the_list_for_programs(eosin: Run) -> None:
    found = json.loads(eosin("learn", "--json").out)["lessons"]
    assert found[0]["number"] == 1
    assert set(found[0]) == {"number", "title", "goal", "minutes", "prerequisites", "path"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["99"], "lesson 99 does not exist; the lessons are 1 to"),
        (["--text"], "the number of a lesson is missing"),
        (["1", "--text", "--jupyter", "x.ipynb"], "exclude each other"),
        (["1", "--jupyter", "x.json"], "must end in .ipynb"),
        (["one"], "be a valid integer"),
    ],
)
def test_what_cannot_be_is_said(
    eosin: Run, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = eosin("learn", *words)
    assert done.code == 2
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [[], ["--text"], ["--jupyter", "x.ipynb"]])
def test_without_marimo_the_line_to_install_is_said(
    eosin: Run, form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "marimo" else find(name, *a)
    )
    done = eosin("learn", "1", *form)
    assert done.code == 2
    assert 'pip install "eosin[guide]"' in done.err
    assert eosin("learn").code == 0


@pytest.mark.parametrize("form", [[], ["--text"]])
def test_without_the_slide_readers_lesson_17_says_the_line_to_install(
    eosin: Run, form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("marimo")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "tifffile" else find(name, *a)
    )
    done = eosin("learn", "17", *form)
    assert done.code == 2
    said = 'lesson 17 needs an optional part; install it with: pip install "eosin[slides]"'
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_a_notebook_for_jupyter(eosin: Run, tmp_path: Path) -> None:
    pytest.importorskip("marimo")
    path = tmp_path / "one.ipynb"
    assert f"{path} contains lesson 1" in eosin("learn", "1", "--jupyter", path).out
    again = eosin("learn", "1", "--jupyter", path)
    assert again.code == 2
    assert "exists and may contain answers" in again.err


@pytest.mark.slow
def test_a_lesson_as_text(eosin: Run, tmp_path: Path) -> None:
    pytest.importorskip("marimo")
    done = eosin("learn", "1", "--text", "--pictures", tmp_path / "figures")
    assert done.code == 0, done.err
    for words in ("1. Perceptron and decision", "w₁ x₁ + w₂ x₂", "Exercise 1: decide.", "Summary"):
        assert words in done.out
    assert "marimo-" not in done.out
    assert len(list((tmp_path / "figures").glob("01_perceptron-*.png"))) == 4
    found = json.loads(eosin("learn", "1", "--text", "--pictures", tmp_path / "f", "--json").out)
    assert len(found["figures"]) == 4


def test_a_port_that_is_taken_is_named(eosin: Run) -> None:
    pytest.importorskip("marimo")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = eosin("learn", "1", "--no-open", "--port", port)
    assert done.code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in done.err


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_page_and_its_server(sent: signal.Signals) -> None:
    pytest.importorskip("marimo")
    process = subprocess.Popen(
        [sys.executable, "-m", "eosin", "learn", "1", "--no-open"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert "Lesson 1, Perceptron and decision: http://127.0.0.1:" in first
    assert "access_token=" in first
    port = int(first.partition("127.0.0.1:")[2].partition("/")[0])
    process.send_signal(sent)
    _, said = process.communicate(timeout=300)
    assert process.returncode in (0, 130)
    assert "Traceback" not in said
    with socket.socket() as trial:
        assert trial.connect_ex(("127.0.0.1", port)) != 0, "the server still answers"
