"""The tutorial's way of training, written from its description: the reference of the benchmarks.

A Dataset opens one image file a patch with Pillow, resizes it and makes a tensor of it; a
DataLoader with two workers puts them into shuffled batches of 128; the article's network is trained
in fp32 and NCHW with plain SGD at 0.001. The loss is the corrected one (a logits loss), because
with the tutorial's own loss nothing is learned and no curve could be compared.

    files = extract("idc-sample.zip", "files", limit=4000)
    batches = loader(files)
    seconds, losses = train_steps(batches, ArticleNetwork(), 50)
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

SIDE_PX = 50


def extract(archive: str | Path, folder: str | Path, limit: int | None = None) -> list[Path]:
    """Unpack an archive as the tutorial has it: folder/CASE/CLASS/NAME.png, each patch once.

    limit: so many files, spread evenly over the archive. Files that are there already stay.
    """
    target = Path(folder)
    with zipfile.ZipFile(archive) as source:
        found = {}
        for name in sorted(source.namelist(), key=lambda name: (name.count("/"), name)):
            if name.lower().endswith(".png"):
                found.setdefault("/".join(name.split("/")[-3:]), name)
        chosen = sorted(found)
        if limit is not None and limit < len(chosen):
            chosen = [chosen[k * len(chosen) // limit] for k in range(limit)]
        paths = []
        for name in chosen:
            path = target / name
            paths.append(path)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(source.read(found[name]))
    return paths


class Files(Dataset[tuple[Tensor, int]]):
    """Image files; the folder that a file stands in is its class, "0" or "1".

    files: paths, or the folder that holds CASE/CLASS/NAME.png. normalize: mean and deviation of
    each channel, or None for values in 0..1 as the tutorial has them.
    """

    def __init__(
        self,
        files: str | Path | Sequence[Path],
        *,
        normalize: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        given = sorted(Path(files).rglob("*.png")) if isinstance(files, str | Path) else files
        self.paths = [Path(path) for path in given]
        self.labels = [int(path.parent.name) for path in self.paths]
        steps: list[Any] = [transforms.Resize((SIDE_PX, SIDE_PX)), transforms.ToTensor()]
        if normalize is not None:
            steps.append(transforms.Normalize(*normalize))
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert("RGB")), self.labels[i]


def loader(
    files: str | Path | Sequence[Path],
    *,
    batch_size: int = 128,
    workers: int = 2,
    seed: int = 0,
    normalize: tuple[Sequence[float], Sequence[float]] | None = None,
) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled batches of a folder or of listed files: (float32 [n, 3, 50, 50], int64 [n])."""
    return DataLoader(
        Files(files, normalize=normalize),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
    )


def forever(batches: Iterable[Any]) -> Iterator[Any]:
    """One epoch after the other."""
    while True:
        yield from batches


def train_steps(
    batches: Iterable[Any],
    network: nn.Module,
    steps: int,
    *,
    learning_rate: float = 0.001,
    warm_up: int = 2,
) -> tuple[float, list[float]]:
    """Train as the tutorial does: seconds of ``steps`` steps, and the loss of every step.

    network: float32 [n, 3, 50, 50] -> logits [n, 1]. warm_up: steps before the clock starts, in
    which the workers start; their losses stand first in the list.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
    measure = nn.BCEWithLogitsLoss()
    network.train()
    losses = []
    begun = time.perf_counter()
    source = forever(batches)
    for step in range(warm_up + steps):
        if step == warm_up:
            begun = time.perf_counter()
        images, labels = next(source)
        optimizer.zero_grad()
        loss = measure(network(images)[:, 0], labels.float())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - begun
    source.close()
    return seconds, losses


@torch.no_grad()
def scores(batches: Iterable[Any], network: nn.Module) -> tuple[Any, ...]:
    """Truth int64 [N] and logits float32 [N] of a network over all batches, as NumPy arrays."""
    network.eval()
    found = [(labels, network(images)[:, 0]) for images, labels in batches]
    network.train()
    return tuple(torch.cat(column).numpy() for column in zip(*found, strict=True))
