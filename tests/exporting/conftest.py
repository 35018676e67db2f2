"""One small evaluated run, and its export, made once and looked at by many tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eosin.config import read_recipe
from eosin.data.store import PatchStore
from eosin.inference.assess import assess
from eosin.splitting.splits import by_case
from eosin.training.session import fit, start


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose time on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore) -> Path:
    """An evaluated run of a tiny compact network; tests must not change it."""
    settings = ["arguments.widths=[16, 16]", "arguments.blocks=[0, 1]", "batch_size=40"]
    recipe = read_recipe("compact", [*settings, "epochs=3", "learning_rate=0.01", "precision=fp32"])
    path = tmp_path_factory.mktemp("exporting") / "a run"
    session, _ = start(made_up_store, by_case(made_up_store), recipe, path)
    fit(session)
    with pytest.MonkeyPatch.context() as patch:
        # Figures of an evaluation are another room's and cost seconds each.
        patch.setattr("eosin.figures.charts.draw_all", lambda *_, **__: [])
        assess(session, replicates=50, with_baselines=False)
    return path
