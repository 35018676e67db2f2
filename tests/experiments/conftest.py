"""Run folders made of text alone: what a table of runs reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.config import make_recipe
from eosin.runs import RunFolder

MakeRun = Callable[..., RunFolder]


def figure(value: float | None, half: float = 0.02) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": value - half, "high": min(1.0, value + half)}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Makes a run folder below tmp_path / "runs": finished and evaluated unless said otherwise."""

    def make(
        name: str,
        /,
        *,
        auroc: float | None = 0.9,
        half: float = 0.02,
        epochs: int = 3,
        finished: bool = True,
        evaluated: bool = True,
        cases: tuple[str, ...] = ("a", "b", "c"),
        part: str = "test",
        marks: tuple[str, ...] = (),
        dead: bool = False,
        environment: dict[str, Any] | None = None,
        **recipe: Any,
    ) -> RunFolder:
        run = RunFolder(tmp_path / "runs" / name)
        run.path.mkdir(parents=True)
        run.write_text("recipe.toml", make_recipe({"name": "compact", **recipe}).to_toml())
        store = {"path": "/data/s.store", "digest": "5d1c" * 8, "layout": "idc", "patches": 90}
        facts = {"date": "2026-01-02", "eosin": "1", "packages": {"torch": "2"}, "fold": None,
                 "store": store, "marks": list(marks), **(environment or {})}  # fmt: skip
        run.write_json("environment.json", facts)
        for epoch in range(1, epochs + 1):
            run.append_metrics(
                {"epoch": epoch, "loss": 1 / epoch, "seconds": 2.0 * epoch, "val_loss": 1.1 / epoch,
                 "val_auroc": None if auroc is None else auroc - 0.1 / epoch}
            )  # fmt: skip
        if finished:
            diagnoses = [{"name": "dead", "sentence": "no weight changed", "dead": True}]
            run.write_json(
                "model.json",
                {"parameters": 1000, "train_seconds": 2.0 * epochs, "epochs": epochs,
                 "split_scheme": "case", "marks": list(marks),
                 "diagnoses": diagnoses if dead else []},
            )  # fmt: skip
            (run / "model.safetensors").write_bytes(b"not read")
        if finished and evaluated:
            run.write_json(
                "evaluation.json",
                {"part": part, "n_patches": 30 * len(cases), "n_cases": len(cases),
                 "prevalence": 0.3, "store": store, "marks": list(marks),
                 "auroc": figure(auroc, half), "average_precision": figure(0.7),
                 "accuracy": figure(0.8), "brier": figure(0.2),
                 "cases": [{"case": case, "n": 30, "positives": 9} for case in cases]},
            )  # fmt: skip
        return run

    return make
