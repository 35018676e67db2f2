"""What a classifier costs: parameters, size on disk, operations and measured speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eosin.models.classifier import Classifier
from eosin.training.machine import choose_machine

ROUNDS = 5
_BATCH = 256
#: A round lasts at least so long for every model, so that the clock's resolution does not matter.
_SECONDS = 0.3


def size_of(model: Classifier, folder: Path) -> dict[str, Any]:
    """parameters, megabytes of model.safetensors, and million operations a patch.

    An operation is a multiplication or an addition, as torch counts them in convolutions and
    matrix products; a classifier with eight views needs eight times as many.
    """
    from torch.utils.flop_counter import FlopCounterMode

    device = model.mean.device
    patch = torch.zeros(1, *model.patch_size, 3, dtype=torch.uint8, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(patch)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "megabytes": (folder / "model.safetensors").stat().st_size / 1e6,
        "mflop": counter.get_total_flops() / 1e6,
    }


def speeds(
    models: Mapping[str, Classifier], patches: npt.NDArray[np.uint8], *, precision: str = "fp32"
) -> dict[str, float]:
    """Patches a second of each model: the median of five rounds, the models taking turns.

    patches: uint8 [N, H, W, 3], N >= 1, repeated to a batch of 256. In one process and turn by
    turn, so that other work on the machine slows all of them alike.
    """
    machine = choose_machine(precision)
    batch = torch.from_numpy(np.resize(patches, (_BATCH, *patches.shape[1:]))).to(machine.device)
    ready = {name: model.eval().to(machine.device) for name, model in models.items()}

    def seconds(model: Classifier, times: int) -> float:
        _wait(machine.device)
        started = time.perf_counter()
        for _ in range(times):
            model(batch)
        _wait(machine.device)
        return time.perf_counter() - started

    result: dict[str, list[float]] = {name: [] for name in ready}
    with torch.inference_mode(), machine.autocast():
        first = {name: seconds(model, 1) and seconds(model, 1) for name, model in ready.items()}
        times = {name: max(1, round(_SECONDS / max(spent, 1e-6))) for name, spent in first.items()}
        for _ in range(ROUNDS):
            for name, model in ready.items():
                result[name].append(_BATCH * times[name] / seconds(model, times[name]))
    return {name: statistics.median(each) for name, each in result.items()}


def _wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
