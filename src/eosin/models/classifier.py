"""Classifier: uint8 patches in, logits out, with everything between them inside."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from eosin.errors import RecipeError, RunError
from eosin.folders import whole_file, whole_files
from eosin.models.networks import build_network
from eosin.models.resize import prepare
from eosin.models.symmetry import views_of
from eosin.records.marks import Mark
from eosin.records.model import FITTED, MODEL, Fitted, ModelFacts, read_object
from eosin.records.weights import SCOPE_TENSORS, WEIGHTS, tensors_digest, weights_digest

#: What ``Classifier.build`` takes of a model's facts, besides the architecture.
_BUILT_FROM = (
    "classes", "patch_size", "arguments", "mean", "deviation", "temperature", "views",
)  # fmt: skip


class Classifier(nn.Module):
    """Patches as they are stored in, logits out; scaling, resize and temperature are inside.

    forward(patches: uint8 [N, H, W, 3]) -> logits float32 [N, K], K >= 2; softmax gives
    probabilities. A network with one logit z is used as [0, z], which is the same mathematics as
    the sigmoid of z. Patches of another size than ``patch_size`` are resized (bilinear,
    antialiased). With 8 ``views`` the answer is the mean over the turns and flips of each patch.

    >>> model = Classifier.build("compact", classes=["negative", "positive"], patch_size=(50, 50))
    >>> model(torch.zeros(2, 50, 50, 3, dtype=torch.uint8)).shape
    torch.Size([2, 2])
    """

    mean: Tensor
    deviation: Tensor
    temperature: Tensor
    #: Center [F] and whitening [F, F] of the training patches' texture; None until fitted.
    scope_mean: Tensor | None
    scope_whitening: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        *,
        architecture: str,
        arguments: Mapping[str, Any],
        classes: Sequence[str],
        patch_size: tuple[int, int],
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        deviation: Sequence[float] = (1.0, 1.0, 1.0),
        temperature: float = 1.0,
        views: int = 1,
    ) -> None:
        super().__init__()
        if views not in (1, 8):
            raise RecipeError(f"a classifier sees 1 or 8 views of a patch, not {views}")
        self.views = views
        if len(classes) < 2:
            raise RecipeError(f"a classifier needs at least two classes, not {list(classes)}")
        self.network = network
        self.architecture = architecture
        self.arguments = dict(arguments)
        self.classes = tuple(classes)
        self.patch_size = (int(patch_size[0]), int(patch_size[1]))
        self.register_buffer("mean", torch.tensor(list(mean), dtype=torch.float32), False)
        self.register_buffer("deviation", torch.tensor(list(deviation), dtype=torch.float32), False)
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float32), False)
        self.register_buffer("scope_mean", None, False)
        self.register_buffer("scope_whitening", None, False)

    @classmethod
    def build(
        cls,
        architecture: str,
        *,
        classes: Sequence[str],
        patch_size: tuple[int, int],
        arguments: Mapping[str, Any] | None = None,
        **scaling: Any,
    ) -> Classifier:
        """A classifier with fresh weights; ``scaling``: mean, deviation, temperature."""
        network = build_network(
            architecture, classes=len(classes), patch_size=patch_size, arguments=arguments
        )
        return cls(
            network,
            architecture=architecture,
            arguments=arguments or {},
            classes=classes,
            patch_size=patch_size,
            **scaling,
        )

    def forward(self, patches: Tensor) -> Tensor:
        """patches: uint8 [N, H, W, 3]. Returns logits float32 [N, K]."""
        outputs = [self.network(self.prepare(view)) for view in views_of(patches, self.views)]
        return self.scaled(*outputs)

    def prepare(self, patches: Tensor) -> Tensor:
        """The network's input: uint8 [N, H, W, 3] to float32 [N, 3, h, w], scaled, patch-sized."""
        return prepare(patches, self.patch_size, self.mean, self.deviation)

    def scaled(self, *outputs: Tensor) -> Tensor:
        """Logits float32 [N, K] from what the network gives: float [N, K], or [N, 1].

        Of several views of the same patches: the logarithm of their mean probability.
        """
        views = [two_columns(each.float()) for each in outputs]
        logits = views[0] if len(views) == 1 else mean_answer(torch.stack(views))
        return logits / self.temperature

    def examine(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and texture in one pass: float32 [N, K] and [N, 3 C].

        patches: uint8 [N, H, W, 3]. Texture is what the out-of-scope check looks at: for each of
        the C channels of the network's early feature map the mean over space, the logarithm of the
        deviation and that of the mean difference between neighbors. Early maps still show
        sharpness and stain; the last ones were trained to forget both (measured: docs/log.md).
        """
        views = views_of(patches, self.views)
        early = self.network.early(self.prepare(views[0]))  # type: ignore[operator]
        outputs = [self.network.late(early)]  # type: ignore[operator]
        outputs += [self.network(self.prepare(view)) for view in views[1:]]
        return self.scaled(*outputs), texture_of(early.float())

    def texture(self, patches: Tensor) -> Tensor:
        """The texture that ``examine`` gives, float32 [N, 3 C], without the rest of the network.

        patches: uint8 [N, H, W, 3].
        """
        early = self.network.early(self.prepare(patches))  # type: ignore[operator]
        return texture_of(early.float())

    def distance(self, texture: Tensor) -> Tensor | None:
        """How far from the training patches, float32 [N]; about 1 for those. None where not fitted.

        texture: float32 [N, F] from ``examine``. Mahalanobis distance over the square root of F.
        """
        if self.scope_mean is None or self.scope_whitening is None:
            return None
        whitened = (texture - self.scope_mean) @ self.scope_whitening
        return whitened.square().mean(1).sqrt()

    def facts(self, **known: Any) -> ModelFacts:
        """What model.json has on this classifier, with what else is known of it.

        >>> model = Classifier.build("compact", classes=["n", "p"], patch_size=(9, 9))
        >>> model.facts(epochs=3).epochs
        3
        """
        return ModelFacts(
            architecture=self.architecture,
            arguments=self.arguments,
            classes=self.classes,
            patch_size=self.patch_size,
            mean=tuple(self.mean.tolist()),
            deviation=tuple(self.deviation.tolist()),
            views=self.views,
            parameters=sum(p.numel() for p in self.parameters()),
            **known,
        )


def two_columns(logits: Tensor) -> Tensor:
    """One logit z, float [N, 1], as [0, z]; more columns stay as they are.

    >>> two_columns(torch.tensor([[3.0]]))
    tensor([[0., 3.]])
    """
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def mean_answer(logits: Tensor) -> Tensor:
    """The logarithm of the mean probability: float [V, N, K] to [N, K].

    >>> mean_answer(torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])).exp()
    tensor([[0.5000, 0.5000]])
    """
    return torch.logsumexp(logits.log_softmax(-1), 0) - math.log(len(logits))


#: Smaller deviations do not count as texture; pixels scaled to about 1 differ by more.
_FLOOR = 1e-3


def texture_of(maps: Tensor) -> Tensor:
    """Mean, log deviation and log neighbor difference of each channel: [N, C, h, w] to [N, 3 C]."""
    # torch's own variance takes three times as long as all of this.
    mean = maps.mean((2, 3), keepdim=True)
    across, down, deviation = (
        each.square_().mean((2, 3)).sqrt()
        for each in (
            maps[..., 1:] - maps[..., :-1],
            maps[..., 1:, :] - maps[..., :-1, :],
            maps - mean,
        )
    )
    spreads = torch.stack([deviation, across + down], dim=1)
    return torch.cat([mean.flatten(1), (spreads + _FLOOR).log().flatten(1)], dim=1)


def save_classifier(model: Classifier, folder: Path, facts: ModelFacts | None = None) -> ModelFacts:
    """Write model.safetensors and model.json when training ends; returns the facts as written.

    facts: what is known of the model, by default ``model.facts()``. What is fitted afterwards
    does not go into these files: see ``save_fitted``. Both files appear together, or none.
    """
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    data = save_tensors(weights)
    digest = tensors_digest(data)
    facts = (facts or model.facts()).model_copy(update={"weights_digest": digest})
    with whole_files(folder) as new:
        new(WEIGHTS).write_bytes(data)
        new(MODEL).write_text(_as_text(facts.to_json()), "utf-8")
    return facts


def fitted_text(fitted: Fitted, model: Classifier) -> str:
    """The content of fitted.json: what was fitted, with the out-of-scope check of the model.

    The tensors of the check are in the same file, so one rename changes all that was fitted.
    """
    tensors = {
        name: _encoded(value)
        for name in SCOPE_TENSORS
        if (value := getattr(model, name)) is not None
    }
    return _as_text({**fitted.to_json(), "scope_tensors": tensors})


def save_fitted(folder: Path, fitted: Fitted, model: Classifier) -> Fitted:
    """Write fitted.json for the network in a folder; returns what was fitted, with its digest."""
    fitted = fitted.model_copy(update={"weights_digest": weights_digest(folder)})
    with whole_file(folder / FITTED, durable=True) as temporary:
        temporary.write_text(fitted_text(fitted, model), "utf-8")
    return fitted


_REPLACED = (
    f"{WEIGHTS} is not the file that training wrote: what is known of the training may not be true "
    "of it, and temperature, operating points and the out-of-scope limit are not used"
)


def load_classifier(folder: Path) -> tuple[Classifier, ModelFacts]:
    """Read a classifier and what is known of it. Loading runs no code from the files.

    Raises RunError when a file is missing or damaged, or the weights do not fit the architecture.
    """
    file = folder / MODEL
    described = read_object(file)
    fitted = read_object(folder / FITTED) if (folder / FITTED).exists() else {}
    check = fitted.pop("scope_tensors", None)
    try:
        data = (folder / WEIGHTS).read_bytes()
        digest, weights = tensors_digest(data), load_tensors(data)
    except FileNotFoundError:
        raise RunError(
            f"{folder} does not contain a trained model ({WEIGHTS} is missing)"
        ) from None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"{folder / WEIGHTS} is damaged ({error})") from None
    facts = ModelFacts.read({**described, "weights_digest": digest}, fitted, file=str(file))
    if described.get("weights_digest", digest) != digest:
        facts = facts.model_copy(update={"marks": (*facts.marks, Mark("other", _REPLACED))})
    try:
        known = {name: getattr(facts, name) for name in _BUILT_FROM}
        model = Classifier.build(facts.architecture, **known)
    except (RecipeError, TypeError, ValueError, KeyError) as error:
        raise RunError(f"{file}: {error}") from None
    earlier = {name: weights.pop(name) for name in SCOPE_TENSORS if name in weights}
    scope = _decoded(check, folder / FITTED) if fitted else earlier
    shapes = [tuple(scope[name].shape) for name in SCOPE_TENSORS if name in scope]
    if scope and not (len(shapes) == 2 and len(shapes[0]) == 1 and shapes[1] == shapes[0] * 2):
        raise RunError(f"{folder}: the tensors of its out-of-scope check do not fit together")
    for name, value in scope.items():
        setattr(model, name, value)
    expected = model.network.state_dict()
    for name in sorted(set(expected) | set(weights)):
        shape = tuple(weights[name].shape) if name in weights else "nothing"
        needed = tuple(expected[name].shape) if name in expected else "nothing"
        if shape != needed:
            raise RunError(
                f"{folder / WEIGHTS} does not fit its {MODEL}: {name} should be {needed}, "
                f"and is {shape}"
            )
    model.network.load_state_dict(weights)
    return model.eval(), facts


def _as_text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _encoded(tensor: Tensor) -> dict[str, Any]:
    """A tensor for JSON: its shape, and float32 little-endian in base64."""
    values = tensor.detach().cpu().numpy().astype("<f4")
    return {"shape": list(values.shape), "float32": base64.b64encode(values.tobytes()).decode()}


def _decoded(check: Any, file: Path) -> dict[str, Tensor]:
    try:
        return {
            name: torch.from_numpy(
                np.frombuffer(base64.b64decode(each["float32"], validate=True), "<f4")
                .astype(np.float32)
                .reshape([int(side) for side in each["shape"]])
            )
            for name, each in dict(check or {}).items()
            if name in SCOPE_TENSORS
        }
    except (TypeError, KeyError, ValueError) as error:
        raise RunError(f"{file} is damaged (scope_tensors: {error}); evaluate again") from None
