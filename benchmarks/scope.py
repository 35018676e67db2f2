"""The out-of-scope check on real patches: AUROC and share flagged, by kind of odd input.

    python benchmarks/scope.py RUN STORE MNIST_FOLDER [--others PART]

RUN is an evaluated run of STORE (so the check is fitted on its training patches and its threshold
on its validation patches). In scope: the store's patches that are in no part of the split, or those
of ``--others`` test or val. Prints a table and writes benchmarks/results/scope-<processor>.csv.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
from pathlib import Path

import cv2
import numpy as np

from eosin.data.store import PatchStore
from eosin.inference.scope import probes
from eosin.inference.torch_predictor import load_run
from eosin.memory import keep_freed_memory
from eosin.runs import environment
from eosin.training.session import reopen
from eosin.trust.scope import measure_scope

RESULTS = Path(__file__).parent / "results"


def mnist(folder: Path, height: int, width: int) -> np.ndarray:
    """The first 2,000 test digits as patches, uint8 [2000, H, W, 3]."""
    path = next(folder.glob("t10k-images*"))
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    # IDX: a header of 16 bytes, then one byte a pixel.
    images = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)[:2000]
    sized = [cv2.resize(image, (width, height)) for image in images]
    return np.repeat(np.asarray(sized, np.uint8)[..., None], 3, axis=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--others", choices=["out", "val", "test"], default="out")
    parser.add_argument("--most", type=int, default=2000)
    wanted = parser.parse_args()

    store = PatchStore.open(wanted.store)
    parts = reopen(wanted.run, str(wanted.store)).parts
    used = np.concatenate(list(parts.values()))
    rows = (
        np.setdiff1d(np.arange(len(store)), used)
        if wanted.others == "out"
        else parts[wanted.others]
    )
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(rows, min(len(rows), wanted.most), replace=False))
    predictor = load_run(wanted.run)
    limit = predictor.facts.decision().scope_limit

    def distances(patches: np.ndarray) -> np.ndarray:
        return predictor.distances(predictor.read(patches, np.arange(len(patches)))[1])

    inside = np.asarray(store.patches[rows])
    height, width = store.patch_size
    made = probes(inside)
    made["digits"] = ("MNIST test digits", mnist(wanted.mnist, height, width))
    blur = [cv2.GaussianBlur(patch, (0, 0), 2) for patch in inside]
    made["blur of 2 pixels"] = ("the same patches", np.asarray(blur))
    made["white"] = ("255 everywhere", np.full((50, height, width, 3), 255, np.uint8))
    made["black"] = ("0 everywhere", np.zeros((50, height, width, 3), np.uint8))
    found = measure_scope(
        distances(inside), limit, {k: (what, distances(p)) for k, (what, p) in made.items()}
    )
    print(
        f"{len(inside)} patches of {len(set(store.cases[rows].tolist()))} cases in scope, "
        f"{found['flagged']:.2%} flagged"
    )
    for row in found["probes"]:
        print(
            f"{row['name']:18s} {row['n']:5d}  AUROC {row['auroc']:.4f}  "
            f"flagged {row['flagged']:.1%}"
        )
    machine = environment()["machine"]
    processor = re.sub(r"[^a-z0-9]+", "-", machine["processor"].lower()).strip("-")
    processor += f"-{machine['cores']}"
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"scope-{processor}.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["probe", "what", "n", "auroc", "flagged"])
        writer.writerow(["in scope", wanted.others, len(inside), "", f"{found['flagged']:.4f}"])
        for row in found["probes"]:
            writer.writerow(
                [row["name"], row["what"], row["n"], f"{row['auroc']:.4f}", f"{row['flagged']:.4f}"]
            )


if __name__ == "__main__":
    keep_freed_memory()
    main()
