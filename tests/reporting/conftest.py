"""A run on made-up data with every file and key that a report can use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eosin.data.store import PatchStore
from eosin.evaluation.summary import evaluate
from eosin.records.scored import Scored


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": min(1.0, value + 0.02)}


def further() -> dict[str, Any]:
    """The keys that evaluation.json gained with calibration, operating points and the rest."""
    bins = [
        {"n": 30, "predicted": k / 10, "observed": k / 10, "low": k / 11, "high": k / 9}
        for k in range(1, 9)
    ]
    parts = {"reliability": 0.01, "resolution": 0.15, "uncertainty": 0.23, "within_bin": 0.0}
    method = {
        "ece": interval(0.05), "brier": interval(0.1), "log_loss": interval(0.3),
        "brier_parts": parts, "bins": bins, "note": "", "ece_by_chance": 0.01,
    }  # fmt: skip
    names = ("sensitivity", "specificity", "precision", "npv", "f1", "balanced_accuracy")
    per_1000 = {"true_positive": 280.0, "false_positive": 90.0, "false_negative": 20.0}
    point = {
        "figures": {name: interval(0.9) for name in (*names, "accuracy")},
        "per_1000": {**per_1000, "true_negative": 610.0},
        "per_case": {
            "false_positive": {"median": 3.0, "worst": 9, "worst_case": "c1"},
            "missed_positive": {"median": 1.0, "worst": 4, "worst_case": "c2"},
        },
        "threshold": {"value": 0.4, "rule": "f1", "chosen_on": "validation", "note": ""},
        "sentence": "Of 1,000 patches, 370 are called positive: 280 rightly", "note": "",
    }  # fmt: skip
    coverage = np.linspace(0.05, 1, 20)
    return {
        "fitting": {
            "fitted_on": "val", "measured_on": "test", "cross_fitted": 0,
            "sentence": "fitted on validation cases, measured on test cases",
        },
        "calibration": {
            "temperature": 1.3, "note": "", "bins": 8,
            "methods": dict.fromkeys(("before", "temperature", "isotonic"), method),
        },
        "operating_points": [
            {**point, "name": "f1", "label": "best F1", "default": True},
            {**point, "name": "sensitivity_95", "label": "sensitivity 0.95", "default": False},
        ],
        "decision_curve": {
            "thresholds": [0.1, 0.5, 0.9], "model": [0.3, 0.2, 0.1], "low": [0.2, 0.1, 0.0],
            "high": [0.4, 0.3, 0.2], "treat_all": [0.2, -0.4, -6.0], "useful": [[0.1, 0.9]],
            "sentence": "Acting on the model helps from 0.1 to 0.9.", "note": "",
        },
        "referral": {
            "level": 0.05, "confidence": 0.9, "band": {"low": 0.2, "high": 0.8},
            "sentence": "62 % are answered", "assumption": "Cases are exchangeable.", "note": "",
            "fitted": {"cases": 8, "patches": 100, "coverage": 0.6, "error": 0.03},
            "achieved": {
                "error": interval(0.03), "coverage": interval(0.6), "held": True, "cases": 8,
                "patches": 100,
            },
            "curve": {
                "coverage": coverage.tolist(), "risk": (coverage**2 / 9).tolist(),
                "low": (coverage**2 / 12).tolist(), "high": (coverage**2 / 6).tolist(),
            },
        },
        "scope": {
            "method": "distance of features", "threshold": 12.3, "flagged": 0.012, "note": "",
            "probes": [
                {"name": "digits", "what": "of MNIST", "n": 500, "auroc": 0.999, "flagged": 0.99}
            ],
        },
        "suspects": {
            "method": "confident learning", "of": 320, "total": 2, "note": "",
            "rows": [
                {
                    "patch": row, "case": "c1", "source": f"c1/{row}.png", "label": "negative",
                    "suggested": "positive", "probability": 0.98, "score": 0.01,
                }
                for row in (3, 4)
            ],
        },
        "published": {
            "comparable": False, "reason": "the cases are other ones",
            "rows": [
                {
                    "name": "Cruz-Roa 2014", "source": "SPIE", "f1": 0.718,
                    "balanced_accuracy": 0.8423, "auroc": None, "auprc": None,
                    "protocol": "49 test cases",
                }
            ],
            "missing": {"cases": ["9024"], "patches": 10},
        },
        "audit": {
            "leaking": False, "compared": {"train": 200, "test": 320}, "flat": 0, "sparse": 3,
            "marks": [],
            "findings": [{"kind": "consecutive-cases", "severity": "hint", "sentence": "1 pair"}],
        },
    }  # fmt: skip


Maker = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path, made_up_store: PatchStore) -> Maker:
    """Write a run folder; ``change`` edits the evaluation before it is written."""

    def make(
        change: Callable[[dict[str, Any]], None] = lambda evaluation: None,
        *,
        full: bool = True,
        pictures: bool = False,
        classes: tuple[str, ...] = ("negative", "positive"),
        cases: list[str] | None = None,
        recipe: str = 'name = "compact"\nseed = 3\n',
        name: str = "run",
    ) -> Path:
        store = made_up_store
        rng = np.random.default_rng(0)
        count = len(store)
        truth = store.labels.astype(np.int64) if len(classes) == 2 else rng.integers(
            0, len(classes), count
        )  # fmt: skip
        logits = rng.normal(0, 1, (count, len(classes)))
        logits[np.arange(count), truth] += 1.5
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        named = cases or store.cases.tolist()
        found = evaluate(
            Scored.of(truth, shares, named), classes=list(classes), replicates=40,
            baselines={"color_histogram": shares * 0.2 + rng.dirichlet([1] * len(classes), count)},
        )  # fmt: skip
        # Pictures take most of the time, and not every test is about them.
        path = store.path if pictures else tmp_path / "gone.store"
        facts = {"path": str(path), "digest": store.digest, "patches": count}
        found |= {"part": "test", "split": "case", "store": facts, "recipe": "compact"}
        found |= further() if full else {}
        change(found)
        folder = tmp_path / name
        folder.mkdir()
        (folder / "recipe.toml").write_text(recipe)
        (folder / "evaluation.json").write_text(json.dumps(found))
        model = {"classes": list(classes), "parameters": 1000, "epochs": 3, "diagnoses": []}
        (folder / "model.json").write_text(json.dumps(model))
        environment = {"eosin": "0.1.0", "command": "eosin train a.store", "audit": None}
        (folder / "environment.json").write_text(json.dumps(environment))
        rows = [
            {"epoch": k + 1, "loss": 1 / (k + 1), "val_auroc": 0.5 + k / 10, "seconds": 9.0 * k}
            for k in range(3)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        table = store.index.select("source", "slide", "x", "y")
        columns = {f"p_{name}": shares[:, k].astype(np.float32) for k, name in enumerate(classes)}
        decision = [classes[k] for k in shares.argmax(1)]
        table = table.with_columns(
            patch=pl.Series(np.arange(count)), part=pl.lit("test"), case=pl.Series(named),
            label=pl.Series(truth), decision=pl.Series(decision), **columns,
        )  # fmt: skip
        table.write_parquet(folder / "predictions.parquet")
        return folder

    return make
