"""Out of scope: how far a patch is from the training patches, in a network's features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats
from eosin.evaluation.ranking import auroc

#: Share of the validation patches that the threshold lets pass.
KEPT = 0.99
#: Fewer training patches than this many times the features are too few for a covariance.
_LEAST_PATCHES = 20
#: A feature that hardly varies must not weigh without bound.
_LEAST_DEVIATION = 1e-3


def fit_gaussian(features: npt.ArrayLike) -> tuple[Floats, Floats] | None:
    """Center [F] and whitening [F, F] of features float [N, F], or None where there are too few.

    |(f - center) @ whitening| is the Mahalanobis distance; the covariance is shrunk towards a
    multiple of the identity (Ledoit & Wolf 2004, doi 10.1016/S0047-259X(03)00096-4) after every
    feature was given deviation 1. Distance as novelty score: Lee et al. 2018, arXiv 1807.03888.

    >>> rng = np.random.default_rng(0)
    >>> center, whitening = fit_gaussian(rng.normal(5, 2, (1000, 3)))
    >>> center.round().tolist(), (whitening.diagonal().round(1) == 0.5).all().item()
    ([5.0, 5.0, 5.0], True)
    """
    from sklearn.covariance import ledoit_wolf

    table = np.asarray(features, np.float64)
    if len(table) < _LEAST_PATCHES or not np.isfinite(table).all():
        return None
    center = table.mean(axis=0)
    deviation = np.maximum(table.std(axis=0), _LEAST_DEVIATION)
    covariance, _ = ledoit_wolf((table - center) / deviation, assume_centered=True)
    # A network without any spread gives a covariance of 0, whatever it is shrunk to.
    covariance += 1e-6 * np.eye(len(center))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)) / deviation[:, None]
    return center, whitening


def scope_threshold(distances: npt.ArrayLike, *, kept: float = KEPT) -> float | None:
    """The distance up to which a patch is in scope: the share ``kept`` of these patches passes.

    distances: float [N] of validation patches. None where there are none.

    >>> scope_threshold(np.arange(101), kept=0.5)
    50.0
    """
    known = np.asarray(distances, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    # As float32, the form in which a network's distances come: the same answer on both sides.
    return float(np.float32(np.quantile(known, kept, method="higher")))


def out_of_scope(distances: npt.ArrayLike, threshold: float) -> npt.NDArray[np.bool_]:
    """Where a patch differs from the training patches: bool [N]. NaN is out of scope.

    >>> out_of_scope([0.5, 2.0, np.nan], 1.0).tolist()
    [False, True, True]
    """
    return ~(np.asarray(distances, np.float32) <= np.float32(threshold))


def cross_flagged(distances: npt.ArrayLike, groups: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Where a patch is out of scope by the threshold of the other groups: bool [N].

    distances: float [N]; groups: int [N]. Judged by its own group, the share would be 1 - ``KEPT``
    by construction. With one group it is.

    >>> cross_flagged([1.0, 1.0, 5.0], [0, 0, 1]).tolist()
    [False, False, True]
    """
    far, group = np.asarray(distances, np.float64), np.asarray(groups)
    flagged = np.zeros(len(far), bool)
    names = np.unique(group)
    for name in names:
        mine = group == name
        limit = scope_threshold(far[~mine] if len(names) > 1 else far)
        flagged[mine] = True if limit is None else out_of_scope(far[mine], limit)
    return flagged


def measure_scope(
    distances: npt.ArrayLike,
    threshold: float,
    probes: Mapping[str, tuple[str, npt.ArrayLike]],
    *,
    kept: float = KEPT,
    flagged: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """The "scope" part of evaluation.json: what is flagged of the measured patches and of probes.

    distances: float [N] of the measured patches; probes: name -> (what it is, distances float [M]);
    flagged: bool [N], where another threshold than this one judged the measured patches.
    Each probe's AUROC is that of its distances against those of the measured patches.

    >>> scope = measure_scope([0.1, 0.2], 1.0, {"noise": ("random pixels", [5.0, 6.0])})
    >>> scope["flagged"], scope["probes"][0]["auroc"]
    (0.0, 1.0)
    """
    inside = np.asarray(distances, np.float64)
    outside_here = out_of_scope(inside, threshold) if flagged is None else np.asarray(flagged)
    rows = []
    for name, (what, values) in probes.items():
        outside = np.asarray(values, np.float64)
        truth = np.repeat([0, 1], [len(inside), len(outside)])
        # Inf and NaN are as far out as can be; a ranking needs numbers.
        scores = np.nan_to_num(np.concatenate([inside, outside]), nan=1e30, posinf=1e30)
        value = auroc(truth, scores)
        rows.append(
            {
                "name": name,
                "what": what,
                "n": len(outside),
                "auroc": value if np.isfinite(value) else None,
                "flagged": float(out_of_scope(outside, threshold).mean()) if len(outside) else None,
            }
        )
    return {
        "method": "Mahalanobis distance of the texture in the network's early feature map",
        "threshold": threshold,
        "kept": kept,
        "flagged": float(np.mean(outside_here)) if len(inside) else None,
        "probes": rows,
        "note": "",
    }
