"""evaluation.json: read from any version, written without loss, described by its schema."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path
from typing import Any

import pytest

from eosin.errors import RunError
from eosin.evaluation.summary import evaluate
from eosin.records.evaluation import FORMAT, Evaluation
from eosin.records.marks import Mark
from eosin.records.record import Record
from eosin.records.scored import Scored

#: Made by the version that wrote marks as plain sentences: a run with a test part, a run of three
#: classes, and an exported file.
EARLIER = Path(__file__).parent / "earlier"
DOCS = Path(__file__).parents[2] / "docs"


def without_format(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("version", "format", "marks")}


def unknown_keys(value: Any, prefix: str = "") -> list[str]:
    """Paths of the keys that this version has no field for, such as ``referral.achieved.x``."""
    if isinstance(value, Record):
        parts = {name: getattr(value, name) for name in type(value).model_fields}
        return [f"{prefix}{key}" for key in value.model_extra or {}] + [
            key for name, part in parts.items() for key in unknown_keys(part, f"{prefix}{name}.")
        ]
    if isinstance(value, dict):
        return [
            key for name, part in value.items() for key in unknown_keys(part, f"{prefix}{name}.")
        ]
    if isinstance(value, tuple):
        return [key for part in value for key in unknown_keys(part, prefix)]
    return []


@pytest.mark.parametrize("name", ["two", "three", "file"])
def test_what_an_earlier_version_made_is_read_and_nothing_is_lost(name):
    data = json.loads((EARLIER / name / "evaluation.json").read_text())
    evaluation = Evaluation.read(EARLIER / name)
    assert unknown_keys(evaluation) == []
    written = evaluation.to_json()
    assert without_format(written) == without_format(data)
    assert written["format"] == FORMAT
    assert "version" not in written
    assert [mark.sentence for mark in evaluation.marks] == data["marks"]
    assert Evaluation.model_validate(json.loads(json.dumps(written))) == evaluation
    assert evaluation.binary == (name != "three")
    assert evaluation.ranking_name == ("macro_auroc" if name == "three" else "auroc")
    assert evaluation.ranking.value == data[evaluation.ranking_name]["value"]
    assert evaluation.cases[0].n == data["cases"][0]["n"]
    assert (evaluation.exported is not None) == (name == "file")


def test_the_schema_is_the_published_one_and_accepts_what_is_written():
    from jsonschema import Draft202012Validator

    for name, text in runpy.run_path(str(DOCS / "schemas.py"))["schemas"]().items():
        published = DOCS / "reference" / "schemas" / name
        assert published.read_text("utf-8") == text, "write it with: python docs/schemas.py"
        schema = json.loads(text)
        Draft202012Validator.check_schema(schema)
        for folder in sorted(EARLIER.iterdir()) if name == "evaluation.json" else ():
            Draft202012Validator(schema).validate(Evaluation.read(folder).to_json())


def test_what_evaluate_gives_is_an_evaluation():
    sections = evaluate(
        Scored.of([0, 1] * 6, [0.1, 0.9] * 6, list("aabbccddeeff")),
        classes=["n", "p"], replicates=20,
    )  # fmt: skip
    evaluation = Evaluation.model_validate(sections)
    assert unknown_keys(evaluation) == []
    assert without_format(evaluation.to_json()) == without_format(sections)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ("[]", "cannot be used"),
        ('{"format": 99}', "format is 99, and this version of eosin reads up to 2; update eosin"),
        ('{"version": "x"}', "its format is x"),
        ('{"auroc": {"value": "high"}}', r"auroc\.value"),
        ('{"cases": {}}', "cases: "),
        ('{"marks": [3]}', "a mark is an object with a sentence, not 3"),
    ],
)
def test_a_damaged_file_is_a_sentence(tmp_path, content, message):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(RunError, match=message) as caught:
        Evaluation.read(tmp_path)
    assert "\n" not in str(caught.value)
    assert "eosin evaluate" in str(caught.value)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(RunError, match=r"has no evaluation\.json; make it with: eosin evaluate"):
        Evaluation.read(tmp_path)


def test_nulls_and_what_json_cannot_carry():
    data = {"auroc": {"value": math.nan, "low": None, "note": None}, "threshold": None, "run": None}
    evaluation = Evaluation.model_validate(data)
    assert evaluation.figure("auroc").value is None
    assert evaluation.figure("auroc").note == ""
    assert evaluation.figure("f1").value is None
    assert evaluation.figure("no such figure").value is None
    assert evaluation.to_json() == {
        "format": FORMAT, "auroc": {"value": None, "low": None}, "threshold": None,
    }  # fmt: skip


def test_keys_of_a_later_version_are_kept_and_named():
    data = {"referral": {"achieved": {"later": 1}}, "cases": [{"case": "a", "odd": 2}], "new": 3}
    evaluation = Evaluation.model_validate(data)
    assert set(unknown_keys(evaluation)) == {"new", "referral.achieved.later", "cases.odd"}
    assert without_format(evaluation.to_json()) == data


def test_the_point_that_decides_and_what_predict_does():
    points = [
        {"name": "balanced", "default": True, "referral": None},
        {"name": "cost", "referral": {"band": {"low": 0.1, "high": 0.3}}},
    ]
    classes = [{"class": "n", "patches": 5, "referred": 0.2, "error": None}]
    data = {
        "operating_points": points, "point": "cost", "fitted_digest": "f",
        "decided": {"referred": 0.2, "error": 0.1, "patches": 5, "classes": classes},
        "referral": {"achieved": {"classes": classes}},
    }  # fmt: skip
    evaluation = Evaluation.model_validate(data)
    assert unknown_keys(evaluation) == []
    assert evaluation.deciding.referral.band.high == 0.3
    assert evaluation.decided.classes[0].referred == 0.2
    assert without_format(evaluation.to_json()) == data
    assert Evaluation.model_validate({**data, "point": None}).deciding.name == "balanced"


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("made-up data: drawn by a program", "made_up"),
        ("leak: 3 cases are in two parts", "leak"),
        ("patch-random split: patches of one case are on both sides", "leak"),
        ("seen in training: 2 case(s) and 5 patch(es) of b.store were seen in training", "seen"),
        ("the split has no test part: these figures are on the validation part", "no_test"),
        ("of the run's own split, not of this store: leak: case 1", "own_split"),
        ("no weight changed in epoch 1: the gradient is 0", "diagnosis"),
        ("constant predictions: every validation patch gets 0.5", "diagnosis"),
        ("something else", "other"),
    ],
)
def test_sentences_of_earlier_versions_get_their_kind_once(sentence, kind):
    evaluation = Evaluation.model_validate({"marks": [sentence]})
    assert evaluation.marks == (Mark(kind, sentence),)
    assert evaluation.has_mark(kind)
    assert Evaluation.model_validate(evaluation.to_json()).marks == evaluation.marks
