"""``Evaluation``: evaluation.json as an object, read from any version and written as one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from eosin.errors import RunError
from eosin.records.figures import (
    Baseline,
    CaseRow,
    ClassRow,
    Figure,
    FigureSet,
    Intervals,
    Threshold,
)
from eosin.records.marks import Marks
from eosin.records.record import Number, Record, first_problem
from eosin.records.referral import Decided, Referral
from eosin.records.trust import Calibration, DecisionCurve, MeasuredPoint, ScopeCheck, Suspects
from eosin.texts import from_json, read_text

#: 1: marks are plain sentences (and the number was called version); 2: marks have a kind.
FORMAT = 2
NAME = "evaluation.json"


class MeasuredStore(Record):
    """The store that was measured."""

    path: str = ""
    #: The same from the folder of the evaluation.
    relative: str = ""
    digest: str = ""
    patches: int | None = None


class MeasuredScale(Record):
    """The scale of the measured patches beside the model's; None where unknown."""

    #: Micrometers a pixel and (height_px, width_px).
    mpp: Number = None
    patch_size: tuple[int, int] | None = None
    model_mpp: Number = None
    model_patch_size: tuple[int, int] | None = None
    #: Field of view of a patch over the model's: below 1 the model sees tissue too large.
    ratio: Number = None
    #: Whether the patches were brought to the model's scale; the rest is from before.
    resampled: bool = False


class Fitting(Record):
    """What was fitted on which part, and what was measured."""

    fitted_on: str = ""
    measured_on: str = ""
    #: Groups of cases, each judged by what was fitted on the others; 0 where that was not needed.
    cross_fitted: int = 0
    sentence: str = ""


class AuditFinding(Record):
    """One kind of thing that the parts of a split share."""

    kind: str = ""
    #: leak, warning or hint.
    severity: str = "hint"
    count: int | None = None
    sentence: str = ""
    pairs: dict[str, int] = Field(default_factory=dict)
    examples: tuple[tuple[int, ...], ...] = ()


class Audit(Record):
    """What the audit of the split found."""

    #: None where that is not recorded.
    leaking: bool | None = None
    findings: tuple[AuditFinding, ...] = ()
    #: Patches looked at, by part.
    compared: dict[str, int] = Field(default_factory=dict)
    flat: int | None = None
    sparse: int | None = None
    marks: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["leak", "unknown", "none"]:
        """A leak; or none found but cases unknown, so that nothing excludes one; or none found.

        >>> Audit(findings=(AuditFinding(kind="unknown-cases"),)).verdict
        'unknown'
        """
        unknown = any(finding.kind == "unknown-cases" for finding in self.findings)
        return "leak" if self.leaking else "unknown" if unknown else "none"

    @property
    def clean(self) -> bool:
        """Whether two parts or more were compared, with their cases known, and no leak was found.

        >>> Audit(leaking=False, compared={"train": 9, "test": 3}).clean, Audit().clean
        (True, False)
        """
        return self.leaking is False and len(self.compared) > 1 and self.verdict == "none"


class PublishedRow(Record):
    """One published result."""

    name: str = ""
    source: str = ""
    f1: Number = None
    balanced_accuracy: Number = None
    auroc: Number = None
    auprc: Number = None
    protocol: str = ""
    remark: str = ""
    comparable: bool = False


class Missing(Record):
    """Cases and patches of the published protocol that were not measured."""

    cases: tuple[str, ...] = ()
    patches: int = 0


class Published(Record):
    """Published results, and whether this evaluation compares with them."""

    comparable: bool = False
    #: Why not, or what is short.
    reason: str = ""
    note: str = ""
    rows: tuple[PublishedRow, ...] = ()
    run: dict[str, Figure] | None = None
    missing: Missing = Missing()


class Exported(Record):
    """The exported file that answered, where it was not the run itself."""

    file: str = ""
    #: Its path, absolute and from the folder of the evaluation.
    path: str = ""
    relative: str = ""
    run: str | None = None
    kind: str = ""
    precision: str = ""
    runtime: str = ""
    weights_digest: str | None = None
    parity: Any = None


class Evaluation(FigureSet):
    """All figures of one evaluation.

    Build one with ``Evaluation.model_validate(sections)``, write it with ``to_json``.

    >>> sections = {"classes": ["n", "p"], "auroc": {"value": 0.9}, "marks": ["leak: 3 cases"]}
    >>> evaluation = Evaluation.model_validate(sections)
    >>> evaluation.ranking.value, evaluation.marks[0].kind, evaluation.to_json()["format"]
    (0.9, 'leak', 2)
    """

    format: int = FORMAT
    classes: tuple[str, ...] = ()
    #: Of two classes the one that the figures are about, and how it was chosen.
    positive: str | None = None
    positive_by: str = ""
    marks: Marks = ()
    n_patches: int = 0
    #: None where the cases of the patches are unknown.
    n_cases: int | None = None
    #: Of the point that decides; None for more than two classes.
    threshold: Threshold | None = None
    #: Share of positive patches, or of each class by name.
    prevalence: Number | dict[str, Number] = None
    #: Why a figure has no value, by name.
    undefined: dict[str, str] = Field(default_factory=dict)
    #: Patches by true class (row) and called class (column).
    confusion: tuple[tuple[int, ...], ...] | None = None
    intervals: Intervals = Intervals()
    mean_over_cases: dict[str, Figure] = Field(default_factory=dict)
    cases: tuple[CaseRow, ...] = ()
    cases_note: str = ""
    baselines: dict[str, Baseline] = Field(default_factory=dict)
    per_class: tuple[ClassRow, ...] = ()
    warnings: tuple[str, ...] = ()

    #: The run folder or the file that was measured.
    run: str = ""
    #: "test", "val", or "all" for a complete store.
    part: str = ""
    #: The scheme of the split.
    split: str = ""
    store: MeasuredStore = MeasuredStore()
    #: Of another store: what of the training data was looked for in it, "cases" and "pixels".
    sought: tuple[str, ...] = ()
    scale: MeasuredScale | None = None
    recipe: str | None = None
    intended_use: str = ""
    exported: Exported | None = None
    audit: Audit | None = None
    #: Name of the operating point that decides, and what `eosin predict` does with the patches.
    point: str | None = None
    decided: Decided | None = None
    #: Identity of the file of fitted values that belongs to this evaluation.
    fitted_digest: str | None = None

    fitting: Fitting = Fitting()
    calibration: Calibration | None = None
    operating_points: tuple[MeasuredPoint, ...] = ()
    decision_curve: DecisionCurve | None = None
    referral: Referral | None = None
    scope: ScopeCheck | None = None
    suspects: Suspects | None = None
    published: Published | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_this_format(cls, data: Any) -> Any:
        """Read earlier formats; refuse later ones."""
        if not isinstance(data, Mapping):
            return data
        number = data.get("format", data.get("version", FORMAT))
        if not isinstance(number, int) or number > FORMAT:
            raise ValueError(
                f"its format is {number}, and this version of eosin reads up to {FORMAT}; "
                "update eosin to read it"
            )
        return {**{k: v for k, v in data.items() if k != "version"}, "format": FORMAT}

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """The evaluation in a folder.

        Raises RunError where evaluation.json is missing, damaged or of a later format.
        """
        path = Path(folder) / NAME
        try:
            data = from_json(read_text(path))
        except FileNotFoundError:
            raise RunError(
                f"{folder} has no {NAME}; make it with: eosin evaluate {folder}"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}); {_AGAIN}") from None
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RunError(f"{path} cannot be used: {first_problem(error)}; {_AGAIN}") from None

    @property
    def binary(self) -> bool:
        """Whether there are two classes, the second being positive."""
        return len(self.classes) == 2

    @property
    def ranking_name(self) -> str:
        """The name of the headline figure."""
        return "auroc" if self.macro_auroc is None else "macro_auroc"

    @property
    def ranking(self) -> Figure:
        """The headline figure: AUROC, or its mean over the classes."""
        return self.figure(self.ranking_name)

    @property
    def deciding(self) -> MeasuredPoint | None:
        """The operating point that decides, or None where there are none."""
        named = (each for each in self.operating_points if each.name == self.point)
        default = (each for each in self.operating_points if each.default)
        return next(named, None) or next(default, None) or next(iter(self.operating_points), None)

    @property
    def caseless(self) -> int | None:
        """Measured patches whose case is unknown; None where that is not recorded.

        >>> Evaluation(n_patches=9).caseless, Evaluation(n_patches=9, n_cases=2).caseless
        (9, None)
        """
        if self.n_cases is None:
            return self.n_patches or None
        units = self.intervals.units if self.intervals.over == "cases" else None
        if units is None and len(self.cases) == self.n_cases:
            return self.n_patches - sum(row.n for row in self.cases)
        return None if units is None else units - self.n_cases

    @property
    def ranked_classes(self) -> int | None:
        """How many classes the mean AUROC is of: those that occur; None where not recorded."""
        return sum(row.auroc is not None for row in self.per_class) or None

    @property
    def apart(self) -> bool:
        """Whether it is recorded that no measured case was trained on."""
        known = "marks" in self.model_fields_set and self.caseless == 0
        if self.part == "all":
            return known and "cases" in self.sought and not self.has_mark("seen")
        leaking = self.split in ("", "patch") or self.has_mark("leak", "seen")
        leaking |= self.audit is not None and self.audit.leaking is True
        return known and self.part in ("test", "val") and not leaking

    def has_mark(self, *kinds: str) -> bool:
        """Whether there is a mark of any of these kinds."""
        return any(mark.kind in kinds for mark in self.marks)

    def wrong_by_class(self) -> dict[str, float]:
        """The share of each true class that is called another class, all patches being answered."""
        rows = enumerate(zip(self.classes, self.confusion or (), strict=False))
        return {name: 1 - row[k] / sum(row) for k, (name, row) in rows if sum(row)}

    def case_figure(self) -> str:
        """The figure to show by case: balanced accuracy, or accuracy where most cases lack it.

        Balanced accuracy needs both classes in a case.
        """
        defined = sum(row.figure("balanced_accuracy").value is not None for row in self.cases)
        return "balanced_accuracy" if self.binary and 2 * defined >= len(self.cases) else "accuracy"


_AGAIN = "make it again with: eosin evaluate RUN"
