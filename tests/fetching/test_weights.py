"""Weights from a hub on 127.0.0.1: what is asked, what is kept, and every way to fail."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eosin.errors import CredentialsError, DownloadError, MissingExtraError, RunError
from eosin.fetching import downloads, servers
from eosin.fetching import hub as hub_files
from eosin.fetching.downloads import DiskError, Watcher
from eosin.fetching.weights import obtain, revision_of

REPOSITORY = "lab/encoder"
BODY = bytes(range(256)) * 2000


@dataclass(frozen=True)
class Spec:
    title: str = "Encoder-1"
    hub: str = REPOSITORY
    revision: str = "c" * 40
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    licence: str = "CC-BY-NC-4.0"
    gated: bool = False
    commercial: bool = False
    page: str = "models.example/lab/encoder"


class Seen(Watcher):
    def __init__(self) -> None:
        self.names: set[str] = set()
        self.notes: list[str] = []

    def progress(self, name: str, done: int, total: int | None) -> None:
        self.names.add(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE", servers.Patience(attempts=3, backoff_s=0.01))


@pytest.fixture
def published(hub: Any) -> Any:
    hub.files |= {
        (REPOSITORY, "model.safetensors"): BODY,
        (REPOSITORY, "config.json"): b'{"a": 1}',
    }
    return hub


def left(cache: Path) -> list[str]:
    """Files in the cache that hold bytes of a download: blobs, whole or in part."""
    return sorted(path.name for path in cache.glob("models--*/blobs/*"))


def test_fetched_once_then_from_the_cache(published: Any, tmp_path: Path) -> None:
    said: list[str] = []
    seen = Seen()
    path = obtain(Spec(), say=said.append, watcher=seen)
    assert path.read_bytes() == BODY
    assert path.is_relative_to(tmp_path / "cache")
    assert path.name == "model.safetensors"
    assert revision_of(path) == "c" * 40
    assert (path.parent / "config.json").read_bytes() == b'{"a": 1}'
    assert said == ["Encoder-1: license CC-BY-NC-4.0, no commercial use"]
    assert seen.names == {"model.safetensors", "config.json"}
    published.asked.clear()
    assert obtain(Spec(), say=said.append) == path
    assert published.asked == []
    assert said[-1] == f"Encoder-1: weights from the cache ({path})"


def test_the_hubs_own_client_finds_what_was_fetched(published: Any, tmp_path: Path) -> None:
    import huggingface_hub

    path = obtain(Spec(revision=""))
    published.asked.clear()
    found = huggingface_hub.hf_hub_download(
        REPOSITORY, "model.safetensors", cache_dir=tmp_path / "cache", local_files_only=True
    )
    assert Path(found) == path


def test_an_unpinned_revision_is_said_and_recorded(published: Any) -> None:
    said: list[str] = []
    path = obtain(Spec(revision="", gated=True, commercial=True), say=said.append)
    assert said[0] == (
        "Encoder-1: license CC-BY-NC-4.0; gated: request access at models.example/lab/encoder"
    )
    assert said[1] == "Encoder-1: no commit is pinned; using main and recording its commit"
    assert revision_of(path) == "c" * 40
    assert obtain(Spec(revision="")) == path


def test_another_revision_may_be_asked_for(published: Any) -> None:
    published.revisions.add("v2")
    path = obtain(Spec(revision="0" * 40), revision="v2")
    assert path.read_bytes() == BODY
    with pytest.raises(DownloadError, match=r"has no revision 0{40}.*--revision"):
        obtain(Spec(revision="0" * 40))


def test_the_next_name_is_tried(hub: Any) -> None:
    hub.files[REPOSITORY, "pytorch_model.bin"] = BODY
    assert obtain(Spec()).name == "pytorch_model.bin"
    hub.files = {(REPOSITORY, "README.md"): b""}
    with pytest.raises(DownloadError, match=r"none of model\.safetensors, pytorch_model\.bin"):
        obtain(Spec(revision=""))


def test_weights_in_parts(hub: Any) -> None:
    parts = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    index = {"weight_map": {"a": parts[0], "b": parts[1], "c": parts[0]}}
    hub.files |= {(REPOSITORY, name): name.encode() for name in parts}
    hub.files[REPOSITORY, "model.safetensors.index.json"] = json.dumps(index).encode()
    hub.large |= set(parts)
    path = obtain(Spec())
    assert path.name == "model.safetensors.index.json"
    assert [(path.parent / name).read_text() for name in parts] == parts
    hub.asked.clear()
    assert obtain(Spec()) == path
    assert hub.asked == []
    # A part that was removed is fetched again.
    (path.parent / parts[1]).unlink()
    assert obtain(Spec()) == path
    assert (path.parent / parts[1]).is_file()
    del hub.files[REPOSITORY, parts[1]]
    (path.parent / parts[1]).unlink()
    with pytest.raises(DownloadError, match=f"lists {parts[1]} but does not have it"):
        obtain(Spec())


def test_given_weights_need_no_hub(hub: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.touch()
    assert obtain(Spec(gated=True), file=file) == file
    assert obtain(Spec(), file=tmp_path) == tmp_path
    assert hub.asked == []
    with pytest.raises(RunError, match="no such file or folder"):
        obtain(Spec(), file=tmp_path / "b.safetensors")


# Gates and tokens


def test_a_gate_without_a_token(published: Any, tmp_path: Path) -> None:
    published.tokens[REPOSITORY] = {"right"}
    with pytest.raises(CredentialsError) as caught:
        obtain(Spec(gated=True))
    assert "Encoder-1 is gated. Request access at models.example/lab/encoder" in str(caught.value)
    assert "HF_TOKEN" in str(caught.value)
    assert left(tmp_path / "cache") == []


def test_a_gate_that_is_not_in_the_table(published: Any) -> None:
    published.tokens[REPOSITORY] = {"right"}
    with pytest.raises(CredentialsError, match="is gated"):
        obtain(Spec(gated=False))


def test_a_gate_with_a_token_that_has_no_access(published: Any) -> None:
    published.tokens[REPOSITORY] = {"right"}
    with pytest.raises(CredentialsError, match="access is not granted yet"):
        obtain(Spec(gated=True), token="wrong")


@pytest.mark.parametrize("way", ["argument", "environment", "login"])
def test_a_gate_with_the_token(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    published.tokens[REPOSITORY] = {"right"}
    if way == "environment":
        monkeypatch.setenv("HF_TOKEN", "right")
    if way == "login":
        (tmp_path / "token").write_text("right")
    path = obtain(Spec(gated=True), token="right" if way == "argument" else None)
    assert path.read_bytes() == BODY
    hub_asked = published.of("GET", "model.safetensors")
    assert hub_asked[0]["authorization"] == "Bearer right"
    # The file store is another host: the token stays with the hub.
    assert hub_asked[1].path.startswith("/store/")
    assert hub_asked[1]["authorization"] is None


def test_a_wrong_token(published: Any) -> None:
    published.faults["HEAD", "model.safetensors"] = [401]
    with pytest.raises(CredentialsError, match="the token is wrong or expired"):
        obtain(Spec(), token="wrong")


def test_an_unknown_repository(published: Any) -> None:
    with pytest.raises(DownloadError, match="has no lab/other, or hides it"):
        obtain(Spec(hub="lab/other"))


# Connections


def test_a_broken_connection_goes_on(published: Any) -> None:
    published.faults["GET", "model.safetensors"] = [("drop", 100_000), ("drop", 50_000)]
    seen = Seen()
    assert obtain(Spec(), watcher=seen).read_bytes() == BODY
    ranges = [a["range"] for a in published.of("GET", "model.safetensors") if "store" in a.path]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert any(note.startswith("model.safetensors: resuming at 100.0 kB") for note in seen.notes)


def test_an_ended_run_is_taken_up_by_the_next(published: Any, tmp_path: Path) -> None:
    published.faults["GET", "model.safetensors"] = [("drop", 70_000), ("drop", 0), ("drop", 0)]
    with pytest.raises(DownloadError, match=r"attempts in a row.*are kept in"):
        obtain(Spec())
    assert not list((tmp_path / "cache").glob("models--*/snapshots/*/model.safetensors"))
    published.asked.clear()
    assert obtain(Spec()).read_bytes() == BODY
    ranges = [a["range"] for a in published.of("GET", "model.safetensors") if "store" in a.path]
    assert ranges == ["bytes=70000-"]
    assert not [name for name in left(tmp_path / "cache") if "partial" in name]


def test_a_hub_that_is_busy(published: Any) -> None:
    published.faults["HEAD", "model.safetensors"] = [503, 429]
    published.faults["GET", "model.safetensors"] = [500]
    assert obtain(Spec()).read_bytes() == BODY
    published.faults["HEAD", "model.safetensors"] = [503] * 3
    shutil.rmtree(os.environ["HF_HUB_CACHE"])
    with pytest.raises(DownloadError, match=r"answered 503 \(3 attempts\).*--weights FILE"):
        obtain(Spec())


def test_no_network(published: Any) -> None:
    with pytest.raises(DownloadError) as caught:
        obtain(Spec(), endpoint="http://127.0.0.1:9")
    assert "no connection to http://127.0.0.1:9" in str(caught.value)
    assert (
        "or download model.safetensors or pytorch_model.bin from models.example/lab/encoder on "
        "another machine and pass it with --weights FILE"
    ) in str(caught.value)


def test_a_network_that_is_lost_before_the_name_is_given(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are there, but the client asks once more before it files them."""
    import huggingface_hub

    def lost(*_: Any, **__: Any) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lost)
    with pytest.raises(DownloadError, match="no connection to"):
        obtain(Spec())
    monkeypatch.undo()


def test_a_server_that_is_no_hub(published: Any) -> None:
    published.commit = ""
    with pytest.raises(DownloadError, match="does not answer as a model hub"):
        obtain(Spec(revision=""))


def test_offline_is_heeded(published: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE forbids a download.*--weights FILE"):
        obtain(Spec())
    assert published.asked == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    path = obtain(Spec())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert obtain(Spec()) == path


# Bytes and disks


@pytest.mark.parametrize("wrong", [BODY[:-1], BODY + b"x", b"y" + BODY[1:]])
def test_a_damaged_file_is_refused(published: Any, tmp_path: Path, wrong: bytes) -> None:
    published.faults["GET", "model.safetensors"] = [wrong]
    with pytest.raises(DownloadError, match=r"model\.safetensors came damaged"):
        obtain(Spec())
    assert left(tmp_path / "cache") == []
    assert obtain(Spec()).read_bytes() == BODY


def test_a_damaged_small_file_is_refused(published: Any) -> None:
    published.faults["GET", "config.json"] = [b'{"a": 2}']
    with pytest.raises(DownloadError, match=r"config\.json came damaged"):
        obtain(Spec())


class FullDisk:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def write(self, chunk: Any) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written: int = self._file.write(chunk[: self._room])
        self._room -= written
        return written


def test_a_disk_that_fills_up(
    published: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = downloads._write

    def write(file: Any, chunk: bytes, *rest: Any) -> None:
        real(FullDisk(file, 90_000), chunk, *rest)

    monkeypatch.setattr(downloads, "_write", write)
    with pytest.raises(DiskError, match=r"Encoder-1: the disk is full.*HF_HUB_CACHE"):
        obtain(Spec())
    assert not list((tmp_path / "cache").glob("models--*/snapshots/*/model.safetensors"))
    monkeypatch.setattr(downloads, "_write", real)
    published.asked.clear()
    assert obtain(Spec()).read_bytes() == BODY
    ranges = [a["range"] for a in published.of("GET", "model.safetensors") if "store" in a.path]
    assert ranges == ["bytes=90000-"]


def test_too_little_room_is_seen_before(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1))  # type: ignore[attr-defined]
    with pytest.raises(DiskError, match=r"the disk is full for a file of 512\.0 kB"):
        obtain(Spec())


def test_a_cache_that_cannot_be_written(published: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"cannot be written .*HF_HUB_CACHE"):
        obtain(Spec(), cache=tmp_path / "file" / "cache")


# The client


def test_nothing_is_told_of_the_machine(published: Any) -> None:
    obtain(Spec())
    for asked in published.asked:
        assert "torch" not in (asked["user-agent"] or "")


def test_telemetry_is_off_and_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys; from eosin.fetching import weights; "
        "assert 'huggingface_hub' not in sys.modules; "
        "from eosin.fetching.hub import client; client(); "
        "from huggingface_hub import constants; assert constants.HF_HUB_DISABLE_TELEMETRY; "
        "assert not {'torch', 'timm', 'transformers'} & set(sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"eosin\[pretrained\]"):
        hub_files.client()
