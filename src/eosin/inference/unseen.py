"""Assess a run on a store that it has never seen; nothing is fitted there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from eosin.data.store import MADE_UP, PatchStore
from eosin.errors import EosinError
from eosin.inference.records import Assessment, StoreRows, baselines_for, write_assessment
from eosin.inference.torch_predictor import load_run
from eosin.inference.unchanged import (
    Measured,
    check_classes,
    mark_seen,
    measure_unchanged,
    of_own_split,
    refuse_folder,
)
from eosin.runs import RunFolder
from eosin.splitting.seen import seen_table
from eosin.training.session import reopen


def assess_unseen(
    run: RunFolder,
    store: PatchStore,
    *,
    output: Path | None = None,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    allow_seen: bool = False,
    with_baselines: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Assessment:
    """Evaluate a run on the whole of a store that it has never seen.

    Raises RunError when a case or the pixels of a patch were trained on (unless ``allow_seen``,
    which every output then says), or when the classes differ; UserError when the output is a run.
    """
    folder = output or run / f"evaluation-{store.path.name}"
    refuse_folder(folder)
    predictor = load_run(run.path, precision=precision)
    check_classes(run.path, predictor, store)
    marks = [MADE_UP] if store.made_up else []
    marks += mark_seen(seen_table(run), store, allow_seen=allow_seen)
    marks += [of_own_split(str(mark)) for mark in predictor.facts.marks]
    rows = np.arange(len(store))
    done = 0

    def stepped(patches: int) -> None:
        nonlocal done
        done += patches
        progress(done, len(rows))

    logits, texture = predictor.read(store.patches, rows, progress=stepped)
    has_limit = predictor.facts.decision().scope_limit is not None
    others, missing = {}, []
    if with_baselines:
        try:
            own = reopen(run.path)
            others = baselines_for(own.store, own.parts, StoreRows(store.patches, rows), seed)
        except EosinError as error:
            missing = [f"no baselines, which need the run's own training patches: {error}"]
    evaluation, table = measure_unchanged(
        predictor,
        run.path,
        Measured(
            store,
            rows,
            # The model divides by its temperature; what was fitted does so itself.
            logits * float(predictor.model.temperature),
            predictor.distances(texture) if has_limit else None,
            marks=marks,
            warnings=missing,
            baselines=others,
        ),
        replicates=replicates,
        seed=seed,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return write_assessment(folder, evaluation, store, table)
