"""Whole slides: how fast they are decoded, cut and scanned, beside the plain way.

    python benchmarks/slides.py --model exported/model-int8.xml --run run
    python benchmarks/slides.py --model exported/model.onnx --run run --side 8192   # shorter

A slide of --side pixels a side at 0.25 micrometers is made once, of real tissue
(CMU-1-Small-Region, mirrored), as a pyramid of JPEG tiles with levels of 1, 4 and 16, and kept in
the cache folder. Parts are timed on it and on the small slide itself: decoding alone, decoding and
cutting, the network alone on patches that are in memory, and the whole of `eosin scan`. The
reference reads each patch by itself: OpenSlide, Pillow, a DataLoader of two workers, torch eager
fp32 with the same weights (--run). It reads --plain patches evenly over the grid, and its time for
all is reckoned from them.
Every part runs in a process of its own, in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row, child, show, write_csv
from platformdirs import user_cache_path

SMALL = Path(__file__).parents[2] / "shared" / "data" / "wsi" / "CMU-1-Small-Region.svs"
TILE, MPP = 256, 0.25
PACKAGES = ("torch", "onnxruntime", "openvino", "opencv-python-headless", "openslide-bin")
PARTS = ("decode", "cut", "network", "scan", "plain", "plain level 0")


def make(path: Path, side: int) -> None:
    """A pyramid of mirrored tissue; written once, under another name until it is whole."""
    import cv2
    import openslide
    import tifffile

    with openslide.OpenSlide(str(SMALL)) as slide:
        base = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    tall, wide = base.shape[:2]
    mirrored = [np.r_[np.arange(n), np.arange(n)[::-1]] for n in (tall, wide)]

    def tiles(level: int) -> Iterator[Any]:
        step = TILE * level
        for y in range(0, side, step):
            rows = mirrored[0][np.arange(y, y + step) % (2 * tall)]
            for x in range(0, side, step):
                columns = mirrored[1][np.arange(x, x + step) % (2 * wide)]
                tile = base[rows[:, None], columns]
                if level > 1:
                    tile = cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA)
                yield tile

    temporary = path.with_suffix(".partial")
    with tifffile.TiffWriter(temporary, bigtiff=True) as file:
        for level in (1, 4, 16):
            file.write(
                tiles(level), shape=(side // level, side // level, 3), dtype=np.uint8,
                tile=(TILE, TILE), photometric="rgb", compression="jpeg",
                compressionargs={"level": 85}, metadata=None, subfiletype=int(level > 1),
                description=f"Aperio Image Library eosin benchmark|AppMag = 40|MPP = {MPP}",
            )  # fmt: skip
    temporary.replace(path)


def prepared(slide: Path, model: Path, mpp: float) -> tuple[Any, Any, Any, Any]:
    """(slide, grid, plan, predictor): what every part needs, untimed."""
    from eosin.inference.predictor import load
    from eosin.scanning.blocks import plan_of
    from eosin.scanning.grid import Lens, grid_of
    from eosin.slides.find import find_tissue
    from eosin.slides.opening import open_slide

    predictor = load(model)
    height, width = predictor.patch_size
    opened = open_slide(slide)
    grid = grid_of(opened, find_tissue(opened), Lens((width, height), mpp))
    return opened, grid, plan_of(opened, grid), predictor


def part(name: str, slide: Path, model: Path, run: Path, mpp: float, plain: int) -> Row:
    """Seconds of one part, in this process."""
    from eosin.scanning.blocks import batches, read_cells

    opened, grid, plan, predictor = prepared(slide, model, mpp)
    pixels = len(grid) * plan.across * plan.down
    row: Row = {"patches": len(grid), "level": plan.level, "megapixels": round(pixels / 1e6, 1)}
    begun = time.perf_counter()
    if name == "decode":
        from concurrent.futures import ThreadPoolExecutor

        def read(cells: Any) -> None:
            left, top = plan.left[grid.column[cells]], plan.top[grid.row[cells]]
            wide = int(left.max() - left.min()) + plan.across
            tall = int(top.max() - top.min()) + plan.down
            opened.region(plan.level, int(left.min()), int(top.min()), wide, tall)

        blocks = [plan.order[a:b] for a, b in zip(plan.blocks, plan.blocks[1:], strict=False)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(read, blocks))
    elif name == "cut":
        for _ in batches(opened, grid, plan, 512, readers=2):
            pass
    elif name == "network":
        some = plan.order[: min(len(grid), 4096)]
        patches = read_cells(opened, grid, plan, some)
        predictor.examine(patches[:512])
        begun = time.perf_counter()
        for start in range(0, len(some), 512):
            predictor.examine(patches[start : start + 512])
        row["seconds"] = (time.perf_counter() - begun) * len(grid) / len(some)
    else:
        level = 0 if name == "plain level 0" else None
        row["seconds"] = plainly(slide, run, grid, plain, mpp, level) * len(grid)
    row.setdefault("seconds", time.perf_counter() - begun)
    return row


def plainly(path: Path, run: Path, grid: Any, most: int, mpp: float, level: int | None) -> float:
    """Seconds a patch of the plain way, read at level 0 or at the level OpenSlide names best."""
    import openslide
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    from eosin.models.classifier import load_classifier

    chosen = np.unique(np.linspace(0, len(grid) - 1, most).astype(int))
    x, y = grid.corners()
    with openslide.OpenSlide(str(path)) as slide:
        factor = mpp / float(slide.properties["openslide.mpp-x"])
        best = slide.get_best_level_for_downsample(factor * 1.001) if level is None else level
        down = slide.level_downsamples[best]
    side, size = grid.patch_px[0], round(grid.patch_px[0] * factor / down)

    class Patches(Dataset):  # type: ignore[type-arg]
        slide: Any = None

        def __len__(self) -> int:
            return len(chosen)

        def __getitem__(self, k: int) -> Any:
            if self.slide is None:
                self.slide = openslide.OpenSlide(str(path))
            place = (int(x[chosen[k]]), int(y[chosen[k]]))
            patch = self.slide.read_region(place, best, (size, size)).convert("RGB")
            patch = patch.resize((side, side), Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(patch))

    network, _ = load_classifier(run)
    network.eval()
    begun = time.perf_counter()
    with torch.no_grad():
        for batch in DataLoader(Patches(), batch_size=64, num_workers=2):
            torch.softmax(network(batch), 1)
    return (time.perf_counter() - begun) / len(chosen)


def measured(name: str, slide: Path, words: argparse.Namespace, mpp: float) -> Row:
    """A part in a process of its own, with its peak memory; of a scan all of the command counts."""
    own = ["--model", words.model, "--run", words.run, "--plain", words.plain]
    named = "cut" if name == "scan" else name
    done = child([__file__, *map(str, own), "--part", named, str(slide), str(mpp)])
    row: Row = json.loads(done.stdout.splitlines()[-1])
    if name == "scan":
        with tempfile.TemporaryDirectory() as folder:
            command = ["scan", words.model, slide, "-o", folder, "--model-mpp", mpp]
            done = child(["-m", "eosin", *map(str, command)])
        row["seconds"] = done.seconds
    return row | {"peak_mb": done.peak_mib}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--side", type=int, default=40_960)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--plain", type=int, default=512, help="patches of the plain way")
    parser.add_argument("--mpp", type=float, nargs="+", default=[4.0, 1.0])
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.part:
        name, slide, mpp = words.part
        row = part(name, Path(slide), words.model, words.run, float(mpp), words.plain)
        print(json.dumps(row))
        return
    large = user_cache_path("eosin") / f"benchmark-{words.side}.tif"
    if not large.exists():
        large.parent.mkdir(parents=True, exist_ok=True)
        make(large, words.side)
    rows: list[Row] = []
    for slide in (SMALL, large):
        for mpp in words.mpp:
            for turn in range(words.turns):
                for name in words.parts:
                    row = measured(name, slide, words, mpp)
                    seconds = row.pop("seconds")
                    rows.append({
                        "slide": "small" if slide == SMALL else f"{words.side} a side",
                        "mpp": mpp, "part": name, "turn": turn, "seconds": round(seconds, 2),
                        "megapixels_s": round(row["megapixels"] / seconds, 1),
                        "patches_s": round(row["patches"] / seconds, 1), **row,
                    })  # fmt: skip
                    print(rows[-1], flush=True)
    show(rows, f"whole slides, {words.model.name}")
    write_csv(f"slides-{words.model.stem}", rows, packages=PACKAGES)


if __name__ == "__main__":
    main()
