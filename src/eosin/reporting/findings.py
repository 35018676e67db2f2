"""Sections that are made of numbers: the data, the headline table, the check of scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eosin.reporting.blocks import (
    Cell,
    Facts,
    Findings,
    Forest,
    Heading,
    List,
    MissingPart,
    More,
    Section,
    Table,
    Text,
)
from eosin.reporting.forest import bar_of
from eosin.reporting.material import Material
from eosin.reporting.words import (
    BASELINES,
    FIGURES,
    NONE,
    PARTS,
    count,
    in_words,
    known,
    listed,
    measured,
    number,
    percent,
    sentence,
)

_SCHEMES = {
    "case": "by case",
    "published": "the published lists of cases",
    "given": "as the source gives it",
    "patch": "patch by patch, at random",
    "folds": "folds of cases",
    "file": "a list of the user",
    "unseen store": "another store, all of it",
}


def data(material: Material) -> Section:
    """What was measured on, how it was split, and what the audit found."""
    evaluation = material.evaluation
    part = str(evaluation.get("part", ""))
    audit = evaluation.get("audit")
    # The audit of a run's own split says nothing about another store.
    if part != "all":
        audit = audit or material.environment.get("audit")
    patches = count(evaluation.get("n_patches"), "patch", "patches")
    cases = evaluation.get("n_cases")
    scheme = _SCHEMES.get(str(evaluation.get("split")), str(evaluation.get("split", "unknown")))
    says = f"Every figure is of {patches}"
    says += f" of {count(cases, 'case')}" if known(cases) and cases else ", their cases unknown"
    says += (
        f": the {PARTS.get(part, part)} part of a split made by {scheme}. "
        if (part != "all")
        else ": a whole store that the run was not made from. "
    )
    says += _compared_with_training(evaluation) if part == "all" else _audited(audit)
    trained = (audit or {}).get("compared") or {}
    facts = [
        (f"{evaluation.get('n_patches', 0):,}", "patches measured"),
        (f"{cases:,}" if known(cases) else NONE, "cases measured"),
    ]
    prevalence = evaluation.get("prevalence")
    if known(prevalence):
        facts.append((percent(prevalence), f"{material.classes[-1]} among them"))
    facts += [
        (f"{int(size):,}", f"{PARTS.get(name, name)} patches")
        for name, size in trained.items()
        if name != part and known(size)
    ]
    blocks: list[object] = [Facts(facts)]
    if isinstance(prevalence, Mapping):
        rows = [[name, percent(share)] for name, share in prevalence.items()]
        blocks.append(Table("Share of each class", ["class", "share"], rows))
    blocks += _audit_blocks(audit)
    fitting = (evaluation.get("fitting") or {}).get("sentence")
    if fitting:
        blocks += [Heading("What was fitted on what"), Text(sentence(str(fitting)))]
    warnings = [sentence(str(text)) for text in evaluation.get("warnings") or ()]
    if warnings:
        blocks += [Heading("Notes of the evaluation"), *(Text(text) for text in warnings)]
    return Section("data", "The data and the split", says, blocks)


def _compared_with_training(evaluation: Mapping[str, Any]) -> str:
    if any(str(mark).startswith("seen in training") for mark in evaluation.get("marks") or ()):
        return "Some of it was seen in training, so the figures are too good."
    return "None of its known cases and no equal picture was trained on; near copies go unnoticed."


def _audited(audit: Mapping[str, Any] | None) -> str:
    if not audit:
        return "The folder holds no audit of the split, so leaks are not excluded."
    if audit.get("leaking"):
        return "The audit of the split found leaks: the parts share information."
    return "The audit of the split found no leak."


def _audit_blocks(audit: Mapping[str, Any] | None) -> list[object]:
    if not audit:
        return []
    items = [
        (str(found.get("severity", "hint")), sentence(str(found.get("sentence", ""))))
        for found in audit.get("findings") or ()
    ]
    if not audit.get("leaking"):
        looked = sum(int(n) for n in (audit.get("compared") or {}).values() if known(n))
        text = f"In two parts: no case, copy, near copy or touching neighbor ({looked:,} patches)."
        items.insert(0, ("fine", text))
    return [
        Heading("The audit"),
        Findings(items),
        More(
            "What the audit looks for",
            [
                Text(
                    "Before training, the parts of the split are searched for what they must not "
                    "share: cases, the same picture (turned or flipped as well), nearly the same "
                    "picture, and patches that touch each other on a slide. Any of these lets a "
                    "network recognize instead of judge, and its figures come out too good. "
                    "Contradicting labels are a warning, consecutive case numbers a hint. Nothing "
                    "in an archive ties a case to a patient, so two cases of one patient are not "
                    "found."
                )
            ],
        ),
    ]


def headline(material: Material) -> Section:
    """The figures of the model beside simple baselines and published results."""
    evaluation = material.evaluation
    names = [name for name in FIGURES if name in evaluation]
    others = evaluation.get("baselines") or {}
    key = "macro_auroc" if "macro_auroc" in evaluation else "auroc"
    blocks: list[object] = []
    if known((evaluation.get(key) or {}).get("value")):
        blocks.append(_beside(evaluation, others, key))
    columns = ["", "model", *(BASELINES.get(name, name) for name in others)]
    rows: list[list[Cell]] = [
        [
            FIGURES[name],
            measured(evaluation[name]),
            *(measured(other.get(name)) for other in others.values()),
        ]
        for name in names
    ]
    level = percent((evaluation.get("intervals") or {}).get("level", 0.95), 0)
    method = (evaluation.get("intervals") or {}).get("method", "")
    note = f"In small letters the {level} interval: {method}." if method else ""
    if evaluation.get("threshold"):
        cut = evaluation["threshold"]
        note += (
            f" Figures that need a threshold use {number(cut.get('value'))} "
            f"({str(cut.get('rule', '')).replace('_', ' ')}, chosen on {cut.get('chosen_on')})."
        )
    blocks.append(
        Table("Figures of the model and of simple methods", columns, rows, note=note, stress=True)
    )
    if evaluation.get("confusion"):
        blocks.append(_confusion(evaluation["confusion"], material.classes))
    if evaluation.get("per_class"):
        blocks.append(_per_class(evaluation["per_class"]))
    blocks += _published(evaluation.get("published"), evaluation)
    undefined = (evaluation.get("undefined") or {}).items()
    blocks += [
        Text(f"{FIGURES.get(n, n)}: {sentence(str(why))}", quiet=True) for n, why in undefined
    ]
    return Section(
        "headline",
        "Beside simple methods and published results",
        _ahead(evaluation, others, key),
        blocks,
    )


def _ahead(evaluation: Mapping[str, Any], others: Mapping[str, Any], key: str) -> str:
    mine = evaluation.get(key) or {}
    if not known(mine.get("value")):
        return "The ranking figures are not defined on these patches; the rest is below."
    values = {
        BASELINES.get(name, name): row[key]["value"]
        for name, row in others.items()
        if known((row.get(key) or {}).get("value"))
    }
    if not values:
        return f"The model's AUROC is {in_words(mine)}; no baseline was fitted to compare it with."
    best = max(values, key=lambda name: values[name])
    gain = mine["value"] - values[best]
    if gain <= 0:
        return f"The model is not better than a simple method: {best} has the higher AUROC."
    text = f"The model's AUROC is {number(gain)} above that of the best simple method, {best}"
    if known(mine.get("low")) and mine["low"] <= values[best]:
        return f"{text}; the lower end of its interval is not."
    return f"{text}, and so is the lower end of its interval."


def _beside(evaluation: Mapping[str, Any], others: Mapping[str, Any], key: str) -> Forest:
    bars = [bar_of("the model", evaluation[key], strong=True)]
    bars += [bar_of(BASELINES.get(name, name), row.get(key) or {}) for name, row in others.items()]
    rest = sorted(bars[1:], key=lambda bar: -(bar.value or 0.0))
    lows = [bar.low if bar.low is not None else bar.value for bar in bars]
    begin = min([0.5, *(low for low in lows if low is not None)])
    begin = max(0.0, int(begin * 20) / 20)
    note = "Guessing is at 0.5, perfect order at 1." if begin == 0.5 else ""
    return Forest(FIGURES[key], [bars[0], *rest], begin, 1.0, note=note)


def _confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    totals = [max(1, sum(row)) for row in counts]
    return Table(
        "Patches by true class (rows) and called class (columns)",
        ["truly", *(f"called {name}" for name in classes)],
        [
            [name, *((f"{cell:,}", percent(cell / total)) for cell in row)]
            for name, row, total in zip(classes, counts, totals, strict=True)
        ],
        shades=[[cell / total for cell in row] for row, total in zip(counts, totals, strict=True)],
    )


def _per_class(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = ("auroc", "average_precision", "sensitivity", "specificity", "precision", "f1")
    return Table(
        "Each class against the rest",
        ["class", "patches", *(FIGURES[name] for name in names)],
        [
            [str(row["class"]), f"{row['n']:,}", *(number(row.get(name)) for name in names)]
            for row in rows
        ],
    )


def _published(found: Mapping[str, Any] | None, evaluation: Mapping[str, Any]) -> list[object]:
    if not found:
        return []
    names = ("f1", "balanced_accuracy", "auroc", "auprc")
    heads = ["F1", "Balanced accuracy", "AUROC", "Average precision"]
    rows: list[list[Cell]] = []
    if found.get("comparable"):
        keys = ("f1", "balanced_accuracy", "auroc", "average_precision")
        rows.append(["this run", *(measured(evaluation.get(key)) for key in keys), ""])
    rows += [
        [
            str(row.get("name", "")),
            *(number(row.get(name), 4) if known(row.get(name)) else NONE for name in names),
            str(row.get("protocol", "")),
        ]
        for row in found.get("rows") or ()
    ]
    blocks: list[object] = [Heading("Published results")]
    reason = sentence(str(found.get("reason") or ""))
    if reason:
        blocks.append(Text(reason))
    missing = found.get("missing") or {}
    if missing.get("cases") or missing.get("patches"):
        absent = [str(case) for case in missing.get("cases") or ()]
        text = f"Missing of the published cases: {count(len(absent), 'case')}"
        text += f" ({listed(absent)})" if absent else ""
        blocks.append(Text(f"{text}, {count(missing.get('patches', 0), 'patch', 'patches')}."))
    if found.get("note"):
        blocks.append(Text(sentence(str(found["note"])), quiet=True))
    if rows:
        blocks.append(
            Table(
                "Published on the same task" if not found.get("comparable") else "Beside this run",
                ["", *heads, "measured on"],
                rows,
                words=frozenset({5}),
                strong=frozenset({0}) if found.get("comparable") else frozenset(),
            )
        )
    rows_with = [row for row in found.get("rows") or () if row.get("source")]
    sources = [f"{row.get('name')}: {row['source']}" for row in rows_with]
    if sources:
        blocks.append(More("Sources", [List([sentence(source) for source in sources])]))
    return blocks


def scope(material: Material) -> Section:
    """Whether foreign input is noticed."""
    found = material.evaluation.get("scope")
    if not found:
        raise MissingPart(
            "This evaluation has no out-of-scope check; evaluate the run again with this version."
        )
    if found.get("note") and not found.get("probes"):
        raise MissingPart(sentence(str(found["note"])))
    probes = list(found.get("probes") or ())
    worst = min(
        (probe for probe in probes if known(probe.get("auroc"))),
        key=lambda probe: float(probe["auroc"]),
        default=None,
    )
    says = "The share of measured patches out of scope is not known"
    if known(found.get("flagged")):
        says = f"{percent(found['flagged'])} of the measured patches are marked as out of scope"
    if worst:
        says += (
            f"; of foreign input, the hardest to tell is {worst.get('name')} "
            f"(AUROC {number(worst['auroc'])})"
        )
    rows: list[list[Cell]] = [
        [
            (str(probe.get("name", "")), str(probe.get("what") or "")),
            f"{int(probe['n']):,}" if known(probe.get("n")) else NONE,
            number(probe.get("auroc")),
            percent(probe.get("flagged")),
        ]
        for probe in probes
    ]
    blocks: list[object] = []
    if rows:
        columns = ["foreign input", "patches", "AUROC against real patches", "marked"]
        blocks.append(Table("What the check notices", columns, rows))
    method = f"{sentence(str(found.get('method', '')))}" if found.get("method") else ""
    limit = f" The threshold is {number(found.get('threshold'), 2)}." if method else ""
    blocks += [Text(f"{method}{limit}".strip(), quiet=True)] if method else []
    if found.get("note"):
        blocks.append(Text(sentence(str(found["note"])), quiet=True))
    return Section("scope", "Out of scope", f"{says}.", blocks)
