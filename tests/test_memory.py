"""Pages of files are given back and read again; an array of memory is left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from eosin.memory import forget_pages, keep_freed_memory


def resident_files() -> int:
    """Bytes of mapped files in this process's memory."""
    text = Path("/proc/self/status").read_text("utf-8")
    return 1024 * next(int(row.split()[1]) for row in text.splitlines() if "RssFile" in row)


def test_pages_of_a_mapped_array_are_given_back(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((16, 1 << 20), 7, np.uint8))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert int(mapped.sum()) == 7 << 24
    if sys.platform == "linux":
        before = resident_files()
        forget_pages(mapped)
        assert before - resident_files() > 8 << 20
    assert int(mapped.sum()) == 7 << 24
    plain = np.ones(3)
    forget_pages(plain)
    assert plain.tolist() == [1, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="tells glibc")
def test_freed_memory_is_kept_or_not() -> None:
    assert keep_freed_memory() in (True, False)
