"""Image files -> uint8 RGB arrays, by stated rules, with every file checked first.

Pixel rules, the same for every format:

- gray is replicated to three channels; a palette is expanded;
- more than 8 bits are scaled to 8 by one rule for a whole source (``eosin.data.depth``);
- alpha is composited over white; CMYK, YCbCr and the like go through Pillow's ``convert``;
- the orientation tag is ignored, but for TIFF, which Pillow turns by it;
- of several frames or pages the first is taken.

8-bit RGB PNGs, the common case, are checked and inflated here; OpenCV undoes their row filters,
many in one call. Pillow, the reference, decodes everything else. A PNG is refused unless its
structure, every checksum and the exact amount of pixel data fit its header, so no decoder ever
sees damaged data. A file that Pillow only warns about (a cut TIFF, for example) is refused too.

The message of an ImageError is ``kind: detail``; rejects are counted by kind.
"""

from __future__ import annotations

import contextlib
import functools
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from eosin.data.depth import deep_of, is_deep, to_rgb
from eosin.errors import ImageError, first_line
from eosin.sources.inflate import crc32, stored, zlib_exactly

#: The most pixels an image may declare: 4096 x 4096.
MAX_PIXELS = 16_777_216

#: The only Pillow plugins that see a file; none of them starts another program.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")

#: Larger images are decoded one at a time, so that a few huge ones cannot fill the memory.
_LARGE_PX = 1 << 20
_LARGE = threading.RLock()

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Start and step of the seven passes of an interlaced PNG (PNG specification, section 8.2).
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip
_VALID_FILTERS = bytes(range(5))
END = b"\0\0\0\0IEND\xaeB`\x82"
_HEADER = struct.Struct(">II5B")
CHUNK = struct.Struct(">I4s")
NUMBER = struct.Struct(">I")


class Scanlines(NamedTuple):
    """A checked PNG: its size, its still filtered rows, and whether these are plain 8-bit RGB."""

    height: int
    width: int
    rows: bytes
    plain: bool
    #: The file again with only the chunks that carry pixels.
    clean: bytes


class _Strict:
    """Pillow's warnings are errors while any thread decodes.

    Python's list of warning filters belongs to the process, so the first thread changes it and the
    last one restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.filterwarnings("error", module=r"PIL(\.|$)")

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._before.__exit__(None, None, None)


#: A context in which Pillow refuses doubtful files. Every decode enters it; entering it around
#: many decodes saves time.
STRICT = _Strict()


def check_pixels(height: int, width: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image by its declared size before anything is decoded.

    >>> check_pixels(50, 50)
    """
    if height < 1 or width < 1:
        raise ImageError(f"empty image: it declares {width}x{height} px")
    if height * width > max_pixels:
        raise ImageError(
            f"too many pixels: it declares {width}x{height}, more than --max-pixels {max_pixels}"
        )


def read_png(data: bytes, max_pixels: int = MAX_PIXELS) -> Scanlines:
    """Check a PNG from its first to its last byte and inflate its rows.

    Raises ImageError for a broken structure or checksum, for more pixels than allowed, and where
    the pixel data are fewer or more than the header declares (inflating stops there).
    """
    height, width, depth, color, interlaced = _png_header(bytes(data[:33]), max_pixels)
    position, end = 33, len(data)
    view = memoryview(data)
    parts: list[memoryview] = []
    kept = [data[:33]]
    while True:
        if position + 12 > end:
            raise ImageError(f"truncated: PNG ends after {end} bytes without its end mark")
        length, kind = CHUNK.unpack_from(data, position)
        stop = position + 12 + length
        if stop > end:
            name = kind.decode("latin-1")
            raise ImageError(f"truncated: PNG ends inside its chunk {name!a}")
        if crc32(view[position + 4 : stop - 4]) != NUMBER.unpack_from(data, stop - 4)[0]:
            raise ImageError(f"corrupt: wrong checksum in PNG chunk {kind.decode('latin-1')!a}")
        if kind == b"IDAT":
            parts.append(view[position + 8 : stop - 4])
        elif kind == b"PLTE" or kind == b"tRNS":
            kept.append(data[position:stop])
        elif kind == b"IEND":
            break
        elif kind[0] < 97:  # an upper-case first letter: a reader must understand it
            raise ImageError(f"corrupt: unknown critical PNG chunk {kind.decode('latin-1')!a}")
        position = stop
    if not parts:
        raise ImageError("corrupt: PNG without pixel data")
    packed = parts[0] if len(parts) == 1 else b"".join(parts)
    bits = depth * _CHANNELS[color]
    expected = _expected_bytes(height, width, bits, interlaced)
    rows = zlib_exactly(packed, expected)
    if rows is None:
        rows = _inflate(packed, expected, f"{width}x{height} px")
    if not interlaced and not valid_filters(rows[:: 1 + (width * bits + 7) // 8]):
        raise ImageError("corrupt: unknown PNG row filter")
    plain = color == 2 and depth == 8 and not interlaced and len(kept) == 1
    clean = data if plain else b"".join([*kept, _chunk(b"IDAT", bytes(packed)), END])
    return Scanlines(height, width, rows, plain, clean)


def valid_filters(kinds: bytes) -> bool:
    """Whether the first byte of every row is a filter that PNG has.

    >>> valid_filters(bytes([0, 4])), valid_filters(bytes([5]))
    (True, False)
    """
    return not kinds.translate(None, _VALID_FILTERS)


def png_header(height: int, width: int) -> bytes:
    """The first 33 bytes of a plain 8-bit RGB PNG of a size.

    >>> len(png_header(50, 50))
    33
    """
    return _SIGNATURE + _chunk(b"IHDR", _HEADER.pack(width, height, 8, 2, 0, 0, 0))


def _inflate(packed: bytes | memoryview, expected: int, size: str) -> bytes:
    """The plain way, which gives the reason why a stream is refused."""
    inflater = zlib.decompressobj()
    try:
        rows = inflater.decompress(packed, expected + 1)
    except zlib.error as error:
        raise ImageError(f"corrupt: PNG pixel data do not inflate ({error})") from None
    if len(rows) != expected:
        amount = "more" if len(rows) > expected else f"only {len(rows)}"
        raise ImageError(
            f"corrupt: {size} need {expected} bytes of pixel data, the PNG contains {amount}"
        )
    if not inflater.eof:
        raise ImageError("corrupt: the PNG's pixel data do not end")
    return rows


# Thousands of patches of one size have the very same header.
@functools.lru_cache(maxsize=256)
def _png_header(data: bytes, max_pixels: int) -> tuple[int, int, int, int, int]:
    if len(data) < 33:
        raise ImageError(f"truncated: PNG of only {len(data)} bytes")
    if data[8:16] != b"\0\0\0\rIHDR":
        raise ImageError("corrupt: PNG does not begin with its header")
    width, height, depth, color, method, filtering, interlaced = _HEADER.unpack_from(data, 16)
    if crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        raise ImageError("corrupt: wrong checksum in PNG chunk 'IHDR'")
    check_pixels(height, width, max_pixels)
    if depth not in _DEPTHS.get(color, ()) or method or filtering or interlaced > 1:
        raise ImageError(f"corrupt: PNG header with depth {depth} and color type {color}")
    return height, width, depth, color, interlaced


def _expected_bytes(height: int, width: int, bits: int, interlaced: int) -> int:
    if not interlaced:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for x, y, step_x, step_y in _ADAM7:
        columns = (width - x + step_x - 1) // step_x
        rows = (height - y + step_y - 1) // step_y
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _chunk(kind: bytes, body: bytes) -> bytes:
    return CHUNK.pack(len(body), kind) + body + crc32(body, crc32(kind)).to_bytes(4, "big")


def unfilter(rows: Sequence[bytes], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Filtered rows of n plain RGB PNGs of one size -> uint8 [n, height, width, 3].

    They are stacked in one PNG and decoded in one call. An unfiltered black row
    between two images replaces the zeros that the specification puts above a first row, so the
    pixels are those of n single calls. Raises ImageError for a row filter that PNG does not have.

    >>> unfilter([bytes([0, 1, 2, 3])], 1, 1).tolist()
    [[[[1, 2, 3]]]]
    """
    blank = bytes(1 + 3 * width)
    total = len(rows) * (height + 1)
    joined = blank.join([*rows, b""])
    if not valid_filters(joined[:: len(blank)]):
        raise ImageError("corrupt: unknown PNG row filter")
    png = b"".join([png_header(total, width), _chunk(b"IDAT", stored(joined)), END])
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    patches = np.asarray(image, dtype=np.uint8).reshape(len(rows), height + 1, width, 3)
    return np.asarray(patches[:, :height])


def image_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height_px, width_px) as the header declares it, without decoding."""
    if data[:8] == _SIGNATURE:
        return _png_header(bytes(data[:33]), max_pixels)[:2]
    if _is_float_color(data):
        height, width = (int(np.ravel(_tags(data).get(key, 0))[0]) for key in (257, 256))
        check_pixels(height, width, max_pixels)
        return height, width
    with _opened(data, max_pixels) as image:
        return image.height, image.width


def decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, white: float | None = None
) -> npt.NDArray[np.uint8]:
    """An encoded image -> uint8 [H, W, 3], RGB, by the rules at the top of this file.

    white: of images of more than 8 bits, as for ``to_rgb``.
    Raises ImageError, with a reason of the form ``kind: detail``.

    >>> decode(b"hello")
    Traceback (most recent call last):
    eosin.errors.ImageError: not an image: it begins with b'hello'
    """
    pixels = read_pixels(data, max_pixels=max_pixels)
    return to_rgb(pixels, white) if is_deep(pixels) else pixels


def read_pixels(data: bytes, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[Any]:
    """An encoded image -> uint8 [H, W, 3], or as it is where it has more than 8 bits.

    Those are uint16 or floating point, [H, W] or [H, W, C] with C of 1 to 4.
    """
    if data[:8] != _SIGNATURE:
        return _read_pillow(data, max_pixels=max_pixels)
    height, width = image_size(data, max_pixels)
    with _turn(height, width):
        png = read_png(data, max_pixels)
        if not png.plain:
            return _read_pillow(png.clean, max_pixels=max_pixels)
        patch: npt.NDArray[np.uint8] = unfilter([png.rows], height, width)[0]
        return patch


def _turn(height: int, width: int) -> contextlib.AbstractContextManager[object]:
    """A large image waits here until no other one is being decoded."""
    return _LARGE if height * width > _LARGE_PX else contextlib.nullcontext()


@contextlib.contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Pillow's view of a file; all that goes wrong with it becomes an ImageError."""
    if not data:
        raise ImageError("empty: a file of 0 bytes")
    try:
        Image.init()  # a list of formats needs every plugin loaded; free the second time
        with STRICT, Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            check_pixels(image.height, image.width, max_pixels)
            with _turn(image.height, image.width):
                yield image
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"not an image: it begins with {data[:8]!r}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"too many pixels: more than --max-pixels {max_pixels}") from None
    # Hostile bytes can make a decoder raise anything; it is kept as the cause.
    except Exception as error:
        reason = first_line(error)
        kind = "truncated" if "truncated" in reason.lower() else "corrupt"
        raise ImageError(f"{kind}: {reason}") from error


def decode_pillow(data: bytes, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """The reference: an encoded image -> uint8 [H, W, 3], RGB, by Pillow."""
    pixels = _read_pillow(data, max_pixels=max_pixels)
    return to_rgb(pixels) if is_deep(pixels) else pixels


def _read_pillow(data: bytes, *, max_pixels: int) -> npt.NDArray[Any]:
    if _is_float_color(data):
        image_size(data, max_pixels)
        real = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if real is None or real.ndim != 3 or real.dtype.kind != "f":
            raise ImageError("corrupt: a TIFF of floating-point colors that cannot be decoded")
        return np.asarray(real)[:, :, [2, 1, 0, 3][: real.shape[2]]]
    with _opened(data, max_pixels) as image:
        image.load()
        if _is_deep_color(image, data[24] if len(data) > 24 else 8):
            # Pillow keeps only the high byte of 16-bit color. It has just loaded without an error.
            deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            if deep is not None and deep.ndim == 3:
                order = [2, 1, 0, 3][: deep.shape[2]]
                return np.asarray(deep)[:, :, order]
        if image.mode == "F":
            return np.asarray(image, np.float32)
        if image.mode == "I" or image.mode.startswith("I;16"):
            values = np.asarray(image)
            deep_of(values)  # 32 bits that do not fit 16 are refused
            return values.astype(np.uint16)
        if image.has_transparency_data:
            return to_rgb(np.asarray(image.convert("RGBA")))
        return np.array(image.convert("RGB"), np.uint8)


def _tags(data: bytes) -> Any:
    """The first directory of a TIFF, read without its pixels; empty for any other file."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return {}
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return dict(tags)
    except Exception:  # hostile bytes; Pillow gives the reason
        return {}


def _is_float_color(data: bytes) -> bool:
    """Whether a file is a TIFF of several floating-point channels, which Pillow does not read."""
    tags = _tags(data)
    return 3 in np.ravel(tags.get(339, 0)) and tags.get(277) in (3, 4)


def _is_deep_color(image: Image.Image, depth: int) -> bool:
    if image.format == "PNG":
        return image.mode in ("RGB", "RGBA", "LA") and depth == 16
    tags = getattr(image, "tag_v2", None)
    return image.mode in ("RGB", "RGBA") and tags is not None and 16 in tuple(tags.get(258, ()))
