"""Every figure of every bootstrap replicate, without ever building a resampled set of patches.

A replicate draws as many units (cases, or single patches) as there are, with replacement. It is
kept as a row of weights: how often each unit was drawn. All figures follow from the weights:

- figures of the decision from each unit's confusion counts, by one matrix product;
- AUROC from U[c, d], the pairs of a positive of unit c above a negative of unit d: it is
  w U w' / (P N), exact, ties included (Mann-Whitney);
- average precision from the counts of each unit above every positive score, again a product.

With many units, or units of one patch, those tables are too large; then the patches, sorted once,
are swept with running sums. Both give what scikit-learn gives on the resampled patches, which the
tests check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from eosin.cores import usable_cores
from eosin.evaluation.definitions import Floats, Ints, figure_names
from eosin.evaluation.metrics import predicted, rates, ratio, squared_errors
from eosin.evaluation.ranking import ranked_counts
from eosin.memory import LargestBatch

#: Up to so many units the tables of pairs and counts are used (measured: the sweep wins above it).
TABLE_UNITS = 160
_BLOCK_ELEMENTS = 1 << 18
#: Elements of a product of replicates and table at once: 32 MB.
_TABLE_ELEMENTS = 1 << 22


def draws(units: int, replicates: int, seed: int) -> Iterator[Ints]:
    """How often each unit is drawn in each replicate: blocks of int64 [B, units].

    The same arguments give the same draws, so two models can be compared replicate by replicate.

    >>> [block.sum(axis=1).tolist() for block in draws(3, 2, seed=0)]
    [[3, 3]]
    """
    for rows, child in _blocks(units, replicates, seed):
        yield _draw(units, rows, child)


def block_size(units: int, replicates: int) -> int:
    """Replicates handled at once: few enough that a block's arrays stay near the cache.

    >>> block_size(49, 2000), block_size(70000, 2000)
    (128, 3)
    """
    return max(1, min(replicates, 128, _BLOCK_ELEMENTS // max(1, units)))


def _blocks(units: int, replicates: int, seed: int) -> list[tuple[int, np.random.SeedSequence]]:
    """Rows and seed of each block: a block does not depend on which thread draws it, or when."""
    size = block_size(units, replicates)
    starts = range(0, replicates, size)
    seeds = np.random.SeedSequence(seed).spawn(len(starts))
    return [(min(size, replicates - a), child) for a, child in zip(starts, seeds, strict=True)]


def _draw(units: int, rows: int, seed: np.random.SeedSequence) -> Ints:
    picked = np.random.default_rng(seed).integers(0, units, (rows, units))
    picked += np.arange(rows)[:, None] * units
    return np.bincount(picked.ravel(), minlength=rows * units).reshape(rows, units)


class RankTable:
    """AUROC and average precision of one class by tables over units: for few units.

    y_true: int [N] of 0 and 1; y_prob: float64 [N]; units: int [N], 0 to ``count`` - 1.
    """

    def __init__(self, y_true: Ints, y_prob: Floats, units: Ints, count: int) -> None:
        positive = y_true == 1
        order = np.argsort(y_prob, kind="stable")
        above = order[positive[order]]
        scores, owner = y_prob[above], units[above]
        distinct, first = np.unique(scores, return_index=True)
        self.pairs = np.zeros((count, count))
        #: Positives and all patches of each unit at or above each distinct positive score, [C, G].
        self.positives = np.zeros((count, len(distinct)))
        self.all = np.zeros((count, len(distinct)))
        self.totals = np.zeros((count, 2))
        for unit in range(count):
            mine = order[units[order] == unit]
            p, n = y_prob[mine[positive[mine]]], y_prob[mine[~positive[mine]]]
            left = np.searchsorted(n, distinct, "left")
            right = np.searchsorted(n, distinct, "right")
            below = np.repeat((left + right) / 2, np.diff(np.append(first, len(scores))))
            self.pairs[:, unit] = np.bincount(owner, below, count)
            self.positives[unit] = len(p) - np.searchsorted(p, distinct, "left")
            self.all[unit] = self.positives[unit] + len(n) - left
            self.totals[unit] = len(p), len(n)

    def figures(self, weights: Floats) -> tuple[Floats, Floats]:
        """AUROC [B] and average precision [B] for weights float64 [B, units]; NaN if undefined."""
        return _in_parts(self._figures, weights, _TABLE_ELEMENTS // max(1, self.all.shape[1]))

    def _figures(self, weights: Floats) -> tuple[Floats, Floats]:
        totals = weights @ self.totals
        p, n = totals[:, 0], totals[:, 1]
        defined = (p > 0) & (n > 0)
        wins = np.einsum("rc,rc->r", weights @ self.pairs, weights)
        hits = weights @ self.positives
        precision = weights @ self.all
        np.divide(hits, precision, out=precision, where=precision > 0)
        # Scores ascend: the count of a step is the count at it less the count at the next.
        hits[:, :-1] -= hits[:, 1:]
        area = np.einsum("rg,rg->r", hits, precision)
        return _where(defined, wins, p * n), _where(defined, area, p)


class RankSweep:
    """AUROC and average precision of one class by running sums over sorted patches.

    Only runs of equal scores that contain a positive add to either figure, so after the running sum
    over all patches the rest is as long as there are such runs.

    y_true: int [N] of 0 and 1; y_prob: float64 [N]; units: int [N].
    """

    def __init__(self, y_true: Ints, y_prob: Floats, units: Ints) -> None:
        order = np.argsort(-y_prob, kind="stable")
        self.units = units[order]
        self.positives = self.units[y_true[order] == 1]
        _, tp, fp = ranked_counts(y_true, y_prob)
        with_positives = np.diff(tp, prepend=0) > 0
        #: Patches before each run's end and before its start, positives before its end: int [G].
        self.ends, self.hits = (tp + fp)[with_positives], tp[with_positives]
        self.starts = np.append(0, tp + fp)[:-1][with_positives]

    def figures(self, weights: Floats) -> tuple[Floats, Floats]:
        """AUROC [B] and average precision [B] for weights float64 [B, units]; NaN if undefined."""
        return _in_parts(self._figures, weights, _BLOCK_ELEMENTS // max(1, len(self.units)))

    def _figures(self, weights: Floats) -> tuple[Floats, Floats]:
        every = _running(weights, self.units)
        positives = _running(weights, self.positives)
        # Without any positive there is no run that contains one, and ``hits`` has no column.
        hits, p = positives[:, self.hits], positives[:, -1].astype(np.float64)
        n = every[:, -1] - p
        defined = (p > 0) & (n > 0)
        step = np.diff(hits, axis=1, prepend=np.int32(0))
        above, before = every[:, self.ends], every[:, self.starts]
        precision = np.divide(hits, above, out=np.zeros(hits.shape), where=above > 0)
        area = np.einsum("rg,rg->r", step, precision)
        # Pairs lost: the negatives above each positive, and half of those level with it.
        lost = np.einsum("rg,rg->r", step, 0.5 * (above - hits + before - (hits - step)))
        return _where(defined, p * n - lost, p * n), _where(defined, area, p)


def _in_parts(
    figures: Callable[[Floats], tuple[Floats, Floats]], weights: Floats, rows: int
) -> tuple[Floats, Floats]:
    """Both figures, few replicates at once: the arrays between are as long as there are patches."""
    batch = LargestBatch(max(1, rows))
    parts = [both for _, both in batch.parts(len(weights), lambda part: figures(weights[part]))]
    return np.concatenate([auroc for auroc, _ in parts]), np.concatenate([ap for _, ap in parts])


def _running(weights: Floats, units: Ints) -> npt.NDArray[np.int32]:
    """Running sums, from 0, of the weights of the patches' units: int32 [B, N + 1]."""
    # int32 is enough for every count (fewer than 2^31 patches) and halves the memory moved.
    sums = np.zeros((len(weights), len(units) + 1), np.int32)
    drawn = np.take(weights.astype(np.int32), units, axis=1)
    np.cumsum(drawn, axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _where(defined: npt.NDArray[np.bool_], above: Floats, below: Floats) -> Floats:
    return ratio(above, np.where(defined, below, 0))


def replicate_figures(
    y_true: Ints,
    y_prob: Floats,
    units: Ints,
    *,
    threshold: float = 0.5,
    called: Ints | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Floats]:
    """Each figure in each bootstrap replicate over units, float64 [replicates] by name.

    y_true: int64 [N]; y_prob: float64 [N] or [N, K], finite; units: int64 [N], 0 to U - 1, the
    unit (case or patch) that each patch belongs to and is drawn with; called: int64 [N], the class
    that each patch is called, by default that of the threshold. NaN where a replicate does not
    define the figure. The same units, replicates and seed give the same draws.

    >>> y = np.array([0, 1, 0, 1])
    >>> result = replicate_figures(y, np.array([0.1, 0.8, 0.3, 0.6]), np.array([0, 0, 1, 1]),
    ...                           replicates=5)
    >>> result["auroc"].tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    from scipy.sparse import csr_array

    count = int(units.max()) + 1
    classes = y_prob.shape[1] if y_prob.ndim == 2 else 2
    if called is None:
        called = predicted(y_prob, threshold=threshold)
    # A patch as unit fills one cell of K * K; a dense product would mostly add zeros.
    cells = csr_array(
        (np.ones(len(units)), (y_true * classes + called, units)), shape=(classes**2, count)
    )
    sums = np.bincount(units, squared_errors(y_true, y_prob), count)
    errors = np.stack([sums, np.bincount(units, minlength=count)], axis=1)
    rankings: list[RankTable | RankSweep] = []
    for k in range(1, 2) if y_prob.ndim == 1 else np.unique(y_true):
        truth = (y_true == k).astype(np.int64)
        scores = y_prob if y_prob.ndim == 1 else y_prob[:, k]
        # Where a unit is a single patch, the tables are as long as the patches and mostly zeros.
        few = count <= TABLE_UNITS and count < len(units)
        ranking = RankTable(truth, scores, units, count) if few else RankSweep(truth, scores, units)
        rankings.append(ranking)

    def one(block: tuple[int, np.random.SeedSequence]) -> dict[str, Floats]:
        weights = _draw(count, *block).astype(np.float64)
        result = rates((cells @ weights.T).T.reshape(-1, classes, classes))
        total = weights @ errors
        result["brier"] = total[:, 0] / total[:, 1]
        pairs = [each.figures(weights) for each in rankings]
        names = ("auroc", "average_precision")
        for name, values in zip(names, np.array(pairs).transpose(1, 2, 0), strict=True):
            result[name if classes == 2 else f"macro_{name}"] = _mean_defined(values)
        return result

    with ThreadPoolExecutor(min(4, usable_cores()[0])) as pool:
        blocks = list(pool.map(one, _blocks(count, replicates, seed)))
    return {
        name: np.concatenate([block[name] for block in blocks]) for name in figure_names(y_prob)
    }


def _mean_defined(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
