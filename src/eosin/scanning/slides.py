"""Many slides: their names, who scans which, what is done, and what failed."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from eosin.disks import writing
from eosin.errors import EosinError, SourceError, UserError
from eosin.folders import whole_file
from eosin.locks import Lock, waiting_for
from eosin.scanning.summary import Failed, found_in, write_summary
from eosin.scanning.writing import name_of, read_result
from eosin.sources.members import is_left_behind, is_slide
from eosin.texts import from_json, read_text

#: Folder of locks and answers inside the results.
WORK = ".scan"
#: Files that are slides where a folder was given; a flat picture has to be named itself.
_ALSO = (".tif", ".tiff", ".qptiff")
#: What a slide that failed leaves, beside the folders of those that did not.
FAILED = ".failed.json"


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
        dicom = sorted({path.parent for path in inside if path.suffix.lower() == ".dcm"})
        slides = [path for path in inside if _is_slide(path)]
        if not slides and not dicom:
            raise SourceError(f"{place} has no slide in it; give slide files or folders of slides")
        found += sorted([*slides, *dicom])
    return list(dict.fromkeys(found))


def _is_slide(path: Path) -> bool:
    ending = path.suffix.lower()
    return ending != ".dcm" and (is_slide(path.name) or ending in _ALSO)


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """A name for each slide: of its file, with as much of its folders as tells them apart.

    >>> list(named([Path("a/1.svs"), Path("b/1.svs"), Path("b/2.svs")]))
    ['a_1', 'b_1', '2']
    """
    names: dict[str, Path] = {}
    for path in paths:
        same = [other for other in paths if name_of(other) == name_of(path)]
        parts = [name_of(path)]
        for above in path.absolute().parents:
            if len(same) < 2 or not above.name:
                break
            parts.insert(0, above.name)
            depth = len(parts) - 1
            same = [o for o in same if [*_above(o, depth), name_of(o)] == parts]
        name = "_".join(parts)
        # One stem, two formats in one folder.
        names[name if name not in names else path.name] = path
    return names


def _above(path: Path, depth: int) -> list[str]:
    return [each.name for each in list(path.absolute().parents)[:depth]][::-1]


def shard(names: Sequence[str], part: str) -> list[str]:
    """The slides of one of n machines, by name alone: adding slides moves none of them.

    part: "i/n" with i from 1. Raises UserError for anything else.

    >>> shard(["a", "b", "c"], "1/2") + shard(["a", "b", "c"], "2/2")
    ['a', 'b', 'c']
    """
    number, slash, count = part.partition("/")
    sound = slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()
    if not sound or not 1 <= int(number) <= int(count):
        raise UserError(f"--shard {part}: write i/n, such as 1/4 for the first of four machines")
    numbers = {name: zlib.crc32(name.encode("utf-8", "replace")) % int(count) for name in names}
    return [name for name in names if numbers[name] + 1 == int(number)]


@contextlib.contextmanager
def taken(out: Path, name: str) -> Iterator[bool]:
    """Whether this process has a slide for itself; a killed process has none."""
    place = out / WORK / f"{name}.lock"
    with writing(place):
        lock = Lock.take(place)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def answers_of(out: Path, name: str) -> Path:
    """The file of the answers of a slide that is not finished."""
    return out / WORK / f"{name}.answers"


def patches_written(out: Path, name: str, key: str) -> int:
    """Patches of the results of this key that are there, and 1; else 0."""
    try:
        facts = read_result(out / name).facts
    except EosinError:
        return 0
    return facts.areas.patches + 1 if facts.settings.get("key") == key else 0


def set_failed(out: Path, name: str, path: Path, cause: str) -> None:
    """Keep why a slide failed."""
    with whole_file(out / f"{name}{FAILED}") as temporary:
        temporary.write_text(json.dumps({"slide": path.name, "error": cause}) + "\n", "utf-8")


def forget_failed(out: Path, name: str) -> None:
    """A slide that failed before and does so no more."""
    (out / f"{name}{FAILED}").unlink(missing_ok=True)


def summarize(out: Path) -> Path:
    """Write the summary of all slides of a folder, also of those that other processes scanned.

    Returns the path of its page. One process at a time writes it.
    """
    with writing(out):
        (out / WORK).mkdir(parents=True, exist_ok=True)
    with waiting_for(out / WORK / "summary.lock"):
        results, failed = found_in(out)
        for path in sorted(out.glob(f"*{FAILED}")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                known = from_json(read_text(path))
                failed.append(Failed(str(known["slide"]), str(known["error"])))
        return write_summary(out, results, failed)
