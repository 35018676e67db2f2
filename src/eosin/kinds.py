"""The kinds of folders that eosin makes, and the files that belong to each.

``--force`` removes these files and no others, so a name that a user may choose does not go here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The mark of a folder that eosin made, and the lock of whoever changes it.
MARK, LOCK = ".eosin.json", ".eosin.lock"


@dataclass(frozen=True)
class Kind:
    """What belongs to a folder of one kind, as patterns of names."""

    #: With its article, for messages.
    name: str
    files: tuple[str, ...]
    #: Folders inside that are of a kind of their own, and folders that are not.
    folders: tuple[str, ...] = ()
    plain_folders: tuple[str, ...] = ()


_RESULTS = (
    "evaluation.json", "predictions.parquet", "suspects.csv", "report.html", "report.pdf",
    "MODEL_CARD.md", "confusion.png", "curves.png", "calibration.png", "training.png",
)  # fmt: skip

KINDS: dict[str, Kind] = {
    "store": Kind("a patch store", ("store.json", "patches.npy", "index.parquet")),
    "run": Kind(
        "a run",
        (
            "recipe.toml", "split.csv", "seen.parquet", "teacher.npy", "tracking.json",
            "metrics.jsonl", "resume.pt", "model.safetensors", "model.json", "fitted.json",
            "environment.json", "failed.json", *_RESULTS,
        ),
        folders=("evaluation-*",),
    ),
    "evaluation": Kind(
        "an evaluation", ("model.json", "fitted.json", "environment.json", *_RESULTS)
    ),
    "export": Kind(
        "an export",
        ("export.json", "EXPORT_CARD.md", "seen.parquet", "model*.onnx", "model*.xml",
         "model*.bin", "model.pt2"),
        folders=("evaluation-*",),
    ),
    "study": Kind("a study", ("plan.json",)),
}  # fmt: skip


def recognize(folder: Path) -> str:
    """The kind of a folder without a mark, as earlier versions made them, by what its files say."""
    if _json(folder / "store.json").get("format") and (folder / "patches.npy").is_file():
        return "store"
    environment = _json(folder / "environment.json")
    if "eosin" in environment and (folder / "recipe.toml").is_file():
        return "run"
    if _json(folder / "export.json").get("exported_with"):
        return "export"
    if _json(folder / "plan.json").get("study"):
        return "study"
    if _json(folder / "evaluation.json").get("intended_use"):
        return "evaluation"
    return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
