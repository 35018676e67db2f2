"""The model card: complete, in order, for whole and for missing facts, whatever the names are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eosin.records.environment import RunEnvironment
from eosin.records.evaluation import Evaluation
from eosin.records.model import INTENDED_USE, ModelFacts
from eosin.records.shared import case_digest, shared_value
from eosin.reporting.cards import build
from eosin.reporting.limits import known_limits
from eosin.reporting.markdown import code, escaped, paragraph, table
from eosin.reporting.material import Material
from eosin.reporting.report import model_card

HEADINGS = [
    "Verdict", "Limits and intended use", "The data and the split", "Training",
    "Beside simple methods and published results", "Curves", "Operating points", "Case by case",
    "Out of scope", "How to make it again",
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
    "cases": [{"case": "9", "accuracy": interval(0.7)}, {"case": "7", "accuracy": interval(0.9)}],
    "intervals": {"method": "percentile bootstrap over cases", "level": 0.95, "replicates": 2000,
        "units": 29},
    "baselines": {"base_rate": {"auroc": interval(0.5)}},
    "fitting": {"sentence": "Fitted on validation"},
    "calibration": {"temperature": 1.31, "note": "", "methods": {
        "before": {"ece": interval(0.12), "brier": interval(0.11)},
        "temperature": {"ece": interval(0.06), "brier": interval(0.11)}}},
    "operating_points": [{"name": "f1", "label": "best F1", "default": True,
        "threshold": {"value": 0.4}, "figures": {"sensitivity": interval(0.8)},
        "per_1000": {"true_positive": 27, "false_positive": 41.2, "false_negative": 22.0},
        "note": "few positives"}],
    "referral": {"sentence": "It refers", "band": {"low": 0.2, "high": 0.8},
        "assumption": "cases are alike", "note": "",
        "achieved": {"error": interval(0.06), "coverage": interval(0.8), "held": False}},
    "scope": {"method": "Mahalanobis", "flagged": 0.012, "note": "", "probes": [
        {"name": "digits", "what": "MNIST digits", "n": 500, "auroc": 0.999, "flagged": 0.99}]},
    "suspects": {"total": 37},
    "published": {"comparable": False, "reason": "the test part is missing"},
}  # fmt: skip
MODEL: dict[str, Any] = {
    "format": 1, "architecture": "compact", "classes": ["negative", "positive"],
    "patch_size": [50, 40],
    "parameters": 1943698, "recipe": "compact", "mpp": 4.0, "epochs": 12, "kept_epoch": 11,
    "train_seconds": 327.59, "machine": "cpu", "train_patches": 11853, "store_digest": "79041b",
    "intended_use": INTENDED_USE,
}  # fmt: skip
ENVIRONMENT: dict[str, Any] = {
    "eosin": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.14.1"},
    "machine": {"system": "Linux", "processor": "AMD EPYC", "cores": 2},
    "command": "eosin train s.store --recipe compact -o run",
    "store": {"digest": "79041b", "layout": "idc", "patches": 22237},
    "audit": {"leaking": False, "compared": {"train": 9, "val": 3}, "findings": [
        {"kind": "consecutive-cases", "severity": "hint", "sentence": "10 pairs are apart"}]},
}  # fmt: skip
RECIPE = {"name": "compact", "about": "a small network", "seed": 7, "optimizer": "muon"}


def material(
    evaluation: dict[str, Any] = EVALUATION,
    model: dict[str, Any] = MODEL,
    environment: dict[str, Any] = ENVIRONMENT,
    recipe: dict[str, Any] = RECIPE,
) -> Material:
    """What a report reads, without files."""
    return Material(
        folder=Path("run"),
        run=Path("run"),
        evaluation=Evaluation.model_validate(evaluation),
        model=ModelFacts.read(model) if model else None,
        environment=RunEnvironment.model_validate(environment),
        recipe_text="".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.items()),
    )


def card(
    evaluation: dict[str, Any] = EVALUATION,
    model: dict[str, Any] = MODEL,
    environment: dict[str, Any] = ENVIRONMENT,
    recipe: dict[str, Any] = RECIPE,
) -> str:
    """MODEL_CARD.md of these facts."""
    facts = material(evaluation, model, environment, recipe)
    return model_card(facts)


def limits(
    evaluation: dict[str, Any], model: dict[str, Any], environment: dict[str, Any]
) -> list[str]:
    facts = material(evaluation, model and {**BARE, **model}, environment, {})
    return known_limits(facts.evaluation, facts.model, facts.environment)


BARE = {"format": 1, "architecture": "compact", "classes": ["a", "b"], "patch_size": [50, 50]}


def test_everything_measured_is_in_the_card() -> None:
    text = card(environment={**ENVIRONMENT, "date": "2026-11-23"})
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert text.startswith("# Model card: compact\n")
    for expected in (
        INTENDED_USE, "1,943,698 parameters", "40 x 50 pixels at 4 micrometers", "2026-11-23",
        "Every figure is of 5,685 patches of 29 cases: the validation part of",
        "| positive among them | 37.5 % |", "| digest | 79041b |", "| layout | idc |",
        "| seed | 7 |", "| optimizer | muon |", "| time | 328 seconds |",
        "| AUROC | 0.930 (0.880 to 0.980) | 0.500 (0.450 to 0.550) |", "| F1 | – | – |",
        f"from 0.700 (case {case_digest('9', '79041b')}) to 0.900",
        "| patches trained on | 11,853 |",
        "use 0.310 (balanced accuracy, chosen on validation).", "Only a few.",
        "percentile bootstrap over cases (2,000 replicates)",
        "The test part is missing.", "Somewhat too good.",
        "| Best F1 (used by default) | 0.400 | 0.800 (0.750 to 0.850) | 27 | 22 | 41 |",
        "Best F1: Few positives.", "the temperature is 1.31", "Fitted on validation.",
        "| as trained | 0.120 (0.070 to 0.170) |", "Cases are alike.", "the promise is not kept",
        "1.2 % of the measured patches are marked", "Mahalanobis.",
        "| digits (MNIST digits) | 500 | 0.999 | 99.0 % |", "37 labels of the data may be wrong",
        "eosin train s.store --recipe compact -o run", "eosin evaluate run", "| torch | 2.14.1 |",
        "10 pairs are apart.", "found no leak",
    ):  # fmt: skip
        assert expected in text, expected


def test_an_encoder_states_its_license_and_how_patches_reach_it() -> None:
    model = {
        **BARE, "architecture": "encoder", "mpp": 4.0,
        "arguments": {"encoder": "uni2-h", "input_px": 112},
    }  # fmt: skip
    text = card(model=model)
    assert "Built on UNI2-h, trained on 350,000 slides" in text
    assert "CC-BY-NC-ND-4.0, allows no commercial use; it binds what is made of them." in text
    assert "are resized to 112 px, 1.79 mpp; UNI2-h was trained at 0.5 mpp." in text
    for damaged in ({"arguments": {}}, {"arguments": {"encoder": "x"}}):
        assert "Built on" not in card(model={**model, **damaged})
    odd = {**model, "arguments": {"encoder": "uni2-h", "input_px": 5}}
    assert "multiples of 14" in card(model=odd)


def test_nothing_known_is_still_a_card() -> None:
    text = card({}, {}, {}, {})
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert INTENDED_USE in text
    assert "None" not in text
    for expected in ("no usable model.json", "There is no verdict", "has no metrics.jsonl",
                     "no audit of the split"):  # fmt: skip
        assert expected in text, expected


@pytest.mark.parametrize("absent", [*EVALUATION, "model", "environment", "recipe"])
def test_any_one_missing_fact_leaves_the_rest(absent: str) -> None:
    facts = material(
        {key: value for key, value in EVALUATION.items() if key != absent},
        {} if absent == "model" else MODEL,
        {} if absent == "environment" else ENVIRONMENT,
        {} if absent == "recipe" else RECIPE,
    )
    text = model_card(facts)
    build(facts)
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert not [problem for problem in facts.problems if "could not be made" in problem]
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


def test_null_for_every_figure_and_note() -> None:
    nothing = {**dict.fromkeys(EVALUATION), "n_patches": 0, "n_cases": 0}
    text = card(nothing, MODEL, dict.fromkeys(ENVIRONMENT), {})
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS


def test_several_classes() -> None:
    shares = {"tumor": 0.2, "stroma": 0.5, "fat": 0.3}
    evaluation = {
        **EVALUATION, "classes": list(shares), "prevalence": shares, "threshold": None,
        "macro_auroc": interval(0.9), "per_class": [{"class": "fat", "n": 3, "auroc": 0.99}],
    }  # fmt: skip
    text = card(evaluation)
    assert "| stroma | 50.0 % |" in text
    assert "| fat | 3 | 0.990 |" in text
    assert "use 0.3" not in text


#: Sixty cases, none of them torn.
KNOWN: dict[str, Any] = {
    "n_cases": 60, "marks": [], "intervals": {"method": "over cases", "units": 60}
}  # fmt: skip
HOSTILE = "a|b\n# head\n<script>alert(1)</script> `x` **y** [z](http://e) ~~q~~ $m$ \u202e ![i](j)"


def test_hostile_names_break_nothing() -> None:
    evaluation = {
        **EVALUATION, "classes": [HOSTILE, "b"], "split": HOSTILE, "marks": [HOSTILE],
        "run": HOSTILE, "warnings": [HOSTILE], "cases": [
            {"case": HOSTILE, "accuracy": interval(0.7)}, {"case": "7", "accuracy": interval(0.9)}],
    }  # fmt: skip
    model = {**MODEL, "recipe": HOSTILE, "machine": HOSTILE, "classes": [HOSTILE, "b"]}
    environment = {**ENVIRONMENT, "command": "eosin train ```\n## no\n"}
    text = card(evaluation, model, environment, {"name": HOSTILE})
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
    ("evaluation", "model", "environment", "expected"),
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
        ({**KNOWN, "part": "test", "split": "case"}, {}, {}, "nothing ties a case to a patient"),
        ({"n_cases": 60}, {"mpp": 4.0}, {}, "It never refers"),
        ({"n_cases": 60, "referral": {"band": None}}, {}, {}, "It never refers"),
    ],
)
def test_limits_that_apply(
    evaluation: dict[str, Any], model: dict[str, Any], environment: dict[str, Any], expected: str
) -> None:
    assert any(expected in limit for limit in limits(evaluation, model, environment))


def test_limits_that_do_not_apply_are_not_said() -> None:
    evaluation = {"n_cases": 200, "part": "test", "split": "case",
                  "referral": {"sentence": "x", "band": {"low": 0.2, "high": 0.8}}}  # fmt: skip
    said = " ".join(limits(evaluation, {"mpp": 4.0}, {}))
    for other in ("made up", "leaks", "no test part", "intervals are wide", "never refers",
                  "resolution", "drawn by hand", "may be wrong"):  # fmt: skip
        assert other not in said


def test_cases_are_not_called_disjoint_where_nobody_looked() -> None:
    for more in (
        {"split": "file"},
        {"split": "unseen store", "part": "all", "marks": ["seen in training: 5 case(s)"]},
    ):
        said = " ".join(limits({"n_cases": 60, **more}, {}, {}))
        assert "share no case" not in said


def test_a_leak_of_the_runs_own_split_is_none_of_another_store() -> None:
    evaluation = {**KNOWN, "part": "all", "split": "unseen store", "sought": ["cases"]}
    audit = {"leaking": True, "findings": []}
    said = " ".join(limits(evaluation, {"leaking": True}, {"audit": audit}))
    assert "leaks between its parts" not in said
    assert "share no case" in said


def test_a_check_that_could_not_be_fitted_is_none() -> None:
    text = card({"scope": {"note": "no check: too few", "probes": []}})
    assert "Input of unknown origin" in text
    assert "No check: too few. Any picture of the right size gets a class." in text


def test_why_not_comparable_is_written_once() -> None:
    published = {"comparable": False, "reason": "not comparable: the data are made up"}
    assert card({**EVALUATION, "published": published}).count("ot comparable") == 1


def test_without_a_band_nothing_is_promised() -> None:
    referral = {"band": None, "note": "no band: there are too few cases", "sentence": "of before"}
    text = card({**EVALUATION, "referral": referral})
    assert (
        "No referral band could be set: all patches are answered and no error rate is guaranteed.\n"
        in text
    )
    assert "\nThere are too few cases.\n" in text
    assert "of before" not in text


def test_each_class_with_the_band_and_without_it() -> None:
    classes = [
        {"class": "negative", "patches": 60, "referred": 0.25, "error": 0.02},
        {"class": "positive", "patches": 40, "referred": 0.6, "error": 0.1},
    ]
    decided = {"patches": 100, "referred": 0.39, "error": 0.04, "classes": classes}
    figures = {"confusion": [[54, 6], [8, 32]], "accuracy": interval(0.86)}
    text = card({**EVALUATION, **figures, "decided": decided})
    assert "With the band and without it, for each class" in text
    assert "| negative | 60 | 75.0 % | 2.0 % | 10.0 % |" in text
    assert "| positive | 40 | 40.0 % | 10.0 % | 20.0 % |" in text
    assert "| all patches | 100 | 61.0 % | 4.0 % | 14.0 % |" in text


def test_no_absolute_path_and_no_case_is_in_the_card() -> None:
    place = "/home/Ann Lee/runs/first run"
    point = EVALUATION["operating_points"][0] | {
        "per_case": {"missed_positive": {"median": 1.0, "worst": 4, "worst_case": "Lee 7"}}
    }
    evaluation = EVALUATION | {
        "run": place, "store": {"path": "/home/Ann Lee/my data.store"},
        "cases": [{"case": name, "accuracy": interval(0.7)} for name in ("Lee 7", "12")],
        "operating_points": [point], "warnings": ["Case Lee 7 has few patches."],
        "published": {"comparable": False, "reason": "", "rows": [
            {"name": "Some 2014", "source": "SPIE 9041", "protocol": "49 cases"}]},
    }  # fmt: skip
    finding = {"kind": "consecutive-cases", "severity": "hint", "sentence": "apart: Lee 7/Lee 8"}
    environment = ENVIRONMENT | {
        "command": f"eosin train '/home/Ann Lee/my data.store' -o '{place}'",
        "audit": {"leaking": False, "findings": [finding]},
    }
    facts = material(evaluation, MODEL, environment)
    facts.problems.append(f"no explanation maps: '{place}/model.safetensors' is damaged")
    text = model_card(replace(facts, folder=Path(place), run=Path(place)))
    assert "Lee 7" not in text
    assert "Ann Lee" not in text
    assert "/home" not in text
    digest = case_digest("Lee 7", "79041b")
    assert f"worst 4 (case {digest})" in text
    assert f"Case {digest} has few patches." in text
    assert "eosin train 'my data.store' -o 'first run'" in text
    assert "eosin evaluate 'first run'" in text
    assert "Some 2014: SPIE 9041." in text


def test_the_worst_case_and_a_path_with_spaces_are_shared_as_others_may_see_them() -> None:
    shown = shared_value({"worst_case": "12", "path": "/home/Ann Lee/my data/a.store"}, "0f")
    assert shown == {"worst_case": case_digest("12", "0f"), "path": "a.store"}
