"""The data card: every number counted, the owner's words kept apart, hostile names harmless."""

from __future__ import annotations

import numpy as np
import pytest

from eosin.data.published import published_cases
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import UserError
from eosin.experiments.datasheet import (
    QUESTIONS,
    card_facts,
    checked_statements,
    read_statements,
)
from eosin.reporting.datasheet import data_card, limits
from eosin.splitting.splits import by_case, by_folds


def stored(path, cases, *, classes=("negative", "positive"), mpp=None, **info) -> PatchStore:
    """A store with, for each case, a list of labels."""
    rows = [
        {"label": label, "case": case, "source": f"{case}-{k}"}
        for case, labels in cases.items()
        for k, label in enumerate(labels)
    ]
    rng = np.random.default_rng(0)
    with StoreWriter(path, classes=list(classes), patch_size=(8, 6), mpp=mpp, info=info) as writer:
        writer.append(rng.integers(0, 256, (len(rows), 8, 6, 3), dtype=np.uint8), rows)
    return PatchStore.open(path)


def test_what_is_counted(tmp_path):
    store = stored(
        tmp_path / "s", {"1": [0, 0, 1], "2": [0] * 12, "9": [1, 1]}, mpp=0.5, layout="folders",
        source="lab.zip", duplicates=2, conflicts={"count": 1}, rejects_count=3,
        reject_reasons={"truncated": 3}, nested_copies=4,
    )  # fmt: skip
    facts = card_facts(store, {})
    assert facts["patches"] == 17
    assert facts["patch_px"] == [6, 8]
    assert facts["patch_um"] == [3.0, 4.0]
    assert facts["classes"] == [
        {"class": "negative", "patches": 14, "share": 14 / 17, "cases": 2},
        {"class": "positive", "patches": 3, "share": 3 / 17, "cases": 2},
    ]
    cases = facts["cases"]
    assert cases["count"] == 3
    assert [cases["patches"][k] for k in (0, 3, 6)] == [2, 3, 12]
    assert cases["small"] == {"below": 10, "count": 2, "names": ["9", "1"]}
    assert cases["without"] == {"negative": 1, "positive": 1}
    assert cases["consecutive_numbers"] == 1
    assert facts["archive"] is None
    assert facts["missing"] == list(QUESTIONS)
    text = data_card(facts)
    for said in (
        "Packed from lab.zip, layout folders", "median 3, from 2 to 12", "of these: truncated",
        "fewer than",
        "TO BE ANSWERED BY YOU", "Research and education only, not for diagnosis", store.digest,
        "1 picture with two labels", "Only 3 cases: figures say little",
    ):  # fmt: skip
        assert said in text, said
    assert "invasive ductal carcinoma" not in text


def test_the_public_archive_is_known_by_layout_and_cases(tmp_path):
    listed = [case for case in published_cases() if case.n_negative is not None]
    whole = min(listed, key=lambda case: case.n_negative + case.n_positive)
    cases = {
        whole.case: [0] * whole.n_negative + [1] * whole.n_positive,
        next(each.case for each in listed if each.case != whole.case): [0, 1],
    }
    facts = card_facts(stored(tmp_path / "a", cases, layout="idc"), {})
    assert facts["archive"]["cases"] == 2
    assert facts["archive"]["complete_cases"] == 1
    assert (facts["archive"]["of_cases"], facts["archive"]["of_patches"]) == (279, 277_524)
    assert facts["statements"]["license"]["by"] == "published"
    assert "consent" in facts["missing"]
    text = data_card(facts)
    assert "Cruz-Roa et al. 2014" in text
    assert "Other findings than invasive ductal carcinoma" in text
    said = data_card(card_facts(stored(tmp_path / "o", cases, layout="idc"), {"license": "Ours"}))
    assert "Ours. (Stated by the owner.)" in said
    assert "CC0" not in said
    for number, (more, layout) in enumerate(
        [({"not-of-it": [0]}, "idc"), ({}, "folders"), ({}, "idc")]
    ):
        store = stored(tmp_path / f"b{number}", cases | more, layout=layout, made_up=number == 2)
        assert card_facts(store, {})["archive"] is None


def test_made_up_data_say_so(made_up_store):
    text = data_card(card_facts(made_up_store, {}))
    assert "Made up by a program" in text
    assert "Sorting patches" not in text


def test_a_split_is_searched(made_up_store):
    facts = card_facts(made_up_store, {}, split=by_case(made_up_store), split_name="s.split.csv")
    assert sum(part["patches"] for part in facts["split"]["parts"]) == len(made_up_store)
    assert "The split s.split.csv (scheme case) was searched" in data_card(facts)
    folds = card_facts(made_up_store, {}, split=by_folds(made_up_store, k=4), split_name="f")
    assert "4 folds, the first as test" in data_card(folds)


def test_unknown_cases_and_an_empty_store(tmp_path):
    facts = card_facts(stored(tmp_path / "s", {"": [0, 1, 1]}), {})
    assert facts["cases"]["count"] == 0
    assert "no split of it can promise" in data_card(facts)
    assert limits(facts)[0].startswith("Cases are unknown")
    with StoreWriter(tmp_path / "e", classes=["a", "b"], patch_size=(4, 4)) as writer:
        del writer
    text = data_card(card_facts(PatchStore.open(tmp_path / "e"), {}))
    assert "0 patches" in text


def test_many_classes(tmp_path):
    store = stored(tmp_path / "s", {"p": [0, 1, 2] * 9, "q": [2] * 4}, classes=("x", "y", "z"))
    assert "its most common class" in data_card(card_facts(store, {}))


def test_hostile_names_break_nothing(tmp_path):
    evil = "<script>|# x\n\n# y"
    store = stored(
        tmp_path / "s", {evil: [0, 1]}, classes=("a|b", "<b>"), source="[x](y)", notes=["# head"]
    )
    text = data_card(card_facts(store, {"origin": "a | b\n# c", "contact": "<img src=x>"}))
    assert "<script>" not in text
    assert "<img" not in text
    assert "<b>" not in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# Data card: s"]


def test_statements_come_from_toml(tmp_path):
    path = tmp_path / "s.card.toml"
    path.write_text('origin = "Lab  A"\nconsent = ""\n', "utf-8")
    assert read_statements(path) == {"origin": "Lab A"}
    for text, said in (
        ("orgin = 'x'", "did you mean origin"), ("origin = 3", "origin must be text, not int"),
        ("origin", "cannot be read as TOML"),
    ):  # fmt: skip
        path.write_text(text, "utf-8")
        with pytest.raises(UserError, match=said):
            read_statements(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="cannot be read"):
        read_statements(path)
    with pytest.raises(UserError, match="no such file"):
        read_statements(tmp_path / "nowhere.toml")
    assert checked_statements({}, "options") == {}
