"""A split of eosin keeps together what its audit would report; unknown cases exclude no verdict."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from tests.splitting.test_audit import make, pictures

from eosin.data.store import PatchStore
from eosin.errors import LeakError
from eosin.records.evaluation import Audit
from eosin.splitting import splits
from eosin.splitting.audit import audit, refuse_leak
from eosin.splitting.fingerprints import blank
from eosin.splitting.near import turned
from eosin.splitting.seen import Seen
from eosin.splitting.split_file import read_split, write_split


def copied(path: Path, *, known: bool = False) -> PatchStore:
    """60 pictures; of a third a copy: equal, turned, brighter, or a near copy of a near copy."""
    originals = pictures(60, seed=4)
    copies = [originals[k] for k in range(5)]
    copies += [turned(originals[k], k % 8) for k in range(5, 10)]
    bright = np.clip(originals[10:20].astype(int) + 6, 0, 255).astype(np.uint8)
    copies += [*bright, *[turned(picture, 3) for picture in bright]]
    patches = np.stack([*originals, *copies])
    cases = [f"c{k % 20}" for k in range(60)]
    cases += [f"d{k // 4}" for k in range(20)] + [f"c{k}" for k in range(10, 20)]
    rows = [{"label": k % 2, "case": case * known} for k, case in enumerate(cases)]
    return make(path, patches, rows, ["train"] * len(patches))[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_own_splits_do_not_tear_copies(tmp_path: Path, seed: int) -> None:
    store = copied(tmp_path)
    result = audit(store, splits.by_case(store, seed=seed))
    assert (result.leaking, result.verdict) == (False, "unknown")
    assert audit(store, splits.by_patch(store, seed=seed)).verdict == "leak"
    folds = splits.by_folds(store, k=3, seed=seed)
    assert not any(audit(store, folds, fold=fold).leaking for fold in range(3))


def test_groups_are_the_connected_components(tmp_path: Path) -> None:
    groups = splits.groups_of(copied(tmp_path))
    assert len(np.unique(groups)) == 60
    np.testing.assert_array_equal(groups[:20], groups[60:80])
    np.testing.assert_array_equal(groups[10:20], groups[80:90])


def test_cases_that_share_a_picture_stay_together(tmp_path: Path) -> None:
    store = copied(tmp_path, known=True)
    split = splits.by_case(store, fractions=(0.5, 0.25, 0.25))
    assert audit(store, split).verdict == "none"
    assert split.unit == "case"


def test_a_given_split_gets_a_validation_part_without_tearing(tmp_path: Path) -> None:
    store = copied(tmp_path)
    index = store.index.with_columns(part=pl.Series(["train"] * len(store)))
    object.__setattr__(store, "index", index)
    parts = splits.by_given(store)
    assert not audit(store, parts).leaking


def test_the_verdict_of_a_record_is_that_of_the_audit(tmp_path: Path) -> None:
    store = copied(tmp_path)
    for split in (splits.by_case(store), splits.by_patch(store)):
        result = audit(store, split)
        assert Audit.model_validate(result.to_dict()).verdict == result.verdict
    assert Audit().verdict == "none"


def test_the_refusal_of_a_leak_has_commands_that_run(tmp_path: Path) -> None:
    store = copied(tmp_path)
    split = splits.by_patch(store)
    path = tmp_path / "own split.csv"
    object.__setattr__(split, "scheme", "file")
    write_split(split, path)
    split = read_split(path)
    result = audit(store, split)
    with pytest.raises(LeakError, match="--by case") as refused:
        refuse_leak(result, store, split, fold=None, allow_leaks=False)
    assert f"eosin audit {store.path} '{path}'" in str(refused.value)
    refuse_leak(result, store, split, fold=None, allow_leaks=True)


def test_blank_patches_are_no_evidence_of_having_been_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(240 + rng.normal(0, 3, (32, 32, 3)), 0, 255)
    slope = np.repeat(np.linspace(200, 250, 32)[:, None, None], 32, 1).repeat(3, 2)
    tissue = pictures(1, seed=8)[0]
    patches = np.stack([np.full((32, 32, 3), 243), noisy, slope, tissue]).astype(np.uint8)
    store, _ = make(tmp_path, patches, [{"label": 0, "case": ""}] * 4, ["test"] * 4)
    assert blank(store, np.arange(4)).tolist() == [True, True, True, False]
    seen = Seen.of_store(store, {"train": np.arange(4), "val": np.zeros(0, np.int64)})
    overlap = seen.overlap(store)
    assert (overlap.patches, overlap.rows.tolist()) == (1, [False, False, False, True])
    named = SimpleNamespace(cases=np.array(["a"]), path=tmp_path, index=store.index[:1])
    assert Seen.of_cases({"train": ["a"]}).overlap(named).rows.all()
