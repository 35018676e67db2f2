"""DICOM slides: OpenSlide first, wsidicom for what it refuses; one file or the folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from eosin.errors import SlideError
from eosin.slides.opening import icc_digest, open_slide

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


@pytest.fixture(scope="module")
def write_series(picture: Any, reduced_by: Any) -> Any:
    """A function that writes a slide of 700 x 500 pixels into a folder; factors of its levels."""

    def write(
        folder: Path, syntax: Any = ExplicitVRLittleEndian, factors: tuple[int, ...] = (1, 2),
        spacing: tuple[float, float] = (0.0010, 0.0005),
    ) -> Path:  # fmt: skip
        folder.mkdir(exist_ok=True)
        names = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PyramidUID")
        ids = {name: generate_uid() for name in names}
        for number, factor in enumerate(factors):
            pixels = picture(700, 500) if factor == 1 else reduced_by(picture(700, 500), factor)
            sides = (spacing[0] * factor, spacing[1] * factor)
            file = folder / f"{ids['SeriesInstanceUID'][-6:]}-{number}.dcm"
            write_level(file, pixels, sides, ids, syntax, factor == 1)
        return folder

    return write


@pytest.mark.parametrize("reader", ["openslide", "wsidicom"])
@pytest.mark.parametrize("what", ["folder", "first", "last"])
def test_one_frame_from_a_file_or_the_folder(
    tmp_path: Path, picture: Any, reduced_by: Any, write_series: Any, reader: str, what: str
) -> None:
    folder = write_series(tmp_path / "d", factors=(1, 2))
    files = sorted(folder.iterdir())
    path = {"folder": folder, "first": files[0], "last": files[-1]}[what]
    slide = open_slide(path, reader=reader)
    assert [level.width_px for level in slide.levels] == [700, 350]
    base = picture(700, 500)
    np.testing.assert_array_equal(slide.region(0, 0, 0, 700, 500)[0], base)
    np.testing.assert_array_equal(slide.region(1, 101, 77, 60, 90)[0],
                                  reduced_by(base)[77:167, 101:161])  # fmt: skip
    pixels, known = slide.region(0, -5, 495, 20, 20)
    np.testing.assert_array_equal(pixels[:5, 5:], base[495:, :15])
    assert known.sum() == 5 * 15
    assert (pixels[~known] == 255).all()
    # PixelSpacing is of rows, then of columns; the origin on the glass means nothing.
    assert slide.scale is not None
    assert slide.scale[:2] == (0.5, 1.0)
    assert slide.scale.anisotropic
    assert any("not square" in note for note in slide.info.notes)
    assert slide.info.objective == 20
    assert slide.info.icc == icc_digest(ICC)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless], ids=["JPEG-LS", "RLE"])
def test_wsidicom_reads_what_openslide_refuses(
    tmp_path: Path, picture: Any, write_series: Any, syntax: Any
) -> None:
    folder = write_series(tmp_path / "d", syntax, spacing=(0.0005, 0.0005))
    with pytest.raises(SlideError, match="openslide: "):
        open_slide(folder, reader="openslide")
    slide = open_slide(folder)
    assert slide.reader.startswith("wsidicom")
    np.testing.assert_array_equal(slide.region(0, 0, 0, 700, 500)[0], picture(700, 500))
    assert slide.info.notes == ()


def test_levels_of_1_4_16(tmp_path: Path, picture: Any, reduced_by: Any, write_series: Any) -> None:
    """wsidicom's level is the exponent of 2; a missing one would be made by scaling."""
    slide = open_slide(write_series(tmp_path / "d", factors=(1, 4, 16)), reader="wsidicom")
    assert [level.width_px for level in slide.levels] == [700, 175, 43]
    for number, factor in enumerate((1, 4, 16)):
        level = slide.levels[number]
        pixels, _ = slide.region(number, 0, 0, level.width_px, level.height_px)
        expected = picture(700, 500) if factor == 1 else reduced_by(picture(700, 500), factor)
        np.testing.assert_array_equal(pixels, expected)


def test_openslide_opens_levels_that_are_no_power_of_two(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "d", factors=(1, 3))
    slide = open_slide(folder)
    assert slide.reader.startswith("OpenSlide")
    assert [level.width_px for level in slide.levels] == [700, 233]
    with pytest.raises(SlideError):
        open_slide(folder, reader="wsidicom")


def test_jpeg_frames_are_the_same_in_both(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "d", JPEGBaseline8Bit)
    regions = [
        open_slide(folder, reader=reader).region(0, 0, 0, 700, 500)[0]
        for reader in ("openslide", "wsidicom")
    ]
    np.testing.assert_array_equal(*regions)


def test_a_folder_of_two_slides(tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path / "d")
    first = next((tmp_path / "d").iterdir())
    write_series(tmp_path / "d")
    with pytest.raises(SlideError, match="the folder has 2 slides; name a file of one of them"):
        open_slide(tmp_path / "d")
    assert len(open_slide(first, reader="wsidicom").levels) == 2


def test_a_folder_without_a_slide(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(SlideError, match="no DICOM slide is there"):
        open_slide(tmp_path)


def test_dicom_that_is_no_slide_or_is_cut(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "d", JPEGLSLossless)
    files = sorted(folder.iterdir())
    data = pydicom.dcmread(files[0])
    data.Modality = "CT"
    data.save_as(tmp_path / "ct.dcm")
    with pytest.raises(SlideError, match="no slide"):
        open_slide(tmp_path / "ct.dcm")
    shutil.copy(files[0], tmp_path / "whole.dcm")
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideError, match="wsidicom"):
        open_slide(folder)


def test_openslide_is_not_asked_for_frames_outside_of_the_file(
    tmp_path: Path, write_series: Any
) -> None:
    """It follows a damaged table of frames anywhere, and the process ends."""
    folder = write_series(tmp_path / "d", JPEGBaseline8Bit, factors=(1,))
    file = next(folder.iterdir())
    data = bytearray(file.read_bytes())
    at = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 20
    data[at : at + 4] = (0x7F0000).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(SlideError, match="a table of frames that leads out of the file"):
        open_slide(file, reader="openslide")
