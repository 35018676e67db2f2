"""What a command finds again, replaces, keeps and refuses: stores, runs, exports, cards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from eosin.cli import demo_plan
from eosin.data.identity import origin_of
from eosin.data.store import PatchStore
from eosin.folders import kind_of, others, set_mark
from eosin.kinds import KINDS, LOCK, belongs, matches
from eosin.locks import working_on
from eosin.splitting.split_file import Split, write_split
from eosin.synthetic.archive import write_archive

Run = Callable[..., Any]
SMALL = [
    "--set", "arguments.widths=[4,8]", "--set", "arguments.blocks=[0,1]", "--set", "batch_size=32",
    "--set", "epochs=1", "--set", "precision=fp32", "--no-evaluate",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore) -> Path:
    """A trained and evaluated run with its report; tests must not change it."""
    from eosin.cli.main import main

    folder = tmp_path_factory.mktemp("run") / "r"
    for words in (
        ["train", str(made_up_store.path), "-o", str(folder), *SMALL],
        ["evaluate", str(folder), "--replicates", "20"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert not stop.value.code
    return folder


@pytest.fixture
def mine(run: Path, tmp_path: Path) -> Path:
    """A copy of the run with a file of the user's in it."""
    shutil.copytree(run, tmp_path / "r")
    (tmp_path / "r" / "notes.txt").write_text("mine")
    return tmp_path / "r"


def images(folder: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), pixels)
    return folder


def store_of(run: Path) -> str:
    return str(json.loads((run / "environment.json").read_text())["store"]["digest"])


# A store packed on the way


def test_two_sources_of_one_name_are_two_stores(eosin: Run, tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        source = images(tmp_path / name / "patches", number)
        done = eosin("train", source, "-s", "patch", "-o", tmp_path / "runs" / name, *SMALL)
        assert done.code == 0, done.err
    assert "patches.store was packed from something else; packing into" in done.err
    assert store_of(tmp_path / "runs" / "a") != store_of(tmp_path / "runs" / "b")
    done = eosin("train", source, "-s", "patch", "-o", tmp_path / "runs" / "c", *SMALL)
    assert "patches-2.store, packed earlier from the same source" in done.err
    assert store_of(tmp_path / "runs" / "c") == store_of(tmp_path / "runs" / "b")
    stores = sorted(path.name for path in (tmp_path / "runs").glob("*.store"))
    assert stores == ["patches-2.store", "patches.store"]


def test_a_replaced_archive_is_packed_again(tmp_path: Path, capfd: Any) -> None:
    from eosin.cli.train import _store

    archive, run = tmp_path / "a.zip", tmp_path / "r"
    write_archive(archive, cases=2, seed=1)
    first = _store(archive, run)
    assert _store(archive, run).path == first.path == tmp_path / "a.store"
    before = archive.stat()
    write_archive(archive, cases=2, seed=2)
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = _store(archive, run)
    assert second.path == tmp_path / "a-2.store"
    assert second.digest != first.digest
    assert PatchStore.open(first.path).digest == first.digest
    capfd.readouterr()


def test_a_store_that_does_not_record_its_source_is_not_taken(tmp_path: Path, capfd: Any) -> None:
    from eosin.cli.train import _store

    source = images(tmp_path / "patches", 1)
    store = _store(source, tmp_path / "r")
    info = json.loads((store.path / "store.json").read_text())
    del info["origin"]
    (store.path / "store.json").write_text(json.dumps(info))
    assert _store(source, tmp_path / "r").path == tmp_path / "patches-2.store"
    capfd.readouterr()


def test_what_eosin_writes_into_a_source_does_not_change_it(tmp_path: Path, capfd: Any) -> None:
    from eosin.cli.train import _store

    source = images(tmp_path / "patches", 1)
    before = origin_of(source)
    store = _store(source, source / "r")
    assert store.path == source / "patches.store"
    (source / "patches.store.split.csv").write_text("")
    assert origin_of(source) == before
    assert _store(source, source / "r").path == store.path
    (source / "benign" / "0.png").unlink()
    assert origin_of(source) != before
    capfd.readouterr()


def test_a_manifest_and_a_pair_of_files_are_more_than_one_file(tmp_path: Path) -> None:
    images(tmp_path / "i", 1)
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\ni/benign/0.png,benign\n")
    before = origin_of(manifest)
    (tmp_path / "i" / "benign" / "0.png").write_bytes(b"other")
    assert origin_of(manifest) != before
    (tmp_path / "a_x.h5").write_bytes(b"x")
    before = origin_of(tmp_path / "a_x.h5")
    (tmp_path / "a_y.h5").write_bytes(b"y")
    assert origin_of(tmp_path / "a_x.h5") != before


# --force


def forced(command: str, store: Path, run: Path, target: Path) -> list[object]:
    return {
        "pack": ["pack", run.parent / "a.zip", target],
        "train": ["train", store, "-o", target, *SMALL],
        "demo": ["demo", "-o", target],
        "export": ["export", run, "-o", target],
        "split": ["split", store, "-o", target / "recipe.toml"],
        "card": ["card", store, "-o", target / "recipe.toml"],
    }[command] + ["--force"]


@pytest.mark.parametrize("command", ["pack", "train", "demo", "export", "split", "card"])
def test_force_refuses_what_eosin_did_not_make(
    eosin: Run, made_up_store: PatchStore, mine: Path, tmp_path: Path, command: str
) -> None:
    """A project with a store, a recipe and notes of the user's."""
    project = tmp_path / "project"
    shutil.copytree(made_up_store.path, project / "data.store")
    (project / "recipe.toml").write_text("epochs = 3\n")
    (project / "notes.txt").write_text("mine")
    write_archive(mine.parent / "a.zip", cases=2, seed=1)
    before = sorted(project.rglob("*"))
    done = eosin(*forced(command, made_up_store.path, mine, project))
    assert done.code == 2, done.err
    assert "already exists and" in done.err
    assert "--force" not in done.err
    assert sorted(project.rglob("*")) == before
    assert (project / "recipe.toml").read_text() == "epochs = 3\n"


def test_force_on_the_folder_of_the_source_is_refused(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(made_up_store.path, project / "data.store")
    (project / "recipe.toml").write_text("epochs = 3\n")
    done = eosin(
        "train", project / "data.store", "--recipe", project / "recipe.toml", "-o", project,
        "--force",
    )  # fmt: skip
    assert done.code == 2
    assert "is inside the output" in done.err
    assert (project / "data.store" / "patches.npy").exists()


@pytest.mark.parametrize("command", ["pack", "train", "export"])
def test_force_keeps_the_files_of_the_user_and_names_them(
    eosin: Run, made_up_store: PatchStore, mine: Path, tmp_path: Path, command: str
) -> None:
    write_archive(tmp_path / "a.zip", cases=2, seed=1)
    target = tmp_path / "target"
    first = forced(command, made_up_store.path, mine, target)
    assert eosin(*first[:-1]).code == 0
    (target / "my notes.txt").write_text("mine")
    (target / "mine").mkdir()
    assert eosin(*first[:-1]).code == 2
    done = eosin(*first)
    assert done.code == 0, done.err
    assert f"{target}: kept mine, my notes.txt, which eosin did not make" in done.err
    assert (target / "my notes.txt").read_text() == "mine"
    assert (target / "mine").is_dir()
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize("option", ["--from", "--teacher", "--encoder"])
def test_an_output_that_is_an_input_is_refused_before_anything_is_touched(
    eosin: Run, made_up_store: PatchStore, mine: Path, option: str
) -> None:
    command = "probe" if option == "--encoder" else "train"
    before = {path: path.stat().st_mtime_ns for path in mine.rglob("*")}
    done = eosin(command, made_up_store.path, option, mine, "-o", mine, "--force")
    assert done.code == 2
    assert f"is also the input of {option}" in done.err
    assert {path: path.stat().st_mtime_ns for path in mine.rglob("*")} == before


def test_an_existing_run_says_how_to_resume_it(
    eosin: Run, made_up_store: PatchStore, mine: Path
) -> None:
    (mine / "model.json").unlink()
    done = eosin("train", made_up_store.path, "-o", mine, *SMALL)
    assert done.code == 2
    assert f"resume it with: eosin train --resume {mine}; or choose another name" in done.err


# One process at a time


@pytest.fixture
def someone_at_work(mine: Path) -> Iterator[int]:
    """Another process that works on the run; its number."""
    code = (
        "import sys, time\nfrom eosin.locks import working_on\n"
        "with working_on(sys.argv[1], 'eosin evaluate'):\n"
        "    print('ready', flush=True); time.sleep(600)\n"
    )
    words = [sys.executable, "-c", code, str(mine)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield other.pid
        other.kill()


@pytest.mark.parametrize("words", [["--resume", "RUN"], ["STORE", "-o", "RUN", "--force"]])
def test_training_says_who_is_at_work(
    eosin: Run, made_up_store: PatchStore, mine: Path, someone_at_work: int, words: list[str]
) -> None:
    places = {"RUN": mine, "STORE": made_up_store.path}
    done = eosin("train", *[places.get(word, word) for word in words])
    assert done.code == 2
    assert f"{mine} is in use by eosin evaluate (process {someone_at_work}, since" in done.err
    assert done.err.strip().count("\n") <= 2
    assert (mine / "model.safetensors").exists()


def test_the_same_work_may_use_a_folder_twice(tmp_path: Path) -> None:
    with working_on(tmp_path, "eosin train"):
        with working_on(tmp_path, "eosin evaluate"):
            pass
        assert "eosin train" in (tmp_path / LOCK).read_text()


# Moved folders


def test_a_moved_project_is_found_by_its_relative_place(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eosin.training.session import reopen

    project = tmp_path / "my project"
    shutil.copytree(made_up_store.path, project / "s.store")
    monkeypatch.chdir(project)
    assert eosin("train", "s.store", "-o", "runs/r", *SMALL).code == 0
    record = json.loads(Path("runs/r/environment.json").read_text())["store"]
    assert Path(record["path"]) == project / "s.store"
    assert record["relative"] == "../../s.store"
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / "moved")
    assert reopen("moved/runs/r").store.path.resolve() == tmp_path / "moved" / "s.store"
    # Another store at the old place is not taken for it.
    images(tmp_path / "i", 1)
    from eosin.data.pack import pack

    pack(tmp_path / "i", project / "s.store")
    assert reopen("moved/runs/r").store.path.resolve() == tmp_path / "moved" / "s.store"


# The table of kinds


def unlisted(folder: Path) -> list[str]:
    """Names that the table of kinds does not list."""
    kind = kind_of(folder)
    assert kind, folder
    wrong = []
    for entry in folder.iterdir():
        if entry.is_dir() and matches(entry.name, KINDS[kind].folders):
            wrong += unlisted(entry)
        elif entry.is_dir() or not belongs(entry.name, kind):
            wrong.append(str(entry))
    return wrong


def test_the_table_lists_what_the_commands_write(
    eosin: Run, made_up_store: PatchStore, run: Path, tmp_path: Path
) -> None:
    assert unlisted(made_up_store.path) == []
    assert unlisted(run) == []
    assert eosin("export", run, "-o", tmp_path / "e", "--torch", "--onnx").code == 0
    assert unlisted(tmp_path / "e") == []
    assert others(tmp_path / "e", "export") == []


@pytest.mark.slow
def test_the_table_lists_what_a_demo_writes_and_the_rest_is_kept(
    eosin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "d"
    (folder / "runs" / "mine").mkdir(parents=True)
    set_mark(folder, "demo")
    set_mark(folder / "runs", "runs")
    assert others(folder, "demo") == ["runs"]
    monkeypatch.setattr(demo_plan, "measure", lambda folder: demo_plan.Speed(20, 10, 20))
    done = eosin("demo", "--cases", 8, "--set", "epochs=1", "-o", folder, "--force")
    assert done.code == 0, done.err
    assert "kept runs, which eosin did not make" in done.err
    assert (folder / "runs" / "mine").is_dir()
    (folder / "runs" / "mine").rmdir()
    assert unlisted(folder) == []


def test_a_network_that_cannot_be_made_leaves_the_earlier_run(
    eosin: Run, mine: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in mine.iterdir() if path.name != LOCK}
    wrong = ["--set", "arguments.no_such=3"]
    for folder, more in ((mine, ["--force"]), (tmp_path / "new", [])):
        result = eosin("train", made_up_store.path, "-o", folder, *more, *wrong)
        assert result.code == 2
        assert "no_such" in result.err
    assert {path.name: path.read_bytes() for path in mine.iterdir() if path.name != LOCK} == before
    assert not (tmp_path / "new").exists()


def test_a_training_part_of_one_class_leaves_the_earlier_run(
    eosin: Run, mine: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in mine.iterdir() if path.name != LOCK}
    labels = made_up_store.labels
    codes = np.where(labels == 0, 0, 1).astype(np.int16)
    one_class = Split("file", made_up_store.digest, "patch", codes, leaking=True)
    write_split(one_class, tmp_path / "one.csv")
    for folder, more in ((mine, ["--force"]), (tmp_path / "new", [])):
        words = ["train", made_up_store.path, "--split", tmp_path / "one.csv", "--allow-leaks"]
        result = eosin(*words, "-o", folder, *more)
        assert result.code == 2, result.err
        assert "contains only one class" in result.err
    assert {path.name: path.read_bytes() for path in mine.iterdir() if path.name != LOCK} == before
    assert not (tmp_path / "new").exists()
