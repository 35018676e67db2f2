"""RUN/report.html: one page, one file, nothing fetched; and MODEL_CARD.md beside it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from eosin import __version__
from eosin.data.store import PatchStore
from eosin.folders import whole_files
from eosin.records.model import INTENDED_USE
from eosin.reporting.blocks import Card
from eosin.reporting.cards import CARDS, MODEL_CARD, build, verdict_card
from eosin.reporting.markdown import as_markdown
from eosin.reporting.material import Material, read
from eosin.reporting.verdict import Verdict, verdict
from eosin.reporting.words import isolated

if TYPE_CHECKING:
    from jinja2 import Template


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
    or where it is now, by default where the evaluation found it. Where it is missing, pictures are
    left out and the report says so. Raises RunError where there is no evaluation, or ``store`` is
    not the evaluated one; whatever else fails becomes a sentence in the page and in ``problems``.
    """
    material = read(run_path, store)
    cards = build(material)
    texts = {
        "MODEL_CARD.md": model_card(material),
        "report.html": page(material, _verdict(material), cards),
    }
    with whole_files(material.folder) as new:
        for name, text in texts.items():
            new(name).write_text(text, "utf-8")
    return Written(material.folder / "report.html", tuple(dict.fromkeys(material.problems)))


def model_card(material: Material) -> str:
    """MODEL_CARD.md as text: the verdict and the cards about the model, in the order of a card.

    The card is made to be passed on, so it is made from what others may see.
    """
    shared = material.shared()
    model = shared.model
    name = (model and (model.recipe or model.architecture)) or "a classifier of patches"
    cards = [verdict_card(_verdict(shared)), *build(shared, MODEL_CARD)]
    return as_markdown(f"Model card: {name}", cards)


def _verdict(material: Material) -> Verdict:
    diagnoses = material.model.diagnoses if material.model else ()
    return verdict(material.evaluation, diagnoses=[each.sentence for each in diagnoses])


@cache
def _template() -> Template:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=isolated,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["after"] = _after
    environment.filters["together"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    return environment.get_template("page.html.j2")


def page(material: Material, judged: Verdict, cards: Sequence[Card]) -> str:
    """report.html as text."""
    script = _file("page.js")
    return _template().render(
        title=f"{material.name}: what the model can do",
        run=material.name,
        recipe=material.evaluation.recipe or "unknown recipe",
        verdict=judged,
        cards=cards,
        contents={name: entry.short for name, entry in CARDS.items()},
        style=Markup(_file("style.css")),
        script=Markup(script),
        # Only this one script may run, whatever a name in the data contains.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        disclaimer=INTENDED_USE,
        version=__version__,
    )


def _after(text: str, title: str) -> str:
    """A caption without the title that it begins with."""
    rest = text.removeprefix(title).lstrip(" :,.") if title else text
    return rest[:1].upper() + rest[1:]


def _file(name: str) -> str:
    return resources.files("eosin.reporting").joinpath(name).read_text("utf-8")
