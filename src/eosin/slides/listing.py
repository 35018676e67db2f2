"""Which slides a folder has, and what a table says of each: its case, its part, its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eosin.errors import ImageError, SourceError
from eosin.folders import kind_of
from eosin.slides.scale import number
from eosin.slides.slide import LEAST_MPP, MOST_MPP
from eosin.sources.archives import read_file
from eosin.sources.layouts import PARTS, plainly
from eosin.sources.members import is_left_behind, is_slide
from eosin.sources.names import CasePattern, patient
from eosin.sources.tables import ROLES, parse_table, squeezed

#: Files that are slides where a folder was given; a flat picture has to be named itself.
_ALSO = (".tif", ".tiff", ".qptiff")


@dataclass(frozen=True)
class Listed:
    """What is known of a slide besides its file; "" where it is not known."""

    case: str
    part: str = ""
    #: Micrometers a pixel, instead of those in the file.
    mpp: float | None = None


def slides_in(places: Sequence[Path]) -> list[Path]:
    """The slides that files and folders name, sorted within a folder; DICOM by its folder.

    Raises SourceError for what is not there, and for a folder without slides.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise SourceError(f"{place} does not exist; give slide files or folders of slides")
        if not place.is_dir():
            found.append(place)
            continue
        inside = sorted(path for path in place.rglob("*") if path.is_file())
        inside = [path for path in inside if not is_left_behind(path.relative_to(place).as_posix())]
        # Results of a scan are pictures and DICOM as well.
        results = {
            folder for folder in {path.parent for path in inside} if kind_of(folder) == "scan"
        }
        inside = [path for path in inside if path.parent not in results]
        dicom = sorted({path.parent for path in inside if path.suffix.lower() == ".dcm"})
        slides = [
            path
            for path in inside
            if path.suffix.lower() != ".dcm"
            and (is_slide(path.name) or path.suffix.lower() in _ALSO)
        ]
        if not slides and not dicom:
            raise SourceError(f"{place} has no slide in it; give slide files or folders of slides")
        found += sorted([*slides, *dicom])
    return list(dict.fromkeys(found))


def listed(
    slides: Sequence[Path], table: Path | None, pattern: CasePattern | None
) -> tuple[dict[Path, Listed], list[str], list[tuple[Path, str]]]:
    """What is known of each slide; notes; and slides that cannot be used, with the reason.

    table: a CSV with the columns slide and case, perhaps part and mpp; pattern: the case is in the
    file's name. Without both, the case is a known archive's identifier of the patient, else the
    name of the slide itself, and a note says so. Raises SourceError for a table that is damaged.
    """
    rows = {} if table is None else _read(table)
    known: dict[Path, Listed] = {}
    bad: list[tuple[Path, str]] = []
    by_name = 0
    for path in slides:
        row = rows.get(path.name, rows.get(path.stem))
        if table is not None and row is None:
            bad.append((path, f"unknown case: {table.name} has no row for it"))
            continue
        case = row.case if row else ""
        if not case and pattern is not None:
            try:
                case = pattern.case_of(path.as_posix())
            except ImageError as error:
                bad.append((path, str(error)))
                continue
        elif not case:
            found = patient(path.name)
            case = found.case if found else path.stem
            by_name += found is None
        known[path] = Listed(case, row.part if row else "", row.mpp if row else None)
    notes = []
    if by_name > 1:
        notes.append(
            f"{by_name:,} slides are taken for a case each: where a case has several slides, "
            "--case-pattern or --table says which, or a split cannot keep them together"
        )
    return known, notes, bad


def _read(path: Path) -> dict[str, Listed]:
    """The rows of a table by the name of the slide's file."""
    try:
        table = parse_table(path.name, read_file(path))
    except ImageError as error:
        raise SourceError(f"{path} cannot be read ({error})") from None
    if table.damaged:
        raise SourceError(f"{path}: {next(iter(table.damaged.values()))}")
    names = {squeezed(name): name for name in table.columns}
    wanted = {
        "slide": ("slide", *ROLES["slide"], "file", "filename", "path", "name", "image"),
        "case": ROLES["case"], "part": ROLES["part"], "mpp": ("mpp",),
    }  # fmt: skip
    columns = {
        role: next((table.columns[names[n]] for n in known if n in names), None)
        for role, known in wanted.items()
    }
    slide, case = columns["slide"], columns["case"]
    if slide is None or (case is None and columns["mpp"] is None):
        raise SourceError(
            f"{path} has the columns {plainly(', '.join(table.columns))}; a table of slides has "
            "slide and case, and perhaps part and mpp"
        )
    rows: dict[str, Listed] = {}
    for k, place in enumerate(table.places):
        name = slide[k].replace("\\", "/").rpartition("/")[2]
        if not name:
            continue
        part = columns["part"][k] if columns["part"] else ""
        row = Listed(
            case[k] if case else "", PARTS.get(part.lower(), part),
            _scale(path, place, columns["mpp"][k]) if columns["mpp"] else None,
        )  # fmt: skip
        if rows.setdefault(name, row) != row:
            raise SourceError(
                f"{path}: {place} has {plainly(name)} a second time, with other values"
            )
    return rows


def _scale(path: Path, place: str, text: str) -> float | None:
    if not text:
        return None
    value = number(text)
    if value is None or not LEAST_MPP <= value <= MOST_MPP:
        raise SourceError(
            f"{path}: {place} has the mpp {plainly(text, 40)}; micrometers a pixel are "
            f"{LEAST_MPP:g} to {MOST_MPP:g}"
        )
    return value
