"""The DICOM files of one slide: those of one series in a folder, and whether they are whole."""

from __future__ import annotations

import struct
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


def check_frames(path: Path) -> None:
    """Raise SlideError where the table of a DICOM file's frames leads out of the file.

    OpenSlide 4.0.1 follows it anywhere, and the process ends.
    """
    try:
        why = _problem(path)
    # Hostile bytes can make a parser raise anything.
    except Exception as error:
        raise SlideError(f"{path.name} cannot be read ({first_line(error)})") from error
    if why:
        raise SlideError(f"{path.name} {why}")


def _problem(path: Path) -> str:
    """What is wrong with the places of a file's frames; "" where nothing is."""
    import numpy as np
    import pydicom

    size = path.stat().st_size
    with open(path, "rb") as file:
        data = pydicom.dcmread(file, stop_before_pixels=True)
        frames = int(data.get("NumberOfFrames") or 1)
        # The tag of the pixels, their kind, two bytes and their length; then the table's own.
        start = file.read(20)
        if len(start) < 20 or start[:4] != b"\xe0\x7f\x10\x00":
            return "has no pixels"
        length, item, count = struct.unpack_from("<I4sI", start, 8)
        if length != 0xFFFFFFFF:  # not encapsulated: frames of one size, one after another
            frame = int(data.Rows) * int(data.Columns) * int(data.SamplesPerPixel)
            whole = length <= size and frame * frames <= length
            return "" if whole else "is shorter than its frames"
        if item != b"\xfe\xff\x00\xe0" or count % 4 or count > size:
            return "has a damaged table of frames"
        first = file.tell() + count
        table = np.frombuffer(file.read(count), "<u4").astype(np.float64)
    if longer := data.get("ExtendedOffsetTable"):
        table = np.frombuffer(longer[: len(longer) // 8 * 8], "<u8").astype(np.float64)
    if not len(table):
        return ""
    inside = len(table) == frames and (np.diff(table) > 0).all() and first + table[-1] + 8 <= size
    return "" if inside else "has a table of frames that leads out of the file"
