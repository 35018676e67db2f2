"""Arrays under other names than PCam's and MedMNIST's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.pack import pack
from eosin.errors import SourceError
from eosin.sources.detect import open_source
from eosin.sources.pairs import paired


def arrays(count: int, size: int = 4) -> tuple[Any, Any]:
    images = np.random.default_rng(count).integers(0, 256, (count, size, size, 3), np.uint8)
    return images, np.arange(count, dtype=np.int64)[:, None] % 2


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("x_{}", "y_{}"), ("{}_x", "{}_y"), ("X{}", "y{}"), ("{}X", "{}Y"),
        ("{}_images", "{}_labels"), ("images_{}", "labels_{}"), ("img_{}", "target_{}"),
        ("{}_data", "{}_label"), ("{}_patches", "{}_classes"), ("{}images", "{}labels"),
    ],
)  # fmt: skip
def test_pairs_of_names(tmp_path: Path, images: str, labels: str) -> None:
    sets, saved = {}, {}
    for count, part in enumerate(("test", "train", "valid"), 3):
        sets[part] = arrays(count)
        saved[images.format(part)], saved[labels.format(part)] = sets[part]
    assert paired([*saved, "other"]) == {
        images.format(part): labels.format(part) for part in sets
    }  # fmt: skip
    np.savez(tmp_path / "m.npz", **saved)
    store = pack(tmp_path / "m.npz", tmp_path / "s")
    order = ("train", "valid", "test")
    assert store.index["part"].to_list() == ["train"] * 4 + ["val"] * 5 + ["test"] * 3
    np.testing.assert_array_equal(store.patches, np.concatenate([sets[p][0] for p in order]))
    assert store.labels.tolist() == np.concatenate([sets[p][1] for p in order]).ravel().tolist()


@pytest.mark.parametrize(
    ("images", "labels"), [("{}_x.h5", "{}_y.h5"), ("x_{}.hdf5", "y_{}.hdf5"),
                           ("{}_images.h5", "{}_labels.h5")]
)  # fmt: skip
def test_pairs_of_hdf5_files(tmp_path: Path, images: str, labels: str) -> None:
    h5py = pytest.importorskip("h5py")
    folder = tmp_path / "d"
    folder.mkdir()
    for count, part in enumerate(("test", "train"), 3):
        for name, key, values in zip((images, labels), ("pixels", "y"), arrays(count), strict=True):
            with h5py.File(folder / name.format(part), "w") as file:
                file[key] = values
    store = pack(folder, tmp_path / "s")
    assert (store.info["layout"], store.classes, store.mpp) == ("hdf5", ("0", "1"), None)
    assert store.index["part"].to_list() == ["train"] * 4 + ["test"] * 3
    np.testing.assert_array_equal(store.patches, np.concatenate([arrays(4)[0], arrays(3)[0]]))
    assert store.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert len(pack(folder / images.format("train"), tmp_path / "t")) == 4


def test_pairs_inside_hdf5_files(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "all.h5", "w") as file:
        for part, count in (("test", 2), ("train", 3)):
            file[f"{part}_img"], file[f"{part}_labels"] = arrays(count)
    store = pack(tmp_path / "all.h5", tmp_path / "s")
    assert store.index["part"].to_list() == ["train"] * 3 + ["test"] * 2
    assert store.index["source"][0] == "all.h5/train_img#0"
    with h5py.File(tmp_path / "pcam.h5", "w") as file:
        file["images"], file["labels"] = arrays(3)
    store = pack(tmp_path / "pcam.h5", tmp_path / "t")
    assert (store.info["layout"], store.classes) == ("pcam", ("normal", "tumor"))
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file["x"], file["y"] = arrays(2, 96)
    assert open_source(tmp_path / "big.h5").layout.name == "pcam"
    with h5py.File(tmp_path / "more.h5", "w") as file:
        file["x"], file["y"] = arrays(3, 96)[0], np.array([0, 1, 2])
    assert open_source(tmp_path / "more.h5").layout.name == "hdf5"
    with pytest.raises(SourceError, match="labels up to 2; layout pcam has 2 classes"):
        open_source(tmp_path / "more.h5", layout="pcam")
    with h5py.File(tmp_path / "half.h5", "w") as file:
        file["x_train"] = arrays(3)[0]
    with pytest.raises(SourceError, match="has x_train but no labels for it"):
        open_source(tmp_path / "half.h5")
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(SourceError, match="contains no HDF5 images"):
        open_source(tmp_path / "none.h5")


def test_weights_beside_images_are_not_the_images(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "model.h5").write_bytes(b"weights")
    with pytest.raises(SourceError, match="contains no images"):
        open_source(tmp_path)
