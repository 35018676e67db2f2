"""The DICOM files of one slide: those of the same series in a folder."""

from __future__ import annotations

from pathlib import Path

from eosin.errors import SlideError, first_line, needing


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_of(path: Path) -> list[Path]:
    """All files of a slide, the one with the most bytes of its pixels first.

    path: one of them, or their folder. Raises SlideError for a folder of no slide or of several.
    """
    with needing("slides", "reading slides"):
        import pydicom
    folder = path if path.is_dir() else path.parent
    found: dict[str, list[Path]] = {}
    slides: set[str] = set()
    own = ""
    for file in sorted(each for each in folder.iterdir() if each.is_file() and is_dicom(each)):
        try:
            tags = ["SeriesInstanceUID", "ImageType", "Modality"]
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
        # Hostile bytes can make a parser raise anything.
        except Exception as error:
            if file == path:
                raise SlideError(f"its DICOM cannot be read ({first_line(error)})") from error
            continue
        name = str(data.get("SeriesInstanceUID", ""))
        if data.get("Modality") != "SM":
            if file == path:
                raise SlideError("a DICOM that is no slide (its modality is not SM)")
            continue
        found.setdefault(name, []).append(file)
        if "VOLUME" in (data.get("ImageType") or []):
            slides.add(name)
        if file == path:
            own = name
    chosen = own or next(iter(slides), "")
    if not own and len(slides) > 1:
        raise SlideError(f"the folder has {len(slides)} slides; name a file of one of them")
    if chosen not in slides:
        raise SlideError("no DICOM slide is there")
    return sorted(found[chosen], key=lambda file: (-file.stat().st_size, file))
