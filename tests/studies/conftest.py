"""Studies made once and looked at by many tests, which must not change them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.studies.crossval import crossval
from eosin.studies.gap import gap
from eosin.studies.study import StudyResult


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose time on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """A network that trains in a fraction of a second."""
    settings = ["arguments.widths=[4, 8]", "arguments.blocks=[0, 1]", "batch_size=40"]
    more = ["epochs=2", "learning_rate=0.01", "precision=fp32"]
    return read_recipe("compact", [*settings, *more])


@pytest.fixture(scope="session")
def folds(
    tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore, tiny: Recipe
) -> StudyResult:
    """Three folds, one seed."""
    folder = tmp_path_factory.mktemp("studies") / "folds"
    return crossval(made_up_store, tiny, folder, k=3, replicates=100, again="eosin crossval X")


@pytest.fixture(scope="session")
def gapped(
    tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore, tiny: Recipe
) -> StudyResult:
    """The gap over two seeds."""
    folder = tmp_path_factory.mktemp("studies") / "gap"
    return gap(made_up_store, tiny, folder, seeds=2, replicates=100, again="eosin gap /far/X.store")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what is drawn, where a test is about something else."""

    def nothing(store: object, suspects: object, path: Path, marks: object = ()) -> Path:
        return path

    monkeypatch.setattr("eosin.studies.crossval.suspects_gallery", nothing)
