"""`eosin export`: a run as files that answer the same without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eosin.cli import options, output

if TYPE_CHECKING:
    from eosin.records.export import ExportedFile


def export(
    run: Path,
    folder: Annotated[Path, typer.Option("--output", "-o")],
    onnx: Annotated[bool, typer.Option("--onnx")] = False,
    int8: Annotated[bool, typer.Option("--int8")] = False,
    openvino: Annotated[bool, typer.Option("--openvino")] = False,
    torch: Annotated[bool, typer.Option("--torch")] = False,
    point: options.Point = None,
    store: options.MovedStore = None,
    force: options.Force = False,
    json_: options.Json = False,
) -> None:
    """Write a run as files that answer the same everywhere, without torch.

    Scaling, resizing, temperature and softmax are inside; classes, operating points, refer bands,
    scope and digests are in the metadata, but no path of this machine and no name of a case. Every
    file is tried on validation patches beside torch. One in float32 must answer within 0.0001 and
    change no decision, or nothing is written. One in int8, calibrated on training patches, may lose
    0.002 of AUROC and change 1 % of the decisions; else it is left out, the card gives the reason,
    and the exit code is 1. EXPORT_CARD.md has the figures.

    Options:
        run: A finished run folder.
        folder: Folder to make.
        onnx: model.onnx; the default if no format is given.
        int8: Also in whole numbers, if that is as good: model-int8.
        openvino: model.xml and model.bin; bf16 where the processor has it.
        torch: model.pt2, for torch without eosin.

    Example: eosin export run --onnx --int8 -o exported
    """
    from eosin.exporting.export import Formats
    from eosin.exporting.export import export as make
    from eosin.records.model import ModelFacts

    formats = Formats.of(onnx=onnx, int8=int8, openvino=openvino, torch=torch)
    moved = None if store is None else str(store)
    with output.replacing(folder, "export", force=force):
        result = make(
            run, folder, formats=formats, point=point, store=moved, force=force, note=output.note
        )
    if json_:
        output.result({"folder": str(folder), **result.model_dump(mode="json")})
    else:
        output.warn(*map(str, ModelFacts.of_run(run).all_marks))
        columns = ["file", "MB", "largest difference", "decisions changed", "AUROC", "of torch"]
        output.table("", columns, [_row(each) for each in result.files], right=columns[1:])
        part = {"val": "validation", "train": "training"}.get(result.sample.part, "made up")
        output.say(
            f"compared with torch on {result.sample.patches:,} patches ({part}); "
            f"the card: {folder / 'EXPORT_CARD.md'}"
        )
        if result.checked_on is not None:
            here = result.checked_on
            has = ", ".join(here.instructions) or "instructions unknown"
            output.say(f"checked on: {here.kind} ({has}); not on: {', '.join(here.not_on)}")
        output.note(result.intended_use)
    output.note(*(f"{each.file} was not written: {each.why}" for each in result.refused))
    if result.refused:
        raise typer.Exit(1)


def _row(each: ExportedFile) -> list[str]:
    parity = each.parity
    size, largest = f"{each.bytes / 1e6:.2f}", f"{parity.largest_difference:.2g}"
    changed = f"{parity.answers_changed} of {parity.patches:,}"
    figures = (output.value(value) for value in (parity.auroc, parity.auroc_torch))
    return [each.file, size, largest, changed, *figures]
