"""A teacher's answers for the training patches, computed once and kept in the run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eosin.data.store import PatchStore
from eosin.errors import RunError
from eosin.folders import whole_file
from eosin.memory import LargestBatch
from eosin.models.classifier import load_classifier
from eosin.records.origin import Teacher
from eosin.runs import RunFolder
from eosin.sources.files import read_npy
from eosin.training.machine import choose_machine
from eosin.training.validate import logits_of

_FILE = "teacher.npy"
_BATCH = 256


def as_teacher(path: Path, store: PatchStore) -> Teacher:
    """A run as a teacher; raises RunError where its classes differ from those of the store."""
    model, facts = load_classifier(RunFolder.open(path).path)
    if model.classes != store.classes:
        raise RunError(
            f"the teacher {path} has the classes {', '.join(model.classes)}; "
            f"{store.path} has {', '.join(store.classes)}"
        )
    return Teacher.of(path, recipe=facts.recipe, parameters=facts.parameters)


def teach(
    teacher: Teacher,
    store: PatchStore,
    rows: npt.NDArray[np.int64],
    run: RunFolder,
    *,
    precision: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
    warned: Callable[[str], None] = lambda sentence: None,
) -> Tensor:
    """The teacher's logits for the training patches: float32 [n, K].

    rows: int64 [n]. Read from the run folder where they were kept before, so that a resumed run
    does not need its teacher. Raises RunError where the teacher is missing or has changed.
    """
    kept = run / _FILE
    shape = (len(rows), len(store.classes))
    if kept.exists():
        try:
            logits = read_npy(kept)
        except (OSError, ValueError) as error:
            raise RunError(f"{kept} cannot be read ({error}); delete it, then resume") from None
        if logits.shape == shape and logits.dtype == np.float32 and np.isfinite(logits).all():
            return torch.from_numpy(logits)
    teacher.check()
    machine = choose_machine(precision)
    model = load_classifier(Path(teacher.path))[0].to(machine.device)
    batch = LargestBatch(_BATCH, lambda sentence: warned(f"teacher: {sentence}"))
    answers = logits_of(model, store.patches, rows, machine, batch=batch, progress=progress)
    with whole_file(kept) as temporary, open(temporary, "wb") as file:
        np.save(file, answers.numpy())
    return answers
