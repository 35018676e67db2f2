"""`eosin inspect`: the content of a store, in figures and in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import StoreError, closest

if TYPE_CHECKING:
    from eosin.data.overview import CaseCounts
    from eosin.data.store import PatchStore

#: Cases shown from either end where there are more than twice as many.
_ENDS = 8
_SHOWN_CLASSES = 20


def inspect(
    store: options.Store,
    case: str | None = None,
    out: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    all_: Annotated[bool, typer.Option("--all")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json_: options.Json = False,
) -> None:
    """Show the content of a store: classes, cases, prevalence, rejects, and pictures of it.

    Writes patches.png, a labeled sample of every class. With --case it also writes
    mosaic-CASE.png: the case assembled from its patches beside the map of their labels.

    Options:
        case: Draw this case beside the map of its labels.
        out: The folder for the pictures.  [default: STORE.pictures]
        all_: List every case, however many.
        seed: Seed of the sample of patches.

    Example: eosin inspect idc.store --case 8863
    """
    from eosin.data.overview import case_counts, edge_patches
    from eosin.data.store import PatchStore
    from eosin.figures import pictures

    opened = PatchStore.open(store)
    rows = None if case is None else _rows_of(opened, case)
    folder = out or opened.path.with_name(f"{opened.path.resolve().name}.pictures")
    if folder.resolve().is_relative_to(opened.path.resolve()):
        raise StoreError(f"{folder} is inside the store; choose another folder with -o FOLDER")
    files: list[Path] = []
    if len(opened):
        files.append(pictures.patch_grid(opened, folder / "patches.png", seed=seed))
    unplaced = ""
    if case is not None:
        made, unplaced = _mosaics(opened, case, rows, folder)
        files += made
    counts = case_counts(opened)
    by_case = {c.case: dict(zip(opened.classes, c.counts, strict=True)) for c in counts}
    output.end_with_json(
        {"store": str(opened.path), **opened.info, "edge_patches": edge_patches(opened)}
        | {"by_case": by_case, "unplaced": unplaced or None, "files": [*map(str, files)]},
        json_=json_,
    )
    show_store(opened)
    if case is not None:
        counts = [count for count in counts if count.case == case]
    _show_cases(opened, counts, all_)
    if unplaced:
        output.warn(unplaced)
    output.say(*(f"wrote {file}" for file in files))


def _rows_of(store: PatchStore, case: str) -> Any:
    import numpy as np

    rows = np.flatnonzero(store.cases == case)
    if not len(rows) or not case:
        known = set(store.cases.tolist()) - {""}
        if not known:
            raise StoreError(f"{store.path} does not record the case of any patch")
        raise StoreError(f"no case {case!r} in {store.path}; {closest(case, known)}")
    return rows


def _mosaics(store: PatchStore, case: str, rows: Any, folder: Path) -> tuple[list[Path], str]:
    """A picture for every slide of the case; and why there is none, or which patches lack one."""
    import re

    import numpy as np

    from eosin.data.grid import positions, slide_numbers
    from eosin.figures import pictures

    known = positions(store)[2][rows]
    if not known.any():
        return [], (
            f"case {case} cannot be drawn: the source gives no coordinates for its "
            f"{len(rows):,} patches"
        )
    slides = slide_numbers(store)[rows]
    files: list[Path] = []
    for slide in np.unique(slides[known]):
        own = rows[slides == slide]
        name = store.index["slide"][int(own[0])]
        stem = case if name in ("", case) else f"{case}-{name}"
        safe = re.sub(r"[^\w.-]+", "_", stem)[:120]
        path = folder / f"mosaic-{safe}.png"
        if path in files:
            path = folder / f"mosaic-{safe}-{len(files)}.png"
        files.append(pictures.truth_map(store, own, path))
    missing = int((~known).sum())
    return files, f"{missing:,} patches of case {case} have no coordinates" if missing else ""


def show_store(store: PatchStore, *more: tuple[str, object]) -> None:
    """Two tables: what is known of a store, with ``more`` rows before its digest; its classes."""
    from eosin.data.overview import edge_patches
    from eosin.data.positive import positive_sentence
    from eosin.sources.layouts import plainly

    info = store.info
    height, width = store.patch_size
    changed = "resized" if store.fit == "resize" else "padded"
    rows: list[tuple[str, object]] = [
        ("patches", f"{len(store):,} of {width}x{height} px"),
        ("layout", plainly(info.get("layout", "unknown"))),
        ("resolution", "unknown" if store.mpp is None else f"{store.mpp:g} micrometers a pixel"),
        ("cases", f"{info.get('cases', 0):,}{'' if store.cases_known else ' (not known for all)'}"),
        ("nested copies skipped", f"{info.get('nested_copies', 0):,}"),
        (f"edge patches ({changed})", f"{edge_patches(store):,}"),
        ("repeated pixels", f"{info.get('duplicates', 0):,}"),
        ("same pixels, two labels", f"{(info.get('conflicts') or {}).get('count', 0):,}"),
        ("rejects", f"{info.get('rejects_count', 0):,}"),
    ]
    reasons = info.get("reject_reasons") or {}
    rows += [(f"  {plainly(reason)}", f"{number:,}") for reason, number in reasons.items()]
    more_counts = {
        "nested_differing": "same name, other pixels (kept)",
        "ignored": "other files ignored",
        "excluded": "left out by --include",
    }
    rows += [(text, f"{info[key]:,}") for key, text in more_counts.items() if info.get(key)]
    if store.made_up:
        rows.insert(0, ("origin", "made up: synthetic patches"))
    output.table(str(store.path), ["what", "value"], [*rows, *more, ("digest", store.digest)])
    _show_classes(store)
    output.say(plainly(positive_sentence(store.classes, store.positive_by), 600))


def _show_classes(store: PatchStore) -> None:
    import numpy as np

    from eosin.sources.layouts import plainly

    counts = np.bincount(store.labels, minlength=len(store.classes))
    with_case = store.cases != ""
    rows = []
    for label, name in enumerate(store.classes[:_SHOWN_CLASSES]):
        cases = len(np.unique(store.cases[(store.labels == label) & with_case]))
        share = f"{100 * counts[label] / len(store):.1f}" if len(store) else "-"
        rows.append([plainly(name, 60), f"{counts[label]:,}", share, f"{cases:,}"])
    columns = ["class", "patches", "%", "cases with it"]
    output.table("classes", columns, rows, right=columns[1:])
    if len(store.classes) > _SHOWN_CLASSES:
        output.say(f"{len(store.classes) - _SHOWN_CLASSES} further classes: see --json")


def _show_cases(store: PatchStore, counts: list[CaseCounts], everything: bool) -> None:
    from eosin.data.overview import quantiles
    from eosin.sources.layouts import plainly

    if not counts:
        output.say("cases are unknown: no split of this store can guarantee disjoint cases")
        return
    two = len(store.classes) == 2
    classes = [plainly(name, 30) for name in store.classes[:10]]
    share = f"{classes[-1]} %" if two else "most common class %"
    ordered = sorted(counts, key=lambda count: (-count.share, count.case))
    rows = []
    for count in ordered:
        numbers = [f"{number:,}" for number in (count.patches, *count.counts[:10])]
        rows.append([plainly(count.case, 40), *numbers, f"{100 * count.share:.1f}"])
    if not everything and len(rows) > 2 * _ENDS + 4:
        middle = [f"... {len(rows) - 2 * _ENDS:,} more", *[""] * (len(rows[0]) - 1)]
        rows = [*rows[:_ENDS], middle, *rows[-_ENDS:]]
    columns = ["case", "patches", *classes, share]
    output.table(f"cases by {share}", columns, rows, right=columns[1:])
    if len(counts) > 1:
        summary = [
            ["patches", *(f"{value:,.0f}" for value in quantiles([c.patches for c in counts]))],
            [share, *(f"{100 * value:.1f}" for value in quantiles([c.share for c in counts]))],
        ]
        names = ["lowest", "5 %", "25 %", "median", "75 %", "95 %", "highest"]
        output.table(f"over {len(counts):,} cases", ["", *names], summary, right=names)
