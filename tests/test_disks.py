"""A disk that refuses: one sentence, whichever library meets it, and nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.disks import FULL, disk_error, refusal, writing
from eosin.errors import DiskError, UserError
from eosin.folders import temporary_folder, whole_file, whole_files, whole_folder
from eosin.locks import Lock, working_on
from eosin.swaps import synchronize

ROOT = Path(__file__).parents[1]


def system(number: int, *names: Path) -> OSError:
    return OSError(number, os.strerror(number), *map(str, names[:1]))


#: What these libraries were seen to raise on a full tmpfs or past RLIMIT_FSIZE.
AS_RAISED = {
    "polars": "parquet: File out of specification: underlying IO error: No space left on device "
    "(os error 28)",
    "safetensors": "Error while serializing: I/O error: File too large (os error 27)",
    "openvino": "basic_ios::clear: iostream error",
    "numpy": "100000 requested and 8176 written",
    "sqlite": "database or disk is full",
    "h5py": "Can't synchronously write data (file write failed: time = Tue Dec 1, errno = 28",
}


@pytest.mark.parametrize("text", AS_RAISED.values(), ids=AS_RAISED)
def test_a_full_disk_is_known_from_every_library(text: str, tmp_path: Path) -> None:
    assert refusal(RuntimeError(text)) in FULL
    found = disk_error(RuntimeError(text), tmp_path / "a", 1_500_000)
    assert str(found).startswith(f"{tmp_path / 'a'} cannot be written: ")
    assert "a needs more than 1.5 MB" in str(found)
    assert str(found).endswith("choose another folder, then run the same command again")


def after(handled: Exception, raised: Exception) -> Exception:
    """What is raised while another error is handled."""
    raised.__context__ = handled
    return raised


def test_torch_hides_the_cause_in_the_context() -> None:
    hidden = after(system(errno.ENOSPC), RuntimeError("unexpected pos 768 vs 662"))
    assert refusal(hidden) == errno.ENOSPC


def test_what_was_handled_before_is_not_the_cause() -> None:
    assert not refusal(after(system(errno.ENOENT), ValueError("no")))


def test_an_error_of_a_file_that_is_read_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    error = system(errno.EACCES, tmp_path / "in" / "a")
    assert disk_error(error, tmp_path / "out" / "b") is None
    missing = system(errno.ENOENT, tmp_path / "out" / "c")
    assert disk_error(missing, tmp_path / "out" / "b") is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EFBIG, "a file may not become so large there"),
        (errno.EROFS, "it is read-only"),
        (errno.EACCES, "this user may not write there"),
        (errno.EIO, "the disk reports an error"),
        (errno.ESTALE, "it is gone (stale file handle)"),
    ],
)
def test_whatever_is_refused_leaves_the_former_files(
    tmp_path: Path, number: int, words: str
) -> None:
    """One file, several of a folder, and a folder."""
    (tmp_path / "a").write_text("before")

    def one() -> None:
        with whole_file(tmp_path / "a") as temporary:
            temporary.write_text("after")
            raise system(number)

    def several() -> None:
        with whole_files(tmp_path) as new:
            new("a").write_text("after")
            new("b").write_text("after")
            raise system(number)

    def folder() -> None:
        with whole_folder(tmp_path / "s", "store") as made:
            (made / "store.json").write_text("{}")
            with whole_file(made / "index.parquet"):
                raise system(number)

    for write, name in ((one, "a"), (several, ""), (folder, "s/index.parquet")):
        with pytest.raises(DiskError) as raised:
            write()
        assert str(raised.value).startswith(f"{tmp_path / name} cannot be written: {words}")
        assert os.listdir(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "before"


def test_a_folder_that_vanishes_is_one_sentence(tmp_path: Path) -> None:
    place = tmp_path / "gone"

    def one() -> None:
        with whole_file(place / "a") as temporary:
            shutil.rmtree(place)
            temporary.write_text("x")

    def several() -> None:
        with whole_files(place) as new:
            new("a").write_text("x")
            shutil.rmtree(place)

    def folder() -> None:
        with whole_folder(place / "s", "store"):
            shutil.rmtree(place)

    for write in (one, several, folder):
        place.mkdir()
        with pytest.raises(DiskError, match="it is gone; bring it back or choose another folder"):
            write()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_file_systems_that_cannot_wait_or_lock_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def cannot(*_: Any) -> None:
        raise system(number)

    monkeypatch.setattr("os.fsync", cannot)
    monkeypatch.setattr(fcntl, "flock", cannot)
    monkeypatch.setattr("eosin.swaps._exchange", lambda one, other: False)
    for text in ("1", "2"):
        with whole_file(tmp_path / "a", durable=True) as temporary:
            temporary.write_text(text)
        with whole_folder(tmp_path / "s", "store", force=True) as folder:
            (folder / "store.json").write_text(text)
    with working_on(tmp_path, "a test"):
        assert (tmp_path / "a").read_text() == "2"
    assert (tmp_path / "s" / "store.json").read_text() == "2"
    assert isinstance(Lock.take(tmp_path / "lock"), Lock)


def test_a_disk_that_cannot_keep_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise system(errno.ENOSPC)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        synchronize(tmp_path)
    with pytest.raises(DiskError, match="the disk is full"), whole_files(tmp_path) as new:
        new("a").touch()
    assert os.listdir(tmp_path) == []


def test_temporary_files_without_room_name_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    full = pytest.raises(DiskError, match=f"{tmp_path} cannot be written: the disk is full")
    with full, temporary_folder():
        raise system(errno.ENOSPC)
    assert os.listdir(tmp_path) == []


def test_other_errors_stay(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), writing(tmp_path):
        raise ValueError("no")
    with pytest.raises(UserError, match="no"), writing(tmp_path):
        raise UserError("no")


#: What is needed is read before: nobody may not see where it is.
AS_NOBODY = """
import os, sys
from eosin.errors import DiskError
from eosin.folders import whole_file
os.setgid(65534)
os.setuid(65534)
try:
    with whole_file(sys.argv[1]) as temporary:
        temporary.write_text("x")
except DiskError as error:
    print(error)
"""


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="needs another user")
def test_a_folder_of_another_user_is_one_sentence() -> None:
    """Root may write anywhere, so a process of nobody writes."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        path = Path(name) / "a.csv"
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True,
            check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        assert os.listdir(name) == []
    assert done.stdout == (
        f"{path} cannot be written: this user may not write there; choose another folder, then "
        "run the same command again\n"
    )


def test_a_command_on_a_read_only_folder(
    eosin: Callable[..., Any], made_up_store: Any, tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "eosin", str(place)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("needs to mount a file system")
    try:
        done = eosin("split", made_up_store.path, "-o", place / "a.csv")
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert done.code == 1
    sentence = f"{place / 'a.csv'} cannot be written: it is read-only; choose another folder"
    assert sentence in done.err
