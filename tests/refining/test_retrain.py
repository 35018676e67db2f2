"""An old recipe on new data: compared only where the old run has seen nothing, and what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.store import PatchStore
from eosin.errors import LeakError, RunError, StoppedError, UserError
from eosin.evaluation.intervals import resampling_units
from eosin.evaluation.paired import paired_differences
from eosin.inference.predictor import load
from eosin.refining.ensemble import ensemble
from eosin.refining.retrain import retrain, unseen_rows
from eosin.refining.verdict import verdict
from eosin.runs import RunFolder
from eosin.splitting.split_file import Split, write_split
from eosin.splitting.splits import by_case, by_file
from eosin.synthetic.archive import make_store
from eosin.training.loop import Reporter
from eosin.training.session import reopen

Pair = tuple[Path, Path]
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    """Twenty-four other cases, with names of their own."""
    path = tmp_path_factory.mktemp("newer") / "newer.store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eosin.synthetic.archive.FIRST_CASE", 95001)
        return make_store(path, cases=24, patches_per_case=10, seed=77)


def split_of(store: PatchStore, test: list[str], folder: Path) -> Split:
    """These cases are the test part, the others train and validate."""
    others = [case for case in dict.fromkeys(store.cases.tolist()) if case not in test]
    parts = dict.fromkeys(test, "test")
    parts |= {case: "val" if k % 4 == 0 else "train" for k, case in enumerate(others)}
    lines = ["case,part", *(f"{case},{part}" for case, part in parts.items())]
    (folder / "table.csv").write_text("\n".join(lines) + "\n", "utf-8")
    split = by_file(store, folder / "table.csv")
    write_split(split, folder / "new-split.csv")
    return split


def test_the_old_and_the_new_run_are_compared_on_cases_new_to_both(
    pair: Pair, newer: PatchStore, tmp_path: Path, eosin: Command
) -> None:
    cases = list(dict.fromkeys(newer.cases.tolist()))
    split_of(newer, cases[:12], tmp_path)
    done = eosin(
        "retrain", pair[0], "--store", newer.path, "--split", tmp_path / "new-split.csv",
        "--replicates", "50", "-o", tmp_path / "new", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["why_not"] is None
    assert result["common"]["cases"] == 12
    assert result["verdict"] in ("replace", "look", "keep")
    # The plain reference: both models asked again, differences by hand.
    run = reopen(tmp_path / "new")
    assert run.recipe == RunFolder(pair[0]).recipe()
    rows = run.parts["test"]
    answers = {
        name: load(path).predict(np.asarray(newer.patches[rows]))[:, 1].astype(float)
        for name, path in (("old", pair[0]), ("new", tmp_path / "new"))
    }
    thresholds = {"old": load(pair[0]).facts.decision().point.threshold,
                  "new": load(tmp_path / "new").facts.decision().point.threshold}  # fmt: skip
    by_hand = paired_differences(
        newer.labels[rows], answers, resampling_units(newer.cases[rows], len(rows)), thresholds,
        replicates=50,
    )  # fmt: skip
    for name, each in by_hand.differences["new"].items():
        found = result["differences"]["new"][name]
        assert found["value"] == pytest.approx(each.interval.value, abs=1e-9)
        assert found["low"] == pytest.approx(each.interval.low, abs=1e-9)
    page = (tmp_path / "new/retrain.md").read_text("utf-8")
    assert result["sentence"] in page
    assert "the old run has seen none of it" in page
    assert json.loads((tmp_path / "new/retrain.json").read_text())["verdict"] == result["verdict"]


def test_cases_that_the_old_run_has_seen_are_left_out_and_too_few_are_no_comparison(
    pair: Pair, made_up_store: PatchStore, tmp_path: Path
) -> None:
    """The same store again: only the old run's own test cases are new to it."""
    old = reopen(pair[0])
    seen = sorted(set(made_up_store.cases[old.parts["train"]].tolist()))
    fresh = sorted(set(made_up_store.cases[old.parts["test"]].tolist()))
    split = split_of(made_up_store, [*fresh, *seen[:2]], tmp_path)
    rows, shared = unseen_rows(
        RunFolder(pair[0]), made_up_store, split.parts(made_up_store)["test"]
    )
    assert shared["names"] == seen[:2]
    assert sorted(set(made_up_store.cases[rows].tolist())) == fresh
    result = retrain(pair[0], made_up_store, split, tmp_path / "new", settings=["epochs=1"],
                     replicates=50)  # fmt: skip
    assert result["verdict"] == "keep"
    assert "no comparison can be made" in result["sentence"]
    assert f"of {len(fresh)} case" in result["sentence"]
    assert "differences" not in result
    page = (tmp_path / "new/retrain.md").read_text("utf-8")
    assert ", ".join(seen[:2]) in page
    # With the old weights, the test part must not hold what they were trained on.
    with pytest.raises(LeakError, match=r"--from .* has seen"):
        retrain(pair[0], made_up_store, split, tmp_path / "leaky", from_weights=True)
    assert not (tmp_path / "leaky").exists()


def test_stopped_it_goes_on_and_another_wish_is_refused(
    pair: Pair, newer: PatchStore, tmp_path: Path
) -> None:
    @contextmanager
    def stopping(session: object) -> Any:
        yield Reporter(stop=lambda: True)

    split = split_of(newer, list(dict.fromkeys(newer.cases.tolist()))[:3], tmp_path)
    new = tmp_path / "new"
    with pytest.raises(StoppedError):
        retrain(pair[0], newer, split, new, from_weights=True, watch=stopping)
    for options, words in (
        ({"from_weights": False}, "from_weights was True, now False"),
        ({"from_weights": True, "settings": ["epochs=9"]}, "epochs of the recipe was 2, now 9"),
    ):
        with pytest.raises(UserError, match=words):
            retrain(pair[0], newer, split, new, **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="old_run was"):
        retrain(pair[1], newer, split, new, settings=["seed=0"], from_weights=True)
    result = retrain(pair[0], newer, split, new, from_weights=True, replicates=50)
    assert result["new"]["start"] == "run"
    assert len(RunFolder(new).metrics()) == 2


def test_what_cannot_be_retrained_is_a_sentence(
    pair: Pair, newer: PatchStore, tmp_path: Path
) -> None:
    split = by_case(newer)
    together = ensemble(pair, tmp_path / "together").path
    with pytest.raises(RunError, match="retrain its members"):
        retrain(together, newer, split, tmp_path / "new")
    for output in (pair[0], pair[0].parent, newer.path):
        with pytest.raises(UserError, match="output"):
            retrain(pair[0], newer, split, output, force=True)
    assert (pair[0] / "model.safetensors").exists()
    other = make_store(tmp_path / "other.store", cases=3, patches_per_case=4, seed=5)
    renamed = json.loads((other.path / "store.json").read_text("utf-8"))
    key = "classes" if "classes" in renamed else "class_names"
    renamed[key] = ["benign", "malignant"]
    (other.path / "store.json").write_text(json.dumps(renamed), "utf-8")
    with pytest.raises(RunError, match="cannot take its place"):
        retrain(pair[0], PatchStore.open(other.path), split, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def differences(**ends: tuple[float, float]) -> dict[str, Any]:
    rows = {
        name: {"value": sum(pair) / 2, "low": pair[0], "high": pair[1]}
        for name, pair in {"auroc": (-0.01, 0.01), **ends}.items()
    }
    return {
        "why_not": None,
        "differences": {"new": rows},
        "common": {"patches": 900, "cases": 12},
        "interval": {"kind": "cases"},
    }


@pytest.mark.parametrize(
    ("ends", "kind", "words"),
    [
        ({"auroc": (0.01, 0.03), "brier": (-0.02, -0.01)}, "replace", "Replace the old run: on 12"),
        ({"auroc": (-0.01, 0.03)}, "keep", "do not show that the new one is better"),
        ({"auroc": (-0.03, -0.01)}, "keep", "the new one is worse"),
        ({"auroc": (0.01, 0.03), "sensitivity": (-0.2, -0.1)}, "look", "sensitivity -0.150"),
        ({"auroc": (0.01, 0.03), "brier": (0.01, 0.02)}, "look", "worse in Brier score +0.015"),
        ({"brier": (0.01, 0.02)}, "keep", "It is worse in Brier score"),
    ],
)
def test_only_a_gain_beyond_chance_without_a_loss_replaces(
    ends: dict[str, tuple[float, float]], kind: str, words: str
) -> None:
    found = verdict(differences(**ends))
    assert found["verdict"] == kind
    assert words in found["sentence"]


def test_unknown_cases_never_replace() -> None:
    given = differences(auroc=(0.01, 0.03))
    given["interval"]["kind"] = "patches"
    found = verdict(given)
    assert found["verdict"] == "keep"
    assert "cases of these patches are unknown" in found["sentence"]
