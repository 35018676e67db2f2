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
failed.json            why training failed, until it is resumed
=====================  ==============================================================

Any run can be reproduced from its folder and the store. `eosin.kinds` lists all files.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eosin import __version__
from eosin.config import Recipe, read_recipe
from eosin.cores import processor, usable_cores
from eosin.disks import writing
from eosin.errors import RunError
from eosin.folders import Inputs, check_target, kind_of, make_folder, whole_file
from eosin.kinds import KINDS
from eosin.records.environment import RunEnvironment
from eosin.records.record import first_problem
from eosin.texts import from_json, read_text

_PACKAGES = (
    "torch", "numpy", "opencv-python-headless", "scikit-learn", "polars", "safetensors", "captum",
)  # fmt: skip
_RIGHT_ONE = "give the folder that eosin train made (-o RUN), or make it again"


class RunFolder:
    """Paths and plain files of one run; the model itself is read by `models.classifier`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunFolder(Path(folder) / "run")
    ...     _ = run.create()
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
            kind = kind_of(run.path)
            what = f"is {KINDS[kind].name}" if kind and kind != "run" else "has no recipe.toml"
            raise RunError(f"{run.path} is not a run folder ({what}); {_RIGHT_ONE}")
        return run

    def check(self, *, force: bool = False, inputs: Inputs | None = None) -> None:
        """Raise UserError where the folder may not be made, before anything is touched."""
        check_target(self.path, "run", force=force, inputs=inputs, resume=self.resume_command)

    def create(self, *, force: bool = False, inputs: Inputs | None = None) -> list[str]:
        """Make the folder; returns the names that were there and are kept.

        force, inputs and errors: as ``folders.make_folder``.
        """
        return make_folder(self.path, "run", force=force, inputs=inputs, resume=self.resume_command)

    @property
    def resume_command(self) -> str:
        """The command that resumes the training of this run, or "" where there is nothing to do."""
        if self.finished or not (self / "resume.pt").exists():
            return ""
        return f"eosin train --resume {shlex.quote(str(self.path))}"

    @property
    def finished(self) -> bool:
        """Whether training has finished and the model is saved."""
        return (self / "model.json").is_file() and (self / "model.safetensors").is_file()

    def recipe(self) -> Recipe:
        """The recipe that the run was trained with."""
        return read_recipe(str((self / "recipe.toml").resolve()))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON object of the run; raises RunError where it is missing or damaged."""
        try:
            data = from_json(read_text(self / name))
        except FileNotFoundError:
            raise RunError(
                f"{self.path} has no {name}, so it is no complete folder of eosin; {_RIGHT_ONE}"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self / name} cannot be read ({error})") from None
        if not isinstance(data, dict):
            raise RunError(f"{self / name} does not contain a JSON object")
        return data

    def read_environment(self) -> dict[str, Any]:
        """environment.json; RunError where it is damaged, or does not record the run's store."""
        data = self.read_json("environment.json")
        try:
            store = RunEnvironment.model_validate(data).store
        except ValidationError as error:
            raise RunError(
                f"{self / 'environment.json'} is damaged ({first_problem(error)})"
            ) from None
        if not (store.path and store.digest):
            raise RunError(f"{self / 'environment.json'} does not record its store")
        return {"fold": None, "marks": [], **data}

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a JSON object, complete or not at all; NaN and infinities become null."""
        self.write_text(name, json.dumps(finite(dict(data)), indent=1, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, complete or not at all."""
        with whole_file(self / name) as temporary:
            temporary.write_text(text, "utf-8")

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; a last line cut short by a crash is left out."""
        path = self / "metrics.jsonl"
        try:
            lines = read_text(path).splitlines() if path.exists() else []
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read ({error})") from None
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                row = from_json(line)
            except ValueError:
                if number < len(lines):
                    raise RunError(f"{path}, line {number}: not JSON") from None
                continue
            if not isinstance(row, dict):
                raise RunError(f"{path} has lines that are not JSON objects (line {number})")
            rows.append(row)
        return rows

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl."""
        path = self / "metrics.jsonl"
        with writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(finite(dict(row)), ensure_ascii=False) + "\n")

    def keep_metrics(self, rows: int) -> None:
        """Cut metrics.jsonl to its first rows: those of the last checkpoint."""
        kept = [json.dumps(row, ensure_ascii=False) + "\n" for row in self.metrics()[:rows]]
        self.write_text("metrics.jsonl", "".join(kept))


def recorded_path(path: str | os.PathLike[str], folder: Path) -> dict[str, str]:
    """A path as a file in ``folder`` records it: absolute, and relative to the folder.

    >>> recorded_path("/data/a.store", Path("/data/runs/a"))
    {'path': '/data/a.store', 'relative': '../../a.store'}
    """
    place = Path(path).resolve()
    try:
        relative = Path(os.path.relpath(place, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return {"path": str(place)}
    return {"path": str(place), "relative": relative}


def recorded_places(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Where what ``recorded_path`` recorded may be now, even if all was moved together.

    >>> record = {"path": "/gone/a.store", "relative": "../../a.store"}
    >>> [str(place) for place in recorded_places(record, Path("/new/runs/a"))]
    ['/gone/a.store', '/new/a.store']
    """
    places = [Path(str(record["path"]))]
    if relative := record.get("relative"):
        places.append(Path(os.path.normpath(folder.resolve() / str(relative))))
    return list(dict.fromkeys(places))


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Name -> version of those packages that are installed; none of them is loaded."""
    versions = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def environment() -> dict[str, Any]:
    """Versions and machine, for reproducing a run; loads no library."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "eosin": __version__,
        "python": platform.python_version(),
        "packages": dict.fromkeys(_PACKAGES, "not installed") | installed(_PACKAGES),
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": processor()[0] or platform.processor() or platform.machine(),
            "cores": usable_cores()[0],
        },
        # Quoted, so that it can be pasted back into a shell.
        "command": shlex.join(["eosin", *sys.argv[1:]]),
    }


def flattened(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, with keys joined by dots.

    >>> flattened({"epochs": 3, "arguments": {"width": 8}})
    {'epochs': 3, 'arguments.width': 8}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{above}{key}"
        flat |= flattened(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def finite(value: Any) -> Any:
    """The same value with NaN and infinities replaced by None, as JSON has neither.

    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
