"""The valid files that every input starts from, made once by eosin itself from made-up cases."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import forked

from hostile.pictures import picture

#: What studies do besides, so that they end in seconds.
FEW = ["--replicates", 10]
SPACE = "[learning_rate]\nlow = 1e-4\nhigh = 1e-1\nlog = true\n\n[batch_size]\nchoices = [8, 16]\n"
FACTS = 'objective = "a test"\norigin = "made up"\nlicense = "none"\nconsent = "not needed"\n'


def make(place: Path, *, short: bool = False) -> None:
    """Fill an empty folder with stores, splits, runs, exports, studies and sources.

    short: only what the short form needs, nothing that has to be trained.
    """
    log = place / "log"

    def run(*words: Any) -> None:
        forked.run(list(words), log)

    def store() -> int:
        from eosin.synthetic.archive import make_store

        return len(make_store(place / "t.store", cases=8, patches_per_case=8, size=32))

    home = os.getcwd()
    os.chdir(place)
    try:
        forked.ask(store)
        run("split", "t.store")
        (place / "card.toml").write_text(FACTS)
        forked.ask(lambda: _sources(place))
        if short:
            (place / "run").mkdir()
            recipes = Path(forked.__file__).parents[1] / "src" / "eosin" / "recipes"
            shutil.copy(recipes / "compact.toml", place / "run" / "recipe.toml")
            return
        tiny = [*forked.TINY, "--set", "epochs=1"]
        for seed, name in enumerate(("run", "other")):
            run("train", "t.store", "-o", name, *tiny, "--set", f"seed={seed}", "--no-evaluate")
            run("evaluate", name, *FEW, "--no-baselines", "--no-report")
        run("export", "run", "-o", "exported", "--onnx", "--openvino", "--torch")
        run("crossval", "t.store", "-o", "folds", "-k", 3, *tiny, *FEW)
        run("gap", "t.store", "-o", "gap", "--seeds", 1, *tiny, *FEW, "--allow-leaks")
        run("search", "t.store", "-o", "search", "-n", 2, *tiny, "--space", _text(place, SPACE))
        run("prune", "run", "-o", "pruned", "--epochs", 1, *FEW)
        run("probe", "t.store", "--encoder", "run", "-o", "probed", "--no-evaluate",
            "--embeddings", "embeddings")  # fmt: skip
    finally:
        log.unlink(missing_ok=True)
        os.chdir(home)


def _text(place: Path, text: str) -> Path:
    path = place / "space.toml"
    path.write_text(text)
    return path


def _sources(place: Path) -> int:
    import polars as pl

    rng = random.Random(0)
    rows = [
        {
            "image": picture(rng),
            "label": k % 2,
            "case": f"case{k // 4}",
        }
        for k in range(24)
    ]
    stream = io.BytesIO()
    pl.DataFrame(rows).write_parquet(stream)
    (place / "pictures").mkdir()
    for k in range(3):
        (place / "pictures" / f"{k}.png").write_bytes(picture(rng))
    (place / "images.parquet").write_bytes(stream.getvalue())
    cases = ["case,part", *(f"{90001 + k},{('train', 'val', 'test')[k % 3]}" for k in range(8))]
    (place / "parts.csv").write_text("\n".join(cases) + "\n")
    (place / "kaggle.json").write_text(json.dumps({"username": "ana", "key": "0" * 32}))
    return len(rows)


def copy(source: Path, target: Path) -> Path:
    """A copy of a file or folder, in folders that are made where they are missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
    return target
