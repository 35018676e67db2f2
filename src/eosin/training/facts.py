"""What is known of a model when its training ends: the one place that makes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eosin.config import Recipe
from eosin.data.overview import largest_image
from eosin.data.store import PatchStore
from eosin.models.classifier import Classifier
from eosin.records.marks import Mark
from eosin.records.model import ModelFacts
from eosin.records.origin import Origin, Teacher
from eosin.splitting.split_file import Split


def facts_of(
    model: Classifier,
    store: PatchStore,
    recipe: Recipe,
    *,
    train_patches: int,
    marks: Iterable[Mark | str] = (),
    split: Split | None = None,
    start: Origin | None = None,
    teacher: Teacher | None = None,
    **measured: Any,
) -> ModelFacts:
    """The content of model.json.

    marks: what every output must carry; start and teacher: what the model was made from; measured:
    epochs, seconds and whatever else the training measures.
    """
    return model.facts(
        recipe=recipe.name,
        mpp=store.mpp,
        fit=store.fit,
        white=store.info.get("white"),
        largest=largest_image(store),
        positive_by=store.positive_by,
        made_up=store.made_up,
        store_digest=store.digest,
        train_patches=train_patches,
        marks=tuple(Mark.read(mark) for mark in marks),
        split_scheme=None if split is None else split.scheme,
        leaking=split is not None and split.leaking,
        start=start or Origin(),
        teacher=teacher,
        **measured,
    )
