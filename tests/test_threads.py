"""How many threads compute and how they wait: chosen by other work, and never against the user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from eosin import threads
from eosin.cli import processes
from eosin.data.store import PatchStore
from eosin.runs import RunFolder
from eosin.threads import NAP, SLEEP, busy_cores, choose_threads

ONE, TWO = {"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("busy", "cores", "allowed", "count", "settings"),
    [
        (0.0, 2, 2, 2, NAP),
        (0.4, 2, 2, 2, NAP),  # the system's own work
        (1.0, 2, 2, 1, ONE | SLEEP),
        (2.0, 2, 2, 1, ONE | SLEEP),  # every core is shared, and two would wait for each other
        (4.0, 4, 4, 4, SLEEP),  # four halves of a core are more than one core
        (1.0, 1, 1, 1, SLEEP),
        (3.1, 16, 16, 13, {"OMP_NUM_THREADS": "13"} | SLEEP),
        (0.0, 2, 64, 2, TWO | NAP),  # a container's quota, which OpenMP does not know
        (40.0, 2, 64, 2, TWO | NAP),  # enough is free
        (63.0, 2, 64, 1, ONE | SLEEP),
    ],
)
def test_threads_by_load(
    busy: float, cores: int, allowed: int, count: int, settings: dict[str, str]
) -> None:
    found = choose_threads(busy, cores, allowed, {})
    assert (found.count, found.settings) == (count, settings)


def test_fewer_threads_need_work_that_lasts() -> None:
    found = choose_threads(1.0, 2, 2, {}, lasting=0.2)
    assert (found.count, found.settings) == (2, SLEEP)


@pytest.mark.parametrize(
    ("given", "settings", "words"),
    [
        (
            {"OMP_NUM_THREADS": "2"},
            SLEEP,
            "2 threads that sleep while they wait (OMP_NUM_THREADS=2;",
        ),
        ({"OMP_NUM_THREADS": "3,2"}, SLEEP, "3 threads"),
        ({"MKL_NUM_THREADS": "1"}, SLEEP, "1 thread (MKL_NUM_THREADS=1;"),
        ({"OMP_WAIT_POLICY": "active"}, ONE, "1 thread (other work keeps 1.0 of 2 cores busy)"),
        ({"GOMP_SPINCOUNT": "5", **TWO}, {}, "2 threads waiting by GOMP_SPINCOUNT=5"),
        ({"KMP_BLOCKTIME": "9", **TWO}, {}, "2 threads waiting by KMP_BLOCKTIME=9"),
    ],
)
def test_what_the_user_has_set_stays(
    given: dict[str, str], settings: dict[str, str], words: str
) -> None:
    found = choose_threads(1.0, 2, 2, given)
    assert found.settings == settings
    assert not found.settings.keys() & given.keys()
    assert str(found).startswith(words)


def test_other_work_is_counted_without_this_process(tmp_path: Path) -> None:
    lines = ["cpu  0 0 0 0", "cpu0 100 50 20 900 5 3 2 40 0 0", "cpu1 700 0 0 0 0 0 0 0 0 0"]
    (tmp_path / "stat").write_text("\n".join(lines))
    # user, system and interrupts; not nice, idle, waiting for a disk, nor what a host takes away
    assert threads._worked({0}, tmp_path) == pytest.approx(125 / os.sysconf("SC_CLK_TCK"))
    assert busy_cores({0}, 0.01, tmp_path) == 0
    assert busy_cores({0}, 0.01, tmp_path / "none") == 0


def test_two_threads_of_one_core_count_once(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("siblings\t: 8\ncpu cores\t: 4\n")
    assert threads._threads_a_core(tmp_path) == 2
    assert threads._threads_a_core(tmp_path / "none") == 1


@pytest.fixture
def beside_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two cores is busy with other work, and nobody has set anything."""
    monkeypatch.setattr(threads, "threads_here", lambda: choose_threads(1.0, 2, 2, os.environ))
    for name in (*threads.COUNTS, *threads.WAITS):
        monkeypatch.setenv(name, "")  # so that it is taken away again afterwards
    monkeypatch.setattr(processes, "_chosen", [])
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.parametrize(
    ("command", "set_"),
    [("train", ONE | SLEEP), ("evaluate", ONE | SLEEP), ("search", SLEEP), ("predict", {})],
)
@pytest.mark.usefixtures("beside_one")
def test_a_command_sets_the_environment(command: str, set_: dict[str, str]) -> None:
    processes.prepare_process([command, "x"])
    names = (*threads.COUNTS, *threads.WAITS)
    assert {name: os.environ[name] for name in names if os.environ.get(name)} == set_


@pytest.mark.usefixtures("beside_one")
def test_help_and_several_processes_and_a_loaded_torch_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes.prepare_process(["train", "--help"])
    with monkeypatch.context() as several:
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
            several.setenv(name, "2")
        processes.prepare_process(["train", "x"])
    monkeypatch.setitem(sys.modules, "torch", None)
    processes.prepare_process(["train", "x"])
    assert processes.why_so_many_threads() == ""
    assert not os.environ["GOMP_SPINCOUNT"]


def test_torch_takes_the_settings() -> None:
    """OpenMP reads them when it is loaded, so a process of its own is asked."""
    code = (
        "from eosin import threads; from eosin.cli import processes\n"
        "threads.busy_cores = lambda *words: 1.0\n"
        "threads._places = lambda: {0, 1}\n"
        "threads.usable_cores = lambda: (2, 2)\n"
        "threads.os.getloadavg = lambda: (2.0, 0, 0)\n"
        "processes.prepare_process(['train', 'x'])\n"
        "import torch; print(torch.get_num_threads(), processes.why_so_many_threads())\n"
        "from eosin.training.machine import choose_machine; print(choose_machine('fp32'))"
    )
    kept = {k: v for k, v in os.environ.items() if k not in (*threads.COUNTS, *threads.WAITS)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first == "1  (other work keeps 1.0 of 2 cores busy)"
    assert second == "cpu, fp32 (as requested), 1 thread"
    if "GOMP_SPINCOUNT" in done.stderr:  # GNU's OpenMP
        assert "GOMP_SPINCOUNT = '0'" in done.stderr


@pytest.mark.parametrize(("environment", "count"), [({}, 3), ({"OMP_NUM_THREADS": "2"}, None)])
@pytest.mark.usefixtures("beside_one")
def test_a_resumed_run_has_the_threads_it_began_with(
    environment: dict[str, str], count: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    processes.prepare_process(["train", "--resume", "run"])
    set_: list[int] = []
    stand_in = SimpleNamespace(get_num_threads=lambda: 1, set_num_threads=set_.append)
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    (tmp_path / "environment.json").write_text('{"machine": {"threads": 3}}')
    processes.threads_of(RunFolder(tmp_path))
    assert set_ == ([] if count is None else [count])


def test_the_first_line_of_a_run_names_threads_and_waiting(
    eosin: Callable[..., Any], made_up_store: PatchStore, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(processes, "_chosen", [choose_threads(4.0, 4, 4, {})])
    settings = ["arguments.widths=[4,8]", "arguments.blocks=[0,0]", "epochs=1", "precision=fp32"]
    words = [word for setting in settings for word in ("--set", setting)]
    done = eosin("train", made_up_store.path, "-o", tmp_path / "run", "--no-evaluate", *words)
    assert done.code == 0, done.err
    first = next(line for line in done.err.splitlines() if line.startswith("compact: "))
    count = torch.get_num_threads()
    assert f" on cpu, fp32 (as requested), {count} thread" in first
    assert first.endswith(" that sleep while they wait (other work keeps 4.0 of 4 cores busy)")
    record = RunFolder(tmp_path / "run").read_json("environment.json")
    assert record["machine"]["threads"] == count
