"""The largest batch that fits; freed memory is kept; pages of files are given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eosin.memory import (
    LargestBatch,
    fits,
    forget_pages,
    keep_freed_memory,
    memory,
    out_of_memory,
)


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


GIB = 1 << 30
MEMINFO = "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"


def machine(folder: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """Made-up /proc and /sys/fs/cgroup."""
    for name, text in {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/a\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "proc", folder / "cg"


def test_memory_that_is_slowed_down_counts_as_none(tmp_path: Path) -> None:
    """memory.high: above it the kernel only takes back pages."""
    files = {"cg/a/memory.max": str(4 * GIB), "cg/a/memory.high": str(3 * GIB)}
    files["cg/a/memory.current"] = str(GIB)
    assert memory(*machine(tmp_path, files)) == (3 * GIB, 2 * GIB)


def test_pages_of_files_below_a_group_of_version_1_are_free(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "4:memory:/a\n", "cg/memory/a/memory.limit_in_bytes": str(GIB)}
    files["cg/memory/a/memory.usage_in_bytes"] = str(GIB)
    files["cg/memory/a/memory.stat"] = f"inactive_file 0\ntotal_inactive_file {GIB // 2}\n"
    assert memory(*machine(tmp_path, files)) == (GIB, GIB // 2)


def test_a_limit_of_the_shell_counts(tmp_path: Path) -> None:
    """ulimit -v"""
    limits = f"Limit  Soft  Hard  Units\nMax address space  {2 * GIB}  unlimited  bytes\n"
    files = {"proc/self/limits": limits, "proc/self/status": f"VmSize: {GIB // 1024} kB\n"}
    assert memory(*machine(tmp_path, files)) == (2 * GIB, GIB)
    files = {"proc/self/limits": limits.replace(str(2 * GIB), "unlimited")}
    assert memory(*machine(tmp_path, files)) == (16 * GIB, 8 * GIB)


def test_little_memory_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eosin.memory.memory", lambda: (2 * GIB, GIB))
    assert fits(GIB // 2)
    assert not fits(GIB // 2 + 1)
    assert not keep_freed_memory()
    monkeypatch.setattr("eosin.memory.memory", lambda: None)
    assert fits(1 << 60)


@pytest.mark.parametrize(
    "text",
    [
        "std::bad_alloc",
        "Failed to allocate memory for requested buffer of size 1073741824",
        "OpenCV(4.12) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 999 bytes",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_memory_that_ran_out_is_known_from_every_library(text: str) -> None:
    assert out_of_memory(RuntimeError(text))


def test_a_bootstrap_without_memory_takes_fewer_replicates_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from eosin.evaluation import resampling

    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 2, 300), rng.random(300)
    arguments = (truth, scores, np.arange(300))
    whole = resampling.replicate_figures(*arguments, replicates=64)
    plain = resampling.RankSweep._figures

    def poor(self: resampling.RankSweep, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(weights) > 3:
            raise MemoryError
        return plain(self, weights)

    monkeypatch.setattr(resampling.RankSweep, "_figures", poor)
    fewer = resampling.replicate_figures(*arguments, replicates=64)
    assert all(np.array_equal(whole[name], fewer[name]) for name in whole)


def test_a_chunk_without_memory_is_decoded_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from eosin.data.chunks import Chunk, in_order

    tried: dict[int, int] = {}

    def decode(number: int) -> Chunk:
        tried[number] = tried.get(number, 0) + 1
        if number % 2 and tried[number] == 1:
            raise MemoryError
        return Chunk(number, np.empty((0, 2, 2, 3), np.uint8), {}, [])

    tasks = (lambda number=number: decode(number) for number in range(9))
    assert [chunk.seen for chunk in in_order(tasks, 2, (2, 2))] == list(range(9))
    monkeypatch.setattr("eosin.data.chunks.memory", lambda: (1, 1))
    tasks = (lambda number=number: decode(number) for number in range(9))
    assert [chunk.seen for chunk in in_order(tasks, 2, (2, 2))] == list(range(9))
