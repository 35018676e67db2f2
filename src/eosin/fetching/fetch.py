"""The public data sets: the breast-histopathology archive (Kaggle) and MNIST (its mirrors)."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from eosin.errors import DownloadError, UserError
from eosin.fetching import kaggle, servers
from eosin.fetching.downloads import (
    DiskError,
    GivenUpError,
    Watcher,
    amount,
    download,
    looks_like,
    md5_of,
)
from eosin.fetching.servers import open_url

#: The archive on Kaggle: about 3.1 GB; 277,524 patches, each there twice.
IDC = "paultimothymooney/breast-histopathology-images"

#: File name -> MD5, as published with the data by its mirrors.
MNIST = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}

MNIST_MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)


#: A mirror is left sooner than the only server of a file.
_MIRROR_ATTEMPTS = 3


@dataclass(frozen=True)
class Fetched:
    """A complete and verified file. ``new`` is False where it existed before."""

    path: Path
    size_bytes: int
    new: bool


def fetch_idc(target: Path, *, force: bool = False, watcher: Watcher | None = None) -> Fetched:
    """Download the Kaggle archive to ``target``, as the zip that it is.

    A complete zip that exists already is kept, unless ``force``, which replaces this archive, even
    an incomplete one, and nothing else.

    Raises MissingExtraError without the Kaggle client, CredentialsError without a token that is
    accepted, UserError where ``target`` is something else, DownloadError otherwise.
    """
    if target.exists():
        ours = _is_archive(target)
        try:
            check_zip(target)
        except DownloadError as error:
            if not (force and ours):
                advice = "use --force to replace it, or " if ours else ""
                raise UserError(f"{error}; {advice}choose another name with -o") from None
        if not force:
            return Fetched(target, target.stat().st_size, new=False)
        if not ours:
            raise UserError(
                f"{target} is another zip than the archive; choose another name with -o"
            )
    opener = kaggle.open_dataset(IDC, kaggle.require_credentials())
    download(opener, target, check=check_zip, watcher=watcher)
    return Fetched(target, target.stat().st_size, new=True)


def fetch_mnist(
    folder: Path,
    *,
    mirrors: Sequence[str] = MNIST_MIRRORS,
    force: bool = False,
    watcher: Watcher | None = None,
) -> list[Fetched]:
    """Download the four MNIST files to ``folder``; the mirrors are tried in turn.

    A file with the right checksum is kept, unless ``force``.

    Raises UserError for a mirror that is not a web address, or where another file has the name of
    a published one; DownloadError with the reason of each file and mirror that failed; the files
    that are right stay.
    """
    for mirror in mirrors:
        if urlsplit(mirror).scheme not in ("http", "https") or not urlsplit(mirror).netloc:
            raise UserError(f"--mirror {mirror}: not a web address (http:// or https://)")
    watcher = watcher or Watcher()
    fetched: list[Fetched] = []
    failed: list[str] = []
    usable = list(mirrors)
    for name, md5 in MNIST.items():
        target = folder / name
        if target.exists():
            if md5_of(target) != md5:
                raise UserError(
                    f"{target} is not the published file (checksum); move it away, or choose "
                    "another folder with -o"
                )
            if not force:
                fetched.append(Fetched(target, target.stat().st_size, new=False))
                continue
        reasons = _from_mirrors(usable, name, target, md5, watcher)
        failed += reasons or ()
        if reasons is None:
            fetched.append(Fetched(target, target.stat().st_size, new=True))
    if failed:
        raise DownloadError(
            f"{len(MNIST) - len(fetched)} of the {len(MNIST)} MNIST files could not be fetched "
            "(use --mirror for another server):\n  " + "\n  ".join(failed)
        )
    return fetched


def _from_mirrors(
    mirrors: list[str], name: str, target: Path, md5: str, watcher: Watcher
) -> list[str] | None:
    """None when the file is fetched, else why each mirror failed; the good one moves ahead."""

    def check(path: Path) -> None:
        actual = md5_of(path)
        if actual != md5:
            raise DownloadError(
                f"{name}: wrong checksum {actual}, expected {md5}; it is {looks_like(path)}"
            )

    reasons = [] if mirrors else [f"{name}: no server left to try"]
    patience = replace(servers.PATIENCE, attempts=min(_MIRROR_ATTEMPTS, servers.PATIENCE.attempts))
    for mirror in list(mirrors):
        url = mirror.rstrip("/") + "/" + name
        try:
            download(open_url(url), target, check=check, patience=patience, watcher=watcher)
        except DiskError:
            raise
        except DownloadError as error:
            reasons.append(f"{mirror}: {error}".replace(f"{mirror}: {url}", url))
            watcher.note(reasons[-1])
            if isinstance(error, GivenUpError):
                # Waiting for it again with every file would take minutes.
                mirrors.remove(mirror)
        else:
            # The next file starts with the mirror that works.
            mirrors.remove(mirror)
            mirrors.insert(0, mirror)
            return None
    return reasons


# The end of a zip (PKWARE's APPNOTE, 4.3.14 to 4.3.16). zipfile would read the complete
# directory, half a million members here; the end shows whether the file is complete.
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT = 0xFFFF


#: The archive's first member: case/class/name.
_MEMBER = re.compile(r"(.*/)?\d+/[01]/[^/]+\.png")


def _is_archive(path: Path) -> bool:
    """Whether the first member is one of this archive, complete or not; APPNOTE, 4.3.7."""
    with path.open("rb") as file:
        head = file.read(30)
        name = file.read(int.from_bytes(head[26:28], "little")).decode("utf-8", "replace")
    return head[:4] == b"PK\x03\x04" and bool(_MEMBER.fullmatch(name))


def check_zip(path: Path) -> int:
    """Check that a file is a zip from its first to its last byte; the number of members.

    Raises DownloadError when it is something else, or when its end is missing.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
            raise DownloadError(f"{path} is not a zip but {looks_like(path)}")
        tail_start = max(0, size - _END.size - _LONGEST_COMMENT - _END64_LOCATOR.size)
        file.seek(tail_start)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise DownloadError(f"{path} is an incomplete zip: it is cut off at {amount(size)}")
        *_, members, length, offset, _comment = _END.unpack_from(tail, at)
        end = tail_start + at
        locator = tail[max(0, at - _END64_LOCATOR.size) : at]
        if locator[:4] == b"PK\x06\x07":
            end = _END64_LOCATOR.unpack(locator)[2]
            file.seek(end)
            record = file.read(_END64.size)
            if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
                raise DownloadError(f"{path} is a damaged zip: its end record is missing")
            *_, members, length, offset = _END64.unpack(record)
        file.seek(offset)
        first = file.read(4)
    if offset + length != end or (members and first != b"PK\x01\x02"):
        raise DownloadError(f"{path} is a damaged zip: its table of contents is missing")
    return int(members)
