"""Disks: what they refuse (full, read-only, gone, another user's), as one sentence."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eosin.errors import DiskError, EosinError

#: The disk, a quota, or the size that a file may have is used up.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ELSEWHERE, _GONE = "choose another folder", "bring it back or choose another folder"
_MOUNTED = "it may be a mount point, so choose a name inside it"
#: What an error of the system means for a folder that is written, and what to do.
_MEANING = {
    errno.ENOSPC: ("the disk is full", "free space there or choose another folder"),
    errno.EDQUOT: ("the quota is used up", "free space there or choose another folder"),
    errno.EFBIG: ("a file may not become so large there", _ELSEWHERE),
    errno.EROFS: ("it is read-only", _ELSEWHERE),
    errno.EACCES: ("this user may not write there", _ELSEWHERE),
    errno.EPERM: ("this user may not write there", _ELSEWHERE),
    errno.EIO: ("the disk reports an error", _ELSEWHERE),
    errno.ENOENT: ("it is gone", _GONE),
    errno.ESTALE: ("it is gone (stale file handle)", _GONE),
    errno.ENOTCONN: ("it is no longer connected", _GONE),
    errno.ENODEV: ("it is no longer connected", _GONE),
    errno.EXDEV: ("it cannot be renamed", _MOUNTED),
    errno.EBUSY: ("it is busy and cannot be renamed", _MOUNTED),
}
#: What only a write is refused for, and what has no other cause than a disk.
WRITING = (*FULL, errno.EROFS)
_CERTAIN = (*WRITING, errno.EIO, errno.ESTALE)
#: Writers that are not Python's own tell it in their text: "os error 28", or in these words.
_BY_TEXT = {os.strerror(number).lower(): number for number in _MEANING}
_BY_TEXT |= {"disk is full": errno.ENOSPC, "sqlite_full": errno.ENOSPC}
#: Writers in C++ and NumPy's do not tell why; nearly always the disk is full.
_NO_REASON = re.compile("iostream error|requested and [0-9]+ written|file write failed|disk i/o")


def refusal(error: BaseException) -> int:
    """What a disk refused, as a number of ``errno``; 0 where an error has nothing to do with it.

    Also of errors by libraries that wrap it: polars, torch, safetensors, OpenVINO, SQLite.

    >>> refusal(OSError(errno.EROFS, "Read-only file system")) == errno.EROFS
    True
    >>> refusal(RuntimeError("I/O error: No space left on device (os error 28)")) == errno.ENOSPC
    True
    >>> refusal(ValueError("no"))
    0
    """
    link: BaseException | None = error
    for _ in range(8):
        if link is None:
            break
        text = str(link).lower()
        number = getattr(link, "errno", None) or next(
            (number for words, number in _BY_TEXT.items() if words in text),
            errno.ENOSPC if _NO_REASON.search(text) else 0,
        )
        # What was handled before may be a file that is not there, and has no part in this.
        if number in _MEANING if link is error else number in _CERTAIN:
            return int(number)
        link = link.__cause__ or link.__context__
    return 0


def disk_error(
    error: BaseException, path: str | os.PathLike[str], written: int = 0
) -> DiskError | None:
    """The sentence for an error while ``path`` was written; None where the disk is not its cause.

    written: bytes that had been written until then.
    """
    number, target = refusal(error), Path(path)
    places = [target.absolute(), *target.absolute().parents]
    there = next((place for place in places if place.is_dir()), places[-1])
    names = [getattr(error, "filename", None), getattr(error, "filename2", None)]
    named = [Path(os.path.abspath(os.fsdecode(n))) for n in names if isinstance(n, str | bytes)]
    if not number or (named and not any(name.is_relative_to(there) for name in named)):
        return None  # of a file that is read
    gone = not places[1].is_dir() or not all(name.parent.is_dir() for name in named)
    if number == errno.ENOENT and not gone:
        return None
    why, remedy = _MEANING[number]
    if number in FULL:
        needed = f"; {target.name} needs more than {amount(written)}" if written else ""
        why += f" ({amount(shutil.disk_usage(there).free)} free{needed})"
    return DiskError(f"{target} cannot be written: {why}; {remedy}")


@contextmanager
def writing(path: str | os.PathLike[str], temporary: Path | None = None) -> Iterator[None]:
    """In this block ``path`` is written; what the disk refuses is raised as a DiskError.

    temporary: what is there of it until then, a file or a folder.
    """
    try:
        yield
    except DiskError as error:
        # Nobody knows the temporary name.
        shown = error.what if temporary is None else error.what.replace(str(temporary), str(path))
        raise DiskError(shown, error.again) from None
    except EosinError:
        raise
    except Exception as error:
        found = disk_error(error, path, 0 if temporary is None else _size(temporary))
        if found is None:
            raise
        raise found from None


def amount(count: float) -> str:
    """A number of bytes for people, in powers of 1000 as disks and networks are sold.

    >>> amount(999), amount(1_648_877), amount(3.1e9)
    ('999 B', '1.6 MB', '3.1 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    try:
        files = path.rglob("*") if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0
