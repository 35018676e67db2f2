"""EXPORT_CARD.md: what exported files are, what they answer, and how far that is torch's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eosin.reporting.card import INTENDED_USE, CardPart, as_markdown
from eosin.reporting.words import listed, number, sentence

Facts = Mapping[str, Any]

_PARTS = {
    "val": "validation patches of the run, which it was not trained on",
    "train": "training patches of the run, as its split has no validation part",
    "random": "made-up patches, which say nothing of tissue",
}


def export_card(result: Facts) -> str:
    """The card of an export as Markdown that hostile names cannot break.

    result: the content of export.json.
    """
    parts = [
        _what(result),
        CardPart("Intended use", [INTENDED_USE, _not_for(result)]),
        _ports(result),
        _answers(result["facts"]),
        _files(result),
        _parity(result),
        *([_refused(result)] if result["refused"] else []),
        CardPart("Marks", (), points=_marks(result["facts"])),
        *_opening(result),
        _made_with(result),
    ]
    return as_markdown(f"Export card: {result['run']}", parts)


def _what(result: Facts) -> CardPart:
    facts = result["facts"]
    height, width = result["patch_size"]
    mpp = facts.get("mpp")
    scale = f"at {mpp:g} micrometers a pixel" if mpp else "at a resolution that is not recorded"
    said = (
        f'The run "{result["run"]}" as files that answer without the part that trains: a network '
        f"of the architecture {facts.get('architecture', 'unknown')} with the classes "
        f"{listed(list(result['classes']))}, trained on color patches of {width} x {height} pixels "
        f"{scale}. How good it is stands in the run's own report and MODEL_CARD.md."
    )
    return CardPart("What it is", [said])


def _not_for(result: Facts) -> str:
    mpp = result["facts"].get("mpp")
    scale = f", or a resolution other than about {mpp:g} micrometers a pixel" if mpp else ""
    return (
        "Not for any decision about a patient, and not for tissue, stains or scanners on which it "
        f"has not been measured{scale}: arrays of another size are resized inside. "
        "eosin brings image files to the patch size before, as the training data were packed."
    )


def _ports(result: Facts) -> CardPart:
    classes = len(result["classes"])
    facts = result["facts"]
    views = facts.get("views", 1)
    rows = [
        ("patches", "input", "uint8", "[N, H, W, 3]", "RGB, 0 to 255; N, H and W are free"),
        ("probabilities", "output", "float32", f"[N, {classes}]", "of the classes, in their order"),
        ("features", "output", "float32", "[N, F]", "texture, for the out-of-scope check"),
    ]
    if facts.get("scope"):
        rows.append(
            ("distance", "output", "float32", "[N]", "from the training patches; about 1 for those")
        )
    inside = ["scaling", "resizing (bilinear, antialiased)", "temperature", "softmax"]
    if views > 1:
        inside.append("the mean over eight turns and flips (four where H and W differ)")
    notes = [
        f"Inside the graph: {listed(inside)}. Features and distance belong to the out-of-scope "
        "check; ONNX Runtime computes them whether they are asked for or not, so eosin cuts them "
        "off where only probabilities are wanted."
    ]
    return CardPart("Input and outputs", notes, ("name", "", "type", "shape", "what it is"), rows)


def _answers(facts: Facts) -> CardPart:
    points = []
    threshold = facts.get("threshold") or {}
    if threshold.get("value") is not None:
        points.append(
            f"Threshold {threshold['value']:.6g}: the second class where its probability is at "
            f"least that (chosen on {threshold.get('chosen_on', 'validation')})."
        )
    else:
        points.append("No threshold: the most probable class.")
    band = facts.get("referral") or {}
    if band.get("high") is not None and band.get("low") is not None:
        points.append(
            f"Refer to a person where that probability lies between {band['low']:.6g} and "
            f"{band['high']:.6g}: {sentence(str(band.get('assumption') or 'fitted on validation'))}"
        )
    elif band.get("high") is not None:
        points.append(f"Refer to a person where no probability reaches {band['high']:.6g}.")
    else:
        points.append("It refers nothing to a person: no band was fitted.")
    scope = facts.get("scope") or {}
    if scope.get("threshold") is not None:
        points.append(f"Out of scope where the distance is above {scope['threshold']:.6g}.")
    else:
        points.append("No out-of-scope check: any picture gets a class.")
    return CardPart("How it answers", (), points=points)


def _files(result: Facts) -> CardPart:
    rows = [
        (name, each["kind"], each["runtime"], f"{each['bytes'] / 1e6:.2f}", digest)
        for each in result["files"]
        for name, digest in each["sha256"].items()
    ]
    rows = [row if not row[0].endswith(".bin") else (row[0], "", "", "", row[4]) for row in rows]
    return CardPart("Files", (), ("file", "numbers", "tried with", "MB", "SHA-256"), rows)


def _parity(result: Facts) -> CardPart:
    sample = result["sample"]
    of = f" of {sample['cases']} cases" if sample["cases"] else ""
    said = (
        f"Every file was asked about the same {sample['patches']:,} patches{of} as torch in "
        f"float32: {_PARTS[sample['part']]}."
    )
    rows = []
    for each in result["files"]:
        rows += _rows(f"{each['file']} ({each['kind']})", each["parity"])
    points = [
        "Allowed for float32: a difference of 0.0001, and no changed decision. Allowed for int8: "
        "an AUROC lower by 0.002, and 1 % of changed classes and of changed decisions.",
        "Decisions count refer and out of scope as well. A patch that torch itself puts on a "
        "limit, to within 0.00001, is counted apart where the file gives it the same probability: "
        "there rounding decides.",
        "The figures are those of this machine; int8 and bf16 differ a little between processors.",
    ]
    if sample.get("note"):
        points.insert(0, sentence(str(sample["note"])))
    columns = ("file", "largest difference", "classes changed", "decisions changed", "on a limit",
               "distance difference", "AUROC", "AUROC of torch")  # fmt: skip
    return CardPart("The same answers as torch", [said], columns, rows, points)


def _rows(name: str, parity: Facts) -> list[Sequence[str]]:
    found: list[Sequence[str]] = [
        (
            name,
            f"{parity['largest_difference']:.2g}",
            f"{parity['called_changed']} ({parity['called_changed_share']:.2%})",
            f"{parity['answers_changed']} ({parity['answers_changed_share']:.2%})",
            str(parity["on_a_limit"]),
            "none"
            if parity["distance_difference"] is None
            else f"{parity['distance_difference']:.2g}",
            number(parity["auroc"], 5),
            number(parity["auroc_torch"], 5),
        )
    ]
    if parity.get("bf16"):
        found += _rows(f"{name}, computed in bf16", parity["bf16"])
    return found


def _refused(result: Facts) -> CardPart:
    points = [f"{each['file']} was not written: {each['why']}." for each in result["refused"]]
    return CardPart("Refused", (), points=points)


def _marks(facts: Facts) -> list[str]:
    marks = [*facts.get("marks", []), *(d.get("sentence", "") for d in facts.get("diagnoses", []))]
    said = [sentence(str(mark)) for mark in marks if mark]
    return said or ["None were set when the run was made."]


def _opening(result: Facts) -> list[CardPart]:
    names = [str(each["file"]) for each in result["files"]]
    extra = "runtime" if names[0].endswith(".onnx") else "openvino"
    install = "train" if names[0].endswith(".pt2") else extra
    parts = [
        CardPart(
            "Open it with eosin",
            [
                f'After pip install "eosin[{install}]", on the command line (eosin predict '
                f"{names[0]} patches/) or in Python; patches are uint8 [N, H, W, 3]."
            ],
            lines=[
                "from eosin.inference.predictor import load",
                f'probabilities, distance = load("{names[0]}").examine(patches)',
            ],
        )
    ]
    plain = next((name for name in names if name.endswith(".onnx")), "")
    if plain:
        said = (
            'Threshold, band, scope and digests are the JSON object "eosin" in the metadata; '
            "classes, mpp and intended_use stand beside it as plain text."
        )
        lines = [
            "import json, onnxruntime",
            f'session = onnxruntime.InferenceSession("{plain}")',
            'facts = json.loads(session.get_modelmeta().custom_metadata_map["eosin"])["facts"]',
            'probabilities = session.run(["probabilities"], {"patches": patches})[0]',
        ]
        parts.append(CardPart("Open it with ONNX Runtime alone", [said], lines=lines))
    return parts


def _made_with(result: Facts) -> CardPart:
    rows = [
        ("SHA-256 of the run's weights", str(result["weights_digest"])),
        ("digest of the store", str(result["facts"].get("store_digest") or "not recorded")),
        *((name, str(version)) for name, version in result["exported_with"].items()),
    ]
    return CardPart("Where it is from", (), ("fact", "value"), rows)
