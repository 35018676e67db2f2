"""An assessment on whole, missing and degenerate parts: every section says what it can."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from eosin.config import read_recipe
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import UserError
from eosin.evaluation.features import Remembered, features_of
from eosin.inference.assess import assess, assess_unseen
from eosin.inference.fitting import FittingOptions
from eosin.inference.predictor import load
from eosin.inference.subject import OWN_SPLIT
from eosin.inference.torch_predictor import TorchPredictor
from eosin.models import compact
from eosin.models.classifier import load_classifier, save_classifier
from eosin.records.evaluation import Evaluation
from eosin.records.model import ModelFacts
from eosin.reporting.report import write_report
from eosin.reporting.verdict import verdict
from eosin.runs import RunFolder
from eosin.splitting.splits import by_case, by_file
from eosin.training.session import Session, fit, reopen, start

SMALL = [
    "arguments.widths=[8,16]", "arguments.blocks=[0,1]", "batch_size=32", "learning_rate=0.01",
    "epochs=1",
]  # fmt: skip
SECTIONS = ("fitting", "calibration", "operating_points", "decision_curve", "referral", "scope",
            "suspects", "published", "audit")  # fmt: skip
Labels = Mapping[str, Sequence[int]]


def made(path: Path, labels: Labels, *, classes: Sequence[str] = ("no", "yes")) -> PatchStore:
    """A store with these labels by case; a patch's brightness tells its label, mostly."""
    rng = np.random.default_rng(len(path.name))
    writer = StoreWriter(path, classes=list(classes), patch_size=(24, 24))
    for number, (case, given) in enumerate(labels.items()):
        level = 70 + 90 * np.asarray(given)[:, None, None, None] / max(1, len(classes) - 1)
        patches = np.clip(level + rng.normal(0, 30, (len(given), 24, 24, 3)), 0, 255)
        rows = [
            {"label": label, "case": case, "source": f"{case}/{k}", "x": 24 * k, "y": 24 * number}
            for k, label in enumerate(given)
        ]
        writer.append(patches.astype(np.uint8), rows)
    return writer.close()


def session_of(store: PatchStore, folder: Path, parts: Mapping[str, str], *wishes: str) -> Session:
    """A trained run with these cases in these parts."""
    table = folder / "parts.csv"
    text = "case,part\n" + "".join(f"{case},{part}\n" for case, part in parts.items())
    table.write_text(text)
    recipe = read_recipe("compact", [*SMALL, *wishes])
    session, _ = start(store, by_file(store, table), recipe, folder / "run", allow_leaks=True)
    fit(session)
    return session


def mixed(n: int = 12) -> list[int]:
    return [k % 2 for k in range(n)]


TRAIN = {f"t{k}": mixed(24) for k in range(4)}


def run_on(
    tmp_path: Path,
    val: Labels,
    test: Labels,
    *settings: str,
    classes: Sequence[str] = ("no", "yes"),
) -> dict[str, Any]:
    """Train, assess, write the report; returns evaluation.json as it stands on disk."""
    labels: dict[str, Sequence[int]] = {**TRAIN, **val, **test}
    if len(classes) > 2:
        labels = {case: [k % len(classes) for k in range(len(v))] for case, v in labels.items()}
    store = made(tmp_path / "s.store", labels, classes=classes)
    named = (("train", TRAIN), ("val", val), ("test", test))
    parts = {case: part for part, cases in named for case in cases}
    session = session_of(store, tmp_path, parts, *settings)
    found = assess(session, replicates=50, with_baselines=False)
    written = write_report(found.folder, store=store)
    assert written.problems == [] or not written.problems, written.problems
    evaluation = json.loads((session.run.path / "evaluation.json").read_text())
    assert set(SECTIONS) <= set(evaluation)
    return dict(evaluation)


def test_every_section_is_there_and_the_model_keeps_what_was_fitted(
    tmp_path: Path, made_up_store: PatchStore
) -> None:
    recipe = read_recipe("compact", SMALL)
    session, _ = start(made_up_store, by_case(made_up_store), recipe, tmp_path / "run")
    fit(session)
    found = assess(session, replicates=50, with_baselines=False)
    evaluation = found.evaluation
    assert set(SECTIONS) <= set(evaluation)
    assert evaluation["fitting"]["measured_on"] == "test"
    points = evaluation["operating_points"]
    assert [point["default"] for point in points].count(True) == 1
    for point in points:
        assert sum(point["per_1000"].values()) == pytest.approx(1000)
    assert len(evaluation["scope"]["probes"]) == 5

    facts = ModelFacts.of_run(session.run.path)
    assert facts.fitted is not None
    assert list(facts.fitted.points) == [point["name"] for point in points]
    assert facts.temperature == pytest.approx(evaluation["calibration"]["temperature"])
    assert facts.marks

    table = pl.read_parquet(session.run / "predictions.parquet")
    predictor = load(session.run.path)
    rows = table["patch"].to_numpy()[:40]
    probabilities, distances = predictor.examine(np.asarray(made_up_store.patches[rows]))
    assert distances is not None
    assert np.allclose(probabilities[:, 1], table["p_positive"].to_numpy()[:40], atol=1e-5)
    assert np.allclose(distances, table["distance"].to_numpy()[:40], atol=1e-4)

    # Once more: what was fitted before has no part in it.
    again = assess(session, replicates=50, with_baselines=False).evaluation
    for key in ("auroc", "calibration", "operating_points", "referral", "scope"):
        assert json.dumps(again[key], sort_keys=True) == json.dumps(evaluation[key], sort_keys=True)

    # Without the out-of-scope check: the same answers, and nothing of an earlier check is kept.
    plain = assess(session, replicates=50, with_baselines=False, with_scope=False).evaluation
    assert plain["auroc"] == evaluation["auroc"]
    assert plain["scope"] == {
        "note": "no out-of-scope check: this evaluation was made without one", "probes": []
    }  # fmt: skip
    assert ModelFacts.of_run(session.run.path).decision().scope_limit is None
    assert load(session.run.path).examine(np.asarray(made_up_store.patches[:2]))[1] is None


def test_options_are_kept(tmp_path: Path) -> None:
    labels = {**TRAIN, **{f"v{k}": mixed() for k in range(12)}}
    store = made(tmp_path / "s.store", labels)
    parts = {case: "train" if case[0] == "t" else "val" for case in labels}
    session = session_of(store, tmp_path, parts)
    options = FittingOptions(refer_error=0.2, refer_confidence=0.8, cost_ratio=2, point="cost")
    found = assess(session, replicates=50, with_baselines=False, options=options).evaluation
    assert (found["referral"]["level"], found["referral"]["confidence"]) == (0.2, 0.8)
    band = ModelFacts.of_run(session.run.path).decision().point.band
    assert band is not None
    assert band.level == 0.2
    # The point that was chosen decides, in the model and in every figure.
    assert ModelFacts.of_run(session.run.path).decision().point.name == "cost"
    assert found["point"] == found["decided"]["point"] == found["referral"]["point"] == "cost"
    assert found["threshold"]["rule"].startswith("least cost (a missed positive costs as much as 2")
    assert [row["default"] for row in found["operating_points"]].index(True) == 4
    # No test part: fitted and measured on validation, but never on the same cases.
    assert found["fitting"]["cross_fitted"] == 5
    assert "groups" in found["fitting"]["sentence"]


def test_an_unseen_store_is_judged_by_what_the_model_keeps(tmp_path: Path) -> None:
    evaluation = run_on(
        tmp_path, {f"v{k}": mixed() for k in range(4)}, {f"e{k}": mixed() for k in range(4)}
    )
    other = made(tmp_path / "other.store", {f"o{k}": mixed(20)[k:] for k in range(5)})
    run = RunFolder(tmp_path / "run")
    found = assess_unseen(run, other, replicates=50, with_baselines=False).evaluation
    assert set(SECTIONS) - {"audit"} <= set(found)
    kept = {p["name"]: p["threshold"]["value"] for p in evaluation["operating_points"]}
    assert {p["name"]: p["threshold"]["value"] for p in found["operating_points"]} == kept
    assert found["calibration"]["temperature"] == pytest.approx(
        evaluation["calibration"]["temperature"]
    )
    assert not found["published"]["comparable"]
    assert write_report(run / "evaluation-other.store", store=other).path.exists()
    # The evaluation of a run is never written over by that of another store.
    with pytest.raises(UserError, match="its own evaluation would be lost"):
        assess_unseen(run, other, output=run.path)
    facts = run.read_json("model.json")
    run.write_json("model.json", {**facts, "marks": ["leak: case 1 is on both sides"]})
    marked = assess_unseen(run, other, replicates=20, with_baselines=False).evaluation
    assert marked["marks"] == [
        {"kind": "own_split", "sentence": f"{OWN_SPLIT}leak: case 1 is on both sides"}
    ]
    text = verdict(Evaluation.model_validate(marked)).sentence
    assert "leaks" not in text
    assert "that training never saw" in text


@pytest.mark.parametrize(
    ("name", "val", "test"),
    [
        ("one class in test", {"v0": mixed(), "v1": mixed()}, {"e0": [0] * 9, "e1": [0] * 9}),
        ("one class in validation", {"v0": [1] * 9}, {"e0": mixed(), "e1": mixed()}),
        ("one test case", {"v0": mixed(), "v1": mixed()}, {"e0": mixed()}),
        ("a case with one patch", {"v0": mixed(), "v1": [1]}, {"e0": mixed(), "e1": [1]}),
        ("one validation case alone", {"v0": mixed()}, {}),
        ("empty validation", {}, {"e0": mixed(), "e1": mixed(), "e2": mixed()}),
    ],
)
def test_degenerate_parts_are_said_in_words(
    tmp_path: Path, name: str, val: Labels, test: Labels
) -> None:
    evaluation = run_on(tmp_path, val, test)
    if name == "one class in test":
        assert "all 18 patches are negative" in evaluation["undefined"]["auroc"]
    if name == "one class in validation":
        assert evaluation["calibration"]["note"]
        assert evaluation["threshold"]["note"]
    if name == "empty validation":
        assert (
            evaluation["threshold"]["note"]
            == "there is no validation part to choose a threshold on"
        )
        assert evaluation["scope"]["note"]
        assert evaluation["referral"]["band"] is None
        assert evaluation["referral"]["note"]
    if name == "one validation case alone":
        assert "one case" in evaluation["fitting"]["sentence"]
    assert any("few" in word.lower() or "Only" in word for word in evaluation["warnings"])


def change_weights(run: RunFolder, change: Callable[[str, Any], Any]) -> None:
    """Save a run's network with other tensors, as training would save it."""
    model, facts = load_classifier(run.path)
    tensors = model.network.state_dict()
    for name, value in tensors.items():
        changed = change(name, value.numpy()).astype(value.numpy().dtype)
        tensors[name] = torch.from_numpy(np.asarray(changed))
    model.network.load_state_dict(tensors)
    save_classifier(model, run.path, facts)


def test_equal_scores_of_a_dead_model(tmp_path: Path) -> None:
    labels = {**TRAIN, "v0": mixed(), "v1": mixed(), "e0": mixed(), "e1": mixed()}
    store = made(tmp_path / "s.store", labels)
    parts = {c: {"t": "train", "v": "val", "e": "test"}[c[0]] for c in labels}
    session = session_of(store, tmp_path, parts)
    change_weights(session.run, lambda name, value: np.zeros_like(value))
    found = assess(session, replicates=50, with_baselines=False)
    assert any("same score" in word for word in found.evaluation["warnings"])
    assert found.evaluation["referral"]["band"] is None
    assert write_report(found.folder, store=store).path.exists()


def test_scores_that_are_not_numbers(tmp_path: Path) -> None:
    labels = {**TRAIN, "v0": mixed(), "v1": mixed(), "e0": mixed(), "e1": mixed()}
    store = made(tmp_path / "s.store", labels)
    parts = {c: {"t": "train", "v": "val", "e": "test"}[c[0]] for c in labels}
    session = session_of(store, tmp_path, parts)
    change_weights(
        session.run, lambda name, value: value * np.float32("nan" if name == "head.weight" else 1)
    )
    found = assess(session, replicates=50, with_baselines=False)
    assert "finite" in found.evaluation["undefined"]["auroc"]
    assert found.evaluation["calibration"]["note"]
    assert found.evaluation["operating_points"] == []
    assert write_report(found.folder, store=store).path.exists()


def test_a_recipe_may_choose_the_other_class(tmp_path: Path) -> None:
    """Labels, columns, facts, report and predictions all follow it; the store stays as it is."""
    val = {f"v{k}": mixed() for k in range(3)}
    test = {f"e{k}": [0, 0, 1] * 4 for k in range(3)}
    evaluation = run_on(tmp_path, val, test, "positive=no")
    assert evaluation["classes"] == ["yes", "no"]
    assert (evaluation["positive"], evaluation["positive_by"]) == ("no", "chosen")
    assert evaluation["prevalence"] == pytest.approx(2 / 3)
    store, run = PatchStore.open(tmp_path / "s.store"), RunFolder(tmp_path / "run")
    assert store.classes == ("no", "yes")
    table = pl.read_parquet(run / "predictions.parquet")
    rows = table["patch"].to_numpy()
    np.testing.assert_array_equal(table["label"].to_numpy(), 1 - store.labels[rows])
    facts = ModelFacts.of_run(run.path)
    assert (facts.classes, facts.positive_by) == (("yes", "no"), "chosen")
    answers = load(run.path).predict(np.asarray(store.patches[rows]))
    np.testing.assert_allclose(table["p_no"].to_numpy(), answers[:, 1], atol=1e-5)
    assert reopen(run.path).store.classes == ("yes", "no")
    # On another store, whose second class is "yes", the figures are about "no" as well.
    other = made(tmp_path / "other.store", {f"o{k}": [0, 0, 0, 1] * 3 for k in range(3)})
    unseen = assess_unseen(run, other, replicates=20, with_baselines=False).evaluation
    assert (unseen["positive"], unseen["prevalence"]) == ("no", 0.75)


def test_three_classes(tmp_path: Path) -> None:
    val = {f"v{k}": mixed() for k in range(3)}
    test = {f"e{k}": mixed() for k in range(3)}
    evaluation = run_on(tmp_path, val, test, classes=("a", "b", "c"))
    assert evaluation["operating_points"] == []
    assert evaluation["decision_curve"]["note"]
    assert evaluation["calibration"]["methods"]["temperature"]["ece"]["value"] is not None
    assert ModelFacts.of_run(tmp_path / "run").decision().point.threshold is None
    # A run that was evaluated is not called one that never was.
    other = made(
        tmp_path / "other.store", {f"o{k}": [0, 1, 2] * 4 for k in range(3)}, classes="abc"
    )
    unseen = assess_unseen(
        RunFolder(tmp_path / "run"), other, replicates=20, with_baselines=False
    ).evaluation
    assert "were applied unchanged to this store" in unseen["fitting"]["sentence"]


def test_the_quick_ways_give_the_figures_of_the_plain_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texture alone, norms inside weights and remembered features change no digit that counts."""
    run_on(tmp_path, {f"v{k}": mixed() for k in range(4)}, {f"x{k}": mixed() for k in range(4)})
    session = reopen(tmp_path / "run")
    quick = assess(session, replicates=50).evaluation
    asked: list[str] = []

    def by_reading(self: TorchPredictor, patches: Any, rows: Any) -> Any:
        asked.append("texture")
        return self.read(patches, rows)[1]

    def layer_by_layer(self: torch.nn.Sequential, images: torch.Tensor) -> torch.Tensor:
        asked.append("layers")
        return torch.nn.Sequential.forward(self, images)

    def again(self: Remembered, rows: Any, maker: Any) -> Any:
        asked.append("features")
        return features_of(self.patches, rows, maker)

    monkeypatch.setattr(TorchPredictor, "texture", by_reading)
    monkeypatch.setattr(compact._Convolution, "forward", layer_by_layer)
    monkeypatch.setattr(Remembered, "features", again)
    plain = assess(session, replicates=50).evaluation
    assert set(asked) == {"texture", "layers", "features"}
    assert_close(quick, plain)


def assert_close(one: Any, other: Any, path: str = "") -> None:
    """Equal, numbers within 1e-5."""
    if isinstance(one, Mapping):
        assert set(one) == set(other), path
        for key in one:
            # What names the numbers that were fitted, to the last bit.
            if key != "fitted_digest":
                assert_close(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for place, pair in enumerate(zip(one, other, strict=True)):
            assert_close(*pair, f"{path}/{place}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-5), path
    else:
        assert one == other, path
