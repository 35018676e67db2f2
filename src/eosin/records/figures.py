"""Measured figures with their intervals, and the rows that have a set of them."""

from __future__ import annotations

from pydantic import Field

from eosin.records.record import Number, Record


class Figure(Record):
    """A figure and its 95 % interval; None where it is not defined.

    >>> Figure(value=0.9, low=0.85, high=0.95).bounds
    (0.85, 0.9, 0.95)
    """

    value: Number = None
    low: Number = None
    high: Number = None
    #: Why there is no value or no interval, or "".
    note: str = ""

    @property
    def bounds(self) -> tuple[float, float, float] | None:
        """(low, value, high), or None where one of them is not defined."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.low, self.value, self.high


class Threshold(Record):
    """A threshold and where it comes from; a patch is positive where its probability reaches it."""

    value: Number = None
    rule: str = ""
    chosen_on: str = ""
    note: str = ""

    @property
    def origin(self) -> str:
        """Its rule and what it was chosen on, as far as they are recorded.

        >>> Threshold(value=0.5, rule="balanced_accuracy", chosen_on="validation").origin
        'balanced accuracy, chosen on validation'
        """
        return ", ".join(filter(None, [self.rule.replace("_", " "), chosen(self.chosen_on)]))


def chosen(on: str) -> str:
    """How a threshold was chosen, in words; "" where that is not recorded.

    >>> chosen("validation"), chosen("nothing")
    ('chosen on validation', 'not chosen on any patches')
    """
    return "not chosen on any patches" if on == "nothing" else on and f"chosen on {on}"


class FigureSet(Record):
    """The figures of some patches; those that were not measured are None."""

    auroc: Figure | None = None
    average_precision: Figure | None = None
    macro_auroc: Figure | None = None
    macro_average_precision: Figure | None = None
    balanced_accuracy: Figure | None = None
    f1: Figure | None = None
    macro_f1: Figure | None = None
    sensitivity: Figure | None = None
    specificity: Figure | None = None
    precision: Figure | None = None
    npv: Figure | None = None
    accuracy: Figure | None = None
    brier: Figure | None = None

    def figure(self, name: str) -> Figure:
        """A figure by name; one without a value where it was not measured."""
        return self.figures().get(name, Figure())

    def figures(self) -> dict[str, Figure]:
        """Name -> figure, of those that were measured, in the order of a table.

        >>> list(FigureSet(f1=Figure(value=0.5), auroc=Figure(value=0.7)).figures())
        ['auroc', 'f1']
        """
        all_figures = {name: getattr(self, name) for name in FigureSet.model_fields}
        return {name: figure for name, figure in all_figures.items() if figure is not None}


class CaseRow(FigureSet):
    """One case of the measured patches."""

    case: str = ""
    #: Patches.
    n: int = 0
    #: Patches that are, and that are called, positive; None for more than two classes.
    positives: int | None = None
    called_positive: int | None = None
    notes: tuple[str, ...] = ()


class Baseline(FigureSet):
    """A simple method, fitted on the training part and measured on the same patches."""

    threshold: Threshold | None = None
    note: str = ""


class ClassRow(Record):
    """One class against the rest; its figures have no interval."""

    name: str = Field("", alias="class")
    n: int = 0
    auroc: Number = None
    average_precision: Number = None
    sensitivity: Number = None
    specificity: Number = None
    precision: Number = None
    f1: Number = None


class Intervals(Record):
    """How the intervals were made."""

    method: str = ""
    level: Number = None
    replicates: int | None = None
    seed: int | None = None
    #: What was drawn with replacement, and how many of them there are.
    units: int | None = None
    #: Why a figure that has a value has no interval, by name.
    notes: dict[str, str] = Field(default_factory=dict)

    @property
    def over(self) -> str:
        """``patches`` or ``cases``; "" where that is not recorded."""
        return next((each for each in ("patches", "cases") if each in self.method), "")

    @property
    def words(self) -> str:
        """What an interval is, as far as it is recorded.

        >>> Intervals(level=0.95, method="percentile bootstrap over cases").words
        '95 % interval over cases'
        """
        level = "" if self.level is None else f"{100 * self.level:.0f} % "
        return f"{level}interval" + (f" over {self.over}" if self.over else "")
