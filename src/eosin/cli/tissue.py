"""`eosin tissue`: where a slide has tissue, and what flaws it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.slides.lowpower import LowPower
    from eosin.slides.slide import Slide
    from eosin.slides.tissue import Tissue

_ENDINGS = (".png", ".geojson", ".ome.tif", ".ome.tiff")
#: Longer side of a slide in a picture, at least.
_DRAWN_PX = 1000


def tissue(
    slide: Path,
    out: Annotated[list[Path] | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    qc: str = "all",
    mask: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    um: Annotated[float, typer.Option(min=2, max=64)] = 8.0,
    focus: Annotated[bool, typer.Option("--focus/--no-focus")] = True,
    mpp: float | None = None,
    json_: options.Json = False,
) -> None:
    """Find the tissue of a slide, and pen marks, folds, air bubbles and areas out of focus.

    Tissue is found by its color against the slide's own glass, at low power; pale and fatty tissue
    stays, small specks go. Flaws have simple rules that find what is plain and can be wrong: look
    at the picture before they decide anything.

    Options:
        slide: A slide file; of a DICOM slide any file or the folder.
        out: What to write, by its ending; repeatable. .png shows the slide beside its mask;
            .geojson has outlines for QuPath; .ome.tif has a number a pixel (1 tissue, 2 pen,
            3 fold, 4 out of focus, 5 bubble).
        qc: The flaws that are left out of the tissue - all, none, or some of pen, fold, focus and
            bubble with commas. Files keep every flaw by its name either way.
        mask: Show this mask instead of looking for one - GeoJSON of QuPath, or a TIFF or PNG with
            a number a pixel, those of GrandQC included.
        um: Micrometers a pixel of the mask.
        focus: Whether sharpness is judged, for which tissue is read at 2 micrometers a pixel.
        mpp: Micrometers a pixel of the slide, where the file does not tell or is wrong.

    Example: eosin tissue slide.svs -o mask.png -o mask.geojson
    """
    from contextlib import closing

    from eosin.folders import refuse_overlap
    from eosin.slides.find import TissueSettings, find_tissue
    from eosin.slides.lowpower import low_power
    from eosin.slides.masks import read_mask, write_mask
    from eosin.slides.opening import open_slide
    from eosin.slides.tissue import parse_qc

    keep = parse_qc(qc)
    for path in out or ():
        if not path.name.lower().endswith(_ENDINGS) or path.is_dir():
            raise UserError(f"-o {path}: give a name that ends with {', '.join(_ENDINGS)}")
        refuse_overlap(path, {"SLIDE": slide, "--mask": mask})
    with closing(open_slide(slide, mpp=mpp)) as opened:
        settings = TissueSettings(um=um, focus_um=TissueSettings.focus_um if focus else 0)
        picture = low_power(opened, um)
        found = (
            find_tissue(opened, settings, picture) if mask is None else read_mask(mask, opened)
        )  # fmt: skip
        for path in out or ():
            if path.name.lower().endswith(".png"):
                _draw(path, opened, picture, found, keep)
            else:
                write_mask(found, opened, path)
        result = _result(opened, found, keep)
    result |= {"qc": qc, "files": [str(path) for path in out or ()]}
    output.end_with_json(result, json_=json_)
    output.warn(*found.notes)
    _show(slide, result, found, keep)
    output.say(*(f"wrote {path}" for path in out or ()))


def _result(slide: Slide, found: Tissue, keep: frozenset[int]) -> dict[str, Any]:
    height, width = found.labels.shape
    used = float(found.used(keep).mean())
    areas = found.areas_mm2()
    return {
        "slide": str(slide.path), "reader": slide.reader,
        "size_px": [slide.width_px, slide.height_px],
        "mpp": None if slide.scale is None else list(slide.scale[:2]),
        "mask": {"width": width, "height": height, "mpp": found.mpp and list(found.mpp)},
        "source": found.source, "shares": found.shares(), "areas_mm2": areas or None,
        "used_share": used, "used_mm2": used * sum(areas.values()) if areas else None,
        "notes": list(found.notes),
    }  # fmt: skip


def _show(slide: Path, result: dict[str, Any], found: Tissue, keep: frozenset[int]) -> None:
    from eosin.slides.tissue import NAMES, TISSUE

    areas = result["areas_mm2"]
    rows = []
    for number, name in enumerate(NAMES):
        share = result["shares"][name]
        area = "-" if areas is None else f"{areas[name]:,.3f}"
        use = "" if number <= TISSUE or not share else "kept" if number in keep else "left out"
        rows.append([name, area, f"{100 * share:.2f}", use])
    area = "-" if areas is None else f"{result['used_mm2']:,.3f}"
    rows.append(["used as tissue", area, f"{100 * result['used_share']:.2f}", ""])
    columns = ["kind", "mm2", "% of the slide", ""]
    output.table(str(slide), columns, rows, right=columns[1:3])
    output.say(f"mask: {found.source}; read by {result['reader']}")


def _draw(path: Path, slide: Slide, picture: LowPower, found: Tissue, keep: frozenset[int]) -> None:
    """The picture of the scanned part beside its mask."""
    from eosin.figures.overlay import Shown, draw_mask
    from eosin.slides.lowpower import low_power
    from eosin.slides.tissue import COLORS, NAMES, TISSUE

    areas, shares = found.areas_mm2(), found.shares()
    kinds = []
    for number in range(TISSUE, len(NAMES)):
        name = NAMES[number]
        if number > TISSUE and not shares[name]:
            continue
        text = f"{name} {areas[name]:,.2f} mm²" if areas else f"{name} {100 * shares[name]:.1f} %"
        if number > TISSUE:
            text += ", kept" if number in keep else ", left out"
        kinds.append(Shown(number, COLORS[number], text))
    shown = picture
    longest = max(picture.known.shape)
    if picture.mpp is not None and longest < _DRAWN_PX:
        # Of a small slide the picture is finer than the mask.
        shown = low_power(slide, picture.mpp[0] * longest / _DRAWN_PX)
    used = float(found.used(keep).mean())
    whole = f"{used * sum(areas.values()):,.2f} mm², " if areas else ""
    um = None if shown.mpp is None else shown.mpp[0]
    scale = f"mask of {found.mpp[0]:.3g} µm a pixel" if found.mpp else "no scale"
    draw_mask(
        path, _part(slide, shown.pixels), _part(slide, found.labels), kinds, um=um,
        title=slide.path.name,
        subtitle=f"used as tissue: {whole}{100 * used:.1f} % of the slide; {scale}",
    )  # fmt: skip


def _part(slide: Slide, array: Any) -> Any:
    """What of an array [h, w, ...] over the whole slide lies in the scanned part."""
    height, width = array.shape[:2]
    part = slide.bounds
    rows = [round(v * height / slide.height_px) for v in (part.y, part.y + part.height)]
    columns = [round(v * width / slide.width_px) for v in (part.x, part.x + part.width)]
    return array[rows[0] : max(rows[0] + 1, rows[1]), columns[0] : max(columns[0] + 1, columns[1])]
