"""The audit finds every planted leak, and nothing in clean data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import SplitError
from eosin.splitting import splits
from eosin.splitting.audit import AuditResult, Finding, audit
from eosin.splitting.fingerprints import (
    canonical_digest,
    fingerprints,
    same_pictures,
    turn_free_keys,
)
from eosin.splitting.near import turned
from eosin.splitting.split_file import PARTS, Split

SIZE = 32


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """uint8 [n, 32, 32, 3]: random pictures with coarse and fine structure."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        fine = rng.normal(0, 12, (SIZE, SIZE, 3))
        out.append(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) + fine)
    return np.clip(out, 0, 255).astype(np.uint8)


def make(
    path: Path, patches: np.ndarray, rows: list[dict[str, Any]], parts: list[str], **info: Any
) -> tuple[PatchStore, Split]:
    """A store and a split that puts its rows into these parts."""
    with StoreWriter(
        path / "s.store", classes=["a", "b"], patch_size=(SIZE, SIZE), info=info, replace=True
    ) as writer:
        if rows:
            writer.append(patches, rows)
    store = PatchStore.open(path / "s.store")
    codes = np.array([PARTS.index(p) if p else -1 for p in parts], np.int16)
    return store, Split("file", store.digest, "patch", codes)


def two_cases(n: int) -> list[dict[str, Any]]:
    """Rows of case A, then as many of case B; far apart on their slides."""
    return [{"label": k % 2, "case": "AB"[k >= n], "x": 1000 * k, "y": 0} for k in range(2 * n)]


def kinds(result: AuditResult) -> dict[str, Finding]:
    return {finding.kind: finding for finding in result.findings}


def planted(tmp_path: Path, original: np.ndarray, copy: np.ndarray) -> AuditResult:
    """Ten patches train, ten validate; row 13 is a copy of row 4."""
    patches = pictures(20)
    patches[4], patches[13] = original, copy
    return audit(*make(tmp_path, patches, two_cases(10), ["train"] * 10 + ["val"] * 10))


def test_clean_data_raises_no_alarm(tmp_path: Path) -> None:
    patches = pictures(600)
    rows = [
        {"label": k % 2, "case": f"c{k // 10 * 2}", "x": SIZE * (k % 10), "y": 0}
        for k in range(600)
    ]
    store, _ = make(tmp_path, patches, rows, ["train"] * 600)
    result = audit(store, splits.by_case(store))
    assert result.findings == ()
    assert not result.leaking
    assert result.marks == ()
    assert sum(result.compared.values()) == 600


def test_shared_cases(tmp_path: Path) -> None:
    store, split = make(tmp_path, pictures(6), two_cases(3), ["train", "val", "test"] * 2)
    result = audit(store, split)
    found = kinds(result)["shared-cases"]
    assert (found.severity, found.count) == ("leak", 2)
    assert found.pairs == {"train-val": 2, "train-test": 2, "val-test": 2}
    assert result.leaking
    assert result.marks == (f"leak: {found.sentence}",)


@pytest.mark.parametrize("position", range(8))
def test_exact_copies_in_every_position(tmp_path: Path, position: int) -> None:
    picture = pictures(1, seed=9)[0]
    result = planted(tmp_path, picture, turned(picture, position))
    assert list(kinds(result)) == ["exact-copies"] + (
        ["label-conflicts"] if result.findings[1:] else []
    )
    found = kinds(result)["exact-copies"]
    assert (found.severity, found.count, found.examples) == ("leak", 1, ((13, 4),))
    assert found.sentence == "1 patch of val has the same pixels as one of train"


def jpeg(picture: np.ndarray, quality: int = 60) -> np.ndarray:
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


@pytest.mark.parametrize("position", [0, 3, 5])
@pytest.mark.parametrize("change", ["jpeg", "brightness", "noise", "contrast", "blur"])
def test_near_copies(tmp_path: Path, change: str, position: int) -> None:
    # Room on both sides, so that a brighter copy is no clipped one.
    picture = (60 + pictures(1, seed=9)[0] // 2).astype(np.uint8)
    noise = np.random.default_rng(3).normal(0, 6, picture.shape)
    copy = {
        "jpeg": lambda: jpeg(picture),
        "brightness": lambda: picture + 30,
        "noise": lambda: np.clip(picture + noise, 0, 255),
        "contrast": lambda: picture * 0.8,
        "blur": lambda: cv2.GaussianBlur(picture, (0, 0), 1.0),
    }[change]()
    result = planted(tmp_path, picture, turned(np.asarray(copy).astype(np.uint8), position))
    found = kinds(result)
    assert list(found) == ["near-copies"]
    assert found["near-copies"].examples == ((13, 4),)
    assert found["near-copies"].severity == "leak"


def test_flat_and_sparse_fields_are_no_copies(tmp_path: Path) -> None:
    patches = pictures(20)
    for row in (4, 13):
        patches[row] = 250
    for row in (5, 14):
        patches[row] = 250
        patches[row, 3:12, 3:12] = patches[0, 3:12, 3:12]
        patches[row, 3, 3] = row
    result = audit(*make(tmp_path, patches, two_cases(10), ["train"] * 10 + ["val"] * 10))
    assert result.findings == ()
    assert (result.flat, result.sparse) == (2, 4)


def test_padding_is_no_likeness_and_no_difference(tmp_path: Path) -> None:
    """Two edge patches with other pictures are apart; a turned copy of one is found."""
    patches = pictures(20)
    rows = two_cases(10)
    for row in (4, 5, 13, 14):
        rows[row] |= {"width": 20, "height": SIZE}
        patches[row, :, 20:] = 255
    whole = pictures(1, seed=4)[0]
    patches[6, :20] = turned(patches[13, :, :20], 4)
    patches[6, 20:] = 255
    rows[6] |= {"width": SIZE, "height": 20}
    patches[7] = whole
    result = audit(*make(tmp_path, patches, rows, ["train"] * 10 + ["val"] * 10))
    assert [finding.kind for finding in result.findings if finding.severity == "leak"] == [
        "exact-copies"
    ]
    assert kinds(result)["exact-copies"].examples == ((13, 6),)


@pytest.mark.parametrize(
    ("step", "x", "y", "touches"),
    [(32, 32, 0, True), (32, 32, 32, True), (32, 64, 0, False), (64, 64, 64, True),
     (64, 128, 0, False), (8, 24, 0, True), (8, 40, 0, False)],
)  # fmt: skip
def test_touching(tmp_path: Path, step: int, x: int, y: int, touches: bool) -> None:
    """Neighbors on the grid, diagonal and overlapping ones; a reduced field has a wider step."""
    places = [(0, 0), (x, y), (0, 500 * step), (step, 500 * step)]
    rows = [{"label": 0, "case": "A", "x": 7 + px, "y": 7 + py} for px, py in places]
    result = audit(*make(tmp_path, pictures(4), rows, ["train", "test", "", ""]))
    assert ("touching" in kinds(result)) == touches
    if touches:
        found = kinds(result)["touching"]
        assert (found.severity, found.count, found.examples) == ("leak", 1, ((1, 0),))
        assert found.sentence == "1 patch of test has a neighbor on the slide in train"


def test_neighbors_of_other_slides_do_not_touch(tmp_path: Path) -> None:
    rows = [{"label": 0, "case": "A", "slide": f"s{k}", "x": 0, "y": 0} for k in range(4)]
    result = audit(*make(tmp_path, pictures(4), rows, ["train", "test"] * 2))
    assert "touching" not in kinds(result)


def test_absurd_positions(tmp_path: Path) -> None:
    far = 2**31 - 1
    places = [(-far, -far), (far, far), (0, 0), (1, 1)]
    rows = [{"label": 0, "case": "A", "x": x, "y": y} for x, y in places]
    result = audit(*make(tmp_path, pictures(4), rows, ["train", "train", "train", "test"]))
    assert kinds(result)["touching"].examples == ((3, 2),)


def test_label_conflicts_are_a_warning(tmp_path: Path) -> None:
    patches = pictures(8)
    patches[2] = patches[1]
    store, split = make(tmp_path, patches, two_cases(4), ["train"] * 4 + ["val"] * 4)
    result = audit(store, split)
    found = kinds(result)["label-conflicts"]
    assert (found.severity, found.count, found.examples) == ("warning", 1, ((1, 2),))
    assert not result.leaking


def test_consecutive_numbers_are_a_hint(tmp_path: Path) -> None:
    rows = [{"label": 0, "case": case} for case in ("P9", "P10", "P12", "x", "13", "Q13")]
    result = audit(*make(tmp_path, pictures(6), rows, ["train", "val"] * 3))
    found = kinds(result)["consecutive-cases"]
    assert (found.severity, found.count) == ("hint", 1)
    assert "P9/10" in found.sentence
    assert not result.leaking


def test_unknown_cases_are_a_warning(tmp_path: Path) -> None:
    result = audit(*make(tmp_path, pictures(4), [{"label": 0}] * 4, ["train", "val"] * 2))
    assert kinds(result)["unknown-cases"].severity == "warning"


def test_what_is_left_out_is_not_looked_at(tmp_path: Path) -> None:
    patches = np.repeat(pictures(1), 4, axis=0)
    result = audit(*make(tmp_path, patches, two_cases(2), ["train", "train", "", ""]))
    assert not result.leaking
    assert result.compared == {"train": 2}


def test_folds(tmp_path: Path) -> None:
    patches = pictures(9)
    patches[8] = patches[0]
    rows = [{"label": k % 2, "case": f"c{2 * (k // 3)}"} for k in range(9)]
    store, _ = make(tmp_path, patches, rows, ["train"] * 9)
    codes = np.repeat(np.arange(3, dtype=np.int16), 3)
    result = audit(store, Split("folds", store.digest, "patch", codes, folds=3), fold=1)
    assert kinds(result)["exact-copies"].count == 1
    with pytest.raises(SplitError, match="2 cases cannot"):
        splits.by_folds(store, k=3)  # The two cases of that picture are one group.


def test_an_empty_store(tmp_path: Path) -> None:
    result = audit(*make(tmp_path, np.zeros((0, SIZE, SIZE, 3), np.uint8), [], []))
    assert result.findings == ()


def test_to_dict_is_plain(tmp_path: Path) -> None:
    import json

    picture = pictures(1, seed=9)[0]
    facts = json.loads(json.dumps(planted(tmp_path, picture, picture).to_dict()))
    assert facts["leaking"] is True
    assert facts["findings"][0]["examples"] == [[13, 4]]
    assert facts["marks"] == ["leak: 1 patch of val has the same pixels as one of train"]


def test_fast_groups_equal_the_plain_ones(tmp_path: Path) -> None:
    patches = pictures(40)
    rng = np.random.default_rng(2)
    for row in range(20, 40):
        patches[row] = turned(patches[rng.integers(20)], int(rng.integers(8)))
    store, _ = make(tmp_path, patches, two_cases(20), ["train"] * 40)
    fast = same_pictures(store, fingerprints(store, np.arange(40)))
    plain: dict[bytes, list[int]] = {}
    for row, patch in enumerate(patches):
        plain.setdefault(canonical_digest(patch), []).append(row)
    expected = sorted(group for group in plain.values() if len(group) > 1)
    assert sorted(group.tolist() for group in fast) == expected


def test_keys_do_not_turn() -> None:
    patches = pictures(5)
    for position in range(8):
        views = np.stack([turned(patch, position) for patch in patches])
        assert (turn_free_keys(views) == turn_free_keys(patches)).all()
    assert len(set(turn_free_keys(patches).tolist())) == 5


def test_made_up_cases_are_clean(made_up_store: PatchStore) -> None:
    assert not audit(made_up_store, splits.by_case(made_up_store)).leaking
    assert audit(made_up_store, splits.by_patch(made_up_store)).leaking
