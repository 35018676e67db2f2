"""Copies: patches that show the same picture, or nearly the same, and so must stay together.

One search serves the audit, which looks for copies across parts, and the split, which keeps them in
one part: what a split of eosin keeps together is exactly what its audit would report.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eosin.data.grid import Rows
from eosin.data.store import PatchStore
from eosin.splitting.fingerprints import (
    Fingerprints,
    fingerprints,
    reduced_pictures,
    same_pictures,
)
from eosin.splitting.near import MIN_LIKENESS, first_near, likeness, turned

_BLOCK = 4096


def near_pairs(
    store: PatchStore, prints: Fingerprints, groups: Rows, queries: Rows, table: Rows
) -> tuple[Rows, Rows]:
    """Patches that look like one of the table's: close hashes, then pixels that correlate.

    groups: int64 [N], patches of one group are not compared (-1: alone); queries, table: int64,
    positions in ``prints``. Returns rows of the store, int64 [p] twice; a query is done with its
    first such patch, however it is turned.
    """
    pairs: list[tuple[Rows, Rows]] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    to = prints.rows[table]
    for position in range(8):
        at = prints.rows[queries]

        def alike(
            one: Rows, other: Rows, at: Rows = at, position: int = position
        ) -> npt.NDArray[np.bool_]:
            return _alike(store, groups, position, at[one], to[other])

        entry = first_near(prints.codes[position, queries], prints.codes[0, table], alike)
        pairs.append((at[entry >= 0], to[entry[entry >= 0]]))
        queries = queries[entry < 0]
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return one, other


def _alike(
    store: PatchStore, groups: Rows, position: int, rows: Rows, others: Rows
) -> npt.NDArray[np.bool_]:
    """Whether ``rows``, turned to the position, look like ``others``: bool [n]."""
    out = np.zeros(len(rows), np.bool_)
    apart = (groups[rows] < 0) | (groups[rows] != groups[others])
    different = np.flatnonzero(apart & (rows != others))
    for start in range(0, len(different), _BLOCK):
        block = different[start : start + _BLOCK]
        small = reduced_pictures(store, rows[block])
        view = np.stack([turned(picture, position) for picture in small]).astype(np.float32)
        out[block] = likeness(view, reduced_pictures(store, others[block])) >= MIN_LIKENESS
    return out


def numbered(groups: Sequence[Rows], count: int) -> Rows:
    """The number of each row's group, int64 [count]; -1 for a row that is in none.

    >>> numbered([np.array([0, 2])], 4).tolist()
    [0, -1, 0, -1]
    """
    out = np.full(count, -1, np.int64)
    for number, group in enumerate(groups):
        out[group] = number
    return out


def joined(store: PatchStore, groups: Rows) -> Rows:
    """Groups of patches, int64 [N] from 0, with those that share a picture made one.

    The result are the connected components: each round, every patch finds a first near copy outside
    its group, until there are none. Groups without copies keep their order.
    """
    prints = fingerprints(store, np.arange(len(store)))
    same = same_pictures(store, prints)
    one = np.concatenate([np.zeros(0, np.int64), *(group[1:] for group in same)])
    other = np.repeat([group[0] for group in same], [len(group) - 1 for group in same]).astype(int)
    groups = _united(groups, one, other)
    busy = np.flatnonzero(~prints.sparse)
    while len(busy):
        one, other = near_pairs(store, prints, groups, busy, busy)
        if not len(one):
            break
        groups = _united(groups, one, other)
        # A group that found nothing outside is complete: likeness holds in both directions.
        busy = busy[np.isin(groups[prints.rows[busy]], groups[one])]
    return groups


def _united(groups: Rows, one: Rows, other: Rows) -> Rows:
    """The groups after those of each pair of rows, int64 [p] twice, have become one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(groups.max()) + 1 if len(groups) else 0
    edges = coo_array((np.ones(len(one)), (groups[one], groups[other])), (count, count))
    return np.asarray(connected_components(edges, directed=False)[1], np.int64)[groups]
