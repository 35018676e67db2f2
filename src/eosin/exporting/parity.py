"""What an exported file answers, beside what torch answers for the same patches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.ranking import auroc, macro_auroc
from eosin.inference.predictor import Predictor, examine_rows
from eosin.inference.scope import some
from eosin.records.decision import Decision
from eosin.records.export import Parity, SampleFacts
from eosin.runtime.proof import TOLERANCE
from eosin.training.session import Session

Patches = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Patches that a file is tried on, at most.
MOST = 6000
#: int8: what may be lost.
MOST_AUROC_LOST, MOST_CHANGED = 0.002, 0.01
#: A probability or distance that is nearer than this to a limit counts as on it: the limit of the
#: out-of-scope check is the distance of a validation patch, so rounding alone decides there.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Sample:
    """Patches that answers are compared on: uint8 [n, H, W, 3]."""

    patches: Patches
    #: int64 [n], or None where no answer is right.
    labels: npt.NDArray[np.int64] | None
    #: "val", "train" or "random".
    part: str
    cases: int = 0

    def about(self, note: str = "") -> SampleFacts:
        """For export.json and the card; note: why the patches are made up."""
        return SampleFacts(part=self.part, patches=len(self.patches), cases=self.cases, note=note)

    def words(self) -> str:
        """What it is.

        >>> random_sample((8, 8), patches=2).words()
        '2 made-up patches'
        """
        kind = {"val": "validation", "train": "training"}.get(self.part, "made-up")
        return f"{len(self.patches):,} {kind} patches"


@dataclass(frozen=True)
class Reading:
    """Answers for a sample: probabilities float32 [n, K], distances float32 [n] or None."""

    probabilities: Floats
    distances: Floats | None
    #: Probabilities float32 [m, K] for some patches of other sizes.
    resized: Floats


def validation_sample(session: Session) -> Sample:
    """At most 6,000 validation patches of a run, or training patches where it has none."""
    store = session.store
    part = "val" if len(session.parts["val"]) else "train"
    rows = some(session.parts[part], MOST, 0)
    cases = len(set(store.cases[rows].tolist()))
    return Sample(np.asarray(store.patches[rows]), np.asarray(store.labels[rows]), part, cases)


def random_sample(patch_size: tuple[int, int], *, patches: int = 256) -> Sample:
    """Made-up patches, smooth and noisy by halves, for where a run's store is missing.

    >>> random_sample((20, 24), patches=4).patches.shape
    (4, 20, 24, 3)
    """
    rng = np.random.default_rng(0)
    height, width = patch_size
    noise = rng.integers(0, 256, (patches, height, width, 3))
    colors = rng.integers(0, 256, (patches, 1, 1, 3))
    weight = rng.random((patches, 1, 1, 1)) * 0.5
    return Sample((colors + weight * (noise - colors)).astype(np.uint8), None, "random")


def read(predictor: Predictor, sample: Sample) -> Reading:
    """What a predictor answers for a sample, and for some of its patches in other sizes."""
    resized = [predictor.predict(each) for each in _other_sizes(sample.patches[:8])]
    rows = np.arange(len(sample.patches))
    return Reading(*examine_rows(predictor, sample.patches, rows), np.concatenate(resized))


def _other_sizes(patches: Patches) -> list[Patches]:
    """The same patches cut, and repeated to a larger size; a single one of them as well."""
    height, width = patches.shape[1:3]
    cut = patches[:, : max(1, height - 5), : max(1, width * 2 // 3)]
    larger = np.tile(patches, (1, 2, 2, 1))[:, : height + 13, : width * 2]
    return [np.ascontiguousarray(each) for each in (cut, larger, larger[:1, :, : height + 13])]


def compare(
    reference: Reading, answers: Reading, rule: Decision, labels: npt.NDArray[np.int64] | None
) -> Parity:
    """Figures of a file's answers beside torch's.

    rule: what makes decisions of probabilities and distances; labels: int64 [n], or None where no
    answer is right. A class or decision that changes counts unless torch's own value is on a
    limit and the file gives it the same probability: there rounding decides.
    """
    n = len(reference.probabilities)
    apart = np.abs(answers.probabilities.astype(np.float64) - reference.probabilities)
    on_limit = _on_a_limit(reference, rule) & (apart.max(axis=1) <= TOLERANCE)
    both = (reference, answers)
    called = np.not_equal(*(rule.point.called(each.probabilities) for each in both))
    decided = np.not_equal(*(rule.decide(each.probabilities, each.distances) for each in both))
    figures: dict[str, Any] = {
        "called_changed": int((called & ~on_limit).sum()),
        "answers_changed": int((decided & ~on_limit).sum()),
    }
    figures |= {f"{name}_share": count / max(1, n) for name, count in figures.items()}
    if reference.distances is not None and answers.distances is not None:
        figures["distance_difference"] = _largest(np.abs(answers.distances - reference.distances))
    if labels is not None:
        ranking = auroc if len(rule.classes) == 2 else macro_auroc
        before, after = (ranking(labels, each.probabilities) for each in both)
        if math.isfinite(before) and math.isfinite(after):
            figures |= {"auroc_torch": before, "auroc": after, "auroc_lost": before - after}
    return Parity(
        patches=n,
        largest_difference=_largest(apart),
        mean_difference=float(apart.mean()),
        largest_difference_other_sizes=_largest(np.abs(answers.resized - reference.resized)),
        on_a_limit=int(((decided | called) & on_limit).sum()),
        **figures,
    )


def exact(parity: Parity) -> bool:
    """Whether a float32 file answers as torch does."""
    apart = max(parity.largest_difference, parity.largest_difference_other_sizes)
    return apart <= TOLERANCE and parity.answers_changed + parity.called_changed == 0


def why_not(parity: Parity, sample: Sample) -> str:
    """Why an int8 file does not pass the gate, in a sentence without its end; "" where it does."""
    if sample.part != "val":
        return "there are no validation patches of the run to judge it on"
    if parity.auroc_lost is None:
        return "AUROC has no value on the validation patches, so its loss is unknown"
    reasons = []
    # NaN does not pass.
    if not parity.auroc_lost <= MOST_AUROC_LOST:
        reasons.append(
            f"AUROC falls by {parity.auroc_lost:.4f} to {parity.auroc:.4f} "
            f"(at most {MOST_AUROC_LOST} is allowed)"
        )
    shares = {"classes": parity.called_changed_share, "decisions": parity.answers_changed_share}
    reasons += [
        f"{share:.2%} of the {what} change (at most {MOST_CHANGED:.0%} is allowed)"
        for what, share in shares.items()
        if not share <= MOST_CHANGED
    ]
    return " and ".join(reasons)


def _on_a_limit(reading: Reading, rule: Decision) -> npt.NDArray[np.bool_]:
    """bool [n]: where a value of torch's is on a limit but for rounding."""
    probabilities = reading.probabilities.astype(np.float64)
    point, ranked = rule.point, np.sort(probabilities, axis=1)
    two = len(rule.classes) == 2 and point.threshold is not None
    # What is compared with the limits: the second class's probability of two, the largest of more.
    compared = probabilities[:, 1] if two else ranked[:, -1]
    limits = [point.threshold, *([point.band.low, point.band.high] if point.band else [])]
    near = np.zeros(len(compared), bool)
    if not two:
        near |= ranked[:, -1] - ranked[:, -2] <= _ROUNDING
    for limit in limits:
        if limit is not None:
            near |= np.abs(compared - limit) <= _ROUNDING
    if reading.distances is not None and rule.scope_limit is not None:
        allowed = _ROUNDING * max(1.0, abs(rule.scope_limit))
        near |= np.abs(reading.distances.astype(np.float64) - rule.scope_limit) <= allowed
    return near


def _largest(apart: npt.NDArray[np.floating]) -> float:
    """The largest difference; infinite where one is not a number."""
    largest = float(apart.max()) if apart.size else 0.0
    return largest if math.isfinite(largest) else math.inf
