"""Decoded tiles kept for the next reader, within a limit of bytes."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

from eosin.slides.slide import Known, Pixels

#: Bytes of decoded tiles that a slide keeps: some rows of tiles of a large slide.
KEPT_BYTES = 128 << 20


class Tile(NamedTuple):
    """Pixels uint8 [h, w, 3], and bool [h, w] of what is not clear (None: all is there)."""

    pixels: Pixels
    known: Known | None

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.pixels.nbytes + (0 if self.known is None else self.known.nbytes)


class Tiles:
    """The tiles that were used last, for all threads; a forked process starts with none.

    >>> import numpy as np
    >>> tiles = Tiles(100)
    >>> made = [tiles.get(k, lambda: Tile(np.zeros((5, 5, 3), np.uint8), None)) for k in (1, 2, 1)]
    >>> tiles.used, made[0] is made[2]
    (75, False)
    """

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self.most = most
        self._start()

    def _start(self) -> None:
        self.used = 0
        self._kept: OrderedDict[Hashable, Tile | None] = OrderedDict()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def get(self, key: Hashable, make: Callable[[], Tile | None]) -> Tile | None:
        """The tile of that key, made where it is not kept; None stays None.

        Two threads that want one tile at one moment both make it: none waits for the other.
        """
        if self._process != os.getpid():
            # Another thread may have had the lock when this process was made.
            self._start()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        tile = make()
        with self._lock:
            if key not in self._kept and (tile is None or tile.size <= self.most):
                self._kept[key] = tile
                self.used += tile.size if tile else 0
                while self.used > self.most:
                    dropped = self._kept.popitem(last=False)[1]
                    self.used -= dropped.size if dropped else 0
        return tile

    def clear(self) -> None:
        """Keep nothing."""
        self._start()
