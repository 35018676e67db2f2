"""Explanation: which parts of a patch a classifier's score depends on (Grad-CAM and occlusion).

A map shows what the score depends on. It does not show where tumor is, and it is no evidence that
the model looks at the right thing for the right reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from eosin.errors import UserError
from eosin.inference.maps import METHODS, Maps, Method, scaled_maps
from eosin.models.classifier import Classifier
from eosin.runtime.exported import check_patches

Patches = npt.NDArray[np.uint8]

#: Below these largest values a map is rounding error and is returned as 0. Both are in units of the
#: target's log odds, where 1e-4 moves no probability by more than 0.000025.
_FLOOR: dict[str, float] = {"grad-cam": 1e-6, "occlusion": 1e-4}
#: Input pixels computed at once: 64 images of 50x50, whose maps stay in a processor's cache.
_BATCH_PIXELS = 64 * 50 * 50


def explain(
    model: Classifier,
    patches: Patches,
    *,
    target: int | Sequence[int] | None = None,
    method: Method = "grad-cam",
    scaled: bool = True,
) -> Maps:
    """What the target's score depends on: float32 [N, H, W], one map a patch, 0 or more.

    patches: uint8 [N, H, W, 3], any H and W that the classifier takes.
    target: the class to explain, one for all or one a patch; by default the most probable one.
    method: "grad-cam" weighs the channels of the network's last feature map by the mean gradient of
    the score, keeps the positive part and enlarges it (bilinear); it is as coarse as that map.
    "occlusion" covers windows of a fifth of the side, half a window apart, with the color that the
    network takes as 0 (the mean of the training patches under ``normalize = "train"``), and gives
    every pixel the mean drop of the score over the windows that cover it.
    scaled: divide each map by its own maximum, so that maps of two patches compare in place and
    not in strength; drops below 0 become 0. With False, values keep their unit: occlusion gives log
    odds, with a sign.

    The score is the log odds of the target against all other classes: for one logit z it is z or
    -z, it does not saturate as a probability does, and a constant added to all logits leaves it.
    A model that gives the same answer to every image gives maps of 0; ``why_empty`` explains. The
    model's mode, gradients and device stay as they were.

    Grad-CAM: Selvaraju et al. 2017, ICCV; occlusion: Zeiler and Fergus 2014, ECCV.

    Raises UserError for Grad-CAM of a network without a feature map, ValueError for wrong shapes,
    an unknown method or a class that the model does not have.

    >>> model = Classifier.build("compact", classes=["negative", "positive"], patch_size=(32, 32))
    >>> patches = np.zeros((2, 40, 40, 3), np.uint8)
    >>> explain(model, patches, target=1, method="occlusion").shape
    (2, 40, 40)
    """
    check_patches(patches)
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    classes = len(model.classes)
    targets = None if target is None else np.broadcast_to(np.asarray(target), len(patches))
    if targets is not None and len(targets) and not 0 <= targets.min() <= targets.max() < classes:
        raise ValueError(f"target {targets.tolist()[:5]} is not among the {classes} classes")
    size = patches.shape[1:3]
    maps = np.zeros((len(patches), *size), np.float32)
    with _as_it_was(model):
        layer = feature_layer(model)[0] if method == "grad-cam" else None
        height, width = model.patch_size
        step = max(1, _BATCH_PIXELS // (height * width))
        for start in range(0, len(patches), step):
            block = torch.from_numpy(np.array(patches[start : start + step])).to(model.mean.device)
            images = model.prepare(block)
            if targets is None:
                with torch.no_grad():
                    chosen = _logits(model, images).nan_to_num().argmax(1)
            else:
                chosen = torch.tensor(targets[start : start + step], device=images.device)
            raw = (
                _occlusion(model, images, chosen)
                if layer is None
                else _grad_cam(model, layer, images, chosen)
            )
            raw = functional.interpolate(
                raw.nan_to_num(0.0, 0.0, 0.0), size=size, mode="bilinear", align_corners=False
            )
            maps[start : start + len(block)] = raw[:, 0].float().cpu().numpy()
    highest = np.abs(maps).max((1, 2), initial=0.0)
    maps[highest < _FLOOR[method]] = 0.0
    return scaled_maps(maps) if scaled else maps


def feature_layer(model: Classifier) -> tuple[nn.Module, tuple[int, int]]:
    """The last module that gives a feature map with a side above 1, and the map's (height, width).

    A pass of an empty patch finds it. A map that tokens come after (a vision transformer), or
    whose channels come last, does not count: its mean gradients would mean nothing.
    Raises UserError where there is none.

    >>> model = Classifier.build("article", classes=["negative", "positive"], patch_size=(50, 50))
    >>> layer, size = feature_layer(model)
    >>> layer is model.network.conv3, size
    (True, (9, 9))
    """
    if model.architecture == "ensemble":
        # The last map would be that of the last member alone.
        raise UserError(
            "an ensemble has a feature map in every member and none of its own, so Grad-CAM cannot "
            "explain it; use occlusion, or explain a member"
        )
    calls: dict[nn.Module, int] = {}
    shapes: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(output, Tensor) and output.is_floating_point():
            shapes.append((module, tuple(output.shape)))

    inner = [module for module in model.network.modules() if module is not model.network]
    hooks = [module.register_forward_hook(note) for module in inner]
    try:
        with _as_it_was(model), torch.no_grad():
            empty = torch.zeros(1, *model.patch_size, 3, dtype=torch.uint8)
            _logits(model, model.prepare(empty.to(model.mean.device)))
    finally:
        for hook in hooks:
            hook.remove()
    for module, shape in reversed(shapes):
        if len(shape) == 3 and min(shape[1:]) > 1:
            break
        # A module that is called twice keeps only its last output.
        if len(shape) == 4 and max(shape[2:]) > 1 and calls[module] == 1:
            if not _same_form(shape[2:], model.patch_size):
                break
            return module, (shape[2], shape[3])
    raise UserError(
        f"the network {model.architecture!r} has no feature map of the patch's shape, so "
        "Grad-CAM cannot explain it; use occlusion"
    )


def _same_form(cells: tuple[int, ...], patch: tuple[int, int]) -> bool:
    """Whether height to width is the patch's, as far as so few cells can show."""
    ratio = cells[0] * patch[1] / (cells[1] * patch[0])
    return cells[0] <= patch[0] and cells[1] <= patch[1] and 0.5 <= ratio <= 2.0


def _grad_cam(model: Classifier, layer: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Raw positive maps: float [n, 1, h, w] of the layer's size."""
    from captum.attr import LayerGradCam  # type: ignore[import-untyped]

    def score(inputs: Tensor) -> Tensor:
        return _log_odds(model, inputs, targets)

    # Frozen weights leave the input as the only thing that a gradient can come from.
    inputs = images.detach().clone().requires_grad_()
    maps: Tensor = LayerGradCam(score, layer).attribute(inputs, relu_attributions=True)
    return maps.detach()


def _occlusion(model: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    """Mean drop of the score by pixel, with its sign: float [n, 1, h, w]."""
    from captum.attr import Occlusion

    def score(inputs: Tensor) -> Tensor:
        # captum lays the copies of the batch one after the other.
        return _log_odds(model, inputs, targets.repeat(len(inputs) // len(targets)))

    window, stride = occlusion_windows((images.shape[2], images.shape[3]))
    pixels = images.shape[0] * images.shape[2] * images.shape[3]
    with torch.no_grad():
        drops: Tensor = Occlusion(score).attribute(
            images,
            sliding_window_shapes=(images.shape[1], *window),
            strides=(images.shape[1], *stride),
            baselines=0.0,
            perturbations_per_eval=max(1, _BATCH_PIXELS // pixels),
        )
    # A window covers all channels at once, so every channel has the same values.
    return drops[:, :1]


def occlusion_windows(size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The window and the stride, each (height_px, width_px), for a patch of the model's size.

    >>> occlusion_windows((50, 50))
    ((10, 10), (5, 5))
    """
    height, width = (max(1, round(side / 5)) for side in size)
    return (height, width), (max(1, height // 2), max(1, width // 2))


def _log_odds(model: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    """Log odds of each image's target against all other classes: float [n]."""
    logits = _logits(model, images)
    own = functional.one_hot(targets, logits.shape[1]).bool()
    others = logits.masked_fill(own, -torch.inf).logsumexp(1)
    score: Tensor = logits.gather(1, targets[:, None])[:, 0] - others
    return score


def _logits(model: Classifier, images: Tensor) -> Tensor:
    return model.scaled(model.network(images))


@contextmanager
def _as_it_was(model: Classifier) -> Iterator[None]:
    """Evaluation mode, outside of any inference mode; every module's own mode comes back after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        device = model.mean.device.type
        with torch.inference_mode(False), torch.autocast(device, enabled=False):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
