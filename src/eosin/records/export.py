"""FileFacts and ExportFacts: what an exported file and the export.json beside it contain."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from eosin.records.model import INTENDED_USE, Pixels
from eosin.records.record import Record

#: Version of both; exports of format 1 had case names, and a model.json of format 1 as facts.
EXPORT_FORMAT = 2


class Parity(Record):
    """A file's answers beside those of torch, for the same patches."""

    patches: int
    #: Differences of a probability; the last for patches of other sizes than the model's.
    largest_difference: float
    mean_difference: float
    largest_difference_other_sizes: float
    #: Patches whose class (without band and out-of-scope check) and whose decision changed, and
    #: those that changed where torch's own value is on a limit.
    called_changed: int
    answers_changed: int
    on_a_limit: int
    called_changed_share: float
    answers_changed_share: float
    distance_difference: float | None = None
    auroc_torch: float | None = None
    auroc: float | None = None
    auroc_lost: float | None = None
    #: The same computed in bf16, where OpenVINO can.
    bf16: Parity | None = None


class CheckedOn(Record):
    """The processor that an export was checked on."""

    #: How it adds int8 products, and the ways of other processors.
    kind: str
    not_on: tuple[str, ...] = ()
    #: Instructions that change speed or digits ("AVX2", "VNNI", "bf16").
    instructions: tuple[str, ...] = ()


class Shown(Record):
    """A file's answers for the drawn patches beside torch's, in one runtime on one machine."""

    #: The library that answered, with its version, and the precision that it was asked for.
    runtime: str
    precision: str = "fp32"
    #: Differences of a probability; patches whose class changed.
    largest_difference: float
    mean_difference: float
    called_changed: int


class Proof(Record):
    """What a file is asked again where it is used: patches drawn by a program, torch's answers."""

    #: SHA-256 of the patches, uint8 [64, H, W, 3] of the model's size (``eosin.runtime.drawn``).
    patches_sha256: str
    #: Torch's logits in float32, divided by the temperature: [64, K].
    logits: tuple[tuple[float, ...], ...] = Field(min_length=1)
    #: What the file answered where it was exported.
    shown: tuple[Shown, ...] = ()


class FileFacts(Record):
    """The metadata of an exported file: one JSON object under the key "eosin"."""

    format: Annotated[int, Field(ge=1, le=EXPORT_FORMAT)] = EXPORT_FORMAT
    #: "fp32" or "int8".
    kind: str = "fp32"
    #: Name of the run folder.
    run: str | None = None
    classes: tuple[str, ...] = Field(min_length=2)
    #: (height_px, width_px) of the training patches.
    patch_size: tuple[Pixels, Pixels]
    #: The model as others may see it: keys of model.json, and under "fitted" those of fitted.json.
    facts: dict[str, Any]
    #: Digest of the network's tensors alone, as in model.json.
    weights_digest: str | None = None
    #: Part of the run's split ("train", "val") -> digests of its cases, made with ``seen_key``.
    seen_cases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    seen_key: str = ""
    #: How far the file's answers are those of torch.
    parity: dict[str, Any] | None = None
    #: None in files of versions before this check.
    proof: Proof | None = None
    checked_on: CheckedOn | None = None
    exported_with: dict[str, str] = Field(default_factory=dict)
    intended_use: str = INTENDED_USE


class ExportedFile(Record):
    """A row of export.json: one file that was written."""

    file: str
    kind: str
    #: The library that it was tried with.
    runtime: str
    bytes: int
    #: Name of each part -> its SHA-256.
    sha256: dict[str, str]
    parity: Parity


class RefusedFile(Record):
    """A row of export.json: an int8 file that was not written, and why."""

    file: str
    why: str
    parity: Parity | None = None


class SampleFacts(Record):
    """The patches that the files of an export were tried on."""

    #: "val", "train" or "random" (made-up patches).
    part: str
    patches: int
    cases: int = 0
    #: Why they are made up, or "".
    note: str = ""


class ExportFacts(Record):
    """The content of export.json."""

    format: int = EXPORT_FORMAT
    run: str
    classes: tuple[str, ...]
    patch_size: tuple[int, int]
    files: tuple[ExportedFile, ...]
    refused: tuple[RefusedFile, ...] = ()
    sample: SampleFacts
    facts: dict[str, Any]
    weights_digest: str
    checked_on: CheckedOn | None = None
    exported_with: dict[str, str]
    intended_use: str = INTENDED_USE
