"""Training and evaluation as one function each, for a program that uses eosin.

The commands do more around them (progress, reports, checks of other stores); what is computed is
the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from eosin.config import Recipe, read_recipe

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.runs import RunFolder
    from eosin.splitting.split_file import Split


def train(
    store: PatchStore,
    split: Split,
    folder: str | os.PathLike[str],
    *,
    recipe: str | Recipe = "compact",
    fold: int | None = None,
) -> RunFolder:
    """Audit the split, train, and keep everything in a new run folder; returns that folder.

    recipe: a name, a .toml file, or a recipe (see ``read_recipe`` for changes). fold: of a split
    into folds, the one to test on. Raises LeakError where the parts share cases or images,
    SplitError where the split is not of this store, RunError where the folder exists,
    TrainingError where training fails, MissingExtraError without torch.
    """
    from eosin.training.session import fit, start

    chosen = read_recipe(recipe) if isinstance(recipe, str) else recipe
    session, _ = start(store, split, chosen, folder, fold=fold)
    fit(session)
    return session.run


def evaluate(
    run: str | os.PathLike[str], *, replicates: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Measure a run on the test part of its split; returns the content of evaluation.json.

    The threshold, the temperature and the referral band are fitted on the validation part.
    replicates and seed: of the bootstrap over cases. Raises RunError where the run is not trained
    or its store has moved.
    """
    from eosin.inference.assess import assess
    from eosin.training.session import reopen

    return assess(reopen(run), replicates=replicates, seed=seed).evaluation
