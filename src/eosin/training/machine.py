"""What the machine is good at: allocator, device, precision, and the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from eosin.memory import keep_freed_memory as keep_freed_memory


@dataclass(frozen=True)
class Machine:
    """Where and in which precision a network runs, and why."""

    device: torch.device
    precision: str
    reason: str

    def autocast(self) -> torch.autocast:
        """A context in which matrix products and convolutions run in the chosen precision."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def __str__(self) -> str:
        return f"{self.device}, {self.precision} ({self.reason})"


def choose_machine(precision: str = "auto") -> Machine:
    """The fastest device present and the precision to use there.

    precision: "auto", "fp32" or "bf16".

    >>> choose_machine("fp32").precision
    'fp32'
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision != "auto":
        return Machine(device, precision, "as asked for")
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability()
        name = torch.cuda.get_device_name()
        if major >= 8:
            return Machine(device, "bf16", f"{name} has bf16 tensor cores")
        return Machine(device, "fp32", f"{name} (capability {major}.{minor}) is slow at bf16")
    found = sorted({"avx512_bf16", "amx_bf16"} & _processor_flags())
    if found:
        return Machine(device, "bf16", f"the processor has {' and '.join(found)}")
    return Machine(device, "fp32", "the processor has no bf16 instructions")


def _processor_flags() -> set[str]:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    except OSError:
        return set()
    return set()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the device or in the machine."""
    return (
        isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        or "can't allocate memory" in str(error)
        or "out of memory" in str(error).lower()
    )
