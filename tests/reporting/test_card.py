"""The model card: complete, in order, for whole and for missing facts, whatever the names are."""

from __future__ import annotations

import re
from typing import Any

import pytest

from eosin.reporting.card import INTENDED_USE, card_facts, model_card
from eosin.reporting.limits import known_limits
from eosin.reporting.markdown import code, escaped, paragraph, table

HEADINGS = [
    "What it is", "Intended use", "Uses out of scope", "Data", "Training", "Measured figures",
    "Operating points", "Calibration", "When the model refers to a person",
    "Check of input that is out of scope", "Known limits", "How to reproduce it",
    "Versions and machine",
]  # fmt: skip


def interval(value: float | None) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


EVALUATION: dict[str, Any] = {
    "classes": ["negative", "positive"], "marks": ["somewhat too good"], "n_patches": 5685,
    "n_cases": 29, "prevalence": 0.375, "part": "val", "split": "published", "run": "run",
    "threshold": {"value": 0.31, "rule": "balanced_accuracy", "chosen_on": "validation"},
    "auroc": interval(0.93), "f1": interval(None), "warnings": ["Only a few."],
    "cases": [{"case": "9", "auroc": interval(0.7)}, {"case": "7", "auroc": interval(0.9)}],
    "intervals": {"method": "percentile bootstrap over cases", "level": 0.95, "replicates": 2000},
    "baselines": {"base_rate": {"auroc": interval(0.5)}},
    "fitting": {"sentence": "Fitted on validation"},
    "calibration": {"temperature": 1.31, "note": "", "methods": {
        "before": {"ece": interval(0.12), "brier": interval(0.11)}}},
    "operating_points": [{"name": "f1", "label": "best F1", "default": True,
        "threshold": {"value": 0.4}, "figures": {"sensitivity": interval(0.8)},
        "per_1000": {"false_positive": 41.2, "false_negative": 22.0}, "note": "few positives"}],
    "referral": {"sentence": "It refers", "band": {"low": 0.2, "high": 0.8},
        "assumption": "cases are alike", "note": "",
        "achieved": {"error": interval(0.06), "coverage": interval(0.8), "held": False}},
    "scope": {"method": "Mahalanobis", "flagged": 0.012, "note": "", "probes": [
        {"name": "digits", "what": "MNIST digits", "n": 500, "auroc": 0.999, "flagged": 0.99}]},
    "suspects": {"total": 37},
    "published": {"comparable": False, "reason": "the test part is missing"},
}  # fmt: skip
MODEL: dict[str, Any] = {
    "architecture": "compact", "classes": ["negative", "positive"], "patch_size": [50, 40],
    "parameters": 1943698, "recipe": "compact", "mpp": 4.0, "epochs": 12, "kept_epoch": 11,
    "train_seconds": 327.59, "machine": "cpu", "train_patches": 11853, "store_digest": "79041b",
    "intended_use": INTENDED_USE,
}  # fmt: skip
ENVIRONMENT: dict[str, Any] = {
    "eosin": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.14.1"},
    "machine": {"system": "Linux", "processor": "AMD EPYC", "cores": 2},
    "command": "eosin train s.store --recipe compact -o run",
    "store": {"digest": "79041b", "layout": "idc", "patches": 22237},
    "audit": {"leaking": False, "findings": [
        {"kind": "consecutive-cases", "severity": "hint", "sentence": "10 pairs stand apart"}]},
}  # fmt: skip
RECIPE = {"name": "compact", "about": "a small network", "seed": 7, "optimizer": "muon"}


def test_everything_measured_is_in_the_card() -> None:
    text = model_card(EVALUATION, MODEL, ENVIRONMENT, RECIPE, date="2026-11-23")
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert text.startswith("# Model card: compact\n")
    for said in (
        INTENDED_USE, "1,943,698 parameters", "40 x 50 pixels at 4 micrometers", "2026-11-23",
        "| measured on (validation) | 5,685 patches of 29 cases |",
        "| share of positive | 37.5 % |",
        "| seed | 7 |", "| AUROC | 0.930 | 0.880 to 0.980 |", "| F1 | – | none |",
        "of the baseline: the base rate | 0.500 |", "reaches from 0.700 (case 9) to 0.900 (case 7)",
        "Threshold 0.310 (balanced accuracy, chosen on validation).", "Only a few.",
        "Not comparable with published results: the test part is missing.",
        "| best F1 (used by default) | 0.400 | 0.800 (0.750 to 0.850) | – | 41 | 22 |",
        ": few positives.", "Temperature 1.310.", "Fitted on validation.",
        "| before | 0.120 (0.070 to 0.170) |", "Cases are alike.", "The promise did not hold.",
        "Method: Mahalanobis. It marks 1.2 % of the measured patches.",
        "| MNIST digits | 500 | 0.999 | 99.0 % |", "37 labels of the data may be wrong",
        "eosin train s.store --recipe compact -o run", "eosin evaluate run", "| torch | 2.14.1 |",
        "10 pairs stand apart.", "found no leak",
    ):  # fmt: skip
        assert said in text, said


def test_the_date_stands_in_the_environment() -> None:
    assert "2026-11-22" in model_card({}, MODEL, {"date": "2026-11-22"}, {})


def test_an_encoder_says_its_license_and_how_patches_reach_it() -> None:
    model = {
        "architecture": "encoder", "patch_size": [50, 50], "mpp": 4.0, "classes": ["a", "b"],
        "arguments": {"encoder": "uni2-h", "input_px": 112},
    }  # fmt: skip
    card = model_card(model=model, evaluation={}, recipe={}, environment={})
    assert "Built on UNI2-h, trained on 350,000 slides" in card
    assert "CC-BY-NC-ND-4.0, allows no commercial use; it binds what is made of them." in card
    assert "are resized to 112 px, 1.79 mpp; UNI2-h was trained at 0.5 mpp." in card
    for damaged in ({"arguments": {}}, {"patch_size": None}, {"arguments": {"encoder": "x"}}):
        assert "Built on" not in model_card(
            model={**model, **damaged}, evaluation={}, recipe={}, environment={}
        )
    odd = {**model, "arguments": {"encoder": "uni2-h", "input_px": 5}}
    assert "multiples of 14" in model_card(model=odd, evaluation={}, recipe={}, environment={})


def test_nothing_known_is_still_a_card() -> None:
    text = model_card({}, {}, {}, {})
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert INTENDED_USE in text
    assert "None" not in text.replace("None: any picture", "")
    for said in ("has no model.json", "has not been evaluated", "neither a recipe nor a model",
                 "No versions are recorded", "not audited"):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize("absent", [*EVALUATION, "model", "environment", "recipe"])
def test_any_one_missing_fact_leaves_the_rest(absent: str) -> None:
    evaluation = {key: value for key, value in EVALUATION.items() if key != absent}
    facts = card_facts(
        evaluation,
        {} if absent == "model" else MODEL,
        {} if absent == "environment" else ENVIRONMENT,
        {} if absent == "recipe" else RECIPE,
    )
    assert [part.heading for part in facts] == HEADINGS
    for part in facts:
        assert part.paragraphs or part.rows or part.points
        assert all(len(row) == len(part.columns) for row in part.rows)
        cells = [cell for row in part.rows for cell in row]
        assert all(isinstance(text, str) for text in [*part.paragraphs, *part.points, *cells])


def test_null_for_every_figure_and_note() -> None:
    nothing = {**dict.fromkeys(EVALUATION), "n_patches": 0, "n_cases": 0}
    text = model_card(nothing, dict.fromkeys(MODEL), dict.fromkeys(ENVIRONMENT), {})
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS


def test_several_classes() -> None:
    shares = {"tumor": 0.2, "stroma": 0.5, "fat": 0.3}
    evaluation = {
        **EVALUATION, "classes": list(shares), "prevalence": shares, "threshold": None,
        "macro_auroc": interval(0.9), "per_class": [{"class": "fat", "auroc": 0.99}],
    }  # fmt: skip
    text = model_card(evaluation, MODEL, ENVIRONMENT, RECIPE)
    assert "| share of stroma | 50.0 % |" in text
    assert "| AUROC of fat | 0.990 | none |" in text
    assert "Threshold" not in text


HOSTILE = "a|b\n# head\n<script>alert(1)</script> `x` **y** [z](http://e) ~~q~~ $m$ \u202e ![i](j)"


def test_hostile_names_break_nothing() -> None:
    evaluation = {
        **EVALUATION, "classes": [HOSTILE, "b"], "split": HOSTILE, "marks": [HOSTILE],
        "run": HOSTILE, "warnings": [HOSTILE], "cases": [
            {"case": HOSTILE, "auroc": interval(0.7)}, {"case": "7", "auroc": interval(0.9)}],
    }  # fmt: skip
    model = {**MODEL, "recipe": HOSTILE, "machine": HOSTILE, "classes": [HOSTILE]}
    environment = {**ENVIRONMENT, "command": "eosin train ```\n## no\n"}
    text = model_card(evaluation, model, environment, {"name": HOSTILE})
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    outside = re.sub(r"^(`{3,})\n.*?\n\1$", "", text, flags=re.M | re.S)
    assert "<script" not in outside
    assert "\u202e" not in outside
    assert not re.search(r"(?<!\\)`", outside)
    for block in re.findall(r"(?:^\|.*\|\n)+", outside, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


@pytest.mark.parametrize("text", ["# a", "- a", "+ a", "1. a", "2) a", "=== ", "---", "> a", "* a"])
def test_a_paragraph_stays_a_paragraph(text: str) -> None:
    assert re.match(r"\\|&gt;|\d+\\", paragraph(text))


def test_markdown_parts() -> None:
    assert escaped("snake_case _em_ a\\b") == r"snake_case \_em\_ a\\b"
    assert table(["a"], [["x|y\nz"]]).splitlines()[2] == r"| x\|y z |"
    assert code(["````"]).splitlines()[0] == "`````"


@pytest.mark.parametrize(
    ("evaluation", "model", "environment", "said"),
    [
        ({"n_cases": 1, "part": "test"}, {}, {}, "Measured on 1 case only"),
        ({"n_cases": 30, "part": "test"}, {}, {}, "the intervals are wide"),
        ({"n_cases": None}, {}, {}, "cases of the patches are unknown"),
        ({"part": "val"}, {}, {}, "There is no test part"),
        ({"split": "patch"}, {}, {}, "both sides of the split"),
        ({}, {"leaking": True}, {}, "The split leaks"),
        ({}, {"made_up": True}, {}, "made up by a program"),
        ({}, {}, {"store": {"layout": "idc"}}, "drawn by hand"),
        ({}, {"diagnoses": [{"sentence": "the weights never changed"}]}, {}, "The weights never"),
        ({"n_cases": 60}, {}, {}, "nothing ties a case to a patient"),
        ({"n_cases": 60}, {}, {}, "It never refers"),
        ({"n_cases": 60, "referral": {"band": None}}, {}, {}, "It never refers"),
        ({}, {}, {}, "It has not been evaluated"),
    ],
)
def test_limits_that_apply(
    evaluation: dict[str, Any], model: dict[str, Any], environment: dict[str, Any], said: str
) -> None:
    assert any(said in limit for limit in known_limits(evaluation, model, environment))


def test_limits_that_do_not_apply_are_not_said() -> None:
    evaluation = {"n_cases": 200, "part": "test", "split": "case",
                  "referral": {"sentence": "x", "band": {"low": 0.2, "high": 0.8}}}  # fmt: skip
    said = " ".join(known_limits(evaluation, {"mpp": 4.0}, {}))
    for other in ("made up", "leaks", "no test part", "intervals are wide", "never refers",
                  "resolution", "drawn by hand", "may be wrong"):  # fmt: skip
        assert other not in said


def test_cases_are_not_called_disjoint_where_nobody_looked() -> None:
    for more in (
        {"split": "file"},
        {"split": "unseen store", "part": "all", "marks": ["seen in training: 5 case(s)"]},
    ):
        said = " ".join(known_limits({"n_cases": 60, **more}, {}, {}))
        assert "share no case" not in said


def test_a_leak_of_the_runs_own_split_is_none_of_another_store() -> None:
    evaluation = {"n_cases": 60, "part": "all", "split": "unseen store"}
    audit = {"leaking": True, "findings": []}
    said = " ".join(known_limits(evaluation, {"leaking": True}, {"audit": audit}))
    assert "leaks between its parts" not in said
    assert "share no case" in said


def test_a_check_that_could_not_be_fitted_is_none() -> None:
    text = model_card({"scope": {"note": "no check: too few", "probes": []}}, MODEL, {}, {})
    assert "Input of unknown origin" in text
    assert "No check: too few." in text
    assert "not recorded. It" not in text


def test_why_not_comparable_is_said_once() -> None:
    published = {"comparable": False, "reason": "not comparable: the data are made up"}
    text = model_card({**EVALUATION, "published": published}, MODEL, {}, {})
    assert "Not comparable with published results: the data are made up." in text
