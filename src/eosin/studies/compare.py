"""Runs compared on the same patches: matched, checked for leaks, with honest sentences."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.disks import writing
from eosin.errors import RunError, UserError
from eosin.evaluation.definitions import NAMES
from eosin.evaluation.intervals import LEVEL, resampling_units
from eosin.evaluation.paired import Paired, paired_differences, sentence
from eosin.evaluation.summary import FEW_CASES
from eosin.records.model import INTENDED_USE
from eosin.runs import RunFolder
from eosin.splitting.split_file import first_names
from eosin.studies import markdown
from eosin.studies.entries import Entry, in_order, pixels_of, read_entries

Rows = npt.NDArray[np.int64]

FORMAT = 1
P_VALUE = (
    "p is two-sided, from the same draws: twice the smaller share of them on one side of 0; it is "
    "the level at which the percentile interval touches 0, and no test of a hypothesis of its own"
)


def compare(
    paths: Sequence[str | Path],
    *,
    allow_seen: bool = False,
    replicates: int = 2000,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Differences of every further run to the first, on the patches that all were measured on.

    paths: run folders that were evaluated, folders of an evaluation on another store, or folders of
    a cross-validation; folder: where compare.json and compare.md are written, or None.
    Raises UserError for fewer than two, classes or labels that differ, runs that share no measured
    patch, or, unless ``allow_seen``, a run that has learned from the cases or pixels compared on.
    """
    if len(paths) < 2:
        raise UserError("give at least two runs: eosin compare RUN RUN")
    entries = read_entries(paths)
    _same_classes(entries)
    entries = [in_order(entry, entries[0].classes) for entry in entries]
    rows, digests = _matched(entries)
    first = entries[0].table[rows[0]]
    truth = first["label"].to_numpy().astype(np.int64)
    _same_labels(entries, rows, truth)
    marks = _marks(entries, rows, digests, allow_seen)
    units = resampling_units(first["case"].to_list(), len(truth))
    values = paired_differences(
        truth,
        {e.name: e.probabilities(r) for e, r in zip(entries, rows, strict=True)},
        units,
        {e.name: _threshold(e, r) for e, r in zip(entries, rows, strict=True)},
        replicates=replicates,
        seed=seed,
    )
    cases = len(units.names)
    patches = f"{len(truth):,} patches"
    on = f"{markdown.counted(cases, 'case')} ({patches})" if cases else patches
    result: dict[str, Any] = {
        "version": FORMAT,
        "study": "compare",
        "classes": list(entries[0].classes),
        "marks": marks,
        "common": {
            "patches": len(truth),
            "cases": cases or None,
            "counts": np.bincount(truth, minlength=len(entries[0].classes)).tolist(),
        },
        "runs": [
            {
                "name": entry.name,
                "path": str(entry.path),
                "kind": entry.kind,
                "training": entry.training,
                "left_out": len(entry.table) - len(truth),
                "figures": {n: i.as_dict() for n, i in values.figures[entry.name].items()},
            }
            for entry in entries
        ],
        "reference": entries[0].name,
        "differences": {
            name: {figure: each.as_dict() for figure, each in row.items()}
            for name, row in values.differences.items()
        },
        "sentences": _sentences(values, entries, on, cases),
        "warnings": _warnings(entries, units.note, cases, values, len(truth)),
        "interval": {
            "method": f"percentile bootstrap over {units.kind}, the same draws for every run",
            "level": LEVEL,
            "widened_level": values.widened_level if len(entries) > 2 else None,
            "replicates": replicates,
            "seed": seed,
            "p": P_VALUE,
        },
        "intended_use": INTENDED_USE,
    }
    if folder is not None:
        _write(Path(folder), result)
    return result


def _same_classes(entries: Sequence[Entry]) -> None:
    first = entries[0]
    for other in entries[1:]:
        if sorted(other.classes) != sorted(first.classes):
            raise UserError(
                f"{first.name} has the classes {', '.join(first.classes)}, {other.name} "
                f"{', '.join(other.classes)}; only runs of the same classes can be compared"
            )


def _matched(entries: Sequence[Entry]) -> tuple[list[Rows], list[str] | None]:
    """For each entry the rows of its table that all have, in one order; and their pixel digests.

    Patches of one store are matched by their row there, those of different stores by their pixels;
    the digests are None where the store of the first entry does not exist.
    """
    one_store = len({entry.store_digest for entry in entries}) == 1
    pixels = pixels_of(entries[0])
    tables = []
    for entry in entries:
        keys: list[Any] | None = pixels if entry is entries[0] else None
        if one_store:
            keys = entry.table["patch"].to_list()
        elif (keys := keys or pixels_of(entry)) is None:
            raise RunError(
                f"the runs were measured on different stores, and {entry.store_path}, that of "
                f"{entry.name}, does not exist; it is needed to match patches of different "
                "stores by their pixels"
            )
        tables.append(_unique(keys))
    common = set(tables[0]).intersection(*tables[1:])
    if not common:
        raise UserError(_nothing_shared(entries))
    order = sorted(common, key=tables[0].__getitem__)
    rows = [np.array([table[key] for key in order], np.int64) for table in tables]
    return rows, None if pixels is None else [pixels[row] for row in rows[0].tolist()]


def _unique(keys: Sequence[Any]) -> dict[Any, int]:
    """Key -> row; keys that occur twice are ambiguous and left out."""
    counts = Counter(keys)
    return {key: row for row, key in enumerate(keys) if counts[key] == 1}


def _nothing_shared(entries: Sequence[Entry]) -> str:
    counts = ", ".join(f"{entry.name} {len(entry.table):,}" for entry in entries)
    text = f"the runs share no measured patch ({counts}); train them on the same split, or "
    text += "evaluate all of them on one store with: eosin evaluate RUN --store STORE"
    for entry, other in itertools.permutations(entries, 2):
        if shared := entry.learned & set(other.table["case"]) - {""}:
            return f"{text}. {entry.name} learned from {len(shared)} of the cases that " + (
                f"{other.name} was measured on: {first_names(shared)}"
            )
    return text


def _same_labels(entries: Sequence[Entry], rows: Sequence[Rows], truth: Rows) -> None:
    for entry, mine in zip(entries[1:], rows[1:], strict=True):
        if differ := int((entry.table[mine]["label"].to_numpy() != truth).sum()):
            raise UserError(
                f"{differ:,} of {len(truth):,} shared patches are labeled differently for "
                f"{entries[0].name} and {entry.name}; figures on them cannot be compared"
            )


def _threshold(entry: Entry, rows: Rows) -> float | npt.NDArray[np.float64]:
    """One number for a run, one for each patch for a cross-validation."""
    if len(entry.classes) > 2:
        return 0.5
    column = entry.table[rows]["threshold"]
    if column.null_count():
        raise RunError(f"{entry.path} has no threshold for some patches; evaluate it again")
    result = column.to_numpy().astype(np.float64)
    return float(result[0]) if entry.kind == "run" else result


def _marks(
    entries: Sequence[Entry],
    rows: Sequence[Rows],
    digests: Sequence[str] | None,
    allow_seen: bool,
) -> list[str]:
    """The marks of every output; refuses runs that have learned from what is compared on."""
    texts = dict.fromkeys(mark for entry in entries for mark in entry.marks)
    # What all runs share is listed once, and first.
    marks = [text for text in texts if all(text in entry.marks for entry in entries)]
    marks += [
        f"{entry.name}: {text}" for entry in entries for text in entry.marks if text not in marks
    ]
    seen = []
    for entry, mine in zip(entries, rows, strict=True):
        # Names of cases mean the same in every entry: the first one's are those of the patches.
        named = {*entry.table[mine]["case"].to_list(), *entries[0].table[rows[0]]["case"].to_list()}
        cases = (named - {""}) & entry.learned
        copies = 0 if digests is None else sum(digest in entry.pixels for digest in digests)
        if cases:
            seen.append(
                f"{entry.name} has learned from {len(cases)} of the cases compared on "
                f"({first_names(cases)})"
            )
        elif copies:
            seen.append(f"{entry.name} has learned from {copies:,} of the same patches")
    if seen and not allow_seen:
        raise UserError(
            f"{'; '.join(seen)}: its figures there are too good. Compare runs of a case-disjoint "
            "split, or add --allow-seen to compare them anyway and mark every output"
        )
    return [*(f"seen in training: {text}" for text in seen), *marks]


def _sentences(result: Paired, entries: Sequence[Entry], on: str, cases: int) -> list[str]:
    few = f"{cases} cases" if 0 < cases < FEW_CASES else ""
    level = result.widened_level if len(result.differences) > 1 else None
    key = "auroc" if len(entries[0].classes) == 2 else "macro_auroc"
    return [
        sentence(
            name, entries[0].name, row[key], what=NAMES[key], on=on, widened_level=level, few=few
        )
        for name, row in result.differences.items()
    ]


def _warnings(
    entries: Sequence[Entry], note: str, cases: int, result: Paired, patches: int
) -> list[str]:
    texts = [f"{note[0].upper()}{note[1:]}."] if note else []
    if 0 < cases < FEW_CASES:
        texts.append(
            f"Only {markdown.counted(cases, 'case')}: the differences may not hold for other cases."
        )
    texts += [
        f"{left:,} of {len(entry.table):,} patches of {entry.name} are left out: the other "
        "runs were not measured on them."
        for entry in entries
        if (left := len(entry.table) - patches)
    ]
    trained = dict.fromkeys(entry.training for entry in entries)
    texts.append(
        f"The interval is over cases only ({'; '.join(trained)}): with another training "
        "seed each run would give slightly other figures, which the interval does not include."
    )
    if len(result.differences) > 1:
        texts.append(
            f"{len(result.differences)} runs are compared with {entries[0].name}: one of many "
            "differs by chance more easily, so the sentences also use intervals widened to "
            f"{100 * result.widened_level:.4g} % (Bonferroni)."
        )
    if {entry.kind for entry in entries} == {"run", "crossval"}:
        texts.append(
            "A cross-validation is compared with a single run: its models were trained on other "
            "numbers of patches, so not the recipes alone differ."
        )
    return texts


def _write(folder: Path, result: dict[str, Any]) -> None:
    """compare.md, and compare.json last."""
    if folder.is_file():
        raise UserError(f"{folder} is a file; choose a folder with -o FOLDER")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        target = RunFolder(folder)
        target.write_text("compare.md", page(result))
        target.write_json("compare.json", result)


def page(result: dict[str, Any]) -> str:
    """The comparison as Markdown: sentences, tables and warnings."""
    lines = markdown.paragraphs(result["sentences"])
    for name, rows in difference_rows(result).items():
        columns = ["figure", result["reference"], name, "difference", "95 % interval", "p"]
        lines += [f"## {name} less {result['reference']}", "", *markdown.table(columns, rows)]
    lines += [f"- {text}" for text in [*result["warnings"], f"{P_VALUE}."]]
    return markdown.page("Runs compared", result, lines)


def difference_rows(result: dict[str, Any]) -> dict[str, list[list[str]]]:
    """Rows for a table of every compared run: figure, both values, difference, interval, p."""
    figures = {run["name"]: run["figures"] for run in result["runs"]}
    return {
        name: [
            [
                NAMES[key],
                markdown.number(figures[result["reference"]][key]["value"]),
                markdown.number(figures[name][key]["value"]),
                markdown.number(each["value"], "+"),
                markdown.span(each, "+"),
                "-" if each["p"] is None else f"{each['p']:.3g}",
            ]
            for key, each in row.items()
        ]
        for name, row in result["differences"].items()
    }
