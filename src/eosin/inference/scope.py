"""The out-of-scope check of a classifier: fitted on training patches, tried on probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore
from eosin.inference.fitting import SEED
from eosin.inference.predictor import Predictor
from eosin.trust.scope import cross_flagged, fit_gaussian, measure_scope

if TYPE_CHECKING:
    from eosin.inference.torch_predictor import TorchPredictor

Patches = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]

#: Training patches that the check is fitted on, and measured patches that probes are made from.
MOST_FITTED = 6000
MOST_PROBED = 500
NOT_FITTED = "no out-of-scope check: this evaluation was made without one"
TOO_FEW = "no out-of-scope check: there are too few training patches to fit it on"


def fit_scope(predictor: TorchPredictor, store: PatchStore, rows: Rows) -> bool:
    """Fit the check on (at most 6,000 of) the training patches, into the classifier itself.

    rows: int64 [N], the training patches. Returns whether there were enough of them; if not, the
    classifier has no check.
    """
    import torch

    model = predictor.model
    chosen = some(rows, MOST_FITTED, SEED)
    fitted = fit_gaussian(predictor.texture(store.patches, chosen)) if len(chosen) else None
    if fitted is None:
        model.scope_mean = model.scope_whitening = None
        return False
    center, whitening = (torch.from_numpy(part.astype(np.float32)) for part in fitted)
    model.scope_mean = center.to(predictor.machine.device)
    model.scope_whitening = whitening.to(predictor.machine.device)
    return True


def probe_scope(
    predictor: Predictor,
    store: PatchStore,
    rows: Rows,
    distances: npt.NDArray[np.float32],
    threshold: float,
    *,
    groups: npt.NDArray[np.int64] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The "scope" part of evaluation.json.

    rows: int64 [N], the measured patches, and distances: float32 [N], theirs. Probes are made from
    at most 500 of them, and from digits that scikit-learn carries. groups: int64 [N] where the
    threshold was chosen on the measured patches: each group is then judged by the others'.
    """
    chosen = some(rows, MOST_PROBED, seed)
    made = probes(np.asarray(store.patches[chosen]), seed=seed)
    far = {}
    for name, (what, patches) in made.items():
        apart = predictor.apart(patches)
        assert apart is not None, "the model has no out-of-scope check"
        far[name] = (what, apart)
    flagged = None if groups is None else cross_flagged(distances, groups)
    return measure_scope(distances, threshold, far, flagged=flagged)


def probes(patches: Patches, *, seed: int = 0) -> dict[str, tuple[str, Patches]]:
    """What the check must see as out of scope: name -> (what it is, uint8 [M, H, W, 3]).

    patches: uint8 [N, H, W, 3], from which blurred and stain-shifted ones are made.

    >>> sorted(probes(np.zeros((2, 32, 32, 3), np.uint8)))
    ['blank glass', 'digits', 'heavy blur', 'noise', 'stain shift']
    """
    import cv2

    rng = np.random.default_rng(seed)
    n, height, width, _ = patches.shape
    size = (n, height, width, 3)
    # Glass is near white with a slight tint and the camera's noise.
    light = rng.integers(225, 250, (n, 1, 1, 1)) + rng.integers(-4, 5, (n, 1, 1, 3))
    glass = np.clip(light + rng.normal(0, 2, size), 0, 255).astype(np.uint8)
    # A third of a nucleus's size in the archive's patches: nothing of a nucleus is left.
    sigma = max(height, width) / 12.5
    blurred = [cv2.GaussianBlur(patch, (0, 0), sigma) for patch in patches]
    return {
        "digits": ("handwritten digits", _digits(n, height, width)),
        "noise": ("random pixels", rng.integers(0, 256, size, dtype=np.uint8)),
        "blank glass": ("near white with camera noise", glass),
        "heavy blur": (
            f"the same patches, Gaussian blur of {sigma:.0f} pixels",
            np.asarray(blurred, np.uint8).reshape(size),
        ),
        "stain shift": ("the same patches, hue turned by 40 degrees", _turned(patches, 40)),
    }


def _digits(n: int, height: int, width: int) -> Patches:
    import cv2
    from sklearn.datasets import load_digits

    images = load_digits().images[:n]
    gray = [cv2.resize((image * (255 / 16)).astype(np.uint8), (width, height)) for image in images]
    return np.repeat(np.asarray(gray, np.uint8).reshape(-1, height, width)[..., None], 3, axis=3)


def _turned(patches: Patches, degrees: int) -> Patches:
    """The patches with every hue turned on the color circle."""
    import cv2

    tall = np.ascontiguousarray(patches).reshape(len(patches) * patches.shape[1], -1, 3)
    hsv = cv2.cvtColor(tall, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(round(degrees * 256 / 360))
    turned = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    return np.asarray(turned, np.uint8).reshape(patches.shape)


def some(rows: Rows, most: int, seed: int) -> Rows:
    """At most so many of the rows, in their order.

    >>> len(some(np.arange(100), 10, 0))
    10
    """
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
