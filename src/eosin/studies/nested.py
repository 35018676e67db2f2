"""The interval of a difference between two arms that were measured on different cases.

Nested bootstrap: a replicate draws the seeds with replacement (each seed is a split and a training
of its own), and for every seed drawn it draws the cases of the two test parts, each by itself. The
replicate's difference is the mean over the seeds drawn. Davison & Hinkley, Bootstrap Methods and
their Application, 1997, section 3.8, resampling at both levels.

Test parts of several seeds share cases, and so do the two arms; drawing them independently ignores
that, which makes the interval rather too wide. Few seeds draw too little of the spread between
seeds (of S seeds the share (S - 1) / S of its variance), which makes it rather too narrow; the
differences of single seeds are therefore given beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.evaluation.intervals import MIN_CASES, Interval, percentile_interval, resampling_units
from eosin.evaluation.metrics import figure
from eosin.evaluation.resampling import replicate_figures
from eosin.studies.markdown import counted

Floats = npt.NDArray[np.float64]

METHOD = (
    "nested bootstrap: seeds drawn with replacement, then the cases of each seed's two test parts, "
    "independently; percentile interval of the mean difference"
)
MIN_SEEDS = 2


@dataclass(frozen=True)
class Arm:
    """What was measured under one split."""

    #: int64 [N], float [N, K], str [N].
    truth: npt.NDArray[np.int64]
    prob: npt.NDArray[np.floating]
    cases: npt.NDArray[np.str_]
    threshold: float = 0.5

    def value(self, name: str) -> float:
        """A figure; NaN where it is not defined."""
        return figure(name, self.truth, self.prob, threshold=self.threshold)


def nested_differences(
    pairs: Sequence[tuple[Arm, Arm]],
    names: Sequence[str],
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Mean over the pairs of the first arm's figure less the second's, with its interval.

    pairs: one a seed; names: figures, such as "auroc". The value is None where any arm of any pair
    does not define the figure, with the reason in the note. Without two seeds only cases are drawn.

    >>> y = np.array([0, 1] * 6)
    >>> cases = np.repeat(np.array(["a", "b", "c"]), 4)
    >>> good, bad = Arm(y, np.eye(2)[y], cases), Arm(y, np.full((12, 2), 0.5), cases)
    >>> nested_differences([(good, bad)] * 2, ["auroc"], replicates=20)["auroc"].as_dict()
    {'value': 0.5, 'low': 0.5, 'high': 0.5}
    """
    if not pairs:
        return {name: Interval(None, None, None, 0, "there is no pair of runs") for name in names}
    values = {name: np.array([a.value(name) - b.value(name) for a, b in pairs]) for name in names}
    few = _few(pairs)
    samples = {} if few else _samples(pairs, names, replicates, seed)
    result = {}
    for name in names:
        if lost := int((~np.isfinite(values[name])).sum()):
            note = f"{lost} of {len(pairs)} pairs do not define {name}"
            result[name] = Interval(None, None, None, 0, note)
        elif few:
            result[name] = Interval(float(values[name].mean()), None, None, 0, few)
        else:
            note = "" if len(pairs) >= MIN_SEEDS else "one seed: only cases were drawn"
            mean = float(values[name].mean())
            result[name] = percentile_interval(mean, samples[name], note=note)
    return result


def _few(pairs: Sequence[tuple[Arm, Arm]]) -> str:
    least = min(resampling_units(arm.cases, len(arm.truth)).count for pair in pairs for arm in pair)
    if least >= MIN_CASES:
        return ""
    return (
        f"a test part has {counted(least, 'case')}: an interval over cases needs at least "
        f"{MIN_CASES}"
    )


def _samples(
    pairs: Sequence[tuple[Arm, Arm]], names: Sequence[str], replicates: int, seed: int
) -> dict[str, Floats]:
    """Replicates of the mean difference, float64 [replicates] by figure."""
    count = len(pairs)
    # A seed may be drawn up to ``count`` times in a replicate; each time it gets fresh cases.
    drawn: dict[str, Floats] = {name: np.empty((count, count, replicates)) for name in names}
    children = np.random.SeedSequence(seed).spawn(2 * count + 1)
    for number, pair in enumerate(pairs):
        arms = []
        for place, arm in enumerate(pair):
            units = resampling_units(arm.cases, len(arm.truth))
            prob = np.asarray(arm.prob, np.float64)
            arms.append(
                replicate_figures(
                    arm.truth,
                    prob[:, 1] if prob.shape[1] == 2 else prob,
                    units.codes,
                    threshold=arm.threshold,
                    replicates=count * replicates,
                    seed=int(children[2 * number + place].generate_state(1)[0]),
                )
            )
        for name in names:
            drawn[name][number] = (arms[0][name] - arms[1][name]).reshape(count, replicates)
    rng = np.random.default_rng(children[-1])
    picked = rng.integers(0, count, (replicates, count))
    slot, replicate = np.arange(count)[None, :], np.arange(replicates)[:, None]
    return {name: drawn[name][picked, slot, replicate].mean(axis=1) for name in names}
