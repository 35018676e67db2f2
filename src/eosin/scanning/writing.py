"""OUT/NAME: all files of a scanned slide, whole or not at all, and what a summary reads of them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from eosin.errors import SlideError, UserError
from eosin.folders import kind_of, set_mark, whole_folder
from eosin.kinds import LOCK, MARK
from eosin.records.record import first_problem
from eosin.records.scan import ScanFacts, WrittenFile
from eosin.scanning.areas import areas
from eosin.scanning.dicom import write_dicom
from eosin.scanning.facts import facts, text
from eosin.scanning.geojson import write_regions, write_tiles
from eosin.scanning.groovy import write_script
from eosin.scanning.ometiff import write_heatmap
from eosin.scanning.pictures import write_pictures
from eosin.scanning.scan import Scan
from eosin.scanning.tables import write_table
from eosin.texts import from_json, read_text

KIND = "scan"
#: A file's name has at most 255 bytes; the rest of a name here, or a temporary one, needs 48.
_MOST_BYTES = 200
_FORBIDDEN = ("", ".", "..")


@dataclass(frozen=True)
class Result:
    """A slide that was scanned, read back from its folder."""

    folder: Path
    facts: ScanFacts

    @property
    def name(self) -> str:
        """How its files begin."""
        return self.facts.name


def write(scan: Scan, folder: str | os.PathLike[str], name: str, *, force: bool = False) -> Path:
    """Write all files of a slide into ``folder``/``name``; returns that folder.

    name: how the folder is called and its files begin, such as the slide's name without ending.
    force: replace what an earlier scan wrote there; files of the user's stay. The folder appears
    with one rename, when everything is in it.
    Raises UserError for a name that no folder can have, or one that is taken; DiskError.
    """
    check_name(name)
    target = Path(folder) / name
    with whole_folder(target, KIND, force=force) as new:
        set_mark(new, KIND, name=name)

        def path(ending: str) -> Path:
            return new / f"{name}{ending}"

        figures = areas(scan)
        write_table(scan, path(".parquet"))
        write_pictures(scan, figures, name, path(".heatmap.png"), path(".thumbnail.jpg"))
        planned = write_heatmap(scan, name, path(".heatmap.ome.tif"))
        write_regions(scan, name, path(".geojson"))
        write_tiles(scan, name, path(".tiles.geojson.gz"))
        write_script(scan, planned, name, path(".heatmap.groovy"))
        more = write_dicom(scan, name, figures, new)
        files = {
            each.name: _written(each)
            for each in sorted(new.iterdir())
            if each.name not in (MARK, LOCK)
        }
        record = facts(scan, name, figures, planned, files, more)
        path(".json").write_text(text(record), "utf-8")
    return target


def check_name(name: str) -> None:
    """Raise UserError for a name that the files of a slide cannot have.

    >>> check_name("a/b")
    Traceback (most recent call last):
        ...
    eosin.errors.UserError: the files of a slide cannot be called 'a/b'; give the slide another name
    """
    if name in _FORBIDDEN or _safe(name) != name:
        shown = name if len(name) <= 60 else name[:60] + "..."
        raise UserError(
            f"the files of a slide cannot be called {shown!r}; give the slide another name"
        )


def name_of(slide: str | os.PathLike[str]) -> str:
    """The name for the files of a slide: that of its file without ending, with no odd letters.

    >>> name_of("slides/case 7.ome.tif"), name_of("x/" + chr(0xDCFF) + chr(10) + ".svs")
    ('case 7', '__')
    """
    stem = Path(slide).stem.removesuffix(".ome")
    return _safe(stem.lstrip(".")) or "slide"


def _safe(name: str) -> str:
    """A name that every file system and every JSON file can have."""
    plain = "".join("_" if _odd(letter) else letter for letter in name)
    return plain.encode()[:_MOST_BYTES].decode("utf-8", "ignore")


def _odd(letter: str) -> bool:
    # Bytes of a file's name that are no UTF-8 are halves of pairs in Python.
    return letter in "/\\" or ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000


def is_result(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has the results of a slide; one where only a user's files are left has not.

    >>> is_result("a folder that does not exist")
    False
    """
    place = Path(folder)
    return place.is_dir() and kind_of(place) == KIND and _record_in(place).is_file()


def read_result(folder: str | os.PathLike[str]) -> Result:
    """What a slide's folder contains, from its NAME.json.

    Raises SlideError where the folder is no scan of a slide, or its JSON is damaged.
    """
    place = Path(folder)
    if kind_of(place) != KIND:
        raise SlideError(f"{place} is no scan of a slide; scan it with: eosin scan MODEL SLIDE")
    path = _record_in(place)
    try:
        return Result(place, ScanFacts.model_validate(from_json(read_text(path))))
    except (OSError, ValueError) as error:
        problem = f"is missing ({error.strerror})" if isinstance(error, OSError) else "is damaged"
        detail = "" if isinstance(error, OSError) else f" ({first_problem(error)})"
        raise SlideError(f"{path} {problem}{detail}; scan the slide again with --force") from None


def _record_in(folder: Path) -> Path:
    """NAME.json, also where the folder has another name by now: beside NAME.parquet."""
    found = [each.with_suffix("") for each in sorted(folder.glob("*.parquet"))]
    names = [folder.name, *(each.name for each in found)]
    paths = [folder / f"{name}.json" for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


def _written(path: Path) -> WrittenFile:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WrittenFile(bytes=path.stat().st_size, sha256=digest)
