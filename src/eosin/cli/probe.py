"""`eosin probe`: a head on a frozen encoder, fitted in minutes, evaluated as any run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.cli.evaluate import finish
from eosin.cli.transfers import encoder_weights
from eosin.errors import UserError
from eosin.stopping import asked_to_stop

if TYPE_CHECKING:
    from eosin.probing.embeddings import Watcher


def probe(
    store: options.Store,
    encoder: Annotated[str, typer.Option("--encoder", "-e")],
    run: options.NewRun,
    weights: options.Weights = None,
    split: options.Split = None,
    head: str = ("logistic"),
    input_px: Annotated[int, typer.Option(min=0)] = 0,
    resize: str = "pixels",
    precision: str = "auto",
    embeddings: Path | None = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    fold: options.Fold = None,
    allow_leaks: options.AllowLeaks = False,
    evaluate: options.Evaluate = True,
    force: options.Force = False,
    json_: options.Json = False,
) -> None:
    """Fit a head on the embeddings of a frozen encoder: logistic regression or nearest neighbors.

    Embeddings are computed once for an encoder and a store and kept beside it; stopped by Ctrl-C
    or killed, the same command resumes with those that are there. The strength of the penalty, or
    the number of neighbors, is chosen by log loss on validation. The result is a run as any other.

    Options:
        encoder: A name from `eosin encoders`, or a run with its features.
        head: logistic, knn (cosine) or knn-euclidean.
        input_px: Longer side at which the encoder sees a patch; 0: its own.
        resize: pixels, or mpp: patches are brought to the encoder's mpp.
        precision: Of embeddings: auto, fp32, or bf16 (kept as float16).
        embeddings: Folder for embeddings. Default: beside the store, STORE.embeddings.
        seed: Seed of random weights and draws.

    Example: eosin probe idc.store --encoder uni2-h --split published -o probe
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise UserError(f"--precision {precision}: choose auto, fp32 or bf16")
    from eosin.cli.train import split_for
    from eosin.data.store import PatchStore
    from eosin.probing.probe import begin, fit_probe, probe_recipe

    opened = PatchStore.open(store)
    for option, path in (("-o", run), ("--embeddings", embeddings)):
        if path is not None and path.resolve().is_relative_to(opened.path.resolve()):
            raise UserError(f"{option} {path} is inside the store; choose another folder")
    recipe, base = probe_recipe(
        opened, encoder, head=head, input_px=input_px, resize=resize, precision=precision, seed=seed
    )
    if base is not None and weights is not None:
        raise UserError(f"{base} brings its own weights; leave out --weights")
    chosen = split_for(opened, split)
    result = None if base is not None else encoder_weights(recipe, weights)
    session = begin(
        opened, chosen, recipe, run, base=base, weights=result,
        fold=fold, allow_leaks=allow_leaks, force=force,
    )  # fmt: skip
    output.warn(*session.marks)
    with watching() as watcher:
        facts = fit_probe(session, folder=embeddings, watcher=watcher)
    output.note(f"{(facts.probe or {})['sentence']}; {session.run.path}")
    finish(session, facts, evaluate=evaluate, json_=json_)


@contextmanager
def watching() -> Iterator[Watcher]:
    """Show progress, and let Ctrl-C or a stop signal end the work after the batch."""
    from eosin.probing.embeddings import Watcher

    words = "stopping after this batch (once more to stop at once) ..."
    with asked_to_stop(lambda: output.note(words)) as stop, output.progress() as bar:
        task = bar.add_task("embeddings", total=None, rate="")

        def progress(done: int, total: int, rate: float) -> None:
            bar.update(task, completed=done, total=total, rate=f"{rate:,.0f} patches/s")

        def tried(row: dict[str, Any]) -> None:
            name = "strength" if "strength" in row else "neighbors"
            bar.update(task, description=f"{name} {row[name]:g}")
            bar.console.print(
                f"{name} {row[name]:<8g} log loss {row['val_loss']:.4f}  AUROC "
                f"{row['val_auroc']:.4f}",
                markup=False,
            )

        yield Watcher(progress, tried, note=output.note, warned=output.warn, stop=stop)
