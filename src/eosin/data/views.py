"""A store seen differently: its classes in another order, its patches at another scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from eosin.config import Recipe
from eosin.data.fit import resampled
from eosin.data.positive import By, choose_positive
from eosin.data.store import PatchStore
from eosin.errors import RecipeError, StoreError, UserError
from eosin.memory import forget_pages


def in_order(store: PatchStore, classes: Sequence[str], by: By = "") -> PatchStore:
    """The same store with its classes in another order; labels are mapped by name.

    classes: all of the store's, and perhaps others of which it has no patch. by: how the positive
    one was chosen. The digest stays: it is that of the files.
    Raises StoreError where the store has patches of a class that is not listed.
    """
    if tuple(classes) == store.classes and by in ("", store.positive_by):
        return store
    counts = store.info.get("counts", {})
    unknown = [name for name in store.classes if name not in classes and counts.get(name, 1)]
    if unknown:
        raise StoreError(
            f"{store.path} has the classes {', '.join(store.classes)}, and {', '.join(unknown)} is "
            f"not among {', '.join(classes)}; pack it without these patches, or give its classes "
            "the same names"
        )
    order = {k: list(classes).index(n) for k, n in enumerate(store.classes) if n in classes}
    before = store.order or {k: k for k in range(len(store.classes))}
    info = {
        **store.info,
        "classes": list(classes),
        "counts": {name: counts.get(name, 0) for name in classes},
        "positive": classes[1] if len(classes) == 2 else None,
        "positive_by": by,
    }
    places = {old: order[new] for old, new in before.items() if new in order}
    return PatchStore(store.path, info, places)


def resampled_view(
    store: PatchStore, scale: float, size: tuple[int, int], mpp: float
) -> PatchStore:
    """The same store at another scale: each patch resampled when it is read (``fit.resampled``).

    scale: pixels of the result for each pixel of the store; size: (height_px, width_px) and mpp:
    micrometers a pixel of the result.
    """
    view = PatchStore(store.path, {**store.info, "patch_size": list(size), "mpp": mpp}, store.order)
    # Read as an array is, by rows; nothing else is done with the patches of a store.
    view.patches = cast(Any, _Resampled(store.patches, scale, size))
    return view


class _Resampled:
    """Patches uint8 [N, H, W, 3] that are resampled when they are read, by rows int64 [n]."""

    dtype = np.dtype(np.uint8)

    def __init__(self, patches: npt.NDArray[np.uint8], scale: float, size: tuple[int, int]) -> None:
        self.patches, self.scale, self.size = patches, scale, size
        self.shape = (len(patches), *size, 3)

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, rows: Any) -> npt.NDArray[np.uint8]:
        block = np.asarray(self.patches[rows])
        forget_pages(self.patches)
        if block.ndim == 3:
            return resampled(block, self.scale, self.size)
        made = [resampled(patch, self.scale, self.size) for patch in block]
        return np.stack(made) if made else np.empty((0, *self.size, 3), np.uint8)


def for_recipe(store: PatchStore, recipe: Recipe) -> PatchStore:
    """The store as a recipe asks for it; raises RecipeError where it has no such positive class."""
    if not recipe.positive:
        return store
    try:
        option = f"recipe: positive = {recipe.positive!r}"
        return with_positive(store, recipe.positive, option=option)
    except UserError as error:
        raise RecipeError(str(error)) from None


def with_positive(store: PatchStore, name: str, *, option: str = "") -> PatchStore:
    """The same store with this one of its two classes positive; option: for messages.

    Raises UserError where it has no such class, or not two.
    """
    chosen = choose_positive(store.classes, name, option=option)
    other = next(each for each in store.classes if each != name)
    return in_order(store, (other, chosen.name), chosen.by)
