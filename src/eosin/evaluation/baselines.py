"""Answers that any network must beat: base rate, color alone, texture, nearest neighbors.

Each is a function of training, validation and test patches that returns test probabilities with a
threshold from validation. Training sets are capped (seeded), so they take seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from eosin.evaluation.decisions import choose_threshold
from eosin.evaluation.definitions import Floats, Ints
from eosin.evaluation.features import Features, Maker, Patches, features_of
from eosin.evaluation.features import color_features as color_features
from eosin.evaluation.features import small_features as small_features
from eosin.evaluation.textures import texture_features
from eosin.records.points import OperatingPoint

#: Patches used at most, drawn with the seed; the note has how many were.
MAX_TRAIN = 20_000
MAX_NEAREST = 10_000
MAX_VAL = 5_000
NEIGHBOURS = (1, 5, 15, 45, 135)
TREES = 300


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline answers for the test patches."""

    #: Test probabilities, float64 [T, K].
    y_prob: Floats
    threshold: OperatingPoint
    #: What was fitted, on how many patches.
    note: str


class Method(Protocol):
    """A baseline: from patches uint8 [N, H, W, 3] and truth int [N] of two parts to answers."""

    def __call__(
        self, train: Patches, train_true: npt.ArrayLike, val: Patches, val_true: npt.ArrayLike,
        test: Patches, *, classes: int = 2, seed: int = 0,
    ) -> Baseline: ...  # fmt: skip


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


@dataclass(frozen=True)
class _Data:
    """What a baseline is fitted and its threshold is chosen on: some rows of two parts."""

    train: Patches
    val: Patches
    test: Patches
    rows: Ints
    truth: Ints
    val_rows: Ints
    val_truth: Ints
    classes: int
    #: On how many patches it is fitted.
    used: str

    @property
    def how(self) -> str:
        """Whether something could be chosen."""
        chosen = len(self.val_rows)
        return "chosen on validation" if chosen else "not chosen: no validation patches"

    def answer(self, prob: Floats, val_prob: Floats | None, what: str) -> Baseline:
        if self.classes > 2:
            threshold = OperatingPoint("most_probable", 0.5, "largest probability", "nothing")
        else:
            chosen = np.empty((0, 2)) if val_prob is None or not len(val_prob) else val_prob
            threshold = choose_threshold(self.val_truth[: len(chosen)], chosen)
        return Baseline(prob, threshold, f"{what}, {self.used}")


def _method(most: Callable[[], int]) -> Callable[[Callable[[_Data, int], Baseline]], Method]:
    """A method that gets checked data of several classes; most: how many training patches."""

    def decorated(fitted: Callable[[_Data, int], Baseline]) -> Method:
        @wraps(fitted)
        def method(
            train: Patches, train_true: npt.ArrayLike, val: Patches, val_true: npt.ArrayLike,
            test: Patches, *, classes: int = 2, seed: int = 0,
        ) -> Baseline:  # fmt: skip
            truth = _checked_truth("training", train, train_true, classes)
            rows = _capped(len(truth), most(), seed)
            val_truth = _checked_truth("validation", val, val_true, classes)
            if len(only := np.unique(truth[rows])) == 1:
                prob = np.tile(np.eye(classes)[only], (len(test), 1))
                threshold = OperatingPoint("only", 0.5, "only class", "training")
                return Baseline(prob, threshold, f"every training patch is of class {only[0]}")
            val_rows = _capped(len(val_truth), MAX_VAL, seed)
            share = f"{len(rows)} of" if len(rows) < len(truth) else "all"
            used = f"fitted on {share} {len(truth)} training patches"
            data = _Data(
                train, val, test, rows, truth[rows], val_rows, val_truth[val_rows], classes, used
            )
            return fitted(data, seed)

        return method

    return decorated


def base_rate(
    train: Patches, train_true: npt.ArrayLike, val: Patches, val_true: npt.ArrayLike,
    test: Patches, *, classes: int = 2, seed: int = 0,
) -> Baseline:  # fmt: skip
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
    threshold = OperatingPoint("majority", 0.5, "majority class", "training")
    return Baseline(
        np.tile(shares, (len(test), 1)), threshold, f"prevalence of {len(truth)} training patches"
    )


@_method(lambda: MAX_TRAIN)
def color_histogram(data: _Data, seed: int) -> Baseline:
    """Logistic regression on color alone: histograms of R, G, B, hue, saturation, value.

    Patches: uint8 [N, H, W, 3]; truth: int [N]. No shape or texture enters (``color_features``).

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> patches = (rng.integers(0, 128, (40, 4, 4, 3)) + 100 * y[:, None, None, None])
    >>> result = color_histogram(patches.astype(np.uint8), y, patches[:0], [],
    ...                         patches[:2].astype(np.uint8))
    >>> result.y_prob.argmax(axis=1).tolist()
    [0, 1]
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, val, test, classes = data.train, data.val, data.test, data.classes
    # Newton's method needs a Hessian of (classes x features) squared: best while that is small.
    solver = "newton-cholesky" if classes <= 4 else "lbfgs"
    model = make_pipeline(StandardScaler(), LogisticRegression(solver=solver, max_iter=100))
    with warnings.catch_warnings():
        # 100 steps are ample: the last digits of a baseline are not worth a warning.
        warnings.simplefilter("ignore")
        model.fit(features_of(train, data.rows, color_features), data.truth)

    def prob(patches: Patches, rows: Ints) -> Floats:
        if not len(rows):
            return np.empty((0, classes))
        answers = model.predict_proba(features_of(patches, rows, color_features))
        return _columns(answers, model.classes_, classes)

    return data.answer(
        prob(test, np.arange(len(test))),
        prob(val, data.val_rows),
        "logistic regression on color histograms",
    )


@_method(lambda: MAX_NEAREST)
def nearest_neighbors(data: _Data, seed: int) -> Baseline:
    """Share of each class among the k nearest training patches.

    Patches: uint8 [N, H, W, 3]; truth: int [N]. "Near" is Euclidean over standardized features,
    either color (``color_features``) or the patch made small (``small_features``); these and k
    (1 to 135) are chosen on validation by log loss. Without validation: color and k = 15.

    >>> y = np.arange(40) % 2
    >>> patches = np.tile((y * 200).astype(np.uint8)[:, None, None, None], (1, 4, 4, 3))
    >>> nearest_neighbors(patches, y, patches[:4], y[:4], patches[:2]).y_prob.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    train, val, test, classes = data.train, data.val, data.test, data.classes
    ks = [k for k in NEIGHBOURS if k < len(data.truth)]
    best, best_loss = ("color", ks[min(2, len(ks) - 1)]), np.inf
    val_prob: Floats | None = None
    shares = np.bincount(data.truth, minlength=classes) / len(data.truth)
    searches = {}
    for kind, maker in _KINDS.items():
        features = features_of(train, data.rows, maker)
        search = searches[kind] = _Nearest(features, data.truth, classes)
        if not len(data.val_rows):
            continue
        for k, prob in search.votes(features_of(val, data.val_rows, maker), ks).items():
            # One vote more for every class by its share: an unlucky 0 must not cost infinitely.
            loss = _log_loss((prob * k + shares) / (k + 1), data.val_truth)
            if loss < best_loss:
                best, best_loss, val_prob = (kind, k), loss, prob
    kind, k = best
    blocks = [
        searches[kind].votes(features_of(test, rows, _KINDS[kind]), [k])[k]
        for rows in np.array_split(np.arange(len(test)), max(1, len(test) // 10_000))
    ]
    return data.answer(
        np.concatenate(blocks), val_prob, f"{k} nearest by {kind} features ({data.how})"
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
        nearest = self.index.kneighbors(self._scaled(features), max(ks), return_distance=False)
        return {k: self.labels[nearest[:, :k]].mean(axis=1) for k in ks}


@_method(lambda: MAX_TRAIN)
def texture(data: _Data, seed: int) -> Baseline:
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

    train, val, test, classes = data.train, data.val, data.test, data.classes
    # Its own early stopping would hold back patches of cases that it trains on.
    model = HistGradientBoostingClassifier(
        max_iter=TREES, learning_rate=0.06, max_leaf_nodes=15,
        min_samples_leaf=max(1, min(20, len(data.truth) // 10)),
        l2_regularization=1.0, early_stopping=False, random_state=seed,
    ).fit(features_of(train, data.rows, texture_features), data.truth)  # fmt: skip

    def stages(patches: Patches, rows: Ints) -> Iterator[Floats]:
        """Probabilities after each tree: float64 [n, K]."""
        features = features_of(patches, rows, texture_features)
        for answers in model.staged_predict_proba(features):
            yield _columns(answers, model.classes_, classes)

    best, least, val_prob = 100, np.inf, None
    if len(data.val_rows):
        for count, prob in enumerate(stages(val, data.val_rows), 1):
            if (loss := _log_loss(prob, data.val_truth)) < least:
                best, least, val_prob = count, loss, prob
    prob = np.empty((0, classes))
    if len(test):
        prob = next(islice(stages(test, np.arange(len(test))), best - 1, None))
    return data.answer(prob, val_prob, f"{best} boosted trees on texture and stain ({data.how})")


def _log_loss(prob: Floats, truth: Ints) -> float:
    return float(-np.log(np.maximum(prob[np.arange(len(truth)), truth], 1e-12)).mean())


_KINDS: dict[str, Maker] = {
    "color": color_features,
    "small-picture": small_features,
}

#: Name in evaluation.json -> function.
BASELINES: dict[str, Method] = {
    "base_rate": base_rate,
    "color_histogram": color_histogram,
    "nearest_neighbors": nearest_neighbors,
}
#: With those that take too long to go along with every evaluation.
ALL_BASELINES = {**BASELINES, "texture": texture}


def _columns(prob: Floats, known: Ints, classes: int) -> Floats:
    """Probabilities of the classes that were trained on, in the columns of all classes."""
    full = np.zeros((len(prob), classes))
    full[:, known] = prob
    return full
