"""NAME.areas.dcm: the areas of a slide as a DICOM Structured Report (TID 1500, measurements)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from eosin import __version__
from eosin.records.model import INTENDED_USE
from eosin.records.scan import Areas
from eosin.scanning.areas import mm2
from eosin.scanning.dicom_source import SCHEME, Source
from eosin.scanning.geojson import regions
from eosin.scanning.ids import id_of, key_of
from eosin.scanning.scan import Scan

if TYPE_CHECKING:
    from shapely.geometry import Polygon

#: The largest outlines are kept: highdicom 0.28 is slow on each.
MOST = 250
#: Figures of a slide, in mm2 or a share -> their codes and names in the report.
FIGURES = {
    "tissue_mm2": ("tissue", "Area of tissue"),
    "scanned_mm2": ("scanned", "Area of all patches"),
    "positive_mm2": ("positive", "Positive area"),
    "positive_share": ("positive-share", "Share of the patches' area that is positive"),
    "largest_focus_mm2": ("largest-focus", "Area of the largest focus"),
    "refer_share": ("refer-share", "Share of the patches' area that is referred"),
    "out_of_scope_share": ("scope-share", "Share of the patches' area that is out of scope"),
}
#: The same of a region.
REGION_FIGURES = {
    "Mean probability": ("mean-probability", "Mean probability of the region's patches"),
    "Highest probability": ("max-probability", "Highest probability of the region's patches"),
}


def report(scan: Scan, name: str, figures: Areas, source: Source) -> tuple[Any, list[str]]:
    """The report of a scan, not yet written, and notes, a sentence each.

    Figures of the slide, and each region of NAME.geojson as a polygon in mm of the slide's frame of
    reference. Such a polygon has no holes, so a region with holes, or of several pieces that touch
    in corners, is cut into parts; they share one tracking identifier, and their areas add up.
    """
    import highdicom.sr as sr
    from pydicom.sr.codedict import codes

    key = key_of(scan, name)
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of(id_of("", "eosin", __version__)), name="eosin", model_name=f"eosin {__version__}"
    )
    observer = sr.ObserverContext(codes.DCM.Device, device)
    method = sr.AlgorithmIdentification(
        name="eosin", version=__version__,
        parameters=[scan.decision.point.words(), INTENDED_USE],
    )  # fmt: skip
    outlines = sorted(_outlines(scan, name), key=lambda each: -each[1].area)
    groups = [_whole(scan, uid_of(id_of(key, "slide")), figures, source, method)]
    groups += [_part(scan, source, *each) for each in outlines[:MOST]]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
    )
    made = sr.Comprehensive3DSR(
        evidence=list(source.images),
        content=content,
        is_complete=len(outlines) <= MOST,
        **source.series("areas", 3),
    )
    if len(outlines) <= MOST:
        return made, []
    return made, [
        f"The DICOM report has the {MOST:,} largest of {len(outlines):,} outlines; {name}.geojson "
        "has all."
    ]


def uid_of(text: str) -> str:
    """The DICOM UID of a UUID.

    >>> uid_of("00000000-0000-0000-0000-00000000000a")
    '2.25.10'
    """
    return f"2.25.{uuid.UUID(text).int}"


def _outlines(scan: Scan, name: str) -> Iterator[tuple[dict[str, Any], Polygon]]:
    """Each region's facts with each of its parts, in level-0 pixels."""
    import shapely
    import shapely.geometry

    from_corner = np.array([scan.slide.bounds.x, scan.slide.bounds.y])
    for region in regions(scan, name):
        shape = shapely.geometry.shape(region["geometry"])
        for part in shapely.get_parts(shapely.transform(shape, from_corner.__add__)):
            for piece in without_holes(part):
                yield region, piece


def without_holes(polygon: Polygon) -> list[Polygon]:
    """A polygon cut through its holes, until no part has one.

    >>> from shapely.geometry import box
    >>> [part.area for part in without_holes(box(0, 0, 3, 3) - box(1, 1, 2, 2))]
    [4.0, 4.0]
    """
    import shapely

    if not polygon.interiors:
        return [polygon]
    x0, y0, x1, y1 = polygon.bounds
    middle = shapely.Polygon(polygon.interiors[0]).centroid.x
    halves = (shapely.box(x0, y0, middle, y1), shapely.box(middle, y0, x1, y1))
    parts = [part for half in halves for part in shapely.get_parts(polygon & half)]
    return [piece for part in parts if part.geom_type == "Polygon" for piece in without_holes(part)]


def _code(value: str, meaning: str) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(value, SCHEME, meaning[:64])


def _whole(scan: Scan, uid: str, figures: Areas, source: Source, method: Any) -> Any:
    """The figures of the slide that are known."""
    import highdicom.sr as sr
    from pydicom.sr.codedict import codes

    known = {key: getattr(figures, key).value for key in FIGURES}
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid, "whole slide"),
        algorithm_id=method,
        source_images=[
            sr.SourceImageForMeasurementGroup(source.first.SOPClassUID, source.first.SOPInstanceUID)
        ],
        measurements=[
            sr.Measurement(
                _code(*FIGURES[key]), round(value, 9),
                codes.UCUM.SquareMillimeter if key.endswith("mm2") else codes.UCUM.Ratio,
            )
            for key, value in known.items() if value is not None
        ] or None,
    )  # fmt: skip


def _part(scan: Scan, source: Source, region: dict[str, Any], shape: Polygon) -> Any:
    """A part of a region: its outline, its area, and the mean probability of the region."""
    import highdicom.sr as sr
    from pydicom.sr.codedict import codes

    facts = region["properties"]
    kind = facts["classification"]["name"]
    corners = np.asarray(shape.exterior.coords)
    area, measured = mm2(scan, shape.area).value, facts["measurements"]
    found = [] if area is None else [(codes.SCT.Area, area, codes.UCUM.SquareMillimeter)]
    found += [
        (_code(*REGION_FIGURES[name]), measured[name], codes.UCUM.NoUnits)
        for name in REGION_FIGURES
        if name in measured
    ]
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid_of(region["id"]), facts["name"]),
        referenced_region=sr.ImageRegion3D(
            sr.GraphicTypeValues3D.POLYGON,
            source.millimeters(corners),
            source.first.FrameOfReferenceUID,
        ),
        finding_type=_code(_class_code(scan, kind), kind),
        measurements=[sr.Measurement(name, round(value, 9), unit) for name, value, unit in found]
        or None,
    )


def _class_code(scan: Scan, kind: str) -> str:
    """The number of a class in the model, as a code: names can be longer than codes."""
    from eosin.scanning.geojson import class_name

    names = [class_name(each) for each in scan.decision.classes]
    return f"class-{names.index(kind)}"
