"""split from the command line: a file beside the store, a table, sentences for mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.data.store import PatchStore
from eosin.splitting.split_file import read_split
from eosin.splitting.splits import PATCH_RANDOM

Run = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path, made_up_store: PatchStore) -> Path:
    path = tmp_path / "mine.store"
    shutil.copytree(made_up_store.path, path)
    return path


def test_the_default_stands_beside_the_store(eosin: Run, store: Path) -> None:
    done = eosin("split", store)
    assert done.code == 0
    path = store.with_name("mine.store.split.csv")
    assert path.read_text().startswith("# eosin split 1\n# scheme: case\n# seed: 42\n# store: ")
    opened = PatchStore.open(store)
    parts = read_split(path).parts(opened)
    assert sum(map(len, parts.values())) == len(opened)
    for word in ("train", "val", "test", "made up", f"next: eosin audit {store} {path}"):
        assert word in done.out
    assert sorted(p.name for p in store.iterdir()) == [
        ".eosin.json", "index.parquet", "patches.npy", "store.json",
    ]  # fmt: skip


def test_a_file_is_not_overwritten_unasked(eosin: Run, store: Path) -> None:
    assert eosin("split", store).code == 0
    before = store.with_name("mine.store.split.csv").read_bytes()
    again = eosin("split", store, "--seed", 7)
    assert again.code == 2
    assert "already exists; add --force" in again.err
    assert store.with_name("mine.store.split.csv").read_bytes() == before
    assert eosin("split", store, "--seed", 7, "--force").code == 0
    assert store.with_name("mine.store.split.csv").read_bytes() != before
    store.with_name("mine.store.split.csv").write_text("my notes")
    refused = eosin("split", store, "--force")
    assert (refused.code, "is not a split" in refused.err) == (2, True)
    assert store.with_name("mine.store.split.csv").read_text() == "my notes"


def test_json(eosin: Run, store: Path, tmp_path: Path) -> None:
    done = eosin("split", store, "--by", "patch", "-o", tmp_path / "p.csv", "--json")
    facts = json.loads(done.out)
    assert facts["scheme"] == "patch"
    assert facts["leaking"] is True
    assert facts["positive"] == "positive"
    assert "positive class: positive (the figures are about positive)" in done.err
    assert facts["made_up"] is True
    assert facts["marks"] == [PATCH_RANDOM]
    assert facts["parts"]["test"]["patches"] == int(0.25 * len(PatchStore.open(store)))
    assert f"warning: {PATCH_RANDOM}" in done.err


def test_folds_and_file(eosin: Run, store: Path, tmp_path: Path) -> None:
    done = eosin("split", store, "--by", "folds", "-k", 4, "-o", tmp_path / "f.csv")
    assert done.code == 0
    assert "fold 3" in done.out
    assert "--fold 0" in done.out
    cases = sorted(set(PatchStore.open(store).cases.tolist()))
    table = tmp_path / "mine.csv"
    lines = [f"{case},{('train', 'val', 'test')[k % 3]}\n" for k, case in enumerate(cases)]
    table.write_text("case,part\n" + "".join(lines))
    done = eosin("split", store, "--by", "file", "--file", table, "-o", tmp_path / "m.csv")
    assert done.code == 0
    assert read_split(tmp_path / "m.csv").names == tuple(cases)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "cases"], "did you mean case?"),
        # Spelled nearly as patch, which leaks.
        (["--by", "parts"], "known: case, file, folds, given, published (given: the source's own"),
        (["--by", "patches"], "did you mean patch?"),
        (["--by", "published"], "is in the published lists"),
        (["--by", "given"], "its source gave no parts"),
        (["--by", "file"], "needs your table: --file"),
        (["--by", "folds", "-k", "2"], "at least 3"),
        (["--by", "folds", "-k", "99"], "cannot be shared out to 99 parts"),
        (["--fractions", "60/20"], "three shares"),
        (["--by", "patch", "--fractions", "60/20/20"], "--fractions belongs to --by case"),
        (["--unlisted", "train"], "--unlisted belongs to --by published"),
    ],
)
def test_mistakes_are_sentences(eosin: Run, store: Path, words: list[str], message: str) -> None:
    done = eosin("split", store, *words)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not store.with_name("mine.store.split.csv").exists()


def test_never_inside_the_store(eosin: Run, store: Path) -> None:
    done = eosin("split", store, "-o", store / "split.csv")
    assert done.code == 2
    assert "inside the store" in done.err
    assert eosin("split", store, "-o", store.parent).code == 2
