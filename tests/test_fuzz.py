"""The short form of benchmarks/fuzz.py, and what the long form has found, each by its kind."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def fuzz(results: Path, *words: str) -> list[dict[str, str]]:
    """Run benchmarks/fuzz.py with its results elsewhere; the rows of its CSV."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\n"
        f"import harness, fuzz\nfrom pathlib import Path\n"
        f"harness.write_csv.__kwdefaults__['folder'] = Path({str(results)!r})\n"
        f"sys.argv = ['fuzz.py', *sys.argv[1:]]\nfuzz.main()\n"
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


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_hostile_sources_and_stores_end_with_a_sentence(tmp_path: Path) -> None:
    rows = fuzz(tmp_path, "--short", "--inputs", "160", "--jobs", "1")
    assert sum(int(row["inputs"]) for row in rows) == 160
    assert {row["command"] for row in rows} == {
        "pack", "split", "audit", "inspect", "card", "recipes"
    }  # fmt: skip
    assert not [row for row in rows if int(row["fault"])]
    # Not everything is refused: what is harmless is read.
    assert sum(int(row["succeeded"]) for row in rows) > 40


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_hostile_inputs_of_every_kind_end_with_a_sentence(tmp_path: Path) -> None:
    rows = fuzz(tmp_path, "--inputs", "300", "--jobs", "1", "--seed", "7")
    assert not [row for row in rows if int(row["fault"])]
    assert len({row["kind"] for row in rows}) > 20
