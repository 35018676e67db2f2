"""Answers that any network must beat: base rate, color alone, texture, nearest neighbors.

Each is a function of training, validation and test patches that returns test probabilities with a
threshold from validation. Training sets are capped (seeded), so they take seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from eosin.evaluation.decisions import Threshold, choose_threshold
from eosin.evaluation.definitions import Floats, Ints
from eosin.evaluation.features import Features, Maker, Patches, features_of
from eosin.evaluation.features import color_features as color_features
from eosin.evaluation.features import small_features as small_features
from eosin.evaluation.textures import texture_features

#: Patches used at most, drawn with the seed; the note says how many were.
MAX_TRAIN = 20_000
MAX_NEAREST = 10_000
MAX_VAL = 5_000
NEIGHBOURS = (1, 5, 15, 45, 135)
TREES = 300


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline says of the test patches."""

    #: Test probabilities, float64 [T, K].
    y_prob: Floats
    threshold: Threshold
    #: What was fitted, on how many patches.
    note: str


def base_rate(
    train: Patches,
    train_true: npt.ArrayLike,
    val: Patches,
    val_true: npt.ArrayLike,
    test: Patches,
    *,
    classes: int = 2,
    seed: int = 0,
) -> Baseline:
    """The training prevalence for every patch, so that the majority class is always called.

    Patches: uint8 [N, H, W, 3], not looked at; truth: int [N]. Raises ValueError where truth and
    patches differ in number or there is no training patch.

    >>> none = np.zeros((4, 2, 2, 3), np.uint8)
    >>> base_rate(none, [0, 0, 0, 1], none[:0], [], none[:1]).y_prob.tolist()
    [[0.75, 0.25]]
    """
    truth = _checked_truth("training", train, train_true, classes)
    shares = np.bincount(truth, minlength=classes) / len(truth)
    # Not a threshold from validation: this answer is the majority class by definition.
    threshold = Threshold(0.5, "majority class", "training")
    return Baseline(
        np.tile(shares, (len(test), 1)), threshold, f"prevalence of {len(truth)} training patches"
    )


def color_histogram(
    train: Patches,
    train_true: npt.ArrayLike,
    val: Patches,
    val_true: npt.ArrayLike,
    test: Patches,
    *,
    classes: int = 2,
    seed: int = 0,
) -> Baseline:
    """Logistic regression on color alone: histograms of R, G, B, hue, saturation, value.

    Patches: uint8 [N, H, W, 3]; truth: int [N]. No shape or texture enters (``color_features``).

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> patches = (rng.integers(0, 128, (40, 4, 4, 3)) + 100 * y[:, None, None, None])
    >>> found = color_histogram(patches.astype(np.uint8), y, patches[:0], [],
    ...                         patches[:2].astype(np.uint8))
    >>> found.y_prob.argmax(axis=1).tolist()
    [0, 1]
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    picked, truth, used = _training(train, train_true, classes, seed, MAX_TRAIN)
    if len(np.unique(truth)) < 2:
        return _one_class(truth, test, classes)
    # Newton's method needs a Hessian of (classes x features) squared: best while that is small.
    solver = "newton-cholesky" if classes <= 4 else "lbfgs"
    model = make_pipeline(StandardScaler(), LogisticRegression(solver=solver, max_iter=100))
    with warnings.catch_warnings():
        # 100 steps are ample: the last digits of a baseline are not worth a warning.
        warnings.simplefilter("ignore")
        model.fit(features_of(train, picked, color_features), truth)
    val_pick, val_y = _validation(val, val_true, classes, seed)

    def prob(patches: Patches, rows: Ints) -> Floats:
        if not len(rows):
            return np.empty((0, classes))
        return _columns(
            model.predict_proba(features_of(patches, rows, color_features)), model.classes_, classes
        )

    return Baseline(
        prob(test, np.arange(len(test))),
        _threshold(val_y, prob(val, val_pick) if len(val_pick) else None, classes),
        f"logistic regression on color histograms, {used}",
    )


def nearest_neighbors(
    train: Patches,
    train_true: npt.ArrayLike,
    val: Patches,
    val_true: npt.ArrayLike,
    test: Patches,
    *,
    classes: int = 2,
    seed: int = 0,
) -> Baseline:
    """Share of each class among the k nearest training patches.

    Patches: uint8 [N, H, W, 3]; truth: int [N]. "Near" is Euclidean over standardized features,
    either color (``color_features``) or the patch made small (``small_features``); these and k
    (1 to 135) are chosen on validation by log loss. Without validation: color and k = 15.

    >>> y = np.arange(40) % 2
    >>> patches = np.tile((y * 200).astype(np.uint8)[:, None, None, None], (1, 4, 4, 3))
    >>> nearest_neighbors(patches, y, patches[:4], y[:4], patches[:2]).y_prob.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    picked, truth, used = _training(train, train_true, classes, seed, MAX_NEAREST)
    if len(np.unique(truth)) < 2:
        return _one_class(truth, test, classes)
    val_pick, val_y = _validation(val, val_true, classes, seed)
    ks = [k for k in NEIGHBOURS if k < len(truth)]
    best, best_loss = ("color", ks[min(2, len(ks) - 1)]), np.inf
    val_prob: Floats | None = None
    searches = {}
    for kind, maker in _KINDS.items():
        search = searches[kind] = _Nearest(features_of(train, picked, maker), truth, classes)
        if not len(val_pick):
            continue
        for k, prob in search.votes(features_of(val, val_pick, maker), ks).items():
            # One vote more for every class by its share: an unlucky 0 must not cost infinitely.
            smooth = (prob * k + np.bincount(truth, minlength=classes) / len(truth)) / (k + 1)
            loss = -np.log(np.maximum(smooth[np.arange(len(val_y)), val_y], 1e-12)).mean()
            if loss < best_loss:
                best, best_loss, val_prob = (kind, k), loss, prob
    kind, k = best
    blocks = [
        searches[kind].votes(features_of(test, rows, _KINDS[kind]), [k])[k]
        for rows in np.array_split(np.arange(len(test)), max(1, len(test) // 10_000))
    ]
    how = "chosen on validation" if len(val_pick) else "not chosen: no validation patches"
    return Baseline(
        np.concatenate(blocks),
        _threshold(val_y, val_prob, classes),
        f"{k} nearest by {kind} features ({how}), {used}",
    )


class _Nearest:
    """Brute-force search over standardized features; ``votes`` gives class shares for several k."""

    def __init__(self, features: Features, y_true: Ints, classes: int) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.middle = features.mean(axis=0)
        self.spread = np.where(features.std(axis=0) > 1e-6, features.std(axis=0), np.float32(1))
        self.index = NearestNeighbors(algorithm="brute").fit(self._scaled(features))
        self.labels = np.eye(classes)[y_true]

    def _scaled(self, features: Features) -> Features:
        scaled: Features = ((features - self.middle) / self.spread).astype(np.float32)
        return scaled

    def votes(self, features: Features, ks: Sequence[int]) -> dict[int, Floats]:
        """Class shares among the k nearest, float64 [N, K] for each k; features float32 [N, F]."""
        if not len(features):
            return {k: np.empty((0, self.labels.shape[1])) for k in ks}
        found = self.index.kneighbors(self._scaled(features), max(ks), return_distance=False)
        return {k: self.labels[found[:, :k]].mean(axis=1) for k in ks}


def texture(
    train: Patches,
    train_true: npt.ArrayLike,
    val: Patches,
    val_true: npt.ArrayLike,
    test: Patches,
    *,
    classes: int = 2,
    seed: int = 0,
) -> Baseline:
    """Gradient-boosted trees on texture and stain (``textures.texture_features``).

    Patches: uint8 [N, H, W, 3]; truth: int [N]. The number of trees, at most 300, is that with the
    least log loss on validation; without validation it is 100.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> noise = rng.normal(0, 1, (60, 12, 12, 3)) * (5 + 30 * y[:, None, None, None])
    >>> patches = (128 + noise).clip(0, 255).astype(np.uint8)
    >>> texture(patches, y, patches[:0], [], patches[:2]).y_prob.argmax(axis=1).tolist()
    [0, 1]
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    picked, truth, used = _training(train, train_true, classes, seed, MAX_TRAIN)
    if len(np.unique(truth)) < 2:
        return _one_class(truth, test, classes)
    # Its own early stopping would hold back patches of cases that it trains on.
    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=0.06,
        max_leaf_nodes=15,
        min_samples_leaf=max(1, min(20, len(truth) // 10)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    ).fit(features_of(train, picked, texture_features), truth)
    val_pick, val_y = _validation(val, val_true, classes, seed)
    best, val_prob = 100, None
    if len(val_pick):
        stages = model.staged_predict_proba(features_of(val, val_pick, texture_features))
        best, val_prob = _least_loss(stages, model.classes_, val_y, classes)
    prob = np.empty((0, classes))
    if len(test):
        found = features_of(test, np.arange(len(test)), texture_features)
        stages = model.staged_predict_proba(found)
        prob = _columns(next(islice(stages, best - 1, None)), model.classes_, classes)
    how = "chosen on validation" if len(val_pick) else "not chosen: no validation patches"
    return Baseline(
        prob,
        _threshold(val_y, val_prob, classes),
        f"{best} boosted trees on texture and stain ({how}), {used}",
    )


def _least_loss(
    stages: Iterator[Floats], known: Ints, truth: Ints, classes: int
) -> tuple[int, Floats]:
    """How many trees have the least log loss, from the probabilities after each: [n, K] of them."""
    best, least, kept = 1, np.inf, np.empty((0, classes))
    for count, given in enumerate(stages, 1):
        prob = _columns(given, known, classes)
        loss = -np.log(np.maximum(prob[np.arange(len(truth)), truth], 1e-12)).mean()
        if loss < least:
            best, least, kept = count, loss, prob
    return best, kept


_KINDS: dict[str, Maker] = {
    "color": color_features,
    "small-picture": small_features,
}

#: Name in evaluation.json -> function.
BASELINES = {
    "base_rate": base_rate,
    "color_histogram": color_histogram,
    "nearest_neighbors": nearest_neighbors,
}
#: With those that take too long to go along with every evaluation.
ALL_BASELINES = {**BASELINES, "texture": texture}


def _checked_truth(part: str, patches: Patches, y_true: npt.ArrayLike, classes: int) -> Ints:
    truth = np.asarray(y_true, dtype=np.int64)
    if truth.shape != (len(patches),):
        raise ValueError(f"{len(patches)} {part} patches and {truth.size} {part} labels")
    if part == "training" and not len(truth):
        raise ValueError("a baseline needs training patches, and there are none")
    if len(truth) and (truth.min() < 0 or truth.max() >= classes):
        raise ValueError(f"{part} labels reach {truth.max()}; there are {classes} classes")
    return truth


def _capped(count: int, most: int, seed: int) -> Ints:
    """At most ``most`` of the rows 0 to count - 1, ascending, the same for the same seed."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _training(
    patches: Patches, y_true: npt.ArrayLike, classes: int, seed: int, most: int
) -> tuple[Ints, Ints, str]:
    truth = _checked_truth("training", patches, y_true, classes)
    rows = _capped(len(truth), most, seed)
    share = f"{len(rows)} of {len(truth)}" if len(rows) < len(truth) else f"all {len(truth)}"
    return rows, truth[rows], f"fitted on {share} training patches"


def _validation(
    patches: Patches, y_true: npt.ArrayLike, classes: int, seed: int
) -> tuple[Ints, Ints]:
    truth = _checked_truth("validation", patches, y_true, classes)
    rows = _capped(len(truth), MAX_VAL, seed)
    return rows, truth[rows]


def _threshold(val_true: Ints, val_prob: Floats | None, classes: int) -> Threshold:
    if classes > 2:
        return Threshold(0.5, "largest probability", "nothing")
    prob = np.empty((0, 2)) if val_prob is None else val_prob
    return choose_threshold(val_true, prob)


def _columns(prob: Floats, known: Ints, classes: int) -> Floats:
    """Probabilities of the classes that were trained on, in the columns of all classes."""
    full = np.zeros((len(prob), classes))
    full[:, known] = prob
    return full


def _one_class(y_true: Ints, test: Patches, classes: int) -> Baseline:
    only = int(y_true[0])
    prob = np.tile(np.eye(classes)[only], (len(test), 1))
    threshold = Threshold(0.5, "only class", "training")
    return Baseline(prob, threshold, f"every training patch is of class {only}")
