"""A scan of a DICOM slide as DICOM: values, places in mm, references, and what the slide lacks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest

from eosin.errors import DiskError
from eosin.folders import others
from eosin.scanning import dicom_report
from eosin.scanning.dicom_report import uid_of
from eosin.scanning.scan import Scan
from eosin.scanning.summary import found_in, write_summary
from eosin.scanning.writing import read_result, write
from eosin.slides.listing import slides_in
from eosin.slides.opening import open_slide
from eosin.slides.slide import Scale

sys.path.insert(0, str(Path(__file__).parents[1] / "slides"))
from dicoms import write_slide

#: Of rows and of columns, in mm: not square, so that a mix-up shows.
SPACING = (0.0010, 0.0005)
#: A ring with a hole, a cell that touches it in a corner, and one far away.
RING = [(3, 2), (4, 2), (5, 2), (3, 3), (5, 3), (3, 4), (4, 4), (5, 4)]
FAR = (9, 7)
ENDINGS = (".heatmap.dcm", ".decisions.dcm", ".areas.dcm")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A slide of 700 x 500 pixels with a level of half the size."""
    pixels = np.full((500, 700, 3), 200, np.uint8)
    return write_slide(tmp_path / "d", [pixels, pixels[::2, ::2]], SPACING)


@pytest.fixture
def of(make_scan: Callable[..., Scan]) -> Callable[..., Scan]:
    """A scan of the slide in a folder; options as make_scan has them."""

    def make(folder: Path, cells: Any = None, reader: str | None = None, **more: Any) -> Scan:
        if cells is None:
            cells = {(c, r): 0.1 for c in range(14) for r in range(10)}
            cells |= dict.fromkeys([*RING, FAR], 0.9)
        made = make_scan(cells, slide={"size": (700, 500)}, **{"step": 50} | more)
        return replace(made, slide=open_slide(folder, reader=reader))

    return make


def source_of(folder: Path) -> Any:
    """The slide's largest image, as pydicom reads it."""
    files = [pydicom.dcmread(path) for path in folder.iterdir()]
    return max(files, key=lambda data: data.TotalPixelMatrixColumns)


def change(folder: Path, edit: Callable[[Any], None]) -> None:
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        edit(data)
        data.save_as(path)


def written(scan: Scan, tmp_path: Path) -> Path:
    return write(scan, tmp_path / "out", "d")


def heatmap(out: Path) -> Any:
    return highdicom.pm.ParametricMap.from_file(out / "d.heatmap.dcm")


def groups(out: Path) -> Any:
    report = highdicom.sr.srread(out / "d.areas.dcm")
    return report.content.get_planar_roi_measurement_groups()


def measured(group: Any) -> dict[str, float]:
    return {each.name.value: each.value for each in group.get_measurements()}


def place_mm(data: Any, x: Any, y: Any) -> np.ndarray:
    """Where pixel indices of a DICOM image lie, by the standard (PS3.3 C.7.6.2.1.1): [n, 3].

    The origin is the center of the first pixel; spacing is of rows, then of columns.
    """
    origin = data.TotalPixelMatrixOriginSequence[0]
    start = [
        origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem,
        origin.get("ZOffsetInSlideCoordinateSystem", 0),
    ]  # fmt: skip
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    rows, columns = (float(each) for each in measures.PixelSpacing)
    to_right, down = np.reshape(np.asarray(data.ImageOrientationSlide, float), (2, 3))
    x, y = np.atleast_1d(x)[:, None], np.atleast_1d(y)[:, None]
    return np.asarray(start, float) + x * columns * to_right + y * rows * down


def test_the_files_are_written_recorded_and_owned(of: Any, folder: Path, tmp_path: Path) -> None:
    out = written(of(folder), tmp_path)
    facts = read_result(out).facts
    for ending in ENDINGS:
        path = out / f"d{ending}"
        assert facts.files[path.name].bytes == path.stat().st_size
        assert pydicom.dcmread(path).StudyInstanceUID
    assert others(out, "scan") == []
    page = write_summary(tmp_path / "out", *found_in(tmp_path / "out")).read_text()
    assert "DICOM heatmap" in page
    assert "d/d.areas.dcm" in page


def test_another_slide_has_none(make_scan: Any, tmp_path: Path) -> None:
    out = written(make_scan({(1, 1): 0.9}), tmp_path)
    assert not list(out.glob("*.dcm"))
    page = write_summary(tmp_path / "out", *found_in(tmp_path / "out")).read_text()
    assert "DICOM" not in page


def test_a_hot_cell_has_its_probability_and_its_millimeters(
    of: Any, folder: Path, tmp_path: Path
) -> None:
    out = written(of(folder), tmp_path)
    data, found = pydicom.dcmread(out / "d.heatmap.dcm"), heatmap(out)
    values = found.get_total_pixel_matrix(apply_real_world_transform=True)
    assert values.shape == (10, 14)
    for column, row in [*RING, FAR]:
        assert values[row, column] == pytest.approx(0.9, abs=1 / 65535)
    assert values[0, 0] == pytest.approx(0.1, abs=1 / 65535)
    # By hand: the cell spans pixels 450 to 500 and 350 to 400, so its middle is at 474.5, 374.5
    # when the center of the first pixel is 0. Rows of this slide run along -y, columns along -x.
    by_hand = [20 - 374.5 * 0.0010, 40 - 474.5 * 0.0005, 0]
    np.testing.assert_allclose(place_mm(data, *FAR)[0], by_hand, atol=1e-9)
    # And highdicom finds the same pixel of the slide.
    transform = highdicom.spatial.PixelToPixelTransformer.for_images(
        found, source_of(folder), round_output=False,
        for_total_pixel_matrix_from=True, for_total_pixel_matrix_to=True,
    )  # fmt: skip
    np.testing.assert_allclose(transform(np.array([FAR])), [[474.5, 374.5]], atol=1e-6)


def test_stored_values_map_linearly_and_glass_is_0(of: Any, folder: Path, tmp_path: Path) -> None:
    out = written(of(folder, {(0, 0): 1.0, (1, 0): 0.5, (2, 0): 0.0}), tmp_path)
    data = pydicom.dcmread(out / "d.heatmap.dcm")
    assert data.pixel_array.ravel()[:3].tolist() == [65535, 32768, 0]
    mapping = data.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    slope, intercept = mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept
    assert 65535 * slope + intercept == pytest.approx(1.0)
    assert mapping.LUTExplanation == "Probability of tumor"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeMeaning == "Probability"
    # What has no patch has no segment either, so a 0 there is not taken for an answer: tumor,
    # referred, benign, nothing.
    decided = highdicom.seg.segread(out / "d.decisions.dcm")
    pixels = decided.get_total_pixel_matrix(combine_segments=True)
    assert pixels[0, :4].tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize(
    ("step", "field"), [(Fraction(75, 2), None), (Fraction(30), 60), (Fraction(60), 40)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_every_patch_lies_where_it_was_read(
    of: Any, folder: Path, tmp_path: Path, step: Fraction, field: Any, turned: bool
) -> None:
    """Odd steps, overlap and gaps; also for another orientation and an origin in z."""

    def turn(data: Any) -> None:
        data.ImageOrientationSlide = [0.6, 0.8, 0, -0.8, 0.6, 0]
        data.TotalPixelMatrixOriginSequence[0].ZOffsetInSlideCoordinateSystem = 0.5

    if turned:
        change(folder, turn)
    rng = np.random.default_rng(0)
    cells = {(c, r): float(rng.random()) for c in range(10) for r in range(7)}
    scan = of(folder, cells, step=step, **({} if field is None else {"field": field}))
    out = written(scan, tmp_path)
    data = pydicom.dcmread(out / "d.heatmap.dcm")
    values = heatmap(out).get_total_pixel_matrix(apply_real_world_transform=True)
    x, y = (
        (numbers + 0.5) * float(step) + (float(scan.grid.field_px[0]) - float(step)) / 2
        for numbers in (scan.grid.column, scan.grid.row)
    )
    # From pixels of the slide to mm by its own attributes, and from mm to pixels of the map by its.
    places = place_mm(source_of(folder), x - 0.5, y - 0.5)
    start, right, down = (place_mm(data, *at)[0] for at in ((0, 0), (1, 0), (0, 1)))
    steps = np.stack([right - start, down - start], axis=1)
    at, *_ = np.linalg.lstsq(steps, (places - start).T, rcond=None)
    np.testing.assert_allclose(steps @ at, (places - start).T, atol=1e-9)  # in one plane
    column, row = np.rint(at).astype(int)
    inside = (row < values.shape[0]) & (column < values.shape[1])
    assert inside.all()
    np.testing.assert_allclose(values[row, column], scan.probabilities[:, 1], atol=1 / 65535)
    for name in ("FrameOfReferenceUID", "ImageOrientationSlide"):
        assert data[name].value == source_of(folder)[name].value
    other = pydicom.dcmread(out / "d.decisions.dcm")
    np.testing.assert_array_equal(place_mm(other, 3, 2), place_mm(data, 3, 2))


def test_tiles_of_a_large_map_are_put_together_again(of: Any, folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = {(c, r): float(rng.random()) / 3 for c in range(350) for r in range(4)}
    scan = of(folder, cells, step=2)
    out = written(scan, tmp_path)
    assert pydicom.dcmread(out / "d.heatmap.dcm").NumberOfFrames == 2
    values = heatmap(out).get_total_pixel_matrix(apply_real_world_transform=True)
    np.testing.assert_allclose(values[:4].ravel(), scan.probabilities[:, 1], atol=1 / 65535)


def test_decisions_are_segments_with_names_and_colors(
    of: Any, folder: Path, tmp_path: Path
) -> None:
    cells = {(0, 0): 0.1, (1, 0): 0.9, (2, 0): 0.5, (3, 0): 0.9}
    scan = of(folder, cells, distances={(3, 0): 9.0})
    found = highdicom.seg.segread(written(scan, tmp_path) / "d.decisions.dcm")
    labels = {n: found.get_segment_description(n).segment_label for n in found.segment_numbers}
    pixels = found.get_total_pixel_matrix(combine_segments=True)
    row = [labels.get(number, "") for number in pixels[0, :5].tolist()]
    assert row == ["benign", "tumor", "refer", "out of scope", ""]
    assert not pixels[1:].any()
    assert all(found.get_segment_description(n).get("RecommendedDisplayCIELabValue")
               for n in found.segment_numbers)  # fmt: skip


def test_the_report_has_regions_in_millimeters(of: Any, folder: Path, tmp_path: Path) -> None:
    out = written(of(folder), tmp_path)
    found = groups(out)
    far = [each for each in found if each.tracking_identifier == "tumor 2"]
    (polygon,) = far
    corners = polygon.roi.value
    np.testing.assert_array_equal(corners[0], corners[-1])
    source = source_of(folder)
    expected = place_mm(source, [449.5, 499.5], [349.5, 399.5])
    np.testing.assert_allclose(corners.min(0), expected.min(0), atol=1e-5)
    np.testing.assert_allclose(corners.max(0), expected.max(0), atol=1e-5)
    assert polygon.roi.frame_of_reference_uid == source.FrameOfReferenceUID
    assert polygon.finding_type.meaning == "tumor"
    # 50 x 50 pixels, each 0.5 by 1 um.
    assert measured(polygon)["42798000"] == pytest.approx(50 * 50 * 0.5 / 1e6)
    assert measured(polygon)["mean-probability"] == pytest.approx(0.9)


def test_a_region_with_a_hole_is_cut_and_its_parts_add_up(
    of: Any, folder: Path, tmp_path: Path
) -> None:
    parts = [g for g in groups(written(of(folder), tmp_path)) if g.tracking_identifier == "tumor 1"]
    assert len(parts) == 2
    assert len({part.tracking_uid for part in parts}) == 1
    total = sum(measured(part)["42798000"] for part in parts)
    assert total == pytest.approx(len(RING) * 50 * 50 * 0.5 / 1e6)
    import shapely

    shapes = [shapely.Polygon(part.roi.value[:, :2]) for part in parts]
    middle = place_mm(source_of(folder), 224.5, 174.5)[0, :2]
    assert not any(shape.contains(shapely.Point(middle)) for shape in shapes)
    assert sum(shape.area for shape in shapes) == pytest.approx(total, rel=1e-3)


def test_the_report_has_the_figures_of_the_slide(of: Any, folder: Path, tmp_path: Path) -> None:
    out = written(of(folder), tmp_path)
    report = highdicom.sr.srread(out / "d.areas.dcm")
    (whole,) = report.content.get_image_measurement_groups()
    facts, found = read_result(out).facts.areas, measured(whole)
    assert found["positive"] == pytest.approx(facts.positive_mm2.value)
    assert found["positive-share"] == pytest.approx(facts.positive_share.value)
    assert found["largest-focus"] == pytest.approx(facts.largest_focus_mm2.value)
    # Not known, so not there: the scan has no distances.
    assert "scope-share" not in found
    assert (report.CompletionFlag, report.PreliminaryFlag) == ("COMPLETE", "PRELIMINARY")
    assert report.VerificationFlag == "UNVERIFIED"
    said = [each.get("TextValue", "") for each in whole[0].ContentSequence]
    assert any("not for diagnosis" in text for text in said)


def test_the_slide_is_referenced_and_its_patient_carried_over(
    of: Any, folder: Path, tmp_path: Path
) -> None:
    def edit(data: Any) -> None:
        data.SpecificCharacterSet = "ISO_IR 100"
        data.PatientName, data.PatientSex = "M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller^A", "F"
        data.PatientBirthDate, data.AccessionNumber = "19500203", "a7"
        data.ReferringPhysicianName = "B^C"

    change(folder, edit)
    out = written(of(folder), tmp_path)
    sources = [pydicom.dcmread(path) for path in folder.iterdir()]
    made = [pydicom.dcmread(out / f"d{ending}") for ending in ENDINGS]
    for data in made:
        for name in (
            "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
            "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
        ):  # fmt: skip
            assert str(data[name].value) == str(sources[0][name].value), name
        assert data.SeriesInstanceUID != sources[0].SeriesInstanceUID
        assert data.Manufacturer == "eosin"
    images = {data.SOPInstanceUID for data in sources}
    for data in made[:2]:
        assert {each.ReferencedSOPInstanceUID for each in data.SourceImageSequence} == images
        (series,) = data.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == sources[0].SeriesInstanceUID
        assert data.SpecimenDescriptionSequence == source_of(folder).SpecimenDescriptionSequence
        assert data.ContainerIdentifier == "c"
    evidence = {
        item.ReferencedSOPInstanceUID
        for name in (
            "CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"
        )
        for study in made[2].get(name, ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }  # fmt: skip
    assert evidence == images
    assert len({data.SOPInstanceUID for data in made}) == 3
    assert not any("DICOM" in note for note in read_result(out).facts.notes)


def test_what_the_slide_lacks_stays_empty_and_is_said(
    of: Any, folder: Path, tmp_path: Path
) -> None:
    def edit(data: Any) -> None:
        del data.PatientName, data.StudyDate
        data.PatientSex = "X"

    change(folder, edit)
    out = written(of(folder), tmp_path)
    for ending in ENDINGS:
        data = pydicom.dcmread(out / f"d{ending}")
        for name in ("PatientName", "PatientSex", "PatientBirthDate", "StudyDate"):
            assert not data[name].value
    (note,) = (note for note in read_result(out).facts.notes if "leave it empty" in note)
    for name in ("PatientName", "PatientSex", "PatientBirthDate", "StudyDate"):
        assert name in note
    assert "PatientID" not in note


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_values_of_the_patient_are_never_in_the_notes(
    of: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(data: Any) -> None:
        data.PatientBirthDate, data.StudyTime = "1950-02-03", "noon"

    change(folder, edit)
    out = written(of(folder), tmp_path)
    for ending in ENDINGS:
        data = pydicom.dcmread(out / f"d{ending}")
        assert (data.PatientBirthDate, data.StudyTime) == ("", "")
    notes = " ".join(read_result(out).facts.notes)
    assert "PatientBirthDate" in notes
    assert "StudyTime" in notes

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("made^up was born in 1950")

    monkeypatch.setattr(highdicom.seg, "Segmentation", refuse)
    out = write(of(folder), tmp_path / "other", "d")
    assert not list(out.glob("*.dcm"))
    notes += " ".join(read_result(out).facts.notes)
    assert "highdicom refuses the DICOM of the slide (ValueError)" in notes
    assert "1950" not in notes


def test_directions_that_cannot_be_true_are_refused(of: Any, folder: Path, tmp_path: Path) -> None:
    change(folder, lambda data: setattr(data, "ImageOrientationSlide", [0, 0, 0, 0, 0, 0]))
    out = written(of(folder), tmp_path)
    assert not list(out.glob("*.dcm"))
    assert any("cannot be true" in note for note in read_result(out).facts.notes)


def test_without_the_extra_the_rest_is_written_and_the_note_says_how(
    of: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = of(folder)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    out = written(scan, tmp_path)
    assert not list(out.glob("*.dcm"))
    assert (out / "d.parquet").is_file()
    (note,) = (note for note in read_result(out).facts.notes if "left out" in note)
    assert 'pip install "eosin[dicom]"' in note
    assert "d.heatmap.dcm" in note


@pytest.mark.parametrize(
    "name", ["TotalPixelMatrixOriginSequence", "ImageOrientationSlide", "FrameOfReferenceUID"]
)
def test_a_slide_without_places_says_so(of: Any, folder: Path, tmp_path: Path, name: str) -> None:
    change(folder, lambda data: data.__delattr__(name))
    out = written(of(folder), tmp_path)
    assert not list(out.glob("*.dcm"))
    assert any(f"has no {name}" in note for note in read_result(out).facts.notes)


def test_another_scale_changes_areas_and_not_places(of: Any, folder: Path, tmp_path: Path) -> None:
    plain = written(of(folder), tmp_path)
    scan = of(folder)
    scan.slide.scale = Scale(1.0, 2.0, "--mpp")
    out = write(scan, tmp_path / "other", "d")
    assert any("its PixelSpacing" in note for note in read_result(out).facts.notes)
    assert not any("its PixelSpacing" in note for note in read_result(plain).facts.notes)
    for one, other in zip(groups(plain), groups(out), strict=True):
        np.testing.assert_array_equal(one.roi.value, other.roi.value)
        assert measured(other)["42798000"] == pytest.approx(4 * measured(one)["42798000"])


def test_more_classes_with_odd_and_long_names(of: Any, folder: Path, tmp_path: Path) -> None:
    names = ("\N{GREEK SMALL LETTER BETA}: a", "x" * 90, "c\\d")
    cells = {(0, 0): (0.8, 0.1, 0.1), (1, 0): (0.2, 0.7, 0.1), (2, 0): (0.1, 0.3, 0.6)}
    out = written(of(folder, cells, classes=names), tmp_path)
    values = heatmap(out).get_total_pixel_matrix(apply_real_world_transform=True)
    np.testing.assert_allclose(values[0, :4], [0.8, 0.7, 0.6, 0], atol=1 / 65535)
    found = highdicom.seg.segread(out / "d.decisions.dcm")
    assert found.get_total_pixel_matrix(combine_segments=True)[0, :4].tolist() == [1, 2, 3, 0]
    assert found.get_segment_description(1).segment_label == "\N{GREEK SMALL LETTER BETA} - a"
    assert [each.finding_type.value for each in groups(out)] == ["class-0", "class-1", "class-2"]


def test_no_patch_at_all(of: Any, folder: Path, tmp_path: Path) -> None:
    out = written(of(folder, {}), tmp_path)
    assert not heatmap(out).get_total_pixel_matrix().any()
    assert groups(out) == []


def test_of_very_many_outlines_the_largest_are_kept(
    of: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_report, "MOST", 2)
    out = written(of(folder), tmp_path)
    assert [each.tracking_identifier for each in groups(out)] == ["tumor 1", "tumor 1"]
    assert pydicom.dcmread(out / "d.areas.dcm").CompletionFlag == "PARTIAL"
    assert any("2 largest of 3 outlines" in note for note in read_result(out).facts.notes)


def test_the_same_region_has_the_same_identifier_in_qupath(
    of: Any, folder: Path, tmp_path: Path
) -> None:
    import json

    out = written(of(folder), tmp_path)
    features = json.loads((out / "d.geojson").read_text())["features"]
    assert {uid_of(each["id"]) for each in features} == {g.tracking_uid for g in groups(out)}


def test_a_full_disk_leaves_nothing(
    of: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    scan = of(folder)
    monkeypatch.setattr(pydicom.Dataset, "save_as", refuse)
    with pytest.raises((DiskError, OSError)):
        written(scan, tmp_path)
    assert not (tmp_path / "out" / "d").exists()


def test_results_are_not_taken_for_slides(of: Any, folder: Path, tmp_path: Path) -> None:
    write(of(folder), tmp_path / "d" / "out", "d")
    assert slides_in([tmp_path]) == [folder]


def test_by_the_other_reader_too(of: Any, folder: Path, tmp_path: Path) -> None:
    out = written(of(folder, reader="wsidicom"), tmp_path)
    assert {path.name for path in out.glob("*.dcm")} == {f"d{ending}" for ending in ENDINGS}
