"""`eosin report`: write the report of an evaluated run again; also as a PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eosin.cli import options, output


def report(
    run: Path,
    store: Path | None = None,
    pdf: Annotated[bool, typer.Option("--pdf")] = False,
    json_: options.Json = False,
) -> None:
    """Write report.html and MODEL_CARD.md again from the files of an evaluated run.

    The page is one file that needs no network. `eosin train` and `eosin evaluate` make it as well.
    Where the data of a part are missing, a sentence gives the reason. --pdf uses the Chromium of
    this machine, or the program in EOSIN_CHROMIUM.

    Options:
        run: An evaluated run folder, or an evaluation-... folder in it.
        store: Where the evaluated store is now, if it has moved; for the pictures.
        pdf: Print the page to report.pdf; needs Chromium.

    Example: eosin report run --pdf
    """
    from eosin.reporting.browser import find_browser, print_pdf
    from eosin.reporting.report import write_report

    # Before the work: without a browser there is no PDF to wait for.
    browser = find_browser() if pdf else None
    written = write_report(run, store=store)
    output.warn(*written.problems)
    page = written.path
    printed = print_pdf(page, page.with_suffix(".pdf"), browser=browser) if pdf else None
    card = page.with_name("MODEL_CARD.md")
    files = [path for path in (page, card, printed) if path is not None and path.is_file()]
    output.end_with_json(
        {
            "report": str(page),
            "pdf": None if printed is None else str(printed),
            "files": [str(path) for path in files],
            "problems": list(written.problems),
        },
        json_=json_,
    )
    for path in files:
        kilobytes = path.stat().st_size / 1e3
        size = f"{kilobytes:.0f} kB" if kilobytes < 1000 else f"{kilobytes / 1e3:.1f} MB"
        output.say(f"written: {path} ({size})")
