"""Heads fitted on embeddings: logistic regression and k nearest neighbors, chosen by log loss."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from eosin.errors import StoppedError
from eosin.evaluation.intervals import resampling_units
from eosin.models.knn import NearestHead
from eosin.training.batches import seeded
from eosin.training.validate import validation_figures

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

#: Inverse strengths of the penalty, from strong to weak: scikit-learn's C.
STRENGTHS = tuple(10.0**power for power in range(-6, 4))
NEIGHBORS = (1, 3, 5, 10, 20, 50, 100, 200, 500)
#: Embeddings that a head of nearest neighbors keeps at most; more are drawn from with the seed.
MOST_POINTS = 20_000
#: After so many worse choices in a row the rest is not tried: log loss has one valley.
_WORSE = 3
_FOLDS = 5
_STEPS = 1000
#: Logit of a class without a training patch.
_NEVER = -30.0


@dataclass(frozen=True)
class Part:
    """Embeddings float32 [n, D] of one part, with their labels int64 [n] and cases str [n]."""

    embeddings: npt.NDArray[np.float32]
    labels: Ints
    cases: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, rows: Ints) -> Part:
        """Some of the rows."""
        return Part(self.embeddings[rows], self.labels[rows], self.cases[rows])


@dataclass(frozen=True)
class Fitted:
    """A head, what of it was chosen, and how."""

    head: nn.Module
    #: "strength" or "neighbors", and its value.
    chosen: dict[str, float | int]
    #: Rows of metrics.jsonl.
    tried: list[dict[str, Any]]
    chosen_on: str
    #: What a reader must know: no convergence, the end of the grid, points left out.
    notes: list[str]


@dataclass(frozen=True)
class _Linear:
    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    converged: bool

    def logits(self, embeddings: Floats) -> Tensor:
        return torch.from_numpy(embeddings.astype(np.float64) @ self.weight.T + self.bias)


def fit_logistic(
    train: Part,
    val: Part,
    *,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
    tried: Callable[[dict[str, Any]], None] = lambda row: None,
    stop: Callable[[], bool] = lambda: False,
) -> Fitted:
    """Logistic regression on standardized embeddings, as one linear layer on plain ones.

    The strength is that with the least log loss on validation; without validation patches, in a
    cross-validation over the training cases, after which all of them are fitted. It is fitted by
    scikit-learn (lbfgs) on the training part alone; its standardization is folded into the layer.
    Raises StoppedError when ``stop`` is true.
    """
    all_cases = _path(train, strengths, classes)
    if len(val):
        judged, chosen_on = [(all_cases, val)], "validation"
    else:
        folds = _folds(train, seed)
        chosen_on = f"cross-validation over training cases, {len(folds)} folds"
        judged = [
            (_path(train.some(learn), strengths, classes), train.some(rest))
            for learn, rest in folds
        ]
    labels = np.concatenate([part.labels for _, part in judged])
    rows: list[dict[str, Any]] = []
    best, least, fitted = 0, np.inf, []
    started = time.perf_counter()
    for number, strength in enumerate(strengths):
        if stop():
            raise _stopped()
        result = [next(path) for path, _ in judged]
        logits = torch.cat([
            each.logits(part.embeddings) for each, (_, part) in zip(result, judged, strict=True)
        ])  # fmt: skip
        rows.append({
            "strength": strength, **validation_figures(logits, labels)[0],
            "converged": all(each.converged for each in result),
            "seconds": time.perf_counter() - started,
        })  # fmt: skip
        tried(rows[-1])
        fitted.append(result[0])
        if rows[-1]["val_loss"] < least:
            best, least = number, rows[-1]["val_loss"]
        if number - best >= _WORSE:
            break
    if not len(val):
        fitted = [next(all_cases) for _ in range(best + 1)]
    notes = []
    if not fitted[best].converged:
        notes.append(f"the fit at strength {strengths[best]:g} had not converged after {_STEPS}")
        notes[-1] += " steps"
    if best in (0, len(strengths) - 1):
        notes.append(f"the chosen strength {strengths[best]:g} is the end of those tried")
    head = nn.Linear(train.embeddings.shape[1], classes)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(fitted[best].weight))
        head.bias.copy_(torch.from_numpy(fitted[best].bias))
    return Fitted(head, {"strength": strengths[best]}, rows, chosen_on, notes)


def _path(train: Part, strengths: Sequence[float], classes: int) -> Iterator[_Linear]:
    """A fit for each strength, each started from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    center = train.embeddings.mean(0, dtype=np.float64)
    deviation = train.embeddings.std(0, dtype=np.float64)
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    scaled = (train.embeddings - center) / deviation
    model = LogisticRegression(solver="lbfgs", max_iter=_STEPS, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(scaled, train.labels)
        weight = np.zeros((classes, scaled.shape[1]))
        bias = np.full(classes, _NEVER)
        if len(model.classes_) == 2:
            # One logit z is the pair [0, z], as in all networks here.
            bias[model.classes_[0]], bias[model.classes_[1]] = 0.0, model.intercept_[0]
            weight[model.classes_[1]] = model.coef_[0]
        else:
            weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
        weight = weight / deviation
        yield _Linear(
            weight,
            bias - weight @ center,
            not any(issubclass(each.category, ConvergenceWarning) for each in caught),
        )


def _folds(train: Part, seed: int) -> list[tuple[Ints, Ints]]:
    """Pairs of rows to learn from and to judge by; no case is on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units = resampling_units(train.cases, len(train)).codes
    count = min(_FOLDS, len(np.unique(units)))
    splitter: Any = StratifiedGroupKFold(max(2, count), shuffle=True, random_state=seed)
    if count < 2:  # one case
        splitter = StratifiedKFold(2, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer patches than folds is missing in some; the others judge it.
        warnings.simplefilter("ignore")
        pairs = list(splitter.split(train.labels, train.labels, units))
    result = [
        (learn, rest)
        for learn, rest in pairs
        if len(rest) and len(np.unique(train.labels[learn])) > 1
    ]
    # Where each class has a case of its own, no fold can learn both: the fit judges itself.
    every = np.arange(len(train))
    return result or [(every, every)]


def fit_nearest(
    train: Part,
    val: Part,
    *,
    classes: int,
    distance: str = "cosine",
    neighbors: Sequence[int] = NEIGHBORS,
    most: int = MOST_POINTS,
    seed: int = 0,
    tried: Callable[[dict[str, Any]], None] = lambda row: None,
    stop: Callable[[], bool] = lambda: False,
) -> Fitted:
    """A head of the k nearest training embeddings; k has the least log loss on validation.

    Without validation patches each training patch is judged by those of other cases. At most
    ``most`` embeddings are kept, drawn with the seed. Raises StoppedError when ``stop`` is true.
    """
    notes, points = [], train
    if len(train) > most:
        order = torch.randperm(len(train), generator=seeded(seed, 2)).numpy()
        points = train.some(np.sort(order[:most]))
        notes.append(f"the head keeps {most:,} of {len(train):,} training embeddings")
    ks = [k for k in neighbors if k <= len(points)]
    head = NearestHead(
        points.embeddings.shape[1], classes, neighbors=1, points=len(points), distance=distance
    ).eval()
    head.fill(torch.from_numpy(points.embeddings), torch.from_numpy(points.labels))
    own = None
    judged, chosen_on = val, "validation"
    if not len(val):
        judged, chosen_on = points, "the training patches of other cases"
        own = torch.from_numpy(resampling_units(points.cases, len(points)).codes)
        if len(torch.unique(own)) < 2:  # one case: only the patch itself is left out
            own = torch.arange(len(points))
            chosen_on = "the other training patches"
    nearest = _nearest(head, torch.from_numpy(judged.embeddings), max(ks), own, stop)
    rows: list[dict[str, Any]] = []
    started = time.perf_counter()
    for k in ks:
        figures, _ = validation_figures(head.answer(nearest[:, :k]), judged.labels)
        rows.append({"neighbors": k, **figures, "seconds": time.perf_counter() - started})
        tried(rows[-1])
    best = min(rows, key=lambda row: float(row["val_loss"]))
    head.neighbors = int(best["neighbors"])
    if len(ks) > 1 and head.neighbors in (ks[0], ks[-1]):
        notes.append(f"the chosen number of neighbors {head.neighbors} is the end of those tried")
    return Fitted(head.train(), {"neighbors": head.neighbors}, rows, chosen_on, notes)


@torch.inference_mode()
def _nearest(
    head: NearestHead, asked: Tensor, most: int, own: Tensor | None, stop: Callable[[], bool]
) -> Tensor:
    """Numbers of the nearest points, nearest first: int64 [n, most].

    own: int64 [P]; where given, the asked are the points and those of the same number are left out.
    """
    result = []
    for start in range(0, len(asked), 1024):
        if stop():
            raise _stopped()
        near = head.nearness(asked[start : start + 1024])
        if own is not None:
            near[own[start : start + 1024, None] == own[None]] = -torch.inf
        result.append(near.topk(most, dim=1).indices)
    return torch.cat(result)


def _stopped() -> StoppedError:
    return StoppedError("stopped; the embeddings are kept, and the same command resumes with them")
