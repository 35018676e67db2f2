"""Pictures inside a page: encoded as data addresses, and small enough together for one file.

The whole page stays under 5 MB, so all pictures together stay under about 3 MB: mosaics and
galleries each get a share, and are drawn smaller and coarser, step by step, until they fit.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

#: Bytes of the page, not of the files: base64 writes 4 letters for 3 bytes.
MOSAIC_BYTES = 1_600_000
GALLERY_BYTES = 500_000

MADE_UP = "Made-up data: drawn by a program."

#: (scale of the sides, quality) from the best to the least that can still be read.
STEPS = (
    (1.0, 84), (1.0, 76), (1.0, 66), (0.85, 62), (0.7, 58), (0.6, 52), (0.5, 46), (0.4, 40),
    (0.3, 34), (0.2, 30),
)  # fmt: skip
#: What every reader of WebP accepts as a side, in pixels; JPEG's limit is larger.
_MOST_PX = 16_383


@dataclass(frozen=True)
class Picture:
    """One picture of the page, with its words."""

    title: str
    #: What it shows, for those who do not see it.
    alt: str
    caption: str
    #: ``data:image/...;base64,...``; nothing is fetched.
    data_uri: str
    width_px: int
    height_px: int
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures that belong together; where there are none the note says why."""

    items: list[Picture]
    #: Sentences: what is shown, or why nothing is; may be empty.
    note: str
    #: How many stand side by side on a wide screen.
    columns: int


@dataclass(frozen=True)
class Draft:
    """A picture that is drawn but not encoded yet: uint8 [H, W, 3] and its words."""

    image: Image
    title: str
    alt: str
    caption: str
    note: str = ""


def encode(image: Image, *, quality: int | None = 80) -> tuple[str, bytes]:
    """A picture as a data address, and the bytes of the file in it.

    image: uint8 [H, W, 3], RGB; quality: 1 to 100 for tissue (WebP or JPEG, whichever is smaller),
    None for flat colors (PNG, exact).
    Raises ValueError for an empty picture or another shape.

    >>> uri, data = encode(np.zeros((2, 3, 3), np.uint8), quality=None)
    >>> uri[:22], data[1:4]
    ('data:image/png;base64,', b'PNG')
    """
    import cv2

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"the picture is {image.dtype} {image.shape}, not uint8 [H, W, 3]")
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    if quality is None:
        found = [("png", bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]))]
    else:
        found = [("jpeg", bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]))]
        if max(image.shape[:2]) <= _MOST_PX:
            webp = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
            found.append(("webp", bytes(webp)))
    kind, data = min(found, key=lambda each: len(each[1]))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}", data


def resized(image: Image, scale: float) -> Image:
    """The picture with its sides times ``scale``, at least one pixel: uint8 [H, W, 3]."""
    import cv2

    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return image
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def within(drafts: Sequence[Draft], budget_bytes: int) -> tuple[list[Picture], str]:
    """Encode pictures so that their data addresses together stay under a budget.

    Returns the pictures and a sentence where some had to be left away ("" otherwise). All are drawn
    at the same scale and quality, the best of ``STEPS`` that fits; where not even the last step
    does, the last pictures are left away.

    >>> flat = Draft(np.zeros((8, 8, 3), np.uint8), "t", "a", "c")
    >>> pictures, note = within([flat, flat], 10_000)
    >>> len(pictures), pictures[0].width_px, note
    (2, 8, '')
    """
    # Pictures shrink from step to step, so the first step that fits is found by halving.
    low, high = 0, len(STEPS) - 1
    pictures = [_encoded(draft, *STEPS[0]) for draft in drafts]
    if _bytes(pictures) <= budget_bytes:
        return pictures, ""
    found: list[Picture] | None = None
    while low < high:
        middle = (low + 1 + high) // 2
        pictures = [_encoded(draft, *STEPS[middle]) for draft in drafts]
        if _bytes(pictures) <= budget_bytes:
            found, high = pictures, middle - 1
        else:
            low = middle
    if found is not None:
        return found, ""
    kept, used = [], 0
    for picture in pictures:
        used += len(picture.data_uri)
        if used > budget_bytes:
            break
        kept.append(picture)
    return kept, f"{len(pictures) - len(kept)} more would make the page too large."


def _bytes(pictures: Sequence[Picture]) -> int:
    return sum(len(each.data_uri) for each in pictures)


def _encoded(draft: Draft, scale: float, quality: int) -> Picture:
    image = resized(draft.image, scale)
    uri, _ = encode(image, quality=quality)
    height, width = image.shape[:2]
    return Picture(draft.title, draft.alt, draft.caption, uri, width, height, draft.note)
