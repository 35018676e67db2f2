"""Classifier: uint8 patches in, logits out, with everything between them inside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from eosin.errors import RecipeError, RunError
from eosin.files import whole
from eosin.models.networks import build_network
from eosin.models.resize import prepare
from eosin.models.symmetry import symmetries, turn

FORMAT = 1
#: Tensors of the out-of-scope check; in model.safetensors once it was fitted.
_SCOPE = ("scope_mean", "scope_whitening")


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
        outputs = [self.network(self.prepare(view)) for view in self._views(patches)]
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

    def _views(self, patches: Tensor) -> list[Tensor]:
        """The patches as they are, and turned and flipped where the classifier averages so."""
        if self.views == 1:
            return [patches]
        kinds = symmetries(patches.shape[1], patches.shape[2])
        return [turn(patches, which) for which in range(min(self.views, kinds))]

    def examine(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and texture in one pass: float32 [N, K] and [N, 3 C].

        patches: uint8 [N, H, W, 3]. Texture is what the out-of-scope check looks at: for each of
        the C channels of the network's early feature map the mean over space, the logarithm of the
        deviation and that of the mean difference between neighbors. Early maps still know of
        sharpness and stain; the last ones were trained to forget both (measured: docs/log.md).
        """
        views = self._views(patches)
        early = self.network.early(self.prepare(views[0]))  # type: ignore[operator]
        outputs = [self.network.late(early)]  # type: ignore[operator]
        outputs += [self.network(self.prepare(view)) for view in views[1:]]
        return self.scaled(*outputs), texture_of(early.float())

    def distance(self, texture: Tensor) -> Tensor | None:
        """How far from the training patches, float32 [N]; about 1 for those. None where not fitted.

        texture: float32 [N, F] from ``examine``. Mahalanobis distance over the square root of F.
        """
        if self.scope_mean is None or self.scope_whitening is None:
            return None
        whitened = (texture - self.scope_mean) @ self.scope_whitening
        return whitened.square().mean(1).sqrt()

    def description(self) -> dict[str, Any]:
        """What model.json must hold to build this classifier again."""
        return {
            "format": FORMAT,
            "architecture": self.architecture,
            "arguments": self.arguments,
            "classes": list(self.classes),
            "patch_size": list(self.patch_size),
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
            "temperature": float(self.temperature),
            "views": self.views,
            "parameters": sum(p.numel() for p in self.parameters()),
        }


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


#: Below it a deviation is no longer told from none; pixels scaled to about 1 differ by more.
_FLOOR = 1e-3


def texture_of(maps: Tensor) -> Tensor:
    """Mean, log deviation and log neighbor difference of each channel: [N, C, h, w] to [N, 3 C]."""
    across = (maps[..., 1:] - maps[..., :-1]).square().mean((2, 3)).sqrt()
    down = (maps[..., 1:, :] - maps[..., :-1, :]).square().mean((2, 3)).sqrt()
    deviation = maps.var((2, 3), correction=0).sqrt()
    spreads = torch.stack([deviation, across + down], dim=1)
    return torch.cat([maps.mean((2, 3)), (spreads + _FLOOR).log().flatten(1)], dim=1)


def save_classifier(model: Classifier, folder: Path, **facts: Any) -> None:
    """Write model.safetensors and model.json (with ``facts``), each whole or not at all."""
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    for name in _SCOPE:
        if (value := getattr(model, name)) is not None:
            weights[name] = value.detach().cpu().contiguous()
    with whole(folder / "model.safetensors", durable=True) as temporary:
        temporary.write_bytes(save_tensors(weights))
    text = json.dumps({**model.description(), **facts}, indent=1, ensure_ascii=False) + "\n"
    with whole(folder / "model.json", durable=True) as temporary:
        temporary.write_bytes(text.encode())


def load_classifier(folder: Path) -> tuple[Classifier, dict[str, Any]]:
    """Read a classifier and its facts. Loading runs no code from the files.

    Raises RunError when a file is missing or damaged, or the weights do not fit the architecture.
    """
    try:
        facts = json.loads((folder / "model.json").read_text("utf-8"))
        data = (folder / "model.safetensors").read_bytes()
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise RunError(f"{folder} holds no trained model ({name} is missing)") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder}/model.json cannot be read ({error})") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise RunError(f"{folder}/model.json is not in format {FORMAT}")
    try:
        model = Classifier.build(
            str(facts["architecture"]),
            classes=[str(name) for name in facts["classes"]],
            patch_size=(int(facts["patch_size"][0]), int(facts["patch_size"][1])),
            arguments=facts["arguments"],
            mean=[float(v) for v in facts["mean"]],
            deviation=[float(v) for v in facts["deviation"]],
            temperature=float(facts["temperature"]),
            views=int(facts.get("views", 1)),
        )
    except RecipeError as error:
        raise RunError(f"{folder}/model.json: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RunError(
            f"{folder}/model.json is damaged ({type(error).__name__}: {error})"
        ) from None
    try:
        weights = load_tensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"{folder}/model.safetensors is damaged ({error})") from None
    scope = {name: weights.pop(name) for name in _SCOPE if name in weights}
    if scope and not _fits_together(scope):
        raise RunError(f"{folder}/model.safetensors: its out-of-scope tensors do not fit together")
    for name, value in scope.items():
        setattr(model, name, value)
    expected = model.network.state_dict()
    for name in sorted(set(expected) | set(weights)):
        found = tuple(weights[name].shape) if name in weights else "nothing"
        wanted = tuple(expected[name].shape) if name in expected else "nothing"
        if found != wanted:
            raise RunError(
                f"{folder}/model.safetensors does not fit its model.json: "
                f"{name} expected {wanted}, found {found}"
            )
    model.network.load_state_dict(weights)
    return model.eval(), facts


def _fits_together(scope: Mapping[str, Tensor]) -> bool:
    sizes = [tuple(scope[name].shape) for name in _SCOPE if name in scope]
    return len(sizes) == 2 and len(sizes[0]) == 1 and sizes[1] == sizes[0] * 2
