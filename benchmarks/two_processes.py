"""Two processes on one run at the same time: no file is broken, or the second is told who works.

    python benchmarks/two_processes.py
    python benchmarks/two_processes.py --pairs 12

evaluate with evaluate, evaluate with report, and train with evaluate, the second started at a
random moment of the first. Each ends with 0, or with 2 and the one sentence that the run is in use
or not finished yet; afterwards every file of the run can be read and the figures are those of a
single process. Data are made up and the network is tiny. Writes results/two-processes-*.csv.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import forked
from harness import Row, write_csv
from kill import Made, figures

#: What the slower of two may say.
_REFUSALS = ("is in use by", "has not finished", "no trained model")


def readable(run: Path) -> None:
    """Open every file of a run; raises for a broken one."""
    import polars as pl
    from safetensors.numpy import load_file

    for path in sorted(run.iterdir()):
        if path.suffix == ".json":
            json.loads(path.read_text("utf-8"))
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        elif path.suffix == ".parquet":
            pl.read_parquet(path)
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path
        elif path.suffix == ".html":
            assert path.read_text("utf-8").rstrip().endswith("</html>"), path
    assert not forked.leftovers(run), forked.leftovers(run)


def commands(made: Made, run: Path, kind: str) -> tuple[str, list[list[Any]]]:
    """The folder to start from, and the two commands."""
    evaluate, report = made.evaluation(run), ["report", run]
    train = ["train", "--resume", run, "--no-evaluate"]
    return {
        "evaluate, evaluate": ("run", [evaluate, evaluate]),
        "evaluate, report": ("evaluated", [evaluate, report]),
        "train, evaluate": ("begun", [train, evaluate]),
    }[kind]


def once(made: Made, folder: Path, kind: str, delay_s: float) -> Row:
    """Both commands at once on a copy; what they answered, and what is wrong afterwards."""
    run = folder / "r"
    start, words = commands(made, run, kind)
    shutil.copytree(made.place / start, run)
    children = []
    for number, each in enumerate(words):
        children.append(forked.start(each, folder / f"log{number}"))
        time.sleep(delay_s)
    codes = [child.wait() for child in children]
    row: Row = {"pair": kind, "delay_s": round(delay_s, 3), "codes": str(codes), "problem": ""}
    try:
        for child, code in zip(children, codes, strict=True):
            refused = code == 2 and any(text in child.said() for text in _REFUSALS)
            assert code == 0 or refused, f"ended with {code}: {child.said()[-300:]}"
        assert 0 in codes, "both were refused"
        forked.ask(partial(readable, run))
        if (run / "evaluation.json").exists():
            assert figures(run) == figures(made.place / "evaluated"), "the figures differ"
    except Exception as error:
        row["problem"] = f"{type(error).__name__}: {error}"[:400]
    return row


def measure(pairs: int, seed: int) -> list[Row]:
    """``pairs`` in all, the three kinds in turn."""
    forked.preload()
    rows, more = [], random.Random(seed)
    kinds = ("evaluate, evaluate", "evaluate, report", "train, evaluate")
    with tempfile.TemporaryDirectory(prefix="eosin-two-") as name:
        place = Path(name)
        (place / "made").mkdir()
        made = Made(place / "made")
        begun = made.place / "begun"
        shutil.copytree(made.place / "run", begun)
        for file in ("resume.pt", "model.json", "model.safetensors", "metrics.jsonl"):
            (begun / file).unlink()
        for number in range(pairs):
            folder = place / "try"
            folder.mkdir()
            rows.append(once(made, folder, kinds[number % len(kinds)], more.uniform(0, 1.5)))
            if rows[-1]["problem"]:
                print(f"    {rows[-1]}", flush=True)
            shutil.rmtree(folder)
    for kind in kinds:
        mine = [row for row in rows if row["pair"] == kind]
        codes = Counter(row["codes"] for row in mine)
        problems = sum(bool(row["problem"]) for row in mine)
        print(f"{kind:20} {len(mine):4} pairs, {problems} problems; exit codes {dict(codes)}")
    return rows


def main() -> None:
    """Run the pairs, print, and write the CSV; the exit code is 1 where a file was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    rows = measure(words.pairs, words.seed)
    write_csv("two-processes", rows, packages=("torch",))
    sys.exit(any(row["problem"] for row in rows))


if __name__ == "__main__":
    main()
