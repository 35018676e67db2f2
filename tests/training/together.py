"""What each of several processes does in test_parallel.py: the jobs of a JSON file, one by one.

Run as: python together.py JOBS, with the environment that a launcher gives.
"""

from __future__ import annotations

import copy
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from eosin.config import make_recipe
from eosin.data.store import PatchStore
from eosin.errors import StoppedError
from eosin.runs import RunFolder
from eosin.training.loop import Reporter, Trainer
from eosin.training.parallel import Team, join
from eosin.training.whole_batch import WholeBatch


def train(job: dict[str, Any], team: Team) -> None:
    """A run from job["start"] (or going on), at most job["steps"] steps, then stopped."""
    store = PatchStore.open(job["store"])
    parts = {name: np.array(rows, np.int64) for name, rows in job["parts"].items()}
    run = RunFolder(job["run"])
    if team.main and not job["resume"]:
        run.create()
    team.once(lambda: None)
    done = []
    reporter = Reporter(
        stepped=lambda epoch, step, loss: done.append(step),
        # One process asks; all must stop.
        stop=lambda: team.rank == team.count - 1 and len(done) >= job["steps"],
    )
    soft = torch.tensor(job["soft"]) if job["soft"] else None
    recipe = make_recipe(job["recipe"])
    trainer = Trainer(store, parts, recipe, run, reporter=reporter, soft=soft, team=team)
    with suppress(StoppedError):
        trainer.fit(resume=job["resume"])


class Net(nn.Module):
    """Each kind of norm and noise that the mode knows."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.4),
            nn.Conv2d(6, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False, momentum=None),
            nn.Dropout(0.2, inplace=True), nn.Flatten(), nn.Linear(4 * 36, 5), nn.BatchNorm1d(5),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.layers(images)
        kept = torch.rand(len(hidden), 1) >= 0.3
        dropped = hidden.new_empty(len(hidden), 1).bernoulli_(0.8)
        return hidden * kept * dropped


def compare_norm(bounds: list[int], team: Team, *, channels_last: bool) -> list[float]:
    """Largest differences from the whole batch in one process: loss, gradients, statistics."""
    torch.manual_seed(3)
    images = torch.randn(bounds[-1], 3, 10, 10) * 3 + 5
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    weights, plain = torch.randn(bounds[-1], 5), Net()
    shared = copy.deepcopy(plain)
    torch.manual_seed(7)
    first = images.clone().requires_grad_()
    loss = (plain(first) * weights).sum()
    loss.backward()
    mine = slice(bounds[team.rank], bounds[team.rank + 1])
    part = slice(mine.start, max(mine.stop, mine.start + 1))
    second = images.clone().requires_grad_()
    with WholeBatch(bounds[-1], mine):
        torch.manual_seed(7)
        own = (shared(second[part]) * weights[part]).sum()
        (own * float(mine.stop > mine.start)).backward()
    own = own.detach() * float(mine.stop > mine.start)
    dist.all_reduce(own)
    pairs = [(loss.detach(), own)]
    for one, two in zip([first, *plain.parameters()], [second, *shared.parameters()], strict=True):
        assert two.grad is not None
        dist.all_reduce(two.grad)
        pairs.append((one.grad, two.grad))
    pairs += zip(plain.buffers(), shared.buffers(), strict=True)
    return [
        float((one - two).abs().max() / one.abs().max().clamp(min=1.0).float())
        for one, two in pairs
    ]


def main() -> None:
    """Do the jobs."""
    torch.set_num_threads(1)
    team = join()
    path = Path(sys.argv[1])
    jobs = json.loads(path.read_text("utf-8"))
    for job in jobs["train"]:
        train(job, team)
    found = {
        f"{bounds} {last}": compare_norm(bounds, team, channels_last=last)
        for bounds in jobs["norm"]
        for last in (False, True)
    }
    if team.main:
        path.with_suffix(".found").write_text(json.dumps(found), "utf-8")
    team.leave()


if __name__ == "__main__":
    main()
