"""What the leakage audit needs of every patch, in one pass over the memory-mapped pixels.

Only the picture itself is looked at: the white that pads an edge patch is left away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.cores import usable_cores
from eosin.data.grid import Rows, content_sizes
from eosin.data.store import PatchStore
from eosin.memory import forget_pages
from eosin.splitting.near import Codes, Floats, luminance, reduced, spectrum, turned, turned_hashes

#: Standard deviation of the luminance, in gray levels, below which a field is flat: empty glass or
#: plain color, alike between any two slides. The flattest of 22,237 real tissue patches has 5.6.
FLAT_BELOW = 3.0
#: A picture is sparse when more than half of it is within this many gray levels of its darkest or
#: its lightest pixel (a drawn digit), or more than half of its blocks are plain (a rim of tissue on
#: noisy glass): two such pictures look alike by chance. Of real tissue patches 4 % are sparse.
_SPARSE_LEVELS = 3.0
_BLOCK_PX, _PLAIN_BLOCK = 6, 6.0
#: A picture of which this share of blocks is plain is blank: 16 of 22,237
#: real tissue patches, all of them negative.
_BLANK_SHARE = 0.9
#: Smaller pictures (slivers of edge patches) look alike by chance as well.
_SMALLEST_PX = 16
_BLOCK = 512


@dataclass(frozen=True)
class Fingerprints:
    """Facts of n patches, in the order of ``rows``."""

    rows: Rows
    #: uint64 [n]: equal for equal pictures, however turned; rarely equal for others.
    keys: Codes
    #: uint64 [8, n]: the perceptual hash in each of eight positions.
    codes: Codes
    #: bool [n]: one plain color; never called a copy.
    flat: npt.NDArray[np.bool_]
    #: bool [n]: too little picture to be called a near copy (flat ones included).
    sparse: npt.NDArray[np.bool_]


def fingerprints(store: PatchStore, rows: Rows) -> Fingerprints:
    """Look at patches of a store, ``rows`` int64 [n], block by block in a few threads."""
    keys = np.zeros(len(rows), np.uint64)
    codes = np.zeros((8, len(rows)), np.uint64)
    flat = np.zeros(len(rows), np.bool_)
    sparse = np.zeros(len(rows), np.bool_)

    def look(task: tuple[npt.NDArray[np.int64], tuple[int, int]]) -> None:
        at, (height, width) = task
        patches = np.ascontiguousarray(store.patches[rows[at], :height, :width])
        gray = luminance(patches)
        keys[at] = turn_free_keys(patches)
        codes[:, at] = turned_hashes(spectrum(gray))
        # Means are taken in float64: a plain field must come out as exactly plain.
        flat[at] = gray.std(axis=(1, 2), dtype=np.float64) < FLAT_BELOW
        low, high = gray.min(axis=(1, 2)), gray.max(axis=(1, 2))
        dark = (gray <= low[:, None, None] + _SPARSE_LEVELS).mean(axis=(1, 2))
        light = (gray >= high[:, None, None] - _SPARSE_LEVELS).mean(axis=(1, 2))
        small = min(height, width) < _SMALLEST_PX
        empty = np.maximum(np.maximum(dark, light), plain_share(gray))
        sparse[at] = flat[at] | (empty > 0.5) | small
        forget_pages(store.patches)

    with ThreadPoolExecutor(min(4, usable_cores()[0])) as pool:
        for _ in pool.map(look, _blocks(store, rows)):
            pass
    return Fingerprints(rows, keys, codes, flat, sparse)


def blank(store: PatchStore, rows: Rows) -> npt.NDArray[np.bool_]:
    """Which of the patches ``rows``, int64 [n], show no texture but noise: bool [n].

    Glass and plain color look alike wherever they come from, to the last pixel where a scanner or
    a compression saturates; so equal ones prove nothing.
    """
    out = np.zeros(len(rows), np.bool_)
    for at, (height, width) in _blocks(store, rows):
        gray = luminance(store.patches[rows[at], :height, :width])
        flat = gray.std(axis=(1, 2), dtype=np.float64) < FLAT_BELOW
        out[at] = flat | (plain_share(gray) >= _BLANK_SHARE)
    return out


def plain_share(gray: Floats) -> npt.NDArray[np.floating]:
    """The share of blocks of 6x6 px with no more than noise: float32 [n, H, W] -> float [n].

    >>> half = np.zeros((1, 12, 12), np.float32)
    >>> half[:, :6, ::2] = 100
    >>> plain_share(half).tolist()
    [0.5]
    """
    count, height, width = gray.shape
    down, across = height // _BLOCK_PX, width // _BLOCK_PX
    if not down or not across:
        return np.zeros(count)
    kept = gray[:, : down * _BLOCK_PX, : across * _BLOCK_PX]
    blocks = kept.reshape(count, down, _BLOCK_PX, across, _BLOCK_PX)
    return np.asarray((blocks.std(axis=(2, 4)) < _PLAIN_BLOCK).mean(axis=(1, 2)))


def turn_free_keys(patches: npt.NDArray[np.uint8]) -> Codes:
    """A number that turning and flipping do not change: uint8 [n, H, W, 3] -> uint64 [n].

    The sum of a scrambled 24-bit color over all pixels; equal sums are a candidate, not a proof.
    """
    color = patches[..., 0].astype(np.uint32)
    for channel in (1, 2):
        color <<= np.uint32(8)
        color |= patches[..., channel]
    color *= np.uint32(0x9E3779B1)  # 2^32 divided by the golden ratio (Knuth's multiplicative hash)
    color ^= color >> np.uint32(15)
    return np.asarray(color.sum(axis=(1, 2), dtype=np.uint64))


def canonical_digest(patch: npt.NDArray[np.uint8]) -> bytes:
    """The identity of a picture, uint8 [H, W, 3], whichever way it is turned or flipped.

    >>> picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    >>> canonical_digest(picture) == canonical_digest(np.rot90(picture)[::-1])
    True
    """
    digests = []
    for position in range(8):
        view = turned(patch, position)
        hasher = hashlib.blake2b(repr(view.shape).encode(), digest_size=16)
        hasher.update(view.tobytes())
        digests.append(hasher.digest())
    return min(digests)


def same_pictures(store: PatchStore, prints: Fingerprints) -> list[Rows]:
    """Groups of two or more rows with the same picture, turned or not; flat fields are left out.

    Patches with equal keys are proven equal by their canonical digests.
    """
    busy = np.flatnonzero(~prints.flat)
    _, inverse, count = np.unique(prints.keys[busy], return_inverse=True, return_counts=True)
    rows = prints.rows[busy[count[inverse] > 1]]
    heights, widths = content_sizes(store, rows)

    def digest(at: int) -> bytes:
        return canonical_digest(store.patches[rows[at], : heights[at], : widths[at]])

    with ThreadPoolExecutor(min(4, usable_cores()[0])) as pool:
        digests = list(pool.map(digest, range(len(rows)), chunksize=64))
    groups: dict[bytes, list[int]] = {}
    for row, name in zip(rows.tolist(), digests, strict=True):
        groups.setdefault(name, []).append(row)
    return [np.array(group, np.int64) for group in groups.values() if len(group) > 1]


def reduced_pictures(store: PatchStore, rows: Rows) -> Floats:
    """Gray pictures reduced to 16 x 16, without padding: int64 [n] -> float32 [n, 16, 16]."""
    out = np.zeros((len(rows), 16, 16), np.float32)
    for at, (height, width) in _blocks(store, rows):
        out[at] = reduced(luminance(store.patches[rows[at], :height, :width]))
    forget_pages(store.patches)
    return out


def _blocks(
    store: PatchStore, rows: Rows
) -> Iterator[tuple[npt.NDArray[np.int64], tuple[int, int]]]:
    """Positions in ``rows`` whose pictures have one size, a few hundred at a time."""
    if not len(rows):
        return
    heights, widths = content_sizes(store, rows)
    sizes, inverse = np.unique(np.stack([heights, widths]), axis=1, return_inverse=True)
    for kind in range(sizes.shape[1]):
        at = np.flatnonzero(inverse == kind)
        for start in range(0, len(at), _BLOCK):
            yield at[start : start + _BLOCK], (int(sizes[0, kind]), int(sizes[1, kind]))
