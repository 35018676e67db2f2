"""A run folder and an export made by an earlier version (format 1) answer as they did then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eosin.data.store import PatchStore
from eosin.errors import RunError
from eosin.inference.predictor import load
from eosin.models.classifier import load_classifier, save_fitted
from eosin.records.model import ModelFacts
from eosin.records.points import POINTS
from eosin.records.weights import weights_digest
from eosin.runs import RunFolder
from eosin.splitting.seen import Seen
from eosin.training.session import reopen

#: Made by eosin at 614a342: a tiny network, trained and evaluated on ``made_up_store``, exported to
#: ONNX; and what that version answered for nine of its patches.
EARLIER = Path(__file__).parents[1] / "fixtures" / "format-1"


@pytest.mark.parametrize("name", ["run", "exported"])
def test_it_answers_and_decides_as_then(name: str) -> None:
    if name == "exported":
        pytest.importorskip("onnxruntime")
    predictor = load(EARLIER / name)
    with np.load(EARLIER / "expected.npz") as expected:
        probabilities, distances = predictor.examine(expected["patches"])
        assert distances is not None
        assert np.allclose(probabilities, expected["probabilities"], atol=1e-5)
        assert np.allclose(distances, expected["distances"], rtol=1e-4)
        rule = predictor.facts.decision()
        decided = rule.names(rule.decide(probabilities, distances))
        assert decided == expected["decisions"].tolist()
    facts = predictor.facts
    assert sorted(facts.points) == ["balanced", "cost", "f1", "sensitivity", "specificity"]
    assert facts.decision("sensitivity").point.threshold == pytest.approx(0.10191785)
    assert facts.decision().scope_limit == pytest.approx(1.66021132)
    band = facts.decision().point.band
    assert band is not None
    assert band.note.startswith("it needs at least 10 cases")
    labels = [point.label.partition(" (")[0] for point in facts.points.values()]
    assert labels == list(POINTS.values())
    assert facts.temperature == pytest.approx(0.25475672)
    assert [mark.kind for mark in facts.marks] == ["made_up"]


def test_what_it_has_seen_is_known(made_up_store: PatchStore) -> None:
    pytest.importorskip("onnxruntime")
    seen = Seen.of_run(RunFolder(EARLIER / "run"))
    info = load(EARLIER / "exported").exported.info  # type: ignore[attr-defined]
    listed = Seen.of_cases(info.seen_cases, info.seen_key)
    assert len(seen.overlap(made_up_store).cases) == 13
    assert listed.overlap(made_up_store).cases == seen.overlap(made_up_store).cases


def test_it_is_evaluated_by_this_version(made_up_store: PatchStore, tmp_path: Path) -> None:
    shutil.copytree(EARLIER / "run", tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    session = reopen(tmp_path / "run", str(made_up_store.path))
    assert session.origin.kind == "random"
    model, facts = load_classifier(tmp_path / "run")
    digest = weights_digest(tmp_path / "run")
    assert facts.fitted is not None
    save_fitted(tmp_path / "run", facts.fitted, model)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in before} == before
    again, kept = load_classifier(tmp_path / "run")
    assert kept.fitted == facts.fitted.model_copy(update={"weights_digest": digest})
    assert again.scope_whitening is not None
    assert model.scope_whitening is not None
    assert np.array_equal(again.scope_whitening, model.scope_whitening)
    assert ModelFacts.of_run(tmp_path / "run").decision() == facts.decision()


def test_what_is_written_now_fits_the_published_schemas() -> None:
    from jsonschema import Draft202012Validator

    folder = Path(__file__).parents[2] / "docs" / "reference" / "schemas"
    facts = ModelFacts.of_run(EARLIER / "run")
    assert facts.fitted is not None
    written = {"model.json": facts.to_json(), "fitted.json": facts.fitted.to_json()}
    for name, value in written.items():
        schema = json.loads((folder / name).read_text("utf-8"))
        Draft202012Validator(schema).validate(json.loads(json.dumps(value)))


@pytest.mark.parametrize("key", ["mean", "deviation"])
def test_a_scaling_of_other_channels_is_a_damaged_model(tmp_path: Path, key: str) -> None:
    shutil.copytree(EARLIER / "run", tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    known = json.loads(path.read_text("utf-8"))
    known[key] = known[key][:2]
    path.write_text(json.dumps(known), "utf-8")
    with pytest.raises(RunError, match=rf"model\.json is damaged \({key}\.2"):
        ModelFacts.of_run(tmp_path / "run")
