"""store.json: a key that cannot be what it says is a sentence, never an error of Python's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from eosin.data.store import PatchStore
from eosin.errors import StoreError


@pytest.mark.parametrize(
    "change",
    [
        {"classes": "made-up"}, {"classes": ["a", "a"]}, {"classes": []}, {"classes": [1, None]},
        {"patch_size": [50]}, {"patch_size": [-50, 50]}, {"patch_size": [1e9, 50]}, {"count": "x"},
        {"count": None}, {"mpp": "a"}, {"mpp": 0}, {"mpp": [4]}, {"cases": [1]}, {"digest": 5},
        {"counts": {"negative": "x"}}, {"positive_by": [[]]}, {"positive_by": "x"},
        {"reject_reasons": {"a": None}}, {"rejects": [1]}, {"notes": {"a": 1}}, {"made_up": []},
        {"conflicts": 1}, {"nested_copies": "many"},
    ],
    ids=lambda change: json.dumps(change)[:30],
)  # fmt: skip
def test_a_store_with_a_wrong_value_is_refused(
    made_up_store: PatchStore, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for name in ("patches.npy", "index.parquet"):
        (folder / name).symlink_to(made_up_store.path.resolve() / name)
    info = json.loads((made_up_store.path / "store.json").read_text("utf-8"))
    (folder / "store.json").write_text(json.dumps(info | change))
    with pytest.raises(StoreError, match=r"store\.json is damaged \("):
        PatchStore.open(folder)


def test_what_a_store_lacks_or_has_more_is_no_reason(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(made_up_store.path, folder)
    info = json.loads((folder / "store.json").read_text("utf-8"))
    info |= {"cases": None, "mpp": None, "later": {"x": 1}}
    del info["counts"]
    (folder / "store.json").write_text(json.dumps(info))
    store = PatchStore.open(folder)
    assert (store.mpp, store.info["later"], len(store)) == (None, {"x": 1}, len(made_up_store))
