"""Assess an exported file on a store, by the thresholds that it carries and without torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.store import MADE_UP, PatchStore
from eosin.errors import RunError
from eosin.evaluation.baselines import Baseline
from eosin.inference.predictor import FilePredictor, load_file
from eosin.inference.records import (
    NO_TEST,
    Assessment,
    StoreRows,
    baselines_for,
    write_assessment,
)
from eosin.inference.unchanged import (
    UNSEEN,
    Measured,
    check_classes,
    measure_unchanged,
    of_own_split,
    refuse_folder,
)
from eosin.runs import RunFolder, environment
from eosin.splitting.seen import SEEN, Seen
from eosin.splitting.split_file import Split

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

OTHER_TEST = "the split has no test part: these figures are on its validation part"
NO_PIXELS = (
    f"{SEEN} does not lie beside the file: the patches could be compared with those of training "
    "by case only, not by pixels"
)
NOTHING_KNOWN = "the file does not say what the model has learned from, so that is not ruled out"
_NEEDED = "no baselines, which need the patches that the model was trained on: "
NO_TRAINING = f"{_NEEDED}name its own store with --store and its split with --split"
OTHER_TRAINING = f"{_NEEDED}this split has other training cases"
#: Patches asked at once, so that progress can be shown.
_BLOCK = 1024
#: The name that needs no mention in a folder of results.
_PLAIN = "model.onnx"


def assess_file(
    path: str | os.PathLike[str],
    store: PatchStore,
    *,
    split: Split | None = None,
    fold: int | None = None,
    output: Path | None = None,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    allow_seen: bool = False,
    with_baselines: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Assessment:
    """Evaluate an exported file on the test part of a split of a store, or on the whole store.

    Without a test part the figures are those of the validation part, and say so. Nothing is
    fitted. What is written goes to ``output``, by default evaluation-STORE beside the file.
    Raises RunError when a case or the pixels of a patch were trained on (unless ``allow_seen``,
    which every output then says), or when the classes differ; UserError when the output holds a run
    or an export; SplitError where the split does not fit the store.
    """
    predictor = load_file(path, precision=precision)
    file = predictor.exported.path
    folder = output or file.parent / _name(file, store)
    refuse_folder(folder)
    check_classes(file, predictor, store)
    facts = predictor.facts
    own = store.digest == facts.store_digest
    parts = None if split is None else split.parts(store, fold)
    part, rows = _measured_part(store, parts)
    seen, warnings = _seen(predictor)
    marks = [MADE_UP] if store.made_up else []
    marks += _seen_marks(seen, store, rows, part, allow_seen=allow_seen)
    said = [str(mark) for mark in facts.marks]
    marks += said if own and split is not None else [of_own_split(mark) for mark in said]
    marks += () if split is None else split.marks
    others: dict[str, Baseline] = {}
    missing: list[str] = []
    if with_baselines:
        trained = seen.only("train").overlap(store).cases
        others, missing = _baselines(store, parts if own else None, rows, trained, seed)
    probabilities, distances = _ask(predictor, store, rows, progress)
    evaluation, table = measure_unchanged(
        predictor,
        file,
        Measured(
            store,
            rows,
            _logits(probabilities, facts.temperature),
            distances,
            part=part,
            scheme=UNSEEN if split is None else split.scheme,
            marks=marks,
            warnings=[*warnings, *missing],
            baselines=others,
            trained=parts["train"] if own and parts is not None else None,
        ),
        replicates=replicates,
        seed=seed,
    )
    evaluation["exported"] = _identity(predictor, precision)
    folder.mkdir(parents=True, exist_ok=True)
    # What a report reads of a run; the run itself may be on another machine.
    RunFolder(folder).write_json("model.json", facts.to_json())
    if facts.fitted:
        RunFolder(folder).write_json("fitted.json", facts.fitted.to_json())
    here = environment()
    del here["date"]  # which would be taken for that of the run
    RunFolder(folder).write_json("environment.json", here)
    return write_assessment(folder, evaluation, store, table)


def _name(file: Path, store: PatchStore) -> str:
    """Where results lie; other files than the plain one beside it have folders of their own."""
    name = f"evaluation-{store.path.name}"
    return name if file.name == _PLAIN else f"{name}-{file.name}"


def _measured_part(store: PatchStore, parts: Mapping[str, Rows] | None) -> tuple[str, Rows]:
    if parts is None:
        return "all", np.arange(len(store))
    for name in ("test", "val"):
        if len(parts[name]):
            return name, parts[name]
    raise RunError("the split has neither validation nor test patches to evaluate on")


def _seen(predictor: FilePredictor) -> tuple[Seen, list[str]]:
    """What the model has learned from: by its own list of cases, and by pixels where known."""
    exported = predictor.exported
    listed = Seen.of_cases(exported.info.seen_cases, exported.info.seen_key)
    beside = exported.path.parent / SEEN
    if beside.exists():
        return listed.joined([Seen.read(beside)]), []
    return listed, [NO_PIXELS if len(listed) else NOTHING_KNOWN]


def _seen_marks(
    seen: Seen, store: PatchStore, rows: Rows, part: str, *, allow_seen: bool
) -> list[str]:
    """What must be said of patches that the model knows; raises RunError as ``mark_seen`` does."""
    if part != "val":
        return [str(mark) for mark in seen.check(store, rows, allow_seen=allow_seen)]
    marks = [str(m) for m in seen.only("train").check(store, rows, allow_seen=allow_seen)]
    # That a validation part was validated on is what its name says.
    return [*marks, NO_TEST if seen.only("val").overlap(store, rows) else OTHER_TEST]


def _baselines(
    store: PatchStore,
    parts: Mapping[str, Rows] | None,
    rows: Rows,
    trained: Sequence[str],
    seed: int,
) -> tuple[dict[str, Baseline], list[str]]:
    """The simple methods where the training part is known, else a sentence."""
    if parts is None:
        return {}, [NO_TRAINING]
    if trained and set(store.cases[parts["train"]].tolist()) != set(trained):
        return {}, [OTHER_TRAINING]
    return baselines_for(store, parts, StoreRows(store.patches, rows), seed), []


def _ask(
    predictor: FilePredictor,
    store: PatchStore,
    rows: Rows,
    progress: Callable[[int, int], None],
) -> tuple[Floats, Floats | None]:
    probabilities = np.empty((len(rows), len(predictor.classes)), np.float32)
    distances: list[Floats] = []
    for start in range(0, len(rows), _BLOCK):
        chosen = rows[start : start + _BLOCK]
        found, apart = predictor.examine(np.asarray(store.patches[chosen]))
        probabilities[start : start + len(chosen)] = found
        if apart is not None:
            distances.append(apart)
        progress(start + len(chosen), len(rows))
    return probabilities, np.concatenate(distances) if distances else None


def _logits(probabilities: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Logits before the temperature, as softmax(logits / temperature) gives the probabilities.

    probabilities: float32 [n, K].

    >>> _logits(np.array([[0.5, 0.5]], np.float32), 2.0).round(3).tolist()
    [[-1.386, -1.386]]
    """
    least = np.finfo(np.float32).tiny
    return temperature * np.log(np.maximum(probabilities.astype(np.float64), least))


def _identity(predictor: FilePredictor, precision: str) -> dict[str, Any]:
    """The "exported" part of evaluation.json: which file answered, and by what."""
    info = predictor.exported.info
    return {
        "file": str(predictor.exported.path),
        "run": info.run,
        "kind": predictor.exported.kind,
        "precision": precision,
        "runtime": predictor.runtime,
        "weights_digest": info.weights_digest,
        "parity": info.parity,
    }
