"""Several processes on one search: no trial twice, none lost, whoever is killed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import FailureError, SplitError, StoppedError
from eosin.locks import Lock, waiting_for
from eosin.runs import RunFolder
from eosin.search import workers
from eosin.search.plan import Search, SearchPlan, without_test
from eosin.search.search import resume
from eosin.search.space import Dimension
from eosin.search.storage import claim, is_free, opened, rows_of
from eosin.splitting.split_file import split_text
from eosin.splitting.splits import by_case
from eosin.studies.plan import identity
from eosin.studies.study import Note, Study, StudyResult, silent


def running(study: Any) -> list[int]:
    """Numbers of the trials that have started and not ended."""
    return [row.number for row in rows_of(study) if row.state == "running"]


def begun(
    store: PatchStore,
    recipe: Recipe,
    space: tuple[Dimension, ...],
    folder: Path,
    trials: int,
    note: Note = silent,
) -> Search:
    split = without_test(by_case(store), store)
    plan = SearchPlan(identity(store), recipe, "small", space, "here", "val_auroc", 0, trials)
    files = {"split.csv": split_text(split)}
    study = Study.open(folder, store, plan.plan(), files=files, again="again", note=note)
    return Search(study, plan, split)


def test_a_lock_is_free_when_its_process_is_gone(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from eosin.locks import Lock\n"
        "lock = Lock.take(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert Lock.take(tmp_path / "lock") is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with waiting_for(tmp_path / "lock"):
        assert Lock.take(tmp_path / "lock") is None


def test_claims_are_exactly_the_trials_and_no_two_the_same(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    search = begun(made_up_store, small, space, tmp_path / "s", 6)
    folder, plan = search.folder, search.plan
    claimed: list[Any] = []

    def take() -> None:
        study = opened(folder, plan)
        while found := claim(study, plan, folder):
            claimed.append(found)

    threads = [threading.Thread(target=take) for _ in range(3)]
    study = opened(folder, plan)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.number for each in claimed) == list(range(6))
    assert not any(each.taken_over for each in claimed)
    values = {each.number: each.values for each in claimed}
    assert values[0] == {"muon_learning_rate": 0.02, "arguments.dropout": 0.2, "batch_size": 40}
    assert claim(study, plan, folder) is None
    assert not is_free(folder, 2)
    next(each for each in claimed if each.number == 2).lock.release()
    again = claim(study, plan, folder)
    assert again is not None
    assert (again.number, again.taken_over, again.values) == (2, True, values[2])
    assert running(study) == list(range(6))
    for each in [*claimed, again]:
        each.lock.release()


def test_threads_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: (8, 8))
    assert [workers.threads_each(n) for n in (1, 2, 3, 9)] == [8, 4, 2, 1]


class Fake(workers._Worker):
    """A worker whose program is a line of Python."""

    code = ""

    def __init__(self, number: int, search: Search, threads: int, logs: str) -> None:
        real, code = subprocess.Popen, self.code

        def start(words: list[str], **more: Any) -> Any:
            return real([sys.executable, "-c", code], **more)

        workers.subprocess.Popen = start  # type: ignore[misc, assignment]
        try:
            super().__init__(number, search, threads, logs)
        finally:
            workers.subprocess.Popen = real  # type: ignore[misc]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("print('no torch here'); raise SystemExit(1)", FailureError, "with code 1: no torch here"),
        ("import os; os.kill(os.getpid(), 9)", FailureError, "by signal 9"),
        (
            "print('{\"error\": \"it does not fit\", \"kind\": \"SplitError\"}'); exit(2)",
            SplitError, "it does not fit",
        ),
        (
            "print('{\"error\": \"odd\", \"kind\": \"os\"}'); exit(1)", FailureError, "odd",
        ),
    ],
)  # fmt: skip
def test_workers_that_cannot_work_end_the_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made_up_store: PatchStore, small: Recipe,
    space: tuple[Dimension, ...], code: str, kind: type[Exception], said: str,
) -> None:  # fmt: skip
    search = begun(made_up_store, small, space, tmp_path / "s", 1)
    monkeypatch.setattr(Fake, "code", code)
    monkeypatch.setattr(workers, "_Worker", Fake)
    with pytest.raises(kind, match=said):
        workers.run_workers(search, 1)


def test_a_killed_worker_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made_up_store: PatchStore, small: Recipe,
    space: tuple[Dimension, ...],
) -> None:  # fmt: skip
    flag = tmp_path / "flag"
    code = (
        "import os, pathlib; "
        f"flag = pathlib.Path({str(flag)!r}); old = flag.exists(); flag.touch(); "
        'os.kill(os.getpid(), 9) if not old else print("going on")'
    )
    monkeypatch.setattr(Fake, "code", code)
    monkeypatch.setattr(workers, "_Worker", Fake)
    said = list[str]()
    workers.run_workers(begun(made_up_store, small, space, tmp_path / "s", 1, said.append), 1)
    assert said == [
        "worker 1 ended by signal 9; another one takes over its trial", "worker 2: going on",
    ]  # fmt: skip


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        assert process is None or process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
def test_two_workers_one_of_them_killed_make_every_trial_once(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    """The second worker dies by SIGKILL in mid-trial; all trials come to their end all the same."""
    folder = tmp_path / "s"
    longer = small.changed(epochs=6)
    begun(made_up_store, longer, space, folder, 5)
    said, killed = list[str](), list[int]()
    starts: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def start(*given: Any, **more: Any) -> Any:
        starts.append(real(*given, **more))
        return starts[-1]

    def kill_one() -> None:
        wait_for(lambda: len(list(folder.glob("trial-*/resume.pt"))) > 0)
        starts[0].send_signal(signal.SIGKILL)
        killed.append(starts[0].pid)

    thread = threading.Thread(target=kill_one)
    thread.start()
    workers.subprocess.Popen = start  # type: ignore[misc, assignment]
    try:
        made = resume(folder, workers=2, note=said.append)
    finally:
        workers.subprocess.Popen = real  # type: ignore[misc]
        thread.join()
    rows = made.result["rows"]
    assert [row["trial"] for row in rows] == list(range(5))
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert any("ended by signal 9" in text for text in said)
    assert killed
    for row in rows:
        assert [m["epoch"] for m in RunFolder(folder / row["folder"]).metrics()] == list(
            range(1, row["epochs"] + 1)
        )
    names = {path.name for path in folder.glob("trial-*")}
    assert names == {row["folder"] for row in rows}


@pytest.mark.slow
def test_killed_in_mid_trial_and_stopped_by_ctrl_c_it_ends_with_the_same_table(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    """`eosin search` itself: kill -9, then Ctrl-C, then to the end, against one never stopped."""
    words = [sys.executable, "-m", "eosin", "search"]
    tiny = ["--set", "arguments.widths=[4, 8]", "--set", "arguments.blocks=[0, 0]", "--set",
            "batch_size=40", "--set", "precision=fp32", "--set", "epochs=8"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    common: dict[str, Any] = {"env": environment, "text": True}
    new = [*words, str(made_up_store.path), "-n", "4", *tiny, "-o"]
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    subprocess.run([*new, str(whole)], check=True, capture_output=True, **common)
    first = subprocess.Popen(
        [*new, str(pieces)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **common
    )
    wait_for((pieces / "trial-001" / "resume.pt").exists, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = [*words, "--resume", str(pieces)]
    second = subprocess.Popen(
        again, stdout=subprocess.PIPE, stderr=subprocess.PIPE, restore_signals=True, **common
    )
    assert second.stderr is not None
    # A job in the background is born deaf to Ctrl-C until its training listens.
    lines = []
    for line in second.stderr:
        lines.append(line)
        if line.startswith("compact trial 2:"):
            break
    second.send_signal(signal.SIGINT)
    _, rest = second.communicate()
    assert any("trial 1, taken over" in line for line in lines)
    assert second.returncode == 130, rest
    assert f"resume with: eosin search --resume {pieces}" in rest
    subprocess.run(again, check=True, capture_output=True, **common)

    def rows(folder: Path) -> list[list[str]]:
        lines = (folder / "trials.csv").read_text().splitlines()
        return [[*line.split(",")[:4], *line.split(",")[5:]] for line in lines]

    assert rows(whole) == rows(pieces)
    assert len(rows(whole)) == 5


@pytest.mark.slow
def test_ctrl_c_stops_all_workers_with_their_state_saved(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    begun(made_up_store, small.changed(epochs=500), space, folder, 3)

    def interrupt() -> None:
        wait_for(lambda: len(list(folder.glob("trial-*/resume.pt"))) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(StoppedError, match=f"resume with: eosin search --resume {folder}"):
            resume(folder, workers=2)
    finally:
        thread.join()
    study = opened(folder, Search.reopen(folder, again="").plan)
    assert running(study) == [0, 1]
    assert is_free(folder, 0)
    assert is_free(folder, 1)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_workers_end_when_the_one_that_started_them_is_gone(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    plan = begun(made_up_store, small.changed(epochs=500), space, folder, 4).plan
    parent = subprocess.Popen(
        [sys.executable, "-m", "eosin", "search", "--resume", str(folder), "-w", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    wait_for(lambda: len(list(folder.glob("trial-*/resume.pt"))) == 2)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    study = opened(folder, plan)
    numbers = running(study)
    wait_for(lambda: all(is_free(folder, number) for number in numbers))
    assert running(study) == numbers
    shutil.rmtree(folder)


def test_a_search_with_more_workers_than_trials_left_needs_none(found: StudyResult) -> None:
    again = resume(found.folder, workers=4)
    assert again.result["rows"] == found.result["rows"]
