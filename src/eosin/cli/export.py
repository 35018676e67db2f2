"""`eosin export`: a run as files that answer the same without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eosin.cli import output


def export(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="model.onnx; the default where nothing is said.")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="The same in whole numbers as well, if it is as good: model-int8."
        ),
    ] = False,
    openvino: Annotated[
        bool, typer.Option("--openvino", help="model.xml and model.bin, also for bf16.")
    ] = False,
    torch: Annotated[
        bool, typer.Option("--torch", help="model.pt2, for torch without eosin.")
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option(help="The run's store, if it moved: files are tried on its patches."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace an export; files that eosin did not make are kept."),
    ] = False,
    json_: output.Json = False,
) -> None:
    """Write a run as files that answer the same everywhere, without torch.

    Scaling, resizing, temperature and softmax are inside; classes, threshold, refer band, scope and
    digests are in the metadata. Every file is tried on validation patches beside torch. One in
    float32 must answer within 0.0001 and change no decision, or nothing is written. One in int8,
    calibrated on training patches, may lose 0.002 of AUROC and change 1 % of the decisions; else
    it is left out, the card says why, and the exit code is 1. EXPORT_CARD.md carries the figures.

    Example: eosin export run --onnx --int8 -o exported
    """
    output.use_json(json_)
    from eosin.exporting.export import Wanted
    from eosin.exporting.export import export as make

    with output.replacing(folder, "export", force=force):
        result = make(
            run,
            folder,
            wanted=Wanted.of(onnx=onnx, int8=int8, openvino=openvino, torch=torch),
            store=None if store is None else str(store),
            force=force,
            said=output.note,
        )
    refused = result["refused"]
    if json_:
        output.result({"folder": str(folder), **result})
    else:
        facts = result["facts"]
        for mark in [*facts.get("marks", []), *(d["sentence"] for d in facts.get("diagnoses", []))]:
            output.warn(str(mark))
        columns = ["file", "MB", "largest difference", "decisions changed", "AUROC", "of torch"]
        output.table("", columns, [_row(each) for each in result["files"]], right=columns[1:])
        sample = result["sample"]
        output.say(
            f"compared with torch on {sample['patches']:,} patches "
            f"({ {'val': 'validation', 'train': 'training'}.get(sample['part'], 'made up') }); "
            f"the card: {folder / 'EXPORT_CARD.md'}"
        )
        output.note(str(result["intended_use"]))
    for each in refused:
        output.note(f"{each['file']} was not written: {each['why']}")
    if refused:
        raise typer.Exit(1)


def _row(each: dict[str, Any]) -> list[str]:
    parity = each["parity"]
    return [
        each["file"],
        f"{each['bytes'] / 1e6:.2f}",
        f"{parity['largest_difference']:.2g}",
        f"{parity['answers_changed']} of {parity['patches']:,}",
        output.value(parity["auroc"]),
        output.value(parity["auroc_torch"]),
    ]
