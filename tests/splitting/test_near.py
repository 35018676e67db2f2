"""Near copies: the hash turns with the picture, the banded search finds what all-with-all finds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.splitting import near
from eosin.splitting.near import (
    first_near,
    hashes,
    likeness,
    luminance,
    reduced,
    spectrum,
    turned,
    turned_hashes,
)


def pictures(count: int, size: int = 50, seed: int = 0) -> np.ndarray:
    """uint8 [n, size, size, 3]: smooth random pictures."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 9, 9, 3)).astype(np.uint8)
    return np.stack([cv2.resize(p, (size, size), interpolation=cv2.INTER_CUBIC) for p in small])


def near_codes_plain(
    queries: near.Codes, table: near.Codes, *, bits: int = near.MAX_BITS
) -> tuple[near.Indices, near.Indices]:
    """All pairs that are close, by comparing all with all: the reference of ``first_near``."""
    return np.nonzero(np.bitwise_count(queries[:, None] ^ table[None, :]) <= bits)


def test_the_hash_of_a_turned_picture_is_the_turned_hash() -> None:
    patches = pictures(20)
    codes = turned_hashes(spectrum(luminance(patches)))
    for position in range(8):
        views = np.stack([turned(patch, position) for patch in patches])
        found = hashes(spectrum(luminance(views)))
        # A frequency that is all but zero may fall on either side.
        assert np.bitwise_count(codes[position] ^ found).max() <= 1


def test_positions_are_eight_and_all_differ() -> None:
    picture = np.arange(9).reshape(3, 3)
    assert len({turned(picture, position).tobytes() for position in range(8)}) == 8


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    m=st.integers(0, 60),
    bits=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_banded_search_equals_brute_force(seed: int, n: int, m: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 1 << 63, m, dtype=np.uint64)
    queries = rng.integers(0, 1 << 63, n, dtype=np.uint64)
    # Half of the queries are entries with up to eight bits changed.
    for query in range(0, n if m else 0, 2):
        code = int(table[rng.integers(m)])
        for bit in rng.choice(63, rng.integers(0, 9), replace=False):
            code ^= 1 << int(bit)
        queries[query] = code
    good = rng.random((n, m)) < 0.5
    for agree in (None, lambda at, to: good[at, to]):
        found = first_near(queries, table, agree, bits=bits)
        at, to = near_codes_plain(queries, table, bits=bits)
        pairs = {(a, b) for a, b in zip(at.tolist(), to.tolist(), strict=True)
                 if agree is None or good[a, b]}  # fmt: skip
        assert set(np.flatnonzero(found >= 0).tolist()) == {a for a, _ in pairs}
        assert {(a, b) for a, b in enumerate(found.tolist()) if b >= 0} <= pairs


def test_crowded_bands_in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_CHUNK", 7)
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 16, 40, dtype=np.uint64)
    asked: list[tuple[int, int]] = []

    def only_itself(at: np.ndarray, to: np.ndarray) -> np.ndarray:
        asked.extend(zip(at.tolist(), to.tolist(), strict=True))
        return at == to

    found = first_near(codes, codes, only_itself)
    assert found.tolist() == list(range(40))
    # No pair is asked about twice, and none that is not near.
    at, to = near_codes_plain(codes, codes)
    assert len(asked) == len(set(asked))
    assert set(asked) <= set(zip(at.tolist(), to.tolist(), strict=True))


def test_many_copies_of_a_picture_cost_no_more_than_one() -> None:
    asked = []

    def yes(at: np.ndarray, to: np.ndarray) -> np.ndarray:
        asked.append(len(at))
        return np.ones(len(at), np.bool_)

    codes = np.full(300, 12345, np.uint64)
    assert (first_near(codes, codes, yes) >= 0).all()
    assert sum(asked) == 300


def test_more_bits_than_the_bands_promise_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 5"):
        first_near(np.zeros(1, np.uint64), np.zeros(1, np.uint64), bits=6)


@pytest.mark.parametrize("size", [16, 28, 50, 96])
def test_reduced_keeps_the_mean(size: int) -> None:
    gray = luminance(pictures(3, size))
    small = reduced(gray)
    assert small.shape == (3, 16, 16)
    assert small.mean(axis=(1, 2)) == pytest.approx(gray.mean(axis=(1, 2)), rel=1e-4)


def test_likeness_of_flat_pictures_is_no_number_gone_wrong() -> None:
    flat = np.full((2, 16, 16), 7.0, np.float32)
    assert likeness(flat, flat).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("quality", [50, 90])
def test_recompressed_pictures_stay_near(quality: int) -> None:
    patches = pictures(50)
    copies = np.stack(
        [
            cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
            for p in patches
        ]
    )
    one, two = luminance(patches), luminance(copies)
    bits = np.bitwise_count(hashes(spectrum(one)) ^ hashes(spectrum(two)))
    assert (bits <= near.MAX_BITS).all()
    assert (likeness(reduced(one), reduced(two)) >= near.MIN_LIKENESS).all()
