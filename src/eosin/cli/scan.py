"""`eosin scan`: a model's answers for every field of tissue on whole slides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import FailureError, UserError, closest, needing

if TYPE_CHECKING:
    from rich.progress import TaskID

    from eosin.data.store import PatchStore
    from eosin.records.model import ModelFacts
    from eosin.runtime.predictor import Predictor
    from eosin.scanning.job import Asked, Job
    from eosin.scanning.many import Row
    from eosin.slides.slide import Slide
    from eosin.slides.tissue import Tissue
    from eosin.splitting.seen import Seen


def scan(
    model: options.Model,
    slides: Annotated[list[Path], typer.Argument()],
    out: Annotated[Path, typer.Option("--output", "-o")],
    stride_um: Annotated[float | None, typer.Option(min=0.1)] = None,
    point: options.Point = None,
    model_mpp: Annotated[float | None, typer.Option(min=0.01, max=100)] = None,
    mpp: str | None = None,
    masks: Annotated[Path | None, typer.Option()] = None,
    qc: Annotated[str, typer.Option()] = "all",
    least_tissue: Annotated[float, typer.Option(min=0, max=1)] = 0.25,
    reader: Annotated[str | None, typer.Option()] = None,
    precision: options.Precision = "fp32",
    shard: Annotated[str | None, typer.Option()] = None,
    case: Annotated[list[str] | None, typer.Option()] = None,
    all_cases: Annotated[bool, typer.Option("--all-cases")] = False,
    json_: options.Json = False,
) -> None:
    """Scan whole slides: a heatmap, files for QuPath, tables, and one page of all slides.

    Patches of the model's size and scale lie on a grid where there is tissue. Results of a slide
    are in OUT/NAME, whole or not at all. Slides that are finished are skipped, an interrupted one
    goes on with the first patches that were not answered; several processes may work on one OUT and
    share the slides. A slide that cannot be read is recorded with its cause, the others go on, and
    the exit code is 1. For a slide that is DICOM, DICOM files are written as well.

    Options:
        slides: Slide files, folders of slides, or a DICOM folder.
        out: Folder of the results; an earlier scan there is continued.
        stride_um: Micrometers from one patch to the next; by default patches touch each other.
        model_mpp: Micrometers a pixel of the model's training patches, where the model does not
            know (the IDC archive's patches: 4).
        mpp: Micrometers a pixel of the slides instead of those in their files, or a CSV with
            slide,mpp.
        masks: A mask (GeoJSON, OME-TIFF, PNG) or a folder with one of each slide's name, instead of
            finding the tissue.
        qc: Flaws that are left out: all, none, or some of pen, fold, focus, bubble with commas.
        least_tissue: Share of a patch that has to be tissue.
        reader: The reader to use (eosin, openslide, wsidicom, flat); by default the first that
            opens a slide rightly.
        case: A case of a store (give the store instead of slides): its patches at their places, the
            heatmap beside the labels, and figures of the case. Repeatable.
        all_cases: Every case of the store.
        shard: i/n: only the slides of this one of n machines.

    Example: eosin scan run slide.svs -o scans
    """
    with needing("slides", "eosin scan"):
        # Before hours of answers, not when the first file is written.
        import shapely  # noqa: F401
        import tifffile  # noqa: F401
    from eosin.inference.predictor import load
    from eosin.scanning.cases import CaseJob, cases_of
    from eosin.scanning.grid import LEAST_TISSUE
    from eosin.scanning.job import SlideJob
    from eosin.scanning.slides import named, summarize
    from eosin.scanning.slides import shard as shard_of
    from eosin.slides.listing import slides_in
    from eosin.slides.opening import READERS
    from eosin.slides.scale import asked as scales_asked

    chosen: dict[str, Path] = {}
    if reader is not None and reader not in READERS:
        raise UserError(f"--reader {reader}: {closest(reader, READERS)}")
    store = _store(slides, case, all_cases)
    if store is None:
        chosen = named(slides_in(slides))
    else:
        _refuse_for_cases(
            {
                "--stride-um": stride_um, "--model-mpp": model_mpp, "--mpp": mpp,
                "--masks": masks, "--reader": reader, "--qc": qc != "all" or None,
                "--least-tissue": least_tissue != LEAST_TISSUE or None,
            }
        )  # fmt: skip
    cases = {} if store is None else cases_of(store, None if all_cases else case)
    mine = shard_of([*chosen, *cases], shard) if shard else [*chosen, *cases]
    scale_at = scales_asked(mpp)
    predictor = load(model, precision=precision)
    facts = predictor.facts
    marks = [str(mark) for mark in facts.all_marks]
    if store is None:
        lens_mpp, more = _model_mpp(facts, model_mpp)
    else:
        store, seen, more = _of_model(model, predictor, store)
        lens_mpp = facts.mpp or store.mpp or 1.0  # of no use: no grid is laid
    marks += more
    asked = _asked(
        predictor, precision, marks, point=point, stride_um=stride_um, mpp=lens_mpp, masks=masks,
        qc=qc, least=least_tissue, reader=reader,
    )  # fmt: skip
    output.warn(*marks)
    output.note(f"decided by {asked.decision.point.words()}")
    jobs: dict[str, Job] = {}
    for name in mine:
        if store is None:
            jobs[name] = SlideJob(chosen[name], asked, scale_at(chosen[name]))
        else:
            jobs[name] = CaseJob(store, *cases[name], asked, seen)
    rows = _scan_all(jobs, predictor, out)
    output.warn(*dict.fromkeys(row.left_out for row in rows if row.left_out))
    failed = [row for row in rows if row.status == "failed"]
    page = summarize(out)
    if json_:
        output.result(
            {
                "model": str(model), "out": str(out), "point": asked.decision.point.name,
                "slides": [row.to_json() for row in rows], "failed": len(failed),
                "summary": str(page),
                "intended_use": facts.intended_use,
            }
        )  # fmt: skip
    else:
        _show(rows, page)
        output.note(facts.intended_use)
    if failed:
        if json_:
            raise typer.Exit(1)
        raise FailureError(
            f"{len(failed)} of {len(rows)} slide(s) could not be scanned; their causes are above "
            f"and in {page}"
        )


def _asked(
    predictor: Predictor,
    precision: str,
    marks: Sequence[str],
    *,
    point: str | None,
    stride_um: float | None,
    mpp: float,
    masks: Path | None,
    qc: str,
    least: float,
    reader: str | None,
) -> Asked:
    """What is asked of every slide, from the options and what is known of the model."""
    from eosin.scanning.grid import Lens
    from eosin.scanning.identity import model_identity
    from eosin.scanning.job import Asked

    facts = predictor.facts
    height, width = facts.patch_size
    lens = Lens((width, height), mpp, stride_um)
    keep, find, known = _tissue(masks, qc)
    return Asked(
        lens, facts.decision(point), model_identity(predictor) | {"precision": precision},
        keep=keep, least=least, reader=reader, find=find, tissue=known,
        more={"classes": list(facts.classes), "marks": list(marks)},
    )  # fmt: skip


def _store(places: list[Path], case: list[str] | None, all_cases: bool) -> PatchStore | None:
    """The store whose cases are meant; None where slides are."""
    from eosin.data.store import PatchStore
    from eosin.folders import kind_of

    stores = [place for place in places if place.is_dir() and kind_of(place) == "store"]
    if not stores and not case and not all_cases:
        return None
    if case and all_cases:
        raise UserError("choose one of --case and --all-cases")
    if len(places) != 1 or not stores:
        raise UserError("--case and --all-cases want one store: eosin scan MODEL STORE --all-cases")
    if not case and not all_cases:
        raise UserError(f"{stores[0]} is a store: add --all-cases, or --case CASE")
    return PatchStore.open(stores[0])


def _refuse_for_cases(options: Mapping[str, object]) -> None:
    """Raise UserError for an option that would change nothing: None is one that was not given."""
    for name, value in options.items():
        if value is not None:
            raise UserError(
                f"{name} is for slides: the patches of a case are asked as they are in the store"
            )


def _of_model(
    model: Path, predictor: Predictor, store: PatchStore
) -> tuple[PatchStore, Seen, list[str]]:
    """The store with its classes in the model's order, what the model has learned from, marks."""
    from eosin.data.scale import measured_scale, scale_mark
    from eosin.inference.predictor import FilePredictor
    from eosin.inference.subject import as_model_names, seen_by
    from eosin.runs import RunFolder
    from eosin.splitting.seen import Seen

    if isinstance(predictor, FilePredictor):
        seen, warnings = seen_by(predictor)
        output.warn(*warnings)
    else:
        seen = Seen.of_run(RunFolder(model))
    mark = scale_mark(measured_scale(predictor.facts, store.patch_size, store.mpp))
    return as_model_names(model, predictor, store), seen, [str(mark)] if mark else []


def _model_mpp(facts: ModelFacts, given: float | None) -> tuple[float, list[str]]:
    """Micrometers a pixel of the model's patches, and a mark where they are not its own."""
    if given is None and facts.mpp is None:
        raise UserError(
            "the model does not know the scale of its training patches (its store was packed "
            "without --mpp); give it with --model-mpp MPP (micrometers a pixel; the IDC archive's "
            "patches: 4)"
        )
    if given and facts.mpp and abs(given / facts.mpp - 1) > 0.01:
        sentence = f"another scale: scanned at {given:g} micrometers a pixel (--model-mpp), but "
        return given, [f"{sentence}the model was trained at {facts.mpp:g}"]
    return given or facts.mpp or 0.0, []


def _tissue(masks: Path | None, qc: str) -> tuple[frozenset[int], Callable[[Slide], Tissue], Any]:
    """The numbers that are scanned, what finds the tissue, and what that depends on."""
    from eosin.slides.tissue import parse_qc

    keep = parse_qc(qc)
    if masks is None:
        from eosin.slides.find import TissueSettings, find_tissue

        return keep, find_tissue, asdict(TissueSettings())
    from eosin.scanning.identity import fingerprint
    from eosin.slides.masks import read_mask

    if not masks.exists():
        raise UserError(f"--masks {masks} does not exist")

    def mask_of(slide: Slide) -> Tissue:
        return read_mask(_mask_file(masks, slide.path), slide)

    return keep, mask_of, {"masks": fingerprint(masks)}


def _mask_file(masks: Path, slide: Path) -> Path:
    """The mask of a slide: the one that was given, or that of its name in the folder."""
    from eosin.errors import SlideError

    if not masks.is_dir():
        return masks
    stem = slide.name if slide.is_dir() else slide.stem
    found = sorted(
        path for path in masks.iterdir() if path.is_file() and path.name.startswith(f"{stem}.")
    )
    if len(found) != 1:
        many = f"{len(found)} fit" if found else "none"
        raise SlideError(f"--masks {masks}: it should have one mask named {stem}.*, and has {many}")
    return found[0]


def _scan_all(jobs: Mapping[str, Job], predictor: Predictor, out: Path) -> list[Row]:
    """Scan with progress: rate and time left of the slide that is scanned."""
    from eosin.scanning.many import scan_many
    from eosin.stopping import asked_to_stop

    def told() -> None:
        output.note("stopping; what is answered is kept, and the same command goes on from there")

    with output.progress() as bar, asked_to_stop(told) as stop:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                place = f"{list(jobs).index(name) + 1} of {len(jobs)}: {name}"
                tasks[name] = bar.add_task(place, total=total, completed=done, rate="patches")
            bar.update(tasks[name], completed=done)

        return scan_many(jobs, predictor, out, show=show, stop=stop)


def _show(rows: list[Row], page: Path) -> None:
    """The slides in a table for people."""
    cells = []
    for row in rows:
        rate = f"{row.patches / row.seconds:,.0f}/s" if row.patches and row.seconds else ""
        what = row.error or (f"{row.resumed:,} were answered before" if row.resumed else "")
        seconds = f"{row.seconds:.1f} s" if row.seconds else ""
        cells.append((row.name, row.status, f"{row.patches:,}", seconds, rate, what))
    output.table(
        "", ["slide", "status", "patches", "time", "rate", ""], cells,
        right=["patches", "time", "rate"],
    )  # fmt: skip
    output.say(f"open {page}")
