"""The patches of a lesson: made up, or a sample of the reader's store; bad names are sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.store import StoreWriter
from eosin.errors import StoreError
from eosin.guide.catalog import find_lesson
from eosin.guide.patches import VARIABLE, check_named, lesson_store, named_store
from eosin.synthetic.archive import make_store

LESSONS = Path(__file__).parents[2] / "lessons"


def write(path: Path, *, classes: int, cases: int, each: int = 20, side: int = 50) -> Path:
    """A store of noise: every second patch of a case is of class 1, or all turn about."""
    rng = np.random.default_rng(0)
    rows = [
        {"label": k % classes, "case": f"C{c:02d}", "slide": f"C{c:02d}"}
        for c in range(cases)
        for k in range(each)
    ]
    names = [f"class {k}" for k in range(classes)]
    with StoreWriter(path, classes=names, patch_size=(side, side), mpp=1.0) as writer:
        writer.append(rng.integers(0, 255, (len(rows), side, side, 3), dtype=np.uint8), rows)
    return path


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    return lambda path: monkeypatch.setenv(VARIABLE, str(path))


def test_without_a_name_the_patches_are_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert named_store() is None
    store = lesson_store(tmp_path / "s", cases=3, patches_per_case=8)
    assert store.made_up
    assert len(store) == 24
    monkeypatch.setenv(VARIABLE, "  ")
    assert named_store() is None


def test_a_sample_of_the_named_store(tmp_path: Path, named: Callable[[object], None]) -> None:
    whole = make_store(tmp_path / "whole", cases=6, patches_per_case=30, seed=1)
    named(whole.path)
    store = lesson_store(tmp_path / "s", cases=4, patches_per_case=20, seed=2)
    assert len(np.unique(store.cases)) == 4
    assert set(np.unique(store.cases, return_counts=True)[1]) == {20}
    for case in np.unique(store.cases):
        assert set(store.labels[store.cases == case]) == {0, 1}
    assert set(store.index["digest"]) <= set(whole.index["digest"])
    again = lesson_store(tmp_path / "again", cases=4, patches_per_case=20, seed=2)
    assert again.index.equals(store.index)


def test_patches_of_another_size_are_made_to_fit(
    tmp_path: Path, named: Callable[[object], None]
) -> None:
    named(write(tmp_path / "large", classes=2, cases=3, side=100))
    store = lesson_store(tmp_path / "s", cases=3, patches_per_case=10)
    assert store.patch_size == (50, 50)
    assert store.mpp == 2.0


@pytest.mark.parametrize(
    ("classes", "cases", "each", "said"),
    [
        (3, 30, 20, "has 3 classes (class 0, class 1, class 2); this lesson needs 2"),
        (1, 30, 20, "has 1 class (class 0); this lesson needs 2"),
        (2, 2, 20, "has 0 cases with at least 60 patches, 6 of them of either class"),
        (2, 3, 60, "has 3 cases with at least 60 patches, 6 of them of either class"),
    ],
)
def test_what_a_lesson_cannot_use_is_said_before_it_opens(
    tmp_path: Path,
    named: Callable[[object], None],
    eosin: Callable[..., Any],
    classes: int,
    cases: int,
    each: int,
    said: str,
) -> None:
    named(write(tmp_path / "store", classes=classes, cases=cases, each=each, side=8))
    for form in (["--text"], ["--no-open"]):
        done = eosin("learn", "12", *form)
        assert done.code == 2
        assert said in " ".join(done.err.split())
        assert f"unset {VARIABLE}" in " ".join(done.err.split())
        assert "Traceback" not in done.err


def test_a_name_that_is_no_store_is_said(
    tmp_path: Path, named: Callable[[object], None], eosin: Callable[..., Any]
) -> None:
    (tmp_path / "file").write_text("no store", "utf-8")
    (tmp_path / "folder").mkdir()
    for name, reason in (("gone", "no such store"), ("file", ""), ("folder", "no store.json")):
        named(tmp_path / name)
        done = eosin("learn", "9", "--text")
        assert done.code == 2
        assert reason in " ".join(done.err.split())
        assert VARIABLE in done.err
        # A lesson without patches does not care, and a lesson as a notebook runs elsewhere.
        check_named(find_lesson(4, LESSONS).path)
        assert eosin("learn", "9", "--jupyter", tmp_path / f"{name}.ipynb").code == 0


def test_every_lesson_on_patches_says_what_it_needs(
    tmp_path: Path, named: Callable[[object], None]
) -> None:
    named(write(tmp_path / "tiny", classes=2, cases=1, each=4, side=8))
    for number in (9, 11, 12, 13, 14, 15, 16):
        with pytest.raises(StoreError, match="this lesson needs"):
            check_named(find_lesson(number, LESSONS).path)
    check_named(find_lesson(10, LESSONS).path)  # it has digits of its own


def test_a_damaged_store_is_said(tmp_path: Path, named: Callable[[object], None]) -> None:
    path = make_store(tmp_path / "s", cases=2, patches_per_case=4).path
    info = json.loads((path / "store.json").read_text("utf-8"))
    (path / "store.json").write_text(json.dumps(info | {"count": 7}), "utf-8")
    named(path)
    with pytest.raises(StoreError, match=rf"{VARIABLE} is not a usable store: .*damaged"):
        named_store()
