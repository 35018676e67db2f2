"""What is searched: a range or a list of choices for some keys of a recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eosin.config import Recipe
from eosin.errors import RecipeError

#: Keys that no search may choose, and why.
NOT_SEARCHED = {
    "seed": "choosing the best seed is choosing luck; repeat the winner with other seeds instead",
    "name": "it only names the recipe",
    "about": "it only describes the recipe",
}


@dataclass(frozen=True)
class Dimension:
    """One key that is searched.

    key: of the recipe, or ``arguments.NAME`` for an argument of the network.
    low, high, log, step: of a range (both ends belong to it); choices: of a list.

    >>> Dimension("learning_rate", "float", low=1e-4, high=1e-1, log=True).sentence()
    'learning_rate from 0.0001 to 0.1 (log)'
    >>> Dimension("batch_size", "choice", choices=(64, 128)).sentence()
    'batch_size of 64, 128'
    """

    key: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()

    def sentence(self) -> str:
        """What is tried, in words."""
        if self.kind == "choice":
            return f"{self.key} of {', '.join(map(shown, self.choices))}"
        words = ["log"] if self.log else []
        words += [f"steps of {self.step:g}"] if self.step else []
        more = f" ({', '.join(words)})" if words else ""
        return f"{self.key} from {self.low:g} to {self.high:g}{more}"

    def tested(self) -> tuple[Any, ...]:
        """The values that represent all: both ends, or every choice."""
        if self.kind == "choice":
            return self.choices
        ends = (self.low, self.high)
        return tuple(int(end) for end in ends) if self.kind == "int" else ends

    def labels(self) -> list[str]:
        """The choices as the storage has them: as JSON, which also writes lists."""
        return [json.dumps(choice) for choice in self.choices]

    def holds(self, value: Any) -> bool:
        """Whether a value is in the range (on its grid where it has steps) or is a choice."""
        if self.kind == "choice":
            return json.dumps(value) in self.labels()
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high:
            return False
        if self.kind == "int" and value != int(value):
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def place(self, value: Any) -> float:
        """The place of a value between the ends, from 0 to 1, for drawing.

        >>> Dimension("learning_rate", "float", low=1e-4, high=1e-2, log=True).place(1e-3)
        0.5
        """
        if self.kind == "choice":
            return self.labels().index(json.dumps(value)) / max(1, len(self.choices) - 1)
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return round((at - low) / (high - low), 12)

    def table(self) -> dict[str, Any]:
        """As a space file writes it."""
        if self.kind == "choice":
            return {"choices": list(self.choices)}
        number = int if self.kind == "int" else float
        result: dict[str, Any] = {"low": number(self.low), "high": number(self.high)}
        result |= {"log": True} if self.log else {}
        return result | ({"step": number(self.step)} if self.step else {})


def shown(value: Any) -> str:
    """A value for people.

    >>> shown(0.012345678), shown(64), shown("muon"), shown([1, 2]), shown(None)
    ('0.01235', '64', 'muon', '[1, 2]', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def value_of(recipe: Recipe, key: str) -> Any:
    """The value of a recipe's key; None for an argument that it does not have.

    >>> value_of(Recipe(arguments={"dropout": 0.2}), "arguments.dropout")
    0.2
    """
    head, _, tail = key.partition(".")
    return recipe.arguments.get(tail) if tail else getattr(recipe, head)


def recipe_with(recipe: Recipe, values: Mapping[str, Any], **more: Any) -> Recipe:
    """The recipe with other values for searched keys, checked; ``more`` are plain keys.

    >>> recipe_with(Recipe(), {"arguments.dropout": 0.1, "epochs": 3}).arguments
    {'dropout': 0.1}
    """
    changes: dict[str, Any] = dict(more)
    for key, value in values.items():
        head, _, tail = key.partition(".")
        if tail:
            changes[head] = {**recipe.arguments, **changes.get(head, {}), tail: value}
        else:
            changes[head] = value
    return recipe.changed(**changes)


def built_in_space(recipe: Recipe) -> tuple[Dimension, ...]:
    """What is worth trying first for the recipe's optimizer; the recipe's own values are inside.

    Ranges are orders of magnitude around common values of small networks trained from random
    weights, wide enough to be wrong at both ends.

    >>> [d.key for d in built_in_space(Recipe(optimizer="sgd", learning_rate=0.001))]
    ['learning_rate', 'momentum', 'weight_decay', 'batch_size']
    """
    by_optimizer: dict[str, list[tuple[str, float, float, bool]]] = {
        "sgd": [
            ("learning_rate", 1e-3, 0.3, True),
            ("momentum", 0.0, 0.95, False),
            ("weight_decay", 0.0, 0.01, False),
        ],
        "adamw": [
            ("learning_rate", 1e-4, 1e-2, True),
            ("weight_decay", 0.0, 0.3, False),
            ("label_smoothing", 0.0, 0.2, False),
        ],
        "muon": [
            ("muon_learning_rate", 3e-3, 0.1, True),
            ("learning_rate", 3e-4, 1e-2, True),
            ("weight_decay", 0.0, 0.2, False),
            ("label_smoothing", 0.0, 0.2, False),
        ],
    }
    ranges = list(by_optimizer[recipe.optimizer])
    if "dropout" in recipe.arguments:
        ranges.append(("arguments.dropout", 0.0, 0.5, False))
    result = [
        Dimension(key, "float", min(low, own), max(high, own), log)
        for key, low, high, log in ranges
        for own in [float(value_of(recipe, key))]
    ]
    if recipe.optimizer == "sgd":
        sizes = sorted({32, 64, 128, 256, recipe.batch_size})
        result.append(Dimension("batch_size", "choice", choices=tuple(sizes)))
    return tuple(result)


def check_space(
    space: Sequence[Dimension],
    recipe: Recipe,
    *,
    classes: int,
    patch_size: tuple[int, int],
    origin: str,
) -> None:
    """Build the recipe, and where the network is touched also the network, at all ends.

    Raises RecipeError, with the key and the value, for the first that cannot be built: before any
    trial has run.
    """
    from eosin.models.networks import build_network

    for dimension in space:
        for value in dimension.tested():
            try:
                tried = recipe_with(recipe, {dimension.key: value})
                if dimension.key.partition(".")[0] in ("network", "arguments"):
                    shape: dict[str, Any] = {"classes": classes, "patch_size": patch_size}
                    build_network(tried.network, arguments=tried.arguments, **shape)
            except RecipeError as error:
                text = str(error).removeprefix("recipe: ")
                raise RecipeError(
                    f"{origin}: {dimension.key} = {shown(value)} cannot be tried: {text}"
                ) from None


def outside(space: Iterable[Dimension], recipe: Recipe) -> list[str]:
    """Keys whose value in the recipe is outside what is searched."""
    return [d.key for d in space if not d.holds(value_of(recipe, d.key))]
