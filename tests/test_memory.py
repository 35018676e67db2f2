"""The largest batch that fits; freed memory is kept; pages of files are given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eosin.memory import LargestBatch, forget_pages, keep_freed_memory, out_of_memory


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


#: Fills and frees 64 MiB; prints whether glibc took the settings, and the MiB still in memory.
FREED = """
import sys
from pathlib import Path
from eosin.memory import keep_freed_memory

def resident():
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if "RssAnon" in row) // 1024

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
before = resident()
filled = bytearray(b"x") * (64 << 20)
del filled
print(kept, resident() - before)
"""


def freed(mode: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", FREED, mode], capture_output=True, text=True, check=True
    )
    kept, mebibytes = done.stdout.split()
    return kept, int(mebibytes)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_kept_after_the_setting_and_given_back_before() -> None:
    kept, mebibytes = freed("keep")
    if kept == "False":
        pytest.skip("not glibc")
    assert kept == "True"
    assert mebibytes >= 60
    assert freed("plain")[1] <= 4


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eosin.memory.ctypes.CDLL", lambda name: object())
    assert keep_freed_memory() is False


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_errors_that_mean_exhausted_memory(error: Exception, expected: bool) -> None:
    assert out_of_memory(error) is expected


def test_a_batch_is_halved_until_it_fits_and_no_row_is_lost() -> None:
    warned: list[str] = []
    asked: list[int] = []

    def work(part: slice) -> list[int]:
        asked.append(part.stop - part.start)
        if part.stop - part.start > 3:
            raise MemoryError
        return list(range(part.start, part.stop))

    batch = LargestBatch(12, warned.append)
    rows = [row for _, block in batch.parts(20, work) for row in block]
    assert rows == list(range(20))
    assert asked[:4] == [12, 6, 3, 3]
    assert batch.size == 3
    assert warned[1] == "out of memory with 6 patches at once: continuing with 3"
    # What was learned stays.
    assert [part for part, _ in batch.parts(5, work)] == [slice(0, 3), slice(3, 5)]
    assert not list(batch.parts(0, work))


def test_what_does_not_fit_alone_and_other_errors_are_raised() -> None:
    def exhausted(part: slice) -> None:
        raise MemoryError("no more")

    def broken(part: slice) -> None:
        raise ValueError("another fault")

    with pytest.raises(MemoryError, match="no more"):
        list(LargestBatch(8).parts(8, exhausted))
    with pytest.raises(ValueError, match="another fault"):
        list(LargestBatch(8).parts(8, broken))
