"""`eosin explain`: which parts of an image a trained model's score depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eosin.cli import options, output
from eosin.cli.predict import note_changes
from eosin.errors import UserError


def explain(
    run: Path,
    images: options.Images,
    out: Annotated[Path, typer.Option("-o", "--out")] = Path("explanation.png"),
    method: str = "both",
    target: str | None = None,
    fit: options.Fit = None,
    max_pixels: options.MaxPixels = 16_777_216,
    json_: options.Json = False,
) -> None:
    """Show what the score of each image depends on, as a sheet of maps laid over the images.

    Grad-CAM weighs the network's last feature map; occlusion covers one window after another and
    measures how far the score falls. Maps show what the score depends on, not where tumor is. The
    sheet shows each image as the network sees it; it has room for 64 images, and the number of
    images left out is printed. A file that cannot be read is a row with its reason, and the exit
    code is 1.

    Options:
        run: A run folder.
        out: The sheet to write (PNG).
        method: grad-cam, occlusion or both.
        target: The class to explain; by default the decided one.

    Example: eosin explain run patches/ -o sheet.png
    """
    if method not in ("grad-cam", "occlusion", "both"):
        raise UserError(f"--method {method}: choose grad-cam, occlusion or both")
    if out.suffix.lower() != ".png" or out.is_dir():
        raise UserError(f"-o {out}: give the name of a file that ends with .png")
    from eosin.inference.predictor import is_exported

    if is_exported(run):
        raise UserError(
            f"{run} cannot be explained: an exported file does not open its network; use the run "
            "folder"
        )
    from eosin.inference.explain import feature_layer
    from eosin.inference.images import picture_rule
    from eosin.inference.maps import CAVEAT, METHODS
    from eosin.inference.sheet import draw_sheet, explain_images
    from eosin.inference.torch_predictor import load_run
    from eosin.records.model import INTENDED_USE

    predictor = load_run(run)
    methods = METHODS if method == "both" else tuple(m for m in METHODS if m == method)
    notes = []
    if "grad-cam" in methods:
        try:
            feature_layer(predictor.model)
        except UserError as reason:
            if method != "both":
                raise
            notes.append(str(reason))
            methods = ("occlusion",)
    marks = [str(mark) for mark in predictor.facts.all_marks]
    output.warn(*[*marks, *notes])
    rows, left_out = explain_images(
        predictor, images, methods=methods, target=target,
        rule=picture_rule(predictor, fit=fit, max_pixels=max_pixels),
    )  # fmt: skip
    note_changes(predictor, [row.prediction for row in rows])
    bad = [row.prediction for row in rows if row.prediction.error]
    sheet = None
    if len(bad) < len(rows):
        sheet = draw_sheet(
            rows, out, predictor=predictor, name=run.resolve().name, methods=methods, marks=marks,
            left_out=left_out,
        )  # fmt: skip
    if left_out:
        output.note(
            f"{left_out:,} image(s) were left out: a sheet has room for {len(rows)}; "
            "give the other images to a second command"
        )
    if json_:
        output.result(
            {
                "run": str(run),
                "classes": list(predictor.classes),
                "methods": list(methods),
                "sheet": None if sheet is None else str(sheet),
                "images": [row.as_dict() for row in rows],
                "left_out": left_out,
                "errors": len(bad),
                "marks": marks,
                "notes": notes,
                "caveat": CAVEAT,
                "intended_use": INTENDED_USE,
            }
        )
    else:
        output.table(
            "",
            ["file", "decision", "explained", "probability", *(f"{m} peak" for m in methods)],
            [
                [answer.file, answer.error, *["-"] * (2 + len(methods))]
                if (answer := row.prediction).error
                else [answer.file, answer.decision, row.target]
                + [output.value(answer.probabilities[row.target])]
                + [_place(row.maps[m].place.peak) for m in methods]
                for row in rows
            ],
            right=["probability"],
        )
        if sheet is not None:
            output.say(f"sheet: {sheet}")
        output.note(CAVEAT)
        output.note(INTENDED_USE)
    output.end_batch(len(bad), len(rows), "explained", json_=json_)


def _place(peak: tuple[float, float] | None) -> str:
    return "empty map" if peak is None else f"x {peak[0]:.0f}, y {peak[1]:.0f}"
