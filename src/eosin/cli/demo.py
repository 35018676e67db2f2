"""`eosin demo`: the main job on made-up cases, with the tutorial's faults shown on the way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import demo_plan, options, output
from eosin.cli.demo_plan import SHOWN, WITH_BASELINES

if TYPE_CHECKING:
    from eosin.cli.demo_plan import Plan
    from eosin.data.store import PatchStore
    from eosin.inference.records import Assessment
    from eosin.splitting.split_file import Split

#: The tutorial's network with momentum, as it gets fewer epochs than the tutorial's 20.
_ARTICLE = ("learning_rate=0.01", "momentum=0.9")
#: Name -> (recipe, split, settings beside the plan's, what it is).
_RUNS: dict[str, tuple[str, str, Sequence[str], str]] = {
    "verbatim": ("article-verbatim", "patch", (), "the tutorial, unchanged"),
    "article, patch-random": ("article", "patch", _ARTICLE, "corrected, cases on both sides"),
    "article, by case": ("article", "case", _ARTICLE, "corrected, cases apart"),
    "compact, by case": ("compact", "case", (), "the house network, cases apart"),
}
_BASELINES = {"color_histogram": "color alone", "nearest_neighbors": "nearest neighbors"}


def demo(
    folder: Annotated[Path, typer.Option("--output", "-o")] = Path("demo"),
    cases: Annotated[int, typer.Option(min=8, max=500)] = demo_plan.CASES,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    settings: options.Settings = None,
    force: options.Force = False,
    json_: options.Json = False,
) -> None:
    """Run every step on made-up cases: archive, store, audit, networks, figures, heatmap.

    Takes at most three minutes on two cores: the first seconds measure how fast this computer is,
    and that decides the size of the cases, the epochs and the number of reports. Nothing in it is
    tissue and no figure tells anything about cancer; it shows what the commands do and what the
    tutorial does wrong.

    Options:
        folder: The folder for everything.
        cases: How many cases to draw; more than 24 take longer.
        seed: Seed of the drawn cases.

    Example: eosin demo -o demo
    """
    from eosin.cli.train import watching
    from eosin.config import read_recipe
    from eosin.folders import make_folder
    from eosin.inference.assess import assess
    from eosin.reporting.report import write_report
    from eosin.training.session import fit, start

    started = time.perf_counter()
    with output.replacing(folder, "demo", force=force):
        make_folder(folder, "demo", force=force)
        make_folder(folder / "runs", "runs", force=force)
    plan = _plan(cases, started)
    done: dict[str, float] = {}
    since = time.perf_counter()

    def next_step(finished: str) -> None:
        """Keep how long a step took, and do less in the next ones where it took too long."""
        nonlocal plan, since
        now = time.perf_counter()
        done[finished], since = now - since, now
        smaller = plan.after(done)
        output.note(*smaller.changes[len(plan.changes) :])
        plan = smaller

    store = _data(folder, plan, seed)
    splits = _splits(store)
    next_step("data")
    results: dict[str, Assessment] = {}
    for number, (name, (recipe, scheme, changes, about)) in enumerate(_RUNS.items(), 1):
        output.note(f"\n{number}/{len(_RUNS)}  {name}: {about}")
        chosen = read_recipe(recipe, [*changes, *plan.settings(name), *(settings or [])])
        session, _ = start(store, splits[scheme], chosen, _folder(folder, name))
        with watching(session) as reporter:
            fit(session, reporter=reporter)
        results[name] = assess(
            session, replicates=plan.size.replicates, precision="auto",
            with_baselines=plan.size.complete or name in WITH_BASELINES,
            with_scope=plan.size.complete or name == SHOWN,
        )  # fmt: skip
        next_step(name)
    reported = list(results) if plan.size.complete else [SHOWN]
    output.note(f"writing {output.counted(len(reported), 'report')} ...")
    for name in reported:
        for problem in write_report(results[name].folder, store=store).problems:
            output.warn(f"report: {problem}")
    pictures = _pictures(store, splits["case"], folder)
    next_step("reports")
    seconds = time.perf_counter() - started
    rows = {name: _row(each.evaluation, _RUNS[name][3]) for name, each in results.items()}
    for scheme, run in zip(_SCHEMES, WITH_BASELINES, strict=True):
        measured = results[run].evaluation["baselines"]
        for key, name in _BASELINES.items():
            rows[f"{name}, {scheme}"] = {"about": "baseline", **measured[key]}
    files = [*pictures, *(_folder(folder, SHOWN) / name for name in _LOOK)]
    output.end_with_json(
        {
            "made_up": True,
            "seconds": round(seconds, 1),
            "plan": plan.to_json(done),
            "runs": rows,
            "files": [str(path) for path in files],
            "intended_use": "Research and education only, not for diagnosis.",
        },
        json_=json_,
    )
    _show(rows, results[SHOWN].evaluation, files, seconds)
    output.say(f"{plan.speed.sentence[0].upper()}{plan.speed.sentence[1:]}.", *plan.sentences)
    if len(reported) < len(results):
        output.say(f"A report of another run: eosin report {folder / 'runs'}/NAME")
    output.say("Research and education only, not for diagnosis.")


def _folder(folder: Path, name: str) -> Path:
    return folder / "runs" / name.replace(", ", "-").replace(" ", "-")


_LOOK = ("report.html", "evaluation.json")


def _plan(cases: int, started: float) -> Plan:
    """Measure this computer and choose; started: the clock when the command began."""
    with tempfile.TemporaryDirectory() as aside:
        speed = demo_plan.measure(Path(aside))
    plan = demo_plan.choose(speed, cases, time.perf_counter() - started)
    output.note(speed.sentence, plan.sentence)
    return plan


def _data(folder: Path, plan: Plan, seed: int) -> PatchStore:
    from eosin.cli.pack import pack_and_note
    from eosin.synthetic.archive import write_archive

    archive = folder / "made-up.zip"
    output.note(f"drawing {plan.cases} made-up cases in the layout of the Kaggle archive ...")
    counts = write_archive(archive, cases=plan.cases, seed=seed, area=plan.size.area)
    output.note(
        f"{archive}: {counts['patches']:,} patches, a nested copy of each, "
        f"{counts['edge_patches']} edge patches, {counts['broken']} broken members\n"
    )
    return pack_and_note(archive, folder / "made-up.store")


def _splits(store: PatchStore) -> dict[str, Split]:
    from eosin.splitting.audit import audit
    from eosin.splitting.split_file import write_split
    from eosin.splitting.splits import by_case, by_patch

    made = {"case": by_case(store), "patch": by_patch(store)}
    for name, split in made.items():
        write_split(split, store.path.with_name(f"{name}.split.csv"))
        result = audit(store, split)
        verdict = {"leak": "LEAKS", "unknown": "cases unknown", "none": "no leak found"}[
            result.verdict
        ]
        output.note(f"audit of the split by {name}: {verdict}")
        output.note(*(f"  {finding.severity}: {finding.sentence}" for finding in result.findings))
    return made


def _pictures(store: PatchStore, split: Split, folder: Path) -> list[Path]:
    import numpy as np
    import polars as pl

    from eosin.figures import pictures

    rows = split.parts(store)["test"]
    table = pl.read_parquet(_folder(folder, SHOWN) / "predictions.parquet")
    table = table.filter(pl.col("part") == "test")
    labels, cases = store.labels[rows], store.cases[rows]
    # The test case with a share of positives closest to one half shows most.
    names = np.unique(cases)
    case = min(names, key=lambda name: abs(labels[cases == name].mean() - 0.5))
    chosen = cases == case
    probabilities = table["p_positive"].to_numpy()[chosen]
    return [
        pictures.patch_grid(store, folder / "patches.png"),
        pictures.heatmap(store, rows[chosen], probabilities, folder / f"heatmap-{case}.png"),
    ]


def _row(evaluation: dict[str, Any], about: str) -> dict[str, Any]:
    names = ("auroc", "average_precision", "balanced_accuracy", "accuracy", "sensitivity")
    return {
        "about": about,
        **{name: evaluation[name] for name in names},
        "base_rate": 1 - evaluation["prevalence"],
        "marks": [mark["sentence"] for mark in evaluation["marks"]],
    }


def _show(
    rows: dict[str, dict[str, Any]], best: dict[str, Any], files: Sequence[Path], seconds: float
) -> None:
    shown = [
        [name, *(_cell(row[key]) for key in _COLUMNS), row["about"]] for name, row in rows.items()
    ]
    base = rows["article, by case"]["base_rate"]
    shown.append(["base rate", "0.500", "0.500", f"{base:.3f}", "always the larger class"])
    output.table(
        f"MADE-UP DATA: {best['n_cases']} test cases drawn by a program ({seconds:.0f} s in all)",
        ["run", "AUROC (95 % interval)", "balanced accuracy", "accuracy", "what it is"],
        shown,
    )
    verbatim = rows["verbatim"]
    output.say(
        "The unchanged tutorial changes no weight and calls every patch negative: its accuracy "
        f"of {verbatim['accuracy']['value']:.3f} is the base rate, its sensitivity "
        f"{verbatim['sensitivity']['value']:.0f}."
    )
    near, color = (
        [rows[f"{name}, {scheme}"]["auroc"]["value"] for scheme in _SCHEMES]
        for name in ("nearest neighbors", "color alone")
    )
    if None not in (*near, *color):
        recognized = min(near[0] - near[1], color[0] - color[1]) > 0.05
        output.say(
            f"With cases on both sides of the split, color alone reaches an AUROC of {color[0]:.3f}"
            f" and nearest neighbors {near[0]:.3f}; with cases apart, {color[1]:.3f} and "
            f"{near[1]:.3f}." + (" They recognized the case, not the tissue." if recognized else "")
        )
        network = rows["compact, by case"]["auroc"]["value"]
        beats = "more than" if network > color[1] else "no more than"
        output.say(f"With cases apart, compact reaches {network:.3f}, {beats} color alone.")
    output.say("Open:", *(f"  {path}" for path in files))


_SCHEMES = ("patch-random", "by case")
_COLUMNS = ("auroc", "balanced_accuracy", "accuracy")


def _cell(figure: dict[str, Any]) -> str:
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    span = "" if low is None else f" ({low:.3f} to {high:.3f})"
    return "-" if value is None else f"{value:.3f}{span}"
