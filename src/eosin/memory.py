"""Memory: how much there is within the container's limits, and work that fits in it."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from eosin.cores import CGROUPS, PROC, control_groups, read_system_file

T = TypeVar("T")

# mallopt(3): parameters of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
#: With less memory than this, what is freed is needed by others.
_ENOUGH_TO_KEEP = 4 << 30
#: A version-1 limit of this size or more means "none".
_NO_LIMIT = 1 << 60


def memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[int, int] | None:
    """Total and available memory in bytes that this process may use; None where unknown.

    By the machine, the container's limits (control groups, version 1 and 2) and ``ulimit -v``.
    proc, cgroups: where Linux describes them; elsewhere they do not exist.
    """
    sizes = _meminfo(proc)
    if sizes is None:
        return None
    total, available = sizes
    for folder in control_groups("memory", proc, cgroups):
        names = (("max", "current"), ("high", "current"), ("limit_in_bytes", "usage_in_bytes"))
        for limit_name, used_name in names:
            limit = read_system_file(folder / f"memory.{limit_name}")
            used = read_system_file(folder / f"memory.{used_name}")
            if not limit.isdigit() or int(limit) >= _NO_LIMIT:
                continue
            total = min(total, int(limit))
            if used.isdigit():
                # Pages of files that can be dropped at once count as used, but are free for us.
                pages = read_system_file(folder / "memory.stat")
                spare = max(_statistic(pages, f"{of}inactive_file") for of in ("", "total_"))
                available = min(available, max(0, int(limit) - int(used) + spare))
    shell = re.search(
        r"^Max address space\s+(\d+)", read_system_file(proc / "self" / "limits"), re.M
    )
    if shell:
        mapped = 1024 * _statistic(read_system_file(proc / "self" / "status"), "VmSize:")
        total = min(total, int(shell[1]))
        available = min(available, max(0, int(shell[1]) - mapped))
    return total, min(available, total)


def fits(size: int, share: float = 0.5) -> bool:
    """Whether so many bytes are at most this share of the memory that is available.

    >>> fits(0), fits(1 << 60)
    (True, False)
    """
    sizes = memory()
    return sizes is None or size <= share * sizes[1]


def _meminfo(proc: Path) -> tuple[int, int] | None:
    text = read_system_file(proc / "meminfo")
    total, available = (_statistic(text, f"{name}:") for name in ("MemTotal", "MemAvailable"))
    if total:
        return total * 1024, (available or total) * 1024
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # Windows
        return None
    return total, total


def _statistic(text: str, name: str) -> int:
    """The number after a name, on a line of its own; 0 where there is none."""
    match = re.search(rf"^{re.escape(name)}\s+(\d+)", text, re.M)
    return int(match[1]) if match else 0


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory instead of giving it back to the system at every step.

    A setting of the whole process: programs make it at their start, libraries never do. Large
    arrays are otherwise mapped and unmapped, page by page, each step: training the article's
    network in bf16 went from 508 to 747 patches/s with this, and inflating and filtering a patch
    from 54 to 43 microseconds. Returns False where the C library has no such setting, and where a
    container or the machine has less than 4 GiB.
    """
    if not fits(_ENOUGH_TO_KEEP, 1.0):
        return False
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL("libc.so.6")
        done = [
            library.mallopt(_M_MMAP_MAX, 0),
            library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1),
            library.mallopt(_M_TOP_PAD, 2**28),
        ]
    except (OSError, AttributeError):  # another C library (musl)
        return False
    return all(done)


def forget_pages(array: Any) -> None:
    """Give back the pages of a memory-mapped array that were read; any other array stays.

    They remain in the system's cache, but no longer count as memory of this process: one that
    reads a store of 2 GB block by block would otherwise be shown with 2 GB more than it needs.
    """
    mapped = getattr(array, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a device or in the machine.

    >>> out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    True
    """
    text = str(error).lower()
    # CUDA; torch and the system; cuDNN; C++; ONNX Runtime; OpenCV.
    signs = ("out of memory", "can't allocate memory", "cannot allocate memory",
             "status_alloc_failed", "bad_alloc", "bad allocation", "failed to allocate",
             "insufficient memory")  # fmt: skip
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)


class LargestBatch:
    """The largest batch that fits: starts at a size and halves it whenever memory runs out.

    size: patches at once. warned: called with a sentence at each halving.

    >>> def work(part: slice) -> int:
    ...     if part.stop - part.start > 2:
    ...         raise MemoryError
    ...     return part.stop
    >>> batch = LargestBatch(4)
    >>> [stop for _, stop in batch.parts(5, work)], batch.size
    ([2, 4, 5], 2)
    """

    def __init__(self, size: int, warned: Callable[[str], None] = lambda sentence: None) -> None:
        self.size = size
        self.warned = warned

    def parts(self, count: int, work: Callable[[slice], T]) -> Iterator[tuple[slice, T]]:
        """Call ``work`` with one slice of ``count`` rows after another; yields slice and result.

        Where memory runs out, the same rows are worked on again in smaller slices. Raises the
        error of ``work`` where even one row is too much, and any other error at once.
        """
        start = 0
        while start < count:
            part = slice(start, min(start + self.size, count))
            try:
                result = work(part)
            except Exception as error:
                self.halve(error, part.stop - part.start)
                continue
            yield part, result
            start = part.stop

    def halve(self, error: Exception, tried: int) -> None:
        """Halve the size after ``tried`` rows at once ran out of memory.

        Raises the error where it means something else, or where one row was tried.
        """
        if not out_of_memory(error) or tried < 2:
            raise error
        # Another thread may have halved it further by now.
        self.size = min(self.size, (tried + 1) // 2)
        self.warned(f"out of memory with {tried} patches at once: continuing with {self.size}")
