"""What makes probabilities truer: a temperature, or an isotonic map; fitted on validation only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, why_undefined
from eosin.records.scored import Scored

#: The range of temperatures that is searched.
LOWEST, HIGHEST = 0.05, 20.0


def softmax(logits: npt.ArrayLike, *, temperature: float = 1.0) -> Floats:
    """Probabilities float64 [N, K] of logits float [N, K], divided by the temperature first.

    >>> softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True, slots=True)
class Temperature:
    """One number that logits are divided by; the order of the classes stays as it is."""

    value: float = 1.0
    #: Why it could not be fitted, or that it is at the end of the range searched, or "".
    note: str = ""

    def __float__(self) -> float:
        return self.value

    def apply(self, logits: npt.ArrayLike) -> Floats:
        """Probabilities float64 [N, K] of logits float [N, K].

        >>> Temperature(2.0).apply([[0.0, 2 * np.log(3)]]).round(6).tolist()
        [[0.25, 0.75]]
        """
        return softmax(logits, temperature=self.value)


def fit_temperature(y_true: npt.ArrayLike, logits: npt.ArrayLike) -> Temperature:
    """The temperature that makes the mean negative log-likelihood of these patches least.

    y_true: int [N]; logits: float [N, K], of validation patches. Guo, Pleiss, Sun & Weinberger,
    On Calibration of Modern Neural Networks, ICML 2017. The likelihood has one minimum in T, which
    is searched on log T between 0.05 and 20. Without both classes, patches, finite or differing
    logits the temperature stays 1 and the note has the reason. Raises ValueError for lengths or
    shapes that differ.

    >>> rng = np.random.default_rng(0)
    >>> z = np.stack([np.zeros(4000), rng.normal(0, 4, 4000)], axis=1)
    >>> y = (rng.random(4000) < Temperature(2.0).apply(z)[:, 1]).astype(int)
    >>> round(fit_temperature(y, z).value)
    2
    """
    from scipy.optimize import minimize_scalar

    z = np.asarray(logits, dtype=np.float64)
    if not z.size and not np.size(y_true):
        return Temperature(1.0, "a temperature needs patches, and there are none")
    if z.ndim != 2:
        raise ValueError(f"logits must be [N, K]; got shape {z.shape}")
    truth = Scored(np.asarray(y_true), z, np.full(np.shape(y_true), "")).labels
    if reason := _why_no_temperature(truth, z):
        return Temperature(1.0, reason)
    # Against the true class, so that large logits lose nothing: log-sum-exp of differences.
    against = z - z[np.arange(len(truth)), truth][:, None]

    def loss(log_temperature: float) -> float:
        scaled = against * np.exp(-log_temperature)
        top = scaled.max(axis=1)
        return float(np.mean(top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))))

    ends = (float(np.log(LOWEST)), float(np.log(HIGHEST)))
    least = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-5})
    best = float(least.x)
    # The search never tries the ends themselves.
    for end, word, why in (
        (ends[0], "lowest", "the patches it was fitted on are separated almost without error"),
        (ends[1], "highest", "the logits tell next to nothing about the classes"),
    ):
        if abs(best - end) < 1e-3 and loss(end) <= loss(best) + 1e-12:
            return Temperature(
                float(np.exp(end)), f"{np.exp(end):g} is the {word} temperature tried: {why}"
            )
    return Temperature(float(np.exp(best)))


def _why_no_temperature(truth: Ints, logits: Floats) -> str:
    stays = "the temperature stays at 1"
    bad = int(np.count_nonzero(~np.isfinite(logits).all(axis=1)))
    if bad:
        return f"{bad} of {len(truth)} patches have logits that are not finite; {stays}"
    if truth.min() == truth.max():
        return f"all {len(truth)} patches are of class {truth[0]}; {stays}"
    away = logits - logits[:, :1]
    if np.all(away == away[0]):
        return f"all {len(truth)} patches have the same logits; {stays}"
    return ""


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A rising step-wise linear map of probabilities; for comparison with the temperature."""

    #: Knots, float64 [M] each; none where it was not fitted.
    x: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    y: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    #: Why it could not be fitted, or "".
    note: str = ""

    def apply(self, y_prob: npt.ArrayLike) -> Floats:
        """Mapped probabilities of the positive class, float64 [N]; as they are if not fitted.

        y_prob: float [N] or [N, 2].

        >>> Isotonic(np.array([0.0, 1.0]), np.array([0.25, 0.75])).apply([0.5, 2.0]).tolist()
        [0.5, 0.75]
        """
        scores = np.asarray(y_prob, dtype=np.float64)
        if scores.ndim == 2 and scores.shape[1] == 2:
            scores = scores[:, 1]
        if not len(self.x):
            return scores
        mapped: Floats = np.interp(scores, self.x, self.y)
        return mapped


def fit_isotonic(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> Isotonic:
    """The rising map nearest to the outcomes of these patches (Zadrozny & Elkan, KDD 2002).

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2], of validation patches. It has many
    knots where the temperature has one number, and its ends are exactly 0 or 1 where the extreme
    patches agree; so it is measured for comparison, not built into the model. Not fitted, with a
    note, for more than two classes, one class only or scores that are not finite.

    >>> fit_isotonic([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]).apply([0.5]).tolist()
    [0.5]
    """
    from sklearn.isotonic import IsotonicRegression

    scored, what = Scored.of(y_true, y_prob), "isotonic calibration"
    if scored.classes > 2:
        return Isotonic(note=f"{what} is for two classes, and there are {scored.classes}")
    if reason := why_undefined("balanced_accuracy", scored, what):
        return Isotonic(note=f"{reason}; nothing is changed")
    regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fitted = regression.fit(scored.scores, scored.labels)
    return Isotonic(
        np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64)
    )
