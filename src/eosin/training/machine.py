"""Where a network runs and in which precision, and the reasons; on a processor, its threads."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eosin.cores import bf16_instructions


@dataclass(frozen=True)
class Machine:
    """Where and in which precision a network runs, and why."""

    device: torch.device
    precision: str
    reason: str

    @property
    def batch(self) -> int:
        """Patches that are answered at once: 32 a thread, whose maps of 50 pixels stay in a cache.

        A GPU gets 256, and so does a processor of 8 threads or more.
        """
        return 256 if self.device.type == "cuda" else min(256, 32 * torch.get_num_threads())

    def autocast(self) -> torch.autocast:
        """A context in which matrix products and convolutions run in the chosen precision."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def __str__(self) -> str:
        text = f"{self.device}, {self.precision} ({self.reason})"
        if self.device.type != "cpu":
            return text
        count = torch.get_num_threads()
        return f"{text}, {count} thread{'s' * (count != 1)}"


def choose_machine(precision: str = "auto") -> Machine:
    """The fastest device present and the precision to use there.

    precision: "auto", "fp32" or "bf16".

    >>> choose_machine("fp32").precision
    'fp32'
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision != "auto":
        return Machine(device, precision, "as requested")
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability()
        name = torch.cuda.get_device_name()
        if major >= 8:
            return Machine(device, "bf16", f"{name} has bf16 tensor cores")
        return Machine(device, "fp32", f"{name} (capability {major}.{minor}) is slow at bf16")
    if fast := bf16_instructions():
        return Machine(device, "bf16", f"the processor has {' and '.join(fast)}")
    return Machine(device, "fp32", "the processor has no bf16 instructions")
