"""`eosin predict`: classify image files with a trained model."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output
from eosin.errors import FailureError, UserError

if TYPE_CHECKING:
    from eosin.inference.images import ImagePrediction
    from eosin.inference.predictor import Predictor


Fit = Annotated[
    str | None,
    typer.Option(
        help="Images of another size than the model's patches: pad (white, image at the "
        "top-left; a larger one is refused), resize or reject; by default as the model's "
        "training patches were packed."
    ),
]
MaxPixels = Annotated[int, typer.Option(min=1, help="The most pixels an image may declare.")]


def predict(
    run: Annotated[
        Path, typer.Argument(help="A run folder, or an exported file (.onnx, .xml) or its folder.")
    ],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, folders of images, or zips of images.")
    ],
    fit: Fit = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse images of another size: --fit reject.")
    ] = False,
    max_pixels: MaxPixels = 16_777_216,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    precision: Annotated[
        str,
        typer.Option(help="fp32 (exact), bf16 or auto; an .onnx file needs OpenVINO for bf16."),
    ] = "fp32",
    json_: output.Json = False,
) -> None:
    """Classify image files: probability of each class, and the decision.

    The decision is a class, "refer" where the probability lies in the band that the run hands to a
    person, or "out of scope" where a patch is unlike everything that the run was trained on.
    An image of another size than the model's patches is padded, resized or refused, as it would
    have been when the training data were packed (--fit changes that). A file that cannot be read
    or is refused is a row with its reason; the others are classified, and the exit code is 1.

    Example: eosin predict run patches/ new.png --csv
    """
    output.use_json(json_)
    if csv and json_:
        raise UserError("choose one of --csv and --json")
    if precision not in ("fp32", "bf16", "auto"):
        raise UserError(f"--precision {precision}: choose fp32, bf16 or auto")
    from eosin.inference.images import picture_rule, predict_images
    from eosin.inference.predictor import load

    if strict and fit not in (None, "reject"):
        raise UserError(f"--strict refuses what --fit {fit} changes; use one of them")
    predictor = load(run, precision=precision)
    marks = [str(mark) for mark in predictor.facts.all_marks]
    for mark in marks:
        output.warn(mark)
    rule = picture_rule(predictor, fit="reject" if strict else fit, max_pixels=max_pixels)
    rows = []
    with output.progress() as bar:
        task = bar.add_task("classifying", total=None, rate="images")
        for row in predict_images(predictor, images, rule=rule):
            rows.append(row)
            bar.update(task, advance=1)
    bad = [row for row in rows if row.error]
    note_changes(predictor, rows)
    decision = predictor.facts.decision()
    band = decision.point.band and asdict(decision.point.band)
    scope = decision.scope_limit and {"threshold": decision.scope_limit}
    facts = {"referral": band, "scope": scope}
    balanced = predictor.facts.points.get("balanced", decision.point)
    threshold = balanced.threshold if predictor.facts.fitted else None
    _notes(facts, rows)
    if json_:
        output.result(
            {
                "run": str(run),
                "classes": list(predictor.classes),
                "threshold": threshold if len(predictor.classes) == 2 else None,
                "referral": facts.get("referral"),
                "scope": facts.get("scope"),
                "marks": marks,
                "predictions": [row.as_dict() for row in rows],
                "errors": len(bad),
                "intended_use": "Research and education only, not for diagnosis.",
            }
        )
    elif csv:
        marked = {"marks": "; ".join(marks)}
        _print_csv([row.as_dict() | marked for row in rows], predictor.classes)
    else:
        output.table(
            "",
            ["file", *predictor.classes, "decision"],
            [
                [row.file, *["-"] * len(predictor.classes), row.error]
                if row.error
                else [row.file, *(f"{p:.4f}" for p in row.probabilities.values()), row.decision]
                for row in rows
            ],
            right=list(predictor.classes),
        )
        output.note("Research and education only, not for diagnosis.")
    if bad:
        if json_:
            sys.exit(1)
        raise FailureError(f"{len(bad)} of {len(rows)} image(s) could not be classified")


def note_changes(predictor: Predictor, rows: list[ImagePrediction]) -> None:
    """How images were brought to the patch size, on stderr."""
    from eosin.inference.images import recorded_fit

    height, width = predictor.patch_size
    usual = {"pad": "padded", "resize": "resized"}.get(recorded_fit(predictor))
    for change in ("padded", "resized"):
        if count := sum(row.change == change for row in rows):
            output.note(f"{count} image(s) of another size were {change} to {width}x{height} px")
            if change != usual:
                output.note(
                    f"the training patches were not {change}: the model's figures may not hold for "
                    "these images"
                )


def _notes(facts: dict[str, Any], rows: list[ImagePrediction]) -> None:
    """What a reader of the decisions must know, on stderr."""
    from eosin.inference.answers import OUT_OF_SCOPE, REFER

    referred = sum(row.decision == REFER for row in rows)
    outside = sum(row.decision == OUT_OF_SCOPE for row in rows)
    referral = facts.get("referral") or {}
    if referred and referral.get("high") is None:
        output.note(f"{referred} image(s) got no finite probability and are for a person")
    elif referred:
        output.note(
            f"{referred} image(s) are for a person: of the others at most "
            f"{referral['level']:.0%} should be wrong ({referral['assumption']})"
        )
    elif referral and referral.get("high") is None:
        output.note(f"nothing is referred to a person: {referral.get('note') or 'no band'}")
    if outside:
        output.note(f"{outside} image(s) are unlike all training patches and were not classified")
    if not facts.get("scope"):
        output.note("the run has no out-of-scope check; eosin evaluate makes one")


def _print_csv(rows: list[dict[str, Any]], classes: tuple[str, ...]) -> None:
    import csv

    names = ["file", *(f"p_{name}" for name in classes)]
    names += ["distance", "decision", "height", "width", "resized", "padded", "error", "marks"]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
