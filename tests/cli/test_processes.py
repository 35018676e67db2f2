"""Several processes of eosin as a user meets them: one voice, and a checkpoint when one dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from eosin.cli import processes
from eosin.cli.main import main
from eosin.data.store import PatchStore
from eosin.runs import RunFolder
from eosin.synthetic.archive import make_store

Launch = Callable[..., list[subprocess.Popen[str]]]
TINY = [
    "--set", "arguments.widths=[4,8]", "--set", "arguments.blocks=[0,1]", "--set", "epochs=30",
    "--set", "validate_every=30",
    "--set", "optimizer=sgd", "--set", "learning_rate=0.0005", "--set", "precision=fp32",
    "--set", "channels_last=false", "--no-evaluate",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    return make_store(tmp_path_factory.mktemp("s") / "s.store", cases=8, patches_per_case=12)


def ended(started: list[subprocess.Popen[str]]) -> tuple[list[int], str, str]:
    """Exit codes, and all that was said on stdout and on stderr."""
    said = [process.communicate(timeout=120) for process in started]
    codes = [process.returncode for process in started]
    return codes, "".join(out for out, _ in said), "".join(err for _, err in said)


def test_a_mistake_is_said_once_and_ends_all(launch: Launch, tmp_path: Path) -> None:
    words = ["-m", "eosin", "train", str(tmp_path / "none"), "-o", str(tmp_path / "run"), "--json"]
    codes, out, err = ended(launch(2, words))
    assert codes == [2, 2]
    assert json.loads(out)["exit_code"] == 2
    assert err.count("no such store") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_a_dead_worker_leaves_a_checkpoint(
    launch: Launch, store: PatchStore, tmp_path: Path, stopped: bool
) -> None:
    run = tmp_path / "run"
    words = ["train", str(store.path), "-o", str(run), *TINY]
    started = launch(2, ["-m", "eosin", *words], EOSIN_TIMEOUT=3 if stopped else 60)
    while not (run / "resume.pt").exists():
        assert started[0].poll() is None, ended(started)
        time.sleep(0.02)
    os.kill(started[1].pid, signal.SIGSTOP if stopped else signal.SIGKILL)
    said = started[0].communicate(timeout=60)[1]
    if stopped:
        started[1].kill()
    started[1].communicate(timeout=60)
    assert started[0].returncode == 1
    assert said.count("error: ") == 1
    assert ("has not answered for 3 seconds" if stopped else "another process ended") in said
    assert f"torchrun --standalone --nproc-per-node 2 -m eosin train --resume {run}" in said
    assert len(RunFolder(run).metrics()) < 30
    assert "another process" in RunFolder(run).read_json("failed.json")["sentence"]
    for arguments in (
        ["train", "--resume", str(run), "--no-evaluate"],
        [*words[:3], str(tmp_path / "whole"), *words[4:]],
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert not stop.value.code
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "whole"))
    assert max(float((one[k].double() - two[k].double()).abs().max()) for k in one) < 1e-4
    assert len(RunFolder(run).metrics()) == 30


def test_one_process_is_no_team(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    for name in ("RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    # A cluster's scheduler may set some of a launcher's variables.
    assert processes.count() == 1
    with processes.team() as team:
        assert team.main
        assert team.count == 1


def test_other_commands_work_in_the_first_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    assert processes.takes_part(["evaluate", "run"])
    assert "works in one process" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("eosin.cli.output._state", {"json": False, "hushed": False})
    assert processes.takes_part(["train", "s.store"])
    assert not processes.takes_part(["evaluate", "run"])
    assert not processes.takes_part(["train", "--help"])


def test_a_process_that_waits_outside_python_still_speaks() -> None:
    code = (
        "import os, signal, time\n"
        "from eosin.cli import processes\n"
        "processes.GRACE_SECONDS = 0.1\n"
        # As a main thread that never comes back: its handler does nothing.
        "signal.signal(signal.SIGTERM, lambda number, frame: None)\n"
        "with processes.last_words('go on with --resume run'):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1
    assert "error: go on with --resume run" in done.stderr


def test_last_words_are_not_said_where_the_work_ends(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with processes.last_words("never said"):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "never said" not in capsys.readouterr().err
