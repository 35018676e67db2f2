"""`eosin runs`: the runs below a folder: table, filter, order, best, difference, curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import RunError, UserError

if TYPE_CHECKING:
    from eosin.experiments.rows import RunRow


def runs(
    folder: Annotated[Path, typer.Argument()] = Path(),
    sort: str | None = None,
    reverse: Annotated[bool, typer.Option("--reverse")] = False,
    filter_: Annotated[list[str] | None, typer.Option("--filter", "-f")] = None,
    columns: str | None = None,
    best: str | None = None,
    diff: Annotated[tuple[str, str] | None, typer.Option(metavar="RUN RUN")] = None,
    curves: Path | None = None,
    json_: options.Json = False,
) -> None:
    """List the runs below a folder: recipe, status, time, and figures with their interval.

    A damaged run is a row with its reason. Columns are those of the table and every key of a
    recipe; runs measured on different patches are never ranked together.

    Options:
        folder: Where to look, with all folders below.
        sort: Column or recipe key to order by; the better first.  [default: name]
        reverse: The other order.
        filter_: Only runs with this, for example 'recipe=compact' or 'auroc>0.9'; repeatable.
            Signs: = != > >= < <= and ~ (contains).
        columns: Columns to show, for example name,auroc,f1,learning_rate.
        best: The best run by a figure, for example auroc, and what that shows.
        diff: What differs between two runs, side by side.
        curves: Draw the curves of all into one figure: FILE.png or .svg.

    Example: eosin runs --sort auroc --filter recipe=compact
    """  # fmt: skip
    from eosin.experiments.rows import read_rows
    from eosin.experiments.select import checked_key, columns_of, kept, ordered

    if diff is not None:
        others = {"--sort": sort, "--filter": filter_, "--columns": columns, "--best": best}
        if other := next((k for k, v in (others | {"--curves": curves}).items() if v), None):
            raise UserError(f"--diff cannot be combined with {other}; leave that out")
        _diff(folder, diff, json_)
        return
    shown = columns_of(columns)
    by = checked_key(sort, "--sort") if sort else "name"
    if best is not None:
        from eosin.experiments.best import best_runs, checked_figure

        best = checked_figure(best)
    if curves is not None and curves.suffix.lower() not in (".png", ".svg"):
        raise UserError(f"--curves {curves}: the name of a figure ends in .png or .svg")
    every, closed = read_rows(folder)
    rows = ordered(kept(every, filter_ or []), by, reverse=reverse)
    chosen = None if best is None else best_runs(rows, best)
    drawn = _curves(rows, curves) if curves is not None else None
    if json_:
        result = [_plain(row) for row in rows]
        output.result(
            {"folder": str(folder), "found": len(every), "runs": result, "best": chosen,
             "curves": drawn, "problems": closed}
        )  # fmt: skip
        return
    if chosen is None:
        _table(rows, len(every), folder, shown, by, columns is None)
    else:
        _show_best(chosen)
    output.warn(*(f"not looked into: {problem}" for problem in closed))
    if drawn is not None:
        output.say(f"wrote {drawn}")


def _plain(row: RunRow) -> dict[str, Any]:
    from eosin.experiments.rows import COLUMNS

    return {
        **{key: column.of(row) for key, column in COLUMNS.items()},
        "path": str(row.path),
        "remark": row.remark,
        "figures": row.figures,
        "measured": row.measured,
        "marks": list(row.marks),
        "recipe_keys": row.recipe,
    }


def _table(
    rows: Sequence[RunRow], result: int, folder: Path, columns: list[str], by: str, standard: bool
) -> None:
    from eosin.experiments.rows import COLUMNS, FIGURES

    if not result:
        output.say(f"no runs in {folder}; make one with: eosin train STORE -o RUN")
        return
    if not rows:
        output.say(f"no run of {result:,} in {folder} meets every --filter")
        return
    if standard and not any(row.figures.get("auroc") for row in rows):
        # More than two classes: the same figures as means over classes.
        instead = {"auroc": "macro_auroc", "average_precision": "macro_average_precision"}
        if any(row.figures.get("macro_auroc") for row in rows):
            columns = [instead.get(name, name) for name in columns]
    if by not in columns:
        columns = [*columns, by]
    with_interval = {"auroc", "macro_auroc", by} & set(FIGURES)
    title = f"{len(rows):,} of " * (len(rows) < result) + output.counted(result, "run")
    titles = {name: name.replace("_", " ") for name in columns}
    output.table(
        f"{title} in {folder}",
        [*titles.values()],
        [[_cell(row, name, name in with_interval) for name in columns] for row in rows],
        right=[titles[name] for name in columns if name in COLUMNS and COLUMNS[name].number],
    )
    output.note(*(f"{row.name}: {row.remark}" for row in rows if row.remark))
    sets = {row.measured for row in rows if row.measured}
    if by in FIGURES and len(sets) > 1:
        output.note(
            f"note: these figures are of {len(sets)} different sets of patches, so the order "
            f"means nothing across them; --best {by} ranks each set by itself"
        )


def _cell(row: RunRow, name: str, interval: bool) -> str:
    from eosin.experiments.rows import FIGURES
    from eosin.sources.layouts import plainly

    result = row.value(name)
    if result is None:
        return "-"
    if name in (*FIGURES, "val_auroc", "val_loss", "loss_now"):
        low, high = ((row.figures.get(name) or {}).get(end) for end in ("low", "high"))
        known = interval and low is not None and high is not None
        return output.value(result) + (f" ({low:.3f} to {high:.3f})" if known else "")
    if name == "epochs" and row.value("planned") is not None:
        return f"{result} of {row.value('planned')}"
    if name == "seconds":
        return f"{result:,.0f}"
    if isinstance(result, int) and not isinstance(result, bool) and name != "seed":
        return f"{result:,}"
    return plainly(result, 60)


def _show_best(result: dict[str, Any]) -> None:
    from eosin.evaluation.definitions import NAMES

    words = NAMES.get(result["figure"], result["figure"])
    for group in result["groups"]:
        output.table(
            f"{group['measured_on']}, store {group['store']}",
            ["run", words, "95 % interval", "marks"],
            [
                [row["name"], output.value(row["value"]), output.interval(row), len(row["marks"])]
                for row in group["ranking"]
            ],
            right=[words],
        )
        output.say(*group["sentences"])
    output.note(*(f"note: {note}" for note in result["notes"]))


def _curves(rows: Sequence[RunRow], path: Path) -> str:
    from eosin.experiments.drawing import runs_figure

    drawn = [
        {"name": row.name, "metrics": row.metrics, "marks": row.environment.get("marks") or (),
         "score": row.value("val_auroc")}
        for row in rows if row.metrics
    ]  # fmt: skip
    if not drawn:
        raise RunError("no run here has trained an epoch, so there are no curves to draw")
    return str(runs_figure(path, drawn))


def _diff(folder: Path, names: tuple[str, str], json_: bool) -> None:
    from eosin.experiments.differences import differences

    one, other = (_named(folder, name) for name in names)
    if one.path.resolve() == other.path.resolve():
        raise RunError(f"{names[0]} and {names[1]} are the same run")
    result = differences(one, other)
    output.end_with_json(result, json_=json_)
    damaged = (row for row in (one, other) if row.status == "damaged")
    output.warn(*(f"{row.name}: {row.remark}" for row in damaged))
    for section in ("recipe", "environment", "results"):
        if rows := [[key, *map(_side, pair)] for key, pair in result[section].items()]:
            output.table(section, [section, one.name, other.name], rows)
        else:
            output.say(f"{section}: the same")
    if result["same_patches"] is False:
        output.say("The two were measured on different patches: their figures cannot be compared.")
    elif result["same_patches"]:
        output.say(
            "Both were measured on the same patches; the difference with its interval: "
            f"eosin compare {one.path} {other.path}"
        )


def _side(value: Any) -> str:
    from eosin.sources.layouts import plainly

    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) and value < 1 else plainly(value, 100)


def _named(folder: Path, name: str) -> RunRow:
    """A run by its path, or by its name in the table."""
    from eosin.errors import closest
    from eosin.experiments.rows import find_runs, read_row

    for path in (Path(name), folder / name):
        if path.is_dir():
            return read_row(path, name=name)
    known = [path.relative_to(folder).as_posix() for path in find_runs(folder)[0]]
    hint = closest(name, known) if known else "there are no runs in it"
    raise RunError(f"{name} is neither a folder nor a run in {folder}; {hint}")
