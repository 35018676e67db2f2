"""One slide from its file to its results: opened, looked at, answered, written; or its cause."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from eosin.records.decision import Decision
from eosin.runtime.predictor import Predictor
from eosin.scanning.blocks import plan_of
from eosin.scanning.engine import Answered, Progress, answer
from eosin.scanning.grid import LEAST_TISSUE, Lens, grid_of
from eosin.scanning.identity import fingerprint, key_of
from eosin.scanning.scan import Grid, Scan
from eosin.slides.opening import open_slide
from eosin.slides.reading import overview
from eosin.slides.reduced import with_reduced
from eosin.slides.slide import Pixels, Slide
from eosin.slides.tissue import TISSUE, Tissue

#: Longest side of the picture of the whole slide.
THUMBNAIL_PX = 1600
#: Raised when a scan of the same settings would give other numbers or files.
VERSION = 1


@dataclass(frozen=True)
class Asked:
    """What is asked of every slide."""

    lens: Lens
    decision: Decision
    #: What the answers of the model depend on.
    model: Mapping[str, Any]
    #: Numbers of the mask that are scanned, and the least share of them in a patch.
    keep: Collection[int] = (TISSUE,)
    least: float = LEAST_TISSUE
    #: The reader to use, by name; None: the first that opens a slide rightly.
    reader: str | None = None
    #: Finds the tissue of a slide.
    find: Callable[[Slide], Tissue] = field(kw_only=True)
    #: What ``find`` depends on.
    tissue: Mapping[str, Any] = field(default_factory=dict)
    #: Added to what is kept of the settings.
    more: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """For keys and for NAME.json."""
        return {
            "version": VERSION,
            "model": dict(self.model),
            "patch_px": list(self.lens.patch_px),
            "mpp": self.lens.mpp,
            "stride_um": self.lens.stride_um,
            "keep": sorted(self.keep),
            "least_tissue": self.least,
            "tissue": dict(self.tissue),
            "reader": self.reader,
        }


class Prepared(NamedTuple):
    """A slide that is open, and all that is known before a model is asked."""

    slide: Slide
    tissue: Tissue
    grid: Grid
    thumbnail: Pixels
    #: What the answers depend on besides what was asked, for the key of the answers.
    known: Mapping[str, Any]
    seconds: float


class Job(Protocol):
    """One slide to be scanned, whatever it is made of."""

    @property
    def path(self) -> Path:
        """The slide's file, or the store."""
        ...

    def key(self) -> str:
        """The digest that the results carry: the same again would be the same files.

        Raises OSError where the slide cannot be read.
        """
        ...

    def prepare(self) -> Prepared:
        """Open the slide and lay the grid; raises EosinError with the reason if not."""
        ...

    def answer(self, prepared: Prepared, predictor: Predictor, log: Log) -> Scanned:
        """Ask the model for every patch. Raises as ``engine.answer``."""
        ...


class Scanned(NamedTuple):
    """A scan, and how many of its patches an earlier one had answered."""

    scan: Scan
    resumed: int


@dataclass(frozen=True)
class Log:
    """Where answers are kept, the key of the results, and how progress is told."""

    file: Path
    key: str
    progress: Progress = lambda done, total: None
    stop: Callable[[], bool] = lambda: False


def key_of_results(asked: Asked, known: Mapping[str, Any]) -> str:
    """The digest of what was asked, the rule that decides included, and of a slide."""
    point = {"point": asked.decision.point.to_json(), "scope": asked.decision.scope_limit}
    return key_of(asked.settings() | point | dict(known))


def scan_of(
    prepared: Prepared, asked: Asked, got: Answered, key: str, seconds: float, **more: Any
) -> Scan:
    """The scan of a slide, with its settings. more: keys of the settings, and ``truth``."""
    truth = more.pop("truth", None)
    settings = asked.settings() | dict(asked.more) | more | {
        "slide": prepared.known["slide"], "key": key,
        "seconds": {"prepare": round(prepared.seconds, 2), "answer": round(seconds, 2)},
        "resumed": got.resumed,
    }  # fmt: skip
    return Scan(
        prepared.slide, prepared.grid, asked.decision, got.probabilities, got.distances,
        prepared.tissue, prepared.thumbnail, settings, truth,
    )  # fmt: skip


@dataclass(frozen=True)
class SlideJob:
    """A slide file. mpp: micrometers a pixel instead of those in the file."""

    path: Path
    asked: Asked
    mpp: float | None = None

    def key(self) -> str:
        """See ``Job``."""
        slide = {"slide": fingerprint(self.path), "name": self.path.name, "slide_mpp": self.mpp}
        return key_of_results(self.asked, slide)

    def prepare(self) -> Prepared:
        """See ``Job``."""
        begun, asked = time.monotonic(), self.asked
        slide = with_reduced(open_slide(self.path, reader=asked.reader, mpp=self.mpp))
        try:
            tissue = asked.find(slide)
            grid = grid_of(slide, tissue, asked.lens, keep=asked.keep, least=asked.least)
            assert slide.scale is not None
            known = {
                "slide": fingerprint(self.path), "scale": list(slide.scale[:2]),
                "opened_by": slide.reader, "cells": len(grid), "bounds": list(slide.bounds),
            }  # fmt: skip
            picture, _ = overview(slide, THUMBNAIL_PX)
            return Prepared(slide, tissue, grid, picture, known, time.monotonic() - begun)
        except BaseException:
            slide.close()
            raise

    def answer(self, prepared: Prepared, predictor: Predictor, log: Log) -> Scanned:
        """See ``Job``."""
        begun, plan = time.monotonic(), plan_of(prepared.slide, prepared.grid)
        key = key_of(self.asked.settings() | dict(prepared.known) | {"level": plan.level})
        got = answer(
            prepared.slide, prepared.grid, plan, predictor,
            log=log.file, key=key, progress=log.progress, stop=log.stop,
        )  # fmt: skip
        seconds = time.monotonic() - begun
        level = asdict(prepared.slide.levels[plan.level])
        scan = scan_of(prepared, self.asked, got, log.key, seconds, level=level)
        return Scanned(scan, got.resumed)
