"""Near copies: the same picture after compression, noise, other brightness, a turn or a flip.

Every patch gets a 64-bit perceptual hash: the signs of the lowest 8 x 8 frequencies of its
luminance (the idea of Zauner 2010, "Implementation and benchmarking of perceptual image hash
functions"). A turn or a flip of the patch only changes signs and swaps rows with columns of these
frequencies, so the hashes of all eight positions come from one transform. Pairs of hashes within a
few bits are found without comparing all with all: the 63 bits that carry something are cut into
three bands, and two hashes that differ in at most five bits differ in at most one bit in at least
one band (pigeonhole; Norouzi, Punjani & Fleet 2012, "Fast search in Hamming space with multi-index
hashing"). A copy moved by two pixels or more has another hash and is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Agreement = Callable[[Indices, Indices], npt.NDArray[np.bool_]]

#: Largest number of differing bits. Of 3,000 real patches, copies within it: 99 % after JPEG of
#: quality 50, 99 % with Gaussian noise of 5 gray levels, 99.9 % with 20 gray levels added, but
#: 49 % when moved by one pixel.
MAX_BITS = 5
#: Smallest correlation of the pixels, reduced to 16 x 16, that makes a candidate a near copy. Among
#: 22,237 real patches the most alike candidates of two cases reach 0.85; of copies, 99 % reach 0.96
#: after JPEG of quality 50 and 0.98 with Gaussian noise of 5 gray levels.
MIN_LIKENESS = 0.95

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_FREQUENCIES = 8
_BANDS, _BAND_BITS = 3, 21
_REDUCED = 16
#: Candidates looked at together, which bounds the memory (a few arrays of this length).
_CHUNK = 1 << 20


def luminance(patches: npt.NDArray[np.uint8]) -> Floats:
    """Gray levels 0 to 255: uint8 [n, H, W, 3] -> float32 [n, H, W]."""
    gray: Floats = patches @ _LUMA
    return gray


def spectrum(gray: Floats) -> Floats:
    """The lowest 8 x 8 frequencies of each picture (DCT-II): float32 [n, H, W] -> [n, 8, 8]."""
    rows, columns = (_waves(size) for size in gray.shape[1:])
    return np.asarray(rows @ gray @ columns.T, np.float32)


def _waves(size: int) -> Floats:
    angle = np.pi * np.arange(_FREQUENCIES)[:, None] * (np.arange(size) + 0.5) / size
    return (np.cos(angle) / size).astype(np.float32)


def hashes(waves: Floats) -> Codes:
    """The hash of each picture in its own position: float32 [n, 8, 8] -> uint64 [n].

    63 bits are used: the first frequency is the mean brightness, not the picture.
    """
    signs = (waves > 0).reshape(len(waves), _FREQUENCIES**2)
    signs[:, 0] = False
    return np.packbits(signs, axis=1).view(">u8")[:, 0].astype(np.uint64)


def turned_hashes(waves: Floats) -> Codes:
    """The hashes of each picture in all eight positions: float32 [n, 8, 8] -> uint64 [8, n].

    Position p is ``turned(picture, p)``.
    """
    odd = (-1.0) ** np.arange(_FREQUENCIES, dtype=np.float32)
    out = []
    for position in range(8):
        view = waves.transpose(0, 2, 1) if position & 4 else waves
        view = view * odd[:, None] if position & 1 else view
        out.append(hashes(view * odd if position & 2 else view))
    return np.stack(out)


def turned(picture: npt.NDArray[np.generic], position: int) -> npt.NDArray[np.generic]:
    """A picture [H, W, ...] in one of its eight positions: bit 4 transposes, 1 and 2 flip.

    >>> turned(np.array([[1, 2], [3, 4]]), 5).tolist()
    [[2, 4], [1, 3]]
    """
    if position & 4:
        picture = picture.swapaxes(0, 1)
    if position & 1:
        picture = picture[::-1]
    return picture[:, ::-1] if position & 2 else picture


def first_near(
    queries: Codes, table: Codes, agree: Agreement | None = None, *, bits: int = MAX_BITS
) -> Indices:
    """For each query an entry of the table that differs in at most ``bits`` bits, or -1.

    queries: uint64 [n]; table: uint64 [m]; the top bit is unused. bits: at most 5. agree: which
    pairs (queries int64 [p], entries int64 [p]) count, bool [p]; by default all do.
    Returns int64 [n]. A query is done with its first match, so a thousand copies of a picture cost
    no more than one; time grows with (n + m) log m while entries spread over the 2^21 values of a
    band.

    >>> first_near(np.array([0b1011, 1 << 62 | 0xFFF0], np.uint64), np.array([0b1000], np.uint64))
    array([ 0, -1])
    """
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"bits is {bits}, must be 0 to {MAX_BITS}")
    matches = np.full(len(queries), -1, np.int64)
    for band in range(_BANDS):
        keys = _band(table, band)
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        # Most keys have no entry; a table of 2 MB tells, before any search.
        present = np.zeros(1 << _BAND_BITS, np.bool_)
        present[keys] = True
        bands = _band(queries, band)
        for probe in [0, *(1 << bit for bit in range(_BAND_BITS))]:
            open_ = np.flatnonzero(matches < 0)
            open_ = open_[present[bands[open_] ^ probe]]
            key = bands[open_] ^ probe
            first, end = (np.searchsorted(ranked, key, side) for side in ("left", "right"))
            step = 1
            while True:
                # One entry of each query, then twice as many of those without a match, and so on.
                going = (first < end) & (matches[open_] < 0)
                if not going.any():
                    break
                open_, first, end = open_[going], first[going], end[going]
                for at, entry in _expand(first, np.minimum(end - first, step)):
                    _match(queries, table, open_[at], order[entry], band, bits, agree, matches)
                first = first + step
                step *= 2
    return matches


def _match(
    queries: Codes,
    table: Codes,
    query: Indices,
    row: Indices,
    band: int,
    bits: int,
    agree: Agreement | None,
    matches: Indices,
) -> None:
    """Note the pairs that are close and agree; each pair is looked at in one band only."""
    apart = queries[query] ^ table[row]
    fresh = np.bitwise_count(apart) <= bits
    for earlier in range(band):
        fresh &= np.bitwise_count(_band(apart, earlier)) > 1
    query, row = query[fresh], row[fresh]
    if agree is not None and len(query):
        agreed = agree(query, row)
        query, row = query[agreed], row[agreed]
    # Backwards, so that the first entry of several is the one that stays.
    matches[query[::-1]] = row[::-1]


def _band(codes: Codes, band: int) -> Indices:
    """The values of a band of each code: int64 [n]."""
    shift, mask = np.uint64(band * _BAND_BITS), np.uint64((1 << _BAND_BITS) - 1)
    return ((codes >> shift) & mask).astype(np.int64)


def _expand(
    first: npt.NDArray[np.int64], count: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(query, position) for every position first <= position < first + count, in bounded chunks."""
    busy = np.flatnonzero(count)
    ends = np.cumsum(count[busy])
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _CHUNK):
        flat = np.arange(start, min(start + _CHUNK, total))
        slot = np.searchsorted(ends, flat, side="right")
        query = busy[slot]
        yield query, first[query] + flat - (ends[slot] - count[query])


def likeness(one: Floats, other: Floats) -> Floats:
    """Correlation of pairs of reduced pictures: float32 [n, 16, 16] twice -> float32 [n].

    A change of brightness or contrast leaves it at 1.

    >>> ramp = np.arange(256, dtype=np.float32).reshape(1, 16, 16)
    >>> likeness(ramp, 0.5 * ramp + 9).round(4).tolist()
    [1.0]
    """
    a = one - one.mean(axis=(1, 2), keepdims=True)
    b = other - other.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((a**2).sum(axis=(1, 2)) * (b**2).sum(axis=(1, 2)))
    return np.asarray((a * b).sum(axis=(1, 2)) / np.maximum(norm, 1e-12), np.float32)


def reduced(gray: Floats) -> Floats:
    """Means over a grid of 16 x 16, cutting pixels where it must: [n, H, W] -> [n, 16, 16]."""
    rows, columns = (_means(size) for size in gray.shape[1:])
    return np.asarray(rows @ gray @ columns.T, np.float32)


def _means(size: int) -> Floats:
    edges = np.linspace(0, size, _REDUCED + 1)
    pixel = np.arange(size)
    low = np.maximum(edges[:-1, None], pixel)
    high = np.minimum(edges[1:, None], pixel + 1)
    return np.asarray(np.maximum(high - low, 0) * _REDUCED / size, np.float32)
