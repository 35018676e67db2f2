"""The identity of a network: a digest of its tensors alone, read from safetensors without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from eosin.errors import RunError

WEIGHTS = "model.safetensors"
#: Tensors of the out-of-scope check; earlier versions kept them with the weights.
SCOPE_TENSORS = ("scope_mean", "scope_whitening")


def tensors_digest(data: bytes) -> str:
    """SHA-256 over name, dtype, shape and bytes of each tensor of a network, in order of names.

    data: a safetensors file. Raises ValueError for anything else.

    >>> import struct
    >>> header = b'{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    >>> tensors_digest(struct.pack("<Q", len(header)) + header + b"x")[:8]
    '03b537de'
    """
    import safetensors

    hasher = hashlib.sha256()
    try:
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from None
    for name, each in sorted(tensors.items()):
        if name not in SCOPE_TENSORS:
            hasher.update(json.dumps([name, each["dtype"], each["shape"]]).encode())
            hasher.update(each["data"])
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
