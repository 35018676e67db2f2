"""Made-up scans of a made-up slide: no file, no model."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.records.decision import Decision
from eosin.records.points import Band, OperatingPoint
from eosin.scanning.scan import Grid, Scan
from eosin.slides.slide import Box, Level, Scale, SlideInfo
from eosin.slides.tissue import GLASS, TISSUE, Tissue

HALF = Scale(0.5, 0.5, "made up")
AROUND = Band(0.4, 0.6)


class FakeSlide:
    """The facts of a slide, without pixels."""

    def __init__(
        self, name: str = "slide.svs", size: tuple[int, int] = (4000, 3000),
        scale: Scale | None = HALF, bounds: Box | None = None,
    ) -> None:  # fmt: skip
        self.path = Path("/somewhere/private") / name
        self.reader = "fake 1.0"
        self.width_px, self.height_px = size
        self.levels = (Level(*size),)
        self.scale = scale
        self.bounds = bounds or Box(0, 0, *size)
        self.info = SlideInfo("made up", notes=("a note of the slide",))

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Any:
        raise AssertionError("the files of a scan read nothing")

    def associated(self, name: str) -> Any:
        raise AssertionError("labels are not written")

    def close(self) -> None:
        pass


def two_classes(band: Band | None = AROUND, scope: float | None = 2.0) -> Decision:
    return Decision(
        ("benign", "tumor"), OperatingPoint("balanced", 0.5, "best", band=band), scope_limit=scope
    )


def three_classes(*names: str) -> Decision:
    point = OperatingPoint("most_probable", None, band=Band(None, 0.5))
    return Decision(names, point)


def tissue_picture(size: tuple[int, int], seed: int = 1) -> np.ndarray:
    """A blob of stained tissue on glass: uint8 [h, w, 3]."""
    import cv2

    width, height = size
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 4)
    noise /= noise.std()
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x / width - 0.5) / 0.42) ** 2 + ((y / height - 0.5) / 0.4) ** 2 + 0.12 * noise < 1
    out = np.full((height, width, 3), 255.0)
    stain = np.array([205, 140, 190]) + noise[..., None] * np.array([22, 30, 16])
    out[inside] = stain[inside]
    return np.clip(out, 0, 255).astype(np.uint8)


@pytest.fixture
def make_scan() -> Callable[..., Scan]:
    """A scan with chosen probabilities: ``cells`` maps (column, row) to them.

    slide: arguments of FakeSlide; classes: more than two, without a check of the scope.
    """

    def make(
        cells: dict[tuple[int, int], Any],
        *,
        slide: dict[str, Any] | None = None,
        decision: Decision | None = None,
        classes: tuple[str, ...] = (),
        step: Fraction | int | tuple[Fraction, Fraction] = 200,
        field: Fraction | int | tuple[Fraction, Fraction] | None = None,
        distances: dict[tuple[int, int], float] | None = None,
        **settings: Any,
    ) -> Scan:
        slide = FakeSlide(**slide or {})
        decision = decision or (three_classes(*classes) if classes else two_classes())
        steps = step if isinstance(step, tuple) else (Fraction(step), Fraction(step))
        fields = steps if field is None else field
        fields = fields if isinstance(fields, tuple) else (Fraction(fields), Fraction(fields))
        bounds = slide.bounds
        places = sorted(cells, key=lambda cell: (cell[1], cell[0]))
        values = [
            (1 - cells[p], cells[p]) if len(decision.classes) == 2 else cells[p] for p in places
        ]
        far = None
        if distances is not None:
            far = np.array([distances.get(place, 1.0) for place in places], np.float32)
        grid = Grid(
            origin_px=(bounds.x, bounds.y),
            step_px=steps,
            field_px=fields,
            columns=-(-bounds.width // int(steps[0])),
            rows=-(-bounds.height // int(steps[1])),
            column=np.array([p[0] for p in places], np.int64),
            row=np.array([p[1] for p in places], np.int64),
            patch_px=(50, 50),
            mpp=None if slide.scale is None else 4.0,
        )
        less = max(10, max(slide.width_px, slide.height_px) / 2400)
        thumbnail = tissue_picture((int(slide.width_px / less), int(slide.height_px / less)))
        labels = np.where((thumbnail < 240).any(axis=2), TISSUE, GLASS).astype(np.uint8)
        mpp = None if slide.scale is None else (less * slide.scale.x_um, less * slide.scale.y_um)
        return Scan(
            slide=slide,  # type: ignore[arg-type]
            grid=grid,
            decision=decision,
            probabilities=np.array(values, np.float32).reshape(-1, len(decision.classes)),
            distances=far,
            tissue=Tissue(labels, mpp, "made up"),
            thumbnail=thumbnail,
            settings={"model": {"digest": "0f"}, **settings},
        )

    return make


@pytest.fixture
def tumor(make_scan: Callable[..., Scan]) -> Callable[..., Scan]:
    """A large slide with a tumor, referred patches around it and an artifact out of scope."""

    def make(size: tuple[int, int] = (24_000, 18_000), step: int = 400, **more: Any) -> Scan:
        rng = np.random.default_rng(3)
        facts = {"size": size, **more.pop("slide", {})}
        bounds = facts.get("bounds") or Box(0, 0, *size)
        picture = tissue_picture((size[0] // 10, size[1] // 10))
        cells, distances = {}, {}
        for row in range(bounds.height // step):
            for column in range(bounds.width // step):
                x, y = bounds.x + (column + 0.5) * step, bounds.y + (row + 0.5) * step
                if (picture[int(y / 10), int(x / 10)] > 240).all():
                    continue
                u, v = (x - bounds.x) / bounds.width, (y - bounds.y) / bounds.height
                far = min(np.hypot((u - 0.4) * 1.3, v - 0.45), 0.08 + np.hypot(u - 0.7, v - 0.62))
                value = 1 / (1 + np.exp((far - 0.17) * 30 + rng.normal() * 0.8))
                cells[column, row] = float(np.clip(value, 0.01, 0.99))
                distances[column, row] = 3.0 if np.hypot(u - 0.55, v - 0.2) < 0.06 else 1.0
        return make_scan(cells, slide=facts, step=step, distances=distances, **more)

    return make
