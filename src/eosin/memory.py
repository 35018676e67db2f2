"""Memory: the largest batch that fits, freed memory that is kept, pages of files given back."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

# mallopt(3): parameters of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory instead of giving it back to the system at every step.

    A setting of the whole process: programs make it at their start, libraries never do. Large
    arrays are otherwise mapped and unmapped, page by page, each step: training the article's
    network in bf16 went from 508 to 747 patches/s with this, and inflating and filtering a patch
    from 54 to 43 microseconds. Returns False where the C library has no such setting.
    """
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
    signs = ("out of memory", "can't allocate memory", "status_alloc_failed")
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
