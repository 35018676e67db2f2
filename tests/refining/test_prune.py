"""A run pruned by the command: ordinary runs, a table, a curve, and going on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.store import PatchStore
from eosin.errors import DiskError, StoppedError, UserError
from eosin.inference.predictor import load
from eosin.records.origin import Origin
from eosin.refining.derived import write_derived
from eosin.refining.ensemble import ensemble
from eosin.refining.prune import Pruning, prune
from eosin.refining.prune_page import sentences
from eosin.runs import RunFolder
from eosin.training.loop import Reporter
from eosin.training.session import reopen

Pair = tuple[Path, Path]
Command = Callable[..., Any]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock needs no long rounds where nobody reads it."""
    monkeypatch.setattr("eosin.refining.cost._SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
def test_the_command_makes_ordinary_runs_and_goes_on(
    pair: Pair, tmp_path: Path, eosin: Command, made_up_store: PatchStore
) -> None:
    words = ("--epochs", "1", "--replicates", "50", "-o", tmp_path / "out")
    done = eosin("prune", pair[0], "--keep", "0.5", *words, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    original, half = result["rows"]
    assert (original["name"], half["name"]) == ("original", "keep-0.5")
    assert half["parameters"] < 0.5 * original["parameters"]
    assert half["mflop"] < original["mflop"]
    assert half["megabytes"] < original["megabytes"]
    assert half["patches_per_second"] > 0
    assert half["before_retraining"]["value"] is not None
    assert half["differences"]["auroc"]["low"] is not None
    made = RunFolder(tmp_path / "out" / "keep-0.5")
    assert made.recipe().arguments["widths"] == [8, 8]
    assert made.recipe().learning_rate == pytest.approx(0.25 * 0.01)
    assert made.read_json("model.json")["start"]["path"].endswith("keep-0.5-cut")
    assert load(made.path).predict(np.asarray(made_up_store.patches[:3])).shape == (3, 2)
    # The cut one is a run too, and both have seen what the original has seen.
    assert reopen(tmp_path / "out/keep-0.5-cut").recipe.arguments == made.recipe().arguments
    for name in ("prune.json", "prune.md", "prune.png"):
        assert (tmp_path / "out" / name).stat().st_size > 500
    page = (tmp_path / "out/prune.md").read_text("utf-8")
    assert "| keep-0.5 |" in page
    # A further size is added; the first one is left as it is.
    before = (made / "model.safetensors").stat().st_mtime_ns
    more = eosin("prune", pair[0], "--keep", "0.75", *words)
    assert more.code == 0, more.err
    assert "keep-0.75" in more.out
    assert "keep-0.5 " in more.out
    assert (made / "model.safetensors").stat().st_mtime_ns == before
    other = eosin("prune", pair[0], "--keep", "0.5", "--rate", "0.5", *words)
    assert other.code == 2
    assert "rate was 0.25, now 0.5" in other.err


@pytest.mark.usefixtures("quick")
def test_stopped_it_goes_on_where_it_was(pair: Pair, tmp_path: Path) -> None:
    from contextlib import contextmanager

    @contextmanager
    def stopping(session: object) -> Any:
        yield Reporter(stop=lambda: True)

    options: dict[str, Any] = {
        "pruning": Pruning(epochs=1, distill=True), "replicates": 50, "again": "eosin prune X"
    }  # fmt: skip
    with pytest.raises(StoppedError, match=r"0 of 1 runs are finished.*resume with: eosin prune X"):
        prune(pair[0], tmp_path, [0.5], watch=stopping, **options)
    assert (tmp_path / "keep-0.5/resume.pt").is_file()
    found = prune(pair[0], tmp_path, [0.5], **options)
    assert not found.failed
    facts = RunFolder(tmp_path / "keep-0.5").read_json("model.json")
    assert facts["teacher"]["path"] == str(pair[0].resolve())
    assert len(RunFolder(tmp_path / "keep-0.5").metrics()) == 1


def test_what_cannot_be_pruned_is_a_sentence(pair: Pair, tmp_path: Path) -> None:
    together = ensemble(pair, tmp_path / "together").path
    bare = tmp_path / "bare"
    shutil.copytree(pair[0], bare)
    (bare / "evaluation.json").unlink()
    for path, keeps, words in (
        (together, [0.5], "prune its members"),
        (bare, [0.5], f"first run: eosin evaluate {bare}"),
        (pair[0], [1.5], "between 0 and 1"),
        (pair[0], [], "between 0 and 1"),
    ):
        with pytest.raises(UserError, match=words):
            prune(path, tmp_path / "out", keeps, again="")
    with pytest.raises(UserError, match="at least one epoch"):
        prune(pair[0], tmp_path / "out", [0.5], pruning=Pruning(rate=0.0), again="")
    assert not (tmp_path / "out").exists()
    for output in (pair[0], pair[0].parent):
        with pytest.raises(UserError, match="output"):
            prune(pair[0], output, [0.5], force=True)
    assert (pair[0] / "model.safetensors").exists()


def test_a_derived_run_is_there_whole_or_not_at_all(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    session = reopen(pair[0])
    monkeypatch.setattr("eosin.refining.derived.save_classifier", full)
    with pytest.raises(DiskError, match="the disk is full"):
        write_derived(
            tmp_path / "run", load(pair[0]).model, session.recipe, session,
            start=Origin(), parents=[session.run], marks=(), facts={},
        )  # fmt: skip
    assert not any(tmp_path.glob("**/recipe.toml"))


def test_a_difference_that_is_not_shown_is_not_called_none() -> None:
    def row(name: str, low: float, high: float) -> dict[str, Any]:
        return {
            "name": name, "parameters": 10, "times_as_fast": 0.9, "figures": {"auroc": {}},
            "differences": {"auroc": {"value": -0.01, "low": low, "high": high}},
        }  # fmt: skip

    result = {
        "rows": [row("original", 0, 0), row("a", -0.03, 0.01), row("b", -0.03, -0.01)],
        "settings": {"epochs": 1},
    }
    said = sentences(result, ["A.", "B."])
    assert "may be lower by 0.030" in said[0]
    assert "slower (0.90 of the speed)" in said[0]
    assert "no proof" not in said[1]
