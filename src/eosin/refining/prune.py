"""A run pruned to one or several sizes, retrained briefly, and measured beside the original."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eosin.data.store import MADE_UP
from eosin.errors import EosinError, RunError, StoppedError, UserError
from eosin.evaluation.metrics import figure
from eosin.inference.assess import assess
from eosin.inference.predictor import predict_rows
from eosin.inference.torch_predictor import TorchPredictor
from eosin.models.classifier import Classifier, load_classifier
from eosin.records.origin import Origin
from eosin.records.weights import weights_digest
from eosin.refining.cost import size_of, speeds
from eosin.refining.derived import finished_session, write_derived
from eosin.refining.prune_page import draw, page, sentences
from eosin.refining.slim import refuse_unprunable, slim
from eosin.runs import RunFolder
from eosin.studies.compare import compare
from eosin.studies.plan import open_study, plan_of, writing
from eosin.studies.series import Study, Watch, unwatched
from eosin.training.machine import choose_machine
from eosin.training.session import Session, fit, reopen, start

FORMAT = 1
#: Training patches from which the importance of channels is judged.
JUDGED = 1024
_NEEDED = ("recipe.toml", "split.csv", "environment.json", "seen.parquet")


@dataclass(frozen=True)
class Wanted:
    """How a run is pruned and retrained; the shares to keep are not among it, as they add up."""

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
    wanted: Wanted | None = None,
    store: str | None = None,
    precision: str = "fp32",
    replicates: int = 2000,
    force: bool = False,
    again: str,
    watch: Watch = unwatched,
    said: Callable[[str], None] = lambda text: None,
) -> Study:
    """Prune a run to each share of channels, retrain, and compare with the original.

    path: an evaluated run of a network that can be pruned; output: the folder, in which every size
    becomes an ordinary run (and, beside it, the same network before retraining); keeps: shares of
    channels between 0 and 1. What is there of an earlier call goes on; again: the command for that.
    Writes prune.json, prune.md and prune.png.
    Raises UserError for what cannot be pruned, StoppedError at Ctrl-C; a size that fails is
    collected with its cause.
    """
    wanted = wanted or Wanted()
    shares = sorted({float(keep) for keep in keeps}, reverse=True)
    if not shares or not all(0 < keep < 1 for keep in shares):
        raise UserError("say which share of the channels to keep, between 0 and 1: --keep 0.5")
    if wanted.epochs < 1 or not 0 < wanted.rate <= 1:
        raise UserError(
            f"--epochs {wanted.epochs} --rate {wanted.rate:g}: at least one epoch, and a share of "
            "the recipe's learning rate above 0 and at most 1"
        )
    session = finished_session(path, store, "pruned")
    model = load_classifier(path)[0]
    refuse_unprunable(model.architecture, path)
    if not (path / "evaluation.json").is_file():
        raise UserError(
            f"{path} has not been evaluated, so there is nothing to compare with; first say: "
            f"eosin evaluate {path}"
        )
    settings = {**vars(wanted), "run": weights_digest(path)}
    plan = plan_of("prune", session.store, session.recipe, seeds=1, **settings)
    folder = open_study(output, plan, force=force)
    # What an earlier call finished belongs on the curve, named again or not.
    shares = sorted({*shares, *_finished(folder.path)}, reverse=True)
    sized: dict[str, tuple[float, Session]] = {}
    failed: dict[str, str] = {}
    for keep in shares:
        name = f"keep-{keep:g}"
        said(f"{name}: {len(sized) + len(failed) + 1} of {len(shares)}")
        try:
            sized[name] = keep, _one(folder.path / name, path, session, model, keep, wanted, watch)
        except StoppedError:
            raise StoppedError(
                f"stopped at {name}; {len(sized)} of {len(shares)} sizes are finished and the "
                f"state is saved; go on with: {again}"
            ) from None
        except EosinError as error:
            failed[name] = str(error)
            said(f"{name} failed: {error}")
    if not sized:
        raise RunError(f"no size was made: {'; '.join(f'{n}: {w}' for n, w in failed.items())}")
    result = _measured(path, session, sized, precision, replicates, wanted)
    result["failed"] = failed
    with writing(folder):
        draw(folder / "prune.png", result)
        folder.write_text("prune.md", page(result))
        folder.write_json("prune.json", result)
    files = ("prune.json", "prune.md", "prune.png", *sized)
    return Study(result, folder.path, files, failed)


def _finished(folder: Path) -> list[float]:
    """The shares of the sizes that are there already."""
    runs = (path for path in folder.glob("keep-*") if not path.name.endswith("-cut"))
    return [float(p.name.removeprefix("keep-")) for p in runs if RunFolder(p).finished]


def _one(
    target: Path,
    path: Path,
    session: Session,
    model: Classifier,
    keep: float,
    wanted: Wanted,
    watch: Watch,
) -> Session:
    """One size: cut, retrained and evaluated; what is there already is left or goes on."""
    run, going_on = RunFolder(target), False
    if run.finished or all((target / name).is_file() for name in _NEEDED):
        made = reopen(target, str(session.store.path))
        going_on = (target / "resume.pt").is_file()
    else:
        if target.exists():
            # Killed while the folder was being made: nothing has been trained in it.
            shutil.rmtree(target)
        cut = RunFolder(target.with_name(f"{target.name}-cut"))
        if not cut.finished:
            _cut(cut.path, path, session, model, keep, wanted)
        recipe = cut.recipe().changed(
            name=f"{session.recipe.name}-keep-{keep:g}",
            about=f"{session.recipe.name} with {keep:.0%} of its channels, retrained briefly.",
            epochs=wanted.epochs,
            learning_rate=session.recipe.learning_rate * wanted.rate,
            muon_learning_rate=session.recipe.muon_learning_rate * wanted.rate,
            patience=0,
        )
        made, _ = start(
            session.store,
            session.split,
            recipe,
            target,
            fold=session.fold,
            # What leaks in the original leaks here, and its marks say so.
            allow_leaks=bool(set(session.marks) - {MADE_UP}),
            base=cut.path,
            teacher=path if wanted.distill else None,
        )
    if not run.finished:
        with watch(made) as reporter:
            fit(made, reporter=reporter, resume=going_on)
    if not (target / "evaluation.json").is_file():
        assess(made, with_baselines=False)
    return made


def _cut(
    target: Path, path: Path, session: Session, model: Classifier, keep: float, wanted: Wanted
) -> None:
    """The pruned network before retraining, as a run folder of its own."""
    rows = session.parts["train"]
    if len(rows) > JUDGED:
        rng = np.random.default_rng(wanted.seed)
        rows = np.sort(rng.choice(rows, JUDGED, replace=False))
    patches = torch.from_numpy(np.array(session.store.patches[rows]))
    labels = torch.from_numpy(session.store.labels[rows]).long()
    smaller = slim(model, patches, labels, keep=keep, by=wanted.by)
    if target.exists():
        shutil.rmtree(target)
    write_derived(
        target,
        smaller,
        session.recipe.changed(
            name=f"{session.recipe.name}-keep-{keep:g}-cut",
            about=f"{session.recipe.name} with {keep:.0%} of its channels, not yet retrained.",
            arguments=smaller.arguments,
        ),
        session,
        start=Origin.of(path, kind="cut", keep=keep, by=wanted.by),
        parents=[RunFolder(path)],
        marks=session.marks,
        facts={"diagnoses": []},
    )


def _measured(
    path: Path,
    session: Session,
    sized: dict[str, tuple[float, Session]],
    precision: str,
    replicates: int,
    wanted: Wanted,
) -> dict[str, Any]:
    """Cost and quality of every size beside the original; differences on the same cases."""
    found = compare(
        [path, *(made.run.path for _, made in sized.values())],
        allow_seen=True,
        replicates=replicates,
        seed=wanted.seed,
    )
    figures = {Path(run["path"]).resolve(): run["figures"] for run in found["runs"]}
    by_path = {Path(run["path"]).resolve(): run["name"] for run in found["runs"]}
    folders = {"original": (1.0, path)}
    folders |= {name: (keep, made.run.path) for name, (keep, made) in sized.items()}
    models = {name: load_classifier(folder)[0] for name, (_, folder) in folders.items()}
    sizes = {name: size_of(models[name], folder) for name, (_, folder) in folders.items()}
    # Real patches: how fast zeros go through a network can differ.
    some = np.asarray(session.store.patches[session.parts["train"][:256]])
    fast = speeds(models, some, precision=precision)
    part = RunFolder(path).read_json("evaluation.json")["part"]
    rows = []
    for name, (keep, folder) in folders.items():
        mine = figures[folder.resolve()]
        called = by_path[folder.resolve()]
        rows.append(
            {
                "name": name,
                "keep": keep,
                "path": str(folder),
                **sizes[name],
                "patches_per_second": fast[name],
                "times_as_fast": fast[name] / fast["original"],
                "figures": mine,
                "differences": found["differences"].get(called),
                "before_retraining": None
                if name == "original"
                else _before(folder.with_name(f"{folder.name}-cut"), session, part),
            }
        )
    result = {
        "version": FORMAT,
        "study": "prune",
        "run": str(path),
        "part": part,
        "common": found["common"],
        "marks": found["marks"],
        "settings": {**vars(wanted), "precision": precision},
        "machine": str(choose_machine(precision)),
        "rows": rows,
        "interval": found["interval"],
        "warnings": found["warnings"],
        "intended_use": found["intended_use"],
    }
    result["sentences"] = sentences(result, found["sentences"])
    return result


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
