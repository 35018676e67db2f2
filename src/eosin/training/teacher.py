"""A teacher's answers for the training patches, asked once and kept in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eosin.data.store import PatchStore
from eosin.errors import RunError
from eosin.folders import whole_file
from eosin.models.classifier import load_classifier
from eosin.runs import RunFolder
from eosin.training.batches import take
from eosin.training.machine import choose_machine
from eosin.training.origin import check_digest, digest_of
from eosin.training.validate import classify

_FILE = "teacher.npy"
_BLOCK = 256


def as_teacher(path: Path, store: PatchStore) -> dict[str, Any]:
    """The record of a run as a teacher; raises RunError where its classes are other ones."""
    model, facts = load_classifier(RunFolder.open(path).path)
    if model.classes != store.classes:
        raise RunError(
            f"the teacher {path} knows the classes {', '.join(model.classes)}; "
            f"{store.path} has {', '.join(store.classes)}"
        )
    return {
        "path": str(path.resolve()),
        "digest": digest_of(path / "model.safetensors"),
        "recipe": facts.get("recipe"),
        "parameters": facts.get("parameters"),
    }


def teach(
    record: Mapping[str, Any],
    store: PatchStore,
    rows: npt.NDArray[np.int64],
    run: RunFolder,
    *,
    precision: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """The teacher's logits for the training patches: float32 [n, K].

    rows: int64 [n]. Read from the run folder where they were kept before, so that a resumed run
    does not need its teacher. Raises RunError where the teacher is gone or has changed.
    """
    kept = run / _FILE
    shape = (len(rows), len(store.classes))
    if kept.exists():
        try:
            found = np.load(kept, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise RunError(f"{kept} cannot be read ({error}); delete it and go on") from None
        if found.shape == shape and found.dtype == np.float32 and np.isfinite(found).all():
            return torch.from_numpy(found)
    folder = Path(str(record["path"]))
    check_digest(folder / "model.safetensors", str(record["digest"]))
    machine = choose_machine(precision)
    model = load_classifier(folder)[0].to(machine.device)
    answers = np.empty(shape, np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        answers[start : start + len(block)] = classify(model, take(store.patches, block), machine)
        progress(start + len(block), len(rows))
    with whole_file(kept) as temporary, open(temporary, "wb") as file:
        np.save(file, answers)
    return torch.from_numpy(answers)
