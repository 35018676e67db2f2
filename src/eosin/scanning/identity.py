"""What a scan depends on, as digests: the slide's bytes, the model, and what was asked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eosin.records.agreement import fitted_digest
from eosin.runtime.predictor import FilePredictor, Predictor

#: How many pieces of a file are looked at, and their bytes: all of it would take seconds.
PIECES, PIECE_BYTES = 64, 1 << 16


def fingerprint(path: Path) -> str:
    """A digest of a slide: sizes, and pieces at equal distances, of the file or of its folder.

    MRXS and DICOM keep a slide in several files: those of the folder NAME beside NAME.mrxs, or all
    of the folder that was given. A change of single bytes between the pieces goes unnoticed. Raises
    OSError where a file cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, two = Path(folder) / "a.svs", Path(folder) / "b.svs"
    ...     _ = one.write_bytes(b"slide"), two.write_bytes(b"slide")
    ...     fingerprint(one) == fingerprint(two)
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in _files(path):
        size = file.stat().st_size
        # The name of the file itself is no part of a slide; those in a folder tell them apart.
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        digest.update(f"{name}\0{size}\n".encode("utf-8", "surrogateescape"))
        with open(file, "rb") as opened:
            for place in _places(size):
                opened.seek(place)
                digest.update(opened.read(PIECE_BYTES))
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    beside = path.with_suffix("") if path.suffix.lower() in (".mrxs", ".vms", ".vmu") else path
    if not beside.is_dir():
        return [path]
    inside = sorted(file for file in beside.rglob("*") if file.is_file())
    return inside if path.is_dir() else [path, *inside]


def _places(size: int) -> Iterable[int]:
    if size <= PIECES * PIECE_BYTES:
        return range(0, size, PIECE_BYTES)
    last = size - PIECE_BYTES
    return [last * k // (PIECES - 1) for k in range(PIECES)]


def model_identity(predictor: Predictor) -> dict[str, Any]:
    """What the answers of a model depend on: weights, what was fitted, runtime and precision."""
    facts = predictor.facts
    known: dict[str, Any] = {
        "architecture": facts.architecture,
        "weights_digest": facts.weights_digest,
        "fitted_digest": fitted_digest(facts.fitted),
        "runtime": getattr(predictor, "runtime", "torch"),
        "precision": getattr(predictor, "precision", "fp32"),
    }
    if isinstance(predictor, FilePredictor):
        digest = hashlib.blake2b(digest_size=16)
        for file in predictor.files:
            with open(file, "rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
        known["file_digest"] = digest.hexdigest()
    return known


def key_of(known: Mapping[str, Any]) -> str:
    """The digest of settings.

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(known, sort_keys=True, default=os.fspath)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
