"""Downloads against a real server on 127.0.0.1, with the real Kaggle client."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eosin.errors import CredentialsError, DiskError, DownloadError, MissingExtraError, UserError
from eosin.fetching import downloads, fetch, kaggle, servers
from eosin.fetching.archives import ARCHIVES, Item
from eosin.fetching.downloads import Watcher, checksum_of, download, partial_path
from eosin.fetching.servers import Patience, open_url

QUICK = Patience(attempts=3, backoff_s=0.01, longest_wait_s=0.02, connect_s=2, read_s=2)
API = "/api/v1/datasets.DatasetApiService/DownloadDataset"
STORAGE = "/storage/archive.zip"


class Heard(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.seen: list[tuple[str, int, int | None]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, name: str, done: int, total: int | None) -> None:
        self.seen.append((name, done, total))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE", QUICK)
    monkeypatch.setattr(downloads, "CHUNK_BYTES", 1 << 14)


def some_bytes(count: int = 200_000, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(count)


def a_zip(members: int = 3, size: int = 40_000) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(members):
            archive.writestr(f"8863/0/{number}.png", some_bytes(size, number))
    return target.getvalue()


def is_md5(wanted: bytes) -> Any:
    def check(path: Path) -> None:
        if path.read_bytes() != wanted:
            raise DownloadError("wrong checksum")

    return check


def nothing_but(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


# The resumable writer


def test_a_file_arrives_whole(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/a"] = some_bytes()
    heard = Heard()
    download(
        open_url(file_server.url + "/a"), tmp_path / "new" / "a", check=is_md5(body), watcher=heard
    )
    assert (tmp_path / "new" / "a").read_bytes() == body
    assert nothing_but(tmp_path / "new", "a")
    assert heard.seen[0] == ("a", 0, len(body))
    assert heard.seen[-1] == ("a", len(body), len(body))
    assert heard.notes == []


def test_a_broken_connection_goes_on_where_it_ended(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/a"] = some_bytes()
    file_server.faults["/a"] = [("drop", 50_000), ("drop", 70_001)]
    heard = Heard()
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body), watcher=heard)
    assert (tmp_path / "a").read_bytes() == body
    first, second, third = file_server.of("/a")
    assert first["Range"] is None
    assert second["Range"] == "bytes=50000-"
    assert second["If-Range"] == third["If-Range"] == file_server.etag("/a")
    assert third["Range"] == "bytes=120001-"
    assert "trying again" in heard.notes[0]
    assert "resuming at" in heard.notes[1]


def test_a_later_run_goes_on(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/a"] = some_bytes()
    file_server.faults["/a"] = [("drop", 50_000), ("drop", 0), ("drop", 0)]
    opener = open_url(file_server.url + "/a")
    with pytest.raises(DownloadError, match=r"50\.0 kB are kept in .*a\.partial.*same command"):
        download(opener, tmp_path / "a", check=is_md5(body))
    assert not (tmp_path / "a").exists()
    assert partial_path(tmp_path / "a").read_bytes() == body[:50_000]
    download(opener, tmp_path / "a", check=is_md5(body))
    assert (tmp_path / "a").read_bytes() == body
    assert file_server.of("/a")[-1]["Range"] == "bytes=50000-"
    assert nothing_but(tmp_path, "a")


def test_a_run_ended_before_the_renaming(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/a"] = some_bytes()
    partial = partial_path(tmp_path / "a")
    partial.write_bytes(body)
    identity = {"validator": file_server.etag("/a"), "total": len(body)}
    partial.with_name("a.partial.json").write_text(json.dumps(identity))
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body))
    assert nothing_but(tmp_path, "a")


@pytest.mark.parametrize("identity", ["", "[]", '{"validator": null, "total": 9}', "{"])
def test_a_partial_of_unknown_origin_is_not_used(
    file_server: Any, tmp_path: Path, identity: str
) -> None:
    body = file_server.files["/a"] = some_bytes()
    partial_path(tmp_path / "a").write_bytes(b"something else")
    (tmp_path / "a.partial.json").write_text(identity)
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body))
    assert file_server.of("/a")[0]["Range"] is None
    assert (tmp_path / "a").read_bytes() == body


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_changed_between_attempts_starts_anew(
    file_server: Any, tmp_path: Path, ranges: bool
) -> None:
    file_server.files["/a"] = some_bytes(seed=1)
    file_server.ranges = ranges
    body = some_bytes(180_000, seed=2)

    def drop_and_change(handler: Any) -> None:
        file_server.send_file(handler, "/a", {}, drop_after=60_000)
        file_server.files["/a"] = body

    file_server.faults["/a"] = [drop_and_change]
    heard = Heard()
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body), watcher=heard)
    assert (tmp_path / "a").read_bytes() == body
    assert any("from zero" in note for note in heard.notes)


def test_a_server_that_ignores_if_range_cannot_mix_two_files(
    file_server: Any, tmp_path: Path
) -> None:
    file_server.files["/a"] = some_bytes(seed=1)
    body = some_bytes(seed=2)

    def careless(handler: Any) -> None:
        file_server.send_file(handler, "/a", {"range": handler.headers["Range"]})

    def drop_and_change(handler: Any) -> None:
        file_server.send_file(handler, "/a", {}, drop_after=60_000)
        file_server.files["/a"] = body

    file_server.faults["/a"] = [drop_and_change, careless]
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body))
    assert (tmp_path / "a").read_bytes() == body


def test_a_server_without_ranges_sends_all_again(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/a"] = some_bytes()
    file_server.ranges = False
    file_server.faults["/a"] = [("drop", 50_000)]
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body))
    assert (tmp_path / "a").read_bytes() == body
    assert file_server.of("/a")[1]["Range"] == "bytes=50000-"


def test_a_server_without_etag_or_date_sends_all_again(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/a"] = some_bytes()
    file_server.etags = False
    file_server.faults["/a"] = [("drop", 50_000)]
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body))
    assert (tmp_path / "a").read_bytes() == body
    assert file_server.of("/a")[1]["Range"] is None


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_failing_server_is_asked_again(file_server: Any, tmp_path: Path, status: int) -> None:
    body = file_server.files["/a"] = some_bytes(1000)
    file_server.faults["/a"] = [status, status]
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body))
    assert len(file_server.of("/a")) == 3


def test_patience_ends(file_server: Any, tmp_path: Path) -> None:
    file_server.files["/a"] = b"x"
    file_server.faults["/a"] = [500] * 9
    with pytest.raises(DownloadError, match=r"500.*3 attempts in a row"):
        download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(b"x"))
    assert len(file_server.of("/a")) == 3
    assert nothing_but(tmp_path)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(file_server: Any, tmp_path: Path, status: int) -> None:
    file_server.files["/a"] = b"x"
    file_server.faults["/a"] = [status]
    with pytest.raises(DownloadError, match=str(status)):
        download(open_url(file_server.url + "/a"), tmp_path / "new" / "a", check=is_md5(b"x"))
    assert len(file_server.of("/a")) == 1
    assert not (tmp_path / "new").exists(), "a refused download leaves no folder"


def test_redirects_keep_the_range(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/there"] = some_bytes()

    def move(handler: Any) -> None:
        file_server.send(handler, 302, b"", {"Location": file_server.url + "/there"})

    file_server.faults["/a"] = [move, move]
    file_server.faults["/there"] = [("drop", 30_000)]
    download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(body))
    assert (tmp_path / "a").read_bytes() == body
    assert file_server.of("/there")[1]["Range"] == "bytes=30000-"


def test_endless_redirects_are_named(file_server: Any, tmp_path: Path) -> None:
    def loop(handler: Any) -> None:
        file_server.send(handler, 302, b"", {"Location": file_server.url + "/a"})

    file_server.faults["/a"] = [loop] * 40
    with pytest.raises(DownloadError, match="redirects"):
        download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(b""))


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DownloadError, match=r"Connection refused.*3 attempts") as caught:
        download(open_url("http://127.0.0.1:9/a?sig=secret"), tmp_path / "a", check=is_md5(b""))
    assert "secret" not in str(caught.value)


def test_a_silent_server_is_given_up(file_server: Any, tmp_path: Path) -> None:
    def stall(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.flush()
        handler.connection.settimeout(5)
        handler.rfile.read(1)  # Until the other side has gone.

    file_server.faults["/a"] = [stall] * 2
    short = Patience(attempts=2, backoff_s=0.01, connect_s=1, read_s=0.1)
    with pytest.raises(DownloadError, match="no answer from the server in time"):
        download(
            open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(b""), patience=short
        )


def test_an_encoded_answer_is_stored_as_it_is(file_server: Any, tmp_path: Path) -> None:
    # Some servers call a .gz file "Content-Encoding: gzip"; it must not be unpacked on the way.
    body = b"\x1f\x8b not really gzip"

    def encoded(handler: Any) -> None:
        file_server.send(handler, 200, body, {"Content-Encoding": "gzip"})

    file_server.faults["/a.gz"] = [encoded]
    download(open_url(file_server.url + "/a.gz"), tmp_path / "a.gz", check=is_md5(body))
    assert (tmp_path / "a.gz").read_bytes() == body
    assert file_server.of("/a.gz")[0]["Accept-Encoding"] == "identity"


def test_disk_full_in_the_middle_keeps_what_came(
    file_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = file_server.files["/a"] = some_bytes()
    real = Path.open

    class Filling(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return Filling(path, "a") if mode == "ab" else real(path, mode, *args, **kwargs)

    opener = open_url(file_server.url + "/a")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(DiskError, match=r"disk is full.*200\.0 kB.*more are needed.*free"):
            download(opener, tmp_path / "a", check=is_md5(body))
    kept = partial_path(tmp_path / "a").read_bytes()
    assert 0 < len(kept) <= 100_000
    assert body.startswith(kept)
    assert len(file_server.of("/a")) == 1
    download(opener, tmp_path / "a", check=is_md5(body))
    assert file_server.of("/a")[1]["Range"] == f"bytes={len(kept)}-"
    assert (tmp_path / "a").read_bytes() == body


def test_too_little_room_is_told_before_the_first_byte(
    file_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_server.files["/a"] = some_bytes()
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000, "total": 5000})
    )
    with pytest.raises(DiskError, match=r"200\.0 kB more are needed, 1\.0 kB are free"):
        download(open_url(file_server.url + "/a"), tmp_path / "a", check=is_md5(b""))


def test_ctrl_c_keeps_what_came(file_server: Any, tmp_path: Path) -> None:
    body = file_server.files["/a"] = some_bytes()

    class Impatient(Watcher):
        def progress(self, name: str, done: int, total: int | None) -> None:
            if done > 40_000:
                raise KeyboardInterrupt

    opener = open_url(file_server.url + "/a")
    with pytest.raises(KeyboardInterrupt):
        download(opener, tmp_path / "a", check=is_md5(body), watcher=Impatient())
    kept = partial_path(tmp_path / "a").stat().st_size
    assert kept > 40_000
    download(opener, tmp_path / "a", check=is_md5(body))
    assert file_server.of("/a")[1]["Range"] == f"bytes={kept}-"
    assert (tmp_path / "a").read_bytes() == body


# Zips


def test_check_zip_counts_members(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(a_zip(5, 10))
    assert fetch.check_zip(path) == 5
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a comment at the end"
    assert fetch.check_zip(path) == 5
    path.write_bytes(b"")
    with zipfile.ZipFile(path, "w"):
        pass
    assert fetch.check_zip(path) == 0


def test_check_zip_reads_the_large_form(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    count = 66_000
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    assert fetch.check_zip(path) == count


@pytest.mark.parametrize("cut", [1, 10, 30, 1000, 100_000])
def test_check_zip_finds_a_cut_file(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(a_zip()[:-cut])
    with pytest.raises(DownloadError, match=r"cut off|damaged"):
        fetch.check_zip(path)


def test_check_zip_finds_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    whole = a_zip()
    path.write_bytes(whole[:500] + whole[1500:])
    with pytest.raises(DownloadError, match="damaged zip"):
        fetch.check_zip(path)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page"),
        (b'{"message": "no"}', 'a message of the server: {"message": "no"}'),
        (b"", "an empty file"),
        (some_bytes(5000), "other or damaged data"),
    ],
)
def test_check_zip_says_what_came_instead(tmp_path: Path, body: bytes, named: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(body)
    with pytest.raises(DownloadError, match="is not a zip but") as caught:
        fetch.check_zip(path)
    assert named in str(caught.value)


# MNIST


@pytest.fixture
def mnist(file_server: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small files in place of the real ones, with their checksums."""
    real = ARCHIVES["mnist"]
    files = {item.name: some_bytes(20_000, seed) for seed, item in enumerate(real.items)}
    items = [Item(name, f"md5:{hashlib.md5(body).hexdigest()}") for name, body in files.items()]
    monkeypatch.setitem(ARCHIVES, "mnist", replace(real, items=tuple(items)))
    file_server.files |= {f"/one/{name}": body for name, body in files.items()}
    file_server.files |= {f"/two/{name}": body for name, body in files.items()}
    return files


def mirrors(file_server: Any) -> list[str]:
    return [file_server.url + "/one", file_server.url + "/two/"]


def test_mnist_from_the_first_mirror(file_server: Any, mnist: Any, tmp_path: Path) -> None:
    fetched = fetch.fetch_files(ARCHIVES["mnist"], tmp_path / "m", mirrors=mirrors(file_server))
    assert [item.path.name for item in fetched] == list(mnist)
    assert all(item.new for item in fetched)
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == mnist
    assert all(asked.path.startswith("/one/") for asked in file_server.asked)


def test_mnist_that_is_there_is_not_fetched_again(
    file_server: Any, mnist: Any, tmp_path: Path
) -> None:
    fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server))
    first = next(iter(mnist))
    (tmp_path / first).unlink()
    file_server.asked.clear()
    fetched = fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server))
    assert [item.new for item in fetched] == [True, False, False, False]
    assert [asked.path for asked in file_server.asked] == [f"/one/{first}"]
    assert (tmp_path / first).read_bytes() == mnist[first]
    fetched = fetch.fetch_files(
        ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server), force=True
    )
    assert all(item.new for item in fetched)


@pytest.mark.parametrize("force", [False, True])
def test_another_file_of_the_name_is_never_replaced(
    file_server: Any, mnist: Any, tmp_path: Path, force: bool
) -> None:
    """Fashion-MNIST has the same file names."""
    (tmp_path / list(mnist)[2]).write_bytes(b"mine")
    with pytest.raises(UserError, match=r"not the published file \(checksum\); move it away"):
        fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server), force=force)
    assert (tmp_path / list(mnist)[2]).read_bytes() == b"mine"


def test_mnist_wrong_checksum_goes_to_the_next_mirror(
    file_server: Any, mnist: Any, tmp_path: Path
) -> None:
    names = list(mnist)
    file_server.files[f"/one/{names[0]}"] = b"<html>please pay</html>"
    heard = Heard()
    fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server), watcher=heard)
    assert "wrong checksum" in heard.notes[0]
    assert "a web page" in heard.notes[0]
    assert nothing_but(tmp_path, *names)
    assert checksum_of(tmp_path / names[0], "md5") == ARCHIVES["mnist"].items[0].checksum
    # The mirror that worked is asked first from then on.
    assert file_server.of(f"/one/{names[1]}") == []


def test_mnist_every_failure_is_told_and_good_files_stay(
    file_server: Any, mnist: Any, tmp_path: Path
) -> None:
    names = list(mnist)
    del file_server.files[f"/one/{names[1]}"]
    file_server.files[f"/two/{names[1]}"] = b"other"
    with pytest.raises(DownloadError) as caught:
        fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server))
    message = str(caught.value)
    assert "1 of the 4 files of mnist" in message
    assert f"/one/{names[1]}: the server answered 404" in message
    assert "wrong checksum" in message
    assert nothing_but(tmp_path, names[0], names[2], names[3])


def test_mnist_leaves_a_mirror_that_does_not_answer(
    file_server: Any, mnist: Any, tmp_path: Path
) -> None:
    names = list(mnist)
    file_server.faults[f"/one/{names[0]}"] = [503] * 9
    fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server))
    assert nothing_but(tmp_path, *names)
    assert [asked.path for asked in file_server.asked if asked.path.startswith("/one/")] == (
        [f"/one/{names[0]}"] * 3
    )
    file_server.faults[f"/one/{names[0]}"] = [503] * 9
    with pytest.raises(DownloadError, match="no server left to try"):
        fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=mirrors(file_server)[:1], force=True)


@pytest.mark.parametrize("mirror", ["ftp://a/b", "mnist", "file:///etc", "http://"])
def test_mnist_mirror_must_be_a_web_address(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a web address"):
        fetch.fetch_files(ARCHIVES["mnist"], tmp_path, mirrors=[mirror])


@pytest.mark.real
def test_the_published_checksums_are_those_of_the_files() -> None:
    folder = Path("../shared/data/mnist")
    if not folder.is_dir():
        pytest.skip("no real MNIST files beside the project")
    for item in ARCHIVES["mnist"].items:
        assert checksum_of(folder / item.name, "md5") == item.checksum


# Kaggle


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home folder and an environment without anything of Kaggle's."""
    for name in list(os.environ):
        if name.startswith(("KAGGLE_", "XDG_CONFIG")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def service(file_server: Any, no_token: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Kaggle's service as the client sees it: it checks the token, then sends on to a file store.

    The client's own switch for tests leads it to a plain address, which the proxy setting of
    file_server leads here.
    """
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_right")
    file_server.files[STORAGE] = a_zip()

    def signed(handler: Any) -> None:
        if handler.headers["Authorization"] not in ("Bearer KGAT_right", "Basic YW5hOnMzY3JldA=="):
            file_server.send(handler, 401, b"{}", {"Content-Type": "application/json"})
            return
        # Another host name: the token must not go there.
        place = f"http://store.invalid{STORAGE}?signature=abc"
        file_server.send(handler, 302, b"", {"Location": place})

    file_server.faults[API] = [signed] * 20
    return file_server


def test_idc_arrives_as_the_zip_that_it_is(service: Any, tmp_path: Path) -> None:
    target = tmp_path / "archive.zip"
    fetched = fetch.fetch_zip(ARCHIVES["idc"], target)
    assert target.read_bytes() == service.files[STORAGE]
    assert fetched == fetch.Fetched(target, len(service.files[STORAGE]), new=True)
    assert nothing_but(tmp_path, "archive.zip")
    assert service.of(API)[0]["Authorization"] == "Bearer KGAT_right"
    assert service.of(STORAGE)[0]["Authorization"] is None
    service.asked.clear()
    assert fetch.fetch_zip(ARCHIVES["idc"], target) == fetch.Fetched(
        target, target.stat().st_size, new=False
    )
    assert service.asked == []


def test_force_replaces_the_archive_and_no_other_zip(service: Any, tmp_path: Path) -> None:
    target = tmp_path / "archive.zip"
    fetch.fetch_zip(ARCHIVES["idc"], target)
    assert fetch.fetch_zip(ARCHIVES["idc"], target, force=True).new
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("holiday/1.png", b"mine")
    before = target.read_bytes()
    with pytest.raises(UserError, match="another zip than the archive; choose another name"):
        fetch.fetch_zip(ARCHIVES["idc"], target, force=True)
    target.write_bytes(b"notes")
    with pytest.raises(UserError, match="is not a zip"):
        fetch.fetch_zip(ARCHIVES["idc"], target, force=True)
    assert target.read_bytes() == b"notes"
    assert before


def test_idc_goes_on_after_broken_connections(service: Any, tmp_path: Path) -> None:
    service.faults[STORAGE] = [("drop", 40_000), 403, ("drop", 30_000)]
    fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")
    assert (tmp_path / "archive.zip").read_bytes() == service.files[STORAGE]
    assert "bytes=40000-" in [asked["Range"] for asked in service.of(STORAGE)]
    # The client asks without a range first, as it cannot do otherwise; then the rest is asked for.
    assert service.of(STORAGE)[-1]["Range"] is not None
    assert service.of(STORAGE)[-1]["If-Range"] == service.etag(STORAGE)
    assert {asked["Authorization"] for asked in service.of(STORAGE)} == {None}


def test_idc_with_user_name_and_key(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_USERNAME", "ana")
    monkeypatch.setenv("KAGGLE_KEY", "s3cret")
    assert fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip").new


def test_idc_with_a_login(service: Any, no_token: Path, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (no_token / ".kaggle").mkdir()
    stored = {
        "refresh_token": "r",
        "access_token": "KGAT_right",
        "access_token_expiration": (datetime.now(UTC) + timedelta(hours=9)).isoformat(),
    }
    (no_token / ".kaggle" / "credentials.json").write_text(json.dumps(stored))
    assert fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip").new
    stored["access_token_expiration"] = "soon"
    (no_token / ".kaggle" / "credentials.json").write_text(json.dumps(stored))
    with pytest.raises(CredentialsError, match="damaged"):
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "other.zip")


def test_idc_without_a_token(service: Any, tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(CredentialsError, match="no Kaggle token found") as caught:
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")
    for step in ("1. Sign in", "2. Save it as ~/.kaggle/kaggle.json", "3. Run the same command"):
        assert step in str(caught.value)
    assert service.asked == []
    assert nothing_but(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_idc_with_a_wrong_token(service: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_wrong")
    with pytest.raises(CredentialsError, match=r"KAGGLE_API_TOKEN \(401\)") as caught:
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")
    assert "3. Run the same command" in str(caught.value)
    assert "KGAT_wrong" not in str(caught.value)
    assert len(service.of(API)) == 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_idc_with_the_terms_not_accepted(service: Any, tmp_path: Path, wrapped: bool) -> None:
    def refuse(handler: Any) -> None:
        body = b'{"code": 403, "message": "Permission denied"}'
        kind = {"Content-Type": "application/json"}
        service.send(handler, 200 if wrapped else 403, body, kind)

    service.faults[API] = [refuse]
    with pytest.raises(CredentialsError, match=r"\(403\).*terms") as caught:
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")
    assert "kaggle.com/datasets/" + ARCHIVES["idc"].kaggle in str(caught.value)


def test_idc_that_is_gone(service: Any, tmp_path: Path) -> None:
    service.faults[API] = [404]
    with pytest.raises(DownloadError, match="not found \\(404\\)"):
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")


def test_idc_from_a_failing_service(service: Any, tmp_path: Path) -> None:
    service.faults[API] = [500, 429, *service.faults[API]]
    assert fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip").new
    service.faults[API] = [500] * 9
    with pytest.raises(DownloadError, match=r"500.*3 attempts"):
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "other.zip")


def test_idc_refused_by_the_file_store_is_no_matter_of_the_token(
    service: Any, tmp_path: Path
) -> None:
    service.faults[STORAGE] = [403] * 9
    with pytest.raises(DownloadError, match="file store behind Kaggle answered 403"):
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")


def test_idc_that_is_a_web_page(service: Any, tmp_path: Path) -> None:
    service.files[STORAGE] = b"<!doctype html><html>Sign in</html>"
    with pytest.raises(DownloadError, match="is not a zip but a web page"):
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")
    assert nothing_but(tmp_path)


def test_idc_does_not_overwrite_something_else(service: Any, tmp_path: Path) -> None:
    target = tmp_path / "notes.txt"
    target.write_text("my notes")
    for force in (False, True):
        with pytest.raises(UserError, match=r"not a zip but other .*; choose another name with -o"):
            fetch.fetch_zip(ARCHIVES["idc"], target, force=force)
        assert target.read_text() == "my notes"
    target.write_bytes(a_zip()[:-9])
    with pytest.raises(UserError, match=r"incomplete zip.*; use --force to replace it, or choose"):
        fetch.fetch_zip(ARCHIVES["idc"], target)
    assert fetch.fetch_zip(ARCHIVES["idc"], target, force=True).new


def test_a_silent_kaggle_is_given_up(service: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def stall(handler: Any) -> None:
        handler.connection.settimeout(5)
        handler.rfile.read(1)

    service.faults[API] = [stall] * 2
    short = Patience(attempts=2, backoff_s=0.01, connect_s=1, read_s=0.1)
    monkeypatch.setattr(servers, "PATIENCE", short)
    with pytest.raises(DownloadError, match="no answer from the server in time"):
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")


def test_without_the_client(service: Any, tmp_path: Path, monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "kagglesdk", None)
    with pytest.raises(MissingExtraError, match=r'pip install "eosin\[kaggle\]"'):
        fetch.fetch_zip(ARCHIVES["idc"], tmp_path / "archive.zip")


# Where the token is


def test_credentials_in_the_client_s_order(no_token: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(no_token)}
    assert kaggle.find_credentials(environ) is None
    (no_token / ".config" / "kaggle").mkdir(parents=True)
    (no_token / ".config" / "kaggle" / "kaggle.json").write_text('{"username":"x","key":"k0"}')
    assert kaggle.find_credentials(environ).secret == "k0"  # type: ignore[union-attr]
    (no_token / ".kaggle").mkdir()
    (no_token / ".kaggle" / "kaggle.json").write_text('{"username":"ana","key":"k1"}')
    assert kaggle.find_credentials(environ).secret == "k1"  # type: ignore[union-attr]
    (tmp_path / "kaggle.json").write_text('{"username":"ana","key":"k2"}')
    environ["KAGGLE_CONFIG_DIR"] = str(tmp_path)
    assert kaggle.find_credentials(environ).path == tmp_path / "kaggle.json"  # type: ignore[union-attr]
    environ |= {"KAGGLE_USERNAME": "ana", "KAGGLE_KEY": "k3"}
    assert kaggle.find_credentials(environ).secret == "k3"  # type: ignore[union-attr]
    (no_token / ".kaggle" / "access_token").write_text("t1\n")
    assert kaggle.find_credentials(environ).secret == "t1"  # type: ignore[union-attr]
    environ["KAGGLE_API_TOKEN"] = str(no_token / ".kaggle" / "access_token")
    found = kaggle.find_credentials(environ)
    assert found is not None
    assert (found.where, found.secret) == ("KAGGLE_API_TOKEN", "t1")
    environ["KAGGLE_API_TOKEN"] = "t2"
    found = kaggle.find_credentials(environ)
    assert found is not None
    assert "t2" not in repr(found)


def test_a_token_file_readable_by_others_is_noticed(no_token: Path) -> None:
    path = no_token / ".kaggle" / "kaggle.json"
    path.parent.mkdir()
    path.write_text('{"username":"ana","key":"k1"}')
    path.chmod(0o600)
    found = kaggle.find_credentials()
    assert found is not None
    assert not found.readable_by_others
    path.chmod(0o644)
    assert found.readable_by_others


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("not json", "is not JSON"),
        ("[1]", "does not contain a JSON object"),
        ('{"username": "ana"}', 'no "username" and "key"'),
        ('{"username": "ana", "key": "töken"}', "invalid characters"),
        ("\udcff", "not text"),
    ],
)
def test_a_damaged_token_file_is_named(no_token: Path, content: str, named: str) -> None:
    path = no_token / ".kaggle" / "kaggle.json"
    path.parent.mkdir()
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CredentialsError, match=named):
        kaggle.find_credentials()


def test_half_of_a_key_is_named(no_token: Path) -> None:
    with pytest.raises(CredentialsError, match="KAGGLE_USERNAME is set but KAGGLE_KEY is not"):
        kaggle.find_credentials({"HOME": str(no_token), "KAGGLE_USERNAME": "ana"})
