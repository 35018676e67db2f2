"""resume.pt: the state of a training between two steps, written complete or not at all.

Order, augmentation and dropout are functions of (seed, epoch, step), so the state needs no random
generators: weights, optimizer, average, position and history are all of it. It is read with
``weights_only=True``: a hostile file cannot run code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eosin.errors import RunError
from eosin.folders import whole_file

FORMAT = 1


@dataclass
class Position:
    """How far training has come."""

    #: Full epochs done, and steps done in the one under way.
    epoch: int = 0
    step: int = 0
    #: Sum of the loss over the steps of the epoch under way, and seconds trained before.
    loss_sum: float = 0.0
    seconds: float = 0.0
    #: The best validation score, its epoch, and the kept weights (empty unless keep = "best").
    best_score: float = float("-inf")
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)


def save_checkpoint(path: Path, position: Position, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) and the position.

    Several processes may write the same file at the same time.
    """
    with whole_file(path, durable=True) as temporary, open(temporary, "wb") as file:
        torch.save({"format": FORMAT, "position": vars(position), **state}, file)


def load_checkpoint(path: Path) -> tuple[Position, dict[str, Any]]:
    """Read what `save_checkpoint` wrote; raises RunError for anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise RunError(f"{path} has format {state['format']!r}, this version reads {FORMAT}")
        return Position(**state.pop("position")), state
    except FileNotFoundError:
        raise RunError(f"{path.parent} has no checkpoint (resume.pt) to resume from") from None
    except RunError:
        raise
    except Exception as error:
        # torch's reader refuses what is hostile or garbled with many kinds of exception.
        first = str(error).strip().splitlines()[0][:120] if str(error).strip() else "unreadable"
        raise RunError(f"{path} is not a checkpoint of eosin or is damaged ({first})") from None
