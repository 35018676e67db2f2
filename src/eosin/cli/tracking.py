"""The values of --track, --track-to and --track-project, and training that trackers follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eosin.cli import output
from eosin.errors import EosinError, RunError, StoppedError, UserError
from eosin.folders import temporary_folder

if TYPE_CHECKING:
    from eosin.runs import RunFolder
    from eosin.tracking.tracker import Tracker
    from eosin.training.loop import Reporter
    from eosin.training.session import Session


def check(track: Sequence[str] | None, track_to: Sequence[str] | None) -> None:
    """Refuse what cannot be tracked, before anything is made; loads no tracker."""
    from eosin.tracking.names import check_names, destinations

    names, where = track or [], track_to or []
    if where and not names:
        raise UserError("--track-to needs --track, for example --track mlflow")
    if "none" in names and (len(names) > 1 or where):
        raise UserError("--track none cannot be combined with another tracker or --track-to")
    if names and "none" not in names:
        destinations(where, check_names(names))


@contextmanager
def tracked(
    session: Session,
    track: Sequence[str] | None,
    track_to: Sequence[str] | None = None,
    project: str | None = None,
) -> Iterator[Callable[[Reporter], Reporter]]:
    """A block that trains and evaluates a run while the trackers follow it.

    Gives a function that joins a Reporter with the trackers. At the end of the block the files of
    the run are sent and a line is printed for each tracker; an error ends the tracked run too.
    Without --track a resumed run continues in the trackers it had.
    """
    tracker = _opened(session, track, track_to, project)
    try:
        yield lambda reporter: follow(reporter, tracker, session)
    except BaseException as error:
        stopped = isinstance(error, StoppedError | KeyboardInterrupt)
        reason = str(error) if isinstance(error, EosinError) else type(error).__name__
        tracker.failed(reason, stopped=stopped)
        raise
    output.note(*(f"tracked in {line}" for line in finish(tracker, session)))


def follow(reporter: Reporter, tracker: Tracker, session: Session) -> Reporter:
    """The same reporter, which also reports to the tracker."""
    from dataclasses import replace

    def started(facts: dict[str, Any]) -> None:
        reporter.started(facts)
        if tracker.names:
            report_start(tracker, session, facts)

    def epoch_done(row: dict[str, Any]) -> None:
        reporter.epoch_done(row)
        tracker.metrics(row, row["epoch"])

    def warned(sentence: str) -> None:
        reporter.warned(sentence)
        tracker.warned(sentence)

    return replace(reporter, started=started, epoch_done=epoch_done, warned=warned)


def report_start(tracker: Tracker, session: Session, facts: dict[str, Any]) -> None:
    """Parameters, marks, and the epochs of an earlier session that the tracker has not heard of."""
    from eosin.tracking import words

    store, run = session.store, session.run
    sizes = {f"{name}_patches": len(rows) for name, rows in session.parts.items()}
    more = {
        "split": {"scheme": session.split.scheme, **sizes},
        "store": {"classes": list(store.classes), "patch_size": list(store.patch_size)}
        | {"mpp": store.mpp, "made_up": store.made_up},
        "network": {"parameters": facts["parameters"]} if "parameters" in facts else {},
        "machine": {"device": facts["machine"]} if "machine" in facts else {},
    }
    try:
        tracker.started(words.parameters(run, more), words.tags(session.marks))
        rows = run.metrics()
    except RunError as error:
        output.warn(f"tracking: {error}")
        return
    for row in rows:
        tracker.metrics(row, int(row["epoch"]))


def finish(tracker: Tracker, session: Session) -> list[str]:
    """Send the files and the final figures; returns a line a tracker on where to see them."""
    from eosin.tracking import words

    if not tracker.names:
        # A tracker that was dropped at the last moment is still reported.
        return tracker.finished({})
    with temporary_folder() as folder:
        shared = for_others(session, folder)
        pictures, others = words.files(shared)
        for path, kind in [*((path, "figure") for path in pictures), *others]:
            tracker.file(path, kind)
        evaluated = (shared / "evaluation.json").is_file()
        return tracker.finished(shared.read_json("evaluation.json") if evaluated else {})


def for_others(session: Session, folder: Path) -> RunFolder:
    """A copy of a run for others: its report and figures are made again from what they may see."""
    from eosin.figures.charts import draw_all
    from eosin.reporting.blocks import MissingPart
    from eosin.reporting.material import read
    from eosin.reporting.report import write_report
    from eosin.splitting.seen import case_names
    from eosin.tracking import words

    run, store = session.run, session.store
    cases = case_names(run) | set(store.cases.tolist())
    shared = words.share(run, folder, key=store.digest, cases=cases)
    if not (shared / "evaluation.json").is_file():
        return shared
    evaluation = shared.read_json("evaluation.json")
    # No store is looked for under a relative name, so no patch and no name of its file is shown.
    hidden = {**evaluation, "store": {**evaluation.get("store", {}), "path": "(not sent)"}}
    try:
        shared.write_json("evaluation.json", hidden)
        if (run / "report.html").is_file():
            write_report(shared.path)
        material, curves = read(shared.path), None
        with suppress(MissingPart):
            curves = material.curves
        draw_all(shared.path, material.evaluation, curves, metrics=material.metrics)
    except (EosinError, OSError, ValueError) as error:
        output.warn(f"tracking: report or figures could not be made for others ({error})")
    shared.write_json("evaluation.json", evaluation)
    return shared


def _opened(
    session: Session,
    track: Sequence[str] | None,
    track_to: Sequence[str] | None,
    project: str | None,
) -> Tracker:
    from eosin.tracking.names import check_names, destinations
    from eosin.tracking.tracker import Tracker, tracked_before

    names = [*check_names(track)] if track and "none" not in track else []
    for name in () if track else tracked_before(session.run):
        try:
            names += check_names([name])
        except UserError as error:
            output.warn(f"the run was tracked before, but not now: {error}")
    if names and not track:
        output.note(f"tracking continues: {', '.join(names)} (--track none stops it)")
    store = Path(session.store.path).name
    return Tracker(
        names,
        run=session.run,
        project=project or store.removesuffix(".store") or "eosin",
        to=destinations(track_to or [], names),
        warn=output.warn,
    )
