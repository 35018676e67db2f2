"""Made-up cases: the archive's layout, its oddities, determinism, and how hard the task is."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eosin.errors import StoreError, UserError
from eosin.synthetic import archive as synthetic
from eosin.synthetic.archive import make_case, make_store, write_archive

LAYOUT = re.compile(
    r"(?P<nested>IDC_regular_ps50_idx5/)?(?P<case>9\d{4})/(?P<folder>[01])/"
    r"(?P=case)_idx5_x(?P<x>\d+)_y(?P<y>\d+)_class(?P=folder)\.png"
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    path = tmp_path_factory.mktemp("made-up") / "archive.zip"
    return path, write_archive(path, cases=2, seed=1)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def decode(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None


def test_same_seed_same_bytes(tmp_path: Path, archive: tuple[Path, dict]) -> None:
    again, other = tmp_path / "again.zip", tmp_path / "other.zip"
    write_archive(again, cases=2, seed=1)
    write_archive(other, cases=1, seed=4)
    digest = hashlib.sha256(again.read_bytes()).digest()
    assert digest == hashlib.sha256(archive[0].read_bytes()).digest()
    assert digest != hashlib.sha256(other.read_bytes()).digest()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["again.zip", "other.zip"]


def test_every_name_follows_the_kaggle_layout(archive: tuple[Path, dict]) -> None:
    names = members(archive[0]).keys()
    assert synthetic.NOTICE_NAME in names
    assert len(names) == len(set(names))
    found = [LAYOUT.fullmatch(name) for name in names if name != synthetic.NOTICE_NAME]
    assert all(found)
    seen = set()
    for match in found:
        assert match is not None
        x, y = int(match["x"]), int(match["y"])
        assert (x - 1) % 50 == 0
        assert (y - 1) % 50 == 0
        place = (match["nested"], match["case"], x, y)
        assert place not in seen
        seen.add(place)


def test_nested_copy_has_the_same_bytes(archive: tuple[Path, dict]) -> None:
    found = members(archive[0])
    nested = [name for name in found if name.startswith(synthetic.NESTED)]
    assert len(nested) == archive[1]["nested"] == archive[1]["patches"]
    for name in nested:
        assert found[name] == found[name.removeprefix(synthetic.NESTED + "/")]


def test_edge_patches_and_broken_members(archive: tuple[Path, dict]) -> None:
    sizes, broken = [], []
    for name, data in members(archive[0]).items():
        if name == synthetic.NOTICE_NAME or name.startswith(synthetic.NESTED):
            continue
        try:
            image = decode(data)
        except cv2.error:
            image = None
        whole = data.endswith(b"IEND\xaeB`\x82") and image is not None
        if whole:
            assert image is not None
            sizes.append(image.shape)
        else:
            broken.append(name)
    counts = archive[1]
    assert len(sizes) == counts["patches"]
    small = [shape for shape in sizes if shape != (50, 50, 3)]
    assert len(small) == counts["edge_patches"] > 0
    assert len(small) < 0.05 * len(sizes)
    assert all(height <= 50 and width <= 50 for height, width, _ in small)
    assert len(broken) == counts["broken"] == 3
    assert len(broken) < 0.01 * len(sizes)


def test_prevalence_varies_by_case_and_is_near_the_real_one() -> None:
    shares = np.array(synthetic.burdens(24, 0))
    assert 0.26 < shares.mean() < 0.33
    assert shares.min() < 0.03
    assert shares.max() > 0.6


def test_labels_follow_the_truth_but_for_the_stated_noise() -> None:
    drawn = make_case("90001", 1, width_px=700, height_px=600, burden=0.3)
    clean, noisy = synthetic.cut(drawn), synthetic.cut(drawn, label_noise=0.5)
    assert [(p.x, p.y) for p in clean] == [(p.x, p.y) for p in noisy]
    assert {p.label for p in clean} == {0, 1}
    flipped = np.mean([a.label != b.label for a, b in zip(clean, noisy, strict=True)])
    assert 0.3 < flipped < 0.7
    assert not (drawn.truth & ~drawn.tissue).any()


def test_store_is_marked_and_holds_both_classes_in_every_case(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cases=3, patches_per_case=10, size=40)
    assert store.made_up
    assert store.patches.shape == (30, 40, 40, 3)
    assert store.cases_known
    assert store.mpp == 4.0
    for case in ("90001", "90002", "90003"):
        assert set(store.labels[store.cases == case].tolist()) == {0, 1}
    places = list(store.index.select("case", "x", "y").iter_rows())
    assert len(set(places)) == len(places)
    again = make_store(tmp_path / "t", cases=3, patches_per_case=10, size=40)
    assert again.digest == store.digest


def test_progress_counts_cases_and_a_target_in_the_way_is_named(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_archive(
        tmp_path / "a.zip", cases=1, nested_copy=False, broken=0,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert calls == [(1, 1)]
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder cannot be written"):
        write_archive(tmp_path / "folder", cases=1)
    with pytest.raises(UserError, match="cases is 0"):
        write_archive(tmp_path / "none.zip", cases=0)
    with pytest.raises(UserError, match=r"area is 0\.01; use 0\.1 to 1"):
        write_archive(tmp_path / "none.zip", cases=1, area=0.01)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.zip", "folder"]


def test_smaller_sections_have_fewer_patches(tmp_path: Path, archive: tuple[Path, dict]) -> None:
    counts = write_archive(tmp_path / "a.zip", cases=2, seed=1, area=0.25)
    assert 0.15 < counts["patches"] / archive[1]["patches"] < 0.4
    assert 0 < counts["positives"] < counts["patches"]


def color_features(patch: np.ndarray) -> np.ndarray:
    """Histograms of the three channels: color without any arrangement."""
    return np.concatenate([np.histogram(patch[..., k], 16, (0, 256))[0] for k in range(3)]) / 2500


def structure_features(patch: np.ndarray) -> np.ndarray:
    """Band-pass statistics of the normalized stain density: arrangement without color."""
    density = -np.log((patch[..., 0].astype(np.float32) + 8) / 256)
    band_from = (density - density.mean()) / (density.std() + 0.05)
    found = [float((patch.min(axis=2) > 215).mean())]
    for sigma in (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0):
        smooth = cv2.GaussianBlur(band_from, (0, 0), sigma)
        band, band_from = band_from - smooth, smooth
        spread = float(band.std())
        found += [spread, float((band**3).mean()) / (spread**3 + 1e-3)]
        found += np.percentile(band, [5, 95]).tolist()
    return np.array(found)


@pytest.mark.slow
def test_color_alone_is_not_enough_and_structure_tells_more(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cases=12, patches_per_case=80, seed=0)
    held_out = np.isin(store.cases, np.unique(store.cases)[::3])
    areas = {}
    for features in (color_features, structure_features):
        table = np.array([features(patch) for patch in store.patches])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        model.fit(table[~held_out], store.labels[~held_out])
        score = model.predict_proba(table[held_out])[:, 1]
        areas[features] = roc_auc_score(store.labels[held_out], score)
    assert areas[color_features] < 0.85
    assert areas[structure_features] > 0.85
    assert areas[structure_features] > areas[color_features] + 0.05
