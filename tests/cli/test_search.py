"""`eosin search` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eosin.config import read_recipe
from eosin.data.store import PatchStore

Run = Callable[..., Any]

TINY = [
    "--set", "arguments.widths=[4, 8]", "--set", "arguments.blocks=[0, 0]", "--set",
    "batch_size=40", "--set", "precision=fp32", "--set", "epochs=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("history", "parallel", "importance_bars"):
        monkeypatch.setattr(f"eosin.search.drawings.{name}", lambda *given, **more: None)
    torch.set_num_threads(1)


def test_a_search_and_what_goes_on_from_it(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path
) -> None:
    space, folder = tmp_path / "space.toml", tmp_path / "s"
    space.write_text("[batch_size]\nchoices = [20, 40]\n[weight_decay]\nlow = 0.0\nhigh = 0.1\n")
    done = eosin("search", made_up_store.path, "-n", 2, "--space", space, "-o", folder, *TINY,
                 "--split", "case", "--seed", 3)  # fmt: skip
    assert done.code == 0, done.err
    assert "2 trials by val_auroc" in done.out
    assert "the recipe as given" in done.err
    assert f"eosin train {made_up_store.path} --recipe {folder / 'best.toml'}" in done.out
    assert "--split case" in done.out
    assert "made-up data" in done.err
    assert read_recipe(str(folder / "best.toml")).epochs == 1
    more = eosin("search", "--resume", folder, "-n", 3, "--json")
    assert more.code == 0, more.err
    result = json.loads(more.out)
    assert [row["trial"] for row in result["rows"]] == [0, 1, 2]
    assert result["seed"] == 3
    assert result["space_origin"] == str(space)
    assert {"best.toml", "search.json", "trials.csv", "history.png"} <= set(result["files"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["STORE"], "eosin search STORE -o FOLDER"),
        (["-o", "x"], "eosin search STORE -o FOLDER"),
        (["none.store", "-o", "x"], "no such store"),
        (["STORE", "-o", "x", "--recipe", "compct"], "did you mean compact"),
        (["STORE", "-o", "x", "--set", "epoch=1"], "did you mean epochs"),
        (["STORE", "-o", "x", "--space", "none.toml"], "cannot be read"),
        (["STORE", "-o", "x", "--space", "bad.toml"], "bad.toml: unknown key 'learning_rat'"),
        (["STORE", "-o", "x", "--space", "far.toml"], "momentum = 2 cannot be tried"),
        (["STORE", "-o", "x", "--metric", "auroc"], "did you mean val_auroc"),
        (["STORE", "-o", "x", "-n", "0"], "--trials 0"),
        (["STORE", "-o", "x", "-w", "0"], "--workers 0"),
        (["STORE", "-o", "x", "--share", "2"], "--share 2"),
        (["STORE", "-o", "x", "--split", "cases"], "neither a file nor a scheme"),
        (["STORE", "-o", "x", "--fold", "1"], "fold 1 was requested"),
        (["STORE", "-o", "STORE"], "inside the store"),
        (["--resume", "STORE"], "not the folder of a search"),
        (["--resume", "x", "-o", "y"], "leave out -o"),
        (["--resume", "x", "--set", "epochs=1"], "leave out -o"),
    ],
)
def test_mistakes_are_one_sentence(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("[learning_rat]\nlow=1\nhigh=2")
    (tmp_path / "far.toml").write_text("[momentum]\nlow=0\nhigh=2")
    found = eosin(
        "search", *[str(made_up_store.path) if word == "STORE" else word for word in words]
    )
    assert found.code == 2, found.err
    assert said in found.err
    assert "Traceback" not in found.err
    assert not (tmp_path / "x").exists()
