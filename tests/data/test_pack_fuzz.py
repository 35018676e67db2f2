"""Generated bad sources: each gives a valid store or an error in words, and leaves nothing else."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from eosin.data.digests import pixel_digests
from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.errors import EosinError

FORMS = ("PNG", "PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
SUFFIX = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "BMP": "bmp", "GIF": "gif", "WEBP": "webp"}


def image(rng: random.Random, form: str) -> bytes:
    mode = rng.choice(["RGB", "RGB", "L", "P", "RGBA"] if form in ("PNG", "TIFF") else ["RGB", "L"])
    size = rng.choice([(8, 8), (8, 8), (5, 8), (13, 9)])
    out = io.BytesIO()
    Image.frombytes("RGB", size, rng.randbytes(3 * size[0] * size[1])).convert(mode).save(out, form)
    return out.getvalue()


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Flip, cut, insert, repeat, zero or overwrite with a large number, one to four times."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not changed:
            break
        at, kind = rng.randrange(len(changed)), rng.randrange(6)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at:]
        elif kind == 2:
            changed[at:at] = rng.randbytes(rng.randint(1, 40))
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randint(1, 60)]
        elif kind == 4:
            changed[at : at + rng.randint(1, 30)] = b""
        else:
            changed[at : at + 4] = rng.choice([b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"\0" * 4])
    return bytes(changed)


def repaired(rng: random.Random, data: bytes) -> bytes:
    """A PNG with a wrong chunk body but right checksums: only the content is a lie."""
    position, out = 8, bytearray(data[:8])
    chosen = rng.choice([b"IHDR", b"IDAT", b"PLTE"])
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        body = data[position + 8 : position + 8 + length]
        if kind == chosen:
            if kind == b"IDAT" and rng.random() < 0.7:
                body = zlib.compress(mutate(rng, zlib.decompress(body)))
            else:
                body = mutate(rng, body)
        crc = struct.pack(">I", zlib.crc32(kind + body))
        out += struct.pack(">I", len(body)) + kind + body + crc
        position += 12 + length
    return bytes(out)


def idc_name(rng: random.Random, k: int) -> str:
    label = rng.randrange(2)
    nested = rng.choice(["", "", "IDC_regular_ps50_idx5/"])
    return f"{nested}{k % 3 + 1}/{label}/{k % 3 + 1}_idx5_x{k}1_y1_class{label}.png"


def make_zip(rng: random.Random, path: Path) -> None:
    layout = rng.choice(["idc", "folders"])
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    with zipfile.ZipFile(path, "w", method) as archive:
        for k in range(rng.randint(1, 6)):
            form = "PNG" if layout == "idc" else rng.choice(FORMS)
            data = image(rng, form)
            roll = rng.random()
            if roll < 0.35:
                data = mutate(rng, data)
            elif roll < 0.5 and form == "PNG":
                data = repaired(rng, data)
            name = idc_name(rng, k) if layout == "idc" else f"{'ab'[k % 2]}/{k}.{SUFFIX[form]}"
            if rng.random() < 0.05:
                name = rng.choice(["../", "/", "C:/", "a/../", "\n", "é"]) + name
            archive.writestr(name, data)
    if rng.random() < 0.6:
        path.write_bytes(mutate(rng, path.read_bytes()))
    if rng.random() < 0.2:
        # Two members change places by name, anywhere in the file.
        data = path.read_bytes()
        path.write_bytes(data.replace(b"_x01", b"_xQQ").replace(b"_x11", b"_x01"))


def make_folder(rng: random.Random, path: Path) -> None:
    for k in range(rng.randint(1, 5)):
        form = rng.choice(FORMS)
        data = image(rng, form)
        target = path / "ab"[k % 2] / f"{k}.{SUFFIX[form]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(mutate(rng, data) if rng.random() < 0.7 else data)


def make_npz(rng: random.Random, path: Path) -> None:
    arrays = {
        "train_images": np.zeros((3, 4, 4, 3), np.uint8),
        "train_labels": np.arange(3, dtype=rng.choice([np.uint8, np.int64]))[:, None],
    }
    save = rng.choice([np.savez, np.savez_compressed])
    if rng.random() < 0.2:
        arrays["train_images"] = np.array([{"a": 1}] * 3, dtype=object)
    save(path, **arrays)
    if rng.random() < 0.8:
        path.write_bytes(mutate(rng, path.read_bytes()))


def make_idx(rng: random.Random, path: Path) -> None:
    path.mkdir()
    images = struct.pack(">4B3I", 0, 0, 8, 3, 4, 5, 6) + rng.randbytes(120)
    labels = struct.pack(">4BI", 0, 0, 8, 1, 4) + bytes([0, 1, 2, 1])
    images, labels = rng.choice(
        [(mutate(rng, images), labels), (images, mutate(rng, labels)), (images, labels)]
    )
    if rng.random() < 0.5:
        (path / "train-images-idx3-ubyte").write_bytes(images)
        (path / "train-labels-idx1-ubyte").write_bytes(labels)
    else:
        packed = [gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0)]
        packed[0] = mutate(rng, packed[0])
        (path / "train-images-idx3-ubyte.gz").write_bytes(packed[0])
        (path / "train-labels-idx1-ubyte.gz").write_bytes(packed[1])


def make_manifest(rng: random.Random, path: Path) -> None:
    (path.parent / "p.png").write_bytes(image(rng, "PNG"))
    text = b"path,label,case,x,y\np.png,a,1,2,3\nq.png,b,2,,\n"
    path.write_bytes(mutate(rng, text))


def make_tar(rng: random.Random, path: Path) -> None:
    """A folder tree, a shard of WebDataset, or images with a table; often damaged."""
    form = rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    kind = rng.choice(["folders", "shard", "table"])
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", format=form) as archive:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if rng.random() < 0.05:
                member.type = rng.choice([tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.LNKTYPE])
                member.linkname, member.size = "/etc/passwd", 0
            archive.addfile(member, io.BytesIO(data))

        for k in range(4):
            name = f"{'ab'[k % 2]}/{k}" if kind == "folders" else f"{k}"
            if rng.random() < 0.05:
                name = rng.choice(["../", "/", "é" * 200]) + name
            add(f"{name}.png", image(rng, "PNG"))
            if kind == "shard":
                add(*rng.choice([(f"{name}.cls", b"1"), (f"{name}.json", b'{"label": "a"}')]))
        if kind == "table":
            add("t.csv", b"id;class\n0;a\n1;b\n2;a\n3;b\n")
    if rng.random() < 0.8:
        path.write_bytes(mutate(rng, path.read_bytes()))


def make_parquet(rng: random.Random, path: Path) -> None:
    images = [{"bytes": image(rng, "PNG"), "path": f"{k}.png"} for k in range(4)]
    table = pl.DataFrame({"image": images, "label": [0, 1, 0, None], "patient": list("abcd")})
    table.write_parquet(path, compression=rng.choice(["uncompressed", "zstd", "snappy"]))
    if rng.random() < 0.9:
        path.write_bytes(mutate(rng, path.read_bytes()))


MAKERS = {
    ".zip": (make_zip, 400),
    "": (make_folder, 120),
    ".npz": (make_npz, 80),
    "idx": (make_idx, 80),
    ".csv": (make_manifest, 40),
    ".tar": (make_tar, 120),
    ".tar.gz": (make_tar, 40),
    ".parquet": (make_parquet, 120),
}


def check_store(path: Path) -> None:
    store = PatchStore.open(path)
    assert len(store) > 0
    for patch, digest in zip(store.patches, store.index["digest"], strict=True):
        assert pixel_digests(patch[None]) == [digest]
    reasons = Counter(reject["reason"].partition(":")[0] for reject in store.info["rejects"])
    assert dict(reasons) == store.info["reject_reasons"]
    assert all(reject["reason"] for reject in store.info["rejects"])


@pytest.mark.parametrize("suffix", MAKERS)
def test_bad_sources_never_crash(suffix, tmp_path, capfd):
    make, count = MAKERS[suffix]
    outcomes: Counter[str] = Counter()
    said: list[str] = []
    for seed in range(count):
        rng = random.Random(f"{suffix}{seed}")
        folder = tmp_path / str(seed)
        folder.mkdir()
        source, target = folder / f"source{suffix}", folder / "out" / "made.store"
        make(rng, source)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        try:
            pack(source, target, max_rejects=rng.choice([0.0, 1.0]), workers=1,
                 fit=rng.choice(["pad", "resize", "reject"]))  # fmt: skip
        except EosinError as error:
            outcomes[type(error).__name__] += 1
            said.append(str(error))
            assert not list(folder.glob("out/*")), seed
        else:
            outcomes["packed"] += 1
            assert [path.name for path in folder.glob("out/*")] == ["made.store"], seed
            check_store(target)
        kept = {path: path.stat().st_mtime_ns for path in before if path.name != folder.name}
        assert kept == before, seed
    assert len(outcomes) > 1, outcomes
    assert [text for text in said if not text.isprintable() or len(text) > 1000] == []
    # Nothing below Python has spoken to the user.
    assert capfd.readouterr() == ("", ""), "a decoder printed"
