"""What each command may load: nothing for its help, and for its work only what it uses."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eosin.cli.main import COMMANDS
from eosin.config import read_recipe
from eosin.data.store import PatchStore
from eosin.runs import RunFolder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are run in forks")

#: What costs time or is not always there: one list for both tests of what is loaded.
HEAVY: tuple[str, ...] = runpy.run_path(str(Path(__file__).parents[1] / "test_architecture.py"))[
    "HEAVY"
]

#: Command line -> all that its work may load of these. {} names what the fixture has made.
WORK: dict[tuple[str, ...], set[str]] = {
    ("recipes",): set(),
    ("encoders",): set(),
    ("runs", "{runs}"): {"numpy"},
    # requests is asked where a Kaggle token would go; torch only in a process of its own.
    ("doctor", "--json"): {"requests"},
    ("split", "{store}", "-o", "{folder}/split.csv"): {"numpy", "polars", "scipy"},
    ("audit", "{store}", "{split}"): {"numpy", "polars", "scipy"},
    ("card", "{store}", "-o", "{folder}/card.md"): {"numpy", "polars", "scipy", "jinja2"},
    ("inspect", "{store}", "-o", "{folder}/pictures"): {
        "numpy", "polars", "scipy", "cv2", "PIL", "matplotlib",
    },
    # A flat picture and no file but the PNG: no library of slides is needed.
    ("tissue", "{image}", "--mpp", "0.5", "-o", "{folder}/tissue.png"): {
        "numpy", "polars", "cv2", "PIL", "matplotlib",
    },
    ("slide", "{image}"): {"numpy", "cv2", "PIL"},
    ("predict", "{model}", "{image}"): {"numpy", "cv2", "PIL", "onnxruntime"},
    ("evaluate", "{model}", "--store", "{store}", "-o", "{folder}/evaluation", "--replicates",
     "20", "--no-report"): {
        "numpy", "polars", "scipy", "cv2", "PIL", "matplotlib", "sklearn", "onnxruntime",
    },
}  # fmt: skip

#: Runs each command line in a fork of a process that has loaded nothing but the program.
HARNESS = """
import json, os, sys
from eosin.cli.main import main, register
register()
heavy, lines = json.loads(sys.argv[1])
before = [name for name in heavy if name in sys.modules]
found = []
for words in lines:
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        try:
            main(words)
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        loaded = [name for name in heavy if name in sys.modules]
        os.write(sending, json.dumps([code, loaded]).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as answer:
        found.append(json.loads(answer.read() or '["the process ended", []]'))
    os.waitpid(child, 0)
print(json.dumps([before, found]))
"""


def loaded(lines: Sequence[Sequence[str]]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Heavy modules of the program itself; exit code and heavy modules of each command line."""
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, json.dumps([HEAVY, lines])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    before, found = json.loads(done.stdout)
    return before, [(code, names) for code, names in found]


def test_help_loads_nothing() -> None:
    lines = [[name, "--help"] for name in COMMANDS]
    before, found = loaded(lines)
    assert before == [], "no module of a command may load this"
    assert {words[0]: answer for words, answer in zip(lines, found, strict=True)} == {
        name: (0, []) for name in COMMANDS
    }


def test_work_loads_what_it_uses(
    made_up_store: PatchStore, make_exported: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    from eosin.splitting.split_file import write_split
    from eosin.splitting.splits import by_case

    write_split(by_case(made_up_store), tmp_path / "given.csv")
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    run = RunFolder(tmp_path / "runs" / "one")
    run.create()
    run.write_text("recipe.toml", read_recipe("compact").to_toml())
    places = {
        "store": made_up_store.path,
        "split": tmp_path / "given.csv",
        "model": make_exported(tmp_path / "model.onnx"),
        "image": tmp_path / "a.png",
        "folder": tmp_path / "folder",
        "runs": tmp_path / "runs",
    }
    _, found = loaded([[word.format(**places) for word in words] for words in WORK])
    wrong = {
        " ".join(words): (code, sorted(set(names) - allowed))
        for (words, allowed), (code, names) in zip(WORK.items(), found, strict=True)
        if code or not set(names) <= allowed
    }
    assert not wrong, "exit code, and what was loaded beyond what the table allows"
