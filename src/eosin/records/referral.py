"""When a model refers a patch to a person, and what its answers are then worth."""

from __future__ import annotations

from pydantic import Field

from eosin.records.figures import Figure
from eosin.records.record import Number, Record


class RefersBetween(Record):
    """A refer band: probabilities inside it get no class.

    For more than two classes ``low`` is None, and the largest probability below ``high`` refers.
    """

    low: Number = None
    high: Number = None


class ClassReferral(Record):
    """One true class: its patches, the shares of them by answer, and the error of the answers."""

    name: str = Field("", alias="class")
    patches: int = 0
    answered: Number = None
    referred: Number = None
    out_of_scope: Number = None
    #: Share of wrong answers among the patches of this class that were answered.
    error: Number = None


class PointReferral(Record):
    """The refer band of one operating point and what it achieves on the measured patches."""

    band: RefersBetween | None = None
    coverage: Figure = Figure()
    error: Figure = Figure()


class Decided(Record):
    """What `eosin predict` does with the measured patches: its figures with the band."""

    #: Name of the operating point that decides, its threshold and its band.
    point: str = ""
    threshold: Number = None
    band: RefersBetween | None = None
    patches: int | None = None
    #: Shares of the patches by answer, and the share of wrong ones among those answered.
    answered: Number = None
    referred: Number = None
    out_of_scope: Number = None
    error: Number = None
    classes: tuple[ClassReferral, ...] = ()


class FittedBand(Record):
    """What a band was fitted on, and its share answered and error there."""

    cases: int | None = None
    patches: int | None = None
    coverage: Number = None
    error: Number = None


class Achieved(Record):
    """The error among the answers and the share answered, on the measured patches."""

    error: Figure = Figure()
    coverage: Figure = Figure()
    #: Whether the error is at most the promised level; None where nothing was answered.
    held: bool | None = None
    cases: int | None = None
    patches: int | None = None
    note: str = ""
    classes: tuple[ClassReferral, ...] = ()


class RiskCurve(Record):
    """The share of wrong answers by the share answered; lists of one length."""

    coverage: tuple[Number, ...] = ()
    risk: tuple[Number, ...] = ()
    low: tuple[Number, ...] = ()
    high: tuple[Number, ...] = ()
    note: str = ""


class Referral(Record):
    """The promise of a refer band, and whether it was kept."""

    #: Name of the operating point that the band lies around.
    point: str = ""
    #: Highest share of wrong answers, and how sure that is.
    level: Number = None
    confidence: Number = None
    method: str = ""
    band: RefersBetween | None = None
    sentence: str = ""
    assumption: str = ""
    note: str = ""
    fitted: FittedBand = FittedBand()
    achieved: Achieved = Achieved()
    curve: RiskCurve = RiskCurve()
