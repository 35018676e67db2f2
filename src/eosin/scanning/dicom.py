"""DICOM files of a scan, for a slide that is DICOM: heatmap, decisions, and areas as a report."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from eosin.errors import EosinError, needing
from eosin.records.scan import Areas
from eosin.scanning.scan import Scan

#: How the names of the files end.
HEATMAP, DECISIONS, AREAS = ".heatmap.dcm", ".decisions.dcm", ".areas.dcm"
_LEFT_OUT = " were left out: "


def is_dicom_slide(scan: Scan) -> bool:
    """Whether the slide of a scan is DICOM, whichever library reads it."""
    return scan.slide.info.format == "DICOM"


def left_out(notes: Iterable[str]) -> str:
    """The note that says which DICOM files were not written, and why; "" where all were.

    >>> left_out(["a note", "1.heatmap.dcm were left out: why"])
    '1.heatmap.dcm were left out: why'
    """
    return next((note for note in notes if _LEFT_OUT in note), "")


def is_worth_again(notes: Iterable[str]) -> bool:
    """Whether DICOM files were left out for lack of the extra, and it is there now.

    >>> is_worth_again(["a note"])
    False
    """
    return "eosin[dicom]" in left_out(notes) and find_spec("highdicom") is not None


def write_dicom(scan: Scan, name: str, figures: Areas, folder: Path) -> list[str]:
    """Write NAME.heatmap.dcm (Parametric Map), .decisions.dcm (Segmentation), .areas.dcm (report).

    Nothing for a slide that is not DICOM. Returns notes, a sentence each: what the slide's DICOM
    lacks, and what could not be written and why; the other files of the scan do not depend on it.
    """
    if not is_dicom_slide(scan):
        return []
    without = f"{name}{HEATMAP}, {DECISIONS} and {AREAS}{_LEFT_OUT}"
    try:
        with needing("dicom", "writing DICOM"):
            import highdicom  # noqa: F401
        from eosin.scanning.dicom_map import decisions, heatmap
        from eosin.scanning.dicom_report import report
        from eosin.scanning.dicom_source import source_of

        source = source_of(scan)
        notes = source.notes()
        made = [(HEATMAP, heatmap(scan, source)), (DECISIONS, decisions(scan, source))]
        written, more = report(scan, name, figures, source)
        made.append((AREAS, written))
    except EosinError as error:
        return [f"{without}{error}"]
    except OSError:
        raise
    # What scanners write into DICOM can make a library raise anything. Its message may have values,
    # of the patient too, and the note stays beside results that name none.
    except Exception as error:
        return [f"{without}highdicom refuses the DICOM of the slide ({type(error).__name__})"]
    for ending, data in made:
        data.save_as(folder / f"{name}{ending}")
    return notes + more
