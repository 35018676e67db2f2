"""A search sees training and validation rows only, and goes on with the same store and no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import EosinError, RecipeError, SplitError, UserError
from eosin.search.plan import Search, check_metric, without_test
from eosin.splitting.split_file import Split, read_split, write_split
from eosin.splitting.splits import by_case, by_folds, by_patch
from eosin.studies.plan import PLAN
from eosin.studies.study import StudyResult


@pytest.mark.parametrize("scheme", ["case", "patch", "folds"])
def test_test_rows_are_left_out_and_the_others_stay(
    made_up_store: PatchStore, tmp_path: Path, scheme: str
) -> None:
    makers = {"case": by_case, "patch": by_patch, "folds": lambda store: by_folds(store, k=4)}
    split: Split = makers[scheme](made_up_store)
    fold = 3 if scheme == "folds" else None
    parts = split.parts(made_up_store, fold)
    reduced = without_test(split, made_up_store, fold=fold)
    write_split(reduced, tmp_path / "split.csv")
    for each in (reduced, read_split(tmp_path / "split.csv")):
        left = each.parts(made_up_store)
        assert len(parts["test"])
        assert len(left["test"]) == 0
        np.testing.assert_array_equal(left["train"], parts["train"])
        np.testing.assert_array_equal(left["val"], parts["val"])
        assert each.leaking == split.leaking
        assert each.marks == split.marks


@pytest.mark.parametrize("scheme", ["case", "patch"])
def test_a_share_keeps_whole_cases_of_training_only(made_up_store: PatchStore, scheme: str) -> None:
    split = by_case(made_up_store) if scheme == "case" else by_patch(made_up_store)
    whole = split.parts(made_up_store)
    part = without_test(split, made_up_store, share=0.5, seed=1).parts(made_up_store)
    np.testing.assert_array_equal(part["val"], whole["val"])
    assert set(part["train"]) < set(whole["train"])
    assert 0.3 < len(part["train"]) / len(whole["train"]) < 0.7
    kept, gone = part["train"], np.setdiff1d(whole["train"], part["train"])
    assert not set(made_up_store.cases[kept]) & set(made_up_store.cases[gone])


def test_a_metric_that_validation_cannot_give_is_refused(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    split = by_case(made_up_store)
    with pytest.raises(UserError, match="did you mean val_auroc"):
        check_metric("val_auc", made_up_store, split)
    none = by_case(made_up_store, fractions=(0.7, 0.0, 0.3))
    with pytest.raises(SplitError, match="no validation patches"):
        check_metric("val_auroc", made_up_store, none)
    with StoreWriter(tmp_path / "s", classes=["a", "b", "c"], patch_size=(4, 4)) as writer:
        patches = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 3)).astype(np.uint8)
        writer.append(patches, [{"label": n % 2, "case": f"c{n}"} for n in range(6)])
    three = PatchStore.open(tmp_path / "s")
    codes = np.array([0, 0, 0, 0, 1, 1], np.int16)
    by_hand = Split("file", three.digest, "case", codes, tuple(f"c{n}" for n in range(6)))
    with pytest.raises(UserError, match="for two classes"):
        check_metric("val_average_precision", three, by_hand)
    with pytest.raises(SplitError, match="no patch of class c"):
        check_metric("val_auroc", three, by_hand)
    check_metric("val_loss", three, by_hand)


def test_it_goes_on_with_the_same_store_only(
    found: StudyResult, made_up_store: PatchStore, tmp_path: Path
) -> None:
    folder = tmp_path / "search"
    shutil.copytree(found.folder, folder)
    other = tmp_path / "other.store"
    with StoreWriter(other, classes=["negative", "positive"], patch_size=(50, 50)) as writer:
        writer.append(
            np.zeros((2, 50, 50, 3), np.uint8), [{"label": n, "case": f"{n}"} for n in (0, 1)]
        )
    with pytest.raises(UserError, match="cannot be compared"):
        Search.reopen(folder, other, again="")
    moved = tmp_path / "moved.store"
    shutil.copytree(made_up_store.path, moved)
    search = Search.reopen(folder, moved, again="")
    assert search.plan.store["path"] == str(moved)
    assert search.study.store.digest == made_up_store.digest
    data = json.loads((folder / PLAN).read_text())
    data["store"]["path"] = str(tmp_path / "gone.store")
    (folder / PLAN).write_text(json.dumps(data))
    with pytest.raises(UserError, match="does not exist anymore"):
        Search.reopen(folder, again="")


def test_a_split_with_test_rows_put_back_is_refused(
    found: StudyResult, made_up_store: PatchStore, tmp_path: Path
) -> None:
    folder = tmp_path / "search"
    shutil.copytree(found.folder, folder)
    write_split(by_case(made_up_store), folder / "split.csv")
    with pytest.raises(SplitError, match="must not see"):
        Search.reopen(folder, again="")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"study": "crossval"}, "kind 'crossval'"),
        ({"format": 99}, "format 99"),
        ({"settings": {"seed": None}}, "damaged"),
        ({"settings": {"space": {}}}, "nothing to search"),
        ({"recipe": {"epoch": 1}}, "did you mean epochs"),
    ],
)
def test_a_damaged_plan_is_one_sentence(
    found: StudyResult, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = tmp_path / "search"
    folder.mkdir()
    data = json.loads((found.folder / PLAN).read_text())
    change = {k: {**data[k], **v} if isinstance(v, dict) else v for k, v in change.items()}
    (folder / PLAN).write_text(json.dumps({**data, **change}))
    with pytest.raises(EosinError) as error:
        Search.reopen(folder, again="")
    assert said in str(error.value)
    assert isinstance(error.value, UserError | RecipeError)


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the folder of a search"):
        Search.reopen(tmp_path, again="")
