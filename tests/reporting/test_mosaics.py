"""Mosaics: the right cases, with figures that agree with the table, for any table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eosin.data.store import PatchStore, StoreWriter
from eosin.figures import panels
from eosin.reporting import mosaics
from eosin.reporting.mosaics import case_mosaics, case_views, choose, contiguity

SIDE = 8


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller panels: most tests are about words, and pixels cost time."""
    monkeypatch.setattr(panels, "PANEL_PX", 130)


def make(
    path: Path, cases: dict[str, int], *, classes: int = 2, gap: int = 1, **row: Any
) -> PatchStore:
    """Cases on square grids of so many patches a side, the class changing along the lines."""
    rng = np.random.default_rng(0)
    rows = [
        {"label": (x * classes) // side, "case": case, "x": 1 + SIDE * gap * x,
         "y": 1 + SIDE * gap * y, **row}
        for case, side in cases.items() for y in range(side) for x in range(side)
    ]  # fmt: skip
    patches = rng.integers(120, 256, (len(rows), SIDE, SIDE, 3)).astype(np.uint8)
    with StoreWriter(
        path / "s.store", classes=[f"k{k}" for k in range(classes)], patch_size=(SIDE, SIDE),
        mpp=4.0,
    ) as writer:  # fmt: skip
        writer.append(patches, rows)
    return PatchStore.open(path / "s.store")


def table(store: PatchStore, wrong: dict[str, int] | None = None, rows: Any = None) -> pl.DataFrame:
    """Predictions that are right but for the first so many patches of a case."""
    rows = np.arange(len(store)) if rows is None else np.asarray(rows)
    truth = store.labels[rows]
    called = truth.copy()
    for case, count in (wrong or {}).items():
        mine = np.flatnonzero(store.cases[rows] == case)[:count]
        called[mine] = (called[mine] + 1) % len(store.classes)
    values = np.full((len(rows), len(store.classes)), 0.1 / len(store.classes))
    values[np.arange(len(rows)), called] += 0.9
    return pl.DataFrame(
        {
            "patch": rows,
            "label": truth,
            **{
                f"p_{name}": values[:, k].astype(np.float32) for k, name in enumerate(store.classes)
            },
            "decision": [store.classes[k] for k in called],
        }
    )


def test_best_median_and_worst(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 6, "b": 6, "c": 6, "d": 6, "e": 6})
    found = case_mosaics(store, table(store, {"a": 5, "b": 30, "c": 10, "d": 3}), threshold=0.25)
    assert [each.title.partition(":")[0] for each in found.items] == ["Case e", "Case a", "Case b"]
    words = [each.title.partition(": ")[2].partition(" of ")[0] for each in found.items]
    assert words == ["best", "median", "worst"]
    best, worst = found.items[0], found.items[-1]
    assert "36 patches, 18 labeled k1 (50.0 %). AUROC 1.000" in best.caption
    assert "15 k0 patches called k1, 15 k1 missed at threshold 0.250" in worst.caption
    assert worst.caption in worst.alt
    assert found.note == ""
    assert best.width_px == 2 * 130 + 40
    assert best.data_uri.startswith("data:image/")


def test_referred_and_out_of_scope_are_counted_and_no_errors(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 6})
    given = table(store, {"a": 4})
    words = given["decision"].to_list()
    words[0], words[1], words[2] = "refer", "refer", "out of scope"
    (view,), _ = case_views(store, given.with_columns(decision=pl.Series(words)))
    assert (view.calls < 0).sum() == 3
    (one,) = case_mosaics(store, given.with_columns(decision=pl.Series(words))).items
    assert (
        "0 k0 patches called k1, 1 k1 missed among the patches that were answered, 2 referred, "
        "1 out of scope." in one.caption
    )


def test_a_sample_of_a_case_says_so(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 20})
    rows = np.sort(np.random.default_rng(0).permutation(400)[:60])
    with StoreWriter(
        tmp_path / "few.store", classes=store.classes, patch_size=(SIDE, SIDE)
    ) as writer:
        writer.append(np.asarray(store.patches[rows]), store.index[rows].to_dicts())
    few = PatchStore.open(tmp_path / "few.store")
    found = case_mosaics(few, table(few))
    assert "No case of the measured part is complete" in found.note
    assert "60 patches, a sample of the case" in found.items[0].caption


def test_a_case_of_which_only_a_part_was_measured(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 8})
    found = case_mosaics(store, table(store, rows=np.arange(0, 64, 2)))
    assert "32 measured of 64 patches" in found.items[0].caption
    assert "No case" in found.note


def test_the_archive_knows_how_large_its_cases_are(tmp_path: Path) -> None:
    store = make(tmp_path, {"8865": 6})
    store.info["layout"] = "idc"
    found = case_mosaics(store, table(store))
    assert "36 of the 712 patches of this case" in found.items[0].caption


@pytest.mark.parametrize("classes", [1, 3, 11])
def test_any_number_of_classes(tmp_path: Path, classes: int) -> None:
    store = make(tmp_path, {"a": 12, "b": 12, "c": 12, "d": 12}, classes=classes)
    found = case_mosaics(store, table(store, {"a": 7}))
    assert len(found.items) == 3
    assert "Accuracy" in found.items[0].caption
    assert "called a wrong class" in found.items[0].caption


def test_one_label_only_and_scores_that_are_no_numbers(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 6, "b": 6})
    given = table(store).with_columns(p_k0=pl.lit(float("nan")), p_k1=pl.lit(float("nan")))
    found = case_mosaics(store, given)
    assert len(found.items) == 2
    assert "AUROC not defined" in found.items[0].caption
    store = make(tmp_path / "one", {"a": 8})
    negative = np.flatnonzero(store.labels == 0)
    found = case_mosaics(store, table(store, rows=negative))
    assert "AUROC not defined" in found.items[0].caption


def test_positions_unknown(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 6}, x=None, y=None)
    found = case_mosaics(store, table(store))
    assert found.items == []
    assert "positions of the patches are unknown" in found.note


@pytest.mark.parametrize("cases", [{"a": 2}, {"": 9}])
def test_too_few_patches_or_unknown_cases(tmp_path: Path, cases: dict[str, int]) -> None:
    store = make(tmp_path, cases)
    found = case_mosaics(store, table(store))
    assert found.items == []
    assert found.note.startswith("No case has 20 patches")


def test_no_predictions_and_wrong_ones(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 6})
    assert case_mosaics(store, table(store)[:0]).note == "There are no predictions to draw."
    with pytest.raises(ValueError, match="the store has 36"):
        case_mosaics(store, table(store).with_columns(patch=pl.lit(36)))
    with pytest.raises(ValueError, match="p_k1"):
        case_mosaics(store, table(store).drop("p_k1"))


def test_slides_of_one_case_are_drawn_apart(tmp_path: Path) -> None:
    store = make(tmp_path, {"a": 6})
    slides = ["s1"] * 36 + ["s2"] * 36
    with StoreWriter(
        tmp_path / "two.store", classes=store.classes, patch_size=(SIDE, SIDE)
    ) as writer:
        rows = [{**row, "slide": slide} for row, slide in
                zip(store.index.to_dicts() * 2, slides, strict=True)]  # fmt: skip
        writer.append(np.concatenate([store.patches, 255 - store.patches]), rows)
    two = PatchStore.open(tmp_path / "two.store")
    found = case_mosaics(two, table(two))
    assert sorted(each.title for each in found.items) == ["Case a, slide s1", "Case a, slide s2"]


def test_hostile_names_are_drawn(tmp_path: Path) -> None:
    store = make(tmp_path, {"<b>\n|浸潤" + "x" * 300: 6})
    (one,) = case_mosaics(store, table(store)).items
    assert "\n" not in one.title
    assert len(one.title) < 60


def test_contiguity_is_the_share_of_a_random_sample() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(100) * 50, np.arange(100) * 50))
    keep = np.random.default_rng(0).random(len(x)) < 0.2
    assert contiguity(x[keep], y[keep]) == pytest.approx(0.2, abs=0.02)
    assert contiguity(x, y) == pytest.approx(0.99)
    assert contiguity(x[:1], y[:1]) == 0


def test_many_and_huge_cases_stay_under_the_budget(tmp_path: Path) -> None:
    store = make(tmp_path, {f"c{k}": 20 for k in range(5)})
    found = case_mosaics(store, table(store), most=4, budget_bytes=40_000)
    assert len(found.items) == 4
    assert sum(len(each.data_uri) for each in found.items) <= 40_000


def test_choosing_takes_no_case_twice(tmp_path: Path) -> None:
    store = make(tmp_path, dict.fromkeys("abcdefg", 5))
    views, _ = case_views(store, table(store))
    for most in range(1, 9):
        chosen, _ = choose(store, views, most)
        names = [view.name for view, _ in chosen]
        assert len(set(names)) == len(names) == min(most, 7)


def test_made_up_data_are_named(made_up_store: PatchStore) -> None:
    found = case_mosaics(made_up_store, table(made_up_store))
    assert found.items
    assert found.note.startswith("Made-up data")


def test_the_two_errors_are_apart_in_gray_as_well() -> None:
    def gray(color: str) -> float:
        return float(np.dot([int(color[k : k + 2], 16) for k in (1, 3, 5)], [0.3, 0.59, 0.11]))

    assert abs(gray(mosaics.FALSE_POSITIVE) - gray(mosaics.MISSED)) > 100
