"""What this machine may use: cores, memory and instructions, within the limits of a container."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")

#: A version-1 limit of this size or more means "none".
_NO_LIMIT = 1 << 60


def usable_cores(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> tuple[int, int]:
    """Cores that this process may use (affinity and container quota) and cores of the machine."""
    present = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    quotas = []
    for folder in _groups("cpu", proc, cgroups):
        text = _read(folder / "cpu.max").split()  # version 2: quota and period, or "max"
        if len(text) != 2:  # version 1
            text = [_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        with contextlib.suppress(ValueError):
            if int(text[0]) > 0:
                quotas.append(max(1, math.ceil(int(text[0]) / int(text[1]))))
    return min([allowed, *quotas]), present


def memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> tuple[int, int] | None:
    """Total and available memory in bytes that this process may use; None where not told."""
    found = _meminfo(proc)
    if found is None:
        return None
    total, available = found
    for folder in _groups("memory", proc, cgroups):
        limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        used = _read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")
        if not limit.isdigit() or int(limit) >= _NO_LIMIT:
            continue
        total = min(total, int(limit))
        if used.isdigit():
            # Pages of files that can be dropped at once count as used, but are free for us.
            spare = _statistic(_read(folder / "memory.stat"), "inactive_file")
            available = min(available, max(0, int(limit) - int(used) + spare))
    return total, min(available, total)


def _meminfo(proc: Path) -> tuple[int, int] | None:
    found = {}
    for line in _read(proc / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if value.split()[:1] and value.split()[0].isdigit():
            found[name] = int(value.split()[0]) * 1024
    if "MemTotal" in found:
        return found["MemTotal"], found.get("MemAvailable", found["MemTotal"])
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # Windows
        return None
    return total, total


def _groups(controller: str, proc: Path, cgroups: Path) -> Iterator[Path]:
    """The folders of this process's group and those above it, each of which may set a limit."""
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            root = cgroups
        elif controller in controllers.split(","):
            root = (
                cgroups / controllers if (cgroups / controllers).is_dir() else cgroups / controller
            )
        else:
            continue
        folder = root / path.lstrip("/")
        while folder != root.parent:
            if folder.is_dir():
                yield folder
            folder = folder.parent


def _statistic(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def processor(proc: Path = _PROC) -> tuple[str, set[str]]:
    """The processor's name ("" if unknown) and its instruction sets as Linux names them."""
    name, flags = "", set()
    for line in _read(proc / "cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    return name, flags


def nvidia_devices() -> list[str]:
    """The NVIDIA devices that the driver knows, as "name, driver version"; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def _read(path: Path) -> str:
    """The text of a small system file, or "" where there is none."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
