"""RunFolder: what a training run leaves behind, by file name.

=====================  ==============================================================
recipe.toml            the recipe, complete
split.csv              which patches were train, val and test
seen.parquet           case, pixel digest, part of every patch learned from, in earlier runs too
teacher.npy            a teacher's answers for the training patches (only with --teacher)
tracking.json          what trackers call this run (only with --track)
metrics.jsonl          one line an epoch
resume.pt              the state after the last checkpoint (read with weights_only)
model.safetensors      the weights; there only when training has finished
model.json             architecture, classes, patch size, mpp, scaling, threshold, digests, marks
predictions.parquet    probabilities of the validation and test patches
evaluation.json        the figures
environment.json       versions, machine, store, command
failed.json            why training failed, until it goes on
=====================  ==============================================================

Any run can be reproduced from its folder and the store.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eosin import __version__
from eosin.config import Recipe, read_recipe
from eosin.cores import processor, usable_cores
from eosin.errors import RunError
from eosin.files import whole


class RunFolder:
    """Paths and plain files of one run; the model itself is read by `models.classifier`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunFolder(Path(folder) / "run")
    ...     run.create()
    ...     run.append_metrics({"epoch": 1, "loss": 0.5})
    ...     run.metrics()
    [{'epoch': 1, 'loss': 0.5}]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """An existing run; raises RunError where there is none."""
        run = cls(path)
        if not run.path.is_dir():
            raise RunError(
                f"{run.path}: no such run folder; make one with: eosin train STORE -o RUN"
            )
        if not (run / "recipe.toml").is_file():
            raise RunError(f"{run.path} is not a run folder (it has no recipe.toml)")
        return run

    def create(self) -> None:
        """Make the folder; raises RunError where something is there already."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            hint = (
                f"go on with: eosin train --resume {self.path}"
                if (self / "resume.pt").exists() and not self.finished
                else "choose another name or say --force"
            )
            raise RunError(f"{self.path} exists already; {hint}")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path} cannot be made ({error})") from None

    @property
    def finished(self) -> bool:
        """Whether training came to its end and the model was saved."""
        return (self / "model.json").is_file() and (self / "model.safetensors").is_file()

    def recipe(self) -> Recipe:
        """The recipe that the run was trained with."""
        return read_recipe(str((self / "recipe.toml").resolve()))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON object of the run; raises RunError where it is missing or damaged."""
        try:
            data = json.loads((self / name).read_text("utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path} has no {name}") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self / name} cannot be read ({error})") from None
        if not isinstance(data, dict):
            raise RunError(f"{self / name} holds no JSON object")
        return data

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a JSON object, whole or not at all; NaN and infinities become null."""
        self.write_text(name, json.dumps(_finite(dict(data)), indent=1, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, whole or not at all."""
        with whole(self / name) as temporary:
            temporary.write_text(text, "utf-8")

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; a last line cut short by a crash is left out."""
        path = self / "metrics.jsonl"
        if not path.exists():
            return []
        rows = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                rows.append(json.loads(line))
            except ValueError:
                if number == len(path.read_text("utf-8").splitlines()):
                    break
                raise RunError(f"{path}, line {number}: not JSON") from None
        return rows

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl."""
        with open(self / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(dict(row)), ensure_ascii=False) + "\n")

    def keep_metrics(self, rows: int) -> None:
        """Cut metrics.jsonl to its first rows: what a checkpoint knows of."""
        kept = self.metrics()[:rows]
        self.write_text(
            "metrics.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        )


def environment() -> dict[str, Any]:
    """Versions and machine, for reproducing a run; loads no library."""
    packages = {}
    for name in (
        "torch",
        "numpy",
        "opencv-python-headless",
        "scikit-learn",
        "polars",
        "safetensors",
        "captum",
    ):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "eosin": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": processor()[0] or platform.processor() or platform.machine(),
            "cores": usable_cores()[0],
        },
        "command": " ".join(["eosin", *sys.argv[1:]]),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
