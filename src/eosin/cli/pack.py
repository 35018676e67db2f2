"""`eosin pack`: from an archive of labeled patches to a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import SourceError

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.slides.labeled import Cut


def pack(
    source: Path,
    store: Path,
    layout: str | None = None,
    table: Annotated[str | None, typer.Option(metavar="FILE")] = None,
    column: Annotated[list[str] | None, typer.Option(metavar="ROLE=NAME")] = None,
    size: Annotated[str | None, typer.Option(metavar="N|HxW")] = None,
    fit: str = "pad",
    include: Annotated[list[str] | None, typer.Option(metavar="GLOB")] = None,
    levels: Annotated[str | None, typer.Option(metavar="label/case")] = None,
    case_pattern: Annotated[str | None, typer.Option(metavar="REGEX")] = None,
    max_rejects: Annotated[str, typer.Option(metavar="SHARE|N")] = "1%",
    max_pixels: Annotated[int, typer.Option(min=1)] = 16_777_216,
    mpp: float | None = None,
    positive: Annotated[str | None, typer.Option(metavar="CLASS")] = None,
    annotations: Annotated[Path | None, typer.Option(metavar="FOLDER")] = None,
    class_: Annotated[list[str] | None, typer.Option("--class", metavar="NAME=CLASS")] = None,
    background: Annotated[str | None, typer.Option(metavar="CLASS")] = None,
    overlap: Annotated[float | None, typer.Option(min=0.01, max=1)] = None,
    stride_um: Annotated[float | None, typer.Option(min=0.1)] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64)] = None,
    force: options.Force = False,
    json_: options.Json = False,
) -> None:
    r"""Pack labeled patches from an archive into one store.

    The source is read in place, its layout is detected and shown, and every image is checked.
    What each level of folders is (part, label, case) is found by the names that it has; where
    several readings fit, nothing is packed, and they are shown with the option that chooses one.
    Gray is replicated to three channels, palettes are expanded, alpha is composited over white,
    more than 8 bits become 8 by one rule for the whole source, EXIF orientation is ignored. A
    second copy of an image (same case, class, part and file name, same content) is skipped. Images
    that cannot be used are listed with their reasons in store.json; with more than --max-rejects of
    them the command fails, and a command that fails leaves no store.

    With --annotations the source is a slide or a folder of slides, and patches of --size at --mpp
    are cut from them on a grid and labeled by what people drew in QuPath or ASAP.

    Options:
        source: Zip or tar (read in place), folder, CSV, Parquet, npz, IDX or HDF5 file; with
            --annotations a slide or a folder of slides.
        store: The folder to make.
        layout: How files are named: idc, breakhis, nct-crc, folders, manifest, parquet, webdataset,
            idx, medmnist, pcam, hdf5; detected by default.
        table: The table that lists the images: a file in SOURCE or elsewhere. Needed where several
            tables, or a table and folders, could be meant.
        column: The column of the table that is the path, label, case, x, y, part, slide or subtype,
            where its name does not tell; repeatable.
        size: Patch size in pixels; else the most common size of a sample.
        fit: Images of another size: pad (white, image at the top-left; a larger one is rejected),
            resize (scaled to fit, proportions change) or reject. Their own size is in the index;
            the choice is kept in the store and in its models.
        include: Keep only images whose path or file name matches; repeatable.
        levels: What each level of folders is, from the top: part, label, case, slide, subtype, or *
            for one that does not matter. Found by default.
        case_pattern: The case is in the file names: a regular expression with one group, such as
            '^(P\d+)_'. With a slash in it, it is searched in the whole path.
        max_rejects: Unusable images that are accepted: a share (1% or 0.01) or a number (20).
        max_pixels: The most pixels an image may declare.
        mpp: Micrometers a pixel, if the layout does not have it or is wrong; with --annotations
            that of the patches to cut.
        positive: Which of two classes the figures are about; else known from the class names, or
            guessed, which the output then tells.
        annotations: A folder of QuPath's GeoJSON or ASAP's XML, each file named as its slide. The
            case of a slide is by --case-pattern, or by a --table with the columns slide and case
            (and mpp for a slide without a scale), else the slide's name.
        class_: A class of the annotations and the one it becomes; nothing after the sign cuts it
            out; repeatable. By default every class is taken, and those that end with * are cut out.
        background: The class of tissue that is in no annotation; by default it is not packed.
        overlap: The share of a patch that has to be in a class for its label. [default: 0.5]
        stride_um: From one patch to the next in micrometers; by default they touch.
        workers: Decoding threads; all cores by default.

    Example: eosin pack archive.zip idc.store
    """
    import math

    from eosin.data.positive import positive_sentence

    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise SourceError(f"--mpp {mpp} is not a size; use micrometers a pixel, such as 0.5")
    patch_size, allowed = parse_size(size), parse_share(max_rejects)
    cut = None
    if annotations is not None:
        unused = {
            "--layout": layout, "--column": column, "--include": include, "--levels": levels,
            "--fit": fit if fit != "pad" else None,
        }  # fmt: skip
        cut = _cut(patch_size, mpp, stride_um, overlap, class_, background, unused)
    elif class_ or background or overlap or stride_um:
        raise SourceError(
            "--class, --background, --overlap and --stride-um are about --annotations; give the "
            "folder of the annotations as well"
        )
    common = {"case_pattern": case_pattern, "positive": positive, "max_rejects": allowed}
    common |= {"force": force, "workers": workers}
    with output.replacing(store, "store", force=force):
        if cut is not None and annotations is not None:
            made, seconds = _pack_slides(
                source, annotations, store, cut=cut, table=Path(table) if table else None, **common
            )
        else:
            made, seconds = _pack(
                source, store, layout=layout, table=table, columns=parse_columns(column or ()),
                size=patch_size, fit=fit, include=include, levels=levels, max_pixels=max_pixels,
                mpp=mpp, **common,
            )  # fmt: skip
    if json_:
        output.note(positive_sentence(made.classes, made.positive_by))
        output.result(
            {"store": str(store), **made.info, "seconds": seconds, "rate": len(made) / seconds}
        )
    else:
        _show(made, seconds)


def pack_and_note(source: Path, store: Path) -> PatchStore:
    """Pack with the defaults as part of another command; one line about it on stderr."""
    made, seconds = _pack(source, store)
    info = made.info
    output.note(
        f"packed {output.patches(len(made), info['cases'])} (layout {info['layout']}) into {store} "
        f"in {seconds:.1f} s: {info['nested_copies']:,} nested copies skipped, "
        f"{info['rejects_count']} rejected"
    )
    note_reading(made)
    if not made.cases_known:
        output.warn("the source does not give the case of every patch")
    return made


def note_reading(made: PatchStore) -> None:
    """The positive class of a store and how its source was read, on stderr."""
    from eosin.data.positive import positive_sentence

    for text in (positive_sentence(made.classes, made.positive_by), *_sentences(made.info)):
        output.note(f"  {text}")


def _pack(source: Path, store: Path, **options: Any) -> tuple[PatchStore, float]:
    from time import perf_counter

    from eosin.data.pack import pack as pack_patches

    started = perf_counter()
    with output.progress() as bar:
        task = bar.add_task("packing", total=None, rate="")

        def show(done: int, total: int) -> None:
            rate = done / max(perf_counter() - started, 1e-9)
            bar.update(task, completed=done, total=total, rate=f"{rate:,.0f}/s")

        made = pack_patches(source, store, progress=show, **options)
    return made, perf_counter() - started


def _pack_slides(source: Path, annotations: Path, store: Path, **options: Any) -> Any:
    """The store of annotated slides, and the seconds that it took."""
    from time import perf_counter

    from eosin.slides.packing import pack_slides

    started = perf_counter()
    with output.progress() as bar:
        looking = bar.add_task("looking at slides", total=None, rate="")
        packing = bar.add_task("packing", total=None, rate="", visible=False)

        def show(done: int, total: int) -> None:
            rate = done / max(perf_counter() - started, 1e-9)
            bar.update(packing, completed=done, total=total, rate=f"{rate:,.0f}/s", visible=True)

        made = pack_slides(
            source, annotations, store, progress=show,
            looking=lambda done, total: bar.update(looking, completed=done, total=total), **options,
        )  # fmt: skip
    return made, perf_counter() - started


def _cut(
    size: tuple[int, int] | None, mpp: float | None, stride_um: float | None,
    overlap: float | None, classes: Sequence[str] | None, background: str | None,
    unused: dict[str, Any],
) -> Cut:  # fmt: skip
    """Which patches are cut from slides; SourceError for options that do not fit."""
    from eosin.slides.labeled import Cut

    if wrong := [option for option, value in unused.items() if value]:
        raise SourceError(f"{wrong[0]} is about patches in files, not about --annotations")
    if size is None or mpp is None:
        raise SourceError(
            "--annotations needs the size and the scale of the patches to cut, such as --size 224 "
            "--mpp 0.5; those of a model to retrain are in its model.json"
        )
    return Cut(
        size, mpp, stride_um, overlap=0.5 if overlap is None else overlap,
        classes=parse_classes(classes or ()), background=(background or "").strip(),
    )  # fmt: skip


def parse_classes(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=CLASS`` of each option -> class of the annotations -> class of the store.

    >>> parse_classes(["Tumor=positive", "Artefact="])
    {'Tumor': 'positive', 'Artefact': ''}
    """
    classes: dict[str, str] = {}
    for text in texts:
        name, sign, target = text.rpartition("=")
        if not sign or name.strip() in classes:
            raise SourceError(
                f"--class {text!r}: use NAME=CLASS, such as Tumor=positive, once a name"
            )
        classes[name.strip()] = target.strip()
    return classes


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``N`` or ``HxW`` -> (height_px, width_px).

    >>> parse_size("50"), parse_size("40x50"), parse_size(None)
    ((50, 50), (40, 50), None)
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) <= 2 and all(p.isascii() and p.isdigit() and 0 < int(p) <= 4096 for p in parts):
        return int(parts[0]), int(parts[-1])
    raise SourceError(f"--size {text!r} is not a size; use N or HxW, each from 1 to 4096")


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """``ROLE=NAME`` of each option -> role -> column.

    >>> parse_columns(["case=Patient ID", "label=grade"])
    {'case': 'Patient ID', 'label': 'grade'}
    """
    columns: dict[str, str] = {}
    for text in texts:
        role, sign, name = text.partition("=")
        if not sign or not name or role in columns:
            raise SourceError(f"--column {text!r}: use ROLE=NAME once a role: case=patient_id")
        columns[role] = name
    return columns


def parse_share(text: str) -> float | int:
    """``1%`` or ``0.01`` -> a share (float), ``20`` -> a number (int).

    >>> parse_share("1%"), parse_share("0.05"), parse_share("20")
    (0.01, 0.05, 20)
    """
    number = text.strip()
    if number.isascii() and number.isdigit() and len(number) < 10:
        return int(number)
    try:
        share = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SourceError(f"--max-rejects {text!r}: use a share (1%, 0.01) or a number (20)")
    return share


def _sentences(info: dict[str, Any]) -> list[str]:
    """How the source was read, and what to know of it."""
    reading = info.get("reading")
    return [
        *([f"read as {reading['text']}"] if reading else []),
        *(f"note: {n}" for n in info["notes"]),
    ]


def _show(made: PatchStore, seconds: float) -> None:
    from eosin.cli.inspect import show_store
    from eosin.sources.layouts import plainly

    info: dict[str, Any] = made.info
    show_store(made, ("time", f"{seconds:.1f} s, {len(made) / seconds:,.0f} patches/s"))
    for text in _sentences(info):
        output.say(text)
    for reject in info["rejects"][:5]:
        output.say(f"rejected {plainly(reject['source'])}: {plainly(reject['reason'])}")
    if info["rejects_count"] > 5:
        output.say(f"all {info['rejects_count']:,} rejects are listed in {made.path}/store.json")
