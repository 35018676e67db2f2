"""Sections on trusting a model: calibration, operating points, decision curve, scope, labels."""

from __future__ import annotations

from pydantic import Field

from eosin.records.figures import Figure, FigureSet, Threshold
from eosin.records.record import Number, Record
from eosin.records.referral import PointReferral

Numbers = tuple[Number, ...]


class Bin(Record):
    """Patches of about equal probability: their mean probability and the share observed."""

    n: int = 0
    predicted: Number = None
    observed: Number = None
    low: Number = None
    high: Number = None


class CalibrationMethod(Record):
    """The calibration of one set of probabilities."""

    ece: Figure = Figure()
    #: The expected calibration error that chance alone would give.
    ece_by_chance: Number = None
    brier: Figure = Figure()
    log_loss: Figure = Figure()
    #: Reliability, resolution, uncertainty and what is lost within the bins.
    brier_parts: dict[str, Number] | None = None
    bins: tuple[Bin, ...] = ()
    #: The Brier score less that of the first method.
    brier_change: Figure | None = None
    note: str = ""


class Calibration(Record):
    """Whether probabilities mean what they say, before and after calibration."""

    temperature: Number = None
    note: str = ""
    sentence: str = ""
    #: How many bins were asked for.
    bins: int | None = None
    #: "before", "temperature" and "isotonic".
    methods: dict[str, CalibrationMethod] = Field(default_factory=dict)


class Per1000(Record):
    """What 1,000 patches become."""

    true_negative: Number = None
    false_positive: Number = None
    false_negative: Number = None
    true_positive: Number = None


class ByCase(Record):
    """A count of patches by case: the median, the most, and of which case that is."""

    median: Number = None
    worst: Number = None
    worst_case: str | None = None
    worst_of: int | None = None


class PerCase(Record):
    """Errors of a case."""

    false_positive: ByCase = ByCase()
    missed_positive: ByCase = ByCase()


class MeasuredPoint(Record):
    """A threshold, what it comes to, and the refer band around it."""

    name: str = ""
    label: str = ""
    #: Whether the model decides by it where no other point is asked for.
    default: bool = False
    threshold: Threshold = Threshold()
    figures: FigureSet = FigureSet()
    per_1000: Per1000 = Per1000()
    per_case: PerCase = PerCase()
    sentence: str = ""
    note: str = ""
    referral: PointReferral | None = None


class DecisionCurve(Record):
    """Net benefit by threshold probability; lists of one length."""

    thresholds: Numbers = ()
    model: Numbers = ()
    low: Numbers = ()
    high: Numbers = ()
    treat_all: Numbers = ()
    #: First and last threshold of each range where the model is best, and clearly so.
    useful: tuple[tuple[float, float], ...] = ()
    clear: tuple[tuple[float, float], ...] = ()
    sentence: str = ""
    note: str = ""


class Probe(Record):
    """Foreign input that the out-of-scope check should notice."""

    name: str = ""
    what: str = ""
    n: int | None = None
    #: Of its distances against those of the measured patches.
    auroc: Number = None
    flagged: Number = None


class ScopeCheck(Record):
    """Whether foreign input is noticed."""

    method: str = ""
    threshold: Number = None
    #: Share of the validation patches that the threshold lets pass.
    kept: Number = None
    #: Share of the measured patches that it marks.
    flagged: Number = None
    probes: tuple[Probe, ...] = ()
    note: str = ""

    @property
    def fitted(self) -> bool:
        """Whether there is a check; where there was too little for one, a note says why."""
        return bool(self.probes) or self.flagged is not None


class Suspect(Record):
    """A patch whose label the model contradicts."""

    #: Row of the store.
    patch: int | None = None
    case: str = ""
    source: str = ""
    label: str = ""
    suggested: str = ""
    probability: Number = None
    score: Number = None


class Suspects(Record):
    """Labels that are likely wrong, the worst first."""

    method: str = ""
    #: Patches looked at.
    of: int | None = None
    #: Suspects in all; ``rows`` may have fewer.
    total: int | None = None
    note: str = ""
    rows: tuple[Suspect, ...] = ()
