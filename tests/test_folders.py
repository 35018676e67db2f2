"""Folders and files are complete or not there, and --force removes only what eosin made."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eosin.errors import BusyError, DiskError, UserError
from eosin.folders import (
    check_target,
    kind_of,
    make_folder,
    refuse_overlap,
    set_mark,
    sweep,
    whole_file,
    whole_files,
    whole_folder,
)
from eosin.kinds import LOCK, MARK
from eosin.locks import working_on


def an_export(path: Path, text: str = "{}") -> Path:
    with whole_folder(path, "export") as folder:
        (folder / "export.json").write_text(text)
    return path


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")

    def write() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert target.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_is_as_readable_as_its_neighbors(tmp_path: Path) -> None:
    (tmp_path / "neighbor").write_text("")
    with whole_file(tmp_path / "a") as temporary:
        temporary.write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "neighbor").stat().st_mode


def test_a_folder_in_the_place_of_a_file_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="a"), whole_file(tmp_path / "a"):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_two_writers_of_one_name_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as one, whole_file(tmp_path / "a") as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
    assert (tmp_path / "a").read_text() == "1"
    assert os.listdir(tmp_path) == ["a"]


def test_files_that_belong_together_change_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def write() -> None:
        with whole_files(tmp_path) as new:
            new("a").write_text("new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "old"}
    with whole_files(tmp_path) as new:
        new("a").write_text("new")
        new("b").write_text("new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "new", "b": "new"}


def test_force_keeps_what_eosin_did_not_make(tmp_path: Path) -> None:
    out = an_export(tmp_path / "out", "1")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"already contains an export.*--force"):
        check_target(out, "export", force=False)
    with whole_folder(out, "export", force=True) as folder:
        (folder / "export.json").write_text("2")
    assert (out / "export.json").read_text() == "2"
    assert (out / "notes.txt").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_force_refuses_a_folder_that_eosin_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("epochs = 3\n")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="contains other files; choose another name") as raised:
        make_folder(tmp_path, "run", force=True)
    assert "--force" not in str(raised.value)
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "recipe.toml"]


def test_a_run_of_an_earlier_version_is_recognized(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("")
    (tmp_path / "environment.json").write_text(json.dumps({"eosin": "0.6.0"}))
    (tmp_path / "my-notes.md").write_text("mine")
    assert kind_of(tmp_path) == "run"
    assert make_folder(tmp_path, "run", force=True) == ["my-notes.md"]
    assert sorted(os.listdir(tmp_path)) == [MARK, "my-notes.md"]


def test_folders_inside_are_cleared_by_the_same_rule(tmp_path: Path) -> None:
    make_folder(tmp_path / "run", "run")
    for name in ("evaluation-a.store", "evaluation-b.store"):
        inner = tmp_path / "run" / name
        inner.mkdir()
        set_mark(inner, "evaluation")
        (inner / "evaluation.json").write_text("{}")
    (inner / "mine.txt").write_text("mine")
    assert make_folder(tmp_path / "run", "run", force=True) == ["evaluation-b.store"]
    assert (inner / "mine.txt").exists()
    assert not (inner / "evaluation.json").exists()


def test_outputs_that_overlap_inputs_are_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(UserError, match="is also the input of --from"):
        refuse_overlap(run, {"--from": tmp_path / "run" / "."})
    with pytest.raises(UserError, match="inside the output"):
        refuse_overlap(tmp_path, {"--teacher": run, "STORE": None})
    refuse_overlap(run / "evaluation-x", {"RUN": run})


def test_a_killed_writer_leaves_nothing_for_long(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from eosin.folders import whole_file, whole_folder\n"
        "a, b = sys.argv[1] + '/a', sys.argv[1] + '/b'\n"
        "with whole_file(a) as t, whole_folder(b, 'export') as f:\n"
        "    t.write_text('half'); (f / 'export.json').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    sweep(tmp_path / "a")
    sweep(tmp_path / "b")
    assert os.listdir(tmp_path) == []


def test_what_a_living_writer_has_is_not_swept(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as temporary:
        os.utime(temporary, (0, 0))
        sweep(tmp_path / "a")
        assert temporary.exists()


def _replace_often(path: str, number: int) -> None:
    for _ in range(50):
        with whole_folder(path, "export", force=True) as folder:
            (folder / "export.json").write_text(str(number))
            (folder / "model.onnx").write_text(str(number))


def test_the_name_is_never_empty_while_folders_are_swapped(tmp_path: Path) -> None:
    out = an_export(tmp_path / "out", "0")
    (out / "model.onnx").write_text("0")
    context = multiprocessing.get_context("fork")
    writer = context.Process(target=_replace_often, args=(str(out), 1))
    writer.start()
    seen = 0
    while writer.is_alive():
        assert out.is_dir()
        seen += 1
    writer.join()
    assert writer.exitcode == 0
    assert seen
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_a_failed_swap_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = an_export(tmp_path / "out", "before")
    rename = os.rename
    monkeypatch.setattr("eosin.swaps._exchange", lambda one, other: False)

    def failing(source: Path, target: Path) -> None:
        if (
            Path(target) == out
            and Path(source).name.endswith(".partial")
            and "old" not in str(source)
        ):
            raise OSError(16, "Device or resource busy")
        rename(source, target)

    monkeypatch.setattr("os.rename", failing)
    with pytest.raises(DiskError, match="busy"), whole_folder(out, "export", force=True) as folder:
        (folder / "export.json").write_text("after")
    assert (out / "export.json").read_text() == "before"


def test_a_second_process_is_told_who_is_at_work(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom eosin.locks import working_on\n"
        "with working_on(sys.argv[1], 'eosin evaluate'):\n"
        "    print('ready', flush=True); time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    other.stdout.readline()
    with (
        pytest.raises(BusyError, match=rf"in use by eosin evaluate \(process {other.pid}, since"),
        working_on(tmp_path, "eosin evaluate"),
    ):
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with working_on(tmp_path, "eosin train"):
                assert (tmp_path / LOCK).read_text()
            break
        except BusyError:
            time.sleep(0.05)
    assert (tmp_path / LOCK).read_text() == ""


@pytest.mark.parametrize("foreign", [False, True])
def test_killed_between_two_renames_the_old_folder_comes_back(
    tmp_path: Path, foreign: bool
) -> None:
    """Where names cannot be exchanged, a kill leaves the name empty until the next writer."""
    out = an_export(tmp_path / "out", "before")
    if foreign:
        (out / "notes.txt").write_text("mine")
    code = (
        "import os, signal, sys\nimport eosin.swaps\nfrom eosin.folders import whole_folder\n"
        "eosin.swaps._exchange = lambda one, other: False\n"
        "rename, done = os.rename, []\n"
        "def counted(*names):\n"
        "    if done: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    done.append(rename(*names))\n"
        "os.rename = counted\n"
        "with whole_folder(sys.argv[1], 'export', force=True) as f:\n"
        "    (f / 'export.json').write_text('after')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(out)], check=False)
    assert not out.exists()
    sweep(out)
    assert (out / "export.json").read_text() == "before"
    assert (out / "notes.txt").exists() == foreign
    assert os.listdir(tmp_path) == ["out"]


def test_a_name_that_another_process_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def both() -> None:
        with whole_folder(tmp_path / "out", "export") as folder:
            (folder / "export.json").write_text("second")
            an_export(tmp_path / "out", "first")

    with pytest.raises(UserError, match="already contains an export"):
        both()
    assert (tmp_path / "out" / "export.json").read_text() == "first"
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_of_the_user_of_an_earlier_version_s_folder_is_kept(tmp_path: Path) -> None:
    out = an_export(tmp_path / "out", json.dumps({"exported_with": {"eosin": "0.6.0"}}))
    (out / MARK).unlink()
    (out / "notes.txt").write_text("mine")
    with whole_folder(out, "export", force=True) as folder:
        (folder / "export.json").write_text("{}")
    assert sorted(os.listdir(out)) == [MARK, "export.json", "notes.txt"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    an_export(tmp_path / "real", "1")
    (tmp_path / "link").symlink_to("real")
    with whole_folder(tmp_path / "link", "export", force=True) as folder:
        (folder / "export.json").write_text("2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "export.json").read_text() == "2"
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EXDEV, "it may be a mount point, so choose a name inside it"),
        (errno.EBUSY, "it may be a mount point, so choose a name inside it"),
        (errno.EROFS, "it is read-only"),
        (errno.ESTALE, "it is gone (stale file handle)"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_rename_that_fails_leaves_everything_and_names_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str, force: bool
) -> None:
    out = tmp_path / "out"
    if force:
        an_export(out, "before")

    def failing(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    monkeypatch.setattr("eosin.swaps._exchange", lambda one, other: False)
    monkeypatch.setattr("os.rename", failing)
    with pytest.raises(DiskError) as raised, whole_folder(out, "export", force=force) as f:
        (f / "export.json").write_text("after")
    assert str(raised.value).startswith(f"{out} cannot be written: ")
    assert sentence in str(raised.value)
    assert os.listdir(tmp_path) == (["out"] if force else [])
    if force:
        assert (out / "export.json").read_text() == "before"


def test_a_file_system_without_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("eosin.locks._lock", without)
    with working_on(tmp_path / "run", "eosin train"), whole_file(tmp_path / "a") as temporary:
        temporary.write_text("1")
    assert (tmp_path / "a").read_text() == "1"


def test_a_full_disk_does_not_keep_the_folder_that_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import eosin.folders as folders

    for content in ("old", "new"):
        with (
            monkeypatch.context() as patch,
            whole_folder(tmp_path / "r", "export", force=True) as made,
        ):
            (made / "export.json").write_text(content)
            if content == "new":

                def full(*words: object, **more: object) -> None:
                    raise OSError(errno.ENOSPC, "No space left on device")

                patch.setattr(folders, "whole_file", full)
    assert (tmp_path / "r" / "export.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
