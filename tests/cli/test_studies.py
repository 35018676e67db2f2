"""crossval, gap and compare from the command line, as a user meets them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eosin.data.store import PatchStore
from eosin.errors import StoppedError

TINY = [
    "--set", "arguments.widths=[4,8]", "--set", "arguments.blocks=[0,1]", "--set", "batch_size=40",
    "--set", "learning_rate=0.01", "--set", "epochs=1", "--set", "precision=fp32",
]  # fmt: skip
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore) -> Path:
    """A folder with three folds, made by the command; tests must not change it."""
    from eosin.cli.main import main

    folder = tmp_path_factory.mktemp("studies") / "folds"
    words = ["crossval", str(made_up_store.path), "-k", "3", "-o", str(folder), *TINY]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--replicates", "50"])
    assert not stop.value.code
    return folder


def test_crossval_shows_tables_and_goes_on(
    eosin: Run, made: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    folder = tmp_path / "folds"
    shutil.copytree(made, folder)
    words = ["crossval", made_up_store.path, "-k", 3, "-o", folder, *TINY, "--replicates", 50]
    found = eosin(*words)
    assert found.code == 0, found.err
    for text in ("AUROC", "folds: mean", "fold by fold", "label suspects", "none was removed"):
        assert text in found.out
    assert "made-up" in found.err
    found = eosin(*words, "--json")
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["study"] == "crossval"
    assert result["files"][0] == "crossval.json"
    assert result["command"].startswith("eosin crossval")
    found = eosin("crossval", made_up_store.path, "-k", 4, "-o", folder, *TINY)
    assert found.code == 2
    assert "k was 3, now 4" in found.err


@pytest.mark.slow
def test_gap_and_compare(eosin: Run, made: Path, made_up_store: PatchStore, tmp_path: Path) -> None:
    found = eosin(
        "gap", made_up_store.path, "--seeds", 1, *TINY, "-o", tmp_path / "gap",
        "--replicates", 50,
    )  # fmt: skip
    assert found.code == 0, found.err
    assert "nearest neighbors" in found.out
    assert "nested bootstrap" in found.out
    run = tmp_path / "gap" / "seed0-case"
    assert eosin("compare", made, run).code == 2
    found = eosin("evaluate", run, "--no-baselines", "--replicates", 50)
    assert found.code == 0, found.err
    found = eosin("compare", made, run, "--replicates", 50, "-o", tmp_path / "out")
    assert found.code == 0, found.err
    assert "seed0-case less folds" in found.out
    assert "On 4 cases (80 patches) seed0-case has" in found.out
    assert "note: p is two-sided" in found.err
    assert (tmp_path / "out" / "compare.md").exists()
    found = eosin("compare", made, run, "--replicates", 50, "--json")
    assert json.loads(found.out)["reference"] == "folds"
    # Measured on random patches of cases that it was trained on.
    leaky = tmp_path / "gap" / "seed0-patch"
    assert eosin("evaluate", leaky, "--no-baselines", "--replicates", 50).code == 0
    found = eosin("compare", made, leaky)
    assert found.code == 2
    assert "seed0-patch has learned from" in found.err
    found = eosin("compare", made, leaky, "--allow-seen", "--replicates", 50)
    assert found.code == 0
    assert "seen in training" in found.err


def test_a_failed_run_ends_with_1_and_its_cause(
    eosin: Run, made: Path, made_up_store: PatchStore, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path / "folds"
    shutil.copytree(made, folder)
    shutil.rmtree(folder / "seed0-fold2")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eosin.studies.study.fit", full)
    words = ["crossval", made_up_store.path, "-k", 3, "-o", folder, *TINY, "--replicates", 50]
    found = eosin(*words)
    assert found.code == 1
    assert "seed0-fold2 failed and is left out: OSError" in found.err
    assert "only these are made by: eosin crossval" in found.err
    assert "AUROC" in found.out
    assert "Traceback" not in found.err


def test_the_hint_repeats_every_option(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise StoppedError("stopped")

    monkeypatch.setattr("eosin.studies.study.fit", stopped)
    folder = tmp_path / "my folds"
    words = [str(made_up_store.path), "-k", "3", "--replicates", "50", "--split-seed", "7"]
    for command in (["crossval", *words], ["gap", words[0], *words[3:5]]):
        command += ["--allow-leaks", *TINY, "-o", f"{folder}-{command[0]}"]
        found = eosin(*command, "--force", "--json")
        assert found.code == 130
        assert f"resume with: {shlex.join(['eosin', *command])}" in found.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["crossval", "none.store", "-o", "x"], "no such store"),
        (["crossval", "STORE", "-o", "x", "-r", "compat"], "did you mean compact"),
        (["crossval", "STORE", "-o", "x", "--set", "epoch=1"], "did you mean epochs"),
        (["crossval", "STORE", "-o", "x", "-k", "2"], "at least 3 folds"),
        (["crossval", "STORE", "-o", "x", "-k", "40"], "has 16 cases"),
        (["crossval", "STORE", "-o", "STORE"], "inside the store"),
        (["crossval", "STORE"], "--output"),
        (["gap", "none.store", "-o", "x"], "no such store"),
        (["gap", "STORE", "-o", "STORE"], "inside the store"),
        (["compare", "none"], "at least two"),
        (["compare", "none", "other"], "no such run folder"),
        (["compare", "STORE", "other"], "neither an evaluated run"),
    ],
)
def test_mistakes_are_one_sentence(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    found = eosin(*[str(made_up_store.path) if word == "STORE" else word for word in words])
    assert found.code == 2, found.err
    assert said in found.err
    assert "Traceback" not in found.err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_killed_and_stopped_it_goes_on_to_the_same_predictions(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "eosin", "crossval", str(made_up_store.path), "-k", "3", *TINY,
             "--set", "epochs=12", "--replicates", "20", "-o"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    subprocess.run([*words, str(whole)], env=environment, check=True, capture_output=True)
    first = subprocess.Popen(
        [*words, str(pieces)], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (pieces / "seed0-fold1" / "resume.pt").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = subprocess.Popen(
        [*words, str(pieces)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, restore_signals=True,
    )  # fmt: skip
    assert second.stderr is not None
    # A job in the background is born deaf to Ctrl-C until its training listens.
    training = False
    for line in second.stderr:
        training = training or line.startswith("seed 0, fold 2")
        if training and line.startswith("compact:"):
            break
    second.send_signal(signal.SIGINT)
    _, rest = second.communicate()
    assert second.returncode == 130, rest
    assert "resume with: eosin crossval" in rest
    assert str(pieces) in rest
    subprocess.run([*words, str(pieces)], env=environment, check=True, capture_output=True)
    tables = [pl.read_parquet(folder / "predictions.parquet") for folder in (whole, pieces)]
    assert tables[0].equals(tables[1])
