"""What a network must beat: all baselines with intervals, the audit first, honest sentences."""

from __future__ import annotations

import numpy as np
import pytest

from eosin.errors import LeakError, SplitError
from eosin.experiments.baselines import STEPS, TITLES, best_of, figures_of, measure, to_beat
from eosin.experiments.drawing import baselines_figure
from eosin.runs import RunFolder
from eosin.splitting.split_file import Split
from eosin.splitting.splits import by_case, by_patch


@pytest.fixture(scope="module", autouse=True)
def _few_trees():
    """The trees are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eosin.evaluation.baselines.TREES", 110)
        yield


@pytest.fixture(scope="module")
def measured(made_up_store):
    said = []
    result = measure(
        made_up_store,
        by_case(made_up_store, seed=3),
        replicates=50,
        progress=lambda done, what: said.append((done, what)),
    )
    return result, said


def test_every_baseline_with_its_interval(measured, made_up_store):
    result, said = measured
    assert set(result["baselines"]) == set(TITLES)
    for row in result["baselines"].values():
        for name in figures_of(result):
            assert set(row[name]) == {"value", "low", "high"}
        assert row["threshold"]["chosen_on"] in ("validation", "training")
    base = result["baselines"]["base_rate"]["auroc"]
    assert base == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert result["baselines"]["texture"]["auroc"]["value"] > 0.6
    assert result["part"] == "test"
    assert result["store"]["digest"] == made_up_store.digest
    assert result["marks"][0].startswith("made-up data")
    assert result["n_train"] + result["n_val"] + result["n_patches"] == len(made_up_store)
    assert [done for done, _ in said] == list(range(STEPS + 1))
    assert said[0][1] == "audit"
    assert result["sentence"].startswith(f"A network must beat {TITLES[result['best']]}: AUROC ")


def test_the_same_seed_gives_the_same_figures(measured, made_up_store):
    again = measure(made_up_store, by_case(made_up_store, seed=3), replicates=50)
    for name, row in measured[0]["baselines"].items():
        same = {key: value for key, value in row.items() if key != "seconds"}
        assert {key: again["baselines"][name][key] for key in same} == same


def test_the_figure_and_the_file_hold_the_numbers(measured, tmp_path):
    result, _ = measured
    text = baselines_figure(tmp_path / "b.svg", result).read_text("utf-8")
    for row in result["baselines"].values():
        assert f"{row['auroc']['value']:.3f}" in text
    assert "made-up data" in text
    RunFolder(tmp_path).write_json("baselines.json", result)
    assert RunFolder(tmp_path).read_json("baselines.json")["best"] == result["best"]


def given(store, parts):
    """A split that puts each case where the mapping says."""
    names = tuple(sorted(set(store.cases.tolist())))
    return Split("given", store.digest, "case", np.array(parts, np.int16), names)


def test_without_a_test_part_the_figures_are_of_validation_and_say_so(made_up_store):
    split = given(made_up_store, [0] * 12 + [1] * 4)
    result = measure(made_up_store, split, replicates=20)
    assert result["part"] == "val"
    assert any("no test part" in mark for mark in result["marks"])
    assert "validation patches of 4 cases" in result["sentence"]


@pytest.mark.parametrize("parts", [[1] * 8 + [2] * 8, [0] * 16])
def test_nothing_to_fit_on_or_to_measure_is_an_error(made_up_store, parts):
    with pytest.raises(SplitError, match="the split has no"):
        measure(made_up_store, given(made_up_store, parts))


def test_a_leak_is_refused_unless_it_is_wished_or_the_scheme_is_patch(made_up_store, monkeypatch):
    monkeypatch.setattr("eosin.experiments.baselines.TITLES", {"base_rate": "base rate"})
    leaking = by_patch(made_up_store)
    assert any("leak" in mark for mark in measure(made_up_store, leaking, replicates=20)["marks"])
    other = Split("given", leaking.store_digest, "patch", leaking.codes)
    with pytest.raises(LeakError, match="--allow-leaks"):
        measure(made_up_store, other)
    allowed = measure(made_up_store, other, allow_leaks=True, replicates=20)
    assert any("leak" in mark for mark in allowed["marks"])


def row(value, low=None, high=None, title="x"):
    figure = {"value": value, "low": low, "high": high}
    return {"title": title, "auroc": figure, "average_precision": figure}


def test_sentences():
    facts = {"part": "test", "n_patches": 1200, "n_cases": 1}
    chance = {"a": row(0.6, 0.45, 0.7)}
    assert "not clearly better than chance" in to_beat(facts | {"baselines": chance}, "auroc", "a")
    clear = {"a": row(0.8, 0.7, 0.9, "texture")}
    said = to_beat(facts | {"baselines": clear}, "auroc", "a")
    assert "must beat texture: AUROC 0.800 (95 % interval 0.700 to 0.900)" in said
    assert "1,200 test patches of 1 case," in said
    assert best_of({"a": {"auroc": {"value": None}, "accuracy": {"value": None}}}) == (
        "accuracy", None
    )  # fmt: skip
    assert "nothing to compare" in to_beat(facts | {"baselines": {}}, "accuracy", None)
