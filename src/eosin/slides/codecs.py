"""The bytes of a tile to pixels, for the kinds that are known for certain."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.errors import SlideError, needing
from eosin.slides.slide import WHITE, Known, Pixels
from eosin.slides.tags import Page

Decode = Callable[[bytes, int], tuple[Pixels, Known | None]]

#: TIFF's number of a compression -> its name. 33003 keeps YCbCr planes, which OpenSlide knows.
NAMES = {
    1: "none", 5: "LZW", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate",
    33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34925: "LZMA", 34887: "LERC",
    50000: "zstd", 50001: "WebP", 50002: "JPEG XL",
}  # fmt: skip
#: imagecodecs' decoders of bytes, which are then pixels row by row.
_PLAIN = {
    5: "lzw", 8: "zlib", 32773: "packbits", 32946: "zlib", 34925: "lzma", 50000: "zstd",
}  # fmt: skip
_PICTURES = {33005: "jpeg2k", 34712: "jpeg2k", 34887: "lerc", 50001: "webp", 50002: "jpegxl"}
_WITH_PREDICTOR = (5, 8, 32946, 34925, 50000)
#: The largest tile that is decoded, in pixels on a side: 8192 of them are 200 MB.
MOST_TILE_PX = 8192

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
#: Frame headers of a JPEG: baseline, extended and progressive, by Huffman codes.
_FRAMES = (0xC0, 0xC1, 0xC2)


def refusal(page: Page) -> str:
    """Why the pixels of this picture are not decoded here; "" where they are."""
    checks: list[tuple[bool, str]] = [
        (page.tile_px is None, "it is not in tiles"),
        (min(page.size_px) < 1, "it has no pixels"),
        (page.tile_px is not None and min(page.tile_px) < 1, "its tiles have no pixels"),
        (page.tile_px is not None and max(page.tile_px) > MOST_TILE_PX, "its tiles are too large"),
        (page.orientation != 1, f"it is turned (Orientation {page.orientation})"),
        (page.fill_order != 1, "its bits are in the other order"),
        (page.depth != 1, "it is a volume"),
        (set(page.bits) != {8} or page.sample_format != 1, f"{max(page.bits)} bits a sample"),
        (page.planar != 1 and page.samples > 1, "its colors are in separate planes"),
        (len(page.offsets) != page.grid[0] * page.grid[1]
         or len(page.counts) != len(page.offsets), "the number of its tiles does not fit its size"),
    ]  # fmt: skip
    problem = next((why for wrong, why in checks if wrong), "")
    return problem or _color_problem(page)


def _color_problem(page: Page) -> str:
    kind, samples = page.compression, page.samples
    alpha = samples in (2, 4)
    if kind not in NAMES or kind == 33003:
        return f"compression {NAMES.get(kind, '')} {kind}".replace("  ", " ")
    if page.photometric not in {1: (1,), 2: (1,), 3: (2, 6), 4: (2,)}.get(samples, ()):
        return f"photometric {page.photometric} with {samples} samples a pixel"
    if page.photometric == 6 and kind != 7:
        return f"YCbCr in {NAMES[kind]}"
    if alpha and page.extra not in ((1,), (2,)):
        return "a fourth sample that is not said to be alpha"
    if alpha and kind == 7:
        return "JPEG with alpha"
    if page.predictor != 1 and not (page.predictor == 2 and kind in _WITH_PREDICTOR):
        return f"predictor {page.predictor} in {NAMES[kind]}"
    return ""


def decoder(page: Page) -> Decode:
    """A function of a tile's bytes and the part of the size (1, 2, 4, 8): pixels, and where.

    It gives uint8 [h, w, 3], composited on white, and bool [h, w] of what is not clear; None where
    all is there. It raises SlideError for damaged bytes. A part of the size is for JPEG only.
    """
    assert page.tile_px is not None
    if page.compression == 7:
        return _jpeg(page)
    with needing("slides", "reading slides"):
        import imagecodecs
    shape = (page.tile_px[1], page.tile_px[0], page.samples)
    size = shape[0] * shape[1] * shape[2]
    if page.compression == 1:
        return lambda data, _: _colors(_shaped(np.frombuffer(data, np.uint8), shape), page.extra)
    if page.compression in _PLAIN:
        plain = getattr(imagecodecs, f"{_PLAIN[page.compression]}_decode")

        def inflate(data: bytes, _: int) -> tuple[Pixels, Known | None]:
            # The limit keeps a few damaged bytes from filling the memory.
            raw = _called(lambda: plain(data, out=size))
            pixels = _shaped(np.frombuffer(raw, np.uint8), shape)
            if page.predictor == 2:
                pixels = imagecodecs.delta_decode(pixels, axis=-2)
            return _colors(pixels, page.extra)

        return inflate
    picture = getattr(imagecodecs, f"{_PICTURES[page.compression]}_decode")
    sides = shape[:2] if shape[2] == 1 else shape

    def decode(data: bytes, _: int) -> tuple[Pixels, Known | None]:
        if page.compression in (33005, 34712) and jpeg2k_size(data) != page.tile_px:
            # OpenJPEG decodes all before it looks at what it is to fill.
            raise SlideError("a tile is damaged (a JPEG 2000 of another size)")
        try:
            found = picture(data, out=np.empty(sides, np.uint8))
        except Exception:
            if shape[2] != 4 or page.compression != 50001:
                raise
            # A WebP that has no clear pixel has no alpha.
            found = picture(data, out=np.empty((*shape[:2], 3), np.uint8))
            found = np.concatenate([found, np.full((*shape[:2], 1), WHITE, np.uint8)], axis=2)
        return _colors(_shaped(np.asarray(found), shape), page.extra)

    return lambda data, reduce: _called(lambda: decode(data, reduce))


def jpeg2k_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that a JPEG 2000 declares; None where it declares none.

    >>> jpeg2k_size(b"no codestream")
    """
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 24:
        return None
    x, y, left, top = struct.unpack_from(">4I", data, at + 8)
    return x - left, y - top


def _called(decode: Callable[[], Any]) -> Any:
    """What a decoder gives; whatever it raises for damaged bytes is a SlideError."""
    try:
        return decode()
    except SlideError:
        raise
    except Exception as error:
        raise SlideError(f"a tile is damaged ({str(error)[:80] or type(error).__name__})") from None


def _shaped(pixels: npt.NDArray[Any], shape: tuple[int, int, int]) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.size != shape[0] * shape[1] * shape[2]:
        raise SlideError("a tile is damaged (it has not the size that the file declares)")
    return np.asarray(pixels.reshape(shape), np.uint8)


def _colors(pixels: Pixels, extra: tuple[int, ...]) -> tuple[Pixels, Known | None]:
    """Gray or color, with or without alpha, to RGB on white and where it is not clear."""
    count = pixels.shape[2]
    known = None
    if count in (2, 4):
        alpha = pixels[..., -1:]
        pixels, known = on_white(pixels[..., :-1], alpha, multiplied=extra == (1,))
    return (np.repeat(pixels, 3, axis=2) if count < 3 else pixels), known


def on_white(colors: Pixels, alpha: Pixels, *, multiplied: bool) -> tuple[Pixels, Known | None]:
    """Colors over white, rounded: uint8 [h, w, c], and bool [h, w] of what is not clear.

    alpha: uint8 [h, w, 1]. multiplied: the colors already are. None: all is there.

    >>> on_white(np.full((1, 1, 3), 200, np.uint8), np.full((1, 1, 1), 51, np.uint8),
    ...          multiplied=False)[0].ravel().tolist()
    [244, 244, 244]
    """
    if alpha.min(initial=WHITE) == WHITE:
        return colors, None
    clear = (WHITE - alpha).astype(np.uint16) * WHITE
    over = colors.astype(np.uint16) * (WHITE if multiplied else alpha.astype(np.uint16)) + clear
    mixed = np.minimum((over.astype(np.uint32) + 127) // WHITE, WHITE).astype(np.uint8)
    return mixed, alpha[..., 0] > 0


def _jpeg(page: Page) -> Decode:
    import cv2

    assert page.tile_px is not None
    wide, high = page.tile_px
    tables = page.jpeg_tables
    if tables and (tables[:2] != _JPEG_START or tables[-2:] != _JPEG_END):
        raise SlideError("its JPEG tables are damaged")
    # TIFF's photometric decides, and no sign in the tile; libjpeg is told by Adobe's segment.
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([page.photometric == 6])
    start = _JPEG_START + (adobe if page.samples == 3 else b"") + tables[2:-2]
    # OpenCV's flags of reduction are those of gray pictures; with a color's they reduce that.
    plain = cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_COLOR_RGB
    flags = {
        1: plain,
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | plain,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | plain,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | plain,
    }

    def decode(data: bytes, reduce: int) -> tuple[Pixels, Known | None]:
        body, frame = jpeg_body(data)
        if frame[:2] != (wide, high) or frame[2] != page.samples:
            raise SlideError(
                f"a tile is damaged (a JPEG of {frame[0]}x{frame[1]} px and {frame[2]} components)"
            )
        joined = np.frombuffer(start + body, np.uint8)
        found = _called(lambda: cv2.imdecode(joined, flags[reduce]))
        if found is None:
            raise SlideError("a tile is damaged (not a JPEG that can be decoded)")
        return _shaped(found, (high // reduce, wide // reduce, 3)), None

    return decode


def jpeg_body(data: bytes) -> tuple[bytes, tuple[int, int, int, tuple[int, ...]]]:
    """A JPEG after its start, without what tells of its colors, and its frame.

    The frame is (width_px, height_px, components, sampling of each as one byte). Raises SlideError
    for bytes that are no whole JPEG.
    """
    if data[:2] != _JPEG_START or data.rfind(_JPEG_END) < 2:
        raise SlideError("a tile is damaged (not a whole JPEG)")
    kept: list[bytes] = []
    at = 2
    frame: tuple[int, int, int, tuple[int, ...]] | None = None
    while True:
        if data[at : at + 1] != b"\xff" or at + 4 > len(data):
            raise SlideError("a tile is damaged (its JPEG segments)")
        marker, length = struct.unpack_from(">BH", data, at + 1)
        if marker == 0xFF:  # a byte that fills up
            at += 1
            continue
        end = at + 2 + length
        if marker in _FRAMES and length >= 8:
            depth, high, wide, count = struct.unpack_from(">BHHB", data, at + 4)
            if depth != 8 or length != 8 + 3 * count:
                raise SlideError("a tile is damaged (its JPEG frame)")
            frame = (wide, high, count, tuple(data[at + 11 : end : 3]))
        elif 0xC3 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            raise SlideError("a tile is a JPEG of a rare kind")
        if marker == 0xDA:
            if frame is None:
                raise SlideError("a tile is damaged (a JPEG without a frame)")
            return b"".join([*kept, data[at:]]), frame
        # JFIF, Exif and Adobe would have their own say on colors and orientation.
        if not 0xE0 <= marker <= 0xEF:
            kept.append(data[at:end])
        at = end
