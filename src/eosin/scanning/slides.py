"""Many slides: their names, who scans which, what is done, and what failed."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from eosin.disks import writing
from eosin.errors import EosinError, UserError
from eosin.folders import whole_file
from eosin.locks import Lock, waiting_for
from eosin.scanning.dicom import is_worth_again
from eosin.scanning.summary import Failed, found_in, write_summary
from eosin.scanning.writing import name_of, read_result
from eosin.texts import from_json, read_text

#: Folder of locks and answers inside the results.
WORK = ".scan"
#: What a slide that failed leaves, beside the folders of those that did not.
FAILED = ".failed.json"


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
    if facts.settings.get("key") != key or is_worth_again(facts.notes):
        return 0
    return facts.areas.patches + 1


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
