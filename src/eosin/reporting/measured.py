"""Cards of numbers: the data and the split, and the figures beside simple and published ones."""

from __future__ import annotations

from collections.abc import Sequence

from eosin.evaluation.curves import row_shares
from eosin.records.environment import TrainedStore
from eosin.records.evaluation import Audit, Evaluation, Published
from eosin.records.figures import ClassRow
from eosin.reporting import blocks
from eosin.reporting.blocks import Block, Card, Cell
from eosin.reporting.forest import bar_of
from eosin.reporting.material import Material
from eosin.reporting.verdict import against_simple_methods
from eosin.reporting.words import (
    BASELINES,
    FIGURES,
    NONE,
    PARTS,
    count,
    integer,
    known,
    listed,
    measured,
    number,
    patches_of,
    percent,
    sentence,
)

#: Scheme of a split -> what the split is, in words.
_SCHEMES = {
    "case": "a split by case",
    "published": "the split of the published lists of cases",
    "given": "the split that the source gives",
    "patch": "a split patch by patch, at random",
    "folds": "a split into folds of cases",
    "file": "a split from a list of the user",
}
_AUDITED = (
    "Before training, the parts of the split are searched for what they must not share: cases, the "
    "same picture (turned or flipped as well), nearly the same picture, and patches that touch "
    "each other on a slide. Any of these lets a network recognize instead of judge, and its "
    "figures come out too good. Contradicting labels are a warning, consecutive case numbers a "
    "hint. Nothing in an archive ties a case to a patient, so two cases of one patient are not "
    "found."
)


def audit_of(material: Material) -> Audit | None:
    """The audit of the split; that of a run's own split tells nothing about another store."""
    own = None if material.evaluation.part == "all" else material.environment.audit
    return material.evaluation.audit or own


def data(material: Material) -> Card:
    """What was measured on, how it was split, and what the audit found."""
    evaluation, audit = material.evaluation, audit_of(material)
    part, cases = evaluation.part, evaluation.n_cases
    scheme = _SCHEMES.get(evaluation.split, f"a split ({evaluation.split or 'unknown scheme'})")
    audited = _audited(audit, evaluation)
    lead = f"Every figure is of {patches_of(evaluation, ', their cases unknown')}"
    if part == "all":
        lead += ": a whole store that the run was not made from. "
        lead += _compared_with_training(evaluation)
    elif part:
        lead += f": the {PARTS.get(part, part)} part of {scheme}. {audited}"
    else:
        lead += f"; of which part of a split is not recorded. {audited}"
    facts = [
        (f"{evaluation.n_patches:,}", "patches measured"),
        (NONE if cases is None else f"{cases:,}", "cases measured"),
    ]
    prevalence = evaluation.prevalence
    if known(prevalence) and evaluation.classes:
        facts.append((percent(prevalence), f"{evaluation.classes[-1]} among them"))
    facts += [
        (f"{size:,}", f"{PARTS.get(name, name)} patches")
        for name, size in (audit.compared if audit else {}).items()
        if name != part
    ]
    parts: list[Block] = [blocks.Facts(facts)]
    if isinstance(prevalence, dict):
        shares = [[name, percent(share)] for name, share in prevalence.items()]
        parts.append(blocks.Table("Share of each class", ["class", "share"], shares))
    parts += _audit_blocks(audit, evaluation)
    if evaluation.fitting.sentence:
        text = sentence(evaluation.fitting.sentence)
        parts += [blocks.Heading("What was fitted on what"), blocks.Text(text)]
    if evaluation.warnings:
        parts.append(blocks.Heading("Notes of the evaluation"))
        parts += [blocks.Text(sentence(text)) for text in evaluation.warnings]
    parts.append(blocks.More("The store", [_store(material)]))
    return Card("data", "The data and the split", lead, parts)


def _store(material: Material) -> blocks.Table:
    measured_on, model = material.evaluation.store, material.model
    elsewhere = material.evaluation.part == "all"
    trained_on = TrainedStore() if elsewhere else material.environment.store
    rows = [
        ("digest", measured_on.digest or trained_on.digest or "not recorded"),
        ("patches", integer(measured_on.patches or trained_on.patches)),
        ("layout", trained_on.layout or "not recorded"),
        ("split", material.evaluation.split or "not recorded"),
        ("patches trained on", integer(model.train_patches if model else None)),
        ("digest of the store trained on", (model and model.store_digest) or "not recorded"),
    ]
    return blocks.Table("", ["fact", "value"], rows, frozenset({1}))


def _compared_with_training(evaluation: Evaluation) -> str:
    if evaluation.has_mark("seen"):
        return "Some of it was seen in training, so the figures are too good."
    unseen = [
        text
        for kind, text in (("cases", "none of its known cases"), ("pixels", "no equal picture"))
        if kind in evaluation.sought and not (kind == "cases" and evaluation.n_cases is None)
    ]
    if not unseen or "marks" not in evaluation.model_fields_set:
        return "Whether any of it was trained on is not known."
    return sentence(f"{listed(unseen)} was trained on; near copies go unnoticed")


def _clean(audit: Audit, evaluation: Evaluation) -> bool:
    """Whether leaks were looked for, with every case known, and none was found."""
    return audit.clean and evaluation.caseless == 0


def _audited(audit: Audit | None, evaluation: Evaluation) -> str:
    if audit is None or audit.leaking is None:
        return "The folder has no audit of the split, so leaks are not excluded."
    if audit.leaking:
        return "The audit of the split found leaks: the parts share information."
    if _clean(audit, evaluation):
        return "The audit of the split found no leak."
    return "Not every case is known or was compared, so the audit does not exclude leaks."


def _audit_blocks(audit: Audit | None, evaluation: Evaluation) -> list[Block]:
    if audit is None:
        return []
    items = [(each.severity, sentence(each.sentence)) for each in audit.findings]
    if _clean(audit, evaluation):
        patches = count(sum(audit.compared.values()), "patch", "patches")
        text = f"In two parts: no case, copy, near copy or touching neighbor ({patches})."
        items.insert(0, ("fine", text))
    more = blocks.More("What the audit looks for", [blocks.Text(_AUDITED)])
    return [blocks.Heading("The audit"), blocks.Findings(items), more]


def headline(material: Material) -> Card:
    """The figures of the model beside simple baselines and published results."""
    evaluation = material.evaluation
    parts: list[Block] = [] if evaluation.ranking.value is None else [_beside(evaluation)]
    others = evaluation.baselines
    columns = ["", "model", *(BASELINES.get(name, name) for name in others)]
    rows: list[list[Cell]] = [
        [FIGURES[name], measured(figure), *(measured(o.figure(name)) for o in others.values())]
        for name, figure in evaluation.figures().items()
    ]
    how, cut, notes = evaluation.intervals, evaluation.threshold, []
    if how.method:
        level = "" if how.level is None else f"{percent(how.level, 0)} "
        drawn = f" ({how.replicates:,} replicates)" if how.replicates else ""
        notes.append(f"In small letters the {level}interval: {how.method}{drawn}.")
    if cut and cut.value is not None:
        origin = f" ({cut.origin})" if cut.origin else ""
        notes.append(f"Figures that need a threshold use {number(cut.value)}{origin}.")
    title = "Figures of the model and of simple methods"
    parts.append(blocks.Table(title, columns, rows, note=" ".join(notes), stress=True))
    if evaluation.confusion and len(evaluation.confusion) == len(evaluation.classes):
        parts.append(_confusion(evaluation.confusion, evaluation.classes))
    if evaluation.per_class:
        parts.append(_per_class(evaluation.per_class))
    if evaluation.published:
        parts += _published(evaluation.published, evaluation)
    undefined = evaluation.undefined.items()
    parts += blocks.notes(
        *(f"{FIGURES.get(name, name)}: {sentence(why)}" for name, why in undefined)
    )
    lead = against_simple_methods(evaluation)
    return Card("headline", "Beside simple methods and published results", lead, parts)


def _beside(evaluation: Evaluation) -> blocks.Forest:
    key = evaluation.ranking_name
    rest = [bar_of(BASELINES.get(n, n), row.figure(key)) for n, row in evaluation.baselines.items()]
    bars = [bar_of("the model", evaluation.ranking, strong=True)]
    bars += sorted(rest, key=lambda bar: -(bar.value or 0.0))
    lows = [bar.value if bar.low is None else bar.low for bar in bars]
    begin = min([0.5, *(low for low in lows if low is not None)])
    begin = max(0.0, int(begin * 20) / 20)
    note = "Guessing is at 0.5, perfect order at 1." if begin == 0.5 else ""
    return blocks.Forest(FIGURES[key], bars, begin, 1.0, note=note)


def _confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> blocks.Table:
    shares = row_shares(counts).tolist()
    return blocks.Table(
        "Patches by true class (rows) and called class (columns)",
        ["truly", *(f"called {name}" for name in classes)],
        [
            [name, *((f"{n:,}", percent(share)) for n, share in zip(*pair, strict=True))]
            for name, *pair in zip(classes, counts, shares, strict=True)
        ],
        shades=shares,
    )


def _per_class(rows: Sequence[ClassRow]) -> blocks.Table:
    names = ("auroc", "average_precision", "sensitivity", "specificity", "precision", "f1")
    return blocks.Table(
        "Each class against the rest",
        ["class", "patches", *(FIGURES[name] for name in names)],
        [[row.name, f"{row.n:,}", *(number(getattr(row, n)) for n in names)] for row in rows],
    )


def _published(published: Published, evaluation: Evaluation) -> list[Block]:
    # Name in the published results -> name in an evaluation.
    names = {"f1": "f1", "balanced_accuracy": "balanced_accuracy", "auroc": "auroc",
             "auprc": "average_precision"}  # fmt: skip
    rows: list[list[Cell]] = [
        [row.name, *(number(getattr(row, name), 4) for name in names), row.protocol]
        for row in published.rows
    ]
    if published.comparable:
        own = (measured(evaluation.figure(name)) for name in names.values())
        rows.insert(0, ["this run", *own, ""])
    parts: list[Block] = [blocks.Heading("Published results")]
    if published.reason:
        parts.append(blocks.Text(sentence(published.reason)))
    absent, patches = published.missing.cases, published.missing.patches
    if absent or patches:
        text = f"Missing of the published cases: {count(len(absent), 'case')}"
        text += f" ({listed(absent)})" if absent else ""
        parts.append(blocks.Text(f"{text}, {count(patches, 'patch', 'patches')}."))
    parts += blocks.notes(published.note)
    if rows:
        caption = (
            "Beside this run"
            if published.comparable
            else "Published, of the public breast-histopathology archive"
        )
        columns = ["", *(FIGURES[name] for name in names.values()), "measured on"]
        strong = frozenset({0} if published.comparable else ())
        parts.append(blocks.Table(caption, columns, rows, words=frozenset({5}), strong=strong))
    sources = [sentence(f"{row.name}: {row.source}") for row in published.rows if row.source]
    return [*parts, blocks.More("Sources", [blocks.List(sources)])] if sources else parts
