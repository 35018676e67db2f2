"""Areas: how much of a slide is tissue, positive, referred and out of scope."""

from __future__ import annotations

import numpy as np

from eosin.records.points import OUTSIDE, REFER
from eosin.records.scan import Amount, Areas, ClassArea
from eosin.scanning.cells import foci, positive, sizes
from eosin.scanning.scan import Ints, Scan
from eosin.slides.tissue import TISSUE

NO_SCALE = "the slide has no scale: micrometers a pixel are unknown"
NO_BAND = "the operating point has no refer band: nothing is referred"
NO_SCOPE = "the model has no out-of-scope check; eosin evaluate makes one"
NO_PATCH = "no patch was scanned"
MORE_CLASSES = "the model has more than two classes: see classes"


def areas(scan: Scan) -> Areas:
    """The figures of a slide: areas in mm2 where its scale is known, and shares of the patches.

    A share is of the area of all patches, the referred and those out of scope included, so that
    classes, referred and out of scope add up to 1.
    """
    decided, pixels = scan.decided, sizes(scan)
    classes = tuple(
        _of_class(scan, number, decided == number, pixels)
        for number in range(len(scan.decision.classes))
    )
    one = positive(scan)
    none = Amount(value=None, note=MORE_CLASSES)
    return Areas(
        patches=len(decided),
        tissue_mm2=_tissue(scan),
        scanned_mm2=mm2(scan, int(pixels.sum())),
        positive_mm2=none if one is None else classes[one].area_mm2,
        positive_share=none if one is None else classes[one].share,
        largest_focus_mm2=none if one is None else classes[one].largest_focus_mm2,
        refer_share=_share(pixels, decided == REFER)
        if scan.decision.point.band
        else Amount(value=None, note=NO_BAND),
        out_of_scope_share=_share(pixels, decided == OUTSIDE)
        if scan.decision.scope_limit is not None and scan.distances is not None
        else Amount(value=None, note=NO_SCOPE),
        classes=classes,
    )


def mm2(scan: Scan, pixels: float) -> Amount:
    """The area of level-0 pixels."""
    scale = scan.slide.scale
    if scale is None:
        return Amount(value=None, note=NO_SCALE)
    return Amount(value=pixels * scale.x_um * scale.y_um / 1e6)


def _tissue(scan: Scan) -> Amount:
    labels = scan.tissue.labels
    share = float((labels == TISSUE).mean()) if labels.size else 0.0
    return mm2(scan, share * scan.slide.width_px * scan.slide.height_px)


def _share(pixels: Ints, chosen: np.ndarray) -> Amount:
    total = int(pixels.sum())
    if not total:
        return Amount(value=None, note=NO_PATCH)
    return Amount(value=int(pixels[chosen].sum()) / total)


def _of_class(scan: Scan, number: int, chosen: np.ndarray, pixels: Ints) -> ClassArea:
    numbers = foci(scan.grid, chosen)
    each = np.bincount(numbers, weights=pixels, minlength=1)[1:]
    return ClassArea.model_validate(
        {
            "class": scan.decision.classes[number],
            "patches": int(chosen.sum()),
            "share": _share(pixels, chosen),
            "area_mm2": mm2(scan, int(pixels[chosen].sum())),
            "foci": len(each),
            "largest_focus_mm2": mm2(scan, float(each.max(initial=0.0))),
        }
    )
