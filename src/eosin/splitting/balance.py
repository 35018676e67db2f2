"""Undivided groups to parts, so that sizes and class shares come close to the targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eosin.errors import SplitError
from eosin.records.scored import Floats

#: The part or fold of each group or patch, int16.
Codes = npt.NDArray[np.int16]

#: Random starts; the best one is then improved by moving and exchanging groups.
_TRIES = 256
#: Where groups are many, chance alone is close enough, and the search would only cost time.
_MANY = 5000
#: A part that is off by less than this share of a column's total is close enough.
_CLOSE = 0.01
#: Exchanges compare all groups with all; with more groups than this, moves come close alone.
_MOST_EXCHANGED = 1000


def balanced(contents: Floats, fractions: Sequence[float], *, seed: int) -> Codes:
    """The part of every group: int16 [G], each part with about its fraction of every column.

    contents: float64 [G, C], what a group contains: patches of each class, patches, itself.
    fractions: shares of the parts; they sum to 1 and none is 0.
    The best of many random orders is taken and improved by single moves until none helps, and
    where a part is then still off by more than 1 %, by exchanges of two groups. The score is the
    sum of squared deviations from the targets, each column in units of its total. The same seed
    gives the same result.
    Raises SplitError when there are fewer groups than parts.

    >>> contents = np.ones((10, 1))
    >>> np.bincount(balanced(contents, [0.6, 0.2, 0.2], seed=1)).tolist()
    [6, 2, 2]
    """
    groups = len(contents)
    if groups < len(fractions):
        raise SplitError(
            f"{groups} case{'s' * (groups != 1)} cannot be shared out to {len(fractions)} parts: "
            "every part needs one (cases that share a picture count as one)"
        )
    columns = contents[:, contents.sum(axis=0) > 0]
    shares = columns / columns.sum(axis=0)
    targets = np.asarray(fractions, np.float64)[:, None]
    rng = np.random.default_rng(seed)
    if groups > _MANY:
        return _by_strata(shares, targets[:, 0], rng)
    best, least = np.zeros(groups, np.int16), np.inf
    for _ in range(_TRIES):
        codes = _random_start(shares, targets[:, 0], rng)
        score = float(((_sums(shares, codes, len(targets)) - targets) ** 2).sum())
        if score < least:
            best, least = codes, score
    return _improve(shares, targets, best)


def _sums(shares: Floats, codes: Codes, parts: int) -> Floats:
    """float64 [parts, C]: what every part contains."""
    return np.stack([shares[codes == part].sum(axis=0) for part in range(parts)])


def _random_start(shares: Floats, fractions: Floats, rng: np.random.Generator) -> Codes:
    """Groups in random order, cut where the mean share of the columns reaches the fractions."""
    order = rng.permutation(len(shares))
    weight = shares[order].mean(axis=1)
    middle = np.cumsum(weight) - weight / 2
    cut = np.searchsorted(np.cumsum(fractions)[:-1], middle, side="right")
    codes = np.empty(len(shares), np.int16)
    codes[order] = cut
    # Large groups or small fractions can leave a part empty; it gets a group of the fullest part.
    for part in range(len(fractions)):
        if not (codes == part).any():
            fullest = int(np.bincount(codes, minlength=len(fractions)).argmax())
            codes[np.flatnonzero(codes == fullest)[0]] = part
    return codes


def _improve(shares: Floats, targets: Floats, codes: Codes) -> Codes:
    """Make the single move, or else the exchange, that lowers the score most, until none does."""
    codes = codes.copy()
    parts = len(targets)
    size = (shares**2).sum(axis=1)
    rows = np.arange(len(shares))
    for _ in range(4 * len(shares)):
        off = _sums(shares, codes, parts) - targets
        lean = shares @ off.T
        # Change of the score when a group leaves its part and joins another.
        change = 2 * (lean - lean[rows, codes][:, None]) + 2 * size[:, None]
        change[rows, codes] = 0
        change[np.bincount(codes, minlength=parts)[codes] == 1] = 0
        group, part = np.unravel_index(int(change.argmin()), change.shape)
        if change[group, part] <= -1e-12:
            codes[group] = part
            continue
        if float(np.abs(off).max()) <= _CLOSE or len(shares) > _MOST_EXCHANGED:
            break
        # Change of the score when two groups exchange their parts.
        across = lean[:, codes].T
        own = lean[rows, codes]
        apart = size[:, None] + size[None, :] - 2 * shares @ shares.T
        change = 2 * (across + across.T - own[:, None] - own[None, :] + apart)
        one, other = np.unravel_index(int(change.argmin()), change.shape)
        if change[one, other] > -1e-12:
            break
        codes[one], codes[other] = codes[other], codes[one]
    return codes


def _by_strata(shares: Floats, fractions: Floats, rng: np.random.Generator) -> Codes:
    """Groups with the same main column are shuffled and cut together."""
    codes = np.empty(len(shares), np.int16)
    main = shares.argmax(axis=1)
    for column in np.unique(main):
        rows = rng.permutation(np.flatnonzero(main == column))
        cuts = np.rint(np.cumsum(fractions)[:-1] * len(rows)).astype(np.int64)
        for part, chunk in enumerate(np.split(rows, cuts)):
            codes[chunk] = part
    return codes
