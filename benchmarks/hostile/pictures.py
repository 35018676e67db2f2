"""Image files of many formats and modes, valid at first, then with lies in their structure."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

from hostile import damage

#: Format -> modes that Pillow writes in it.
FORMATS = {
    "png": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "jpeg": ("RGB", "L", "CMYK"),
    "tiff": ("RGB", "RGBA", "L", "P", "1", "I;16", "F", "CMYK", "I", "LAB"),
    "bmp": ("RGB", "L", "P", "1"),
    "webp": ("RGB", "RGBA"),
    "gif": ("P", "L"),
    "ppm": ("RGB", "L"),
}
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "bmp": ".bmp", "webp": ".webp"}


def picture(rng: random.Random, size: tuple[int, int] = (32, 32), kind: str = "png",
            mode: str = "RGB") -> bytes:  # fmt: skip
    """A valid file of noise in colors like a stain's; size: (width_px, height_px)."""
    width, height = size
    tint = np.array([rng.randrange(120, 240), rng.randrange(60, 160), rng.randrange(120, 220)])
    draw = np.random.default_rng(rng.randrange(2**32))
    pixels = np.clip(tint + draw.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    elif mode == "LAB":
        image = Image.fromarray(pixels, "RGB").convert("HSV").convert("RGB")
    elif mode != "RGB":
        image = image.convert(mode)
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def hostile_picture(rng: random.Random) -> tuple[str, bytes, str]:
    """(suffix, bytes, what was done) of a picture of any format, mode and size, mostly damaged."""
    kind = rng.choice(list(FORMATS))
    mode = rng.choice(FORMATS[kind])
    size = rng.choice(((32, 32), (32, 32), (32, 32), (1, 1), (31, 33), (64, 32), (3, 500)))
    data = picture(rng, size, kind, mode)
    suffix = SUFFIXES.get(kind, ".png")
    words = f"{kind} {mode} {size[0]}x{size[1]}"
    draw = rng.random()
    if draw < 0.1:
        return suffix, data, words
    if draw < 0.16:
        return rng.choice((".png", ".jpg", ".tif", ".bmp")), data, f"{words} under any suffix"
    if draw < 0.2:
        text = rng.choice(
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!doctype html>", b"%PDF-1.7\n",
             b"P6\n99999999 99999999\n255\n", b"P5 1 1 255 ", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff",
             b"BM", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\xff\xff\xff\xffWEBP", b"GIF89a")
        )  # fmt: skip
        return ".png", text, f"only {text[:12]!r}"
    lies = {"png": _png, "jpeg": _jpeg, "tiff": _tiff, "bmp": _bmp, "webp": _webp}
    if kind in lies and draw < 0.65:
        data, done = lies[kind](rng, data)
    else:
        data, done = damage.bytes_of(rng, data)
    return suffix, data, f"{words}: {done}"


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG chunk with a right checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at + 8 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _png(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    parts = _chunks(data)
    width, height, depth, color, *rest = struct.unpack(">IIBBBBB", parts[0][1])
    zeros = zlib.compress(b"\0" * (8 << 20), 9)
    draw = rng.randrange(9)
    words = "IHDR"
    if draw < 3:
        width = rng.choice((width, width + 1, 0, 1, 60_000, 2**31 - 1, 2**32 - 1))
        height = rng.choice((height, height + 1, 0, 60_000, 2**31 - 1, 2**32 - 1))
        depth, color = rng.choice(((depth, color), (16, 6), (1, 3), (99, color), (depth, 5)))
        parts[0] = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, *rest))
        words += f" {width}x{height} depth {depth} color {color}"
    elif draw == 3:
        at = rng.randrange(len(parts))
        name = parts[at][0].decode("latin-1")
        parts[at : at + 1] = [] if rng.random() < 0.5 else [parts[at]] * rng.choice((2, 300))
        words = f"chunk {name} gone or repeated"
    elif draw == 4:
        rng.shuffle(parts)
        words = "chunks in disorder"
    elif draw == 5:
        name = rng.choice((b"zTXt", b"iCCP", b"iTXt"))
        head = b"a\0\0" if name != b"iTXt" else b"a\0\1\0\0\0"
        parts.insert(1, (name, head + zeros))
        words = f"{name.decode()} of 8 MB zeros"
    elif draw == 6:
        made = rng.choice(((b"PLTE", b"\0" * 3 * 300), (b"PLTE", b"\0\0"), (b"tRNS", b"\xff" * 400),
                           (b"acTL", struct.pack(">II", 2**31, 0)), (b"gAMA", b"\0" * 4),
                           (b"eXIf", b"MM\0*" + b"\xff" * 60), (b"IDAT", b"")))  # fmt: skip
        parts.insert(1, made)
        words = f"a strange {made[0].decode()}"
    elif draw == 7:
        body = rng.choice((zeros, b"", zlib.compress(b"\x05" * 4000), b"\x78\x9c" + b"\xff" * 200))
        parts = [(name, body if name == b"IDAT" else old) for name, old in parts]
        words = "IDAT of other data"
    else:
        info = PngImagePlugin.PngInfo()
        info.add_text("x" * 79, "y" * 70_000)
        stream = io.BytesIO()
        Image.open(io.BytesIO(data)).save(stream, "png", pnginfo=info)
        return stream.getvalue(), "long text"
    return data[:8] + b"".join(chunk(*part) for part in parts), words


def _jpeg(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    changed = bytearray(data)
    draw = rng.randrange(4)
    if at > 0 and draw < 2:
        height, width = (rng.choice((0, 1, 33, 4096, 65_500, 65_535)) for _ in "hw")
        changed[at + 5 : at + 9] = struct.pack(">HH", height, width)
        return bytes(changed), f"SOF {width}x{height}"
    if at > 0 and draw == 2:
        changed[at + 4] = rng.choice((0, 2, 12, 16, 255))
        changed[at + 9] = rng.choice((0, 1, 2, 4, 5, 255))
        return bytes(changed), "SOF depth and components"
    more = rng.choice((b"\xff\xe1\xff\xffExif\0\0MM\0*", b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\x02",
                       b"\xff\xe1\0\x02", b"\xff\xc4\0\x02", b"\xff\xdb\0\x03\x10",
                       b"\xff\xfe\0\x02" * 4000))  # fmt: skip
    return data[:2] + more + data[2:], f"segment {more[:2].hex()}"


def _tiff(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    start = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[start : start + 2])[0]
    changed, done = bytearray(data), []
    for _ in range(rng.choice((1, 1, 2))):
        at = start + 2 + 12 * rng.randrange(max(count, 1))
        if at + 12 > len(data):
            break
        tag = struct.unpack("<H", changed[at : at + 2])[0]
        draw = rng.randrange(5)
        if draw < 3:
            value = rng.choice(damage.NUMBERS)
            changed[at + 8 : at + 12] = struct.pack("<I", value)
            done.append(f"tag {tag} is {value}")
        elif draw == 3:
            changed[at + 4 : at + 8] = struct.pack("<I", rng.choice(damage.NUMBERS))
            done.append(f"tag {tag} of another count")
        else:
            changed[at + 2 : at + 4] = struct.pack("<H", rng.choice((0, 1, 2, 5, 12, 13, 16, 99)))
            done.append(f"tag {tag} of another type")
    end = start + 2 + 12 * count
    if rng.random() < 0.15 and end + 4 <= len(data):
        changed[end : end + 4] = struct.pack("<I", start)
        done.append("directories in a circle")
    return bytes(changed), "; ".join(done)


def _bmp(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    changed = bytearray(data)
    at = rng.choice((2, 10, 14, 18, 22, 26, 28, 30, 34, 46))
    value = rng.choice(damage.NUMBERS)
    changed[at : at + 4] = struct.pack("<I", value)
    return bytes(changed), f"field {at} is {value:#x}"


def _webp(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    changed = bytearray(data)
    at = rng.choice((4, 12, 16, 20, 23, 24, 26, 28))
    value = rng.choice(damage.NUMBERS)
    changed[at : at + 4] = struct.pack("<I", value)
    return bytes(changed), f"field {at} is {value:#x}"
