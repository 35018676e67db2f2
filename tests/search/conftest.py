"""Searches made once and looked at by many tests, which must not change them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.search.search import search
from eosin.search.space import Dimension
from eosin.splitting.splits import by_case
from eosin.studies.study import StudyResult

SPACE = (
    Dimension("muon_learning_rate", "float", low=1e-3, high=0.1, log=True),
    Dimension("arguments.dropout", "float", low=0.0, high=0.5),
    Dimension("batch_size", "choice", choices=(20, 40)),
)
TINY = (
    "arguments.widths=[4, 8]", "arguments.blocks=[0, 0]", "batch_size=40", "epochs=2",
    "precision=fp32",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose time on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small() -> Recipe:
    """A network that trains in a fraction of a second."""
    return read_recipe("compact", TINY)


@pytest.fixture(scope="session")
def space() -> tuple[Dimension, ...]:
    """Three settings: logarithmic, plain, and a choice."""
    return SPACE


@pytest.fixture(scope="session")
def found(
    tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore, small: Recipe
) -> StudyResult:
    """Seven trials, never stopped."""
    folder = tmp_path_factory.mktemp("searches") / "whole"
    split = by_case(made_up_store)
    return search(made_up_store, split, small, folder, trials=7, space=SPACE, recipe_name="small")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only the figures that a test is about: those of ``found`` are drawn before this."""
    for name in ("history", "parallel", "importance_bars"):
        monkeypatch.setattr(f"eosin.search.drawings.{name}", lambda *given, **more: None)
