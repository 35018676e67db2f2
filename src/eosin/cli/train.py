"""`eosin train`: from a store (or an archive) to a trained and evaluated run folder."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output, processes, tracking
from eosin.cli.evaluate import finish
from eosin.cli.processes import why_so_many_threads
from eosin.cli.transfers import encoder_weights
from eosin.errors import UserError
from eosin.stopping import asked_to_stop

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.splitting.split_file import Split
    from eosin.training.loop import Reporter
    from eosin.training.parallel import Team
    from eosin.training.session import Session


def train(
    source: Annotated[Path | None, typer.Argument()] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", "-r")] = None,
    split: options.Split = None,
    run: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    settings: options.Settings = None,
    fold: options.Fold = None,
    base: Annotated[Path | None, typer.Option("--from")] = None,
    teacher: Path | None = None,
    weights: options.Weights = None,
    resume: Path | None = None,
    allow_leaks: options.AllowLeaks = False,
    evaluate: options.Evaluate = True,
    force: options.Force = False,
    track: list[str] | None = None,
    track_to: list[str] | None = None,
    track_project: str | None = None,
    json_: options.Json = False,
) -> None:
    """Train a classifier: audit its split first, evaluate it afterwards.

    Stopped by Ctrl-C or killed at any moment, it continues with --resume. Neither the run of --from
    nor that of --teacher may have seen a case that is used for measuring.

    Options:
        source: A store, or anything `eosin pack` reads; it is then packed first.
        recipe: A name from `eosin recipes`, or a .toml file. Default: compact; with --from, that
            run's own.
        run: The run folder to make.
        base: Start with the weights of this run (other cases or classes).
        teacher: Learn from this run's answers as well (distillation).
        resume: Resume the unfinished run in this folder.
        track: Also report to a tracker: mlflow, tensorboard, wandb or trackio; repeatable. With
            --resume: the same as before, or none.
        track_to: Folder or address of a server for --track, or TRACKER=WHERE; repeatable. Default:
            beside the run folder.
        track_project: Name of the project in the trackers. Default: the store's name.

    Example: eosin train idc.store --recipe compact --split published -o run
    """
    from eosin.locks import working_on

    tracking.check(track, track_to)
    if resume is not None:
        if any(other is not None for other in (run, split, settings, base, teacher, weights)):
            raise UserError(
                "--resume RUN continues the run with its own settings; leave out -o, --split, "
                "--set, --from, --teacher, --weights"
            )
    elif source is None or run is None:
        raise UserError("name a source and a run folder: eosin train STORE -o RUN")
    with ExitStack() as stack:

        def opened() -> Session:
            from eosin.training.session import reopen

            if resume is not None:
                session = reopen(resume, None if source is None else str(source))
            else:
                assert source is not None and run is not None  # noqa: PT018 (see above)
                session = _started(
                    source, recipe, settings or [], split, run, force, base, teacher, weights,
                    fold=fold, allow_leaks=allow_leaks,
                )  # fmt: skip
            stack.enter_context(working_on(session.run.path, "eosin train"))
            return session

        team = stack.enter_context(processes.team())
        session = processes.shared(team, opened)
        tracked = (
            tracking.tracked(session, track, track_to, track_project)
            if team.main
            else nullcontext(lambda reporter: reporter)
        )
        _go(
            session, stack.enter_context(tracked), team, resume=resume, evaluate=evaluate,
            json_=json_,
        )  # fmt: skip


def _go(
    session: Session,
    follow: Callable[[Reporter], Reporter],
    team: Team,
    *,
    resume: Path | None,
    evaluate: bool,
    json_: bool,
) -> None:
    """Train, or resume training, and evaluate."""
    from eosin.data.positive import positive_sentence
    from eosin.training.session import fit

    output.note(positive_sentence(session.store.classes, session.store.positive_by))
    output.warn(*session.marks)
    if resume is not None and session.run.finished:
        output.note(f"{resume} is already finished")
        from eosin.records.model import ModelFacts

        facts = ModelFacts.of_run(session.run.path)
    else:
        # Killed before its first checkpoint, a run starts again: to the same weights.
        resuming = resume is not None and (session.run / "resume.pt").exists()
        if resume is not None and not resuming:
            output.note(f"{resume} has no checkpoint yet; it starts again from the beginning")
        if resuming and team.count == 1:
            processes.threads_of(session.run)
        silent = (
            processes.last_words(
                f"stopped while another process did not answer; {session.run.path} has the last "
                f"checkpoint: resume with --resume {shlex.quote(str(session.run.path))}"
            )
            if team.count > 1
            else nullcontext()
        )
        with silent, watching(session, processes=team.count) as reporter:
            facts = fit(session, reporter=follow(reporter), resume=resuming, team=team)
    processes.leave(team)
    if not team.main:
        return
    output.note(
        f"trained {output.counted(facts.epochs, 'epoch')} in {facts.train_seconds or 0:.0f} s; "
        f"{session.run.path}"
    )
    finish(session, facts, evaluate=evaluate, json_=json_)


def _started(
    source: Path,
    recipe: str | None,
    settings: list[str],
    split: str | None,
    run: Path,
    force: bool,
    base: Path | None,
    teacher: Path | None,
    weights: str | None,
    **options: Any,
) -> Session:
    from eosin.config import read_recipe
    from eosin.runs import RunFolder
    from eosin.training.session import start

    if base is not None and weights is not None:
        raise UserError("--from RUN brings its own weights; leave out --weights")
    name = recipe or "compact"
    if base is not None and recipe is None:
        name = str((RunFolder.open(base) / "recipe.toml").resolve())
    chosen = read_recipe(name, settings)
    inputs: dict[str, Any] = {"the source": source, "--from": base, "--teacher": teacher}
    inputs |= {"--recipe": name if name.endswith(".toml") else None}
    # A name such as "case" is not a path.
    inputs |= {"--split": split if split and Path(split).is_file() else None}
    RunFolder(run).check(force=force, inputs=inputs)
    store = _store(source, run)
    split_of_store = split_for(store, split)
    pretrained = encoder_weights(chosen, weights) if base is None else None
    with output.replacing(run, "run", force=force):
        session, _ = start(
            store, split_of_store, chosen, run,
            base=base, teacher=teacher, weights=pretrained, force=force, **options,
        )  # fmt: skip
    for role, other in (("--from", base), ("--teacher", teacher)):
        warn_of_scale(role, other, store)
    if base is not None and chosen.network in ("compact", "encoder") and not chosen.freeze_norm:
        output.note(
            "batch norm will adapt to the statistics of the new cases; with few of them add "
            "--set freeze_norm=true"
        )
    return session


def warn_of_scale(role: str, run: Path | None, store: PatchStore) -> None:
    """Tell that an earlier run learned at another scale than that of the store."""
    from eosin.data.scale import measured_scale, scale_mark
    from eosin.records.model import ModelFacts

    if run is None:
        return
    facts = ModelFacts.of_run(run)
    if mark := scale_mark(measured_scale(facts, store.patch_size, store.mpp), str(store.path)):
        output.warn(f"{role} {run}: {mark}")


def _store(source: Path, run: Path) -> PatchStore:
    """The store itself, or the one packed from the source, beside the run folder."""
    from eosin.data.store import PatchStore

    if not source.exists():
        raise UserError(f"{source}: no such store, folder or archive")
    if (source / "store.json").exists():
        return PatchStore.open(source)
    from eosin.cli.pack import note_reading, pack_and_note
    from eosin.data.identity import packed_before

    first = run.parent / f"{source.stem}.store"
    path, store = packed_before(source, first)
    if store is None:
        if path != first:
            output.note(f"{first} was packed from something else; packing into {path}")
        try:
            return pack_and_note(source, path)
        except UserError:
            # Another process may have packed the same source meanwhile.
            path, store = packed_before(source, first)
            if store is None:
                raise
    output.note(f"using {path}, packed earlier from the same source")
    note_reading(store)
    return store


def split_for(store: PatchStore, choice: str | None) -> Split:
    """The split that ``--split`` chooses: a file, a scheme, or by default that beside the store."""
    from eosin.splitting import split_file, splits

    beside = store.path.with_name(store.path.name + ".split.csv")
    schemes: dict[str, Callable[[PatchStore], Split]] = {
        "case": splits.by_case,
        "published": splits.by_published,
        "given": splits.by_given,
        "patch": splits.by_patch,
    }
    if choice is None and beside.exists():
        output.note(f"split: {beside}")
        return split_file.read_split(beside)
    choice = "case" if choice is None else choice
    if choice in schemes:
        made = schemes[choice](store)
        output.note(*(f"split: {text}" for text in made.notes))
        return made
    if not Path(choice).exists():
        raise UserError(
            f"--split {choice}: neither a file nor a scheme (case, published, given, patch)"
        )
    return split_file.read_split(choice)


@contextmanager
def watching(session: Session, *, processes: int = 1) -> Iterator[Reporter]:
    """Show progress, and turn Ctrl-C or a stop signal into a checkpoint after the step.

    processes: how many train together; the signal then comes from their launcher, which itself
    ends what does not end in time.
    """
    from eosin.training.loop import Reporter

    def note() -> None:
        if processes == 1:
            output.note("stopping after this step (once more to stop at once) ...")

    with asked_to_stop(note, insist=processes == 1) as stop, output.progress() as bar:
        task = bar.add_task("", total=None, rate="")
        state: dict[str, Any] = {"steps": 1}

        def started(plan: dict[str, Any]) -> None:
            state.update(plan)
            bar.console.print(
                f"{session.recipe.name}: {plan['parameters']:,} parameters, "
                f"{plan['patches']:,} training patches, "
                f"{output.counted(plan['epochs'], 'epoch')} of "
                f"{output.counted(plan['steps'], 'step')} on {plan['machine']}"
                f"{why_so_many_threads()}",
                markup=False,
            )
            done = plan["epoch"] * plan["steps"] + plan["step"]
            bar.update(task, total=plan["epochs"] * plan["steps"], completed=done)

        def taught(done: int, total: int) -> None:
            bar.update(task, total=total, completed=done, description="asking the teacher")

        def stepped(epoch: int, step: int, loss: float) -> None:
            bar.update(
                task,
                completed=(epoch - 1) * state["steps"] + step,
                description=f"epoch {epoch} step {step} loss {loss:.4f}",
            )

        def epoch_done(row: dict[str, Any]) -> None:
            left = row["seconds"] / row["epoch"] * (state["epochs"] - row["epoch"])
            bar.update(task, rate=f"{row['patches_per_second']:.0f} patches/s")
            text = f"epoch {row['epoch']}/{state['epochs']}  loss {row['loss']:.4f}"
            if "val_auroc" in row:
                text += (
                    f"  validation AUROC {row['val_auroc']:.4f}  watched "
                    f"{row['watched_class']} patch {row['watched_probability']:.3f}"
                )
            text += f"  {row['patches_per_second']:.0f} patches/s  left {left:.0f} s"
            bar.console.print(text, markup=False)

        yield Reporter(
            started=started, taught=taught, stepped=stepped, epoch_done=epoch_done,
            warned=output.warn, stop=stop,
        )  # fmt: skip
