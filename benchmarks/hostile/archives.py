"""Zips, tars and folders of images, with lies about names, sizes and structure."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

from hostile import damage
from hostile.pictures import hostile_picture, picture

NAMES = (
    "../up.png", "/root.png", "a/../../b.png", "C:\\x.png", "a\\b.png", "a\0b.png", "", ".", "/",
    "x/" * 400 + "y.png", "n" * 300 + ".png", "a\nb.png", "\u202egnp.x.png", "CON.png", "é.png",
    "positive/", "positive", "90001/1/90001_idx5_x1_y1_class0.png", "~/x.png", "$HOME.png",
    "a//b///c.png",
    "\x1b[2J.png", "._0.png", "Thumbs.db", ".DS_Store", "labels.csv", "store.json", "MADE_UP.txt",
    "[red]x[/].png", "-o.png", "{}.png", "日本/語.png", "train/positive/x.png", "pos itive/ x .png",
)  # fmt: skip
LABELS = ("negative", "positive")


def members(rng: random.Random, cases: int = 3, each: int = 4) -> dict[str, bytes]:
    """Valid images, named as in the IDC archive, with cases and positions, or a folder a class."""
    made, idc = {}, rng.random() < 0.5
    for case in range(cases):
        for k in range(each):
            name = f"{LABELS[k % 2]}/{case}_{k}.png"
            if idc:
                where = f"90{case:03}/{k % 2}/90{case:03}_idx5"
                name = f"{where}_x{1 + 32 * k}_y1_class{k % 2}.png"
            made[name] = picture(rng)
    return made


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def hostile_zip(rng: random.Random) -> tuple[bytes, str]:
    """A zip with one thing wrong with it."""
    files = members(rng)
    draw = rng.randrange(12)
    if draw == 0:
        return damage.bytes_of(rng, zipped(files))
    if draw in (1, 2):
        names = rng.choices(NAMES, k=rng.choice((1, 3, 8)))
        stream = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
            warnings.simplefilter("ignore")
            for name, data in files.items():
                archive.writestr(name, data)
            for name in names:
                archive.writestr(zipfile.ZipInfo(name or "x"), picture(rng))
                if rng.random() < 0.3:
                    archive.writestr(zipfile.ZipInfo(name or "x"), picture(rng))
        return stream.getvalue(), f"members {names[:3]!r}"
    if draw == 3:
        inner = zipped(files)
        for _ in range(rng.choice((1, 2, 6))):
            inner = zipped({rng.choice(("in.zip", "a/b.zip", "c.tar", "x.npz")): inner},
                           rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))  # fmt: skip
        if rng.random() < 0.4:
            return damage.bytes_of(rng, inner)[0], "nested, damaged"
        return inner, "nested"
    if draw == 4:
        big = b"\0" * (64 << 20)
        name = rng.choice(("positive/big.png", "labels.csv", "in.zip", "x.jsonl", "a.parquet"))
        return zipped({**files, name: rng.choice((b"", picture(rng))) + big}), f"64 MB in {name}"
    if draw == 5:
        suffix, data, words = hostile_picture(rng)
        return zipped({**files, f"positive/9{suffix}": data}), words
    if draw == 6:
        method = rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED))
        made = zipped(files, method)
        return (damage.bytes_of(rng, made)[0] if rng.random() < 0.5 else made), f"method {method}"
    if draw == 7:
        table = rng.choice((b"path,label\n", b"path,label,case\npositive/0_1.png,x,\n",
                            b"\xff\xfe\0", b"a,b\n" * 1000,
                            b'path,label\n"' + b"x" * 9000))  # fmt: skip
        return zipped({**files, rng.choice(("labels.csv", "a/t.tsv", "t.jsonl")): table}), "a table"
    if draw == 8:
        return zipped({}), "nothing in it"
    return _records(rng, zipped(files))


def _records(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Lies in the headers of members, in the list at the end, or in its end record."""
    changed, done = bytearray(data), []
    end = data.rfind(b"PK\x05\x06")
    start = struct.unpack("<I", data[end + 16 : end + 20])[0]
    entries, at = [], start
    while data[at : at + 4] == b"PK\x01\x02":
        entries.append(at)
        lengths = struct.unpack("<HHH", data[at + 28 : at + 34])
        at += 46 + sum(lengths)
    for _ in range(rng.choice((1, 1, 2, 5))):
        entry = rng.choice(entries)
        local = struct.unpack("<I", data[entry + 42 : entry + 46])[0]
        field, width, base = rng.choice(
            (("flags", 2, entry + 8), ("method", 2, entry + 10), ("crc", 4, entry + 16),
             ("packed size", 4, entry + 20), ("size", 4, entry + 24), ("name length", 2,
                                                                       entry + 28),
             ("extra length", 2, entry + 30), ("disk", 2, entry + 34), ("attributes", 4,
                                                                        entry + 38),
             ("offset", 4, entry + 42), ("own flags", 2, local + 6), ("own method", 2, local + 8),
             ("own size", 4, local + 22), ("own name length", 2, local + 26),
             ("own extra length", 2, local + 28), ("count", 2, end + 10), ("list size", 4,
                                                                           end + 12),
             ("list offset", 4, end + 16), ("comment length", 2, end + 20))
        )  # fmt: skip
        other = rng.choice(entries)
        values = (*damage.NUMBERS, 1 << 3, 9, 12, 14, 93, 99, len(data), local, other)
        value = rng.choice(values) & (256**width - 1)
        changed[base : base + width] = value.to_bytes(width, "little")
        done.append(f"{field} is {value:#x}")
    if rng.random() < 0.1:
        far = rng.choice((2**63, 2**40, len(data)))
        extra = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, far, far, far, far)
        where = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
        changed[end:end] = extra + where
        done.append("zip64 records")
    return bytes(changed), "; ".join(done)


def hostile_tar(rng: random.Random) -> tuple[str, bytes, str]:
    """(suffix, bytes, what was done) of a tar, plain or packed; some are WebDataset shards."""
    stream, words = io.BytesIO(), []
    webdataset = rng.random() < 0.4
    kind = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
        for k, (name, data) in enumerate(members(rng).items()):
            if webdataset:
                side = damage.json_of(rng, '{"label": "positive", "case": "9"}')[0]
                plain = b'{"label": "%s", "case": "%d"}' % (LABELS[k % 2].encode(), k)
                _add(archive, f"{k:05}.png", data)
                chosen = side if rng.random() < 0.2 else plain
                _add(
                    archive, f"{k:05}.{rng.choice(('json', 'json', 'json', 'cls', 'txt'))}", chosen
                )
            else:
                _add(archive, name, data)
        for _ in range(rng.choice((0, 0, 1, 3))):
            info = tarfile.TarInfo(rng.choice(NAMES)[:90] or "x")
            info.type = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
                                    tarfile.FIFOTYPE, tarfile.DIRTYPE, b"9"))  # fmt: skip
            info.linkname = rng.choice(("/etc/hostname", "../../x", "positive/0_1.png", "."))
            words.append(f"{info.name[:20]!r} of type {info.type!r}")
            archive.addfile(info)
    data = stream.getvalue()
    draw = rng.random()
    if draw < 0.35:
        data, done = _tar_header(rng, data)
        words.append(done)
    elif draw < 0.6:
        data, done = damage.bytes_of(rng, data)
        words.append(done)
    suffix, pack = rng.choice(((".tar", None), (".tar", None), (".tar.gz", gzip.compress),
                               (".tar.bz2", bz2.compress), (".tar.xz", lzma.compress),
                               (".tgz", gzip.compress)))  # fmt: skip
    if pack is not None:
        data = pack(data)
        if rng.random() < 0.4:
            data, done = damage.bytes_of(rng, data)
            words.append(f"packed: {done}")
    if rng.random() < 0.03:
        data, suffix = gzip.compress(b"\0" * (256 << 20), 6), ".tar.gz"
        words = ["256 MB of zeros, packed"]
    return suffix, data, f"{suffix} {'; '.join(words)}"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _tar_header(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """A field of one member's header replaced, with a right checksum."""
    starts = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    if not starts:
        return damage.bytes_of(rng, data)
    at = rng.choice(starts)
    header = bytearray(data[at : at + 512])
    name, place, width = rng.choice(
        (("size", 124, 12), ("mode", 100, 8), ("type", 156, 1), ("name", 0, 100), ("link", 157,
                                                                                   100),
         ("mtime", 136, 12), ("prefix", 345, 100), ("size", 124, 12))
    )  # fmt: skip
    value = rng.choice(
        (b"77777777777", b"-0000000001", b"\x80" + b"\xff" * 10, b"\xff" * 12, b"", b"abc", b"x",
         b"L",
         b"g", b"S", b"K", b"00000000000", b"../../../x.png", b"\xc3\x28.png", b"00000000777")
    )[:width]  # fmt: skip
    header[place : place + width] = value.ljust(width, b"\0")
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:at] + bytes(header) + data[at + 512 :], f"{name} is {value[:14]!r}"


def hostile_tree(rng: random.Random, folder: Path) -> str:
    """A folder of images with odd names, links, pipes and depths; what is odd about it."""
    for name, data in members(rng).items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    done = []
    for _ in range(rng.choice((1, 1, 2, 4))):
        parent = rng.choice([each for each in (folder, *folder.rglob("*")) if each.is_dir()])
        draw = rng.randrange(10)
        if draw == 0:
            name = b"bad-\xff\xfe.png"
            with open(os.path.join(os.fsencode(parent), name), "wb") as file:
                file.write(picture(rng))
            done.append("a name that is not UTF-8")
        elif draw == 1:
            target = rng.choice(("/etc/hostname", "/dev/zero", ".", "..", "nowhere",
                                 "/proc/self/mem",
                                 "0_0.png", "loop.png"))  # fmt: skip
            (parent / "loop.png").unlink(missing_ok=True)
            os.symlink(target, parent / "loop.png")
            done.append(f"a link to {target}")
        elif draw == 2:
            pipe = parent / rng.choice(("pipe.png", "labels.csv", "store.json", "x.tar"))
            if not os.path.lexists(pipe):
                os.mkfifo(pipe)
            done.append("a pipe")
        elif draw == 3:
            deep = parent.joinpath(*["d"] * 60)
            deep.mkdir(parents=True, exist_ok=True)
            (deep / "x.png").write_bytes(picture(rng))
            done.append("60 folders deep")
        elif draw == 4:
            (parent / "is-a-folder.png").mkdir(exist_ok=True)
            done.append("a folder named as an image")
        elif draw == 5:
            for name in ("Ä.png", "A\u0308.png", "a.PNG", "A.png", " .png", "\n.png", "*.png"):
                (parent / name).write_bytes(picture(rng))
            done.append("names that differ little")
        elif draw == 6:
            table = rng.choice((b"", b"path,label\n", b"path,label\nx.png,1\n", rng.randbytes(300)))
            (parent / rng.choice(("labels.csv", "list.tsv", "all.parquet"))).write_bytes(table)
            done.append("a table beside them")
        elif draw == 7:
            suffix, data, words = hostile_picture(rng)
            (parent / f"z{suffix}").write_bytes(data)
            done.append(words)
        elif draw == 8:
            place = parent / rng.choice(("t.npz", "x_x.h5", "train-images-idx3-ubyte", "in.zip"))
            place.write_bytes(rng.randbytes(99))
            done.append("another kind beside them")
        else:
            (folder / "empty").mkdir(exist_ok=True)
            (parent / "third").mkdir(exist_ok=True)
            done.append("empty folders")
    return "; ".join(done)


def crc(data: bytes) -> int:
    """The checksum a zip has of its members."""
    return zlib.crc32(data)
