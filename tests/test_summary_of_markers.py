"""A test run starts with the slow files and ends with a count of the tests of each marker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.slow
@pytest.mark.real
def test_fails(): assert False

@pytest.mark.browser
def test_skips_inside(): pytest.skip("no browser")

@pytest.mark.gpu
@pytest.mark.skipif(True, reason="no device")
def test_skips_before(): pass

@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_several(number): pass

def test_plain(): pass

@pytest.fixture
def broken(): raise OSError

def test_without_its_fixture(broken): pass
"""
EXPECTED = """\
slow          5 ran      0 skipped
real          1 ran      0 skipped
gpu           0 ran      1 skipped
browser       0 ran      1 skipped
other         2 ran      0 skipped
"""


@pytest.mark.parametrize("processes", [[], ["-n", "2"]])
def test_markers_are_counted_before_the_closing_line(tmp_path: Path, processes: list[str]) -> None:
    conftest = (Path(__file__).parent / "conftest.py").read_text("utf-8")
    (tmp_path / "conftest.py").write_text(conftest, "utf-8")
    (tmp_path / "test_it.py").write_text(TESTS, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n slow\n real\n gpu\n browser\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *processes, str(tmp_path)],
        capture_output=True, encoding="utf-8", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert EXPECTED in done.stdout, done.stdout + done.stderr
    assert "1 failed, 5 passed, 2 skipped, 1 error in" in done.stdout.splitlines()[-1]


def test_files_with_slow_tests_come_first(tmp_path: Path) -> None:
    conftest = (Path(__file__).parent / "conftest.py").read_text("utf-8")
    (tmp_path / "conftest.py").write_text(conftest, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n slow\n real\n gpu\n browser\n")
    (tmp_path / "test_a.py").write_text("def test_quick(): pass\n")
    (tmp_path / "test_z.py").write_text(TESTS, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", str(tmp_path)],
        capture_output=True, encoding="utf-8", cwd=tmp_path,
    )  # fmt: skip
    names = [line for line in done.stdout.splitlines() if "::" in line]
    assert [name.partition("::")[0] for name in names] == ["test_z.py"] * 9 + ["test_a.py"]
