"""The identity of pixels, of single patches and of stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl


def pixel_digests(patches: npt.NDArray[np.uint8]) -> list[str]:
    """The identity of each patch's pixels: 128 bits of BLAKE2b over its shape and values, in hex.

    patches: uint8 [N, H, W, 3].

    >>> pixel_digests(np.zeros((1, 2, 2, 3), np.uint8))[0][:8]
    '681bbd4a'
    """
    start = hashlib.blake2b(repr(patches.shape[1:]).encode(), digest_size=16)
    digests = []
    for patch in np.ascontiguousarray(patches):
        hasher = start.copy()
        hasher.update(patch.data)
        digests.append(hasher.hexdigest())
    return digests


def table_digest(table: pl.DataFrame, classes: Sequence[str]) -> str:
    """128 bits of BLAKE2b over classes and the identity of every patch in order, in hex."""
    hasher = hashlib.blake2b(json.dumps(list(classes)).encode(), digest_size=16)
    columns = pl.col("digest", "label", "case", "slide", "x", "y", "part")
    texts = columns.cast(pl.String).fill_null("")
    lines = table.select(pl.concat_str(texts, separator="\t")).to_series()
    for start in range(0, len(lines), 65536):
        hasher.update("\n".join(lines[start : start + 65536].to_list()).encode() + b"\n")
    return hasher.hexdigest()
