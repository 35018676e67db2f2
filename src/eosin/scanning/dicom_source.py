"""The DICOM series that a slide was read from: its instances, and where its pixels lie in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin import __version__
from eosin.errors import SlideError
from eosin.scanning.scan import Scan
from eosin.slides.series import series_of

#: What DICOM wants in every file and allows to be empty.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_SEXES = ("M", "F", "O")
#: Scheme of codes that only eosin knows: classes of a model, shares of patches.
SCHEME = "99EOSIN"


@dataclass(frozen=True)
class Source:
    """The volume images of a series, the one of the slide's size first, without pixels."""

    images: tuple[Any, ...]
    #: Center of the first pixel of the total pixel matrix: x, y, z in mm on the glass.
    origin_mm: tuple[float, float, float]
    #: Directions of the rows (x) and the columns (y) of the matrix on the glass.
    orientation: tuple[float, ...]
    #: Size of a pixel in mm, along x and y.
    pixel_mm: tuple[float, float]
    #: Attributes that the slide does not have, or with a value that DICOM does not know.
    lacking: tuple[str, ...]
    #: Whether the scan took another scale (--mpp) than the DICOM has.
    other_scale: bool

    @property
    def first(self) -> Any:
        """The image that has the slide's size."""
        return self.images[0]

    def series(self, what: str, further: int) -> dict[str, Any]:
        """A new series of the study with one file, after that of the slide, and who made it.

        what: the file in a word; further: how far its number is from the slide's.
        """
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        return {
            "series_instance_uid": generate_uid(), "sop_instance_uid": generate_uid(),
            "series_number": max(0, int(self.first.get("SeriesNumber") or 0)) + further,
            "instance_number": 1, "series_description": f"eosin scan: {what}",
            "manufacturer": "eosin", "manufacturer_model_name": "eosin",
            # A program has no serial number, and DICOM wants one.
            "software_versions": __version__, "device_serial_number": "none",
            "transfer_syntax_uid": ExplicitVRLittleEndian,
            # Whatever the names of patients and classes need.
            "specific_character_set": "ISO_IR 192",
        }  # fmt: skip

    def millimeters(self, corners: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Places on the glass: float64 [n, 3] in mm, x, y and z of the frame of reference.

        corners: [n, 2] in level-0 pixels, (0, 0) the upper left corner of the first pixel.
        """
        along_x, along_y = np.reshape(self.orientation, (2, 3))
        # DICOM's origin is the center of the first pixel.
        places = np.asarray(corners, np.float64).reshape(-1, 2) - 0.5
        x, y = (places * self.pixel_mm).T
        found = self.origin_mm + x[:, None] * along_x + y[:, None] * along_y
        return np.asarray(found, np.float64)

    def notes(self) -> list[str]:
        """What a reader of the DICOM files should know, a sentence each."""
        found = []
        if self.lacking:
            found.append(
                f"The DICOM of the slide has no (valid) {', '.join(self.lacking)}; the DICOM files "
                "of the scan leave it empty."
            )
        if self.other_scale:
            found.append(
                "Places in the DICOM files of the scan are in the slide's own frame of reference, "
                "with its PixelSpacing; areas are by the scale that was given."
            )
        return found


def source_of(scan: Scan) -> Source:
    """The series of a scan's slide.

    Raises SlideError where its DICOM does not tell where the slide's pixels lie.
    """
    import pydicom

    slide = scan.slide
    size = (slide.width_px, slide.height_px)
    read = [pydicom.dcmread(path, stop_before_pixels=True) for path in series_of(slide.path)]
    volumes = [data for data in read if "VOLUME" in data.get("ImageType", ())]
    images = sorted(volumes, key=lambda data: (_size(data) != size, -_size(data)[0]))
    if not images or _size(images[0]) != size:
        raise SlideError(f"no image of the series has the slide's {size[0]} x {size[1]} pixels")
    first = images[0]
    origin = _first(first, "TotalPixelMatrixOriginSequence")
    orientation: Any = first.get("ImageOrientationSlide")
    measures: Any = _first(_first(first, "SharedFunctionalGroupsSequence"), "PixelMeasuresSequence")
    spacing: Any = None if measures is None else measures.get("PixelSpacing")
    for found, what in (
        (origin, "TotalPixelMatrixOriginSequence"), (orientation, "ImageOrientationSlide"),
        (spacing, "PixelSpacing"), (first.get("FrameOfReferenceUID"), "FrameOfReferenceUID"),
    ):  # fmt: skip
        if not found:
            raise SlideError(f"the DICOM of the slide has no {what}, so places are not known")
    # Of rows, then of columns.
    tall, wide = (float(each) for each in spacing)
    directions = np.reshape(np.asarray(orientation, np.float64), (2, 3))
    if not np.allclose(directions @ directions.T, np.eye(2), atol=1e-3) or min(tall, wide) <= 0:
        raise SlideError("the DICOM of the slide has directions or a spacing that cannot be true")
    scale = slide.scale
    return Source(
        images=tuple(images),
        origin_mm=(
            float(origin.XOffsetInSlideCoordinateSystem),
            float(origin.YOffsetInSlideCoordinateSystem),
            float(origin.get("ZOffsetInSlideCoordinateSystem") or 0.0),
        ),
        orientation=tuple(float(each) for each in orientation),
        pixel_mm=(wide, tall),
        lacking=tuple(_emptied(images)),
        other_scale=scale is not None
        and not np.allclose((scale.x_um, scale.y_um), (1000 * wide, 1000 * tall), rtol=1e-6),
    )


def _size(data: Any) -> tuple[int, int]:
    return int(data.get("TotalPixelMatrixColumns", 0)), int(data.get("TotalPixelMatrixRows", 0))


def _first(data: Any, name: str) -> Any:
    """The first item of a sequence; None where there is none."""
    found = None if data is None else data.get(name)
    return found[0] if found else None


def _emptied(images: Sequence[Any]) -> list[str]:
    """Give images what DICOM wants and they do not have, empty; returns the names of these."""
    lacking = [name for name in _MAY_BE_EMPTY if not images[0].get(name)]
    lacking += [name for name in _MAY_BE_EMPTY if name not in lacking and _odd(images[0][name])]
    for data in images:
        for name in lacking:
            setattr(data, name, None)
    return lacking


def _odd(element: Any) -> bool:
    """Whether DICOM does not know a value: a sex, a date, a time."""
    from pydicom.valuerep import DA, TM

    kind = {"DA": DA, "TM": TM}.get(element.VR)
    if kind is None:
        return element.keyword == "PatientSex" and element.value not in _SEXES
    try:
        kind(element.value)
    except ValueError:
        return True
    return False
