"""A run pruned to one or several sizes, retrained briefly, and measured beside the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eosin.data.store import MADE_UP
from eosin.errors import RunError, UserError
from eosin.evaluation.metrics import figure
from eosin.inference.assess import assess
from eosin.inference.predictor import predict_rows
from eosin.inference.scope import some
from eosin.inference.torch_predictor import TorchPredictor
from eosin.models.classifier import Classifier, load_classifier
from eosin.records.evaluation import Evaluation
from eosin.records.origin import Origin
from eosin.records.weights import weights_digest
from eosin.refining.cost import size_of, speeds
from eosin.refining.derived import finished_session, write_derived
from eosin.refining.prune_page import draw, page, sentences
from eosin.refining.slim import refuse_unprunable, slim
from eosin.runs import RunFolder
from eosin.studies.compare import compare
from eosin.studies.plan import Plan, identity
from eosin.studies.study import Job, PlannedRun, Study, StudyResult
from eosin.training.machine import choose_machine
from eosin.training.session import Session, reopen

#: Training patches from which the importance of channels is judged.
JUDGED = 1024


@dataclass(frozen=True)
class Pruning:
    """How a run is pruned and retrained; not the shares to keep, as they add up."""

    epochs: int = 2
    #: Of the recipe's learning rates.
    rate: float = 0.25
    by: str = "taylor"
    #: Learn from the unpruned run's answers as well.
    distill: bool = False
    seed: int = 0


def prune(
    path: Path,
    output: Path,
    keeps: Sequence[float],
    *,
    pruning: Pruning | None = None,
    store: str | None = None,
    precision: str = "fp32",
    replicates: int = 2000,
    **options: Any,
) -> StudyResult:
    """Prune a run to each share of channels, retrain, and compare with the original.

    path: an evaluated run of a network that can be pruned; output: the folder, in which every size
    becomes an ordinary run (and, beside it, the same network before retraining); keeps: shares of
    channels between 0 and 1; options: force, again, watch and note, as for `Study.open`. An earlier
    call is resumed. Writes prune.json, prune.md and prune.png.
    Raises UserError for what cannot be pruned, StoppedError at Ctrl-C; a size that fails is
    collected with its cause.
    """
    pruning = pruning or Pruning()
    shares = {float(keep) for keep in keeps}
    if not shares or not all(0 < keep < 1 for keep in shares):
        raise UserError("choose a share of the channels to keep, between 0 and 1: --keep 0.5")
    if pruning.epochs < 1 or not 0 < pruning.rate <= 1:
        raise UserError(
            f"--epochs {pruning.epochs} --rate {pruning.rate:g}: at least one epoch, and a share "
            "of the recipe's learning rate above 0 and at most 1"
        )
    original = finished_session(path, store, "pruned")
    model = load_classifier(path)[0]
    refuse_unprunable(model.architecture, path)
    if not (path / "evaluation.json").is_file():
        raise UserError(
            f"{path} has not been evaluated, so there is nothing to compare with; first run: "
            f"eosin evaluate {path}"
        )
    settings = {**vars(pruning), "run": weights_digest(path)}
    plan = Plan("prune", identity(original.store), original.recipe, settings)
    study = Study.open(output, original.store, plan, inputs={"RUN": path}, **options)
    # What an earlier call finished belongs on the curve, whether it is listed again or not.
    runs = (each for each in study.folder.path.glob("keep-*") if not each.name.endswith("-cut"))
    shares |= {float(run.name.removeprefix("keep-")) for run in runs if RunFolder(run).finished}
    names = {f"keep-{keep:g}": keep for keep in sorted(shares, reverse=True)}
    work = _Pruned(study, path, original, model, pruning)
    jobs = [Job(name, name, partial(work.sized, name, keep)) for name, keep in names.items()]
    done = study.do(jobs).some()
    sizes = {name: (names[name], made) for name, made in done.finished.items()}
    result = work.measured(sizes, done.failed, precision, replicates)
    return study.write(
        result, {"prune.md": page(result), "prune.png": partial(draw, result=result)}
    )


@dataclass(frozen=True)
class _Pruned:
    """A run at work: the study of it, its folder, session and classifier, and how it is pruned."""

    study: Study
    path: Path
    original: Session
    model: Classifier
    pruning: Pruning

    def sized(self, name: str, keep: float) -> Session:
        """One size: cut, retrained and evaluated; what is finished is kept, the rest is resumed."""
        if RunFolder(self.study.folder / name).finished:
            made = reopen(self.study.folder / name, str(self.study.store.path))
        else:
            made = self._retrained(name, keep)
        if not (made.run / "evaluation.json").is_file():
            assess(made, with_baselines=False)
        return made

    def _retrained(self, name: str, keep: float) -> Session:
        cut, original, rate = self.study.folder / f"{name}-cut", self.original, self.pruning.rate
        if not RunFolder(cut).finished:
            self._cut(cut, keep)
        recipe = RunFolder(cut).recipe().changed(
            name=f"{original.recipe.name}-{name}",
            about=f"{original.recipe.name} with {keep:.0%} of its channels, retrained briefly.",
            epochs=self.pruning.epochs,
            learning_rate=original.recipe.learning_rate * rate,
            muon_learning_rate=original.recipe.muon_learning_rate * rate,
            patience=0,
        )  # fmt: skip
        options = {
            # A leak of the original is a leak here, and its marks are kept.
            "allow_leaks": bool(set(original.marks) - {MADE_UP}),
            "base": cut,
            "teacher": self.path if self.pruning.distill else None,
        }
        planned = PlannedRun(name, original.split, recipe, original.fold, options)
        return self.study.trained(planned)

    def _cut(self, target: Path, keep: float) -> None:
        """The pruned network before retraining, as a run folder of its own."""
        session, by = self.original, self.pruning.by
        rows = some(session.parts["train"], JUDGED, self.pruning.seed)
        patches = torch.from_numpy(np.array(session.store.patches[rows]))
        labels = torch.from_numpy(session.store.labels[rows]).long()
        smaller = slim(self.model, patches, labels, keep=keep, by=by)
        write_derived(
            target,
            smaller,
            session.recipe.changed(
                name=f"{session.recipe.name}-keep-{keep:g}-cut",
                about=f"{session.recipe.name} with {keep:.0%} of its channels, not yet retrained.",
                arguments=smaller.arguments,
            ),
            session,
            start=Origin.of(self.path, kind="cut", keep=keep, by=by),
            parents=[RunFolder(self.path)],
            marks=session.marks,
            facts={"diagnoses": []},
            force=True,
        )

    def measured(
        self,
        sized: dict[str, tuple[float, Session]],
        failed: dict[str, str],
        precision: str,
        replicates: int,
    ) -> dict[str, Any]:
        """Cost and quality of every size beside the original; differences on the same cases."""
        path, session = self.path, self.original
        compared = compare(
            [path, *(made.run.path for _, made in sized.values())],
            allow_seen=True,
            replicates=replicates,
            seed=self.pruning.seed,
        )
        folders = {"original": (1.0, path)}
        folders |= {name: (keep, made.run.path) for name, (keep, made) in sized.items()}
        models = {name: load_classifier(folder)[0] for name, (_, folder) in folders.items()}
        sizes = {name: size_of(models[name], folder) for name, (_, folder) in folders.items()}
        # Real patches, as a network may be faster on zeros.
        patches = np.asarray(session.store.patches[session.parts["train"][:256]])
        fast = speeds(models, patches, precision=precision)
        part = Evaluation.read(path).part
        rows = [
            {
                "name": name,
                "keep": keep,
                "path": str(folder),
                **sizes[name],
                "patches_per_second": fast[name],
                "times_as_fast": fast[name] / fast["original"],
                "figures": run["figures"],
                "differences": compared["differences"].get(run["name"]),
                "before_retraining": None
                if name == "original"
                else _before(folder.with_name(f"{folder.name}-cut"), session, part),
            }
            for (name, (keep, folder)), run in zip(folders.items(), compared["runs"], strict=True)
        ]
        result: dict[str, Any] = self.study.result(
            compared["marks"],
            failed,
            run=str(path),
            part=part,
            common=compared["common"],
            settings={**vars(self.pruning), "precision": precision},
            machine=str(choose_machine(precision)),
            rows=rows,
            interval=compared["interval"],
            warnings=compared["warnings"],
        )
        return {**result, "sentences": sentences(result, compared["sentences"])}


def _before(folder: Path, session: Session, part: str) -> dict[str, Any] | None:
    """AUROC of the cut network without retraining; None where its folder was removed."""
    try:
        predictor = TorchPredictor(*load_classifier(folder))
    except RunError:
        return None
    rows = session.parts[part]
    probabilities = np.concatenate(list(predict_rows(predictor, session.store.patches, rows)))
    two = probabilities.shape[1] == 2
    name = "auroc" if two else "macro_auroc"
    scores = probabilities[:, 1] if two else probabilities
    value = float(figure(name, session.store.labels[rows], scores, threshold=0.5))
    return {"figure": name, "value": value if np.isfinite(value) else None}
