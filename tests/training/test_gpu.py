"""The same training on a GPU; skips where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from eosin.config import read_recipe
from eosin.data.store import PatchStore
from eosin.errors import StoppedError
from eosin.models.classifier import load_classifier
from eosin.runs import RunFolder
from eosin.training.loop import Reporter, Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_training_on_a_gpu_learns_resumes_and_answers_alike(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    names = np.unique(made_up_store.cases)
    inside = np.isin(made_up_store.cases, names[:10])
    parts = {"train": np.flatnonzero(inside), "val": np.flatnonzero(~inside)}
    recipe = read_recipe("compact", ["epochs=10", "batch_size=32"])
    run = RunFolder(tmp_path / "run")
    run.create()
    run.write_text("recipe.toml", recipe.to_toml())
    left = iter(range(20, -1, -1))
    reporter = Reporter(stop=lambda: next(left) == 0)
    with pytest.raises(StoppedError):
        Trainer(made_up_store, parts, recipe, run, reporter=reporter).fit()
    facts = Trainer(made_up_store, parts, recipe, run).fit(resume=True)
    assert "cuda" in facts.machine
    assert run.metrics()[-1]["val_auroc"] > 0.7
    model, _ = load_classifier(run.path)
    patches = torch.from_numpy(np.array(made_up_store.patches[:64]))
    with torch.inference_mode():
        here = torch.softmax(model(patches), 1)
        there = torch.softmax(model.cuda()(patches.cuda()), 1).cpu()
    assert torch.allclose(here, there, atol=1e-2)
