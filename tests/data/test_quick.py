"""The quick way of packing gives what the plain way gives, and refuses no less."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eosin.data import chunks
from eosin.data.decode import png_header, read_png, unfilter
from eosin.data.pack import pack
from eosin.data.quick import quick_rows
from eosin.errors import ImageError
from eosin.sources import inflate
from eosin.sources.archives import Run, ZipFiles


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(raw: bytes, *, size: int = 4, before: bytes = b"", after: bytes = b"") -> bytes:
    packed = chunk(b"IDAT", zlib.compress(raw))
    return png_header(size, size) + before + packed + after + chunk(b"IEND", b"")


def rows_of(seed: int, size: int = 4) -> bytes:
    rng = np.random.default_rng(seed)
    return b"".join(bytes([rng.integers(5)]) + rng.bytes(3 * size) for _ in range(size))


def run_of(*files: bytes) -> Run:
    """The files in one block, with other bytes between them."""
    block, starts, stops = b"", [], []
    for data in files:
        block += b"PK"
        starts.append(len(block))
        block += data
        stops.append(len(block))
    return Run(block, list(range(len(files))), starts, stops)


def test_usual_files_are_read_together() -> None:
    raw = [rows_of(k) for k in range(5)]
    files = [
        png(raw[0]),
        png(raw[1], before=chunk(b"tIME", bytes(7)), after=chunk(b"tEXt", b"a\0b")),
        png(raw[2]) + b"what stands after the end is nobody's",
        png(raw[3], before=chunk(b"iCCP", b"x\0\0broken")),
        png(raw[4]),
    ]
    assert list(quick_rows(run_of(*files), 4, 4)) == raw
    assert list(quick_rows(run_of(*files), 4, 5)) == [None] * 5


RAW = rows_of(7)
GOOD = png(RAW)


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-12],
        GOOD[:-14],
        GOOD[:20],
        b"",
        GOOD[:45] + b"\xff" + GOOD[46:],
        GOOD[:17] + b"\xff" + GOOD[18:],
        GOOD[:-1] + b"\0",
        png(RAW[:-1]),
        png(RAW + b"\0"),
        png(bytes(3_000_000)),
        png(RAW, before=chunk(b"QUUX", b"")),
        png(RAW, before=chunk(b"1abc", b"")),
        png(RAW, before=chunk(b"PLTE", bytes(6))),
        png(RAW, before=chunk(b"tRNS", bytes(6))),
        png(RAW, after=chunk(b"IDAT", b"")),
        png_header(4, 4) + chunk(b"IEND", b""),
        png_header(4, 4) + chunk(b"IDAT", b"nonsense") + chunk(b"IEND", b""),
        png_header(4, 4) + chunk(b"IDAT", zlib.compress(RAW)[:-4]) + chunk(b"IEND", b""),
        png_header(4, 4) + b"\xff\xff\xff\xffIDAT" + zlib.compress(RAW),
    ],
)
def test_all_else_is_left_to_the_plain_way(data: bytes) -> None:
    """Between two good ones, which suffer nothing."""
    assert list(quick_rows(run_of(GOOD, data, GOOD), 4, 4)) == [RAW, None, RAW]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_what_the_quick_way_takes_the_plain_way_takes(seed: int) -> None:
    """One to three bytes of a good file are changed, cut or doubled."""
    rng = np.random.default_rng(seed)
    data = bytearray(png(rows_of(seed % 9), before=chunk(b"tIME", bytes(7))))
    for _ in range(rng.integers(0, 4)):
        at = int(rng.integers(len(data)))
        how = rng.integers(3)
        if how == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 1:
            del data[at:]
            data += b"\0" * 8
        else:
            data[at:at] = data[at : at + 4]
    found = next(quick_rows(run_of(bytes(data)), 4, 4))
    if data[:8] != GOOD[:8]:  # no PNG: read_png is not asked
        assert found is None
        return
    try:
        plain = read_png(bytes(data))
        expected = plain.rows if plain.plain and (plain.height, plain.width) == (4, 4) else None
    except ImageError:
        expected = None
    # A file of several pixel chunks is whole, but not usual.
    assert found == expected or (found is None and data.count(b"IDAT") > 1)


def test_inflating_exactly_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(200)) * 3
    packed = zlib.compress(data)
    raw = packed[2:-4]
    wrong_sum = packed[:-1] + bytes([packed[-1] ^ 1])
    if inflate._LIBRARY is not None:
        assert inflate.zlib_exactly(packed, 600) == data
        assert inflate.zlib_exactly(packed + b"tail", 600) == data
        assert inflate.deflate_exactly(raw, 600) == data
    for bad, size in ((packed, 599), (packed, 601), (packed, 0), (packed, 10**9), (wrong_sum, 600),
                      (packed[:-1], 600), (b"", 600), (raw, 600)):  # fmt: skip
        assert inflate.zlib_exactly(bad, size) is None
    assert zlib.decompress(inflate.stored(data)) == data
    monkeypatch.setattr(inflate, "_LIBRARY", None)
    assert inflate.zlib_exactly(packed, 600) is inflate.deflate_exactly(raw, 600) is None
    assert zlib.decompress(inflate.stored(data)) == data


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_neighbors_of_a_zip_are_what_reading_them_gives(method: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = [0, 1, 900, 5000, 600_000, 700_000, 30, 2_000_000, 44]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for k, size in enumerate(sizes):
            # Some with an extra field that is longer than what is guessed.
            info = zipfile.ZipInfo(f"{k}-ä.png")
            info.compress_type = method
            extra = 90 if k == 6 else 20
            info.extra = struct.pack("<2H", 0xCAFE, extra) + bytes(extra)
            archive.writestr(info, rng.bytes(size))
    with closing(ZipFiles(tmp_path / "a.zip", max_bytes=1_000_000)) as files:
        wanted = [5, 8, 2, 1, 0, 3, 4, 6, 7]
        found = {}
        for run in files.runs(wanted):
            for slot, a, b in zip(run.slots, run.starts, run.stops, strict=True):
                found[wanted[slot]] = bytes(run.block[a:b])
        assert all(data == files.read(k) for k, data in found.items())
        together = method == zipfile.ZIP_STORED or (
            method == zipfile.ZIP_DEFLATED and inflate._LIBRARY is not None
        )
        # 6 is the last of its run and longer than was guessed, 7 too large, 0 empty.
        assert set(found) == ({1, 2, 3, 4, 5, 8} if together else set())


def test_a_damaged_member_is_left_out_of_its_run(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(4):
            archive.writestr(f"{k}.png", bytes([k + 1]) * 100)
    data = bytearray(path.read_bytes())
    data[data.index(b"\x02" * 100) + 50] = 0
    data[data.index(b"PK\x03\x04", data.index(b"\x03" * 100))] = 0
    path.write_bytes(data)
    with closing(ZipFiles(path)) as files:
        assert [slot for run in files.runs(range(4)) for slot in run.slots] == [0, 2]
        with pytest.raises(ImageError, match="wrong checksum in the zip"):
            files.read(1)


def archive_of(path: Path, method: int) -> Path:
    """Usual files, nested copies, edge patches, gray ones, and five that must be refused."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", method) as archive:
        for k in range(60):
            height = 5 if k % 11 == 3 else 8
            image = Image.fromarray(rng.integers(0, 256, (height, 8, 3), np.uint8))
            out = io.BytesIO()
            (image.convert("L") if k % 13 == 5 else image).save(out, "PNG")
            data = out.getvalue()
            if k % 12 == 7:
                cut = {7: 30, 19: 60, 31: 80}.get(k, 70)
                data = data[:cut] + bytes([data[cut] ^ 9]) + data[cut + 1 :]
            for above in ("", "IDC_regular_ps50_idx5/")[: 2 if k % 2 else 1]:
                archive.writestr(f"{above}{k % 4}/0/{k % 4}_idx5_x{k}_y1_class0.png", data)
        # A row filter that PNG does not know: only unfiltering finds it, in a group of many.
        rows = b"".join([b"\0" + bytes(24)] * 7 + [b"\x07" + bytes(24)])
        archive.writestr("9/1/9_idx5_x1_y1_class1.png", png(rows, size=8))
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_quick_plain_and_without_the_library_make_the_same_store(
    method: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = archive_of(tmp_path / "a.zip", method)
    quick = pack(source, tmp_path / "quick", max_rejects=20)
    assert quick.info["rejects_count"] == 6
    assert "corrupt: unknown PNG row filter" in str(quick.info["rejects"])
    monkeypatch.setattr(inflate, "_LIBRARY", None)
    monkeypatch.setattr(inflate, "_crc32", zlib.crc32)
    without = pack(source, tmp_path / "without", max_rejects=20)
    monkeypatch.setattr(chunks, "_usual_rows", lambda plan, start, stop, _: [None] * (stop - start))
    plain = pack(source, tmp_path / "plain", max_rejects=20)
    for file in ("patches.npy", "index.parquet", "store.json"):
        contents = {(s.path / file).read_bytes() for s in (quick, without, plain)}
        assert len(contents) == 1, file


def test_an_unknown_row_filter_is_refused_before_opencv_sees_it() -> None:
    with pytest.raises(ImageError, match="unknown PNG row filter"):
        unfilter([RAW, b"\x09" + RAW[1:]], 4, 4)
