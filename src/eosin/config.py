"""Recipe: everything that decides a training run besides the data, in one frozen object.

Read from a TOML file (one of `eosin recipes` or the user's own), changed by ``--set key=value``;
an unknown key names the closest known one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eosin.errors import RecipeError, closest
from eosin.texts import from_toml

Scalar = bool | int | float | str
_RECIPES = resources.files("eosin") / "recipes"


class Recipe(BaseModel):
    """The settings of one training run.

    >>> Recipe(network="article", epochs=20).batch_size
    128
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("custom", description="What the recipe is called in tables.")
    about: str = Field("", description="What it is for, in one sentence.")

    # The network
    network: str = Field(
        "compact",
        description="Which network: article, article-verbatim, digits, compact, or encoder "
        "(arguments.encoder names one of `eosin encoders`).",
    )
    arguments: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Arguments of the network, for example width."
    )
    normalize: Literal["train", "half", "none", "encoder"] = Field(
        "train",
        description="Input scaling: mean and deviation of the training patches (train), "
        "(value - 0.5) / 0.5 (half), 0 to 1 unchanged (none), or the encoder's own (encoder).",
    )
    test_time: Literal["none", "dihedral"] = Field(
        "none",
        description="The finished classifier averages over the eight turns and flips of each patch "
        "(dihedral): eight times the time.",
    )

    probe: Literal["none", "logistic", "knn", "knn-euclidean"] = Field(
        "none",
        description="Made by `eosin probe`: the network is frozen and only a head is fitted on its "
        "embeddings, by logistic regression or k nearest neighbors.",
    )

    positive: str = Field(
        "",
        description="Which of two classes the figures are about, where it should not be the "
        "store's own positive class; empty: the store's.",
    )

    # Length and order
    epochs: int = Field(20, ge=1, le=100_000, description="Passes over the training patches.")
    batch_size: int = Field(128, ge=1, le=65_536, description="Patches a step.")
    drop_last: bool = Field(False, description="Leave out the last, smaller batch of an epoch.")
    sampling: Literal["shuffle", "balanced"] = Field(
        "shuffle", description="Every patch once an epoch, or classes drawn equally often."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Decides weights, order and augmentation.")

    # Loss
    loss: Literal["cross_entropy", "bce_of_log_softmax"] = Field(
        "cross_entropy",
        description="cross_entropy from logits (for two classes the same as BCEWithLogits), or the "
        "tutorial's mistake.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="Weigh classes by the inverse of their frequency."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the truth given to all classes alike; 0 is off."
    )

    distill_weight: float = Field(
        0.7, ge=0, le=1, description="With --teacher: share of the teacher in the loss."
    )
    distill_temperature: float = Field(
        2.0, gt=0, le=100, description="With --teacher: how much its answers are softened."
    )

    # Optimizer
    optimizer: Literal["sgd", "adamw", "muon"] = Field(
        "sgd",
        description="muon: orthogonalized momentum for convolution and hidden matrices, "
        "AdamW for the rest.",
    )
    learning_rate: float = Field(
        0.001, gt=0, le=100, description="Of SGD and AdamW; under muon, of what is not a matrix."
    )
    muon_learning_rate: float = Field(
        0.02, gt=0, le=100, description="For the matrices under muon."
    )
    momentum: float = Field(0.0, ge=0, lt=1, description="Of SGD (Nesterov) and Muon.")
    weight_decay: float = Field(0.0, ge=0, lt=10, description="Not applied to biases and norms.")
    warmup: float = Field(
        0.0, ge=0, lt=1, description="Share of all steps in which the rate rises."
    )
    decay: Literal["none", "linear", "cosine"] = Field("none", description="Down to 0 at the end.")
    clip_norm: float = Field(0.0, ge=0, description="Clip the gradient's norm; 0 is off.")
    average_decay: float = Field(
        0.0, ge=0, lt=1, description="Exponential average of the weights over steps; 0 is off."
    )

    # Training weights that are good already (an encoder, or --from)
    head_epochs: int = Field(0, ge=0, description="In this many first epochs only the head learns.")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The learning rate is multiplied by this for each block from the head down "
        "(sgd and adamw).",
    )
    freeze_norm: bool = Field(
        False, description="Batch norm keeps its statistics, scale and shift unchanged."
    )
    lora_rank: int = Field(
        0,
        ge=0,
        le=1024,
        description="Vision transformers: adapters of this rank learn instead of the weights; 0: "
        "off.",
    )
    lora_alpha: float = Field(
        16.0, gt=0, description="The adapters' part is multiplied by this over the rank."
    )
    checkpointing: bool = Field(
        False,
        description="Compute activations again instead of keeping them: less memory, more time.",
    )

    # Augmentation of whole batches (training only)
    dihedral: bool = Field(False, description="The eight turns and flips of a square.")
    shift_px: int = Field(
        0, ge=0, le=64, description="Shift by up to this many pixels, edges mirrored."
    )
    stain: float = Field(0.0, ge=0, le=1, description="Scale H, E and residual stain by 1 +- this.")
    brightness: float = Field(
        0.0, ge=0, le=1, description="Add up to +- this to the optical density."
    )
    mixup: float = Field(
        0.0, ge=0, le=10, description="Blend pairs of patches, share from Beta(this, this); 0: off."
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Paste a box of one patch into another, area from Beta(this, this); 0: off.",
    )

    # Stopping and keeping
    patience: int = Field(
        0,
        ge=0,
        description="Stop after this many epochs without a better validation AUROC; 0 is off.",
    )
    keep: Literal["last", "best"] = Field(
        "last", description="Which epoch's weights to keep; best by validation AUROC."
    )
    validate_every: int = Field(1, ge=1, description="Epochs between validations; the last always.")
    stop_when_dead: bool = Field(
        True, description="Stop after an epoch in which no weight changed."
    )

    # Machine
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the processor or the GPU is fast at it, else fp32."
    )
    micro_batch: int = Field(
        0,
        ge=0,
        le=65_536,
        description="Patches through the network at once, gradients added up to the batch; 0: the "
        "whole batch. Halved by itself where memory runs out.",
    )
    channels_last: bool = Field(True, description="Memory order of images; the same mathematics.")
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Fuse operations by torch.compile, and on a GPU record a step and replay it. "
        "auto: both on a GPU, none on a processor, where compiled steps were slower.",
    )

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Recipe:
        if (self.loss == "bce_of_log_softmax") != (self.network == "article-verbatim"):
            raise ValueError(
                "loss bce_of_log_softmax and network article-verbatim belong together; "
                "use cross_entropy with any other network"
            )
        if (self.normalize == "encoder") and self.network != "encoder":
            raise ValueError("normalize encoder needs network encoder")
        if self.layer_decay < 1 and self.optimizer == "muon":
            raise ValueError("layer_decay goes with optimizer sgd or adamw, not muon")
        return self

    def changed(self, **values: Any) -> Recipe:
        """The recipe with other values, checked.

        >>> Recipe().changed(epochs=3).epochs
        3
        """
        return make_recipe({**self.model_dump(), **values})

    def to_toml(self) -> str:
        """The recipe as TOML text that `read_recipe` reads back."""
        lines = []
        for key, value in self.model_dump().items():
            if isinstance(value, dict):
                inner = ", ".join(f"{name} = {json.dumps(item)}" for name, item in value.items())
                lines.append(f"{key} = {{ {inner} }}" if inner else f"{key} = {{}}")
            else:
                lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"


def make_recipe(values: Mapping[str, Any], *, origin: str = "recipe") -> Recipe:
    """A Recipe from plain values; every mistake becomes one sentence.

    >>> make_recipe({"epoch": 3})
    Traceback (most recent call last):
    eosin.errors.RecipeError: recipe: unknown key 'epoch'; did you mean epochs or head_epochs?
    """
    unknown = [key for key in values if key not in Recipe.model_fields]
    if unknown:
        raise RecipeError(
            f"{origin}: unknown key {unknown[0]!r}; {closest(unknown[0], Recipe.model_fields)}"
        )
    try:
        return Recipe(**values)
    except ValidationError as error:
        first = error.errors()[0]
        text = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise RecipeError(f"{origin}: {text}") from None
        key = str(first["loc"][0])
        raise RecipeError(f"{origin}: {key} = {values.get(key)!r}: {text}") from None


def recipe_names() -> list[str]:
    """The names of the built-in recipes."""
    names = [file.name for file in _RECIPES.iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def read_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """A built-in recipe by name, or the user's own by its path, with ``key=value`` changes.

    Raises RecipeError for an unknown name, unreadable TOML, an unknown key or a value out of range.

    >>> read_recipe("article", ["epochs=2", "arguments.width=8"]).epochs
    2
    """
    values = _read_toml(name)
    for setting in settings:
        key, separator, text = setting.partition("=")
        key = key.strip()
        if not separator or not key:
            raise RecipeError(f"--set {setting!r}: write key=value, for example --set epochs=5")
        head, _, tail = key.partition(".")
        if head not in Recipe.model_fields:
            raise RecipeError(f"--set {key}: unknown key; {closest(head, Recipe.model_fields)}")
        value = _parse(text)
        values[head] = {**values.get(head, {}), tail: value} if tail else value
    return make_recipe(values, origin=name)


def _read_toml(name: str) -> dict[str, Any]:
    path = Path(name)
    if name in recipe_names():
        text = (_RECIPES / f"{name}.toml").read_text("utf-8")
    elif path.suffix == ".toml":
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: the recipe cannot be read ({error})") from None
    else:
        raise RecipeError(
            f"{name!r} is neither a built-in recipe nor a .toml file; "
            f"{closest(name, recipe_names())}"
        )
    try:
        return from_toml(text)
    except ValueError as error:
        raise RecipeError(f"{name}: not valid TOML ({error})") from None


def _parse(text: str) -> Any:
    """A value as TOML writes it; a bare word is a string."""
    try:
        return from_toml(f"v = {text.strip()}")["v"]
    except ValueError:
        return text.strip()
