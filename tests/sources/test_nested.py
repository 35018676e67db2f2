"""Zips inside of zips and folders."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eosin.data.identity import origin_of
from eosin.data.pack import pack
from eosin.errors import SourceError
from eosin.sources.nested import open_files


def png(seed: int) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def patches(first: int = 0) -> dict[str, bytes]:
    return {f"{label}/{k}.png": png(first + 10 * j + k) for j, label in enumerate(("fat", "tumor"))
            for k in range(4)}  # fmt: skip


@pytest.mark.parametrize("outer", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("inner", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_in_a_zip_reads_as_its_members(tmp_path, inner, outer):
    members = patches()
    data = zipped({"download/data.zip": b"#!/bin/sh\n" + zipped(members, inner)}, outer)
    (tmp_path / "a.zip").write_bytes(data)
    files = open_files(tmp_path / "a.zip", scratch=tmp_path)
    names = [f"download/data.zip/{name}" for name in members]
    assert files.names == ["download/data.zip", *names]
    assert [files.read(k + 1) for k in range(8)] == list(members.values())
    slots = [slot for run in files.runs(range(1, 9)) for slot in run.slots]
    assert sorted(slots) == list(range(8))
    assert not files.same_bytes(1, 2)
    files.close()
    assert os.listdir(tmp_path) == ["a.zip"]
    (tmp_path / "plain.zip").write_bytes(zipped(members))
    first, second = (pack(tmp_path / name, tmp_path / name[0]) for name in ("a.zip", "plain.zip"))
    assert first.digest == second.digest


def test_several_zips_in_a_folder_keep_their_parts(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.zip").write_bytes(zipped(patches()))
    (source / "test.zip").write_bytes(zipped(patches(100)))
    (source / "preview.png").write_bytes(png(999))
    before = origin_of(source)
    store = pack(source, tmp_path / "s", max_rejects=1)
    assert store.info["reading"]["levels"] == "part/label"
    assert sorted(store.index["part"].to_list()) == ["test"] * 8 + ["train"] * 8
    assert [row["source"] for row in store.info["rejects"]] == ["preview.png"]
    (source / "test.zip").write_bytes(zipped(patches(200)))
    assert origin_of(source) != before


def test_zips_beside_images_are_not_read(tmp_path):
    source = tmp_path / "source"
    (source / "fat").mkdir(parents=True)
    (source / "fat" / "1.png").write_bytes(png(1))
    (source / "again.zip").write_bytes(zipped(patches()))
    store = pack(source, tmp_path / "s")
    assert len(store) == 1
    assert "not read: 1 zip(s) inside (again.zip)" in store.info["notes"][0]


def lying(data: bytes, field: int, value: int) -> bytes:
    """The first entry of the directory with another number of four bytes."""
    at = data.index(b"PK\x01\x02") + field
    return data[:at] + value.to_bytes(4, "little") + data[at + 4 :]


def deep(levels: int) -> bytes:
    data = zipped(patches())
    for _ in range(levels):
        data = zipped({"a.zip": data})
    return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped({"a.zip": zipped(patches())[:-40]}), r"s\.zip/a\.zip is not a complete zip"),
        (zipped({"a.zip": b""}), r"a\.zip is not a complete zip"),
        (zipped({"a.zip": zipped(patches())}, zipfile.ZIP_BZIP2), "unsupported compression"),
        (zipped({"a.zip": bytes(9_000_000)}, zipfile.ZIP_DEFLATED), "declares 9,000,000 bytes"),
        (lying(zipped({"a.zip": zipped(patches())}, zipfile.ZIP_DEFLATED), 24, 99),
         "has not the 99 bytes that it declares"),
        (lying(zipped({"a.zip": zipped(patches())}, zipfile.ZIP_DEFLATED), 42, 7),
         "no zip member where the directory lists it"),
        (deep(4), "a zip inside of 3 zips"),
    ],
)  # fmt: skip
def test_zips_inside_that_cannot_be_read(tmp_path, data, reason):
    (tmp_path / "s.zip").write_bytes(data)
    with pytest.raises(SourceError, match=reason):
        pack(tmp_path / "s.zip", tmp_path / "out" / "s")
    assert [path.name for path in tmp_path.rglob("*")] in (["s.zip"], ["s.zip", "out"],
                                                           ["out", "s.zip"])  # fmt: skip


def test_a_zip_three_deep_is_read(tmp_path):
    (tmp_path / "s.zip").write_bytes(deep(3))
    assert len(pack(tmp_path / "s.zip", tmp_path / "s")) == 8


def test_a_full_disk_is_known_before(tmp_path, monkeypatch):
    (tmp_path / "s.zip").write_bytes(zipped({"a.zip": zipped(patches())}, zipfile.ZIP_DEFLATED))
    monkeypatch.setattr("eosin.sources.nested._free_bytes", lambda folder: 10)
    with pytest.raises(SourceError, match="10 free; unpack it elsewhere"):
        pack(tmp_path / "s.zip", tmp_path / "t")
    assert [path.name for path in Path(tmp_path).iterdir()] == ["s.zip"]
