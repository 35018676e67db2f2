"""RUN/report.html: one page, one file, nothing fetched; and MODEL_CARD.md beside it."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from eosin import __version__
from eosin.data.store import PatchStore
from eosin.reporting import sections
from eosin.reporting.blocks import Section
from eosin.reporting.material import Material, read
from eosin.reporting.verdict import Verdict, verdict
from eosin.runs import RunFolder

DISCLAIMER = "Research and education only, not for diagnosis."


@dataclass(frozen=True)
class Written:
    """Where the report is, and what could not be made in it: a sentence each."""

    path: Path
    problems: tuple[str, ...]


def write_report(
    run_path: str | os.PathLike[str], *, store: PatchStore | str | Path | None = None
) -> Written:
    """Write report.html and MODEL_CARD.md from the files of an evaluated run.

    run_path: a run folder, or the folder of an evaluation on another store; store: an opened store
    or where it is now, by default where the evaluation found it. Where it is gone, pictures are
    left out and the report says so. Raises RunError where there is no evaluation, or ``store`` is
    not the evaluated one; whatever else fails becomes a sentence in the page and in ``problems``.
    """
    material = read(run_path, store)
    judged = verdict(material.evaluation, diagnoses=material.model.get("diagnoses") or ())
    report = sections.Report(material)
    folder = RunFolder(material.folder)
    try:
        from eosin.reporting.card import model_card

        folder.write_text("MODEL_CARD.md", model_card(*report.card_sources()))
    except Exception as error:
        # The card is one part of many; the report stands without it and says so.
        report.failed("The model card", error)
    built = sections.build(report)
    folder.write_text("report.html", render(material, judged, built))
    return Written(folder / "report.html", tuple(dict.fromkeys(report.problems)))


def render(material: Material, judged: Verdict, built: list[Section]) -> str:
    """The page as text."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    page = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters["after"] = _after
    page.filters["together"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    script = _file("page.js")
    shown = {
        "title": f"{material.name}: what the model can do",
        "run": material.name,
        "recipe": str(material.evaluation.get("recipe") or "unknown recipe"),
        "verdict": judged,
        "sections": built,
        "contents": sections.CONTENTS,
        "style": Markup(_file("style.css")),
        "script": Markup(script),
        # Only this one script may run, whatever a name in the data holds.
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "disclaimer": DISCLAIMER,
        "version": __version__,
    }
    return page.get_template("page.html.j2").render(shown)


def _after(text: str, title: str) -> str:
    """A caption without the title that it begins with."""
    rest = text.removeprefix(title).lstrip(" :,.") if title else text
    return rest[:1].upper() + rest[1:]


def _file(name: str) -> str:
    return resources.files("eosin.reporting").joinpath(name).read_text("utf-8")
