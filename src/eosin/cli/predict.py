"""`eosin predict`: what a trained model answers for image files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.inference.images import ImagePrediction
    from eosin.inference.predictor import Predictor
    from eosin.records.decision import Decision
    from eosin.records.model import ModelFacts


def predict(
    run: options.Model,
    images: options.Images,
    point: options.Point = None,
    fit: options.Fit = None,
    strict: Annotated[bool, typer.Option("--strict")] = False,
    mpp: options.Mpp = None,
    resample: options.Resample = False,
    max_pixels: options.MaxPixels = 16_777_216,
    csv: Annotated[bool, typer.Option("--csv")] = False,
    precision: options.Precision = "fp32",
    json_: options.Json = False,
) -> None:
    """Classify image files: probability of each class, and the decision.

    The decision is a class; "refer" where the probability is within the band around the threshold
    that is left to a person; or "out of scope" where a patch differs from everything that the model
    was trained on. An image of another size than the model's patches is padded, resized or refused,
    as it would have been when the training data were packed (--fit changes that). Its scale is
    compared with the model's where --mpp gives it. A file that cannot be read or is refused is a
    row with its reason; the others are classified, and the exit code is 1. Whole slides are
    for eosin scan.

    Options:
        strict: Refuse images of another size: --fit reject.
        csv: Print CSV on stdout.

    Example: eosin predict run patches/ new.png --point sensitivity --csv
    """
    if csv and json_:
        raise UserError("choose one of --csv and --json")
    from eosin.inference.images import picture_rule, predict_images
    from eosin.inference.predictor import load

    if strict and fit not in (None, "reject"):
        raise UserError(f"--strict refuses what --fit {fit} changes; use one of them")
    predictor = load(run, precision=precision)
    facts = predictor.facts
    decision = facts.decision(point)
    marks = [str(mark) for mark in facts.all_marks]
    for mark in marks:
        output.warn(mark)
    pictures = picture_rule(
        predictor, fit="reject" if strict else fit, max_pixels=max_pixels,
        scale=scale_of(facts, mpp, resample, changing=fit or ("reject" if strict else None)),
    )  # fmt: skip
    rows = []
    with output.progress() as bar:
        task = bar.add_task("classifying", total=None, rate="images")
        for row in predict_images(predictor, images, rule=pictures, decision=decision):
            rows.append(row)
            bar.update(task, advance=1)
    bad = sum(bool(row.error) for row in rows)
    note_changes(predictor, rows)
    marks += note_scale(facts, rows, mpp)
    _notes(facts, decision, rows)
    rule = {"point": decision.point.name, "threshold": decision.point.threshold}
    classes = list(predictor.classes)
    if json_:
        band = decision.point.to_json()["band"]
        output.result(
            {
                "run": str(run),
                "classes": classes,
                **rule,
                "band": {key: band[key] for key in ("low", "high")}
                if decision.point.band
                else None,
                "referral": band,
                "scope": facts.fitted and facts.fitted.to_json()["scope"],
                "positive": classes[1] if len(classes) == 2 else None,
                "mpp": mpp,
                "model_mpp": facts.mpp,
                "patch_size": list(facts.patch_size),
                "marks": marks,
                "predictions": [row.as_dict() for row in rows],
                "errors": bad,
                "intended_use": "Research and education only, not for diagnosis.",
            }
        )
    elif csv:
        _print_csv([row.as_dict() | rule | {"marks": "; ".join(marks)} for row in rows], classes)
    else:
        cells = (_cells(row, len(classes)) for row in rows)
        output.table("", ["file", *classes, "decision"], cells, right=classes)
        output.note("Research and education only, not for diagnosis.")
    output.end_batch(bad, len(rows), "classified", json_=json_)


def _cells(row: ImagePrediction, classes: int) -> list[str]:
    if row.error:
        return [row.file, *["-"] * classes, row.error]
    return [row.file, *(f"{p:.4f}" for p in row.probabilities.values()), row.decision]


def note_changes(predictor: Predictor, rows: list[ImagePrediction]) -> None:
    """How images were brought to the patch size, on stderr."""

    height, width = predictor.patch_size
    usual = {"pad": "padded", "resize": "resized"}.get(predictor.facts.fit)
    for change in ("padded", "resized", "resampled"):
        if count := sum(row.change == change for row in rows):
            of = "" if change == "resampled" else " of another size"
            output.note(f"{count} image(s){of} were {change} to {width}x{height} px")
            if change not in (usual, "resampled"):
                output.note(
                    f"the training patches were not {change}: the model's figures may not hold for "
                    "these images"
                )


def scale_of(
    facts: ModelFacts, mpp: float | None, resample: bool, *, changing: str | None = None
) -> float:
    """Pixels of a patch for each pixel of an image: 1 unless it is to be resampled.

    changing: a --fit that was asked for. Raises UserError where a scale is unknown.
    """
    if not resample:
        return 1.0
    if changing:
        raise UserError(f"--resample decides the size by the scale; leave out --fit {changing}")
    if not mpp:
        raise UserError("--resample needs the scale of the images: --mpp MPP (micrometers a pixel)")
    if not facts.mpp:
        raise UserError("--resample needs the scale of the model, which its store did not have")
    return mpp / facts.mpp


def note_scale(facts: ModelFacts, rows: Sequence[ImagePrediction], mpp: float | None) -> list[str]:
    """The marks of images at another scale than the model's; all that is known of it on stderr."""
    from eosin.data.scale import measured_scale, scale_mark, unknown_scale

    deep = [row for row in rows if row.white]
    if deep:
        learned = "as in training" if facts.white else "by what these images reach"
        output.note(
            f"{len(deep)} image(s) of more than 8 bits: {deep[0].white:g} is white ({learned})"
        )
    answered = [row for row in rows if row.size and row.change != "resampled"]
    # A padded image keeps its scale; a resized one was stretched to the patch.
    sizes = Counter(row.size if row.change == "resized" else facts.patch_size for row in answered)
    marks, unknown = [], ""
    for size, count in sizes.items():
        scale = measured_scale(facts, size or facts.patch_size, mpp)
        unknown = unknown_scale(scale, "these images")
        if mark := scale_mark(scale, f"{count} image(s)"):
            marks.append(f"{mark}; --resample brings them to its scale")
    if unknown and facts.mpp:
        output.note(f"{unknown} Give theirs with --mpp.")
    for text in marks[:5]:
        output.warn(text)
    return marks[:5]


def _notes(facts: ModelFacts, decision: Decision, rows: Sequence[ImagePrediction]) -> None:
    """What a reader of the decisions must know, on stderr."""
    from eosin.records.decision import OUT_OF_SCOPE, REFERRED

    referred = sum(row.decision == REFERRED for row in rows)
    outside = sum(row.decision == OUT_OF_SCOPE for row in rows)
    output.note(f"decided by {decision.point.words()}")
    band = decision.point.band
    if referred and not band:
        output.note(f"{referred} image(s) got no finite probability and are left to a person")
    elif referred and band:
        output.note(
            f"{referred} image(s) are left to a person: of the others at most {band.level:.0%} "
            f"should be wrong ({band.assumption})"
        )
    elif band is not None and not band:
        output.note(f"no referral band: all images are answered ({band.note})")
    if outside:
        output.note(f"{outside} image(s) differ from all training patches and were not classified")
    if not facts.fitted or not facts.fitted.scope:
        output.note("the run has no out-of-scope check; eosin evaluate makes one")


def _print_csv(rows: list[dict[str, Any]], classes: Sequence[str]) -> None:
    from eosin.data.sheets import sheet

    names = ["file", *(f"p_{name}" for name in classes), "distance", "decision", "point"]
    names += ["threshold", "height", "width", "resized", "padded", "resampled", "white", "error"]
    names += ["marks"]
    sys.stdout.write(sheet(names, ([row.get(name) for name in names] for row in rows)))
