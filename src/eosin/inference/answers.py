"""What a model answers: a class, "refer" (to a person), or "out of scope"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from eosin.records.model import ModelFacts
from eosin.records.points import DEFAULT_POINT
from eosin.trust.referral import Band
from eosin.trust.scope import out_of_scope

REFER = "refer"
OUT_OF_SCOPE = "out of scope"


@dataclass(frozen=True)
class Answers:
    """The rules by which a model answers, as its model.json holds them.

    A patch unlike the training patches is out of scope. Of the others, those inside the refer band
    are for a person, and those outside it are answered by the band. Without a band the threshold
    answers (two classes), or the most probable class. What has no finite probability is referred.
    """

    classes: tuple[str, ...]
    threshold: float | None = None
    band: Band | None = None
    #: Distance beyond which a patch is out of scope.
    scope: float | None = None

    @classmethod
    def of(cls, facts: ModelFacts, classes: Sequence[str]) -> Answers:
        """From what is known of the model."""
        rule = facts.decision()
        threshold = facts.points.get(DEFAULT_POINT, rule.point).threshold
        band = rule.point.band
        return cls(
            tuple(classes),
            threshold if facts.fitted else None,
            None if band is None else Band.from_dict(asdict(band)),
            rule.scope_limit,
        )

    def called(self, probabilities: npt.ArrayLike) -> list[str]:
        """The class that the threshold gives, or the most probable one: [N] names.

        probabilities: float [N, K].

        >>> Answers(("n", "p"), 0.25).called([[0.7, 0.3], [0.8, 0.2]])
        ['p', 'n']
        """
        given = np.asarray(probabilities)
        if len(self.classes) == 2 and self.threshold is not None:
            chosen = (given[:, 1] >= self.threshold).astype(int)
        else:
            chosen = given.argmax(1)
        return [self.classes[k] for k in chosen]

    def decide(
        self, probabilities: npt.ArrayLike, distances: npt.ArrayLike | None = None
    ) -> list[str]:
        """A class name, "refer" or "out of scope" for each patch: [N].

        probabilities: float [N, K]; distances: float [N] from the training patches, or None.

        >>> Answers(("n", "p"), 0.5, scope=2.0).decide([[0.7, 0.3], [0.1, 0.9]], [1.0, 3.0])
        ['n', 'out of scope']
        """
        answers = self.called(probabilities)
        if self.band is not None and self.band.high is not None:
            names = (*self.classes, REFER)  # -1 is the last one
            answers = [names[k] for k in self.band.decide(probabilities)]
        # A network that gives no number has not answered, whatever a comparison makes of NaN.
        finite = [bool(row.all()) for row in np.isfinite(np.asarray(probabilities, np.float64))]
        answers = [answer if told else REFER for answer, told in zip(answers, finite, strict=True)]
        if distances is not None and self.scope is not None:
            outside = out_of_scope(distances, self.scope)
            answers = [
                OUT_OF_SCOPE if out else answer
                for answer, out in zip(answers, outside, strict=True)
            ]
        return answers
