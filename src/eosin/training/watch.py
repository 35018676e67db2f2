"""The loss while training: read at once on a processor, some steps late on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class LossWatch:
    """Reads losses without making a GPU wait.

    On a GPU one loss at a time is on its way into pinned memory; when an event reports that it has
    arrived, it is returned and the next one is sent. So a loss is seen some steps late, and not
    every one; one that is not finite stays so, and is seen at the next look.
    ``together``: every 50th, waiting for it, so that all processes see the same one.

    >>> LossWatch(torch.device("cpu")).see(1, torch.tensor(0.5))
    (1, 0.5)
    """

    def __init__(self, device: torch.device, *, together: bool = False) -> None:
        self._late = device.type == "cuda" and not together
        self._every = 50 if device.type == "cuda" and together else 1
        self._sent = 0
        if self._late:
            self._slot = torch.zeros((), pin_memory=True)
            self._event: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def restart(self) -> None:
        """Forget what is on its way; a new epoch counts its steps from 1."""
        self._sent = 0

    def see(self, step: int, loss: Tensor) -> tuple[int, float] | None:
        """Note the loss, a scalar, of a step from 1; returns a step and its loss once arrived."""
        if not self._late:
            return (step, float(loss)) if step % self._every == 0 else None
        arrived = None
        if self._sent and self._event.query():
            arrived, self._sent = (self._sent, float(self._slot)), 0
        if not self._sent:
            self._slot.copy_(loss.detach(), non_blocking=True)
            self._event.record()
            self._sent = step
        return arrived
