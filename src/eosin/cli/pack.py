"""`eosin pack`: from an archive of labeled patches to a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output
from eosin.errors import SourceError

if TYPE_CHECKING:
    from eosin.data.store import PatchStore


def pack(
    source: Annotated[
        Path,
        typer.Argument(
            help="Zip (read in place), folder, CSV manifest, npz, IDX or HDF5 file.",
        ),
    ],
    store: Annotated[Path, typer.Argument(help="The folder to make.")],
    layout: Annotated[
        str | None,
        typer.Option(
            help="How paths are named: idc, breakhis, nct-crc, folders, manifest, idx, medmnist, "
            "pcam. Found by itself where not given."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW", help="Patch size in pixels; else the most common size of a sample."
        ),
    ] = None,
    fit: Annotated[
        str,
        typer.Option(
            help="Images of another size: pad (white, image at the top-left; a larger one is "
            "rejected), resize (scaled to fit, proportions change) or reject. Their own size "
            "stays in the index."
        ),
    ] = "pad",
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Keep only members whose path or file name fits; may be given several times.",
        ),
    ] = None,
    max_rejects: Annotated[
        str,
        typer.Option(
            metavar="SHARE|N",
            help="Unusable images that are tolerated: a share (1% or 0.01) or a number (20).",
        ),
    ] = "1%",
    max_pixels: Annotated[
        int, typer.Option(min=1, help="The most pixels an image may declare.")
    ] = 16_777_216,
    mpp: Annotated[
        float | None,
        typer.Option(help="Micrometers a pixel, where the layout does not know it or is wrong."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Decoding threads; all cores by default.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a store; files that eosin did not make are kept."),
    ] = False,
    json_: output.Json = False,
) -> None:
    """Pack labeled patches from an archive into one store.

    The source is read in place, its layout is found and shown, and every image is checked.
    Gray is replicated to three channels, palettes are expanded, alpha is composited over white,
    16 bits become 8 by dividing by 257, EXIF orientation is ignored. A second copy of an image
    (same case, same file name, same content) is skipped. Images that cannot be used are listed
    with a reason each in store.json; more than --max-rejects of them fail the command. The store
    appears whole or not at all.

    Example: eosin pack archive.zip idc.store
    """
    output.use_json(json_)
    import math

    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise SourceError(f"--mpp {mpp} is not a size; give micrometers a pixel, such as 0.5")
    patch_size, allowed = parse_size(size), parse_share(max_rejects)
    with output.replacing(store, "store", force=force):
        made, seconds = _pack(
            source, store, layout=layout, size=patch_size, fit=fit, include=include,
            max_rejects=allowed, max_pixels=max_pixels, mpp=mpp, force=force, workers=workers,
        )  # fmt: skip
    if json_:
        output.result(
            {"store": str(store), **made.info, "seconds": seconds, "rate": len(made) / seconds}
        )
    else:
        _show(made, seconds)


def pack_and_note(source: Path, store: Path) -> PatchStore:
    """Pack with the defaults on the way to something else; one line about it on stderr."""
    made, seconds = _pack(source, store)
    info = made.info
    output.note(
        f"packed {len(made):,} patches of {info['cases']} cases (layout {info['layout']}) into "
        f"{store} in {seconds:.1f} s: {info['nested_copies']:,} nested copies skipped, "
        f"{info['rejects_count']} rejected"
    )
    for text in info["notes"]:
        output.note(f"  {text}")
    if not made.cases_known:
        output.warn("the source does not say which case a patch is of")
    return made


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
    raise SourceError(f"--size {text!r} is not a size; give N or HxW, each from 1 to 4096")


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
        raise SourceError(f"--max-rejects {text!r}: give a share (1%, 0.01) or a number (20)")
    return share


def _show(made: PatchStore, seconds: float) -> None:
    from eosin.data.layouts import plainly

    info: dict[str, Any] = made.info
    height, width = made.patch_size
    count = len(made)
    rows: list[tuple[str, object]] = [
        ("layout", info["layout"]),
        ("patches", f"{count:,} of {width}x{height} px"),
        ("resolution", "unknown" if made.mpp is None else f"{made.mpp:g} micrometers a pixel"),
        ("cases", f"{info['cases']:,}" + ("" if made.cases_known else " (not known for all)")),
    ]
    shown = list(info["counts"].items())
    for name, number in shown[:20]:
        rows.append((f"class {plainly(name, 60)}", f"{number:,} ({100 * number / count:.1f} %)"))
    if len(shown) > 20:
        rows.append(("further classes", len(shown) - 20))
    other = "resized" if info["fit"] == "resize" else "padded"
    rows += [
        ("nested copies skipped", f"{info['nested_copies']:,}"),
        (f"odd sizes {other}", f"{info['other_sizes']:,}"),
        ("repeated pixels", f"{info['duplicates']:,}"),
        ("same pixels, two labels", f"{info['conflicts']['count']:,}"),
        ("rejects", f"{info['rejects_count']:,}"),
    ]
    rows += [(f"  {kind}", f"{number:,}") for kind, number in info["reject_reasons"].items()]
    if info["nested_differing"]:
        rows.append(("same name, other pixels (kept)", f"{info['nested_differing']:,}"))
    if info["ignored"]:
        rows.append(("other files ignored", f"{info['ignored']:,}"))
    if info["excluded"]:
        rows.append(("left out by --include", f"{info['excluded']:,}"))
    rows += [
        ("time", f"{seconds:.1f} s, {count / seconds:,.0f} patches/s"),
        ("digest", made.digest),
    ]
    title = f"{made.path}" + (" (made up: synthetic patches)" if made.made_up else "")
    output.table(title, ["what", "value"], rows)
    for text in info["notes"]:
        output.say(f"note: {text}")
    for reject in info["rejects"][:5]:
        output.say(f"rejected {plainly(reject['source'])}: {plainly(reject['reason'])}")
    if info["rejects_count"] > 5:
        output.say(f"all {info['rejects_count']:,} rejects are listed in {made.path}/store.json")
