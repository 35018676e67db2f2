"""Two small runs made once and looked at by many tests, which must not change them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.inference.assess import assess
from eosin.splitting.split_file import Split
from eosin.splitting.splits import by_case
from eosin.training.session import fit, start


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose time on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def without_figures() -> Iterator[None]:
    """Figures of an evaluation are another room's and cost seconds each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eosin.figures.charts.draw_all", lambda *_, **__: [])
        yield


@pytest.fixture(autouse=True)
def _no_figures() -> Iterator[None]:
    with without_figures():
        yield


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """A network that trains in a fraction of a second."""
    settings = ["arguments.widths=[16, 16]", "arguments.blocks=[0, 1]", "batch_size=40"]
    more = ["epochs=2", "learning_rate=0.01", "precision=fp32"]
    return read_recipe("compact", [*settings, *more])


@pytest.fixture(scope="session")
def split(made_up_store: PatchStore) -> Split:
    return by_case(made_up_store)


@pytest.fixture(scope="session")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
    made_up_store: PatchStore,
    split: Split,
    tiny: Recipe,
) -> tuple[Path, Path]:
    """Two runs that differ in their seed; both are evaluated."""
    folder = tmp_path_factory.mktemp("refining")
    for seed in (0, 1):
        session, _ = start(made_up_store, split, tiny.changed(seed=seed), folder / f"run{seed}")
        fit(session)
        with without_figures():
            assess(session, replicates=50, with_baselines=False)
    return folder / "run0", folder / "run1"
