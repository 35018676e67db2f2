"""The content of a data card: counted from the store, or stated by its owner, never guessed.

The questions are those of Gebru et al. 2021, "Datasheets for Datasets", Communications of the ACM
64(12), and of Pushkarna et al. 2022, "Data Cards", FAccT, as far as a store can answer them; what
only the owner knows is asked for.
"""

from __future__ import annotations

import datetime
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from eosin import __version__
from eosin.data.grid import positions
from eosin.data.overview import CaseCounts, case_counts, edge_patches, quantiles
from eosin.data.published import published_cases
from eosin.data.store import PatchStore
from eosin.errors import UserError, closest
from eosin.evaluation.intervals import MIN_PATCHES
from eosin.sources.layouts import LAYOUTS
from eosin.splitting.audit import audit
from eosin.splitting.split_file import Split
from eosin.texts import from_toml

FORMAT = 1
_TEXTS = tomllib.loads(resources.files(__package__).joinpath("statements.toml").read_text("utf-8"))
#: What only the owner of the data can state -> the question.
QUESTIONS: dict[str, str] = _TEXTS["questions"]
#: What is known of the Kaggle archive breast-histopathology-images, with its sources.
ARCHIVE: dict[str, Any] = _TEXTS["archive"]
#: Below so many cases a measurement says little, and below so many it is still coarse.
VERY_FEW_CASES, FEW_CASES = 10, 50
_NAMED = 10


def read_statements(path: Path) -> dict[str, str]:
    """What the owner states, from a TOML file with keys of ``QUESTIONS``.

    Raises UserError where it cannot be read, or a key is unknown or has no text.
    """
    try:
        statements = from_toml(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of statements about the data") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as TOML ({error})") from None
    return checked_statements(statements, str(path))


def checked_statements(stated: Mapping[str, Any], origin: str) -> dict[str, str]:
    """Statements with known keys and some text; empty ones are left out.

    >>> checked_statements({"origin": " Lab A ", "contact": ""}, "card.toml")
    {'origin': 'Lab A'}
    """
    statements = {}
    for key, value in stated.items():
        if key not in QUESTIONS:
            raise UserError(f"{origin}: unknown key {key!r}; {closest(key, QUESTIONS)}")
        if not isinstance(value, str):
            raise UserError(f"{origin}: {key} must be text, not {type(value).__name__}")
        if value.strip():
            statements[key] = " ".join(value.split())
    return statements


def card_facts(
    store: PatchStore,
    stated: Mapping[str, str],
    *,
    split: Split | None = None,
    split_name: str = "",
) -> dict[str, Any]:
    """Everything in the card, as plain values.

    stated: the owner's statements, by the keys of ``QUESTIONS``; split: audited where it is given.
    """
    info = store.info
    counts = case_counts(store)
    archive = recognized(store, counts)
    known = {key: ARCHIVE[key] for key in QUESTIONS if key in ARCHIVE} if archive else {}
    statements = {
        key: {
            "text": stated.get(key) or known.get(key),
            "by": "owner" if stated.get(key) else "published" if known.get(key) else None,
        }
        for key in QUESTIONS
    }
    height, width = store.patch_size
    edges = edge_patches(store)
    layout = str(info.get("layout", "unknown"))
    return {
        "format": FORMAT,
        "eosin": __version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "store": {"path": str(store.path), "name": store.path.resolve().name,
                  "digest": store.digest},
        "layout": layout,
        "layout_about": LAYOUTS[layout].about if layout in LAYOUTS else None,
        "source": info.get("source"),
        "made_up": store.made_up,
        "archive": archive,
        "statements": statements,
        "missing": [key for key, each in statements.items() if each["text"] is None],
        "patches": len(store),
        "patch_px": [width, height],
        "mpp": store.mpp,
        "patch_um": None if store.mpp is None else [width * store.mpp, height * store.mpp],
        "placed": int(positions(store)[2].sum()),
        "classes": _classes(store),
        "parts": _counted(store, "part"),
        "subtypes": _counted(store, "subtype"),
        "cases": _cases(store, counts),
        "preparation": {
            "fit": info.get("fit"),
            "edge_patches": edges,
            "edge_share": edges / len(store) if len(store) else None,
            **{key: info.get(key, 0) for key in ("nested_copies", "nested_differing")},
            "repeated_pixels": info.get("duplicates", 0),
            "label_conflicts": (info.get("conflicts") or {}).get("count", 0),
            "rejects": info.get("rejects_count", 0),
            "reject_reasons": dict(info.get("reject_reasons") or {}),
            **{key: info.get(key, 0) for key in ("ignored", "excluded")},
            "notes": [str(note) for note in info.get("notes") or []],
        },
        "split": None if split is None else _split(store, split, split_name),
        "intended_use": "Research and education only, not for diagnosis.",
    }  # fmt: skip


def recognized(store: PatchStore, counts: Sequence[CaseCounts]) -> dict[str, Any] | None:
    """What part of the public Kaggle archive a store is; None where it is not of that archive.

    It is taken to be of it where the layout is the archive's and every case is one of its cases.
    """
    listed = {
        each.case: (each.n_negative, each.n_positive)
        for each in published_cases()
        if each.n_negative is not None
    }
    of_archive = store.info.get("layout") == "idc" and not store.made_up and counts
    if not of_archive or not all(count.case in listed for count in counts):
        return None
    return {
        **{key: ARCHIVE[key] for key in ("name", "citations")},
        "cases": len(counts),
        "of_cases": len(listed),
        "complete_cases": sum(listed[count.case] == count.counts for count in counts),
        "patches": sum(count.patches for count in counts),
        "of_patches": sum((one or 0) + (other or 0) for one, other in listed.values()),
    }


def _classes(store: PatchStore) -> list[dict[str, Any]]:
    return [
        {
            "class": name,
            "patches": int(mine.sum()),
            "share": float(mine.mean()) if len(store) else None,
            "cases": _named_cases(store, mine),
        }
        for label, name in enumerate(store.classes)
        for mine in [store.labels == label]
    ]


def _named_cases(store: PatchStore, rows: Any) -> int:
    return len(set(store.cases[rows].tolist()) - {""})


def _counted(store: PatchStore, column: str) -> dict[str, int]:
    counts = Counter(store.index[column].to_numpy().astype(str).tolist())
    return {name: counts[name] for name in sorted(counts) if name}


def _cases(store: PatchStore, counts: Sequence[CaseCounts]) -> dict[str, Any]:
    """How many, how large, how different from each other, and which are too small."""
    two = len(store.classes) == 2
    smallest = sorted(counts, key=lambda each: each.patches)
    small = [count.case for count in smallest if count.patches < MIN_PATCHES]
    lacking = [count.case for count in smallest if 0 in count.counts]
    digits = {int(count.case) for count in counts if count.case.isdecimal()}
    return {
        "count": len(counts),
        "known_for_all": store.cases_known,
        "unknown_patches": int((store.cases == "").sum()),
        "patches": quantiles([count.patches for count in counts]) if counts else None,
        "share_of": (store.classes[1] if two else "its most common class") if counts else None,
        "shares": quantiles([count.share for count in counts]) if counts else None,
        "small": {"below": MIN_PATCHES, "count": len(small), "names": small[:_NAMED]},
        "lacking_a_class": {"count": len(lacking), "names": lacking[:_NAMED]},
        "without": {
            name: sum(count.counts[label] == 0 for count in counts)
            for label, name in enumerate(store.classes)
        },
        "consecutive_numbers": sum(number + 1 in digits for number in digits),
    }


def _split(store: PatchStore, split: Split, name: str) -> dict[str, Any]:
    """The parts of a split, and the result of its audit; of folds, each against the others."""
    classes = len(store.classes)
    fold = 0 if split.folds else None
    parts = [
        {
            "part": part,
            "patches": len(rows),
            "cases": _named_cases(store, rows),
            "shares": (np.bincount(store.labels[rows], minlength=classes) / len(rows)).tolist()
            if len(rows)
            else None,
        }
        for part, rows in split.parts(store, fold).items()
    ]
    return {
        "file": name,
        "scheme": split.scheme,
        "marks": list(split.marks),
        "folds": split.folds,
        "parts": parts,
        "audit": audit(store, split, fold=fold).to_dict(),
    }
