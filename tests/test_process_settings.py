"""Settings of the whole process are made by commands, never by a constructor or a library call."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from eosin.cli.main import main
from eosin.config import read_recipe
from eosin.data.store import PatchStore
from eosin.inference.torch_predictor import TorchPredictor
from eosin.models.classifier import Classifier
from eosin.runs import RunFolder
from eosin.training.loop import Trainer

SETTINGS = ["arguments.widths=[4, 8]", "arguments.blocks=[0, 0]", "epochs=1"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every setting of glibc's allocator that is made."""
    made: list[tuple[int, int]] = []

    def mallopt(parameter: int, value: int) -> int:
        made.append((parameter, value))
        return 1

    stand_in = SimpleNamespace(CDLL=lambda name: SimpleNamespace(mallopt=mallopt))
    monkeypatch.setattr("eosin.memory.ctypes", stand_in)
    monkeypatch.setattr("eosin.memory.sys", SimpleNamespace(platform="linux"))
    return made


def test_training_and_predicting_leave_the_process_as_it_is(
    calls: list[Any], made_up_store: PatchStore, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    model = Classifier.build("compact", classes=["a", "b"], patch_size=(50, 50))
    TorchPredictor(model, {}).predict(np.zeros((1, 50, 50, 3), np.uint8))
    run = RunFolder(tmp_path / "run")
    run.create()
    rows = {"train": np.arange(60)}
    Trainer(made_up_store, rows, read_recipe("compact", SETTINGS), run).fit()
    assert not calls
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("command", "made"), [("train", 3), ("predict", 3), ("runs", 0)])
def test_a_command_that_trains_or_answers_keeps_freed_memory(
    calls: list[Any], command: str, made: int, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main([command, str(tmp_path / "missing")])
    assert len(calls) == made
