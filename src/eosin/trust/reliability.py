"""Reliability: what was predicted beside what came, in bins of equal mass, and the Brier score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked, why_undefined
from eosin.evaluation.intervals import Units
from eosin.evaluation.metrics import squared_errors
from eosin.trust.totals import few_units, replicate_totals, totals

BINS = 15
#: Probabilities of the true class are raised to this before the logarithm: 0 would cost infinity.
CLIP = 1e-7
#: Labels drawn from the probabilities themselves for ``ece_by_chance``.
CHANCE_DRAWS = 200


def why_no_calibration(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> str:
    """The sentence that says why these cannot be held against each other, or "".

    >>> why_no_calibration([0, 1], [-1.0, 2.0])
    'calibration needs probabilities, and the scores reach from -1 to 2'
    """
    reason = why_undefined("brier", y_true, y_prob) or ""
    return reason.replace("brier", "calibration", 1)


def outcomes(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> tuple[Floats, Floats]:
    """What is predicted and what came, float64 [N] each.

    Two classes: the probability of the positive class, and 1 where the patch is positive. More:
    the largest probability, and 1 where its class is the true one (top-label calibration).

    >>> [part.tolist() for part in outcomes([0, 2], [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])]
    [[0.5, 0.5], [1.0, 0.0]]
    """
    truth, scores = checked(y_true, y_prob)
    if scores.ndim == 1:
        return scores, truth.astype(np.float64)
    return scores.max(axis=1), (scores.argmax(axis=1) == truth).astype(np.float64)


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
    kept = np.floor(middle * bins / max(1, len(place))).astype(np.int64)
    found: Ints = np.unique(kept, return_inverse=True)[1].astype(np.int64)
    return found[place]


def expected_calibration_error(
    y_true: npt.ArrayLike, y_prob: npt.ArrayLike, *, bins: int = BINS
) -> float:
    """Mean distance between predicted and observed shares over bins of equal mass; NaN undefined.

    y_true: int [N]; y_prob: float [N] or [N, K]. Naeini, Cooper & Hauskrecht, AAAI 2015, with
    bins of equal mass (Nixon et al., CVPR workshops 2019). A finite sample never has exactly the
    shares predicted, so the value is above 0 even for a perfect model: see ``ece_by_chance``.

    >>> expected_calibration_error([0, 0, 0, 1], [0.25] * 4)
    0.0
    >>> expected_calibration_error([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], bins=2)
    0.25
    """
    if why_no_calibration(y_true, y_prob):
        return float("nan")
    predicted, came = outcomes(y_true, y_prob)
    cells = equal_mass(predicted, bins)
    gaps = totals([predicted - came], cells, int(cells.max()) + 1)
    return float(np.abs(gaps).sum() / len(predicted))


def ece_by_chance(
    y_true: npt.ArrayLike, y_prob: npt.ArrayLike, *, bins: int = BINS, seed: int = 0
) -> float:
    """The calibration error that chance alone would give if every probability were right.

    y_true: int [N]; y_prob: float [N] or [N, K]. Mean over 200 draws of the labels from the
    probabilities, patch by patch, within the same bins. Patches of one case err together, so a
    good model may still lie somewhat above it. NaN where the error is not defined.

    >>> ece_by_chance([0, 1], [0.0, 1.0])
    0.0
    """
    if why_no_calibration(y_true, y_prob):
        return float("nan")
    predicted, _ = outcomes(y_true, y_prob)
    cells = equal_mass(predicted, bins)
    width = int(cells.max()) + 1
    expected = totals([predicted], cells, width)[0]
    rng = np.random.default_rng(seed)
    errors = 0.0
    for _ in range(CHANCE_DRAWS):
        # Whole counts of the patches drawn positive: exact, and quicker than weights.
        came = np.bincount(cells[rng.random(len(predicted)) < predicted], minlength=width)
        errors += float(np.abs(expected - came).sum())
    return errors / CHANCE_DRAWS / len(predicted)


def reliability_bins(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    units: Units | None = None,
    *,
    bins: int = BINS,
    replicates: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """A row a bin of equal mass: n, predicted and observed share, low and high of the latter.

    y_true: int [N]; y_prob: float [N] or [N, K]; units: what the bootstrap draws, or None for
    no intervals (low and high are None, as they are where there are fewer than three units).
    Empty where calibration is not defined.

    >>> reliability_bins([0, 1], [0.25, 0.25])
    [{'n': 2, 'predicted': 0.25, 'observed': 0.5, 'low': None, 'high': None}]
    """
    if why_no_calibration(y_true, y_prob):
        return []
    predicted, came = outcomes(y_true, y_prob)
    cells = equal_mass(predicted, bins)
    width = int(cells.max()) + 1
    values = [np.ones(len(came)), predicted, came]
    sums = None
    if units is not None and not few_units(units):
        sums = replicate_totals(values, cells, width, units, replicates=replicates, seed=seed)
    return bin_rows(totals(values, cells, width), sums)


def bin_rows(found: Floats, samples: Floats | None) -> list[dict[str, Any]]:
    """The rows of ``reliability_bins`` from totals of 1, predicted and observed.

    found: float64 [>= 3, B]; samples: float64 [replicates, >= 3, B], or None for no intervals.
    """
    n, predicted, came = found[:3]
    limits: list[tuple[float | None, float | None]] = [(None, None)] * len(n)
    if samples is not None:
        # A replicate without a patch in a bin says nothing about that bin.
        drawn = np.where(samples[:, 0] > 0, samples[:, 0], np.nan)
        shares = samples[:, 2] / drawn
        limits = [_central(shares[:, k]) for k in range(len(n))]
    return [
        {
            "n": int(n[k]),
            "predicted": float(predicted[k] / n[k]),
            "observed": float(came[k] / n[k]),
            "low": limits[k][0],
            "high": limits[k][1],
        }
        for k in range(len(n))
    ]


def _central(samples: Floats) -> tuple[float | None, float | None]:
    known = samples[np.isfinite(samples)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def brier_parts(
    y_true: npt.ArrayLike, y_prob: npt.ArrayLike, *, bins: int = BINS
) -> dict[str, float] | None:
    """What the Brier score is made of; None where it is not defined.

    y_true: int [N]; y_prob: float [N] or [N, K]; the score is
    reliability - resolution + uncertainty + within_bin, exactly: Murphy, Journal of Applied
    Meteorology 12, 1973; the last part, for probabilities that differ within a bin, is that of
    Stephenson, Coelho & Jolliffe, Weather and Forecasting 23, 2008. More than two classes: the
    sum of each class against the rest, as the score is, each with its own bins.

    >>> brier_parts([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], bins=2)
    {'reliability': 0.0625, 'resolution': 0.25, 'uncertainty': 0.25, 'within_bin': 0.0}
    """
    if why_no_calibration(y_true, y_prob):
        return None
    truth, scores = checked(y_true, y_prob)
    if scores.ndim == 1:
        each = [_parts(truth.astype(np.float64), scores, bins)]
    else:
        each = [
            _parts((truth == k).astype(np.float64), scores[:, k], bins)
            for k in range(scores.shape[1])
        ]
    return {name: float(sum(part[name] for part in each)) for name in each[0]}


def _parts(came: Floats, predicted: Floats, bins: int) -> dict[str, float]:
    cells = equal_mass(predicted, bins)
    n, p, o = totals([np.ones(len(came)), predicted, came], cells, int(cells.max()) + 1)
    mean_p, mean_o = p / n, o / n
    base = float(came.mean())
    # Within a bin: the spread of the probabilities, less twice what it knows of the outcomes.
    away = predicted - mean_p[cells]
    return {
        "reliability": float(np.sum(n * (mean_p - mean_o) ** 2) / len(came)),
        "resolution": float(np.sum(n * (mean_o - base) ** 2) / len(came)),
        "uncertainty": base * (1 - base),
        "within_bin": float(np.mean(away**2 - 2 * away * (came - mean_o[cells]))),
    }


def log_losses(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> Floats:
    """Each patch's -log of the probability of its true class (at least 1e-7): float64 [N].

    y_true: int [N]; y_prob: float [N] or [N, K].

    >>> log_losses([0, 1], [0.5, 0.0]).round(3).tolist()
    [0.693, 16.118]
    """
    found: Floats = -np.log(np.maximum(of_true_class(y_true, y_prob), CLIP))
    return found


def of_true_class(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> Floats:
    """The probability that each patch's true class was given: float64 [N].

    >>> of_true_class([0, 1], [0.25, 0.75]).tolist()
    [0.75, 0.75]
    """
    truth, scores = checked(y_true, y_prob)
    if scores.ndim == 1:
        return np.where(truth == 1, scores, 1 - scores)
    found: Floats = scores[np.arange(len(truth)), truth]
    return found


def patch_values(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> Floats:
    """What every calibration figure is a function of the totals of: float64 [5, N].

    Rows: 1, predicted, observed, squared error, log loss.
    """
    predicted, came = outcomes(y_true, y_prob)
    errors, losses = squared_errors(y_true, y_prob), log_losses(y_true, y_prob)
    return np.stack([np.ones(len(came)), predicted, came, errors, losses])
