"""What is assessed: a subject (patches of a store) and a reading (a model's answers for them)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore
from eosin.errors import RunError, UserError
from eosin.evaluation.baselines import Baseline
from eosin.folders import kind_of
from eosin.inference.predictor import FilePredictor, Predictor, examine_rows
from eosin.kinds import KINDS
from eosin.records.marks import Mark
from eosin.splitting.seen import SEEN, Seen

if TYPE_CHECKING:
    from eosin.inference.torch_predictor import TorchPredictor

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Progress = Callable[[int, int], None]

UNSEEN = "unseen store"
OWN_SPLIT = "of the run's own split, not of this store: "
NO_TEST = Mark(
    "no_test",
    "the split has no test part: these figures are on the validation part, on which the threshold "
    "was chosen, so they are somewhat too good",
)
OTHER_TEST = Mark("no_test", "the split has no test part: these figures are on its validation part")
NEITHER = "the split has neither validation nor test patches to evaluate on"
NO_PIXELS = (
    f"{SEEN} is not in the folder of the file: the patches could be compared with those of "
    "training by case only, not by pixels"
)
NOTHING_KNOWN = (
    "the file does not list what the model has learned from, so it may have seen these patches"
)


@dataclass(frozen=True)
class Subject:
    """What is measured: patches of a store, and what goes with every figure of them."""

    store: PatchStore
    #: Parts that are predicted; the last one is measured, and it is "all" for a complete store.
    parts: Mapping[str, Rows]
    folder: Path
    #: The run folder or the file that is asked.
    model: Path
    scheme: str = UNSEEN
    marks: Sequence[Mark] = ()
    warnings: Sequence[str] = ()
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    #: int64 [m], the training patches where they are of this store.
    trained: Rows | None = None

    @property
    def part(self) -> str:
        """The name of the measured part."""
        return list(self.parts)[-1]


@dataclass(frozen=True)
class Reading:
    """What a model answers for some patches."""

    #: float [n, K], not yet divided by a temperature.
    logits: Floats = field(repr=False)
    #: float32 [n] from the training patches; None where the model has no out-of-scope check.
    distances: Floats | None = field(repr=False)
    #: float32 [n, K] at the temperature that the model keeps; None where it is fitted now.
    probabilities: Floats | None = field(default=None, repr=False)


def read_run(
    predictor: TorchPredictor,
    store: PatchStore,
    rows: Rows,
    has_scope: bool,
    stepped: Callable[[int], None],
) -> Reading:
    """Ask a run; rows: int64 [n] of the store; stepped: called with the patches read just now."""
    logits, texture = predictor.read(store.patches, rows, progress=stepped)
    # The model divides by its temperature; what was fitted does so itself.
    logits = logits * float(predictor.model.temperature)
    return Reading(logits, predictor.distances(texture) if has_scope else None)


def read_file(
    predictor: Predictor,
    store: PatchStore,
    rows: Rows,
    temperature: float,
    stepped: Callable[[int], None],
) -> Reading:
    """Ask an exported file, which gives probabilities; as ``read_run``."""
    probabilities, distances = examine_rows(predictor, store.patches, rows, stepped)
    # softmax(logits / temperature) gives the probabilities.
    least = np.finfo(np.float32).tiny
    logits = temperature * np.log(np.maximum(probabilities.astype(np.float64), least))
    return Reading(logits, distances, probabilities)


def counter(parts: Mapping[str, Rows], progress: Progress) -> Callable[[int], None]:
    """A function that takes how many patches were read just now, and reports all so far."""
    total, done = sum(map(len, parts.values())), 0

    def count(patches: int) -> None:
        nonlocal done
        done += patches
        progress(done, total)

    return count


def measured_part(parts: Mapping[str, Rows] | None, patches: int) -> tuple[str, Rows]:
    """The part that is measured, and its rows: all patches where there is no split."""
    if parts is None:
        return "all", np.arange(patches)
    for name in ("test", "val"):
        if len(parts[name]):
            return name, parts[name]
    raise RunError(NEITHER)


def seen_by(predictor: FilePredictor) -> tuple[Seen, list[str]]:
    """What the model has learned from: by its own list of cases, and by pixels where known."""
    exported = predictor.exported
    listed = Seen.of_cases(exported.info.seen_cases, exported.info.seen_key)
    beside = exported.path.parent / SEEN
    if beside.exists():
        return listed.joined([Seen.read(beside)]), []
    return listed, [NO_PIXELS if len(listed) else NOTHING_KNOWN]


def seen_marks(
    seen: Seen, store: PatchStore, rows: Rows, part: str, *, allow_seen: bool
) -> list[Mark]:
    """Marks of patches that the model has seen; raises RunError as ``Seen.check`` does."""
    if part != "val":
        return seen.check(store, rows, allow_seen=allow_seen)
    marks = seen.only("train").check(store, rows, allow_seen=allow_seen)
    # That a validation part was validated on is what its name says.
    own = bool(seen.only("val").overlap(store, rows))
    return [*marks, NO_TEST if own else OTHER_TEST]


def of_own_split(mark: Mark) -> Mark:
    """A leak between the parts that a run was made from is none between them and another store."""
    return mark if mark.kind == "made_up" else Mark("own_split", f"{OWN_SPLIT}{mark}")


def check_classes(path: Path, predictor: Predictor, store: PatchStore) -> None:
    """Raise RunError where a store has other classes than a model."""
    if predictor.classes != store.classes:
        raise RunError(
            f"{path} has the classes {list(predictor.classes)}, {store.path} has "
            f"{list(store.classes)}; they must be the same, in the same order"
        )


def check_output(folder: Path) -> None:
    """Raise UserError for a folder in which results would replace something else."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose a folder with -o FOLDER")
    kind = kind_of(folder)
    if (folder / "recipe.toml").exists() or kind == "run":
        problem = "is a run folder, and its own evaluation would be lost"
    elif any((folder / name).exists() for name in ("export.json", "model.onnx", "model.xml")):
        problem = "contains an exported model"
    elif kind not in ("", "evaluation"):
        problem = f"contains {KINDS[kind].name}"
    else:
        return
    raise UserError(f"{folder} {problem}; choose another folder with -o FOLDER")
