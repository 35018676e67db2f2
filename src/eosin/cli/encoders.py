"""`eosin encoders`: pretrained networks, their licenses, and their weights fetched ahead."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output, transfers
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.records.encoder import EncoderSpec


def encoders(
    name: Annotated[str | None, typer.Argument()] = None,
    permissive: Annotated[bool, typer.Option("--permissive")] = False,
    ungated: Annotated[bool, typer.Option("--ungated")] = False,
    pathology: Annotated[bool, typer.Option("--pathology")] = False,
    max_params: str | None = None,
    store: Path | None = None,
    fetch: Annotated[bool, typer.Option("--download")] = False,
    token: Annotated[str | None, typer.Option(show_default=False)] = None,
    revision: Annotated[str | None, typer.Option(show_default=False)] = None,
    json_: options.Json = False,
) -> None:
    """List pretrained encoders, show one in full, or fetch its weights.

    Nothing is fetched without --download; license and gate are shown first. A download that was
    stopped resumes when the command is run again. On a machine without a connection, pass a weights
    file to eosin train with --weights.

    Options:
        name: Show this one in full.
        permissive: Only those whose license allows commercial use.
        ungated: Only those that need no access request.
        pathology: Only those trained on histology.
        max_params: Only those with at most this many parameters, for example 100M.
        store: With a name: show how patches of this store would reach the encoder.
        fetch: With a name: fetch its weights ahead, into the cache.
        token: For gated weights; by default HF_TOKEN or the login of the hub's client.
        revision: With --download: this commit in place of the table's.

    Example: eosin encoders --permissive --max-params 100M
    """
    from eosin.models.pretrained import ENCODERS, find_encoder

    if name is None:
        if store or fetch or token or revision:
            raise UserError("--store, --download, --token and --revision need the encoder's name")
        most = _count(max_params) if max_params else math.inf
        specs = [
            spec
            for spec in ENCODERS.values()
            if (spec.commercial or not permissive)
            and not (spec.gated and ungated)
            and (spec.pathology or not pathology)
            and spec.parameters <= most
        ]
        output.end_with_json({"encoders": [_facts(spec) for spec in specs]}, json_=json_)
        _list(specs)
        return
    if permissive or ungated or pathology or max_params:
        raise UserError("--permissive, --ungated, --pathology and --max-params filter the list; "
                        "leave out the name")  # fmt: skip
    if (token or revision) and not fetch:
        raise UserError("--token and --revision belong to --download")
    spec = find_encoder(name)
    facts = _facts(spec)
    if store:
        from eosin.data.store import PatchStore
        from eosin.models.pretrained import resize_policy

        opened = PatchStore.open(store)
        facts["resize"] = resize_policy(spec, opened.patch_size, opened.mpp)
    if not json_:
        _show(spec, facts)
    if fetch:
        path, commit = transfers.obtain(spec, token=token, revision=revision)
        facts |= {"weights": str(path), "weights_revision": commit}
        if not json_:
            output.say(f"weights: {path}")
    output.end_with_json(facts, json_=json_)


def _count(text: str) -> int:
    """A number of parameters as people write it.

    >>> _count("100M"), _count("1.2B"), _count("5000")
    (100000000, 1200000000, 5000)
    """
    result = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMbBgG]?)", text.strip())
    if not result:
        raise UserError(f"--max-params {text!r} is not a number like 100M or 1.2B")
    powers = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9}
    return round(float(result[1]) * 10.0 ** powers[result[2].lower()])


def _amount(count: int) -> str:
    """A number of parameters for people.

    >>> _amount(11_176_512), _amount(1_134_774_272)
    ('11.2M', '1.13B')
    """
    return f"{count / 1e9:.2f}B" if count >= 1e9 else f"{count / 1e6:.1f}M"


def _list(specs: list[EncoderSpec]) -> None:
    output.table(
        "",
        ["name", "encoder", "parameters", "input", "mpp", "embedding", "license", "commercial use",
         "gated"],
        [
            [
                spec.name, spec.title, _amount(spec.parameters), f"{spec.input_px} px",
                "-" if spec.mpp is None else f"{spec.mpp:g}", spec.width, spec.licence,
                *("yes" if each else "no" for each in (spec.commercial, spec.gated)),
            ]
            for spec in specs
        ],
        right=["parameters", "input", "mpp", "embedding"],
    )  # fmt: skip
    note = "mpp: um a pixel of the training images; - for photographs."
    output.say(note if specs else "No encoder passes these filters.")


def _facts(spec: EncoderSpec) -> dict[str, Any]:
    values = {field.name: getattr(spec, field.name) for field in fields(spec)}
    return {**values, "arguments": dict(spec.arguments), "page": spec.page}


_POOLINGS = {
    "avg": "average over space",
    "token": "class token",
    "mean": "mean of the patch tokens",
    "token+mean": "class token and mean of the patch tokens, joined",
    "attention": "a trained query that attends to all tokens",
}


def _show(spec: EncoderSpec, facts: dict[str, Any]) -> None:
    rows: list[tuple[str, object]] = [
        ("trained on", spec.trained_on),
        ("license", f"{spec.licence}; "
         + ("commercial use allowed" if spec.commercial else "no commercial use")),
        ("gate", f"ask for access at {spec.page}" if spec.gated else "none"),
        ("weights", f"{spec.page}, {' or '.join(spec.files)}"),
        ("revision", spec.revision or "not pinned: the newest is taken and its commit recorded"),
        ("network", f"timm {spec.architecture}, {_amount(spec.parameters)} parameters"
         + ("; the code that the publisher adds is not run" if spec.remote_code else "")),
        ("input", f"{spec.input_px} px"
         + (", trained on photographs" if spec.mpp is None else f" at {spec.mpp:g} mpp")),
        ("scaling", "mean {:g}, {:g}, {:g}, deviation {:g}, {:g}, {:g}".format(
            *spec.mean, *spec.deviation)),
        ("embedding", f"{spec.width} numbers: {_POOLINGS[spec.pooling]}"),
        ("facts from", spec.source),
    ]  # fmt: skip
    if "resize" in facts:
        rows.append(("this store", facts["resize"]))
    output.table(f"{spec.title} ({spec.name})", ["fact", "value"], rows)
