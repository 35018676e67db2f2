"""A file is there whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write; it takes the place of ``path`` where the block ends without error.

    The temporary file lies in the same folder, which is made where it is missing. On an error,
    Ctrl-C included, it is removed and what stood at ``path`` stays. durable: the bytes are on the
    disk before the name changes. Raises OSError as writing does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("all of it")
    ...     [entry.name for entry in Path(folder).iterdir()]
    ['a.txt']
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # One name for all tries: what a killed process left is overwritten by the next.
    temporary = target.with_name(f".{target.name}.partial")
    try:
        yield temporary
        if durable:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            # What a person reads names the file that they asked for.
            error.filename, error.filename2 = str(target), None
        raise
