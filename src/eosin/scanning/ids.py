"""Ids of the objects of a scan: the same scan gives the same ones, wherever and whenever."""

from __future__ import annotations

import hashlib
import uuid

import numpy as np

from eosin.scanning.scan import Scan

#: The name space of all ids that eosin makes.
_SPACE = uuid.UUID("6f2e2d3c-8d0b-5a55-9d0e-0f9b6a3c1e77")


def key_of(scan: Scan, name: str) -> str:
    """What the ids of a scan are made of: the slide's name and the answers.

    Two models on one slide give other ids, so that the objects of both can be in one QuPath image.
    """
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=16)
    for values in (scan.grid.column, scan.grid.row, scan.decided, scan.probabilities):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def id_of(key: str, *what: object) -> str:
    """A UUID (version 5) of one thing of a scan.

    >>> id_of("0f", "tile", 1, 2) == id_of("0f", "tile", 1, 2) != id_of("0f", "tile", 12, "")
    True
    """
    return str(uuid.uuid5(_SPACE, "\0".join(map(str, (key, *what)))))
