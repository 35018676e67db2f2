"""Five ways to find tissue, compared on made-up slides with known truth and on real slides.

    python benchmarks/tissue.py                 # about a minute
    python benchmarks/tissue.py --short         # some seconds, without real slides

Every way gives a mask at 8 micrometers a pixel that is cleaned alike (gaps closed, holes filled,
specks removed), so only the measure and its threshold differ:

- gray: Otsu's threshold of the gray value;
- saturation: Otsu's threshold of HSV saturation after a median of 7 pixels, as CLAM has it;
- entropy: Otsu's threshold of the local entropy of the gray value (a window of 5 pixels);
- density: Otsu's threshold of the largest optical density;
- eosin: the spread of optical densities against the slide's own glass, Otsu's threshold within
  limits: what `eosin tissue` does.

Made-up slides (truth: the drawn section, fat included): as drawn, pale (all stain at a fifth), and
on pink glass. Real ones: CMU-1-Small-Region with places marked by eye, and the five complete cases
of the IDC sample, whose patches a laboratory chose as tissue: the share of patches of which at
least a quarter is found. Then flaws: what is found of those drawn on made-up slides, and what is
flagged on real ones. Prints tables and writes benchmarks/results/tissue-*.csv.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from harness import SAMPLE, Row, show, write_csv

from eosin.data.mosaic import mosaic_image
from eosin.data.pack import pack
from eosin.slides.find import (
    TissueSettings,
    density,
    disk,
    filled,
    find_tissue,
    found_in,
    without_small,
)
from eosin.slides.lowpower import LowPower
from eosin.slides.quality import flaws
from eosin.slides.tissue import BLUR, BUBBLE, FOLD, PEN
from eosin.synthetic.archive import make_case
from eosin.synthetic.sections import SCALE, draw_look, draw_plan

UM = 8.0
CASES = ("8863", "8865", "8867", "10253", "10254")
SETTINGS = TissueSettings()
#: Places of CMU-1-Small-Region marked by eye, in level-0 pixels: left, top, right, bottom.
TISSUE = {
    "dermis": (880, 1250, 1040, 2000), "epidermis": (1110, 1300, 1190, 1700),
    "thin strand": (480, 1050, 690, 1085), "loose, right": (1530, 2020, 1730, 2250),
    "top": (1010, 200, 1080, 340), "lower left": (640, 2650, 800, 2900),
}  # fmt: skip
GLASS = {
    "left": (20, 1300, 700, 2300), "right": (2010, 800, 2200, 1900),
    "top": (50, 150, 700, 900), "gray smear": (60, 970, 300, 1050),
    "lower right": (1950, 2400, 2200, 2900), "speck": (2060, 580, 2120, 640),
}  # fmt: skip


class Example(NamedTuple):
    """A slide at 8 micrometers a pixel; truth and area count are bool [h, w]."""

    name: str
    picture: LowPower
    truth: Any
    #: Where the truth is known.
    judged: Any
    fat: Any = None
    #: Boxes of patches: left, top, right, bottom in pixels of the picture.
    patches: Any = None


def main() -> None:
    """Compare the ways and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="two made-up slides alone")
    words = parser.parse_args()
    rows: list[Row] = []
    for example in examples(short=words.short):
        for way, find in WAYS.items():
            rows.append(
                {"slide": example.name, "way": way, **judged(find(example.picture), example)}
            )
    show(rows, "tissue found, shares")
    show(mean_of(rows), "means")
    flawed = [*drawn_flaws(1 if words.short else 6), *([] if words.short else real_flaws())]
    show(
        flawed,
        "flaws: share of what was drawn that is found, share of other tissue that is flagged",
    )
    rows += [{"way": "flaws", **row} for row in flawed]
    write_csv("tissue", rows, packages=("numpy", "opencv-python-headless"))


def gray(picture: LowPower) -> Any:
    return otsu(255 - cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), picture)


def saturation(picture: LowPower) -> Any:
    hsv = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2HSV)
    return otsu(cv2.medianBlur(np.ascontiguousarray(hsv[..., 1]), 7), picture)


def entropy(picture: LowPower) -> Any:
    levels = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY) >> 3
    total = np.zeros(levels.shape, np.float32)
    for level in range(32):
        share = cv2.blur((levels == level).astype(np.float32), (5, 5))
        total -= share * np.log2(np.maximum(share, 1e-6))
    return otsu((total / total.max() * 255).astype(np.uint8), picture)


def largest_density(picture: LowPower) -> Any:
    most = np.minimum(density(picture).max(axis=0), 1.5)
    return otsu((most / 1.5 * 255).astype(np.uint8), picture)


def own(picture: LowPower) -> Any:
    return found_in(density(picture), picture.known, UM, SETTINGS) > 0


WAYS: dict[str, Callable[[LowPower], Any]] = {
    "gray": gray, "saturation": saturation, "entropy": entropy, "density": largest_density,
    "eosin": own,
}  # fmt: skip


def otsu(values: Any, picture: LowPower) -> Any:
    """What is above Otsu's threshold, cleaned as eosin cleans it: bool [h, w]."""
    known = np.ascontiguousarray(values[picture.known].reshape(-1, 1))
    limit = cv2.threshold(known, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    mask = ((values > limit) & picture.known).astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disk(SETTINGS.gap_um / 2, UM)).view(bool)
    mask = without_small(closed, min(SETTINGS.speck_um2 / UM**2, closed.size / 100))
    return filled(mask, SETTINGS.hole_um2 / UM**2) & picture.known


def judged(mask: Any, example: Example) -> Row:
    """How a mask agrees with the truth."""
    place, truth = example.judged, example.truth
    found, right = mask[place], truth[place]
    row: Row = {
        "dice": round(float(2 * (found & right).sum() / max(1, found.sum() + right.sum())), 4)
    }
    row["found"] = round(float(found[right].mean()), 4) if right.any() else ""
    row["glass_called_tissue"] = round(float(found[~right].mean()), 4) if (~right).any() else ""
    fat = example.fat
    row["fat_found"] = round(float(mask[fat].mean()), 4) if fat is not None and fat.any() else ""
    row["patches_found"] = ""
    if example.patches is not None:
        row["dice"] = ""
        shares = [mask[y0:y1, x0:x1].mean() for x0, y0, x1, y1 in example.patches]
        row["patches_found"] = round(float((np.array(shares) >= 0.25).mean()), 4)
    return row


def mean_of(rows: list[Row]) -> list[Row]:
    """The mean of each figure over the slides of a kind, by way."""
    kinds = list(dict.fromkeys(row["slide"].partition(" ")[0] for row in rows))
    means = []
    for kind in kinds:
        for way in WAYS:
            own_ = [r for r in rows if r["way"] == way and r["slide"].partition(" ")[0] == kind]
            row: Row = {"slides": kind, "way": way}
            for name in ("dice", "found", "glass_called_tissue", "fat_found", "patches_found"):
                values = [r[name] for r in own_ if r[name] != ""]
                row[name] = round(float(np.mean(values)), 4) if values else ""
            means.append(row)
    return means


def examples(*, short: bool) -> Iterator[Example]:
    for k in range(1 if short else 6):
        yield from made_up(k)
    data = SAMPLE.parent
    if not short and SAMPLE.is_file():
        yield from published(SAMPLE)
        yield by_eye(data / "wsi" / "CMU-1-Small-Region.svs")


def made_up(k: int) -> Iterator[Example]:
    """A case as it is drawn, pale, and on pink glass; at 4 micrometers, reduced to 8."""
    case, width, height = str(90001 + k), 1000, 800
    drawn = make_case(case, 0, width_px=width, height_px=height)
    rng = np.random.default_rng([0, int.from_bytes(case.encode()), 1])
    look = draw_look(rng)
    burden = 0.01 + 0.8 * rng.random() ** 1.9
    plan = draw_plan(rng, (height * SCALE, width * SCALE), look, burden, False)
    truth, fat = (_half(m, width, height) for m in (plan.tissue, plan.fat))
    light = look.light[None, None]
    absorbed = np.log(light / np.maximum(drawn.image.astype(np.float32), 1))
    pink = np.array((246, 228, 238), np.float32)
    looks = {
        "drawn": drawn.image, "pale": _noisy(light * np.exp(-0.2 * absorbed)),
        "pink": _noisy(pink * np.exp(-absorbed)),
    }  # fmt: skip
    for name, image in looks.items():
        small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        known = np.ones(small.shape[:2], bool)
        picture = LowPower(np.asarray(small, np.uint8), known, (UM, UM))
        yield Example(f"{name} {case}", picture, truth, known, fat)


def _noisy(image: Any) -> Any:
    noise = np.random.default_rng(7).normal(0, 2, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def _half(mask: Any, width: int, height: int) -> Any:
    size = (width // 2, height // 2)
    return cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127


def published(source: Path) -> Iterator[Example]:
    """The complete cases of the IDC sample, at 4 micrometers, reduced to 8."""
    with tempfile.TemporaryDirectory() as folder:
        include = [f"*{case}_idx5*" for case in CASES]
        store = pack(source, Path(folder) / "s.store", include=include)
        for case in CASES:
            mosaic = mosaic_image(store, np.flatnonzero(store.cases == case), max_px=1 << 28)
            height, width = (side // 2 * 2 for side in mosaic.image.shape[:2])
            known = np.zeros(mosaic.image.shape[:2], np.uint8)
            for x0, y0, x1, y1 in mosaic.boxes:
                known[y0:y1, x0:x1] = 255
            size = (width // 2, height // 2)
            pixels = cv2.resize(mosaic.image[:height, :width], size, interpolation=cv2.INTER_AREA)
            there = cv2.resize(known[:height, :width], size, interpolation=cv2.INTER_AREA) > 127
            pixels[~there] = 255
            picture = LowPower(np.asarray(pixels, np.uint8), there, (UM, UM))
            boxes = np.clip(mosaic.boxes // 2, 0, [*size, *size])
            boxes = boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
            # No pixel is known to be tissue; patches are.
            none = np.zeros_like(there)
            yield Example(f"IDC {case}", picture, none, none, patches=boxes)


def by_eye(path: Path) -> Example:
    """CMU-1-Small-Region with places marked by eye."""
    from eosin.slides.lowpower import low_power
    from eosin.slides.opening import open_slide

    slide = open_slide(path)
    picture = low_power(slide, UM)
    height, width = picture.known.shape
    truth, place = np.zeros((height, width), bool), np.zeros((height, width), bool)
    for boxes, value in ((TISSUE, True), (GLASS, False)):
        for x0, y0, x1, y1 in boxes.values():
            xs = [round(x * width / slide.width_px) for x in (x0, x1)]
            ys = [round(y * height / slide.height_px) for y in (y0, y1)]
            truth[ys[0] : ys[1], xs[0] : xs[1]] = value
            place[ys[0] : ys[1], xs[0] : xs[1]] = True
    slide.close()
    return Example("CMU CMU-1-Small-Region", picture, truth, place)


#: Ink as it is drawn, over glass and tissue.
INKS = {
    "blue ink": (30, 60, 170), "green ink": (20, 130, 60), "black ink": (25, 25, 28),
    "red ink": (200, 30, 50),
}  # fmt: skip


def drawn_flaws(count: int) -> Iterator[Row]:
    """Flaws drawn on made-up cases, one kind at a time: what is found of each, and beside it."""
    for kind in (*INKS, "fold", "bubble", "none"):
        found, beside = [], []
        for k in range(count):
            image = make_case(str(90001 + k), 0).image.copy()
            place = np.zeros(image.shape[:2], np.uint8)
            shift = 30 * k
            if kind in INKS:
                cv2.line(place, (100 + shift, 20), (400 + shift, 700), 1, 14)
                image[place > 0] = INKS[kind]
            elif kind == "fold":
                points = np.array([[450 + shift, 250], [560 + shift, 420], [570 + shift, 600]])
                cv2.polylines(place, [points], False, 1, 14)
                # Light passes through two layers.
                twice = image[place > 0].astype(np.float32) ** 2 / 245
                image[place > 0] = np.clip(twice, 0, 255).astype(np.uint8)
            elif kind == "bubble":
                center = (300 + 2 * shift, 400)
                cv2.circle(place, center, 60, 1, -1)
                cv2.circle(image, center, 60, (90, 92, 95), 3)
            small = cv2.resize(image, (500, 400), interpolation=cv2.INTER_AREA)
            labels = flagged(LowPower(np.asarray(small, np.uint8), np.ones((400, 500), bool), None))
            wanted = {"fold": FOLD, "bubble": BUBBLE}.get(kind, PEN)
            truth = _half(place, 1000, 800)
            near = cv2.dilate(truth.astype(np.uint8), disk(48, UM)) > 0
            found.append((labels[truth] == wanted).mean() if kind != "none" else np.nan)
            other = (labels > 0) & ~near
            beside.append((labels[other] > 1).mean())
        share = "" if kind == "none" else round(float(np.mean(found)), 4)
        yield {"flaw": kind, "slide": f"{count} made-up", "found": share,
               "other_tissue_flagged": round(float(np.mean(beside)), 5)}  # fmt: skip


def flagged(picture: LowPower) -> Any:
    """The numbers of a mask at 8 micrometers a pixel, with flaws but sharpness."""
    absorbed = density(picture)
    labels = found_in(absorbed, picture.known, UM, SETTINGS)
    flaws(absorbed, picture.known, labels, UM)
    return labels


def real_flaws() -> Iterator[Row]:
    """What is flagged on real slides, and of one that is blurred more and more."""
    if not SAMPLE.is_file():
        return
    for example in published(SAMPLE):
        labels = flagged(example.picture)
        for kind, number in (("pen", PEN), ("fold", FOLD), ("bubble", BUBBLE)):
            share = float((labels == number).sum() / (labels > 0).sum())
            yield {"flaw": kind, "slide": example.name, "found": "",
                   "other_tissue_flagged": round(share, 5)}  # fmt: skip
    from eosin.slides.opening import open_slide

    with tempfile.TemporaryDirectory() as folder:
        with closing(open_slide(SAMPLE.parent / "wsi" / "CMU-1-Small-Region.svs")) as slide:
            pixels = slide.region(0, 0, 0, slide.width_px, slide.height_px)[0]
            um = slide.scale.x_um
        for sigma in (0, 1, 1.5, 2, 3, 5):
            image = cv2.GaussianBlur(pixels, (0, 0), sigma / um) if sigma else pixels
            path = Path(folder) / "a.png"
            cv2.imwrite(str(path), image[..., ::-1])
            slide = open_slide(path, mpp=um)
            labels = find_tissue(slide).labels
            slide.close()
            share = float((labels == BLUR).sum() / (labels > 0).sum())
            yield {"flaw": f"blurred by {sigma} um", "slide": "CMU-1-Small-Region",
                   "found": round(share, 4), "other_tissue_flagged": ""}  # fmt: skip


if __name__ == "__main__":
    main()
