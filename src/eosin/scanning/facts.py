"""NAME.json: what was scanned, with which model and settings, and the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from eosin import __version__
from eosin.records.scan import (
    Areas,
    DecisionFacts,
    FrameFacts,
    GridFacts,
    ScanFacts,
    SlideFacts,
    TissueFacts,
    WrittenFile,
)
from eosin.scanning.agreement import agreement
from eosin.scanning.cells import positive
from eosin.scanning.ometiff import Raster
from eosin.scanning.scan import Scan
from eosin.slides.tissue import NAMES

#: From this share of the patches out of scope on, a slide is unlike the training data. The limit
#: of the check itself keeps about 99 % of validation patches inside.
UNLIKE = 0.2


def facts(
    scan: Scan, name: str, areas: Areas, planned: Raster, files: Mapping[str, WrittenFile]
) -> ScanFacts:
    """The record of a scan. planned: the heatmap's pixels; files: the others, by name."""
    return ScanFacts(
        name=name,
        slide=_slide(scan),
        frame=FrameFacts(geojson_minus_px=(scan.slide.bounds.x, scan.slide.bounds.y)),
        grid=_grid(scan),
        decision=_decision(scan),
        tissue=_tissue(scan),
        areas=areas,
        agreement=agreement(scan),
        heatmap=planned.words(),
        files=dict(files),
        settings=dict(scan.settings),
        notes=tuple(notes(scan, areas)),
        made_with={"eosin": __version__, "reader": scan.slide.reader},
    )


def text(record: ScanFacts) -> str:
    """The record as JSON text, with every key."""
    plain = record.model_dump(mode="json", by_alias=True)
    return json.dumps(plain, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def notes(scan: Scan, areas: Areas) -> list[str]:
    """What a reader of the figures should know, a sentence each."""
    marks = scan.settings.get("marks", ())
    found = [*scan.slide.info.notes, *(str(mark) for mark in marks)]  # type: ignore[attr-defined]
    if not areas.patches:
        found.append("No patch was scanned: no tissue was found on the slide.")
    scale = scan.slide.scale
    if scale is None:
        found.append("The slide has no scale, so no area is known; shares are.")
    elif scale.anisotropic:
        found.append(
            f"A pixel is {scale.x_um:g} µm wide and {scale.y_um:g} µm tall; every file has both."
        )
    grid = scan.grid
    if any(step < field for step, field in zip(grid.step_px, grid.field_px, strict=True)):
        found.append(
            "Patches overlap: areas, regions and heatmap take of each the middle, as large as a "
            "step, so that no place counts twice."
        )
    outside = areas.out_of_scope_share.value
    if outside is not None and outside >= UNLIKE:
        found.append(
            f"{100 * outside:.0f} % of the patches are out of scope: the slide may be stained or "
            "scanned unlike the training data, and the answers for the rest are doubtful too."
        )
    return found


def unlike_training(areas: Areas) -> bool:
    """Whether a slide's out-of-scope share says that it is unlike the training data."""
    return (areas.out_of_scope_share.value or 0.0) >= UNLIKE


def _slide(scan: Scan) -> SlideFacts:
    slide, info = scan.slide, scan.slide.info
    return SlideFacts(
        # A byte that is no UTF-8 is half of a pair in Python, which JSON does not have.
        file=slide.path.name.encode("utf-8", "replace").decode(),
        reader=slide.reader,
        format=info.format,
        compression=info.compression,
        width_px=slide.width_px,
        height_px=slide.height_px,
        mpp=None if slide.scale is None else (slide.scale.x_um, slide.scale.y_um),
        mpp_source="" if slide.scale is None else slide.scale.source,
        bounds_px=(*slide.bounds,),
        objective=info.objective,
        icc=info.icc,
    )


def _grid(scan: Scan) -> GridFacts:
    grid, scale = scan.grid, scan.slide.scale
    x, y = (float(side) for side in grid.step_px)
    return GridFacts(
        origin_px=grid.origin_px,
        step_px=(x, y),
        field_px=(float(grid.field_px[0]), float(grid.field_px[1])),
        step_um=None if scale is None else (x * scale.x_um, y * scale.y_um),
        columns=grid.columns,
        rows=grid.rows,
        patches=len(grid),
        patch_px=grid.patch_px,
        mpp=grid.mpp,
    )


def _decision(scan: Scan) -> DecisionFacts:
    rule, one = scan.decision, positive(scan)
    words = rule.point.words()
    if rule.scope_limit is not None:
        words += f", out of scope from a distance of {rule.scope_limit:.4g} on"
    return DecisionFacts(
        classes=rule.classes,
        positive=None if one is None else rule.classes[one],
        point=rule.point.name,
        threshold=rule.point.threshold,
        words=words,
        scope_limit=rule.scope_limit,
    )


def _tissue(scan: Scan) -> TissueFacts:
    labels = scan.tissue.labels
    counts = np.bincount(labels.ravel(), minlength=len(NAMES))[: len(NAMES)]
    shares = {
        name: int(count) / labels.size for name, count in zip(NAMES, counts, strict=True) if count
    }
    return TissueFacts(source=scan.tissue.source, shares=shares)
