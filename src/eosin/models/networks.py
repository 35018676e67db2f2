"""The networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from eosin.errors import RecipeError, closest
from eosin.models.article import ArticleNetwork, ArticleVerbatimNetwork
from eosin.models.compact import CompactNetwork
from eosin.models.digits import DigitsNetwork
from eosin.models.encoder import EncoderNetwork
from eosin.models.ensemble import EnsembleNetwork

#: Name -> (class, whether it takes the number of classes, whether it takes the patch size).
#: A network that does not take the number of classes has one logit and serves two classes.
NETWORKS: dict[str, tuple[type[nn.Module], bool, bool]] = {
    "article": (ArticleNetwork, False, True),
    "article-verbatim": (ArticleVerbatimNetwork, False, True),
    "digits": (DigitsNetwork, True, True),
    "compact": (CompactNetwork, True, False),
    "encoder": (EncoderNetwork, True, True),
    "ensemble": (EnsembleNetwork, True, True),
}


def build_network(
    name: str,
    *,
    classes: int,
    patch_size: tuple[int, int],
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A network by name, with fresh weights.

    Raises RecipeError for an unknown name, an argument it does not take, or a patch size or number
    of classes it cannot serve.
    """
    if name not in NETWORKS:
        raise RecipeError(f"unknown network {name!r}; {closest(name, NETWORKS)}")
    kind, takes_classes, takes_size = NETWORKS[name]
    options = dict(arguments or {})
    own = {"self", "classes", "patch_size"}
    known = sorted(set(inspect.signature(kind.__init__).parameters) - own)
    for argument in sorted(set(options) - set(known)):
        listed = f"known: {', '.join(known)}" if known else "it takes none"
        raise RecipeError(f"network {name!r} has no argument {argument!r}; {listed}")
    if takes_classes:
        options["classes"] = classes
    elif classes != 2:
        raise RecipeError(f"network {name!r} has one logit and serves two classes, not {classes}")
    if takes_size:
        options["patch_size"] = patch_size
    try:
        return kind(**options)
    except (TypeError, ValueError, RuntimeError) as error:
        text = str(error).replace(f"{kind.__name__}.__init__() ", "")
        raise RecipeError(
            f"network {name!r} with arguments {dict(arguments or {})}: {text}"
        ) from None
