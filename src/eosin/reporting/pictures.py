"""Pictures inside a page: encoded as data addresses, and small enough together for one file.

The whole page stays under 5 MB, so all pictures together stay under about 3 MB: mosaics and
galleries each get a share, and are drawn smaller and coarser, step by step, until they fit.
"""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore
from eosin.figures.panels import resized

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
    #: How many are side by side on a wide screen.
    columns: int


@dataclass(frozen=True)
class Draft:
    """A picture that is drawn but not encoded yet: uint8 [H, W, 3] and its words."""

    image: Image
    title: str
    alt: str
    caption: str
    note: str = ""


def encode(image: Image, *, quality: int = 80) -> str:
    """A picture as a data address: WebP or JPEG, whichever is smaller.

    image: uint8 [H, W, 3], RGB; quality: 1 to 100.
    Raises ValueError for an empty picture or another shape.

    >>> encode(np.zeros((2, 3, 3), np.uint8)).partition(";")[2][:7]
    'base64,'
    """
    import cv2

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"the picture is {image.dtype} {image.shape}, not uint8 [H, W, 3]")
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    files = {"jpeg": cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]}
    if max(image.shape[:2]) <= _MOST_PX:
        files["webp"] = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    kind = min(files, key=lambda each: len(files[each]))
    return f"data:image/{kind};base64,{base64.b64encode(bytes(files[kind])).decode('ascii')}"


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

    @cache
    def drawn(step: int) -> list[Picture]:
        return [_encoded(draft, *STEPS[step]) for draft in drafts]

    def fits(step: int) -> bool:
        return sum(len(each.data_uri) for each in drawn(step)) <= budget_bytes

    # Pictures shrink from step to step, so the first step that fits is found by halving.
    step = 0 if fits(0) else bisect_left(range(len(STEPS)), True, lo=1, key=fits)
    if step < len(STEPS):
        return drawn(step), ""
    pictures = drawn(len(STEPS) - 1)
    used = accumulate(len(each.data_uri) for each in pictures)
    kept = sum(bytes_so_far <= budget_bytes for bytes_so_far in used)
    return pictures[:kept], f"{len(pictures) - kept} more would make the page too large."


def gallery_of(
    store: PatchStore, drafts: Sequence[Draft], columns: int, notes: Sequence[str], budget: int
) -> Gallery:
    """Drafts encoded to a gallery; its note begins with the mark of made-up data."""
    pictures, left_out = within(drafts, budget)
    parts = [MADE_UP if store.made_up else "", *notes, left_out]
    return Gallery(pictures, " ".join(filter(None, parts)), columns)


def _encoded(draft: Draft, scale: float, quality: int) -> Picture:
    image = resized(draft.image, scale)
    height, width = image.shape[:2]
    uri = encode(image, quality=quality)
    return Picture(draft.title, draft.alt, draft.caption, uri, width, height, draft.note)
