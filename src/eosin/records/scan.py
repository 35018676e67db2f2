"""ScanFacts: what NAME.json of a scanned slide contains."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from eosin.records.model import INTENDED_USE
from eosin.records.record import Number, Record

SCAN_FORMAT = 1
#: (x, y), and a box as x, y, width, height.
Pair = tuple[float, float]
Whole = tuple[int, int]
Part = tuple[int, int, int, int]


class Amount(Record):
    """A figure of a slide; null where it is not defined, with the reason as its note."""

    value: Number = None
    note: str = ""


class SlideFacts(Record):
    """The slide that was scanned, as its reader gave it."""

    #: Name of the file, without its folder.
    file: str
    #: The library that read it, with its version.
    reader: str
    format: str = ""
    compression: str = ""
    width_px: int
    height_px: int
    #: Micrometers a level-0 pixel along x and y, and where they come from; null where unknown.
    mpp: Pair | None = None
    mpp_source: str = ""
    #: The part that was scanned: x, y, width, height in level-0 pixels.
    bounds_px: Part
    #: Objective power as the file has it; no scale follows from it.
    objective: Number = None
    #: Digest of the ICC profile, which is not applied; "" where there is none.
    icc: str = ""


class FrameFacts(Record):
    """What the coordinates of the files count from."""

    #: Of NAME.parquet and NAME.heatmap.ome.tif.
    frame: str = (
        "level-0 pixels (x right, y down), (0, 0) the upper left corner of the reader's level 0"
    )
    #: What was subtracted from x and y in both GeoJSON files: QuPath's frame begins there.
    geojson_minus_px: Whole
    geojson: str = (
        "QuPath shows the part that was scanned (openslide.bounds) and counts from its corner, so "
        "x and y of the corner are subtracted"
    )


class GridFacts(Record):
    """The patches; lengths in level-0 pixels along x and y."""

    origin_px: Whole
    #: From one patch to the next, and the field that a patch shows.
    step_px: Pair
    field_px: Pair
    step_um: Pair | None = None
    columns: int
    rows: int
    patches: int
    #: Width and height of a patch in the model's pixels, and the model's micrometers a pixel.
    patch_px: Whole
    mpp: Number = None


class DecisionFacts(Record):
    """The rule that decided."""

    classes: tuple[str, ...] = Field(min_length=2)
    #: The class that the probability of the heatmap is of; null for more than two classes.
    positive: str | None = None
    point: str
    threshold: Number = None
    words: str
    scope_limit: Number = None


class ClassArea(Record):
    """The patches that were answered with one class."""

    name: str = Field(alias="class")
    patches: int
    #: Of the area of all patches.
    share: Amount
    area_mm2: Amount
    #: Connected patches, corners included.
    foci: int
    largest_focus_mm2: Amount


class Areas(Record):
    """Figures of a slide."""

    patches: int
    #: Of the tissue mask; of all patches, where no place counts twice.
    tissue_mm2: Amount
    scanned_mm2: Amount
    #: Of the second of two classes; for more classes see ``classes``.
    positive_mm2: Amount
    positive_share: Amount
    largest_focus_mm2: Amount
    refer_share: Amount
    out_of_scope_share: Amount
    classes: tuple[ClassArea, ...]


class Agreement(Record):
    """The answers beside the labels, of one slide; figures of one case have no interval."""

    #: With a label; of these, with a class as answer.
    patches: int
    answered: int
    #: Of the labels.
    positive_share: Amount
    auroc: Amount
    accuracy: Amount
    sensitivity: Amount
    specificity: Amount


class TissueFacts(Record):
    """The tissue mask."""

    source: str
    #: Name of each kind ("tissue", "pen", ...) -> its share of the slide.
    shares: dict[str, float] = Field(default_factory=dict)


class WrittenFile(Record):
    """A file beside this one."""

    bytes: int
    sha256: str


class ScanFacts(Record):
    """NAME.json: what was scanned, how, and what was found."""

    format: Annotated[int, Field(ge=1, le=SCAN_FORMAT)] = SCAN_FORMAT
    #: How the files of this slide begin.
    name: str
    slide: SlideFacts
    frame: FrameFacts
    grid: GridFacts
    decision: DecisionFacts
    tissue: TissueFacts
    areas: Areas
    #: Where labels are known: of the cases of a store.
    agreement: Agreement | None = None
    #: What the heatmap's pixels are, in words.
    heatmap: str = ""
    #: Name of each other file -> what it was when it was written.
    files: dict[str, WrittenFile] = Field(default_factory=dict)
    #: What was asked for, the model and its digests, as the scan recorded it.
    settings: dict[str, Any] = Field(default_factory=dict)
    #: What a reader of the results should know, a sentence each.
    notes: tuple[str, ...] = ()
    made_with: dict[str, str] = Field(default_factory=dict)
    intended_use: str = INTENDED_USE
