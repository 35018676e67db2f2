"""A run folder as training and evaluation leave it, made without either."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from eosin.config import Recipe
from eosin.runs import RunFolder
from eosin.tracking import words
from eosin.tracking.channel import Limits
from eosin.tracking.tracker import Tracker

MARK = "made-up data: drawn by a program, no figure says anything about tissue"


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


EVALUATION = {
    "part": "test",
    "n_patches": 60,
    "n_cases": 3,
    "marks": [MARK],
    "auroc": figure(0.75),
    "f1": figure(0.5),
    "baselines": {"base_rate": {"auroc": figure(0.5), "f1": figure(0.25)}},
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run of three epochs."""
    run = RunFolder(tmp_path / "runs" / "first")
    run.create()
    run.write_text("recipe.toml", Recipe(epochs=3, arguments={"widths": [8, 16]}).to_toml())
    run.write_json(
        "environment.json",
        {
            "eosin": "0.1.0",
            "packages": {"numpy": "2.0"},
            "machine": {"cores": 2},
            "command": "eosin train --secret",
            "store": {"path": "/home/someone/idc.store", "digest": "abc123", "patches": 320},
            "fold": None,
            "marks": [MARK],
        },
    )
    for epoch in (1, 2, 3):
        row: dict[str, Any] = {"epoch": epoch, "step": epoch * 10, "loss": 1 / epoch}
        run.append_metrics({**row, "val_auroc": 0.6 + epoch / 10, "watched": "a.png"})
    run.write_json("evaluation.json", EVALUATION)
    run.write_json("model.json", {"classes": ["negative", "positive"]})
    (run / "model.safetensors").write_bytes(b"weights" * 100)
    run.write_text("report.html", "<p>report</p>")
    run.write_text("MODEL_CARD.md", "# Card\n\nFor research only.\n")
    cv2.imwrite(str(run / "roc.png"), np.full((40, 60, 3), 200, np.uint8))
    (run / "roc.svg").write_text("<svg/>", "utf-8")
    run.write_text("split.csv", "patch,part\n")
    return run


Open = Callable[..., Tracker]


@pytest.fixture
def said() -> list[str]:
    """The warnings that a user would see."""
    return []


@pytest.fixture
def opened(run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open trackers for the run; nothing leaves the machine."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    for name in ("WANDB_MODE", "WANDB_API_KEY", "MLFLOW_TRACKING_URI", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    # An idle machine opens the slowest of them in ten seconds, a busy one in a minute.
    limits = Limits(first_s=400, call_s=200, end_s=400, stop_s=200)

    def open_(*names: str, **options: Any) -> Tracker:
        return Tracker(
            names, run=run, **{"project": "idc", "warn": said.append, "limits": limits, **options}
        )

    return open_


class Story:
    """What a training and its end tell a tracker."""

    mark = MARK
    evaluation = EVALUATION

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def tell(self, tracker: Tracker, *, epochs: int = 3) -> None:
        """A training, up to an epoch."""
        more = {"split": {"scheme": "case"}}
        tracker.started(words.parameters(self.run, more), words.tags([MARK]))
        for row in self.run.metrics()[:epochs]:
            tracker.metrics(row, row["epoch"])
        tracker.warned("no training patch of class rare")

    def end(self, tracker: Tracker) -> list[str]:
        """What follows an evaluation; returns the lines on where to see it."""
        pictures, others = words.files(self.run)
        for path in pictures:
            tracker.file(path, "figure")
        for path, kind in others:
            tracker.file(path, kind)
        return tracker.finished(self.run.read_json("evaluation.json"))

    def kept(self, name: str) -> dict[str, Any]:
        """What tracking.json says of a tracker."""
        found: dict[str, Any] = json.loads((self.run / "tracking.json").read_text("utf-8"))
        return dict(found["trackers"][name])


@pytest.fixture
def story(run: RunFolder) -> Story:
    return Story(run)
