"""Distances from the training patches: what is near passes, what is far or odd does not."""

import numpy as np

from eosin.trust.scope import fit_gaussian, measure_scope, out_of_scope, scope_threshold


def distance(fitted: tuple[np.ndarray, np.ndarray], features: np.ndarray) -> np.ndarray:
    center, whitening = fitted
    return np.sqrt((((features - center) @ whitening) ** 2).mean(axis=1))


def test_distance_is_about_one_and_knows_correlation() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (4000, 1))
    features = np.hstack([x, x + 0.1 * rng.normal(0, 1, (4000, 1)), rng.normal(7, 3, (4000, 1))])
    fitted = fit_gaussian(features)
    assert fitted is not None
    assert abs(np.sqrt((distance(fitted, features) ** 2).mean()) - 1) < 0.05
    # Both are two deviations away in each feature; only one goes against the correlation.
    along, against = distance(fitted, np.array([[2, 2, 7], [2, -2, 7]]))
    assert against > 5 * along


def test_a_feature_that_never_varies_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (500, 4))
    features[:, 2] = 3
    fitted = fit_gaussian(features)
    assert fitted is not None
    assert np.isfinite(distance(fitted, features)).all()
    still = fit_gaussian(np.ones((500, 4)))
    assert still is not None
    assert np.isfinite(still[1]).all()


def test_too_few_or_broken_patches_give_no_check() -> None:
    assert fit_gaussian(np.ones((5, 4))) is None
    assert fit_gaussian(np.full((500, 4), np.nan)) is None
    assert scope_threshold([]) is None
    assert scope_threshold([np.nan]) is None


def test_the_threshold_lets_its_share_pass_in_either_precision() -> None:
    distances = np.random.default_rng(0).gamma(3, 0.3, 10_000).astype(np.float32)
    limit = scope_threshold(distances)
    assert limit is not None
    assert 0.009 <= out_of_scope(distances, limit).mean() <= 0.0101
    assert np.array_equal(
        out_of_scope(distances, limit), out_of_scope(distances.astype(np.float64), limit)
    )


def test_probes_are_measured_and_odd_values_are_out() -> None:
    found = measure_scope(
        [0.5, 1.0],
        1.5,
        {
            "far": ("far away", [9.0, np.inf, np.nan]),
            "same": ("the same", [0.5, 1.0]),
            "none": ("nothing", []),
        },
    )
    far, same, none = found["probes"]
    assert (far["auroc"], far["flagged"], far["n"]) == (1.0, 1.0, 3)
    assert (same["auroc"], same["flagged"]) == (0.5, 0.0)
    assert (none["auroc"], none["flagged"]) == (None, None)
    assert found["flagged"] == 0
