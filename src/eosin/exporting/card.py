"""EXPORT_CARD.md: what exported files are, what they answer, and how far that is torch's answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eosin.records.export import ExportFacts, Parity
from eosin.records.figures import chosen
from eosin.records.model import INTENDED_USE, ModelFacts
from eosin.reporting.markdown import rendered
from eosin.reporting.words import number

_PARTS = {
    "val": "validation patches of the run, which it was not trained on",
    "train": "training patches of the run, as its split has no validation part",
    "random": "made-up patches, which show nothing about tissue",
}
#: How a file ends -> the extra of eosin that opens it.
_EXTRAS = {".onnx": "runtime", ".xml": "openvino", ".pt2": "train"}


def export_card(result: ExportFacts, facts: ModelFacts) -> str:
    """The card of an export as Markdown that hostile names cannot break.

    result: the content of export.json; facts: the exported model, as others may see it.
    """
    rule = facts.decision()
    ports = [
        ("patches", "input", "uint8", "[N, H, W, 3]", "RGB, 0 to 255; N, H and W are free"),
        ("probabilities", "output", "float32", f"[N, {len(facts.classes)}]",
         "of the classes, in their order"),
        ("features", "output", "float32", "[N, F]", "texture, for the out-of-scope check"),
        ("distance", "output", "float32", "[N]", "from the training patches; about 1 for those"),
    ]  # fmt: skip
    turned = "the mean over eight turns and flips (four where H and W differ)"
    inside = ["scaling", "resizing (bilinear, antialiased)", "temperature", "softmax", turned]
    files = [
        (name, *((each.kind, each.runtime, f"{each.bytes / 1e6:.2f}") if name == each.file
                 else ("", "", "")), digest)
        for each in result.files
        for name, digest in each.sha256.items()
    ]  # fmt: skip
    names = [each.file for each in result.files]
    return rendered(
        "export_card.md.j2", room="exporting", result=result, facts=facts, parts=_PARTS,
        intended_use=INTENDED_USE, inside=inside if facts.views > 1 else inside[:-1], files=files,
        ports=ports[: 3 + (rule.scope_limit is not None)], chosen=chosen(rule.point.chosen_on),
        parity=[row for each in result.files
                for row in _rows(f"{each.file} ({each.kind})", each.parity)],
        extra=next(extra for end, extra in _EXTRAS.items() if names[0].endswith(end)),
        plain=next((name for name in names if name.endswith(".onnx")), ""),
        origin=[
            ("digest of the network's tensors", result.weights_digest),
            ("digest of the store", facts.store_digest or "not recorded"),
            *result.exported_with.items(),
        ],
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
