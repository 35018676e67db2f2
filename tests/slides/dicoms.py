"""DICOM slides as tests write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

TILE = 128
#: Its own size first, which is odd, so that DICOM fills it up.
ICC = (119).to_bytes(4, "big") + b"made up profile" + bytes(100)


def items(**values: Any) -> Dataset:
    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return data


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    return [items(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def write_level(
    path: Path, pixels: Any, spacing: tuple[float, float], ids: dict[str, str], syntax: Any,
    first: bool = True,
) -> None:  # fmt: skip
    """A level of a slide as DICOM requires it. spacing: of rows and of columns, in mm."""
    high, wide = pixels.shape[:2]
    edges = ((0, -high % TILE), (0, -wide % TILE), (0, 0))
    filled = np.pad(pixels, edges, constant_values=255)
    frames = [
        np.ascontiguousarray(filled[y : y + TILE, x : x + TILE])
        for y in range(0, filled.shape[0], TILE)
        for x in range(0, filled.shape[1], TILE)
    ]
    kind = ["ORIGINAL" if first else "DERIVED", "PRIMARY", "VOLUME", "NONE"]
    data = items(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6", SOPInstanceUID=generate_uid(), Modality="SM",
        PatientName="made^up", PatientID="p", PatientBirthDate="", PatientSex="", StudyID="1",
        StudyDate="20260101", StudyTime="000000", AccessionNumber="", ReferringPhysicianName="",
        SeriesNumber=1, InstanceNumber=1, Manufacturer="m", ManufacturerModelName="m",
        DeviceSerialNumber="1", SoftwareVersions="1", ContentDate="20260101", ContentTime="000000",
        AcquisitionDateTime="20260101000000", ImageType=kind, ContainerIdentifier="c",
        IssuerOfTheContainerIdentifierSequence=[], AcquisitionContextSequence=[],
        ContainerTypeCodeSequence=code("433466003", "SCT", "Microscope slide"),
        SpecimenDescriptionSequence=[items(
            SpecimenIdentifier="s", SpecimenUID=generate_uid(), SpecimenPreparationSequence=[],
            IssuerOfTheSpecimenIdentifierSequence=[],
        )],
        ImagedVolumeWidth=wide * spacing[1], ImagedVolumeHeight=high * spacing[0],
        ImagedVolumeDepth=0.001, TotalPixelMatrixColumns=wide, TotalPixelMatrixRows=high,
        TotalPixelMatrixFocalPlanes=1, ImageOrientationSlide=[0, -1, 0, -1, 0, 0],
        TotalPixelMatrixOriginSequence=[items(
            XOffsetInSlideCoordinateSystem=20.0, YOffsetInSlideCoordinateSystem=40.0,
        )],
        SpecimenLabelInImage="NO", BurnedInAnnotation="NO", FocusMethod="AUTO",
        ExtendedDepthOfField="NO", VolumetricProperties="VOLUME", SamplesPerPixel=3,
        PhotometricInterpretation="RGB", PlanarConfiguration=0, NumberOfFrames=len(frames),
        Rows=TILE, Columns=TILE, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0,
        LossyImageCompression="00", NumberOfOpticalPaths=1, DimensionOrganizationType="TILED_FULL",
        OpticalPathSequence=[items(
            OpticalPathIdentifier="0", ObjectiveLensPower="20", ICCProfile=ICC,
            IlluminationTypeCodeSequence=code("111744", "DCM", "Brightfield illumination"),
        )],
        DimensionOrganizationSequence=[items(DimensionOrganizationUID=generate_uid())],
        SharedFunctionalGroupsSequence=[items(
            PixelMeasuresSequence=[items(PixelSpacing=list(spacing), SliceThickness=0.001)],
            WholeSlideMicroscopyImageFrameTypeSequence=[items(FrameType=kind)],
            OpticalPathIdentificationSequence=[items(OpticalPathIdentifier="0")],
        )],
        **ids,
    )  # fmt: skip
    data.file_meta = FileMetaDataset()
    for name, value in (
        ("MediaStorageSOPClassUID", data.SOPClassUID),
        ("MediaStorageSOPInstanceUID", data.SOPInstanceUID),
        ("TransferSyntaxUID", syntax),
        ("ImplementationClassUID", generate_uid()),
    ):
        setattr(data.file_meta, name, value)
    encode = {
        JPEGBaseline8Bit: lambda frame: imagecodecs.jpeg8_encode(
            frame, level=95, outcolorspace="rgb"
        ),
        JPEGLSLossless: imagecodecs.jpegls_encode,
    }.get(syntax)
    if encode is None:
        data.PixelData = b"".join(frame.tobytes() for frame in frames)
    else:
        data.PixelData = encapsulate([encode(frame) for frame in frames])
        data["PixelData"].is_undefined_length = True
    if syntax == RLELossless:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless)
    data.save_as(path, enforce_file_format=True)


def write_slide(
    folder: Path, levels: list[Any], spacing: tuple[float, float],
    syntax: Any = ExplicitVRLittleEndian,
) -> Path:  # fmt: skip
    """A slide of pictures, uint8 [h, w, 3], from the largest; returns its folder.

    spacing: of rows and of columns of the first, in mm.
    """
    folder.mkdir(exist_ok=True)
    names = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PyramidUID")
    ids = {name: generate_uid() for name in names}
    for number, pixels in enumerate(levels):
        factor = round(levels[0].shape[1] / pixels.shape[1])
        sides = (spacing[0] * factor, spacing[1] * factor)
        file = folder / f"{ids['SeriesInstanceUID'][-6:]}-{number}.dcm"
        write_level(file, pixels, sides, ids, syntax, number == 0)
    return folder
