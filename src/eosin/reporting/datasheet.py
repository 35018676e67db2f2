"""The data card as Markdown, from what was counted in the store and what its owner states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eosin.experiments.datasheet import FEW_CASES, QUESTIONS, VERY_FEW_CASES
from eosin.reporting.markdown import rendered
from eosin.reporting.words import count, number, percent, sentence

Facts = Mapping[str, Any]

#: In place of every answer that only the owner of the data can give.
TO_BE_ANSWERED = "TO BE ANSWERED BY YOU"
_STATED_BY = {"owner": "Stated by the owner", "published": "Published with the archive"}
_FITS = {"pad": "padded with white", "resize": "resized", "": "not recorded"}


def data_card(facts: Facts) -> str:
    """DATA_CARD.md from ``experiments.datasheet.card_facts``; no name in it can break it."""
    made = facts["preparation"]
    counts = {
        "images that could not be used": made["rejects"],
        **{f"of these: {why}": each for why, each in made["reject_reasons"].items()},
        "copies of the source that were skipped": made["nested_copies"],
        "such copies with other pixels": made["nested_differing"],
        "patches that repeat the pixels of another": made["repeated_pixels"],
        "pictures with two labels": made["label_conflicts"],
        "files that were ignored": made["ignored"],
        "files left out as asked": made["excluded"],
    }
    edges = f"{made['edge_patches']:,} ({percent(made['edge_share'])})"
    prepared = [
        ("patches of another size than the store's", edges),
        ("what was done with them", _FITS.get(str(made["fit"] or ""), str(made["fit"]))),
        *((name, f"{each:,}") for name, each in counts.items()),
    ]
    stated = {
        key: f"{TO_BE_ANSWERED}: {QUESTIONS[key]}"
        if each["text"] is None
        else f"{sentence(each['text'])} ({_STATED_BY[each['by']]}.)"
        for key, each in facts["statements"].items()
    }
    return rendered(
        "data_card.md.j2", facts=facts, questions=QUESTIONS, open=TO_BE_ANSWERED,
        prepared=prepared, statements=stated, limits=limits(facts),
    )  # fmt: skip


def limits(facts: Facts) -> list[str]:
    """What to know before any figure is believed: only what applies, the most serious first."""
    return [*_limits_of_cases(facts), *_limits_of_patches(facts)]


def _limits_of_cases(facts: Facts) -> Iterator[str]:
    cases, archive = facts["cases"]["count"], facts["archive"]
    if facts["made_up"]:
        yield "Made up by a program: no figure says anything about tissue."
    if not cases:
        yield "Cases are unknown: figures may be of cases that were trained on."
    else:
        yield (
            "A case is not a patient: nothing ties cases to patients, so two cases that are kept "
            "apart may be of one patient."
        )
        if cases < FEW_CASES:
            little = "say little" if cases < VERY_FEW_CASES else "have wide intervals"
            yield f"Only {count(cases, 'case')}: figures {little}."
    if facts["statements"]["equipment"]["text"] is None and not facts["made_up"]:
        yield (
            "Site, stain protocol and scanner are not recorded: whether all is from one or from "
            "many is not known, nor how a model does on others."
        )
    if archive and archive["patches"] < archive["of_patches"]:
        yield (
            f"A part of the archive only: {percent(archive['patches'] / archive['of_patches'])} of "
            "its patches. Figures of the complete archive need not be those of this part."
        )


def _limits_of_patches(facts: Facts) -> Iterator[str]:
    made = facts["preparation"]
    if facts["layout"] == "idc":
        yield (
            "Labels tell invasive ductal carcinoma from everything else, by outlines drawn at low "
            "magnification: patches at the rim of a tumor can be labeled wrongly."
        )
    shares = {row["class"]: row["share"] for row in facts["classes"] if row["share"] is not None}
    rare = min(shares, key=lambda name: shares[name], default="")
    if rare and shares[rare] < 0.05:
        yield (
            f"Class {rare} is rare ({percent(shares[rare])} of the patches): look at average "
            "precision, not at accuracy."
        )
    if facts["mpp"] is None:
        yield "The resolution is not recorded: whether all patches share one is unknown."
    if made["edge_patches"]:
        yield (
            f"{count(made['edge_patches'], 'patch', 'patches')} had another size, mostly at the "
            "edge of a slide: what was added or scaled is not tissue."
        )
    if made["repeated_pixels"]:
        yield f"{made['repeated_pixels']:,} patches repeat the pixels of another patch."
    if made["label_conflicts"]:
        yield f"{count(made['label_conflicts'], 'picture')} with two labels: at least one is wrong."
    if made["rejects"]:
        share = made["rejects"] / (made["rejects"] + facts["patches"])
        yield f"{number(100 * share, 2)} % of the images could not be used and are missing."
    if facts["split"] and facts["split"]["audit"]["leaking"]:
        yield "The split that was searched leaks: figures made with it are too good."
