"""Seen cases and patches are recognized by name, by digest and by pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eosin.data.store import PatchStore
from eosin.errors import RunError
from eosin.splitting.seen import Seen, case_digest


@pytest.fixture
def parts(made_up_store: PatchStore) -> dict[str, np.ndarray]:
    """Whole cases: the first for training, the second for validation, the others for test."""
    names = sorted(set(made_up_store.cases.tolist()))
    return {
        "train": np.flatnonzero(made_up_store.cases == names[0]),
        "val": np.flatnonzero(made_up_store.cases == names[1]),
        "test": np.flatnonzero(~np.isin(made_up_store.cases, names[:2])),
    }


def test_a_case_is_recognized_by_name_and_by_digest(
    made_up_store: PatchStore, parts: dict[str, np.ndarray], tmp_path: Path
) -> None:
    seen = Seen.of_store(made_up_store, parts)
    names = sorted(set(made_up_store.cases.tolist()))[:2]
    others = seen.for_others(made_up_store.digest)
    others.write(tmp_path / "seen.parquet")
    text = (tmp_path / "seen.parquet").read_bytes()
    assert not any(name.encode() in text for name in names)
    for each in (seen, others, Seen.read(tmp_path / "seen.parquet")):
        shared = each.overlap(made_up_store)
        assert list(shared.cases) == names
        assert shared.patches == len(parts["train"]) + len(parts["val"])
        assert np.array_equal(np.flatnonzero(~shared.rows), parts["test"])
        assert not each.overlap(made_up_store, parts["test"])
        assert list(each.only("train").overlap(made_up_store).cases) == names[:1]


def test_digests_of_cases_alone_are_enough(
    made_up_store: PatchStore, parts: dict[str, np.ndarray]
) -> None:
    cases = Seen.of_store(made_up_store, parts).for_others("a key").cases_by_part()
    seen = Seen.of_cases(cases, "a key")
    assert seen.overlap(made_up_store).cases == tuple(sorted(set(made_up_store.cases.tolist()))[:2])
    assert not Seen.of_cases(cases, "another key").overlap(made_up_store)


def test_files_of_earlier_versions_are_read(made_up_store: PatchStore, tmp_path: Path) -> None:
    index = made_up_store.index.select("case", "digest")[:3]
    for columns in ({}, {"part": pl.lit("val")}):
        index.with_columns(**columns).write_parquet(tmp_path / "seen.parquet")
        seen = Seen.read(tmp_path / "seen.parquet")
        assert len(seen.only("val" if columns else "train")) == 3
        assert seen.overlap(made_up_store).patches == 3
    (tmp_path / "seen.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(RunError, match="cannot be read"):
        Seen.read(tmp_path / "seen.parquet")


def test_measuring_on_seen_patches_is_refused_or_marked(
    made_up_store: PatchStore, parts: dict[str, np.ndarray]
) -> None:
    seen = Seen.of_store(made_up_store, parts)
    assert seen.check(made_up_store, parts["test"]) == []
    with pytest.raises(RunError, match=r"were seen in training.*--allow-seen"):
        seen.check(made_up_store)
    (mark,) = seen.check(made_up_store, allow_seen=True)
    assert mark.kind == "seen"
    assert mark.sentence == f"seen in training: 2 cases and 40 patches of {made_up_store.path.name}"


def test_a_case_without_a_name_is_not_a_case() -> None:
    assert case_digest("", "key") == ""
    assert Seen.of_cases({"train": [""]}).cases_by_part() == {"train": (), "val": ()}


def test_whether_all_seen_cases_are_among_some_is_known_only_where_the_cases_are() -> None:
    seen = Seen.of_cases({"train": ["a"], "val": ["b"]})
    for each in (seen, seen.for_others("0f")):
        assert each.kinds == ["cases"]
        assert each.all_among("abc") is True
        assert each.all_among("a") is False
        assert each.only("train").all_among("a") is True
    assert Seen.of_cases({"train": ["a", ""]}).all_among("abc") is None
    assert Seen.of_cases({}).all_among("abc") is None
