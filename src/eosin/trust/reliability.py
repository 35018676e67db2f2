"""Reliability: predictions against outcomes, in bins of equal mass, and the Brier score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, why_undefined
from eosin.evaluation.metrics import ratio, squared_errors
from eosin.records.scored import Scored
from eosin.trust.totals import totals

BINS = 15
#: Probabilities of the true class are raised to this before the logarithm: 0 would cost infinity.
CLIP = 1e-7
#: Labels drawn from the probabilities themselves for ``ece_by_chance``.
CHANCE_DRAWS = 200


def why_no_calibration(scored: Scored) -> str:
    """The sentence on why these cannot be compared, or "".

    >>> why_no_calibration(Scored.of([0, 1], [-1.0, 2.0]))
    'calibration needs probabilities, and the scores reach from -1 to 2'
    """
    return why_undefined("brier", scored, "calibration")


def outcomes(scored: Scored) -> tuple[Floats, Floats]:
    """What is predicted and the outcomes, float64 [N] each.

    Two classes: the probability of the positive class, and 1 where the patch is positive. More:
    the largest probability, and 1 where its class is the true one (top-label calibration).

    >>> scored = Scored.of([0, 2], [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    >>> [part.tolist() for part in outcomes(scored)]
    [[0.5, 0.5], [1.0, 0.0]]
    """
    if scored.classes == 2:
        return scored.scores, scored.labels.astype(np.float64)
    top = scored.scores.argmax(axis=1) == scored.labels
    return scored.scores.max(axis=1), top.astype(np.float64)


def equal_mass(scores: npt.ArrayLike, bins: int = BINS) -> Ints:
    """The bin of each score, int64 [N], from 0: bins of equal mass that never part equal scores.

    scores: float [N], finite. A score goes where the middle of its run of equals falls, so where
    scores repeat there are fewer bins than asked for; the numbers that remain have no gaps.
    Raises ValueError for fewer than one bin.

    >>> equal_mass([0.1, 0.4, 0.2, 0.8], 2).tolist()
    [0, 1, 0, 1]
    >>> equal_mass([0.0, 0.0, 0.0, 0.8], 4).tolist()
    [0, 0, 0, 1]
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; at least one is needed")
    _, place, counts = np.unique(
        np.asarray(scores, dtype=np.float64), return_inverse=True, return_counts=True
    )
    middle = np.cumsum(counts) - counts / 2
    numbers = np.floor(middle * bins / max(1, len(place))).astype(np.int64)
    cells: Ints = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    return cells[place]


def expected_calibration_error(scored: Scored, *, bins: int = BINS) -> float:
    """Mean distance between predicted and observed shares over bins of equal mass; NaN undefined.

    Naeini, Cooper & Hauskrecht, AAAI 2015, with bins of equal mass (Nixon et al., CVPR workshops
    2019). A finite sample never has exactly the shares predicted, so the value is above 0 even for
    a perfect model: see ``ece_by_chance``.

    >>> expected_calibration_error(Scored.of([0, 0, 0, 1], [0.25] * 4))
    0.0
    >>> expected_calibration_error(Scored.of([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75]), bins=2)
    0.25
    """
    if why_no_calibration(scored):
        return float("nan")
    predicted, outcome = outcomes(scored)
    cells = equal_mass(predicted, bins)
    gaps = totals([predicted - outcome], cells, int(cells.max()) + 1)
    return float(np.abs(gaps).sum() / len(predicted))


def ece_by_chance(scored: Scored, *, bins: int = BINS, seed: int = 0) -> float:
    """The calibration error that chance alone would give if every probability were right.

    Mean over 200 draws of the labels from the probabilities, patch by patch, within the same bins.
    Patches of one case err together, so a good model may still lie somewhat above it. NaN where the
    error is not defined.

    >>> ece_by_chance(Scored.of([0, 1], [0.0, 1.0]))
    0.0
    """
    if why_no_calibration(scored):
        return float("nan")
    predicted, _ = outcomes(scored)
    cells = equal_mass(predicted, bins)
    width = int(cells.max()) + 1
    expected = totals([predicted], cells, width)[0]
    rng = np.random.default_rng(seed)
    errors = 0.0
    for _ in range(CHANCE_DRAWS):
        # Whole counts of the patches drawn positive: exact, and quicker than weights.
        outcome = np.bincount(cells[rng.random(len(predicted)) < predicted], minlength=width)
        errors += float(np.abs(expected - outcome).sum())
    return errors / CHANCE_DRAWS / len(predicted)


def bin_rows(sums: Floats, samples: Floats | None = None) -> list[dict[str, Any]]:
    """A row a bin: n, predicted and observed share, low and high of the latter.

    sums: float64 [>= 3, B], totals of 1, predicted and observed; samples: float64
    [replicates, >= 3, B], or None for no intervals (low and high are None).

    >>> bin_rows(np.array([[2.0], [0.5], [1.0]]))
    [{'n': 2, 'predicted': 0.25, 'observed': 0.5, 'low': None, 'high': None}]
    """
    n, predicted, outcome = sums[:3]
    limits: list[tuple[float | None, float | None]] = [(None, None)] * len(n)
    if samples is not None:
        # A replicate without a patch in a bin does not count for that bin.
        shares = ratio(samples[:, 2], samples[:, 0])
        limits = [_central(shares[:, k]) for k in range(len(n))]
    return [
        {
            "n": int(n[k]), "predicted": float(predicted[k] / n[k]),
            "observed": float(outcome[k] / n[k]), "low": limits[k][0], "high": limits[k][1],
        }
        for k in range(len(n))
    ]  # fmt: skip


def _central(samples: Floats) -> tuple[float | None, float | None]:
    known = samples[np.isfinite(samples)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def brier_parts(scored: Scored, *, bins: int = BINS) -> dict[str, float] | None:
    """What the Brier score is made of; None where it is not defined.

    The score is reliability - resolution + uncertainty + within_bin, exactly: Murphy, Journal of
    Applied Meteorology 12, 1973; the last part, for probabilities that differ within a bin, is that
    of Stephenson, Coelho & Jolliffe, Weather and Forecasting 23, 2008. More than two classes: the
    sum of each class against the rest, as the score is, each with its own bins.

    >>> brier_parts(Scored.of([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75]), bins=2)
    {'reliability': 0.0625, 'resolution': 0.25, 'uncertainty': 0.25, 'within_bin': 0.0}
    """
    if why_no_calibration(scored):
        return None
    classes = [1] if scored.classes == 2 else range(scored.classes)
    each = [
        _parts((scored.labels == k).astype(np.float64), scored.probabilities[:, k], bins)
        for k in classes
    ]
    return {name: float(sum(part[name] for part in each)) for name in each[0]}


def _parts(outcome: Floats, predicted: Floats, bins: int) -> dict[str, float]:
    cells = equal_mass(predicted, bins)
    n, p, o = totals([np.ones(len(outcome)), predicted, outcome], cells, int(cells.max()) + 1)
    mean_p, mean_o = p / n, o / n
    base = float(outcome.mean())
    # Within a bin: the spread of the probabilities, less twice what it tells of the outcomes.
    away = predicted - mean_p[cells]
    return {
        "reliability": float(np.sum(n * (mean_p - mean_o) ** 2) / len(outcome)),
        "resolution": float(np.sum(n * (mean_o - base) ** 2) / len(outcome)),
        "uncertainty": base * (1 - base),
        "within_bin": float(np.mean(away**2 - 2 * away * (outcome - mean_o[cells]))),
    }


def of_true_class(scored: Scored) -> Floats:
    """The probability of each patch's true class: float64 [N].

    >>> of_true_class(Scored.of([0, 1], [0.25, 0.75])).tolist()
    [0.75, 0.75]
    """
    chosen: Floats = scored.probabilities[np.arange(len(scored)), scored.labels]
    return chosen


def patch_values(scored: Scored) -> Floats:
    """What every calibration figure is a function of the totals of: float64 [5, N].

    Rows: 1, predicted, observed, squared error, log loss (of at least 1e-7).
    """
    predicted, outcome = outcomes(scored)
    errors = squared_errors(scored.labels, scored.scores)
    losses = -np.log(np.maximum(of_true_class(scored), CLIP))
    return np.stack([np.ones(len(outcome)), predicted, outcome, errors, losses])
