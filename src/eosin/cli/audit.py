"""`eosin audit`: what the parts of a split share, and should not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from eosin.cli import options, output
from eosin.errors import LeakError

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.splitting.audit import AuditResult


def audit(
    store: options.Store,
    split: Path,
    fold: options.Fold = None,
    json_: options.Json = False,
) -> None:
    """Search the parts of a split for what they share; a leak ends with exit code 1.

    Leaks are shared cases, exact copies (turned and flipped ones included), near copies
    (recompressed, brighter, noisy) and neighbors that touch on a slide. Contradicting labels are a
    warning, consecutive case numbers a hint. Flat fields are left out of the search for copies.

    Options:
        split: A split of the store, made by eosin split.

    Example: eosin audit idc.store idc.store.split.csv
    """
    from eosin.data.store import PatchStore
    from eosin.splitting.audit import audit as search
    from eosin.splitting.split_file import another_split, read_split

    opened = PatchStore.open(store)
    read = read_split(split)
    result = search(opened, read, fold=fold)
    if json_:
        output.result(
            {
                "store": str(store), "split": str(split), "scheme": read.scheme, "fold": fold,
                **result.to_dict(), "split_marks": list(read.marks), "made_up": opened.made_up,
            }
        )  # fmt: skip
        if result.leaking:
            # The object above is the whole answer; an error would print a second one.
            raise typer.Exit(LeakError.exit_code)
        return
    _show(result, opened, split)
    if result.leaking:
        raise LeakError(
            f"{split} leaks: its parts share information, so its figures are too good; "
            f"{another_split(opened)}"
        )


def _show(result: AuditResult, store: PatchStore, split: Path) -> None:
    from eosin.sources.layouts import plainly

    compared = ", ".join(f"{count:,} {part}" for part, count in result.compared.items())
    made_up = " (made up: synthetic patches)" if store.made_up else ""
    rows = [
        [
            finding.severity, finding.kind, f"{finding.count:,}", plainly(finding.sentence, 400),
            ", ".join(f"{row}/{other}" for row, other in finding.examples[:3]),
        ]
        for finding in result.findings
    ]  # fmt: skip
    title = f"{split}{made_up}"
    if rows:
        columns = ["severity", "finding", "count", "what", "rows, such as"]
        output.table(title, columns, rows, right=["count"])
    else:
        output.say(f"{title}: nothing found")
    output.say(
        f"compared {compared or 'nothing'} patches; left out of the search for copies: "
        f"{result.flat:,} flat fields, and {result.sparse - result.flat:,} more with little on "
        "them for near copies"
    )
    if result.verdict == "none":
        output.say(
            "no leak found; nothing ties a case to a patient, so no search can rule that out"
        )
    elif result.verdict == "unknown":
        output.say(
            "no copies found across parts, but cases are unknown, so a leak is not excluded: pack "
            "again with the case of every patch (a CSV with the columns path,label,case)"
        )
