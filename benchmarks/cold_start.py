"""One patch from a cold start: `eosin predict FILE.onnx patch.png` against `import torch`.

    python benchmarks/cold_start.py
    python benchmarks/cold_start.py --model export/model.onnx --runs 5

Every turn is a fresh process, and the jobs take turns. The whole command counts: the interpreter,
eosin, ONNX Runtime, the file, one PNG image and the answer as JSON. Without ``--model`` the network
compact is exported with random weights, which take the same time as trained ones; a distance of the
out-of-scope check is not computed then. The goal is half of ``import torch``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from harness import alternate, rows_of, show, write_csv
from PIL import Image

GOAL = 0.5
PACKAGES = ("torch", "onnxruntime", "numpy", "typer")


def exported(folder: Path) -> Path:
    """The network compact with random weights as an exported file."""
    from eosin.exporting.graph import ExportGraph
    from eosin.exporting.onnx_file import make_onnx, save_onnx, trace
    from eosin.models.classifier import Classifier

    classes, size = ["negative", "positive"], (50, 50)
    graph = ExportGraph(Classifier.build("compact", classes=classes, patch_size=size)).eval()
    use = "Research and education only, not for diagnosis."
    facts = {"format": 1, "kind": "fp32", "classes": classes, "patch_size": size}
    facts["facts"] = {"architecture": "compact"}
    path = folder / "model.onnx"
    save_onnx(make_onnx(graph, trace(graph)), path, facts | {"intended_use": use})
    return path


def run(arguments: list[str]) -> None:
    """One fresh process."""
    subprocess.run(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def main() -> None:
    """Measure, print, and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="an exported file")
    parser.add_argument("--runs", type=int, default=11)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = words.model or exported(folder)
        pixels = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "patch.png")
        predict = ["-m", "eosin", "predict", str(model), str(folder / "patch.png"), "--json"]
        jobs = {
            "python -c 'import torch'": ["-c", "import torch"],
            "eosin predict FILE.onnx patch.png --json": predict,
            "python -c 'import onnxruntime'": ["-c", "import onnxruntime"],
            "python (nothing)": ["-c", ""],
        }
        times = alternate({job: partial(run, given) for job, given in jobs.items()},
                          repeats=words.runs)  # fmt: skip
    rows = rows_of(times)
    show(rows, "one patch from a cold start")
    share = rows[1]["median_s"] / rows[0]["median_s"]
    verdict = "within" if share <= GOAL else "ABOVE"
    print(f"{share:.2f} of `import torch`, {verdict} the goal of {GOAL}")
    write_csv("cold-start", rows, packages=PACKAGES)


if __name__ == "__main__":
    main()
