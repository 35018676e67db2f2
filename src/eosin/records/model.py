"""ModelFacts: what is known of a trained model, as model.json and fitted.json contain it.

model.json is written once, when training ends. fitted.json has what is fitted afterwards on
validation patches: temperature, operating points with their refer bands, the out-of-scope limit.
A model is identified by the digest of its network's tensors, which fitting does not change.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from eosin.errors import RunError, UserError, closest
from eosin.records.decision import Decision
from eosin.records.marks import Mark, Marks
from eosin.records.origin import Origin, Teacher
from eosin.records.points import (
    DEFAULT_POINT,
    EARLIER_NAMES,
    MOST_PROBABLE,
    POINTS,
    Band,
    OperatingPoint,
)
from eosin.records.record import Record, first_problem
from eosin.texts import from_json, read_text

FORMAT = 2
MODEL, FITTED = "model.json", "fitted.json"
INTENDED_USE = "Research and education only, not for diagnosis."
#: The point of a model of an earlier version that has a refer band around 0.5.
EARLIER_BAND = "around_one_half"

Pixels = Annotated[int, Field(gt=0, lt=1 << 15)]


class Scope(Record):
    """The out-of-scope check: a distance, and the share of validation patches within it."""

    threshold: float
    kept: float | None = None


class Diagnosis(Record):
    """Something wrong that training noticed about itself."""

    name: str = ""
    sentence: str
    #: Whether continuing is pointless.
    dead: bool = False


class Fitted(Record):
    """What is fitted on validation patches."""

    format: int = FORMAT
    #: Digest of the tensors of the network that it was fitted for.
    weights_digest: str = ""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    #: Name of the operating point that decides unless another is asked for.
    point: str = DEFAULT_POINT
    points: dict[str, OperatingPoint] = Field(default_factory=dict)
    scope: Scope | None = None

    def to_json(self) -> dict[str, Any]:
        """For fitted.json."""
        return self.model_dump(mode="json")


class ModelFacts(Record):
    """What is known of a model; keys of model.json, and what was fitted."""

    format: int = FORMAT
    architecture: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    classes: tuple[str, ...] = Field(min_length=2)
    #: (height_px, width_px)
    patch_size: tuple[Pixels, Pixels]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    views: int = 1
    parameters: int = 0
    #: Micrometers a pixel of the training patches.
    mpp: float | None = None
    #: How images of another size became training patches: pad, resize or reject.
    fit: str = "pad"
    #: The value that was white in training images of more than 8 bits; None where there were none.
    white: float | None = None
    #: The tallest and the widest training image before it became a patch: (height_px, width_px).
    largest: tuple[int, int] | None = None
    #: How the second of two classes became the positive one: chosen, layout, names, guess.
    positive_by: str = ""
    recipe: str | None = None
    made_up: bool = False
    store_digest: str = ""
    weights_digest: str = ""
    train_patches: int = 0
    epochs: int = 0
    kept_epoch: int = 0
    train_seconds: float | None = None
    machine: str = ""
    diagnoses: tuple[Diagnosis, ...] = ()
    marks: Marks = ()
    split_scheme: str | None = None
    leaking: bool = False
    start: Origin | None = None
    teacher: Teacher | None = None
    #: How the head of a probe was fitted.
    probe: dict[str, Any] | None = None
    intended_use: str = INTENDED_USE
    fitted: Fitted | None = None

    @property
    def temperature(self) -> float:
        """What logits are divided by."""
        return 1.0 if self.fitted is None else self.fitted.temperature

    @property
    def all_marks(self) -> tuple[Mark, ...]:
        """The marks, and what training noticed."""
        noticed = (Mark("diagnosis", each.sentence) for each in self.diagnoses)
        return tuple(dict.fromkeys([*self.marks, *noticed]))

    @property
    def points(self) -> dict[str, OperatingPoint]:
        """The operating points by name; one that was chosen on nothing where none was fitted."""
        if self.fitted is not None and self.fitted.points:
            return self.fitted.points
        if len(self.classes) > 2:
            return {MOST_PROBABLE: OperatingPoint(MOST_PROBABLE, None, chosen_on="nothing")}
        point = OperatingPoint(DEFAULT_POINT, 0.5, "0.5", "nothing", "the run was not evaluated")
        return {DEFAULT_POINT: point}

    def decision(self, point: str | None = None) -> Decision:
        """The rule that decides, at the model's own operating point or at a named one.

        Raises UserError for a name that the model does not have.

        >>> facts = ModelFacts(architecture="compact", classes=("n", "p"), patch_size=(50, 50))
        >>> facts.decision().point.threshold
        0.5
        """
        points = self.points
        name = point or (self.fitted.point if self.fitted else next(iter(points)))
        if name not in points:
            raise UserError(
                f"--point {name}: this model has no such point; {closest(name, points)}"
            )
        limit = self.fitted.scope.threshold if self.fitted and self.fitted.scope else None
        return Decision(self.classes, points[name], limit)

    def with_point(self, point: str | None) -> ModelFacts:
        """The same model with another operating point that decides unless one is asked for.

        Raises UserError for a name that the model does not have.
        """
        self.decision(point)
        if point is None or self.fitted is None:
            return self
        fitted = self.fitted.model_copy(update={"point": point})
        return self.model_copy(update={"fitted": fitted})

    def to_json(self) -> dict[str, Any]:
        """For model.json; what is fitted is not in it."""
        plain = self.model_dump(mode="json", exclude={"fitted", "marks", "start", "teacher"})
        return plain | {
            "marks": [mark.to_json() for mark in self.marks],
            "start": self.start and self.start.to_json(),
            "teacher": self.teacher and self.teacher.to_json(),
        }

    @classmethod
    def read(
        cls, model: dict[str, Any], fitted: dict[str, Any] | None = None, *, file: str = MODEL
    ) -> ModelFacts:
        """From the content of model.json and fitted.json; files of earlier versions are read too.

        file: the path, for messages. Raises RunError where something is missing or damaged.

        >>> old = {"format": 1, "architecture": "compact", "classes": ["n", "p"],
        ...        "patch_size": [50, 50], "temperature": 1.0,
        ...        "threshold": {"value": 0.25, "rule": "balanced_accuracy"}}
        >>> ModelFacts.read(old).decision().point.threshold
        0.25
        """
        for version in (model.get("format"), (fitted or {}).get("format", FORMAT)):
            if not isinstance(version, int) or not 1 <= version <= FORMAT:
                raise RunError(
                    f"{file} has format {version!r}; this version of eosin reads 1 to {FORMAT}"
                )
        try:
            known = dict(model)
            if known["format"] == 1:
                fitted = fitted or _earlier_fitted(known)
                for key in ("temperature", "threshold", "operating_points", "referral", "scope"):
                    known.pop(key, None)
            known["format"] = FORMAT
            made = cls.model_validate(known)
            values = Fitted.model_validate(fitted) if fitted else None
            if values and made.weights_digest and values.weights_digest:
                # What was fitted for other weights was not fitted for these.
                values = values if values.weights_digest == made.weights_digest else None
            return made.model_copy(update={"fitted": values})
        except (ValidationError, TypeError, KeyError, ValueError, AttributeError) as error:
            raise RunError(f"{file} is damaged ({first_problem(error)})") from None

    @classmethod
    def of_run(cls, folder: Path) -> ModelFacts:
        """Of a run folder, or of an evaluation's; raises RunError where it has no model.

        The tensors of the out-of-scope check are left out.
        """
        fitted = read_object(folder / FITTED) if (folder / FITTED).exists() else {}
        fitted.pop("scope_tensors", None)
        return cls.read(read_object(folder / MODEL), fitted, file=str(folder / MODEL))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model; raises RunError where it is missing or damaged."""
    try:
        value = from_json(read_text(path))
    except FileNotFoundError:
        raise RunError(
            f"{path.parent} does not contain a trained model ({path.name} is missing)"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged (not a JSON object)")
    return value


def _earlier_fitted(model: dict[str, Any]) -> dict[str, Any] | None:
    """What model.json of format 1 has of fitting, as fitted.json; None if nothing was fitted."""
    referral, scope = model.get("referral"), model.get("scope")
    saved = model.get("operating_points") or {}
    threshold = model.get("threshold")
    if threshold and not saved:
        saved = {threshold["rule"]: threshold}
    points = {}
    for name, point in saved.items():
        new = EARLIER_NAMES.get(name, name)
        # That version has the name of the rule where this one has its words.
        rule, bracket, numbers = str(point.get("rule", "")).partition(" (")
        rule = POINTS.get(EARLIER_NAMES.get(rule, rule), rule)
        points[new] = OperatingPoint(
            new, float(point["value"]), rule + bracket + numbers,
            str(point.get("chosen_on", "validation")), str(point.get("note", "")),
        )  # fmt: skip
    chosen = next(iter(points), DEFAULT_POINT)
    band = TypeAdapter(Band | None).validate_python(referral)
    if band is not None:
        band = replace(band, note=band.note.removeprefix("no band: "))
    if band is not None and (band or not points):
        # That version decided by a band around 0.5 (or the most probable class) whenever it had
        # one; its promise holds for that rule only.
        two = len(model["classes"]) == 2
        chosen = EARLIER_BAND if two else MOST_PROBABLE
        points[chosen] = OperatingPoint(
            chosen, 0.5 if two else None, "made by an earlier version", "validation", "", band
        )
    elif band is not None:
        points[chosen] = points[chosen].with_band(band)  # an empty one, whose note says why
    temperature = float(model.get("temperature", 1.0))
    if not points and not scope and temperature == 1.0:
        return None
    return {"temperature": temperature, "point": chosen, "points": points, "scope": scope}
