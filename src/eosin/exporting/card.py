"""EXPORT_CARD.md: what exported files are, what they answer, and how far that is torch's answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eosin.records.decision import Decision
from eosin.records.export import ExportFacts, Parity
from eosin.records.figures import chosen
from eosin.records.model import INTENDED_USE, ModelFacts
from eosin.reporting.blocks import Card
from eosin.reporting.blocks import plain_card as card
from eosin.reporting.markdown import as_markdown
from eosin.reporting.words import listed, number, sentence

_PARTS = {
    "val": "validation patches of the run, which it was not trained on",
    "train": "training patches of the run, as its split has no validation part",
    "random": "made-up patches, which show nothing about tissue",
}


def export_card(result: ExportFacts, facts: ModelFacts) -> str:
    """The card of an export as Markdown that hostile names cannot break.

    result: the content of export.json; facts: the exported model, as others may see it.
    """
    refused = [f"{each.file} was not written: {each.why}." for each in result.refused]
    marks = [sentence(str(mark)) for mark in facts.all_marks]
    parts = [
        _what(result, facts),
        card("Intended use", [INTENDED_USE, _not_for(facts)]),
        _ports(facts),
        card("How it answers", (), points=list(_answers(facts.decision()))),
        _files(result),
        _parity(result),
        *([card("Refused", (), points=refused)] if refused else []),
        card("Marks", (), points=marks or ["None were set when the run was made."]),
        *_opening(result),
        _made_with(result, facts),
    ]
    return as_markdown(f"Export card: {result.run}", parts)


def _what(result: ExportFacts, facts: ModelFacts) -> Card:
    height, width = facts.patch_size
    scale = f"at {facts.mpp:g} micrometers a pixel" if facts.mpp else "at an unknown resolution"
    return card(
        "What it is",
        [
            f'The run "{result.run}" as files that answer without the part that trains: a network '
            f"of the architecture {facts.architecture} with the classes "
            f"{listed(list(facts.classes))}, trained on color patches of {width} x {height} pixels "
            f"{scale}. How good it is: see the run's own report and MODEL_CARD.md."
        ],
    )


def _not_for(facts: ModelFacts) -> str:
    scale = ""
    if facts.mpp:
        scale = f", or a resolution other than about {facts.mpp:g} micrometers a pixel"
    return (
        "Not for any decision about a patient, and not for tissue, stains or scanners on which it "
        f"has not been measured{scale}: arrays of another size are resized "
        "inside. eosin brings image files to the patch size before, as the training data were "
        "packed."
    )


def _ports(facts: ModelFacts) -> Card:
    rows = [
        ("patches", "input", "uint8", "[N, H, W, 3]", "RGB, 0 to 255; N, H and W are free"),
        ("probabilities", "output", "float32", f"[N, {len(facts.classes)}]", "of the classes, in "
         "their order"),
        ("features", "output", "float32", "[N, F]", "texture, for the out-of-scope check"),
    ]  # fmt: skip
    if facts.decision().scope_limit is not None:
        rows.append(
            ("distance", "output", "float32", "[N]", "from the training patches; about 1 for those")
        )
    inside = ["scaling", "resizing (bilinear, antialiased)", "temperature", "softmax"]
    if facts.views > 1:
        inside.append("the mean over eight turns and flips (four where H and W differ)")
    notes = [
        f"Inside the graph: {listed(inside)}. Features and distance belong to the out-of-scope "
        "check; ONNX Runtime computes them whether they are asked for or not, so eosin removes "
        "them where only probabilities are needed."
    ]
    return card("Input and outputs", notes, ("name", "", "type", "shape", "what it is"), rows)


def _answers(rule: Decision) -> Iterator[str]:
    point, band = rule.point, rule.point.band
    if point.threshold is None:
        yield "No threshold: the most probable class."
    else:
        yield (
            f"Operating point {point.name} ({point.label}): the second class where its probability "
            f"is at least {point.threshold:.6g} ({chosen(point.chosen_on)})."
        )
    if not band:
        yield "No patch is referred to a person: no band was set."
    elif band.low is None:
        yield f"Refer to a person where no probability reaches {band.high:.6g}."
    else:
        why = sentence(band.assumption or "fitted on validation")
        yield (
            f"Refer to a person where that probability is between {band.low:.6g} and "
            f"{band.high:.6g}: {why}"
        )
    if rule.scope_limit is None:
        yield "No out-of-scope check: any picture gets a class."
    else:
        yield f"Out of scope where the distance is above {rule.scope_limit:.6g}."


def _files(result: ExportFacts) -> Card:
    rows = []
    for each in result.files:
        for name, digest in each.sha256.items():
            about = (each.kind, each.runtime, f"{each.bytes / 1e6:.2f}")
            rows.append((name, *(about if name == each.file else ("", "", "")), digest))
    return card("Files", (), ("file", "numbers", "tried with", "MB", "SHA-256"), rows)


def _parity(result: ExportFacts) -> Card:
    sample = result.sample
    of = f" of {sample.cases} cases" if sample.cases else ""
    rows = []
    for each in result.files:
        rows += list(_rows(f"{each.file} ({each.kind})", each.parity))
    points = [
        "Allowed for float32: a difference of 0.0001, and no changed decision. Allowed for int8: "
        "an AUROC lower by 0.002, and 1 % of changed classes and of changed decisions.",
        "Decisions count refer and out of scope as well. A patch that torch itself puts on a "
        "limit, to within 0.00001, is counted apart where the file gives it the same probability: "
        "there rounding decides.",
        "The figures are those of this machine; int8 and bf16 differ a little between processors.",
    ]
    return card(
        "The same answers as torch",
        [
            f"Every file and torch in float32 answered for the same {sample.patches:,} "
            f"patches{of}: {_PARTS[sample.part]}."
        ],
        ("file", "largest difference", "classes changed", "decisions changed", "on a limit",
         "distance difference", "AUROC", "AUROC of torch"),
        rows,
        [*([sentence(sample.note)] if sample.note else []), *points],
    )  # fmt: skip


def _rows(name: str, parity: Parity) -> Iterator[Sequence[str]]:
    apart = parity.distance_difference
    yield (
        name,
        f"{parity.largest_difference:.2g}",
        f"{parity.called_changed} ({parity.called_changed_share:.2%})",
        f"{parity.answers_changed} ({parity.answers_changed_share:.2%})",
        str(parity.on_a_limit),
        "none" if apart is None else f"{apart:.2g}",
        number(parity.auroc, 5),
        number(parity.auroc_torch, 5),
    )
    if parity.bf16:
        yield from _rows(f"{name}, computed in bf16", parity.bf16)


def _opening(result: ExportFacts) -> Iterator[Card]:
    names = [each.file for each in result.files]
    extras = {".onnx": "runtime", ".xml": "openvino", ".pt2": "train"}
    install = next(extra for ending, extra in extras.items() if names[0].endswith(ending))
    yield card(
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
    plain = next((name for name in names if name.endswith(".onnx")), "")
    if plain:
        yield card(
            "Open it with ONNX Runtime alone",
            [
                'Operating points, bands, scope and digests are in the JSON object "eosin" of the '
                "metadata; classes, mpp and intended_use are beside it as plain text."
            ],
            lines=[
                "import json, onnxruntime",
                f'session = onnxruntime.InferenceSession("{plain}")',
                'facts = json.loads(session.get_modelmeta().custom_metadata_map["eosin"])["facts"]',
                'probabilities = session.run(["probabilities"], {"patches": patches})[0]',
            ],
        )


def _made_with(result: ExportFacts, facts: ModelFacts) -> Card:
    rows = [
        ("digest of the network's tensors", result.weights_digest),
        ("digest of the store", facts.store_digest or "not recorded"),
        *result.exported_with.items(),
    ]
    return card("Where it is from", (), ("fact", "value"), rows)
