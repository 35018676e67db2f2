"""Tar files in place, and WebDataset's shards."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eosin.data.pack import pack
from eosin.errors import ImageError, SourceError
from eosin.sources.detect import open_source
from eosin.sources.tars import TarFiles


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2"])
def test_a_tar_of_folders(tmp_path: Path, suffix: str) -> None:
    members = {f"./data/{'ab'[k % 2]}/{k}.png": png(k) for k in range(6)}
    mode = {".tar": "w", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}.get(suffix, "w:gz")
    path = write_tar(tmp_path / f"t{suffix}", members, mode)
    store = pack(path, tmp_path / "out" / "s")
    assert store.info["layout"] == "folders"
    assert store.classes == ("a", "b")
    assert store.patches[:, 0, 0, 0].tolist() == [0, 2, 4, 1, 3, 5]
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["s"]


def test_a_table_in_a_tar(tmp_path: Path) -> None:
    members = {"i/1.png": png(1), "i/2.png": png(2), "t.csv": b"id,class\n1,b\n2,a\n"}
    store = pack(write_tar(tmp_path / "t.tar", members), tmp_path / "s")
    assert (store.classes, store.labels.tolist()) == (("a", "b"), [1, 0])


def test_members_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("a/l.png", tarfile.SYMTYPE), ("a/h.png", tarfile.LNKTYPE),
                           ("a/d.png", tarfile.CHRTYPE)):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        for name, data in (("a/1.png", png(1)), ("../a/2.png", png(2)), ("/a/3.png", png(3)),
                           ("a/1.png", png(4)), ("a/0.png", b""), ("b/5.png", png(5))):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    plan = open_source(path)
    reasons = dict(plan.rejects)  # type: ignore[union-attr]
    assert {name: why.partition(":")[0] for name, why in reasons.items()} == {
        "a/l.png": "link", "a/h.png": "link", "a/d.png": "not a file",
        "../a/2.png": "unsafe name", "/a/3.png": "unsafe name", "a/1.png": "duplicate name",
    }  # fmt: skip
    plan.close()
    files = TarFiles(path, max_bytes=10)
    with pytest.raises(ImageError, match="too many bytes"):
        files.read(files.names.index("b/5.png"))
    with pytest.raises(ImageError, match="empty"):
        files.read(files.names.index("a/0.png"))
    files.close()


def test_sizes_that_lie(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", {"a/1.png": png(1), "b/2.png": png(2)})
    whole = path.read_bytes()
    for cut in (700, 1030, 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(SourceError, match=r"is not a complete tar"):
            open_source(path)
    path.write_bytes(whole.rstrip(b"\0") + bytes(4096) + whole)
    with pytest.raises(SourceError, match="has more after its end"):
        open_source(path)
    # A negative size would lead back to the first member, again and again.
    member = tarfile.TarInfo("a/1.png")
    member.size = -1024
    head = member.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(whole[:1024] + head + whole[1024:])
    with pytest.raises(SourceError):
        open_source(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"is not a complete tar"):
        open_source(path)


@pytest.mark.parametrize("kind", ["cls", "json", "txt"])
def test_shards(tmp_path: Path, kind: str) -> None:
    text = {"cls": "1", "json": '{"class": "b", "patient_id": "P%d", "age": 5}', "txt": "b"}
    for part in ("test", "train"):
        members = {}
        for k in range(3):
            key = f"{part}{k}"
            members[f"{key}.png"] = png(k)
            label = text[kind].replace("%d", str(k)).replace("1", str(k % 2))
            members[f"{key}.{kind}"] = label.replace('"b"', f'"{"ab"[k % 2]}"').encode()
            if kind == "txt":
                members[f"{key}.txt"] = b"ab"[k % 2 : k % 2 + 1]
        write_tar(tmp_path / f"{part}-000000.tar", members)
    store = pack(tmp_path, tmp_path / "out")
    assert store.info["layout"] == "webdataset"
    assert store.classes == (("0", "1") if kind == "cls" else ("a", "b"))
    assert store.labels.tolist() == [0, 1, 0] * 2
    assert store.index["part"].to_list() == ["train"] * 3 + ["test"] * 3
    assert store.index["source"][0] == "train-000000.tar/train0.png"
    if kind == "json":
        assert store.cases.tolist() == ["P0", "P1", "P2"] * 2
        assert store.info["table"]["unused"] == ["age"]


def test_shards_that_cannot_be_packed(tmp_path: Path) -> None:
    cases = {
        "has 2 images": {"a.x.png": png(1), "a.y.png": png(2), "a.cls": b"1"},
        r"a\.json in .* cannot be read": {"a.png": png(1), "a.json": b"{"},
        "a label has": {"a.png": png(1), "a.cls": bytes(2 << 20)},
        "none is the label": {"a.png": png(1), "a.txt": b"many words " * 20},
    }
    for reason, members in cases.items():
        with pytest.raises(SourceError, match=reason):
            open_source(write_tar(tmp_path / "t.tar", members))


def test_a_packed_tar_that_does_not_fit_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(tmp_path / "t.tar.gz", {"a/1.png": bytes(4 << 20)}, "w:gz")
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(SourceError, match="more than half of the free disk space"):
        pack(path, tmp_path / "out" / "s")
    assert not list(tmp_path.glob("out/*"))
