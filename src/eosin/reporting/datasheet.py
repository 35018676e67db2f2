"""The data card as Markdown, from the facts that were counted or said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eosin.experiments.datasheet import FEW_CASES, QUESTIONS, VERY_FEW_CASES
from eosin.reporting.blocks import Card, plain_card
from eosin.reporting.markdown import as_markdown
from eosin.reporting.words import count, listed, number, percent, sentence

Facts = Mapping[str, Any]

TITLE = "Data card"
#: Stands for every answer that only the owner of the data can give.
TO_BE_SAID = "TO BE SAID BY YOU"
_QUANTILES = ("lowest", "5 %", "25 %", "median", "75 %", "95 %", "highest")
_SAID_BY = {"owner": "Said by the owner.", "published": "Published with the archive."}


def data_card(facts: Facts) -> str:
    """DATA_CARD.md from ``experiments.datasheet.card_facts``; no name in it can break it."""
    parts = [
        _objective(facts),
        _contents(facts),
        _by_case(facts),
        _origin(facts),
        _preparation(facts),
        _checked(facts),
        plain_card("What a model trained on it can be used for", points=uses(facts)),
        plain_card("What it cannot be used for", points=not_uses(facts)),
        plain_card("Known limits", points=limits(facts)),
        _missing(facts),
        _made(facts),
    ]
    return as_markdown(f"{TITLE}: {facts['store']['name']}", parts)


def _said(facts: Facts, key: str) -> list[str]:
    """A statement and whose it is, or the question that is open."""
    found = facts["statements"][key]
    if found["text"] is None:
        return [f"{TO_BE_SAID}: {QUESTIONS[key]}"]
    return [f"{sentence(found['text'])} ({_SAID_BY[found['by']].rstrip('.')}.)"]


def _objective(facts: Facts) -> Card:
    first = str(facts["intended_use"])
    if facts["made_up"]:
        first += " The data are made up by a program: no figure says anything about tissue."
    return plain_card("Objective", [*_said(facts, "objective"), first])


def _contents(facts: Facts) -> Card:
    width, height = facts["patch_px"]
    mpp, um = facts["mpp"], facts["patch_um"]
    cases = facts["cases"]
    of = f" of {count(cases['count'], 'case')}" if cases["count"] else ", cases unknown"
    size = f"{width} x {height} px"
    if mpp is not None:
        size += f", {um[0]:g} x {um[1]:g} micrometers"
    resolution = (
        "not recorded" if mpp is None else f"{mpp:g} micrometers a pixel, as noted on packing"
    )
    said = [
        f"{count(facts['patches'], 'patch', 'patches')}{of}; each is a color image of {size} with "
        f"one label.",
        f"Resolution: {resolution}. "
        f"Position on the slide known for {facts['placed']:,} of {facts['patches']:,} patches.",
    ]
    for key, words in (("parts", "parts of the source"), ("subtypes", "subtypes")):
        if facts[key]:
            named = listed([f"{name} {each:,}" for name, each in list(facts[key].items())[:20]])
            said.append(f"Named {words}: {named}.")
    rows = [
        (row["class"], f"{row['patches']:,}", percent(row["share"]),
         f"{row['cases']:,}" if cases["count"] else "unknown")
        for row in facts["classes"]
    ]  # fmt: skip
    return plain_card("What is in it", said, ("class", "patches", "share", "cases with it"), rows)


def _by_case(facts: Facts) -> Card:
    cases = facts["cases"]
    if not cases["count"]:
        return plain_card(
            "By case",
            ["The source does not say which case a patch is of: no split of it can promise that "
             "training and test share no case."],
        )  # fmt: skip
    low, median, high = (cases["patches"][k] for k in (0, 3, 6))
    said = [
        f"A case is one specimen: one folder or name of the source. Patches a case: median "
        f"{median:,.0f}, from {low:,.0f} to {high:,.0f}. Share of {cases['share_of']}: median "
        f"{percent(cases['shares'][3])}, from {percent(cases['shares'][0])} to "
        f"{percent(cases['shares'][6])}."
    ]
    if cases["unknown_patches"]:
        said.append(f"The case of {cases['unknown_patches']:,} patches is unknown.")
    rows = [
        ("patches", *(f"{value:,.0f}" for value in cases["patches"])),
        (f"share of {cases['share_of']}", *(percent(value) for value in cases["shares"])),
    ]
    points = [
        f"{count(each, 'case')} without any patch of class {name}."
        for name, each in cases["without"].items()
        if each and len(cases["without"]) == 2
    ]
    small = cases["small"]
    if small["count"]:
        points.append(
            f"{count(small['count'], 'case')} with fewer than {small['below']} patches, too few "
            f"for figures of their own: {_names(small)}."
        )
    if cases["consecutive_numbers"]:
        points.append(
            f"{count(cases['consecutive_numbers'], 'pair')} of consecutive case numbers: some may "
            "be of one patient."
        )
    return plain_card("By case", said, ("of a case", *_QUANTILES), rows, points)


def _names(found: Facts) -> str:
    more = found["count"] - len(found["names"])
    return ", ".join(found["names"]) + (f" and {more:,} more" if more else "")


def _origin(facts: Facts) -> Card:
    layout = str(facts["layout"])
    about = f" ({facts['layout_about']})" if facts["layout_about"] else ""
    said = [f"Packed from {facts['source'] or 'an unnamed source'}, layout {layout}{about}."]
    archive = facts["archive"]
    points = []
    if archive:
        said.append(
            f"Taken for the public archive {archive['name']}, for its layout is the archive's and "
            f"every case is one of its cases: {archive['patches']:,} of {archive['of_patches']:,} "
            f"patches and {archive['cases']:,} of {archive['of_cases']:,} cases, "
            f"{archive['complete_cases']:,} of them with as many patches of each class as there."
        )
        points = list(archive["citations"])
    rows = [(key, " ".join(_said(facts, key))) for key in QUESTIONS if key != "objective"]
    return plain_card("Where it is from", said, ("question", "answer"), rows, points)


def _preparation(facts: Facts) -> Card:
    made = facts["preparation"]
    rows = [
        ("patches of another size than the store's", f"{made['edge_patches']:,} "
         f"({percent(made['edge_share'])})"),
        ("what was done with them", {"pad": "padded with white", "resize": "resized"}.get(
            str(made["fit"]), str(made["fit"] or "not recorded"))),
        ("images that could not be used", f"{made['rejects']:,}"),
        *((f"of these: {why}", f"{each:,}") for why, each in made["reject_reasons"].items()),
        ("copies of the source that were skipped", f"{made['nested_copies']:,}"),
        ("such copies with other pixels", f"{made['nested_differing']:,}"),
        ("patches that repeat the pixels of another", f"{made['repeated_pixels']:,}"),
        ("pictures with two labels", f"{made['label_conflicts']:,}"),
        ("files passed by", f"{made['ignored']:,}"),
        ("files left out by wish", f"{made['excluded']:,}"),
    ]  # fmt: skip
    notes = [sentence(note) for note in made["notes"]]
    return plain_card("How it was prepared", (), ("fact", "value"), rows, notes)


def _checked(facts: Facts) -> Card:
    heading = "What was searched for"
    split = facts["split"]
    if split is None:
        return plain_card(
            heading,
            ["No split was given, so near copies, neighbors and shared cases were not searched "
             "for. Name one with --split."],
            lines=[f"eosin card {facts['store']['name']} --split SPLIT"],
        )  # fmt: skip
    found = split["audit"]
    said = f"The split {split['file']} (scheme {split['scheme']}"
    said += f", {split['folds']} folds, the first as test" if split["folds"] else ""
    said += (
        ") was searched for shared cases, copies (turned and flipped ones included), near copies "
        "and neighbors on the slide. "
    )
    said += "It leaks." if found["leaking"] else "No leak was found."
    said += f" {count(found['flat'], 'flat field')} and {found['sparse'] - found['flat']:,} more "
    said += "patches with little on them were left out of the search for near copies."
    classes = [row["class"] for row in facts["classes"]]
    rows = [
        (row["part"], f"{row['patches']:,}", f"{row['cases']:,}",
         *((percent(share) for share in row["shares"]) if row["shares"] else ("-",) * len(classes)))
        for row in split["parts"]
    ]  # fmt: skip
    points = [sentence(str(each["sentence"])) for each in found["findings"]]
    return plain_card(heading, [said], ("part", "patches", "cases", *classes), rows, points)


def uses(facts: Facts) -> list[str]:
    """What a model that learned from these data may be used for, in sentences."""
    if facts["made_up"]:
        return ["Trying out programs: the data are made up, so no figure is one of tissue."]
    width, height = facts["patch_px"]
    at = "" if facts["mpp"] is None else f" at about {facts['mpp']:g} micrometers a pixel"
    names = listed([row["class"] for row in facts["classes"][:20]])
    said = [
        "Research and education: to compare methods, to teach, to reproduce published figures.",
        f"Sorting patches of {width} x {height} px{at} into {names}, of specimens like these, by "
        "people who look at the result.",
    ]
    if facts["cases"]["known_for_all"]:
        said.append("Figures on cases that a model has not seen, with intervals over cases.")
    return said


def not_uses(facts: Facts) -> list[str]:
    """What it may not be used for, in sentences."""
    said = [
        "Diagnosis, grading, treatment, or any decision about a patient.",
        "Statements about a whole slide, a specimen or a patient: every label is of one patch.",
        "Other tissues, stains, scanners or preparations, unless it has been measured on them.",
    ]
    if facts["mpp"] is not None:
        said.append(f"Other resolutions than about {facts['mpp']:g} micrometers a pixel.")
    if facts["layout"] == "idc":
        said.append(
            "Other findings than invasive ductal carcinoma: nothing else is labeled, and a patch "
            "that is not positive need not be healthy."
        )
    said.append("Statements about groups of patients: the data name no age, sex, grade or origin.")
    return said


def limits(facts: Facts) -> list[str]:
    """What must be known before any figure is believed; only what applies, the gravest first."""
    cases, made = facts["cases"], facts["preparation"]
    said = []
    if facts["made_up"]:
        said.append("Made up by a program: no figure says anything about tissue.")
    if not cases["count"]:
        said.append("Cases are unknown: figures may be of cases that were trained on.")
    else:
        said.append(
            "A case is not a patient: nothing ties cases to patients, so two cases that are kept "
            "apart may be of one patient."
        )
        if cases["count"] < FEW_CASES:
            little = "say little" if cases["count"] < VERY_FEW_CASES else "have wide intervals"
            said.append(f"Only {count(cases['count'], 'case')}: figures {little}.")
    if facts["statements"]["equipment"]["text"] is None and not facts["made_up"]:
        said.append(
            "Site, stain protocol and scanner are not recorded: whether all is from one or from "
            "many cannot be said, nor how a model does on others."
        )
    archive = facts["archive"]
    if archive and archive["patches"] < archive["of_patches"]:
        said.append(
            f"A part of the archive only: {percent(archive['patches'] / archive['of_patches'])} of "
            "its patches. Figures of the whole archive need not be those of this part."
        )
    if facts["layout"] == "idc":
        said.append(
            "Labels tell invasive ductal carcinoma from everything else, by outlines drawn at low "
            "magnification: patches at the rim of a tumor can be labeled wrongly."
        )
    shares = [row["share"] for row in facts["classes"] if row["share"] is not None]
    if shares and min(shares) < 0.05:
        rare = min(facts["classes"], key=lambda row: row["share"] or 0)
        said.append(
            f"Class {rare['class']} is rare ({percent(rare['share'])} of the patches): look at "
            "average precision, not at accuracy."
        )
    if facts["mpp"] is None:
        said.append("The resolution is not recorded: whether all patches share one is unknown.")
    if made["edge_patches"]:
        said.append(
            f"{count(made['edge_patches'], 'patch', 'patches')} had another size, mostly at the "
            "edge of a slide: what was added or scaled is no tissue."
        )
    if made["repeated_pixels"]:
        said.append(f"{made['repeated_pixels']:,} patches repeat the pixels of another patch.")
    if made["label_conflicts"]:
        said.append(
            f"{count(made['label_conflicts'], 'picture')} with two labels: at least one is wrong."
        )
    if made["rejects"]:
        share = made["rejects"] / (made["rejects"] + facts["patches"])
        said.append(f"{number(100 * share, 2)} % of the images could not be used and are missing.")
    if facts["split"] and facts["split"]["audit"]["leaking"]:
        said.append("The split that was searched leaks: figures made with it are too good.")
    return said


def _missing(facts: Facts) -> Card:
    missing = facts["missing"]
    heading = "What is still to be said"
    if not missing:
        return plain_card(heading, ["Every question to the owner is answered."])
    name = facts["store"]["name"]
    return plain_card(
        heading,
        [
            f"{TO_BE_SAID}: {listed(missing)}. No program can know these. Write them as "
            f'key = "text" into {name}.card.toml beside the store, or give them as options, and '
            "make the card again."
        ],
        points=[f"{key}: {QUESTIONS[key]}" for key in missing],
    )


def _made(facts: Facts) -> Card:
    return plain_card(
        "How this card was made",
        [
            f"By eosin {facts['eosin']} on {facts['date']}, from the store with the digest "
            f"{facts['store']['digest']}. Every number was counted in the store. The questions "
            "follow Gebru et al. 2021 (Datasheets for Datasets) and Pushkarna et al. 2022 (Data "
            "Cards)."
        ],
        lines=[
            f"eosin card {facts['store']['name']}"
            + (f" --split {facts['split']['file']}" if facts["split"] else "")
        ],
    )
