"""NAME.heatmap.dcm and NAME.decisions.dcm: probabilities and decisions as DICOM images.

A Parametric Map of one channel and a Segmentation, because readers cannot tell apart the frames of
a map with two channels that lie at one place (highdicom 0.28 refuses to put such a map together).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin import __version__
from eosin.records.model import INTENDED_USE
from eosin.records.points import OUTSIDE, REFER
from eosin.scanning.cells import positive, raster, shown
from eosin.scanning.dicom_source import SCHEME, Source
from eosin.scanning.geojson import classification
from eosin.scanning.ometiff import Raster, plan
from eosin.scanning.scan import Scan

#: Stored value of a probability of 1.
ONE = 65535
TILE_PX = 256
#: Viewers before 2025-08 show a map of this label only (dicom-microscopy-viewer, request 194).
LABEL = "HEATMAP"


def heatmap(scan: Scan, source: Source) -> Any:
    """The Parametric Map of a scan, not yet written.

    uint16 in tiles, 0 to 65535 for a probability of 0 to 1: that of the positive class, or of the
    likeliest one where there are more than two. 0 where there is no patch.
    """
    import highdicom
    from pydicom.sr.codedict import codes

    planned, one = plan(scan), positive(scan)
    of = "the likeliest class" if one is None else scan.decision.classes[one]
    known = np.nan_to_num(np.asarray(shown(scan), np.float64), nan=0.0)
    values = np.rint(np.clip(known, 0, 1) * ONE).astype(np.int64)
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label="probability",
        lut_explanation=f"Probability of {of}"[:64],
        unit=codes.UCUM.NoUnits,
        value_range=(0, ONE),
        slope=1 / ONE,
        intercept=0.0,
        quantity_definition=codes.DCM.Probability,
    )
    return highdicom.pm.ParametricMap(
        pixel_array=_pixels(scan, planned, values).astype(np.uint16),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            highdicom.VOILUTTransformation(window_center=ONE / 2, window_width=ONE)
        ],
        content_label=LABEL,
        **_placed(source, planned),
        **source.series("heatmap", 1),
    )


def decisions(scan: Scan, source: Source) -> Any:
    """The Segmentation of a scan, not yet written: a segment a class, referred, out of scope."""
    import highdicom
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    planned, count = plan(scan), len(scan.decision.classes)
    segments = [*range(count), REFER, OUTSIDE]
    decided = scan.decided
    values = np.zeros(len(decided), np.int64)
    described = []
    method = highdicom.AlgorithmIdentificationSequence(
        "eosin", codes.DCM.ArtificialIntelligence, __version__
    )
    for number, which in enumerate(segments, 1):
        values[decided == which] = number
        facts = classification(scan, which)
        code = {REFER: "referred", OUTSIDE: "out-of-scope"}.get(which, f"class-{which}")
        described.append(
            highdicom.seg.SegmentDescription(
                segment_number=number,
                segment_label=facts["name"][:64],
                segmented_property_category=CodedConcept("answer", SCHEME, "Answer of a model"),
                segmented_property_type=CodedConcept(code, SCHEME, facts["name"][:64]),
                algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=method,
                display_color=highdicom.color.CIELabColor.from_rgb(*facts["color"]),
            )
        )
    return highdicom.seg.Segmentation(
        pixel_array=_pixels(scan, planned, values).astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        content_label="DECISIONS",
        **_placed(source, planned),
        **source.series("decisions", 2),
    )


def _pixels(
    scan: Scan, planned: Raster, values: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:  # fmt: skip
    """One value a patch as a picture, 0 where there is none: [1, h, w]."""
    wide, tall = (float(side) for side in planned.pixel_px)
    x = (np.arange(planned.width, dtype=np.float64) + 0.5) * wide
    y = (np.arange(planned.height, dtype=np.float64) + 0.5) * tall
    return raster(scan.grid, values, 0, x, y)[None]


def _placed(source: Source, planned: Raster) -> dict[str, Any]:
    """Where the pixels of a picture lie, and of what it is."""
    import highdicom

    wide, tall = (float(side) for side in planned.pixel_px)
    frame = highdicom.CoordinateSystemNames.SLIDE
    # DICOM places the center of the first pixel.
    center = source.millimeters([(wide / 2, tall / 2)])[0]
    measures = source.first.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    return {
        "source_images": [source.first],
        "further_source_images": source.images[1:] or None,
        "content_description": INTENDED_USE[:64],
        "pixel_measures": highdicom.PixelMeasuresSequence(
            pixel_spacing=(tall * source.pixel_mm[1], wide * source.pixel_mm[0]),
            slice_thickness=measures.get("SliceThickness"),
        ),
        "plane_orientation": highdicom.PlaneOrientationSequence(frame, source.orientation),
        "plane_positions": [
            highdicom.PlanePositionSequence(frame, center, pixel_matrix_position=(1, 1))
        ],
        "tile_pixel_array": True,
        "tile_size": (min(TILE_PX, planned.height), min(TILE_PX, planned.width)),
    }
