"""Fetching an archive: its files from a server, or its one zip from Kaggle, each checked."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from eosin.disks import amount
from eosin.errors import DownloadError, UserError
from eosin.fetching import kaggle, servers
from eosin.fetching.archives import Archive, Item
from eosin.fetching.downloads import (
    GivenUpError,
    Watcher,
    checksum_of,
    download,
    looks_like,
)
from eosin.fetching.servers import open_url
from eosin.folders import whole_file
from eosin.texts import from_json, read_text

#: Beside fetched files: the checksums of those for which none is published.
RECORD = "fetched.json"
#: A mirror is left sooner than the only server of a file.
_MIRROR_ATTEMPTS = 3
#: The first member of a zip of Kaggle.
_MEMBERS = {
    "idc": re.compile(r"(.*/)?\d+/[01]/[^/]+\.png"),
    "lc25000": re.compile(r"(.*/)?(colon|lung)_image_sets?/.+\.jpe?g"),
}


@dataclass(frozen=True)
class Fetched:
    """A complete and verified file. ``new`` is False where it existed before."""

    path: Path
    size_bytes: int
    new: bool


def fetch_zip(
    archive: Archive, target: Path, *, force: bool = False, watcher: Watcher | None = None
) -> Fetched:
    """Download an archive of Kaggle to ``target``, as the zip that it is.

    A complete zip that exists already is kept, unless ``force``, which replaces this archive, even
    an incomplete one, and nothing else.

    Raises MissingExtraError without the Kaggle client, CredentialsError without a token that is
    accepted, UserError where ``target`` is something else, DownloadError otherwise.
    """
    if target.exists():
        ours = _is_archive(target, archive.name)
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
    opener = kaggle.open_dataset(archive.kaggle, kaggle.require_credentials())
    download(opener, target, check=check_zip, watcher=watcher)
    return Fetched(target, target.stat().st_size, new=True)


def fetch_files(
    archive: Archive,
    folder: Path,
    *,
    mirrors: Sequence[str] = (),
    force: bool = False,
    watcher: Watcher | None = None,
) -> list[Fetched]:
    """Download the files of an archive to ``folder``; the mirrors are tried in turn.

    mirrors: addresses of folders with the files, by default those of the archive. A file with the
    right checksum is kept, unless ``force``; one without a published checksum has that of its first
    download recorded in fetched.json.

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
    usable = list(mirrors or archive.mirrors)
    for item in archive.items:
        target = folder / item.name
        known = item.checksum or _recorded(folder).get(item.name, "")
        there = target.exists()
        if there:
            try:
                _check(target, item, known)
            except DownloadError:
                raise UserError(
                    f"{target} is not the published file (checksum); move it away, or choose "
                    "another folder with -o"
                ) from None
        if not there or force:
            checked = replace(item, checksum=known)
            if reasons := _from_mirrors(usable, checked, target, watcher):
                failed += reasons
                continue
        if not known:
            _record(folder, item.name, checksum_of(target))
        fetched.append(Fetched(target, target.stat().st_size, new=not there or force))
    if failed:
        raise DownloadError(
            f"{len(archive.items) - len(fetched)} of the {len(archive.items)} files of "
            f"{archive.name} could not be fetched (use --mirror for another server; the page is "
            f"{archive.page}):\n  " + "\n  ".join(failed)
        )
    return fetched


def _recorded(folder: Path) -> dict[str, str]:
    """The recorded checksums, by name; raises UserError for a damaged record."""
    path = folder / RECORD
    try:
        return {str(k): str(v) for k, v in from_json(read_text(path)).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{path} cannot be read; remove it, and the files are checked anew") from (
            None
        )


def _record(folder: Path, name: str, checksum: str) -> None:
    with whole_file(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(_recorded(folder) | {name: checksum}, indent=1) + "\n")


def _check(path: Path, item: Item, checksum: str) -> None:
    """Raise DownloadError where a file is not the one of the archive."""
    if checksum:
        if (actual := checksum_of(path, checksum.partition(":")[0])) != checksum:
            raise DownloadError(
                f"{item.name}: wrong checksum {actual}, expected {checksum}; it is "
                f"{looks_like(path)}"
            )
    elif item.name.endswith(".zip"):
        check_zip(path)
    elif item.name.endswith(".gz"):
        try:
            with gzip.open(path) as file:
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error):
            raise DownloadError(
                f"{item.name} is not a complete gzip file but {looks_like(path)}"
            ) from None
    elif "data" not in (kind := looks_like(path)):
        raise DownloadError(f"{item.name} is {kind}")


def _from_mirrors(
    mirrors: list[str], item: Item, target: Path, watcher: Watcher
) -> list[str] | None:
    """None when the file is fetched, else why each mirror failed; the good one moves ahead."""
    reasons = [] if mirrors else [f"{item.name}: no server left to try"]
    most = servers.PATIENCE.attempts
    attempts = min(_MIRROR_ATTEMPTS, most) if len(mirrors) > 1 else most
    patience = replace(servers.PATIENCE, attempts=attempts)
    for mirror in list(mirrors):
        url = mirror.rstrip("/") + "/" + item.name
        try:
            download(
                open_url(url), target, check=lambda path: _check(path, item, item.checksum),
                patience=patience, watcher=watcher,
            )  # fmt: skip
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


def _is_archive(path: Path, name: str) -> bool:
    """Whether the first member is one of this archive, complete or not; APPNOTE, 4.3.7."""
    with path.open("rb") as file:
        head = file.read(30)
        member = file.read(int.from_bytes(head[26:28], "little")).decode("utf-8", "replace")
    return head[:4] == b"PK\x03\x04" and bool(_MEMBERS[name].fullmatch(member))


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
