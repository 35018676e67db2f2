"""Data sets that come as arrays: IDX (MNIST), npz (MedMNIST) and HDF5 (PatchCamelyon).

Each is streamed in blocks, in order; none is ever held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.layouts import Layout
from eosin.errors import SourceError

#: Bytes of an array that are read at a time.
BLOCK_BYTES = 4 << 20


@dataclass
class Block:
    """Some consecutive images of an array and their index columns."""

    #: uint8 or uint16 [n, H, W] or [n, H, W, C].
    images: npt.NDArray[np.generic]
    columns: dict[str, list[Any]]


@dataclass
class ArrayPlan:
    """Arrays of images to pack, in order."""

    layout: Layout
    classes: list[str]
    #: (height_px, width_px)
    size: tuple[int, int]
    count: int
    blocks: Callable[[], Iterator[Block]]
    made_up: bool = False
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Each block closes what it opened."""


def kind_of_folder(folder: Path) -> str:
    return ""


def looks_like_idx(path: Path) -> bool:
    return False


def open_arrays(source: Path, layout: Layout, *, scratch: Path | None) -> ArrayPlan:
    raise SourceError("later")
