"""The short form of benchmarks/kill.py, benchmarks/full.py and benchmarks/two_processes.py."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def script(name: str, results: Path, *words: str) -> list[dict[str, str]]:
    """Run a benchmark with its results elsewhere; the rows of its CSV."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\n"
        f"import harness, {name}\nfrom pathlib import Path\n"
        f"harness.write_csv.__kwdefaults__['folder'] = Path({str(results)!r})\n"
        f"sys.argv = ['{name}.py', *sys.argv[1:]]\n{name}.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = results.glob("*.csv")
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pack", "train"])
def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path, command: str) -> None:
    """Of a training every resume ends with the weights of one that was never killed."""
    words = ["--only", command, "--moments", "6", "--changes", "8"]
    rows = script("kill", tmp_path, *words)
    assert {row["command"] for row in rows} == {command, f"{command} --force"}
    assert len(rows) > 10
    assert [row["problem"] for row in rows] == [""] * len(rows)


@pytest.mark.slow
def test_two_processes_on_one_run_break_no_file(tmp_path: Path) -> None:
    rows = script("two_processes", tmp_path, "--pairs", "3")
    assert [row["problem"] for row in rows] == ["", "", ""]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pack", "train"])
def test_a_full_disk_is_one_sentence(tmp_path: Path, command: str) -> None:
    """On a small tmpfs where one can be mounted, by RLIMIT_FSIZE everywhere."""
    kinds = "pages,files,sizes"
    rows = script("full", tmp_path, "--only", command, "--points", "2", "--kinds", kinds)
    assert "sizes" in {row["kind"] for row in rows}
    assert [row["problem"] for row in rows] == [""] * len(rows)
