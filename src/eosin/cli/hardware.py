"""What this process may use: memory, within the limits of a container, and GPUs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from eosin.cores import CGROUPS, PROC, control_groups, read_system_file

#: A version-1 limit of this size or more means "none".
_NO_LIMIT = 1 << 60


def memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[int, int] | None:
    """Total and available memory in bytes that this process may use; None where unknown."""
    sizes = _meminfo(proc)
    if sizes is None:
        return None
    total, available = sizes
    for folder in control_groups("memory", proc, cgroups):
        limit, used = (
            read_system_file(folder / f"memory.{new}") or read_system_file(folder / f"memory.{old}")
            for new, old in (("max", "limit_in_bytes"), ("current", "usage_in_bytes"))
        )
        if not limit.isdigit() or int(limit) >= _NO_LIMIT:
            continue
        total = min(total, int(limit))
        if used.isdigit():
            # Pages of files that can be dropped at once count as used, but are free for us.
            spare = _statistic(read_system_file(folder / "memory.stat"), "inactive_file")
            available = min(available, max(0, int(limit) - int(used) + spare))
    return total, min(available, total)


def _meminfo(proc: Path) -> tuple[int, int] | None:
    text = read_system_file(proc / "meminfo")
    total, available = (_statistic(text, f"{name}:") for name in ("MemTotal", "MemAvailable"))
    if total:
        return total * 1024, (available or total) * 1024
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # Windows
        return None
    return total, total


def _statistic(text: str, name: str) -> int:
    """The number after a name, on a line of its own; 0 where there is none."""
    match = re.search(rf"^{re.escape(name)}\s+(\d+)", text, re.M)
    return int(match[1]) if match else 0


def nvidia_devices() -> list[str]:
    """The NVIDIA devices that the driver sees, as "name, driver version"; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []
