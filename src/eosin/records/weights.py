"""The identity of a network: a digest of its tensors alone, read from safetensors without torch."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eosin.errors import RunError

WEIGHTS = "model.safetensors"
#: Tensors of the out-of-scope check; earlier versions kept them with the weights.
SCOPE_TENSORS = ("scope_mean", "scope_whitening")


def tensors_digest(data: bytes) -> str:
    """SHA-256 over name, dtype, shape and bytes of each tensor of a network, in order of names.

    data: a safetensors file. Raises ValueError for anything else.

    >>> header = b'{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    >>> tensors_digest(struct.pack("<Q", len(header)) + header + b"x")[:8]
    '03b537de'
    """
    hasher = hashlib.sha256()
    for name, kind, shape, content in sorted(_tensors(data), key=lambda each: each[0]):
        if name not in SCOPE_TENSORS:
            hasher.update(json.dumps([name, kind, shape]).encode())
            hasher.update(content)
    return hasher.hexdigest()


def weights_digest(folder: Path) -> str:
    """The digest of the network in a run folder; raises RunError where it cannot be read."""
    path = folder / WEIGHTS
    try:
        return tensors_digest(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error})") from None


def _tensors(data: bytes) -> Iterator[tuple[str, str, list[int], memoryview]]:
    """Name, dtype, shape and bytes of each tensor."""
    try:
        (size,) = struct.unpack_from("<Q", data)
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        rest = memoryview(data)[8 + size :]
        for name, each in header.items():
            if name != "__metadata__":
                start, stop = each["data_offsets"]
                yield name, str(each["dtype"]), list(each["shape"]), rest[start:stop]
    except (struct.error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a safetensors file: {error}") from None
