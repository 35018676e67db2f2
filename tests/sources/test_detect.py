from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eosin.data.pack import pack
from eosin.errors import ImageError, MissingExtraError, SourceError
from eosin.sources.archives import FolderFiles, ZipFiles
from eosin.sources.detect import open_source


def png(value: int, height: int = 4, width: int = 4) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_reads_as_zipfile_reads_it(tmp_path, method):
    members = {f"a/{k}é.png": os.urandom(10 * k) * 3 for k in range(1, 20)}
    path = write_zip(tmp_path / "a.zip", members, method)
    # A program in front of a zip shifts every offset.
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    for name in ("a.zip", "b.zip"):
        files = ZipFiles(tmp_path / name)
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert files.names == archive.namelist()
            for k, member in enumerate(files.names):
                assert files.read(k) == archive.read(member)
        files.close()


def test_a_large_zip_and_one_that_was_streamed(tmp_path, monkeypatch):
    path = tmp_path / "large.zip"
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(3):
            with archive.open(f"a/{k}.png", "w", force_zip64=True) as member:
                member.write(png(k))
    files = ZipFiles(path)
    assert [files.read(k) for k in range(3)] == [png(k) for k in range(3)]
    files.close()

    class Pipe(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    with (
        open(path, "wb") as file,
        zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr("a/1.png", png(1))
    files = ZipFiles(path)
    assert files.read(0) == png(1)
    files.close()


def central(data: bytes, field: int, form: str, value: int) -> bytes:
    """The zip with one field of its first directory entry overwritten."""
    at = data.index(b"PK\x01\x02") + field
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: central(d, 8, "<H", 1), "encrypted"),
        (lambda d: central(d, 10, "<H", 99), "unsupported compression: zip method 99"),
        (lambda d: central(d, 16, "<L", 1), "corrupt: wrong checksum in the zip"),
        (lambda d: central(d, 24, "<L", 5), "corrupt zip: .* larger .*5 bytes"),
        (lambda d: central(d, 24, "<L", 0), "empty"),
        (lambda d: central(d, 24, "<L", 1 << 30), "too many bytes"),
        (lambda d: central(d, 20, "<L", 1 << 20), "truncated: the zip ends inside"),
        (lambda d: central(d, 42, "<L", 7), "corrupt: no zip member where"),
        (lambda d: central(d, 42, "<L", 0xFFFFFFFE), "corrupt: no zip member where"),
        (lambda d: d.replace(b"a/1.png", b"a\\1.png"), None),
    ],
)
def test_members_that_lie(tmp_path, change, reason):
    data = write_zip(tmp_path / "a.zip", {"a/1.png": png(1)}, zipfile.ZIP_DEFLATED).read_bytes()
    (tmp_path / "a.zip").write_bytes(change(data))
    files = ZipFiles(tmp_path / "a.zip")
    if reason is None:
        assert files.names == ["a/1.png"]
        assert files.read(0) == png(1)
    else:
        with pytest.raises(ImageError, match=reason):
            files.read(0)
    files.close()


def test_a_bomb_is_stopped_at_its_declared_size(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": bytes(100_000_000)}, zipfile.ZIP_DEFLATED)
    files = ZipFiles(path)
    with pytest.raises(ImageError, match="too many bytes: 100000000"):
        files.read(0)
    files.close()
    path.write_bytes(central(path.read_bytes(), 24, "<L", 1000))
    files = ZipFiles(path)
    with pytest.raises(ImageError, match=r"corrupt zip: .* larger .* says \(1000 bytes"):
        files.read(0)
    files.close()


@pytest.mark.parametrize("cut", [0, 3, 30, -1, -10, -22, -60])
def test_a_truncated_zip(tmp_path, cut):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": png(1), "b/2.png": png(2)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceError, match=r"is not a complete zip: .* fetch or copy it again"):
        open_source(path)


def test_what_stands_in_a_zip(tmp_path):
    path = write_zip(tmp_path / "a.zip", {
        "b/10.png": png(1), "b/9.PNG": png(2), "a/1.jpg": b"no", "a/.DS_Store": b"", "x.txt": b"",
        "__MACOSX/a/._1.png": b"", "a/._2.png": b"", "../c/1.png": png(3), "/c/2.png": png(3),
        "MADE_UP.txt": b"",
    })  # fmt: skip
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b/9.PNG", png(4))
    plan = open_source(path)
    assert plan.columns["source"] == ["a/1.jpg", "b/9.PNG", "b/10.png"]
    assert plan.classes == ["a", "b"]
    assert plan.ignored == 5
    assert plan.made_up
    assert sorted(plan.rejects) == [
        ("../c/1.png", "unsafe name: an absolute path or one with .."),
        ("/c/2.png", "unsafe name: an absolute path or one with .."),
        ("b/9.PNG", "duplicate name: the zip lists this path twice"),
    ]
    plan.close()
    kept = open_source(path, include=["b/*"])
    assert (len(kept), kept.excluded) == (2, 3)
    kept.close()
    with pytest.raises(SourceError, match="6 left out by --include"):
        open_source(path, include=["nothing"])


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
def test_a_folder_with_links_and_pipes(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "1.png").write_bytes(png(1))
    (root / "a" / "inside.png").symlink_to("1.png")
    (tmp_path / "secret.png").write_bytes(png(2))
    (root / "a" / "outside.png").symlink_to(tmp_path / "secret.png")
    (root / "a" / "broken.png").symlink_to("nowhere.png")
    (root / "b").symlink_to(root / "a")
    os.mkfifo(root / "a" / "pipe.png")
    files = FolderFiles(root)
    assert files.names == ["a/1.png", "a/inside.png"]
    assert files.read(1) == png(1)
    assert {name: reason.partition(":")[0] for name, reason in files.refused} == {
        "b": "link", "a/outside.png": "link", "a/broken.png": "unreadable",
        "a/pipe.png": "not a file",
    }  # fmt: skip
    plan = open_source(root)
    assert len(plan.rejects) == 4


def test_a_manifest(tmp_path):
    (tmp_path / "p").mkdir()
    for k in range(3):
        (tmp_path / "p" / f"{k}.png").write_bytes(png(k))
    (tmp_path / "m.csv").write_text(
        "\ufeffPath,Label,case,x,y,part,slide,subtype,extra\n"
        "p/0.png,tumor,A,-3,4,train,S,DC,?\np/1.png,normal,B,,,,,\n"
        "p/1.png,normal,B,,,,,\n,normal,,,,,,\np/2.png,,,,,,,\np/2.png,normal,C,x,,,,\n"
        "gone.png,normal,D,,,,,\n",
        "utf-8",
    )
    store = pack(tmp_path / "m.csv", tmp_path / "s", max_rejects=10)
    assert store.info["layout"] == "manifest"
    assert store.classes == ("normal", "tumor")
    assert store.cases_known
    row = store.index.row(0, named=True)
    assert (row["label"], row["case"], row["slide"], row["x"], row["y"]) == (1, "A", "S", -3, 4)
    assert (row["part"], row["subtype"], row["source"]) == ("train", "DC", "p/0.png")
    assert store.info["reject_reasons"] == {
        "duplicate name": 1, "impossible position": 1, "incomplete row": 2, "missing": 1,
    }  # fmt: skip


@pytest.mark.parametrize("text", [b"a,b\n1,2\n", b"", b"path,label\n\xff\xfe,a\n", b"path,label\n"])
def test_what_is_no_manifest(tmp_path, text):
    (tmp_path / "m.csv").write_bytes(text)
    with pytest.raises(SourceError, match=r"m\.csv"):
        open_source(tmp_path / "m.csv")


def idx(folder: Path, name: str, axes: tuple[int, ...], data: bytes, *, packed: bool) -> None:
    raw = bytes([0, 0, 8, len(axes)]) + struct.pack(f">{len(axes)}I", *axes) + data
    (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path, packed):
    folder = tmp_path / "mnist"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 4), np.uint8)
    for k, name in enumerate(("t10k", "train")):
        idx(folder, f"{name}-images-idx3-ubyte", (5, 3, 4), images[k].tobytes(), packed=packed)
        idx(folder, f"{name}-labels-idx1-ubyte", (5,), bytes([0, 1, 2, 9, 1]), packed=packed)
    store = pack(folder, tmp_path / "s")
    assert store.info["layout"] == "idx"
    assert store.classes == ("0", "1", "2", "9")
    assert store.labels.tolist() == [0, 1, 2, 3, 1] * 2
    assert store.index["part"].to_list() == ["train"] * 5 + ["test"] * 5
    assert not store.cases_known
    wanted = np.concatenate([images[1], images[0]])[..., None].repeat(3, 3)
    np.testing.assert_array_equal(store.patches, wanted)
    single = next(folder.glob("train-images*"))
    assert len(pack(single, tmp_path / "t")) == 5
    assert pack(single, tmp_path / "u", size=(6, 6)).patches[0, 3:].min() == 255


@pytest.mark.parametrize(
    ("axes", "size", "labels", "reason"),
    [
        ((5, 3, 4), 59, 5, "is truncated: .* ends in image 4"),
        ((5, 3, 4), 61, 5, "contains more than it declares"),
        ((5, 3, 4), 60, 4, "contains 4 labels for 5 images"),
        ((5, 30_000, 30_000), 60, 5, "declares images of 30000x30000"),
        ((0, 3, 4), 0, 0, "declares 0 images"),
    ],
)
def test_idx_that_lies(tmp_path, axes, size, labels, reason):
    idx(tmp_path, "train-images-idx3-ubyte", axes, bytes(size), packed=False)
    idx(tmp_path, "train-labels-idx1-ubyte", (labels,), bytes(labels), packed=False)
    with pytest.raises(SourceError, match=reason):
        pack(tmp_path, tmp_path / "out" / "s")
    assert not list(tmp_path.glob("out/*"))


def test_medmnist(tmp_path):
    rng = np.random.default_rng(0)
    parts = {}
    for name, count in (("test", 3), ("train", 7), ("val", 2)):
        parts[f"{name}_images"] = rng.integers(0, 256, (count, 4, 4, 3), np.uint8)
        parts[f"{name}_labels"] = rng.integers(0, 3, (count, 1))
    np.savez_compressed(tmp_path / "m.npz", **parts)
    store = pack(tmp_path / "m.npz", tmp_path / "s")
    assert store.info["layout"] == "medmnist"
    assert store.index["part"].to_list() == ["train"] * 7 + ["val"] * 2 + ["test"] * 3
    order = ("train", "val", "test")
    np.testing.assert_array_equal(
        store.patches, np.concatenate([parts[f"{p}_images"] for p in order])
    )
    labels = np.concatenate([parts[f"{p}_labels"][:, 0] for p in order])
    assert store.labels.tolist() == labels.tolist()


def test_labels_that_begin_with_1_and_arrays_beside_them(tmp_path):
    images = np.zeros((4, 4, 4), np.uint8)
    np.savez(tmp_path / "m.npz", images=images, labels=[1, 2, 1, 2], patients=[7, 7, 8, 8])
    store = pack(tmp_path / "m.npz", tmp_path / "s")
    assert (store.classes, store.labels.tolist()) == (("1", "2"), [0, 1, 0, 1])
    assert "arrays that are not used: patients.npy" in store.info["notes"][0]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"train_images": np.array([{}] * 2), "train_labels": np.zeros(2, int)}, "object"),
        ({"train_images": np.zeros((2, 4, 4))}, "has train_images.npy but no labels"),
        ({"w": np.zeros(2)}, "no images and labels in pairs, .* it has w.npy"),
        ({"x": np.zeros(2)}, "has x.npy but no labels"),
        ({"train_images": np.zeros((2, 4, 4), np.uint8), "train_labels": np.zeros((2, 14), int)},
         "several labels"),
        ({"train_images": np.zeros((2, 4, 4, 28), np.uint8), "train_labels": np.zeros(2, int)},
         "1 to 4"),
        ({"train_images": np.zeros((2, 4, 4), np.uint8, "F"), "train_labels": np.zeros(2, int)},
         "column by column"),
    ],
)  # fmt: skip
def test_npz_that_cannot_be_packed(tmp_path, arrays, reason):
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(SourceError, match=reason):
        pack(tmp_path / "m.npz", tmp_path / "s")


def test_pcam(tmp_path):
    h5py = pytest.importorskip("h5py")
    folder = tmp_path / "pcam"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    for k, part in enumerate(("valid", "train")):
        stem = f"camelyonpatch_level_2_split_{part}"
        with h5py.File(folder / f"{stem}_x.h5", "w") as file:
            file["x"] = images[3 * k : 3 * k + 3]
        with h5py.File(folder / f"{stem}_y.h5", "w") as file:
            file["y"] = np.array([0, 1, 1], np.uint8).reshape(3, 1, 1, 1)
        (folder / f"{stem}_meta.csv").write_text(
            ",coord_y,coord_x,center_tumor_patch,wsi\n"
            + "".join(f"{j},{10 * j},{20 * j},True,slide_{part}\n" for j in range(3))
        )
    packed = folder / "camelyonpatch_level_2_split_train_x.h5"
    Path(f"{packed}.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    store = pack(folder, tmp_path / "out" / "s")
    assert store.classes == ("normal", "tumor")
    assert store.index["part"].to_list() == ["train"] * 3 + ["val"] * 3
    assert store.cases.tolist() == ["slide_train"] * 3 + ["slide_valid"] * 3
    assert store.index["x"].to_list() == [0, 20, 40] * 2
    np.testing.assert_array_equal(store.patches, np.concatenate([images[3:], images[:3]]))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s"]

    Path(f"{packed}.gz").write_bytes(zlib.compress(b"not gzip"))
    with pytest.raises(SourceError, match="cannot be read as HDF5"):
        pack(folder, tmp_path / "out" / "t")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s"]


def test_hdf5_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a_x.h5").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"eosin\[hdf5\]"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.tar", b"x" * 600, "is not a complete tar"),
        ("a.rar", b"x" * 600, "unpack it and pack the folder"),
        ("a.xlsx", b"PK" * 300, "save its table as CSV"),
        ("a.bin", b"\x7fELF", "neither a zip, a tar nor a folder"),
        ("a.zip", b"", "is not a complete zip"),
        ("a.npz", b"PK\x03\x04", "cannot be read as npz"),
        ("a.zip", b"PK\x05\x06" + bytes(18), "contains no images"),
    ],
)
def test_other_files(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=reason):
        open_source(tmp_path / name)


def test_wrong_requests(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        open_source(tmp_path / "none")
    with pytest.raises(SourceError, match="contains no images"):
        open_source(tmp_path)
    (tmp_path / "a.svs").write_bytes(b"II*")
    with pytest.raises(SourceError, match=r"no images .*here 1, such as a\.svs.: export their"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match=r"a\.svs is a whole slide"):
        open_source(tmp_path / "a.svs")
    (tmp_path / "a.svs").unlink()
    with pytest.raises(SourceError, match="there is no table that lists the images"):
        open_source(tmp_path, layout="manifest")
    (tmp_path / "1.png").write_bytes(png(1))
    with pytest.raises(SourceError, match=r"no known layout explains .* 1\.png"):
        open_source(tmp_path)
    for k in range(30):
        (tmp_path / "cases" / str(8000 + k)).mkdir(parents=True)
        (tmp_path / "cases" / str(8000 + k) / "1.png").write_bytes(png(1))
    with pytest.raises(SourceError, match="look like case numbers, not classes"):
        open_source(tmp_path / "cases")
