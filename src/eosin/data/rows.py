"""Some rows of a store's patches, read when they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.memory import forget_pages


class StoreRows:
    """Some rows of a memory-mapped array, read when asked for: uint8 [n, H, W, 3]."""

    def __init__(self, patches: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> None:
        self.patches = patches
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return len(self.rows) * int(np.prod(self.patches.shape[1:]))

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        block = np.asarray(self.patches[self.rows[index]])
        forget_pages(self.patches)
        return block
