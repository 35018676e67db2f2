"""Two folders change places so that neither name is ever empty, and names reach the disk."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

from eosin.errors import UserError
from eosin.kinds import ENDING

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
#: Of a folder that is moved aside, where two names cannot be exchanged.
_ASIDE = "-old"


def swap(new: Path, target: Path, *, there: bool) -> None:
    """Put ``new`` in the place of ``target``; what was there is at ``new`` afterwards, if anything.

    there: whether a folder at ``target`` may be replaced; without it, one that another process has
    made there meanwhile raises UserError. Where the system can exchange two names (Linux), the name
    is never empty; elsewhere the old folder is moved aside first and moved back if the second
    rename fails. Raises OSError where the system cannot rename.
    """
    if not there:
        try:
            os.rename(new, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise UserError(
                f"another process has made {target} in the meantime; choose another name"
            ) from None
        return
    if _exchange(new, target):
        return
    aside = target.with_name(f"{new.name.removesuffix(ENDING)}{_ASIDE}{ENDING}")
    os.utime(target)  # a fresh one is not swept while this process lives
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except BaseException:
        os.rename(aside, target)
        raise
    os.rename(aside, new)


def synchronize(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot wait for a folder, or for anything.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    done: int = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return done == 0
