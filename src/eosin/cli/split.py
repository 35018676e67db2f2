"""`eosin split`: divide a store into training, validation and test."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from eosin.cli import options, output
from eosin.cli.targets import check_file
from eosin.errors import SplitError, closest

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.splitting.split_file import Split

SCHEMES = ("case", "published", "folds", "file", "patch", "given")
#: Classes that get a column of their own in the table.
_SHOWN_CLASSES = 10


def split(
    store: options.Store,
    by: str = "case",
    fractions: Annotated[str | None, typer.Option(metavar="T/V/T")] = None,
    k: Annotated[int | None, typer.Option("-k", "--folds")] = None,
    unlisted: Annotated[str | None, typer.Option(metavar="out|train")] = None,
    file: Path | None = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 42,
    out: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    force: Annotated[bool, typer.Option("--force")] = False,
    json_: options.Json = False,
) -> None:
    """Divide a store into training, validation and test.

    No case is divided, where cases are known. The split is a CSV that can be read and edited; its
    header has scheme, seed, store and whether it is known to leak. Nothing ties a case to a
    patient: parts are disjoint by case, not by patient.

    Options:
        by: case (whole cases, classes balanced), published (the lists of the breast-histopathology
            archive), folds (cross-validation), file (your own table), patch (random patches, as the
            tutorial: leaks), given (the source's own parts).
        fractions: For --by case: train/val/test.  [default: 60/20/20]
        k: For --by folds: how many.  [default: 5]
        unlisted: For --by published: where cases in no list go; train is marked in every later
            output.  [default: out]
        file: For --by file: a CSV with case,part or source,part or patch,part.
        seed: Seed of what is drawn.
        out: The CSV to write.  [default: STORE.split.csv]
        force: Replace a split of that name.

    Example: eosin split idc.store --by case
    """
    from eosin.data.positive import positive_sentence
    from eosin.data.store import PatchStore
    from eosin.splitting.split_file import is_split, read_split, write_split
    from eosin.splitting.split_summary import missing_classes

    opened = PatchStore.open(store)
    target = out or opened.path.with_name(f"{opened.path.resolve().name}.split.csv")
    check_file(target, "a split", is_split, force=force, store=opened, inputs={"--file": file})
    made = _make(opened, by, fractions, k, unlisted, file, seed)
    write_split(made, target)
    # What is shown is what a later command will read.
    made = read_split(target)
    output.note(positive_sentence(opened.classes, opened.positive_by))
    for sentence in missing_classes(made, opened):
        output.warn(sentence)
    for mark in made.marks:
        output.warn(mark)
    if json_:
        output.result(_plain(made, opened, target))
    else:
        _show(made, opened, target)


def _make(
    store: PatchStore,
    by: str,
    fractions: str | None,
    k: int | None,
    unlisted: str | None,
    file: Path | None,
    seed: int,
) -> Split:
    """The requested split; an option of another scheme is refused, not ignored."""
    from eosin.splitting import splits

    if by not in SCHEMES:
        # "parts" is spelled nearly as "patch", which leaks, and means "given".
        known = [name for name in SCHEMES if name != "patch" or by.startswith(name)]
        raise SplitError(
            f"--by {by!r} is not a way to split; {closest(by, known)} (given: the source's own "
            "parts)"
        )
    owner = {"--fractions": "case", "--folds": "folds", "--unlisted": "published", "--file": "file"}
    for (name, scheme), value in zip(owner.items(), (fractions, k, unlisted, file), strict=True):
        if value is not None and scheme != by:
            raise SplitError(f"{name} belongs to --by {scheme}, not to --by {by}")
    if by == "case":
        shares = splits.parse_fractions(fractions or "60/20/20")
        return splits.by_case(store, fractions=shares, seed=seed)
    if by == "published":
        return splits.by_published(store, unlisted=unlisted or "out")
    if by == "folds":
        return splits.by_folds(store, k=5 if k is None else k, seed=seed)
    if by == "file":
        if file is None:
            raise SplitError("--by file needs your table: --file split.csv")
        return splits.by_file(store, file)
    return (splits.by_patch if by == "patch" else splits.by_given)(store, seed=seed)


def _show(split: Split, store: PatchStore, target: Path) -> None:
    from eosin.sources.layouts import plainly
    from eosin.splitting.split_summary import summarize

    classes = [plainly(name, 40) for name in store.classes]
    shown = classes if len(classes) <= _SHOWN_CLASSES else []
    # Of two classes the share of the second is enough; of more, every class has its own.
    shares = [1] if len(classes) == 2 else range(len(shown))
    columns = ["part", "cases", "patches", *shown, *(f"{classes[label]} %" for label in shares)]
    rows = []
    for part in summarize(split, store):
        counts = [f"{count:,}" for count in part.counts[: len(shown)]]
        percent = [f"{100 * part.share(label):.1f}" if part.patches else "-" for label in shares]
        cases = f"{part.cases:,}" if store.cases_known else "?"
        rows.append([part.part, cases, f"{part.patches:,}", *counts, *percent])
    made_up = " (made up: synthetic patches)" if store.made_up else ""
    output.table(f"{target}: split by {split.scheme}{made_up}", columns, rows, right=columns[1:])
    for note in split.notes:
        output.say(f"note: {plainly(note, 400)}")
    fold = " --fold 0" if split.folds else ""
    output.say(f"next: eosin audit {quote(str(store.path))} {quote(str(target))}{fold}")


def _plain(split: Split, store: PatchStore, target: Path) -> dict[str, object]:
    from eosin.splitting.split_summary import header_of, summarize

    parts = {
        part.part: {
            "cases": part.cases,
            "patches": part.patches,
            "counts": dict(zip(store.classes, part.counts, strict=True)),
        }
        for part in summarize(split, store)
    }
    return {
        "split": str(target), **header_of(split), "parts": parts, "made_up": store.made_up,
        "positive": store.classes[1] if len(store.classes) == 2 else None,
        "positive_by": store.positive_by,
    }  # fmt: skip
