"""The GPUs that the driver of this machine sees."""

from __future__ import annotations

import shutil
import subprocess


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
