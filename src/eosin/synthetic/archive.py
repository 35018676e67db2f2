"""Made-up cases: the embedded default data of `eosin demo` and of the tests.

A program draws complete sections (cases.py) and cuts them into patches, written as a zip in the
layout of the Kaggle archive with its oddities: a nested copy, small edge patches, broken members.
Nothing here is tissue; the member MADE_UP.txt and the store's ``made_up`` mark it.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import StoreError, UserError
from eosin.folders import whole_file
from eosin.synthetic.cases import MadeUpCase, make_case

__all__ = ["NOTICE_NAME", "MadeUpCase", "cut", "make_case", "make_store", "write_archive"]

#: The member that marks an archive as made up.
NOTICE_NAME = "MADE_UP.txt"
NOTICE = """These images are drawn by a program (eosin). They are not tissue and show no patient.
They teach and test software; no result on them says anything about a disease.
Labels: 1 where a patch is in drawn invasive nests, else 0; about 1 % of the labels are
flipped on purpose, as real labels have errors.
"""
NESTED = "IDC_regular_ps50_idx5"
FIRST_CASE = 90001

#: Share of a patch that must be in invasive tissue to be labeled positive.
POSITIVE_SHARE = 0.35
#: Share of a patch that must be stained for the patch to be kept.
TISSUE_SHARE = 0.12
LABEL_NOISE = 0.01


class Cut(NamedTuple):
    """One patch of a made-up case; x, y are its top-left pixel on the grid (1 + step * k)."""

    x: int
    y: int
    label: int
    #: uint8 [h, w, 3]; smaller than the step at the right and bottom border.
    patch: npt.NDArray[np.uint8]


def cut(drawn: MadeUpCase, *, step_px: int = 50, label_noise: float = 0.0) -> list[Cut]:
    """Cut a case into the patches that contain tissue, column by column.

    label_noise: share of the labels to flip, chosen by the case's own seed.

    >>> patches = cut(make_case("90001", 0, width_px=230, height_px=200))
    >>> sorted({(p.x - 1) % 50 for p in patches}), patches[0].patch.shape
    ([0], (50, 50, 3))
    """
    rng = np.random.default_rng([drawn.seed, int.from_bytes(drawn.case.encode()), 2])
    origin_x, origin_y = (int(v) * step_px + 1 for v in rng.integers(0, 24, 2))
    height, width = drawn.truth.shape
    patches = []
    for x in range(0, width, step_px):
        for y in range(0, height, step_px):
            window = np.s_[y : y + step_px, x : x + step_px]
            flip = rng.random() < label_noise
            if drawn.tissue[window].mean() < TISSUE_SHARE:
                continue
            label = int((drawn.truth[window].mean() >= POSITIVE_SHARE) != flip)
            patches.append(Cut(origin_x + x, origin_y + y, label, drawn.image[window]))
    return patches


def burdens(count: int, seed: int, *, narrow: bool = False) -> list[float]:
    """The share of invasive tissue of each case: mean near 0.3, spread evenly over a wide range.

    narrow: keep away from the ends, so that a small set has both classes in every case.

    >>> [round(value, 2) for value in sorted(burdens(4, 0))]
    [0.03, 0.14, 0.34, 0.64]
    """
    rank = (np.arange(count) + 0.5) / max(count, 1)
    shares = 0.2 + 0.25 * rank if narrow else 0.015 + 0.8 * rank**1.9
    return [float(v) for v in np.random.default_rng([seed, 3]).permutation(shares)]


def write_archive(
    path: str | os.PathLike[str],
    *,
    cases: int = 24,
    seed: int = 0,
    nested_copy: bool = True,
    broken: int = 3,
    area: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Draw cases and write them as a zip in the layout of the Kaggle IDC archive.

    cases: how many; they are named 90001, 90002, ...
    nested_copy: write every patch a second time under IDC_regular_ps50_idx5/, as the original has.
    broken: members that no decoder can read (truncated, empty, text); they come on top.
    area: of each section, where 1 gives about 270 patches a case; its cells keep their size.
    progress: called with (cases done, cases).

    Returns the counts: cases, patches, positives, edge_patches, nested, broken, bytes.
    Raises UserError for less than one case or an area outside 0.1 to 1, StoreError when the file
    cannot be written. The file is written complete or not at all; the same arguments give the same
    bytes with the same NumPy and OpenCV on the same kind of processor.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     counts = write_archive(Path(folder) / "a.zip", cases=1, broken=1)
    ...     counts["cases"], counts["patches"] == counts["nested"], counts["broken"]
    (1, True, 1)
    """
    if cases < 1 or broken < 0:
        raise UserError(
            f"cases is {cases} and broken is {broken}; use at least 1 case and at least 0 broken"
        )
    if not 0.1 <= area <= 1:
        raise UserError(f"area is {area:g}; use 0.1 to 1")
    target = Path(path)
    names = [str(FIRST_CASE + k) for k in range(cases)]
    shares = burdens(cases, seed)
    more = np.random.default_rng([seed, 4]).integers(0, 256, (cases, 2))
    sizes = np.rint((np.array([920, 745]) + more) * area**0.5).astype(np.int64)
    counts = {"cases": cases, "patches": 0, "positives": 0, "edge_patches": 0, "nested": 0}

    def draw(k: int) -> list[tuple[Cut, bytes]]:
        drawn = make_case(
            names[k], seed, width_px=int(sizes[k, 0]), height_px=int(sizes[k, 1]),
            burden=shares[k],
        )  # fmt: skip
        return [(piece, _png(piece.patch)) for piece in cut(drawn, label_noise=LABEL_NOISE)]

    try:
        with whole_file(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            _add(archive, NOTICE_NAME, NOTICE.encode())
            nested: list[tuple[str, bytes]] = []
            # Map keeps the order of the cases, so the bytes do not depend on the threads.
            pool = ThreadPoolExecutor(2)
            try:
                for done, pieces in enumerate(pool.map(draw, range(cases))):
                    for piece, png in pieces:
                        member = _member(names[done], piece.x, piece.y, piece.label)
                        _add(archive, member, png)
                        nested.append((member, png))
                        counts["patches"] += 1
                        counts["positives"] += piece.label
                        counts["edge_patches"] += piece.patch.shape[:2] != (50, 50)
                    if progress is not None:
                        progress(done + 1, cases)
            finally:  # After Ctrl-C the cases not yet started are not drawn.
                pool.shutdown(cancel_futures=True)
            for member, data in _broken(names, broken, nested):
                _add(archive, member, data)
            if nested_copy:
                for member, png in nested:
                    _add(archive, f"{NESTED}/{member}", png)
                counts["nested"] = len(nested)
        counts["broken"] = broken
        counts["bytes"] = target.stat().st_size
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error}") from None
    return counts


def _member(case: str, x: int, y: int, label: int) -> str:
    return f"{case}/{label}/{case}_idx5_x{x}_y{y}_class{label}.png"


def _png(patch: npt.NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(patch, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return data.tobytes()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    # A fixed date: the same cases must give the same bytes on any day.
    entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _broken(
    names: list[str], count: int, good: list[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes]]:
    """Members with valid names on the grid, far from the sections, without a complete image."""
    for k in range(count):
        case = names[k % len(names)]
        content = (good[k % len(good)][1][:900], b"", b"this is text, not an image\n")[k % 3]
        yield _member(case, 3001 + 50 * k, 3001, 0), content


def make_store(
    path: str | os.PathLike[str],
    *,
    cases: int = 6,
    patches_per_case: int = 40,
    seed: int = 0,
    size: int = 50,
) -> PatchStore:
    """A small store of made-up patches without an archive between: for tests and examples.

    size: patch side in pixels. Every case has both classes where it has two patches or more.
    Raises StoreError when ``path`` exists.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = make_store(Path(folder) / "s", cases=2, patches_per_case=8, size=32)
    ...     len(store), store.made_up, sorted(set(store.cases.tolist()))
    (16, True, ['90001', '90002'])
    """
    side = max(int(np.ceil(np.sqrt(patches_per_case * 1.3))), 5) * size
    shares = burdens(cases, seed, narrow=True)
    with StoreWriter(
        path, classes=["negative", "positive"], patch_size=(size, size), mpp=4.0,
        info={"made_up": True, "layout": "made-up", "rejects": []},
    ) as writer:  # fmt: skip
        for k in range(cases):
            case = str(FIRST_CASE + k)
            drawn = make_case(
                case, seed, width_px=side, height_px=side, burden=shares[k], fill=True
            )
            pieces = _choose(cut(drawn, step_px=size), patches_per_case, seed + k)
            rows = [
                {"label": piece.label, "case": case, "x": piece.x, "y": piece.y,
                 "source": _member(case, piece.x, piece.y, piece.label)}
                for piece in pieces
            ]  # fmt: skip
            writer.append(np.stack([piece.patch for piece in pieces]), rows)
    return PatchStore.open(path)


def _choose(pieces: list[Cut], count: int, seed: int) -> list[Cut]:
    """``count`` pieces in their order, both classes among them where there is room for both."""
    order = np.random.default_rng([seed, 5]).permutation(len(pieces))
    labels = np.array([pieces[k].label for k in order])
    if count >= 2:
        positives = int(np.clip(round(float(labels.mean()) * count), 1, count - 1))
        positive, negative = order[labels == 1], order[labels == 0]
        order = np.concatenate([positive[:positives], negative[: count - positives]])
    return [pieces[k] for k in sorted(order[:count].tolist())]
