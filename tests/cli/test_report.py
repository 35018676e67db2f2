"""The command `eosin report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from eosin.cli import main
from eosin.cli.report import report
from eosin.evaluation.summary import evaluate
from eosin.records.scored import Scored


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, eosin: Any) -> Any:
    """Run the program with this command alone."""
    app = typer.Typer()
    app.callback()(lambda: None)
    app.command("report")(report)
    monkeypatch.setattr(main, "app", app)
    return eosin


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run without predictions and store: the least that can be reported."""
    folder = tmp_path / "run"
    folder.mkdir()
    found = evaluate(
        Scored.of([0, 1] * 8, [0.1, 0.9] * 8, [f"c{k // 2}" for k in range(16)]),
        classes=["negative", "positive"], replicates=20,
    )  # fmt: skip
    found |= {"part": "test", "split": "case"}
    (folder / "evaluation.json").write_text(json.dumps(found))
    (folder / "recipe.toml").write_text('name = "compact"\n')
    return folder


def test_it_writes_the_page_and_the_card(command, run):
    done = command("report", run)
    assert done.code == 0, done.err
    assert "report.html" in done.out
    assert "MODEL_CARD.md" in done.out
    assert (run / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_json_is_one_object(command, run):
    done = command("report", run, "--json")
    result = json.loads(done.out)
    assert result["report"] == str(run / "report.html")
    assert result["pdf"] is None
    assert result["problems"] == []


def test_what_cannot_be_reported_exits_with_2(command, run, tmp_path):
    (run / "evaluation.json").unlink()
    done = command("report", run)
    assert done.code == 2
    assert "eosin evaluate" in done.err
    assert command("report", tmp_path / "gone", "--json").code == 2


def test_a_pdf_without_a_browser_says_what_to_install(command, run, monkeypatch, tmp_path):
    monkeypatch.delenv("EOSIN_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = command("report", run, "--pdf")
    assert done.code == 2
    assert "install" in done.err
    assert not (run / "report.html").exists()
