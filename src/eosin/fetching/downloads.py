"""A download that survives broken connections: written to NAME.partial, checked, then renamed.

NAME.partial.json beside it keeps the identity of the file on the server (ETag or date, and size),
so that a later run resumes only with bytes of the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from eosin.disks import FULL, amount, disk_error, writing
from eosin.errors import DiskError, DownloadError
from eosin.fetching import servers
from eosin.fetching.servers import Opener, Patience, TryAgain, answers
from eosin.folders import whole_file
from eosin.texts import from_json, read_text

CHUNK_BYTES = 1 << 17

#: An attempt that fetched this much counts as progress, and resets the count of failures.
_WORTH_BYTES = 1 << 20


class GivenUpError(DownloadError):
    """A server failed again and again; another one may help."""


class Watcher:
    """Receives the progress of a download; this one ignores it."""

    def progress(self, name: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` bytes of the file ``name`` are here (None: size unknown)."""

    def note(self, text: str) -> None:
        """A message for people: a retry, a restart."""


def download(
    open_at: Opener,
    target: Path,
    *,
    check: Callable[[Path], object],
    patience: Patience | None = None,
    watcher: Watcher | None = None,
) -> None:
    """Fetch a file to ``target``, resuming what an earlier attempt left beside it.

    check: receives the complete file under its temporary name and raises DownloadError when it is
    not the requested one; the temporary file is then removed.

    Raises DownloadError when the attempts are used up or ``check`` refuses, DiskError when the file
    cannot be written (the bytes so far are kept), and whatever ``open_at`` raises.
    """
    patience = patience or servers.PATIENCE
    watcher = watcher or Watcher()
    partial = partial_path(target)
    failures = 0
    while True:
        before = _size(partial)
        try:
            _attempt(open_at, partial, target.name, patience, watcher)
            break
        except TryAgain as error:
            here = _size(partial)
            failures = 1 if here - before >= _WORTH_BYTES else failures + 1
            if failures >= patience.attempts:
                kept = f"; {amount(here)} are kept in {partial} for the next run" if here else ""
                raise GivenUpError(
                    f"{target.name}: {error} ({failures} attempts in a row){kept}. "
                    "Check the connection and run the same command again"
                ) from None
            wait_s = patience.wait_s(failures, error.wait_s)
            where = f" at {amount(here)}" if here else ""
            watcher.note(
                f"{target.name}: {error}{where}; trying again in {wait_s:.0f} s "
                f"(attempt {failures + 1} of {patience.attempts})"
            )
            time.sleep(wait_s)
    try:
        check(partial)
    except DownloadError:
        discard(partial)
        raise
    with writing(target):
        os.replace(partial, target)
    _identity_path(partial).unlink(missing_ok=True)


def _attempt(
    open_at: Opener, partial: Path, name: str, patience: Patience, watcher: Watcher
) -> None:
    """One request: append what comes to ``partial``; returns when the file is complete."""
    earlier = _read_identity(partial)
    start = _size(partial) if earlier else 0
    with open_at(start, earlier.get("validator"), patience) as response:
        if response.status_code == 416:
            if start and _total_of(response) == start:
                return  # An earlier run was ended between the last byte and the renaming.
            raise _changed(partial)
        begins, total = _extent(response)
        with writing(partial):
            partial.parent.mkdir(parents=True, exist_ok=True)
        identity = {"validator": _validator(response), "total": total}
        if begins != start or (start and not _same(earlier, identity)):
            if begins:
                raise _changed(partial)
            watcher.note(
                f"{name}: the file changed, or the server cannot resume; restarting from zero"
            )
            start = 0
        if start:
            watcher.note(f"{name}: resuming at {amount(start)} of {amount(total or 0)}")
        else:
            discard(partial)
            with whole_file(_identity_path(partial)) as temporary:
                temporary.write_text(json.dumps(identity), "utf-8")
        if total is not None:
            _require_space(partial, total, total - start)
        done = start
        watcher.progress(name, done, total)
        with writing(partial), partial.open("ab", buffering=0) as file:
            for chunk in _pieces(response, name):
                _write(file, chunk, partial, done, total)
                done += len(chunk)
                watcher.progress(name, done, total)
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise TryAgain(f"the connection ended after {amount(done)} of {amount(total)}")
    if total is not None and done > total:
        discard(partial)
        raise TryAgain(f"the server sent more than {amount(total)}; restarting from zero")


def _changed(partial: Path) -> TryAgain:
    discard(partial)
    return TryAgain("the file on the server has changed; restarting from zero")


def _pieces(response: requests.Response, name: str) -> Iterator[bytes]:
    # Undecoded: a server that calls a .gz file "encoded" would otherwise have it unpacked.
    stream = response.raw.stream(CHUNK_BYTES, decode_content=False)
    while True:
        with answers(name):
            chunk = next(stream, None)
        if chunk is None:
            return
        yield chunk


def _write(file: Any, chunk: bytes, partial: Path, done: int, total: int | None) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        if error.errno in FULL:
            _no_space(partial, total, None if total is None else total - done)
        raise disk_error(error, partial) or error from None


def _require_space(partial: Path, total: int, needed: int) -> None:
    if shutil.disk_usage(partial.parent).free < needed:
        _no_space(partial, total, needed)


def _no_space(partial: Path, total: int | None, needed: int | None) -> None:
    free = shutil.disk_usage(partial.parent).free
    missing = "" if needed is None else f"{amount(needed)} more are needed, "
    size = "" if total is None else f" for a file of {amount(total)}"
    raise DiskError(
        f"the disk is full{size}: {missing}{amount(free)} are free in "
        f"{partial.parent.resolve()}. Free some space and run the same command again (it keeps "
        f"the {amount(_size(partial))} in {partial.name}), or choose another place with -o",
        again="",
    )


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """The first byte of the answer's body within the file, and the file's size if it is known."""
    if response.status_code == 206:
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match:
            return int(match[1]), int(match[2]) if match[2] != "*" else None
        return -1, None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _total_of(response: requests.Response) -> int | None:
    match = re.match(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _validator(response: requests.Response) -> str | None:
    # A weak ETag promises the same meaning, not the same bytes (RFC 9110, section 13.1.5).
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _same(earlier: dict[str, Any], now: dict[str, Any]) -> bool:
    # A 206 need not repeat the ETag, but one that differs is another file.
    validators = (None, earlier.get("validator"))
    return earlier.get("total") == now["total"] and now["validator"] in validators


def partial_path(target: Path) -> Path:
    """Where the bytes are collected until the file is complete.

    >>> partial_path(Path("a.zip")).name
    'a.zip.partial'
    """
    return target.with_name(target.name + ".partial")


def discard(partial: Path) -> None:
    """Remove a partial file and its identity."""
    partial.unlink(missing_ok=True)
    _identity_path(partial).unlink(missing_ok=True)


def _identity_path(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _read_identity(partial: Path) -> dict[str, Any]:
    """The identity of the file that a partial file belongs to; empty where it is not known."""
    try:
        identity = from_json(read_text(_identity_path(partial)))
    except (OSError, ValueError):
        return {}
    # Without a validator nothing proves that the rest belongs to the same file.
    return identity if isinstance(identity, dict) and identity.get("validator") else {}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def checksum_of(path: Path, kind: str = "sha256") -> str:
    """The checksum of a file as "md5:..." or "sha256:...": a check against damage."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return f"{kind}:{digest.hexdigest()}"


def looks_like(path: Path) -> str:
    """What an unexpected file seems to be.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a").write_text(" <!DOCTYPE html><html>")
    ...     looks_like(Path(folder) / "a")
    'a web page (a sign-in or error page, perhaps of a proxy)'
    """
    with path.open("rb") as file:
        head = file.read(512)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "an empty file"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page (a sign-in or error page, perhaps of a proxy)"
    if text.startswith((b"<?xml", b"{", b"[")):
        return "a message of the server: " + head[:120].decode("utf-8", "replace").strip()
    return "other or damaged data"
