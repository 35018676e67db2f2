"""One file of a model hub, into the cache of the hub's own client: resumed, and checked.

The client makes the addresses, finds the token and keeps the cache, so that other programs can use
what is fetched here. The bytes come through eosin.fetching.downloads: the client restarts from zero
after a stop, and a file of several gigabytes should not.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import requests

from eosin.disks import amount
from eosin.errors import (
    CredentialsError,
    DiskError,
    DownloadError,
    EosinError,
    first_line,
    needing,
)
from eosin.fetching.downloads import Watcher, download
from eosin.fetching.servers import Patience, TryAgain, get, refuse_status
from eosin.records.encoder import EncoderSpec

#: A commit, and the git checksum of a small file.
COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: The page where tokens are made.
_TOKENS = "huggingface.co/settings/tokens"
_Answer = TypeVar("_Answer")
#: How often the hub is asked about a file.
_QUESTIONS = 3
#: Smaller files come without a message.
_WORTH_SAYING_BYTES = 1 << 20


@dataclass(frozen=True)
class Place:
    """Where weights are looked for, and with which rights."""

    spec: EncoderSpec
    revision: str  #: a commit, or "main" where none is pinned
    endpoint: str
    cache: Path
    token: str | None
    watcher: Watcher
    patience: Patience


def client() -> Any:
    """The hub's client, set not to report what is used."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with needing("pretrained", "fetching weights"):
        import huggingface_hub
        from huggingface_hub import constants
    # It reads the variable once, when it is imported.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def by_hand(spec: EncoderSpec) -> str:
    """What to do without a connection."""
    return (
        f"or download {' or '.join(spec.files)} from {spec.page} on another machine and pass it "
        "with --weights FILE"
    )


def fetch_file(hub: Any, place: Place, name: str, say: Callable[[str], object]) -> Path | None:
    """One file of the repository, in the cache; None where the repository does not have it."""
    from huggingface_hub import file_download, utils
    from huggingface_hub.errors import EntryNotFoundError

    url = hub.hf_hub_url(place.spec.hub, name, revision=place.revision, endpoint=place.endpoint)
    try:
        file = _patiently(place, lambda: hub.get_hf_file_metadata(url, token=place.token or False))
    except EntryNotFoundError:
        return None
    if not file.commit_hash or not file.etag:
        raise _no_hub(place)
    folder = place.cache / file_download.repo_folder_name(repo_id=place.spec.hub, repo_type="model")
    blob = folder / "blobs" / str(file.etag)
    if not blob.exists():
        if file.size and file.size >= _WORTH_SAYING_BYTES:
            say(f"{place.spec.title}: {name}, {amount(file.size)}, from {place.endpoint}")
        lock = place.cache / ".locks" / folder.name / f"{file.etag}.eosin.lock"
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            blob.parent.mkdir(parents=True, exist_ok=True)
            with utils.WeakFileLock(lock):
                if not blob.exists():
                    _body(place, url, blob, name, file)
        except DiskError as error:
            text = str(error).replace(" with -o", " with HF_HUB_CACHE")
            raise DiskError(f"{place.spec.title}: {text}", again="") from None
        except EosinError:
            raise
        except OSError as error:
            raise DiskError(
                f"{place.cache} cannot be written ({error.strerror or error}); choose another "
                "place with HF_HUB_CACHE",
                again="",
            ) from None
    # The client gives the bytes their name in the cache.
    options = {"revision": place.revision, "cache_dir": place.cache, "endpoint": place.endpoint}
    options["token"] = place.token or False
    return Path(_patiently(place, lambda: hub.hf_hub_download(place.spec.hub, name, **options)))


def _patiently(place: Place, ask: Callable[[], _Answer]) -> _Answer:
    """The hub's answer, with fewer retries than for the bytes."""
    attempts = min(place.patience.attempts, _QUESTIONS)
    failures = 0
    while True:
        try:
            with _sentences(place):
                return ask()
        except TryAgain as error:
            failures += 1
            if failures >= attempts:
                raise DownloadError(
                    f"{place.spec.title}: {error} ({failures} attempts), {by_hand(place.spec)}"
                ) from None
            time.sleep(place.patience.wait_s(failures))


@contextmanager
def _sentences(place: Place) -> Iterator[None]:
    """Turn what the hub's client raises into a sentence, or into TryAgain."""
    from huggingface_hub import errors

    spec = place.spec
    try:
        yield
    except errors.LocalEntryNotFoundError:
        raise TryAgain(f"no connection to {place.endpoint}") from None
    except errors.EntryNotFoundError:
        raise
    except errors.RevisionNotFoundError:
        raise DownloadError(
            f"{spec.page} has no revision {place.revision}; choose another with --revision, "
            f"{by_hand(spec)}"
        ) from None
    except errors.GatedRepoError:
        _closed(place)
    except errors.RepositoryNotFoundError:
        if spec.gated:
            _closed(place)
        raise DownloadError(
            f"{place.endpoint} has no {spec.hub}, or hides it from you; see {spec.page}, and "
            "set HF_TOKEN if it needs a token"
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        reason = f"{place.endpoint} answered {status}"
        if status == 401 and place.token:
            raise CredentialsError(
                f"{reason}: the token is wrong or expired; create a new one at {_TOKENS}"
            ) from None
        if status in (401, 403) and spec.gated:
            _closed(place)
        if status in (408, 429) or status >= 500:
            raise TryAgain(reason) from None
        raise DownloadError(f"{spec.title}: {reason}, {by_hand(spec)}") from None
    except errors.FileMetadataError:
        raise _no_hub(place) from None
    except _connection_errors() as error:
        raise TryAgain(f"no connection to {place.endpoint} ({first_line(error)})") from None


def _no_hub(place: Place) -> DownloadError:
    return DownloadError(
        f"{place.endpoint} does not answer as a model hub; check HF_ENDPOINT and any proxy"
    )


def _connection_errors() -> tuple[type[Exception], ...]:
    """What the client's web library raises; which one that is depends on the client's version."""
    names = {"httpx2": "HTTPError", "httpx": "HTTPError", "requests": "RequestException"}
    kinds = (getattr(sys.modules.get(module), name, None) for module, name in names.items())
    return (ConnectionError, TimeoutError, *filter(None, kinds))


def _closed(place: Place) -> NoReturn:
    spec = place.spec
    if place.token is None:
        raise CredentialsError(
            f"{spec.title} is gated. Request access at {spec.page}, create a token at {_TOKENS} "
            "and pass it with HF_TOKEN or --token (or log in once with: hf auth login)"
        ) from None
    raise CredentialsError(
        f"{place.endpoint} refused {spec.title} to this token: access is not granted yet, or the "
        f"token may not read gated models. See {spec.page} and {_TOKENS}"
    ) from None


def _body(place: Place, url: str, blob: Path, name: str, file: Any) -> None:
    """Fetch the bytes to the cache, resuming an earlier attempt, and check them."""
    secret = {"Authorization": f"Bearer {place.token}"} if place.token else {}

    def open_at(start: int, validator: str | None, patience: Patience) -> requests.Response:
        # requests takes the token off when it is sent on to another host.
        headers = {"User-Agent": "eosin", **secret}
        where = place.endpoint
        response = get(url, start, validator, patience, where=where, headers=headers)
        if response.status_code in (401, 403):
            response.close()
            if response.history:
                raise TryAgain(f"the file store answered {response.status_code}")
            _closed(place)
        refuse_status(response, f"{place.spec.title}, {name}")
        return response

    def check(path: Path) -> None:
        size, reason = path.stat().st_size, ""
        if file.size is not None and size != file.size:
            reason = f"it has {size} bytes and should have {file.size}"
        elif not _is(path, str(file.etag)):
            reason = "its checksum is not the hub's"
        if reason:
            raise DownloadError(f"{name} came damaged: {reason}; run the command again")

    download(open_at, blob, check=check, patience=place.patience, watcher=_Named(place, blob, name))


class _Named(Watcher):
    """Shows the file's name, where the cache names it by its checksum."""

    def __init__(self, place: Place, blob: Path, name: str) -> None:
        self._watcher, self._blob, self._name = place.watcher, blob.name, name

    def progress(self, name: str, done: int, total: int | None) -> None:
        self._watcher.progress(self._name, done, total)

    def note(self, text: str) -> None:
        self._watcher.note(text.replace(self._blob, self._name))


def _is(path: Path, etag: str) -> bool:
    """Whether a file is the one of the hub's ETag.

    Large files have their SHA-256 as ETag, small ones git's SHA-1 of a blob; another form of ETag
    proves nothing.
    """
    if _SHA256.fullmatch(etag):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == etag
    if COMMIT.fullmatch(etag):
        data = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
        return blob.hexdigest() == etag
    return True
