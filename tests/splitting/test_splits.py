"""Splits: disjoint, complete, by whole cases, balanced, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eosin.data.published import published_parts
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import SplitError
from eosin.splitting import split_summary, splits
from eosin.splitting.balance import balanced
from eosin.splitting.split_file import Split
from eosin.splitting.splits import PATCH_RANDOM, UNKNOWN_CASES


def make_store(
    path: Path, rows: Sequence[dict[str, Any]], classes: Sequence[str] = ("negative", "positive")
) -> PatchStore:
    patches = np.zeros((len(rows), 2, 2, 3), np.uint8)
    patches[:, 0, 0, 0] = np.arange(len(rows)) % 256
    patches[:, 0, 0, 1] = np.arange(len(rows)) // 256
    with StoreWriter(path, classes=list(classes), patch_size=(2, 2), replace=True) as writer:
        writer.append(patches, rows)
    return PatchStore.open(path)


def cases_of(sizes: Sequence[tuple[int, ...]]) -> list[dict[str, Any]]:
    """Rows for cases that have so many patches of every class."""
    return [
        {"label": label, "case": f"c{number}"}
        for number, size in enumerate(sizes)
        for label, count in enumerate(size)
        for _ in range(count)
    ]


@pytest.fixture
def store(tmp_path: Path) -> PatchStore:
    rng = np.random.default_rng(5)
    sizes = [(int(rng.integers(3, 60)), int(rng.integers(0, 30))) for _ in range(40)]
    return make_store(tmp_path / "s.store", cases_of(sizes))


def check(split: Split, store: PatchStore, fold: int | None = None) -> dict[str, np.ndarray]:
    """Disjoint, ascending, and complete but for what is left out."""
    parts = split.parts(store, fold)
    assert list(parts) == ["train", "val", "test"]
    joined = np.concatenate(list(parts.values()))
    assert len(np.unique(joined)) == len(joined)
    assert len(joined) + (split.patch_codes(store) < 0).sum() == len(store)
    for rows in parts.values():
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
    return parts


def case_sets(parts: dict[str, np.ndarray], store: PatchStore) -> list[set[str]]:
    return [set(store.cases[rows].tolist()) for rows in parts.values()]


def disjoint(sets: list[set[str]]) -> bool:
    return sum(map(len, sets)) == len(set().union(*sets))


@given(
    sizes=st.lists(st.tuples(*[st.integers(0, 9)] * 3).filter(any), min_size=3, max_size=12),
    seed=st.integers(0, 2**32 - 1),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_by_case_holds_for_any_store(
    tmp_path: Path, sizes: list[tuple[int, ...]], seed: int
) -> None:
    store = make_store(tmp_path / "any.store", cases_of(sizes), ["a", "b", "c"])
    split = splits.by_case(store, seed=seed)
    parts = check(split, store)
    assert disjoint(case_sets(parts, store))
    assert all(len(rows) for rows in parts.values())
    assert not split.leaking
    assert (split.codes == splits.by_case(store, seed=seed).codes).all()


def test_by_case_is_close_to_the_shares_in_every_class(store: PatchStore) -> None:
    parts = check(splits.by_case(store), store)
    for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        for label in (0, 1):
            found = (store.labels[parts[name]] == label).sum() / (store.labels == label).sum()
            assert found == pytest.approx(share, abs=0.02)


def test_seeds_differ(store: PatchStore) -> None:
    one, two = splits.by_case(store, seed=1), splits.by_case(store, seed=2)
    assert (one.codes != two.codes).any()


def test_fractions(store: PatchStore) -> None:
    split = splits.by_case(store, fractions=splits.parse_fractions("80/20/0"))
    parts = check(split, store)
    assert len(parts["test"]) == 0
    assert len(parts["train"]) / len(store) == pytest.approx(0.8, abs=0.02)
    assert split.headers["fractions"] == "80/20/0"


@pytest.mark.parametrize("text", ["60/20", "0/50/50", "60/20/30", "a/b/c", "-10/60/50", "nan/1/0"])
def test_bad_fractions(text: str) -> None:
    with pytest.raises(SplitError, match="three shares"):
        splits.parse_fractions(text)


def test_too_few_cases(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.store", cases_of([(3, 3), (4, 4)]))
    with pytest.raises(SplitError, match="2 cases cannot be shared out to 3 parts"):
        splits.by_case(store)


def test_a_class_of_one_case_is_missing_somewhere(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.store", cases_of([(5, 5), (5, 0), (5, 0), (5, 0)]))
    sentences = split_summary.missing_classes(splits.by_case(store), store)
    assert len(sentences) == 2
    assert all("no patch of class positive" in sentence for sentence in sentences)


def test_unknown_cases_fall_back_to_the_patch_and_are_marked(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.store", [{"label": n % 2} for n in range(100)])
    split = splits.by_case(store)
    assert split.unit == "patch"
    assert split.marks == (UNKNOWN_CASES,)
    assert [len(rows) for rows in check(split, store).values()] == [60, 20, 20]


def test_unknown_cases_fall_back_to_the_slide_first(tmp_path: Path) -> None:
    rows = [{"label": n % 2, "slide": f"s{n // 10}"} for n in range(100)]
    store = make_store(tmp_path / "s.store", rows)
    split = splits.by_case(store)
    slides = np.array(store.index["slide"].to_list())
    sets = [set(slides[rows].tolist()) for rows in check(split, store).values()]
    assert disjoint(sets)
    assert split.marks == (UNKNOWN_CASES,)


def test_many_single_patches_are_shared_out_by_class(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.store", [{"label": n % 3 == 0} for n in range(6000)])
    parts = check(splits.by_case(store), store)
    assert [len(rows) for rows in parts.values()] == [3600, 1200, 1200]
    assert [int(store.labels[rows].sum()) for rows in parts.values()] == [1200, 400, 400]


def test_folds_cover_every_case_once(store: PatchStore) -> None:
    split = splits.by_folds(store, k=5)
    tested = []
    for fold in range(5):
        parts = check(split, store, fold)
        assert disjoint(case_sets(parts, store))
        assert (parts["val"] == split.parts(store, (fold + 1) % 5)["test"]).all()
        tested.append(parts["test"])
    assert sorted(np.concatenate(tested).tolist()) == list(range(len(store)))
    sizes = [len(rows) for rows in tested]
    assert max(sizes) - min(sizes) < 0.05 * len(store)


def test_folds_need_a_fold_and_others_refuse_one(store: PatchStore) -> None:
    split = splits.by_folds(store, k=4)
    with pytest.raises(SplitError, match=r"--fold 0\.\.3"):
        split.parts(store)
    with pytest.raises(SplitError, match="fold 4 does not exist"):
        split.parts(store, 4)
    with pytest.raises(SplitError, match="has none"):
        splits.by_case(store).parts(store, 0)
    with pytest.raises(SplitError, match="at least 3"):
        splits.by_folds(store, k=2)


def test_published(tmp_path: Path) -> None:
    rows = [
        {"label": n % 2, "case": case}
        for n in range(4)
        for case in ("8863", "8864", "8865", "8867")
    ]
    store = make_store(tmp_path / "s.store", rows)
    split = splits.by_published(store)
    parts = check(split, store)
    assert case_sets(parts, store) == [{"8865"}, {"8867"}, {"8864"}]
    assert split.marks == ()
    assert any("159 of 162 listed cases are not in the store" in note for note in split.notes)
    assert any("1 case is in no list and is left out: 8863" in note for note in split.notes)
    unlisted = splits.by_published(store, unlisted="train")
    assert case_sets(check(unlisted, store), store)[0] == {"8863", "8865"}
    assert "no published list" in unlisted.marks[0]
    with pytest.raises(SplitError, match="'out' or 'train'"):
        splits.by_published(store, unlisted="test")


def test_published_needs_a_listed_case(store: PatchStore) -> None:
    with pytest.raises(SplitError, match="none of the 40 cases"):
        splits.by_published(store)


def test_published_lists_are_what_the_papers_count() -> None:
    lists = published_parts()
    assert lists["9024"] == lists["8915"] == "train"
    assert "8863" not in lists


def test_patch_random_is_the_articles_draw_and_marked(store: PatchStore) -> None:
    from sklearn.model_selection import train_test_split

    n = len(store)
    split = splits.by_patch(store)
    parts = check(split, store)
    _, test = train_test_split(np.arange(n), test_size=int(0.25 * n), random_state=42)
    assert parts["test"].tolist() == sorted(test.tolist())
    assert len(parts["val"]) == int(0.2 * (n - len(test)))
    assert split.leaking
    assert split.marks == (PATCH_RANDOM,)


def test_given_parts(tmp_path: Path) -> None:
    rows = [
        {"label": n % 2, "case": f"c{n // 10}", "part": "train" if n < 200 else "test"}
        for n in range(250)
    ]
    store = make_store(tmp_path / "s.store", rows)
    split = splits.by_given(store)
    parts = check(split, store)
    assert parts["test"].tolist() == list(range(200, 250))
    assert len(parts["val"]) == 20
    assert disjoint(case_sets(parts, store))
    assert "10 % of train" in split.notes[0]


def test_given_parts_that_share_a_case_are_marked(tmp_path: Path) -> None:
    parts = ["train", "val", "test"]
    rows = [{"label": 0, "case": f"c{n % 2}", "part": parts[n % 3]} for n in range(12)]
    split = splits.by_given(make_store(tmp_path / "s.store", rows))
    assert split.leaking
    assert "2 of 2 cases are on both sides" in split.marks[0]


def test_given_needs_parts(store: PatchStore) -> None:
    with pytest.raises(SplitError, match="gave no parts"):
        splits.by_given(store)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_by_file(store: PatchStore, tmp_path: Path) -> None:
    names = sorted(set(store.cases.tolist()))
    words = ["Training", "validation", "test", "out"]
    lines = [f"{name}, {words[number % 4]}" for number, name in enumerate(names)]
    table = write(
        tmp_path / "mine.csv", "\ufeff# mine\ncase,part\r\n" + "\r\n".join(lines) + "\n\n"
    )
    split = splits.by_file(store, table)
    parts = check(split, store)
    assert case_sets(parts, store) == [set(names[k::4]) for k in range(3)]
    assert split.headers["file"] == "mine.csv"


def test_by_file_of_patches_sees_a_torn_case(store: PatchStore, tmp_path: Path) -> None:
    rows = "".join(f"{row},{'train' if row % 2 else 'test'}\n" for row in range(len(store)))
    split = splits.by_file(store, write(tmp_path / "mine.csv", "patch,part\n" + rows))
    assert split.unit == "patch"
    assert split.leaking
    check(split, store)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,part\nc0,train\nd39,train\n", "line 3: no case 'd39'.*did you mean c39"),
        ("case,part\nc0,train\nc0,test\n", "line 3: case 'c0' is listed twice"),
        ("case,part\nc0,trian\n", "line 2: 'trian' is not a part; did you mean train"),
        ("case,part\nc0,train\n", "does not list 39 of 40"),
        ("case,part\nc0\n", "line 2: 1 columns"),
        ("name,part\nc0,train\n", "it needs case,part"),
        ("", "its columns are"),
        ('case,part\n"c0,train\n', "line"),
    ],
)
def test_by_file_says_what_is_wrong(
    store: PatchStore, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(SplitError, match=message):
        splits.by_file(store, write(tmp_path / "mine.csv", text))


def test_balanced_never_leaves_a_part_empty() -> None:
    contents = np.array([[1000.0], [1.0], [1.0]])
    codes = balanced(contents, [0.98, 0.01, 0.01], seed=0)
    assert sorted(codes.tolist()) == [0, 1, 2]
