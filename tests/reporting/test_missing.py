"""A sentence is in the report and the card only where the facts that it needs are recorded."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.conftest import further, interval

from eosin.records.environment import RunEnvironment
from eosin.records.evaluation import Evaluation
from eosin.records.figures import Intervals
from eosin.records.model import ModelFacts
from eosin.reporting import cards, charts
from eosin.reporting.material import Material
from eosin.reporting.report import model_card, page
from eosin.reporting.verdict import verdict

EVALUATION: dict[str, Any] = {
    **further(),
    "format": 2, "classes": ["negative", "positive"], "marks": [], "n_patches": 320, "n_cases": 60,
    "part": "test", "split": "case", "run": "run", "recipe": "compact", "point": "f1",
    "threshold": {"value": 0.31, "rule": "f1", "chosen_on": "validation"}, "prevalence": 0.375,
    "auroc": interval(0.93), "sensitivity": interval(0.8), "specificity": interval(0.8),
    "accuracy": interval(0.8), "undefined": {}, "confusion": [[150, 50], [30, 90]],
    "cases": [{"case": "c1", "n": 4, "accuracy": interval(0.7)}],
    "intervals": {"method": "percentile bootstrap over cases", "level": 0.95, "replicates": 2000,
                  "seed": 0, "units": 60, "notes": {}},
    "baselines": {"base_rate": {"auroc": interval(0.5)}}, "warnings": [],
    "store": {"path": "a.store", "digest": "79041b", "patches": 22237},
    "decided": {"point": "f1", "threshold": 0.31, "band": {"low": 0.2, "high": 0.8},
                "patches": 320, "answered": 0.6, "referred": 0.4, "out_of_scope": 0.0,
                "error": 0.03, "classes": []},
}  # fmt: skip
EVALUATION["published"]["missing"] = {"cases": [], "patches": 0}
FITTED: dict[str, Any] = {
    "format": 2, "weights_digest": "ab", "temperature": 1.3, "point": "f1",
    "points": {"f1": {"name": "f1", "threshold": 0.31, "band": {"low": 0.2, "high": 0.8}}},
    "scope": {"threshold": 2.0, "kept": 0.99},
}  # fmt: skip
MODEL: dict[str, Any] = {
    "format": 2, "architecture": "compact", "classes": ["negative", "positive"],
    "patch_size": [50, 50], "parameters": 1943698, "recipe": "compact", "mpp": 4.0, "epochs": 12,
    "kept_epoch": 11, "train_seconds": 327.59, "machine": "cpu", "train_patches": 11853,
    "store_digest": "79041b", "weights_digest": "ab", "marks": [], "diagnoses": [],
    "split_scheme": "case",
}  # fmt: skip
ENVIRONMENT: dict[str, Any] = {
    "date": "2026-11-23", "eosin": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.14.1"},
    "machine": {"system": "Linux", "processor": "AMD EPYC", "cores": 2},
    "command": "eosin train s.store", "store": {"digest": "79041b", "layout": "idc", "patches": 9},
    "audit": {"leaking": False, "compared": {"train": 200, "test": 320}},
}  # fmt: skip
FILES = {"evaluation": EVALUATION, "model": MODEL, "fitted": FITTED, "environment": ENVIRONMENT}
#: What a model cannot be read without.
NEEDED = {("model", key) for key in ("format", "architecture", "classes", "patch_size")}
NEEDED |= {
    ("fitted", "scope", "threshold"),
    ("fitted", "points", "f1", "name"),
    ("fitted", "points", "f1", "threshold"),
}

#: Key -> words that no text may have without it.
CLAIMS: dict[tuple[str, ...], str] = {
    ("evaluation", "auroc", "low"): "lower end|0.910 to|95 % interval over",
    ("evaluation", "intervals", "level"): "95 %",
    ("evaluation", "intervals", "method"): "interval over",
    ("evaluation", "n_cases"): "found no leak|no case, copy|never saw|share no case",
    ("evaluation", "n_patches"): r"\b320 patches of",
    ("evaluation", "marks"): "never saw|share no case",
    ("evaluation", "part"): "never saw|share no case|test part of",
    ("evaluation", "split"): "never saw|share no case|split by case",
    ("evaluation", "audit", "leaking"): "found no leak|no case, copy",
    ("evaluation", "audit", "compared"): "found no leak|no case, copy",
    ("evaluation", "fitting"): "applied unchanged|chosen beforehand",
    ("evaluation", "fitting", "fitted_on"): "chosen beforehand",
    ("evaluation", "fitting", "measured_on"): "chosen beforehand",
    ("evaluation", "threshold"): "0.310|use –",
    ("evaluation", "threshold", "value"): "use –",
    ("evaluation", "threshold", "chosen_on"): r"0\.310 \([^)]*validation",
    ("evaluation", "operating_points", "0", "threshold", "chosen_on"): "chosen beforehand",
    ("evaluation", "baselines"): "best simple|base rate",
    ("evaluation", "scope"): "no check for such input|marked as out of scope",
    ("evaluation", "referral"): "never refers",
    ("evaluation", "referral", "band"): "No referral band|never refers",
    ("evaluation", "referral", "confidence"): "% confidence",
    ("evaluation", "referral", "achieved", "held"): "promise is|not decided",
    ("evaluation", "decision_curve", "sentence"): "At no threshold",
    ("evaluation", "suspects"): "No label is contradicted",
    ("evaluation", "suspects", "rows"): "No label is contradicted",
    ("evaluation", "cases"): "cases of these patches are unknown",
    ("evaluation", "confusion"): "not all numbers",
    ("evaluation", "calibration", "bins"): "groups of equal size",
    ("environment", "store"): "All cases come from one archive",
    ("environment", "store", "layout"): "All cases come from one archive",
    ("environment", "date"): "Date of the run",
    ("model", "mpp"): "4 micrometers",
    ("model", "parameters"): "0 parameters",
    ("model", "machine"): "cpu",
}


def material(files: dict[str, Any]) -> Material:
    model = files.get("model")
    return Material(
        folder=Path("run"), run=Path("run"),
        evaluation=Evaluation.model_validate(files["evaluation"]),
        model=None if model is None else ModelFacts.read(model, files.get("fitted")),
        environment=RunEnvironment.model_validate(files.get("environment", {})),
        recipe_text='name = "compact"\nseed = 3\n',
    )  # fmt: skip


def texts(files: dict[str, Any]) -> str:
    """The words of the report and of the model card; fails where a part could not be made."""
    facts = material(files)
    html = page(facts, verdict(facts.evaluation), cards.build(facts))
    assert not [problem for problem in facts.problems if "could not be made" in problem]
    card = model_card(facts)
    assert "could not be made" not in card
    words = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", html, flags=re.S)
    return re.sub(r"\s+", " ", f"{words} {card}".replace("\N{NO-BREAK SPACE}", " "))


def keys(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path and path not in NEEDED:
        yield path
    pairs = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list) and value and isinstance(value[0], dict):
        pairs = [("0", value[0])]
    for key, each in pairs:
        # A list without its first entry is a shorter list, nothing that is missing.
        yield from (found for found in keys(each, (*path, key)) if found[-1] != "0")


def without(path: tuple[str, ...]) -> dict[str, Any]:
    files = copy.deepcopy(FILES)
    inner: Any = files
    for key in path[:-1]:
        inner = inner[int(key) if isinstance(inner, list) else key]
    del inner[path[-1]]
    return files


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are tested here; a figure takes longer than all of them."""
    monkeypatch.setattr(charts, "drawn", lambda *args, **kwargs: "")


def test_every_claim_is_made_where_its_facts_are_there() -> None:
    text = texts(FILES)
    for words in ("lower end", "that training never saw", "found no leak", "share no case",
                  "chosen beforehand", "best simple baseline", "interval over cases",
                  "All cases come from one archive"):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("path", [p for p in keys(FILES) if p != ("evaluation",)], ids="-".join)
def test_nothing_is_claimed_of_what_is_missing(path: tuple[str, ...]) -> None:
    text = texts(without(path))
    for nonsense in (r"\( *\)", r"chosen on *[);,.]", r"\bNone\b", r"\bnan\b", r" ,", r"\(, ",
                     r"over\s*[.:)]"):  # fmt: skip
        assert not re.search(nonsense, text.replace(" , ", ", ")), nonsense
    if path in CLAIMS:
        seen = re.search(CLAIMS[path], text)
        assert seen is None, text[max(0, seen.start() - 150) : seen.end() + 50]


def test_the_claims_name_real_keys() -> None:
    assert set(CLAIMS) <= set(keys(FILES))


def test_a_mean_is_of_the_classes_that_occur() -> None:
    rows = [{"class": name, "n": n, "auroc": 0.9 if n else None}
            for name, n in (("a", 3), ("b", 3), ("c", 3), ("d", 0))]  # fmt: skip
    files = copy.deepcopy(FILES)
    shares = {"a": 0.4, "b": 0.3, "c": 0.3, "d": 0.0}
    files["evaluation"] |= {"classes": list("abcd"), "per_class": rows, "threshold": None,
                            "macro_auroc": interval(0.9), "prevalence": shares}  # fmt: skip
    del files["evaluation"]["auroc"]
    judged = verdict(Evaluation.model_validate(files["evaluation"]))
    assert judged.name == "AUROC, mean of 3 classes"
    assert "its mean AUROC over 3 classes" in judged.sentence
    del files["evaluation"]["per_class"]
    assert (
        "over the classes that occur"
        in verdict(Evaluation.model_validate(files["evaluation"])).sentence
    )


def test_a_torn_case_excludes_no_leak() -> None:
    for change in (
        {"intervals": {**EVALUATION["intervals"], "units": 70}},
        {"audit": {**EVALUATION["audit"], "findings": [
            {"kind": "unknown-cases", "severity": "warning", "sentence": "12 patches"}]}},
        {"audit": {**EVALUATION["audit"], "compared": {"test": 320}}},
    ):  # fmt: skip
        files = {**FILES, "evaluation": {**EVALUATION, **change}}
        text = texts(files)
        assert "found no leak" not in text
        assert "no case, copy" not in text
        assert "does not exclude leaks" in text


def test_a_threshold_that_nothing_chose_is_not_chosen_on_validation() -> None:
    files = copy.deepcopy(FILES)
    files["evaluation"]["threshold"]["chosen_on"] = "nothing"
    for point in files["evaluation"]["operating_points"]:
        point["threshold"]["chosen_on"] = "nothing"
    text = texts(files)
    assert "not chosen on any patches" in text
    assert "chosen on validation" not in text
    assert "chosen beforehand" not in text
    assert Intervals().words == "interval"
