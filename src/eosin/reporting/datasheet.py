"""The data card as Markdown, from what was counted in the store and what its owner states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eosin.experiments.datasheet import FEW_CASES, QUESTIONS, VERY_FEW_CASES
from eosin.reporting.blocks import Card, plain_card
from eosin.reporting.markdown import as_markdown
from eosin.reporting.words import count, listed, number, percent, sentence

Facts = Mapping[str, Any]

TITLE = "Data card"
#: In place of every answer that only the owner of the data can give.
TO_BE_ANSWERED = "TO BE ANSWERED BY YOU"
_QUANTILES = ("lowest", "5 %", "25 %", "median", "75 %", "95 %", "highest")
_STATED_BY = {"owner": "Stated by the owner", "published": "Published with the archive"}
_FITS = {"pad": "padded with white", "resize": "resized", "": "not recorded"}


def data_card(facts: Facts) -> str:
    """DATA_CARD.md from ``experiments.datasheet.card_facts``; no name in it can break it."""
    cards = [
        _objective(facts),
        _contents(facts),
        _by_case(facts),
        _origin(facts),
        _preparation(facts),
        _checked(facts),
        plain_card("What a model trained on it can be used for", points=list(_uses(facts))),
        plain_card("What it cannot be used for", points=list(_not_uses(facts))),
        plain_card("Known limits", points=limits(facts)),
        _open_questions(facts),
        _made(facts),
    ]
    return as_markdown(f"{TITLE}: {facts['store']['name']}", cards)


def _statement(facts: Facts, key: str) -> str:
    """A statement and whose it is, or the question that is open."""
    statement = facts["statements"][key]
    if statement["text"] is None:
        return f"{TO_BE_ANSWERED}: {QUESTIONS[key]}"
    return f"{sentence(statement['text'])} ({_STATED_BY[statement['by']]}.)"


def _objective(facts: Facts) -> Card:
    use = str(facts["intended_use"])
    if facts["made_up"]:
        use += " The data are made up by a program: no figure says anything about tissue."
    return plain_card("Objective", [_statement(facts, "objective"), use])


def _contents(facts: Facts) -> Card:
    width, height = facts["patch_px"]
    mpp, um, cases = facts["mpp"], facts["patch_um"], facts["cases"]["count"]
    of = f" of {count(cases, 'case')}" if cases else ", cases unknown"
    size, resolution = f"{width} x {height} px", "not recorded"
    if mpp is not None:
        size += f", {um[0]:g} x {um[1]:g} micrometers"
        resolution = f"{mpp:g} micrometers a pixel, as noted on packing"
    texts = [
        f"{count(facts['patches'], 'patch', 'patches')}{of}; each is a color image of {size} with "
        "one label.",
        f"Resolution: {resolution}. Position on the slide known for {facts['placed']:,} of "
        f"{facts['patches']:,} patches.",
    ]
    for key, words in (("parts", "parts of the source"), ("subtypes", "subtypes")):
        named = [f"{name} {each:,}" for name, each in list(facts[key].items())[:20]]
        texts += [f"Named {words}: {listed(named)}."] if named else []
    rows = [
        (row["class"], f"{row['patches']:,}", percent(row["share"]),
         f"{row['cases']:,}" if cases else "unknown")
        for row in facts["classes"]
    ]  # fmt: skip
    return plain_card("What is in it", texts, ("class", "patches", "share", "cases with it"), rows)


def _by_case(facts: Facts) -> Card:
    cases, small = facts["cases"], facts["cases"]["small"]
    if not cases["count"]:
        text = (
            "The source does not say which case a patch is of: no split of it can promise that "
            "training and test share no case."
        )
        return plain_card("By case", [text])
    patches = [f"{value:,.0f}" for value in cases["patches"]]
    shares = [percent(value) for value in cases["shares"]]
    texts = [
        "A case is one specimen: one folder or name of the source. Patches a case: median "
        f"{patches[3]}, from {patches[0]} to {patches[6]}. Share of {cases['share_of']}: median "
        f"{shares[3]}, from {shares[0]} to {shares[6]}."
    ]
    if cases["unknown_patches"]:
        texts.append(f"The case of {cases['unknown_patches']:,} patches is unknown.")
    points = [
        f"{count(each, 'case')} without any patch of class {name}."
        for name, each in cases["without"].items()
        if each and len(cases["without"]) == 2
    ]
    if small["count"]:
        more = small["count"] - len(small["names"])
        names = ", ".join(small["names"]) + (f" and {more:,} more" if more else "")
        points.append(
            f"{count(small['count'], 'case')} with fewer than {small['below']} patches, too few "
            f"for figures of their own: {names}."
        )
    if cases["consecutive_numbers"]:
        pairs = count(cases["consecutive_numbers"], "pair")
        points.append(f"{pairs} of consecutive case numbers: some may be of one patient.")
    rows = [("patches", *patches), (f"share of {cases['share_of']}", *shares)]
    return plain_card("By case", texts, ("of a case", *_QUANTILES), rows, points)


def _origin(facts: Facts) -> Card:
    about = f" ({facts['layout_about']})" if facts["layout_about"] else ""
    source = facts["source"] or "an unnamed source"
    texts, points = [f"Packed from {source}, layout {facts['layout']}{about}."], []
    if archive := facts["archive"]:
        texts.append(
            f"Taken for the public archive {archive['name']}, for its layout is the archive's and "
            f"every case is one of its cases: {archive['patches']:,} of {archive['of_patches']:,} "
            f"patches and {archive['cases']:,} of {archive['of_cases']:,} cases, "
            f"{archive['complete_cases']:,} of them with as many patches of each class as there."
        )
        points = list(archive["citations"])
    rows = [(key, _statement(facts, key)) for key in QUESTIONS if key != "objective"]
    return plain_card("Where it is from", texts, ("question", "answer"), rows, points)


def _preparation(facts: Facts) -> Card:
    made = facts["preparation"]
    edges = f"{made['edge_patches']:,} ({percent(made['edge_share'])})"
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
    rows = [
        ("patches of another size than the store's", edges),
        ("what was done with them", _FITS.get(str(made["fit"] or ""), str(made["fit"]))),
        *((name, f"{each:,}") for name, each in counts.items()),
    ]
    notes = [sentence(note) for note in made["notes"]]
    return plain_card("How it was prepared", (), ("fact", "value"), rows, notes)


def _checked(facts: Facts) -> Card:
    heading, split = "What was searched for", facts["split"]
    if split is None:
        text = (
            "No split was given, so near copies, neighbors and shared cases were not searched "
            "for. Name one with --split."
        )
        return plain_card(heading, [text], lines=[_command(facts, " --split SPLIT")])
    audit = split["audit"]
    none = "No leak was found." if facts["cases"]["known_for_all"] else (
        "No leak was found among the patches whose case is known; of the others cases were not "
        "compared."
    )  # fmt: skip
    folds = f", {split['folds']} folds, the first as test" if split["folds"] else ""
    text = (
        f"The split {split['file']} (scheme {split['scheme']}{folds}) was searched for shared "
        "cases, copies (turned and flipped ones included), near copies and neighbors on the slide. "
        f"{'It leaks.' if audit['leaking'] else none} "
        f"{count(audit['flat'], 'flat field')} and {audit['sparse'] - audit['flat']:,} more "
        "patches with little on them were left out of the search for near copies."
    )
    classes = [row["class"] for row in facts["classes"]]
    rows = [
        (
            *(row["part"], f"{row['patches']:,}", f"{row['cases']:,}"),
            *([percent(share) for share in row["shares"]] or ["-"] * len(classes)),
        )
        for row in split["parts"]
    ]
    points = [sentence(str(each["sentence"])) for each in audit["findings"]]
    return plain_card(heading, [text], ("part", "patches", "cases", *classes), rows, points)


def _uses(facts: Facts) -> Iterator[str]:
    """What a model that learned from these data may be used for, in sentences."""
    if facts["made_up"]:
        yield "Trying out programs: the data are made up, so no figure is one of tissue."
        return
    width, height = facts["patch_px"]
    at = "" if facts["mpp"] is None else f" at about {facts['mpp']:g} micrometers a pixel"
    names = listed([row["class"] for row in facts["classes"][:20]])
    yield "Research and education: to compare methods, to teach, to reproduce published figures."
    yield (
        f"Sorting patches of {width} x {height} px{at} into {names}, of specimens like these, by "
        "people who look at the result."
    )
    if facts["cases"]["known_for_all"]:
        yield "Figures on cases that a model has not seen, with intervals over cases."


def _not_uses(facts: Facts) -> Iterator[str]:
    """What it may not be used for, in sentences."""
    yield "Diagnosis, grading, treatment, or any decision about a patient."
    yield "Statements about a whole slide, a specimen or a patient: every label is of one patch."
    yield "Other tissues, stains, scanners or preparations, unless it has been measured on them."
    if facts["mpp"] is not None:
        yield f"Other resolutions than about {facts['mpp']:g} micrometers a pixel."
    if facts["layout"] == "idc":
        yield (
            "Other findings than invasive ductal carcinoma: nothing else is labeled, and a patch "
            "that is not positive need not be healthy."
        )
    yield "Statements about groups of patients: the data name no age, sex, grade or origin."


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


def _open_questions(facts: Facts) -> Card:
    missing, heading = facts["missing"], "Questions that are still open"
    if not missing:
        return plain_card(heading, ["Every question to the owner is answered."])
    text = (
        f"{TO_BE_ANSWERED}: {listed(missing)}. No program can know these. Write them as "
        f'key = "text" into {facts["store"]["name"]}.card.toml beside the store, or give them as '
        "options, and make the card again."
    )
    return plain_card(heading, [text], points=[f"{key}: {QUESTIONS[key]}" for key in missing])


def _made(facts: Facts) -> Card:
    text = (
        f"By eosin {facts['eosin']} on {facts['date']}, from the store with the digest "
        f"{facts['store']['digest']}. Every number was counted in the store. The questions follow "
        "Gebru et al. 2021 (Datasheets for Datasets) and Pushkarna et al. 2022 (Data Cards)."
    )
    split = f" --split {facts['split']['file']}" if facts["split"] else ""
    return plain_card("How this card was made", [text], lines=[_command(facts, split)])


def _command(facts: Facts, options: str) -> str:
    return f"eosin card {facts['store']['name']}{options}"
