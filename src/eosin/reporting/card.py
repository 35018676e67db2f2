"""The model card: what a model is, what it is for, how good it is and where it fails.

The order follows Mitchell et al. 2019, "Model cards for model reporting". ``card_facts`` gives the
card as plain values, from which both MODEL_CARD.md and the report are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eosin.models.pretrained import built_on
from eosin.reporting.limits import known_limits
from eosin.reporting.markdown import code, escaped, paragraph, table
from eosin.reporting.words import (
    BASELINES,
    FIGURES,
    PARTS,
    answered_by,
    count,
    in_words,
    integer,
    known,
    listed,
    number,
    percent,
    sentence,
    span,
)

Facts = Mapping[str, Any]

INTENDED_USE = "Research and education only, not for diagnosis."
TITLE = "Model card"


@dataclass(frozen=True)
class CardPart:
    """One part of the card; everything in it is plain text, to be escaped where it is shown.

    The order on the page: paragraphs, table, points, lines.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    #: A table: names of its columns, and its rows.
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default=())
    #: A list.
    points: Sequence[str] = ()
    #: Commands to copy.
    lines: Sequence[str] = ()


def model_card(
    evaluation: Facts, model: Facts, environment: Facts, recipe: Facts, *, date: str = ""
) -> str:
    """MODEL_CARD.md: the card as Markdown that hostile names cannot break.

    evaluation, model, environment: the run's JSON files, or {} where one is missing; recipe: its
    keys and values; date: of the run, by default "date" of the environment. A part whose facts are
    missing is a sentence that says so.

    >>> print(model_card({}, {"architecture": "compact|2"}, {}, {}).splitlines()[0])
    # Model card: compact\\|2
    """
    parts = card_facts(evaluation, model, environment, recipe, date=date)
    name = str(model.get("recipe") or model.get("architecture") or "a classifier of patches")
    return as_markdown(f"{TITLE}: {name}", parts)


def as_markdown(title: str, parts: Sequence[CardPart]) -> str:
    """A title and parts as Markdown."""
    blocks = [f"# {escaped(title)}"]
    for part in parts:
        blocks.append(f"## {part.heading}")
        blocks += [paragraph(text) for text in part.paragraphs]
        if part.rows:
            blocks.append(table(part.columns, part.rows))
        if part.points:
            blocks.append("\n".join(f"- {paragraph(text)}" for text in part.points))
        if part.lines:
            blocks.append(code(part.lines))
    return "\n\n".join(blocks) + "\n"


def card_facts(
    evaluation: Facts, model: Facts, environment: Facts, recipe: Facts, *, date: str = ""
) -> list[CardPart]:
    """The card as plain values, in the order of the page; arguments as for ``model_card``."""
    return [
        _what(model, recipe, date or str(environment.get("date") or "")),
        CardPart("Intended use", [str(model.get("intended_use") or INTENDED_USE)]),
        _not_for(model, evaluation),
        _data(evaluation, model, environment),
        _training(model, recipe),
        _measured(evaluation),
        _operating_points(evaluation),
        _calibration(evaluation, model),
        _referral(evaluation),
        _scope(evaluation),
        CardPart("Known limits", points=known_limits(evaluation, model, environment)),
        _reproduce(evaluation, environment),
        _versions(environment),
    ]


def _what(model: Facts, recipe: Facts, date: str) -> CardPart:
    heading = "What it is"
    if not model:
        return CardPart(heading, ["The run has no model.json, so the model cannot be described."])
    height, width = [*(model.get("patch_size") or []), "?", "?"][:2]
    mpp = model.get("mpp")
    size = f"{width} x {height} pixels"
    size += f" at {mpp:g} micrometers a pixel" if known(mpp) else ", resolution not recorded"
    parameters = count(model.get("parameters"), "parameter")
    said = (
        f"A network of the architecture {model.get('architecture', 'unknown')} with {parameters}. "
        f"It takes one color patch of {size} and gives a probability for each of the classes "
        f"{listed([str(name) for name in model.get('classes') or []]) or 'unknown'}."
    )
    about = str(recipe.get("about") or "")
    last = f"Date of the run: {date}." if date else "The date of the run is not recorded."
    encoder = _encoder(model) if model.get("architecture") == "encoder" else ""
    return CardPart(heading, [text for text in (said, encoder, sentence(about), last) if text])


def _encoder(model: Facts) -> str:
    size, given = [*(model.get("patch_size") or []), 0, 0], model.get("arguments") or {}
    mpp = model.get("mpp") if known(model.get("mpp")) else None
    return " ".join(built_on(given, (size[0], size[1]), mpp, model.get("start")))


def _not_for(model: Facts, evaluation: Facts) -> CardPart:
    points = [
        "Diagnosis, grading, treatment, or any decision about a patient.",
        "A statement about a whole slide, a specimen or a patient: it judges single patches.",
        "Other tissues, stains, scanners or preparations than those of the data below, unless it "
        "has been measured on them.",
    ]
    mpp = model.get("mpp")
    if known(mpp):
        points.append(f"Other resolutions than about {mpp:g} micrometers a pixel.")
    if not _checks_scope(evaluation):
        points.append("Input of unknown origin: no check for such input stands behind this model.")
    return CardPart("Uses out of scope", points=points)


def _data(evaluation: Facts, model: Facts, environment: Facts) -> CardPart:
    store = {**(environment.get("store") or {}), **(evaluation.get("store") or {})}
    rows = [
        ("store digest", str(model.get("store_digest") or store.get("digest") or "not recorded")),
        ("layout", str(store.get("layout") or "not recorded")),
        ("patches in the store", integer(store.get("patches"))),
        ("split", str(evaluation.get("split") or model.get("split_scheme") or "not recorded")),
        ("patches trained on", integer(model.get("train_patches"))),
    ]
    if evaluation.get("n_patches") is not None:
        part = str(evaluation.get("part") or "measured")
        cases = evaluation.get("n_cases")
        of = f" of {count(cases, 'case')}" if known(cases) else ", cases unknown"
        counted = count(evaluation["n_patches"], "patch", "patches")
        rows.append((f"measured on ({PARTS.get(part, part)})", counted + of))
        rows += [(f"share of {name}", percent(value)) for name, value in _shares(evaluation)]
    audit = evaluation.get("audit") or environment.get("audit") or {}
    marks = [*(evaluation.get("marks") or model.get("marks") or environment.get("marks") or [])]
    found = [str(each.get("sentence", "")) for each in audit.get("findings") or []]
    if not audit:
        marks.append("The split was not audited for leaks, or the result is not recorded.")
    elif not audit.get("leaking"):
        marks.append("The audit found no leak between the parts of the split.")
    points = [sentence(str(text)) for text in dict.fromkeys([*marks, *found]) if text]
    return CardPart("Data", (), ("fact", "value"), rows, points)


def _shares(evaluation: Facts) -> list[tuple[str, object]]:
    prevalence, classes = evaluation.get("prevalence"), evaluation.get("classes") or []
    if isinstance(prevalence, Mapping):
        return [(str(name), value) for name, value in prevalence.items()]
    if known(prevalence) and len(classes) == 2:
        positive = float(prevalence)  # type: ignore[arg-type]
        return [(str(classes[0]), 1 - positive), (str(classes[1]), positive)]
    return []


def _training(model: Facts, recipe: Facts) -> CardPart:
    if not model and not recipe:
        return CardPart("Training", ["The run has neither a recipe nor a model."])
    seconds = model.get("train_seconds")
    rows = [
        ("recipe", str(recipe.get("name") or model.get("recipe") or "not recorded")),
        ("epochs", integer(model.get("epochs"))),
        ("epoch kept", integer(model.get("kept_epoch"))),
        ("time", f"{seconds:,.0f} seconds" if known(seconds) else "not recorded"),
        ("machine", str(model.get("machine") or "not recorded")),
    ]
    if probe := model.get("probe"):
        what = sentence(f"A head was fitted on frozen embeddings: {probe.get('sentence', '')}")
        rows = [row for row in rows if not row[0].startswith("epoch")]
        notes = [sentence(str(text)) for text in probe.get("notes") or []]
        return CardPart("Training", [what], ("fact", "value"), rows, notes)
    keys = ("network", "loss", "optimizer", "learning_rate", "batch_size", "seed")
    rows += [(key.replace("_", " "), str(recipe[key])) for key in keys if key in recipe]
    said = [str(each.get("sentence", "")) for each in model.get("diagnoses") or []]
    return CardPart(
        "Training", (), ("fact", "value"), rows, [sentence(text) for text in said if text]
    )


def _measured(evaluation: Facts) -> CardPart:
    heading = "Measured figures"
    names = [name for name in FIGURES if isinstance(evaluation.get(name), Mapping)]
    if not names:
        return CardPart(heading, ["The run has not been evaluated."])
    intervals = evaluation.get("intervals") or {}
    rows = []
    for name in names:
        figure = evaluation[name]
        rows.append((FIGURES[name], number(figure.get("value")), span(figure) or "none"))
    first = names[0]
    for key, other in (evaluation.get("baselines") or {}).items():
        figure = other.get(first) or {}
        label = f"{FIGURES[first]} of the baseline: {BASELINES.get(key, key)}"
        rows.append((label, number(figure.get("value")), span(figure) or "none"))
    rows += [
        (f"AUROC of {each.get('class')}", number(each.get("auroc")), "none")
        for each in evaluation.get("per_class") or []
    ]
    part = str(evaluation.get("part") or "measured")
    cases = evaluation.get("n_cases")
    said = (
        f"On the {PARTS.get(part, part)} part: "
        f"{count(evaluation.get('n_patches'), 'patch', 'patches')}"
        + (f" of {count(cases, 'case')}" if known(cases) else " of unknown cases")
        + "."
    )
    if intervals.get("method"):
        level = percent(intervals.get("level"), 0)
        said += (
            f" The intervals are {level} intervals by {intervals['method']} "
            f"({integer(intervals.get('replicates'))} replicates)."
        )
    paragraphs = [
        said, _by_case(evaluation, first), _threshold(evaluation), *_published(evaluation)
    ]  # fmt: skip
    points = [sentence(str(text)) for text in evaluation.get("warnings") or []]
    return CardPart(
        heading, [text for text in paragraphs if text], ("figure", "value", "interval"), rows,
        points,
    )  # fmt: skip


def _by_case(evaluation: Facts, name: str) -> str:
    """From which case to which a figure reaches."""
    found = [
        (float(each[name]["value"]), str(each.get("case")))
        for each in evaluation.get("cases") or []
        if known((each.get(name) or {}).get("value"))
    ]
    if len(found) < 2:
        return ""
    (low, worst), (high, best) = min(found), max(found)
    return (
        f"By case, {FIGURES[name]} reaches from {number(low)} (case {worst}) to {number(high)} "
        f"(case {best}); {count(len(found), 'case')} define it."
    )


def _threshold(evaluation: Facts) -> str:
    point = evaluation.get("threshold")
    if not point:
        return ""
    rule = str(point.get("rule", "")).replace("_", " ")
    return f"Threshold {number(point.get('value'))} ({rule}, chosen on {point.get('chosen_on')})."


def _published(evaluation: Facts) -> list[str]:
    published = evaluation.get("published")
    if not published:
        return []
    if published.get("comparable"):
        return ["The split is the published one; the report compares with published results."]
    reason = str(published.get("reason") or "")
    reason = reason.removeprefix("not comparable: ")
    return [sentence(f"Not comparable with published results: {reason}")] if reason else []


def _operating_points(evaluation: Facts) -> CardPart:
    points = evaluation.get("operating_points")
    if not points:
        return CardPart("Operating points", ["Only the threshold above has been chosen."])
    rows, notes = [], []
    for point in points:
        name = str(point.get("label") or point.get("name") or "")
        name += " (used by default)" if point.get("default") else ""
        figures, share = point.get("figures") or {}, point.get("per_1000") or {}
        rows.append((
            name,
            number((point.get("threshold") or {}).get("value")),
            in_words(figures.get("sensitivity")),
            in_words(figures.get("specificity")),
            number(share.get("false_positive"), 0),
            number(share.get("false_negative"), 0),
        ))  # fmt: skip
        if point.get("note"):
            notes.append(sentence(f"{name}: {point['note']}"))
    columns = ("point", "threshold", "sensitivity", "specificity",
               "false positives in 1,000", "missed in 1,000")  # fmt: skip
    return CardPart("Operating points", (), columns, rows, notes)


def _calibration(evaluation: Facts, model: Facts) -> CardPart:
    found = evaluation.get("calibration")
    if not found:
        return CardPart("Calibration", ["The calibration has not been measured."])
    fitting = str((evaluation.get("fitting") or {}).get("sentence") or "")
    temperature = found.get("temperature", model.get("temperature"))
    said = f"Temperature {number(temperature)}." if known(temperature) else ""
    rows = [
        (name, in_words(each.get("ece")), in_words(each.get("brier")))
        for name, each in (found.get("methods") or {}).items()
    ]
    notes = [said, sentence(fitting), sentence(str(found.get("note") or ""))]
    columns = ("probabilities", "expected calibration error", "Brier score")
    return CardPart("Calibration", [text for text in notes if text], columns, rows)


def _referral(evaluation: Facts) -> CardPart:
    heading = "When the model refers to a person"
    found = evaluation.get("referral")
    if not found:
        return CardPart(heading, ["No band of referral was fitted: it calls every patch."])
    achieved = found.get("achieved") or {}
    if not found.get("band"):
        return CardPart(heading, [sentence(str(found.get("sentence") or "No band was found"))])
    said = [found.get("sentence"), found.get("assumption"), found.get("note")]
    if known((achieved.get("error") or {}).get("value")):
        held = {True: "The promise held.", False: "The promise did not hold."}
        said.append(
            f"Measured: error {in_words(achieved['error'])} among the "
            f"{percent((achieved.get('coverage') or {}).get('value'))} of patches that were "
            f"decided. {held.get(achieved.get('held'), '')}".strip()  # type: ignore[arg-type]
        )
    return CardPart(heading, [sentence(str(text)) for text in said if text])


def _checks_scope(evaluation: Facts) -> bool:
    """Whether a check was fitted: where there was too little for one, its place holds a note."""
    found = evaluation.get("scope") or {}
    return bool(found.get("probes")) or known(found.get("flagged"))


def _scope(evaluation: Facts) -> CardPart:
    heading = "Check of input that is out of scope"
    found = evaluation.get("scope")
    if not found:
        return CardPart(heading, ["None: any picture of the right size gets a class."])
    if not _checks_scope(evaluation):
        why = sentence(str(found.get("note") or ""))
        return CardPart(
            heading, [text for text in (why, "Any picture of the right size gets a class.") if text]
        )
    said = f"Method: {found.get('method', 'not recorded')}."
    if known(found.get("flagged")):
        said += f" It marks {percent(found['flagged'])} of the measured patches."
    rows = [
        (str(probe.get("what") or probe.get("name") or ""), integer(probe.get("n")),
         number(probe.get("auroc")), percent(probe.get("flagged")))
        for probe in found.get("probes") or []
    ]  # fmt: skip
    notes = [said, sentence(str(found.get("note") or ""))]
    columns = ("input", "pictures", "AUROC", "marked")
    return CardPart(heading, [text for text in notes if text], columns, rows)


def _reproduce(evaluation: Facts, environment: Facts) -> CardPart:
    command = str(environment.get("command") or "")
    if exported := evaluation.get("exported"):
        return CardPart("How to reproduce it", [answered_by(exported)], lines=[command])
    run = str(evaluation.get("run") or "RUN")
    digest = str((environment.get("store") or {}).get("digest") or "")
    said = "The same store, recipe, split and seed give the same run; all are in the run folder."
    said += f" The store's digest must be {digest}." if digest else ""
    lines = [command] if command.startswith("eosin ") else []
    lines.append(f"eosin evaluate {run}")
    if not command:
        said += " The command of the training is not recorded."
    return CardPart("How to reproduce it", [said], lines=lines)


def _versions(environment: Facts) -> CardPart:
    packages = environment.get("packages") or {}
    named = {"eosin": environment.get("eosin"), "Python": environment.get("python"), **packages}
    machine = environment.get("machine") or {}
    named |= {key: machine.get(key) for key in ("system", "processor", "cores")}
    rows = [(str(key), str(value)) for key, value in named.items() if value is not None]
    if not rows:
        return CardPart("Versions and machine", ["No versions are recorded."])
    return CardPart("Versions and machine", (), ("fact", "value"), rows)
