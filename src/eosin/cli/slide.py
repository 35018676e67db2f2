"""`eosin slide`: what is in a slide file, and a look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.slides.slide import Pixels, Slide

#: Pictures that are written: their endings.
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


def slide(
    file: Path,
    reader: str | None = None,
    mpp: str | None = None,
    thumbnail: Path | None = None,
    size: Annotated[int, typer.Option(min=16, max=8192)] = 1024,
    associated: str | None = None,
    out: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    json_: options.Json = False,
) -> None:
    """Show what is in a slide file: its size, its scale and where that comes from, its levels.

    Pictures beside the slide (label, macro photograph) are named and not shown: a label often
    carries the name of a patient. --associated writes one of them.

    Options:
        file: A slide (SVS, TIFF, NDPI, MRXS, SCN, CZI, DICOM and others), a folder of DICOM files,
            or a plain picture.
        reader: What reads it: eosin, openslide, wsidicom or flat, by default the first that opens
            it rightly; or fastslide, whose pixels are not exact.
        mpp: Micrometers a pixel instead of the file's, or a CSV with slide,mpp.
        thumbnail: Write a picture of the whole slide to this file.
        size: The most pixels on a side of the thumbnail.
        associated: Write this picture beside the slide to the file of -o.
        out: The file for --associated.

    Example: eosin slide CMU-1.svs --thumbnail CMU-1.png
    """
    if (associated is None) != (out is None):
        raise UserError("--associated NAME and -o FILE belong together: give both or none")
    for target in (thumbnail, out):
        _check_target(target, file)
    from eosin.slides.opening import open_slide
    from eosin.slides.reading import overview
    from eosin.slides.reduced import with_reduced
    from eosin.slides.scale import asked

    opened = open_slide(file, reader=reader, mpp=asked(mpp)(file))
    try:
        files = []
        if associated is not None and out is not None:
            files.append(_write(out, opened.associated(associated)))
        if thumbnail is not None:
            files.append(_write(thumbnail, overview(with_reduced(opened), size)[0]))
        output.end_with_json(_facts(opened) | {"files": [*map(str, files)]}, json_=json_)
        _show(opened)
        output.say(*(f"wrote {path}" for path in files))
    finally:
        opened.close()


def _check_target(target: Path | None, file: Path) -> None:
    """Raise UserError where a picture may not be written."""
    if target is None:
        return
    if target.suffix.lower() not in _ENDINGS or target.is_dir():
        raise UserError(f"{target}: give the name of a file that ends with .png or .jpg")
    if target.exists() and file.exists() and target.samefile(file):
        raise UserError(f"{target} is the slide itself; choose another file")


def _write(path: Path, pixels: Pixels) -> Path:
    from PIL import Image

    from eosin.disks import writing
    from eosin.folders import whole_file

    with writing(path), whole_file(path) as temporary:
        kind = Image.registered_extensions()[path.suffix.lower()]
        Image.fromarray(pixels).save(temporary, format=kind)
    return path


def _facts(slide: Slide) -> dict[str, Any]:
    from eosin.slides.reading import factors

    info, scale = slide.info, slide.scale
    return {
        "slide": str(slide.path),
        "format": info.format,
        "reader": slide.reader,
        "width_px": slide.width_px,
        "height_px": slide.height_px,
        "mpp_x": scale.x_um if scale else None,
        "mpp_y": scale.y_um if scale else None,
        "mpp_source": scale.source if scale else None,
        "objective": info.objective,
        "bounds_px": slide.bounds._asdict(),
        "levels": [
            {"width_px": level.width_px, "height_px": level.height_px,
             "factor": float(factors(slide, level)[0])}
            for level in slide.levels
        ],
        "compression": info.compression,
        "tile_px": info.tile_px,
        "icc_digest": info.icc or None,
        "associated": list(info.associated),
        "notes": list(info.notes),
    }  # fmt: skip


def _show(slide: Slide) -> None:
    from eosin.slides.reading import factors
    from eosin.sources.layouts import plainly

    info, scale, box = slide.info, slide.scale, slide.bounds
    whole = (box.width, box.height) == (slide.width_px, slide.height_px)
    rows: list[tuple[str, object]] = [
        ("format", info.format),
        ("read by", slide.reader),
        ("size", f"{slide.width_px:,} x {slide.height_px:,} px"),
        ("scale", "unknown" if scale is None else _scale(slide)),
        ("objective power", "not given" if info.objective is None else f"{info.objective:g}"),
        ("scanned part", "all" if whole else
         f"{box.width:,} x {box.height:,} px from ({box.x:,}, {box.y:,})"),
        ("compression", info.compression or "not told"),
        ("tiles", "none" if info.tile_px is None else f"{info.tile_px[0]} x {info.tile_px[1]} px"),
        ("ICC profile", f"{info.icc[:12]}, not applied" if info.icc else "none"),
        ("pictures beside it", ", ".join(plainly(name, 40) for name in info.associated) or "none"),
    ]  # fmt: skip
    output.table(plainly(slide.path.name, 80), ["what", "value"], rows)
    levels = []
    for number, level in enumerate(slide.levels):
        factor = factors(slide, level)[0]
        at = "-" if scale is None else f"{scale.x_um * float(factor):.4g}"
        size = f"{level.width_px:,} x {level.height_px:,}"
        levels.append([str(number), size, f"{float(factor):.6g}", at])
    columns = ["level", "size in px", "factor", "micrometers a pixel"]
    output.table("levels", columns, levels, right=columns)
    output.warn(*(plainly(note, 400) for note in info.notes))
    if info.associated:
        output.note("A label often carries a name; it is written only with --associated.")


def _scale(slide: Slide) -> str:
    assert slide.scale is not None
    x, y, source = slide.scale
    size = f"{x:.6g}" if x == y else f"{x:.6g} by {y:.6g}"
    return f"{size} micrometers a pixel ({source})"
