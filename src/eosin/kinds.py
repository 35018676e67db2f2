"""The kinds of folders that eosin makes, and the files that belong to each.

``--force`` removes these files and no others, so a name that a user may choose does not go here.
``{name}`` in a pattern stands for the name that the folder's mark has, letter by letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from eosin.texts import from_json, read_text

#: The mark of a folder that eosin made, and the lock of whoever changes it.
MARK, LOCK = ".eosin.json", ".eosin.lock"
#: How the name of a temporary file or folder ends.
ENDING = ".partial"


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
    "MODEL_CARD.md", "roc.png", "precision_recall.png", "probabilities.png", "confusion.png",
    "cases.png", "training.png",
)  # fmt: skip

_DEMO_RUNS = ("verbatim", "article-patch-random", "article-by-case", "compact-by-case")

KINDS: dict[str, Kind] = {
    "store": Kind("a patch store", ("store.json", "patches.npy", "index.parquet")),
    "run": Kind(
        "a run",
        (
            "recipe.toml", "split.csv", "seen.parquet", "teacher.npy", "tracking.json",
            "metrics.jsonl", "resume.pt", ".resume.pt.*", "model.safetensors", "model.json",
            "fitted.json", "environment.json", "failed.json", "measured.npz", "baselines.npz",
            "plan.json", "retrain.json", "retrain.md", "compare.json", "compare.md", *_RESULTS,
        ),
        folders=("evaluation-*",),
    ),
    "evaluation": Kind(
        "an evaluation", ("model.json", "fitted.json", "environment.json", *_RESULTS)
    ),
    "export": Kind(
        "an export",
        (
            "export.json", "EXPORT_CARD.md", "seen.parquet", "model.onnx", "model-int8.onnx",
            "model.xml", "model.bin", "model-int8.xml", "model-int8.bin", "model.pt2",
        ),
        folders=("evaluation-*",),
    ),
    "study": Kind(
        "a study",
        (
            "plan.json", "split.csv", "crossval.json", "predictions.parquet", "suspects.csv",
            "suspects.png", "gap.json", "gap.png", "gap.md", "prune.json", "prune.png", "prune.md",
            "search.json", "search.journal", ".search.journal.lock", "search.db", "best.toml",
            "trials.csv", "history.png", "history.svg", "parallel.png", "parallel.svg",
            "importance.png", "importance.svg",
        ),
        folders=(
            "seed*-fold*", "seed*-patch", "seed*-case", "keep-*", "trial-*", "confirm", ".locks",
        ),
        plain_folders=(".locks",),
    ),
    "demo": Kind(
        "a demo",
        ("made-up.zip", "case.split.csv", "patch.split.csv", "patches.png", "heatmap-*.png"),
        folders=("made-up.store", "runs"),
    ),
    "runs": Kind("the runs of a demo", (), folders=_DEMO_RUNS),
    "scan": Kind(
        "a scan of a slide",
        (
            "{name}.parquet", "{name}.geojson", "{name}.tiles.geojson.gz", "{name}.json",
            "{name}.heatmap.png", "{name}.heatmap.ome.tif", "{name}.heatmap.groovy",
            "{name}.thumbnail.jpg", "{name}.heatmap.dcm", "{name}.decisions.dcm",
            "{name}.areas.dcm",
        ),
    ),
    "scans": Kind(
        "scans of slides", ("summary.csv", "summary.html", "*.failed.json"), folders=("*", ".scan"),
        plain_folders=(".scan",),
    ),
}  # fmt: skip


def matches(name: str, patterns: tuple[str, ...], own: str = "") -> bool:
    """Whether a name fits one of the patterns. own: what ``{name}`` stands for.

    >>> matches("model-int8.onnx", KINDS["export"].files), matches("a.onnx", ("model*.onnx",))
    (True, False)
    >>> matches("a[1].json", ("{name}.json",), "a[1]"), matches("b.json", ("{name}.json",), "a")
    (True, False)
    """
    return any(
        own != "" and name == pattern.replace("{name}", own)
        if "{name}" in pattern
        else fnmatchcase(name, pattern)
        for pattern in patterns
    )


def belongs(name: str, kind: str, own: str = "") -> bool:
    """Whether a file of this name belongs to a folder of this kind, a temporary one included.

    own: the name that the folder's mark has.

    >>> belongs("store.json", "store"), belongs(".store.json.17-ab.partial", "store")
    (True, True)
    >>> belongs("notes.txt", "store"), belongs(".notes.txt.17-ab.partial", "store")
    (False, False)
    """
    files = (*KINDS[kind].files, MARK, LOCK)
    if not (name.startswith(".") and name.endswith(ENDING)):
        return matches(name, files, own)
    # Of this version and of earlier ones, which had one temporary name a file.
    stem = name[1:].removesuffix(ENDING)
    return matches(stem, files, own) or matches(stem.rpartition(".")[0], files, own)


def recognize(folder: Path) -> str:
    """The kind of a folder without a mark, as earlier versions made them, by its files."""
    if _json(folder / "store.json").get("format") and (folder / "patches.npy").is_file():
        return "store"
    if _is_run(folder):
        return "run"
    if _json(folder / "export.json").get("exported_with"):
        return "export"
    if _json(folder / "plan.json").get("study"):
        return "study"
    if _json(folder / "evaluation.json").get("intended_use"):
        return "evaluation"
    if (folder / "made-up.zip").is_file() and (folder / "made-up.store").is_dir():
        return "demo"
    return "runs" if any(_is_run(folder / name) for name in _DEMO_RUNS) else ""


def _is_run(folder: Path) -> bool:
    return "eosin" in _json(folder / "environment.json") and (folder / "recipe.toml").is_file()


def _json(path: Path) -> dict[str, Any]:
    try:
        value = from_json(read_text(path))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
