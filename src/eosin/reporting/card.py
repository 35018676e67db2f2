"""Cards about the model itself: what it is, what it is for, how it was trained, how to repeat it.

MODEL_CARD.md is made of the same cards as the report, in the order of Mitchell et al. 2019, "Model
cards for model reporting".
"""

from __future__ import annotations

import shlex
from dataclasses import replace

from eosin.models.pretrained import built_on
from eosin.records.model import INTENDED_USE, ModelFacts
from eosin.reporting import blocks, charts
from eosin.reporting.blocks import Block, Card, MissingPart
from eosin.reporting.limits import known_limits
from eosin.reporting.material import Material
from eosin.reporting.words import answered_by, count, integer, listed, sentence


def model(material: Material) -> Card:
    """Limits and intended use."""
    facts, evaluation = material.model, material.evaluation
    uses_out = [
        "Diagnosis, grading, treatment, or any decision about a patient.",
        "A statement about a whole slide, a specimen or a patient: it judges single patches.",
        "Other tissues, stains, scanners or preparations than those of its data, unless it has "
        "been measured on them.",
    ]
    if facts and facts.mpp is not None:
        uses_out.append(f"Other resolutions than about {facts.mpp:g} micrometers a pixel.")
    scope = evaluation.scope
    check = scope.fitted if scope else facts and facts.decision().scope_limit is not None
    if check is False:
        uses_out.append("Input of unknown origin: this model has no check for such input.")
    what = _what(material, facts) if facts else [
        "The run has no usable model.json, so the model cannot be described."
    ]  # fmt: skip
    parts: list[Block] = [
        blocks.Heading("What it is"),
        *(blocks.Text(text) for text in what if text),
        blocks.Heading("Intended use"),
        blocks.Text(INTENDED_USE),
        blocks.Heading("Uses out of scope"),
        blocks.List(uses_out),
        blocks.Heading("Known limits"),
        blocks.List(known_limits(evaluation, facts, material.environment)),
    ]
    lead = "What this model is for, and what it is not for."
    return Card("card", "Limits and intended use", lead, parts)


def _what(material: Material, facts: ModelFacts) -> list[str]:
    height, width = facts.patch_size
    size = f"{width} x {height} pixels"
    known = facts.mpp is not None
    size += f" at {facts.mpp:g} micrometers a pixel" if known else ", resolution not recorded"
    network = (
        f"A network of the architecture {facts.architecture} with "
        f"{count(facts.parameters or None, 'parameter')}. It takes one color patch of {size} and "
        f"gives a probability for each of the classes {listed(facts.classes)}."
    )
    encoder = ""
    if facts.architecture == "encoder":
        encoder = " ".join(built_on(facts.arguments, facts.patch_size, facts.mpp, facts.start))
    date = material.environment.date
    made = f"Date of the run: {date}." if date else "The date of the run is not recorded."
    return [network, encoder, sentence(str(material.recipe.get("about") or "")), made]


def training(material: Material) -> Card:
    """The course of training, and what was trained."""
    if material.evaluation.exported:
        raise MissingPart("The course of training stays with the run: a file does not carry it.")
    parts: list[Block] = []
    facts = material.model
    if facts:
        named = {"weights": facts.parameters, "training patches": facts.train_patches,
                 "epochs": 0 if facts.probe else facts.epochs}  # fmt: skip
        shown = [(f"{number:,}", name) for name, number in named.items() if number]
        parts += [blocks.Facts(shown)] if shown else []
    try:
        drawing = charts.training(material)
        lead = drawing.caption
        parts.append(blocks.Figures([replace(drawing, caption="")]))
    except MissingPart as missing:
        if facts is None:
            raise
        lead = str(missing)
    parts.append(blocks.More("How it was trained", [_trained(material, facts)]))
    if probe := facts.probe if facts else None:
        text = f"A head was fitted on frozen embeddings: {probe.get('sentence', '')}"
        notes = [sentence(str(note)) for note in probe.get("notes") or []]
        parts += [blocks.Text(sentence(text)), *([blocks.List(notes)] if notes else [])]
    if facts and facts.diagnoses:
        parts.append(blocks.List([sentence(each.sentence) for each in facts.diagnoses]))
    return Card("training", "Training", lead, parts)


def _trained(material: Material, facts: ModelFacts | None) -> blocks.Table:
    recipe = material.recipe
    rows = [("recipe", str(recipe.get("name") or (facts and facts.recipe) or "not recorded"))]
    probe = facts.probe if facts else None
    if facts:
        if facts.epochs and not probe:
            rows.append(("epochs", integer(facts.epochs)))
            rows.append(("epoch kept", integer(facts.kept_epoch or None)))
        seconds = facts.train_seconds
        rows.append(("time", "not recorded" if seconds is None else f"{seconds:,.0f} seconds"))
        rows.append(("machine", facts.machine or "not recorded"))
    # A probe's head is not fitted by the recipe's optimizer.
    trained = () if probe else ("loss", "optimizer", "learning_rate", "batch_size")
    keys = ("network", *trained, "seed")
    rows += [(key.replace("_", " "), str(recipe[key])) for key in keys if key in recipe]
    return blocks.Table("", ["fact", "value"], rows, frozenset({1}))


def reproduce(material: Material) -> Card:
    """Environment, seeds, and the commands that make all of this again."""
    environment, evaluation = material.environment, material.evaluation
    exported, digest = evaluation.exported, evaluation.store.digest or environment.store.digest
    machine = {key: environment.machine.get(key) for key in ("processor", "cores", "system")}
    versions = {
        **environment.versions(),
        **machine,
        "trained on": material.model and material.model.machine,
        "answered by": exported and exported.runtime,
        "store digest": digest,
    }
    rows = [[name, str(value)] for name, value in versions.items() if value]
    lines = [environment.command] if environment.command else []
    run, folder = shlex.quote(str(material.run)), shlex.quote(str(material.folder))
    other = f" --store {shlex.quote(evaluation.store.path)}" if folder != run else ""
    # Of an exported file the recorded command is that of the evaluation itself.
    lines += [] if exported else [f"eosin evaluate {run}{other}"]
    lines.append(f"eosin report {folder}")
    parts: list[Block] = [blocks.Text(answered_by(exported))] if exported else []
    parts += [
        blocks.Code("The commands", lines),
        blocks.Table("Versions and machine", ["", "recorded"], rows, words=frozenset({1})),
    ]
    if material.recipe_text:
        code = blocks.Code("recipe.toml", material.recipe_text.splitlines())
        parts.append(blocks.More("The recipe", [code]))
    if material.problems:
        problems = [blocks.Text(sentence(problem)) for problem in material.problems]
        parts.append(blocks.More("What could not be made in this report", problems, opened=True))
    lead = "The same store, recipe, split and seed give the same run."
    if exported:
        lead = "The figures can be made again from the file and the store."
    elif not material.recipe_text:
        lead = "The recipe is missing, so the run cannot be made again from this folder."
    return Card("reproduce", "How to make it again", f"{lead} {_seeds(material)}".strip(), parts)


def _seeds(material: Material) -> str:
    seeds = [f"training {material.recipe['seed']}"] if "seed" in material.recipe else []
    how = material.evaluation.intervals
    if how.seed is not None:
        seeds.append(f"bootstrap {how.seed}, {count(how.replicates, 'replicate')}")
    return f"Seeds: {', '.join(seeds)}." if seeds else ""
