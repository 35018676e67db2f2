"""inspect from the command line: tables and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.store import PatchStore, StoreWriter

Run = Callable[..., Any]


def small_store(path: Path, rows: list[dict[str, Any]]) -> Path:
    patches = np.random.default_rng(0).integers(0, 256, (len(rows), 8, 8, 3)).astype(np.uint8)
    with StoreWriter(path, classes=["negative", "positive"], patch_size=(8, 8)) as writer:
        writer.append(patches, rows)
    return path


def test_tables_and_pictures(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    case = str(made_up_store.cases[0])
    done = eosin("inspect", made_up_store.path, "--case", case, "-o", tmp_path / "out")
    assert done.code == 0
    for words in ("made up", "negative", "positive %", case, "cases with it"):
        assert words in done.out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"mosaic-{case}.png", "patches.png"]


def test_json(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    done = eosin("inspect", made_up_store.path, "-o", tmp_path, "--json")
    facts = json.loads(done.out)
    assert facts["count"] == len(made_up_store)
    assert facts["made_up"] is True
    assert sum(sum(counts.values()) for counts in facts["by_case"].values()) == facts["count"]
    assert [Path(file).name for file in facts["files"]] == ["patches.png"]


def test_an_unknown_case_names_the_closest(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path
) -> None:
    case = str(made_up_store.cases[0])
    done = eosin("inspect", made_up_store.path, "--case", case + "x", "-o", tmp_path / "out")
    assert done.code == 2
    assert f"did you mean {case}" in done.err or case in done.err
    assert not (tmp_path / "out").exists()


def test_no_coordinates_is_a_sentence(eosin: Run, tmp_path: Path) -> None:
    store = small_store(tmp_path / "s.store", [{"label": k % 2, "case": "A"} for k in range(9)])
    done = eosin("inspect", store, "--case", "A")
    assert done.code == 0
    assert "cannot be drawn" in done.err
    assert [p.name for p in (tmp_path / "s.store.pictures").iterdir()] == ["patches.png"]


def test_unknown_cases_and_slides_with_wild_names(eosin: Run, tmp_path: Path) -> None:
    store = small_store(tmp_path / "u.store", [{"label": 0}] * 3)
    done = eosin("inspect", store)
    assert done.code == 0
    assert "cases are unknown" in done.out
    assert "does not record the case" in eosin("inspect", store, "--case", "A").err
    rows = [
        {"label": 0, "case": "../A", "slide": slide, "x": 8 * k, "y": 0}
        for k in range(3)
        for slide in ("a/b", "a b")
    ]
    store = small_store(tmp_path / "w.store", rows)
    assert eosin("inspect", store, "--case", "../A").code == 0
    names = sorted(p.name for p in (tmp_path / "w.store.pictures").iterdir())
    assert names == ["mosaic-.._A-a_b-1.png", "mosaic-.._A-a_b.png", "patches.png"]


def test_many_cases_show_both_ends(eosin: Run, tmp_path: Path) -> None:
    rows = [{"label": int(j < k), "case": f"c{k:02}"} for k in range(40) for j in range(40)]
    store = small_store(tmp_path / "m.store", rows)
    done = eosin("inspect", store)
    assert "24 more" in done.out
    assert "c20" not in done.out
    assert "median" in done.out
    assert "c20" in eosin("inspect", store, "--all").out


@pytest.mark.parametrize("words", [["-o", "IN"], []])
def test_an_empty_store_and_a_folder_inside(eosin: Run, tmp_path: Path, words: list[str]) -> None:
    store = small_store(tmp_path / "s.store", [{"label": 0, "case": "A"}])
    if words:
        done = eosin("inspect", store, "-o", store / "pictures")
        assert done.code == 2
        assert "inside the store" in done.err
    else:
        with StoreWriter(tmp_path / "e.store", classes=["a", "b"], patch_size=(8, 8)):
            pass
        assert eosin("inspect", tmp_path / "e.store").code == 0
