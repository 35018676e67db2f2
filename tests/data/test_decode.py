from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from eosin.data.decode import (
    check_pixels,
    decode,
    decode_pillow,
    image_size,
    read_png,
    unfilter,
)
from eosin.data.depth import to_rgb
from eosin.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(image: Image.Image | np.ndarray, form: str = "PNG", **options) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, raw: bytes, *, depth=8, color=2, extra=b"", interlaced=0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw))
    return SIGNATURE + body + chunk(b"IEND", b"")


def pixels(seed: int, height: int = 9, width: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.integers(-9, 10, (height, width, 3)), axis=seed % 2) + 128
    return (smooth if seed % 3 else rng.integers(0, 256, smooth.shape)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(30))
def test_the_fast_path_agrees_with_pillow(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    images = [pixels(100 * seed + k, height, width) for k in range(8)]
    files = [encode(image, compress_level=int(rng.integers(0, 10))) for image in images]
    together = unfilter([read_png(data).rows for data in files], int(height), int(width))
    for image, data, patch in zip(images, files, together, strict=True):
        np.testing.assert_array_equal(patch, image)
        np.testing.assert_array_equal(decode(data), image)
        np.testing.assert_array_equal(decode_pillow(data), image)


@pytest.mark.parametrize("kind", range(5))
def test_every_row_filter(kind):
    rng = np.random.default_rng(kind)
    rows = [bytes([kind]) + rng.bytes(3 * 11) for _ in range(6)]
    data = png(11, 6, b"".join(rows))
    np.testing.assert_array_equal(decode(data), decode_pillow(data))
    twice = unfilter([read_png(data).rows] * 2, 6, 11)
    np.testing.assert_array_equal(twice[1], decode_pillow(data))


def test_gray_palette_and_bilevel():
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for form in ("PNG", "TIFF", "BMP"):
        np.testing.assert_array_equal(decode(encode(gray, form)), gray[..., None].repeat(3, 2))
    palette = Image.fromarray(pixels(1)).quantize(8)
    np.testing.assert_array_equal(decode(encode(palette)), np.asarray(palette.convert("RGB")))
    dots = Image.fromarray(gray > 5)
    assert sorted(np.unique(decode(encode(dots)))) == [0, 255]


def test_alpha_lies_over_white():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 128, 255
    assert decode(encode(rgba))[0, :, 0].tolist() == [255, 127, 0]
    la = Image.fromarray(rgba).convert("LA")
    assert decode(encode(la))[0, :, 0].tolist() == [255, 127, 0]
    transparent = encode(Image.fromarray(np.zeros((2, 2), np.uint8)).convert("P"), transparency=0)
    assert (decode(transparent) == 255).all()


def test_sixteen_bits_are_rounded():
    gray = np.array([[0, 128, 129, 65535]], np.uint16)
    wanted = [0, 0, 1, 255]
    for form in ("PNG", "TIFF"):
        assert decode(encode(gray, form))[0, :, 1].tolist() == wanted
    raw = b"\0" + gray.astype(">u2").repeat(3).tobytes()
    assert decode(png(4, 1, raw, depth=16))[0, :, 2].tolist() == wanted
    color = np.arange(6, dtype=np.uint16).reshape(1, 2, 3) * 10_000
    deep = decode(png(2, 1, b"\0" + color.astype(">u2").tobytes(), depth=16))
    np.testing.assert_array_equal(deep, to_rgb(color))
    alpha = np.array([[[0, 0, 0, 0], [0, 0, 0, 65535]]], ">u2")
    seen = decode(png(2, 1, b"\0" + alpha.tobytes(), depth=16, color=6))
    assert seen[0, :, 0].tolist() == [255, 0]
    gray_alpha = np.array([[[257, 65535], [0, 0]]], ">u2")
    seen = decode(png(2, 1, b"\0" + gray_alpha.tobytes(), depth=16, color=4))
    assert seen[0, :, 0].tolist() == [1, 255]


def test_other_modes_go_through_pillow():
    cmyk = Image.fromarray(pixels(3)).convert("CMYK")
    data = encode(cmyk, "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode(data), np.asarray(image.convert("RGB")))
    turned = Image.Exif()
    turned[0x0112] = 6
    assert decode(encode(pixels(1, 4, 8), "JPEG", exif=turned)).shape == (4, 8, 3)
    with pytest.raises(ImageError, match="unsupported pixels: values from -1 to 0"):
        decode(encode(np.array([[-1, 0]], np.float32), "TIFF"))


def test_interlaced_png():
    # One pixel: only the first of the seven passes has any.
    data = png(1, 1, bytes([0, 5, 6, 7]), interlaced=1)
    assert decode(data).tolist() == [[[5, 6, 7]]]
    rows = b"".join([bytes([0, 9, 9, 9])] * 2 + [bytes([0, *[9] * 6])])
    assert decode(png(2, 2, b"\0\t\t\t\0\t\t\t\0" + b"\t" * 6, interlaced=1)).shape == (2, 2, 3), (
        rows
    )


def test_the_first_frame_and_no_side_chunks():
    frames = [Image.fromarray(pixels(k)) for k in (1, 2)]
    data = encode(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(data), pixels(1))
    # A profile that OpenCV would print about never reaches it.
    noisy = png(1, 1, bytes([0, 1, 2, 3]), extra=chunk(b"iCCP", b"x\0\0garbage"))
    assert decode(noisy).tolist() == [[[1, 2, 3]]]


GOOD = png(2, 2, bytes(14))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: a file of 0 bytes"),
        (b"hello there", "not an image"),
        (GOOD[:20], "truncated"),
        (GOOD[:-12], "truncated: .* without its end mark"),
        (GOOD[:-14], "truncated: PNG ends inside its chunk 'IDAT'"),
        (GOOD[:45] + b"\xff" + GOOD[46:], "corrupt: wrong checksum"),
        (GOOD[:17] + b"\xff" + GOOD[18:], "corrupt: wrong checksum in PNG chunk 'IHDR'"),
        (png(2, 2, bytes(13)), "corrupt: .* contains only 13"),
        (png(2, 2, bytes(15)), "corrupt: .* contains more"),
        (png(2, 2, bytes(50_000_000)), "corrupt: .* contains more"),
        (png(50_000, 50_000, bytes(14)), "too many pixels: it declares 50000x50000"),
        (png(0, 2, bytes(14)), "empty image"),
        (png(2, 2, b"\x07" + bytes(13)), "corrupt: unknown PNG row filter"),
        (png(2, 2, bytes(14), depth=3), "corrupt: PNG header with depth 3"),
        (png(2, 2, bytes(14), extra=chunk(b"QUUX", b"")), "corrupt: unknown critical"),
        (SIGNATURE + GOOD[8:33] + chunk(b"IEND", b""), "corrupt: PNG without pixel data"),
        (GOOD[:33] + chunk(b"IDAT", b"nonsense") + chunk(b"IEND", b""), "corrupt: .* inflate"),
        (png(2, 2, b"\0\0\0" * 2, color=3), "corrupt"),
        (encode(pixels(1, 40, 40), "JPEG")[:400], "truncated"),
        (encode(pixels(1, 40, 40), "TIFF")[:400], "truncated|corrupt|not an image"),
    ],
)  # fmt: skip
def test_bad_images_have_a_reason(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode(data)


def test_what_pillow_only_warns_about_is_refused_everywhere():
    tiff = cv2.imencode(".tif", pixels(1, 40, 40), [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    assert decode(tiff).shape == (40, 40, 3)
    filters = list(warnings.filters)
    for read in (decode, image_size):
        with pytest.raises(ImageError, match="truncated: Truncated File Read"):
            read(tiff[:-3])
    assert warnings.filters == filters


def test_strictness_lasts_as_long_as_any_thread_decodes():
    tiff = cv2.imencode(".tif", pixels(1, 40, 40), [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    filters = list(warnings.filters)

    def refused(_: int) -> bool:
        try:
            decode(tiff[:-3])
        except ImageError:
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(refused, range(200)))
    assert warnings.filters == filters


def test_sizes_without_decoding():
    assert image_size(GOOD) == (2, 2)
    assert image_size(encode(pixels(1), "JPEG")) == (9, 7)
    with pytest.raises(ImageError, match="too many pixels"):
        image_size(encode(pixels(1), "JPEG"), 62)
    with pytest.raises(ImageError, match="too many pixels"):
        check_pixels(9, 7, 62)


def test_to_rgb_refuses_other_numbers():
    with pytest.raises(ImageError, match="values from -1 to -1"):
        to_rgb(np.full((2, 2), -1))
    with pytest.raises(ImageError, match="5 channels"):
        to_rgb(np.zeros((2, 2, 5), np.uint8))
