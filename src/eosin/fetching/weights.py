"""Published weights of an encoder: from the user's file, the hub's cache, or a download."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from eosin.errors import DownloadError, RunError
from eosin.fetching import servers
from eosin.fetching.downloads import Watcher
from eosin.fetching.hub import COMMIT, Place, by_hand, client, fetch_file
from eosin.records.encoder import EncoderSpec
from eosin.texts import from_json, read_text

_YES = ("1", "on", "true", "yes")


def obtain(
    spec: EncoderSpec,
    *,
    file: Path | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    cache: Path | None = None,
    revision: str | None = None,
    say: Callable[[str], object] = lambda text: None,
    watcher: Watcher | None = None,
) -> Path:
    """The file with the weights: the user's own, else from the hub's cache, else fetched.

    file: a weights file or folder of the user's. token: of the hub; by default HF_TOKEN or the
    login of the hub's client. endpoint: by default HF_ENDPOINT. cache: by default HF_HUB_CACHE.
    revision: a commit instead of the table's. say: receives license and gate before a download.
    Returns the file, or the index of weights that come in several parts.

    Raises RunError when ``file`` does not exist, CredentialsError without access to a gated model,
    DownloadError when the weights cannot be fetched (HF_HUB_OFFLINE counts), MissingExtraError
    without the hub's client.
    """
    if file is not None:
        if not file.exists():
            raise RunError(f"{file}: no such file or folder; --weights needs one")
        return file
    hub, environ = client(), os.environ
    home = environ.get("HF_HOME") and Path(environ["HF_HOME"]) / "hub"
    endpoint = endpoint or environ.get("HF_ENDPOINT") or hub.constants.ENDPOINT
    place = Place(
        spec=spec,
        revision=revision or spec.revision or "main",
        endpoint=str(endpoint).rstrip("/"),
        cache=cache or Path(environ.get("HF_HUB_CACHE") or home or hub.constants.HF_HUB_CACHE),
        token=token or hub.get_token(),
        watcher=watcher or Watcher(),
        patience=servers.PATIENCE,
    )
    if here := _cached(hub, place):
        say(f"{spec.title}: weights from the cache ({here})")
        return here
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in _YES:
        raise DownloadError(
            f"{spec.title}: the weights are not in {place.cache} and HF_HUB_OFFLINE forbids a "
            f"download; unset it, {by_hand(spec)}"
        )
    use = "" if spec.commercial else ", no commercial use"
    gate = f"; gated: request access at {spec.page}" if spec.gated else ""
    say(f"{spec.title}: license {spec.licence}{use}{gate}")
    if not COMMIT.fullmatch(place.revision):
        say(f"{spec.title}: no commit is pinned; using {place.revision} and recording its commit")
    return _fetch(hub, place, say)


def revision_of(path: Path) -> str:
    """The commit that a file in the hub's cache belongs to; "" for a file elsewhere.

    >>> revision_of(Path("hub/models--a--b/snapshots") / ("0" * 40) / "model.safetensors")[:4]
    '0000'
    """
    for before, name in pairwise(path.parts):
        if before == "snapshots" and COMMIT.fullmatch(name):
            return name
    return ""


def _cached(hub: Any, place: Place) -> Path | None:
    """The weights in the cache, if they are complete."""
    for name in _candidates(place.spec):
        cached = hub.try_to_load_from_cache(
            place.spec.hub, name, cache_dir=place.cache, revision=place.revision
        )
        if isinstance(cached, str):
            path = Path(cached)
            parts = _parts(path) if name.endswith(".index.json") else []
            if all((path.parent / part).is_file() for part in parts):
                return path
    return None


def _candidates(spec: EncoderSpec) -> list[str]:
    return [each for name in spec.files for each in (name, f"{name}.index.json")]


def _parts(index: Path) -> list[str]:
    """The file names in an index of parts."""
    try:
        return sorted({str(v) for v in from_json(read_text(index))["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"{index} is not a list of parts ({error})") from None


def _fetch(hub: Any, place: Place, say: Callable[[str], object]) -> Path:
    spec = place.spec
    for name in _candidates(spec):
        path = fetch_file(hub, place, name, say)
        if path is None:
            continue
        for part in _parts(path) if name.endswith(".index.json") else ():
            if fetch_file(hub, place, part, say) is None:
                raise DownloadError(f"{spec.page} lists {part} but does not have it")
        # Comes with the weights of transformers; it has what no shape shows.
        fetch_file(hub, place, "config.json", say)
        return path
    raise DownloadError(
        f"{spec.page} at {place.revision} has none of {', '.join(spec.files)}; download weights "
        "from it and pass them with --weights FILE"
    )
