"""The processor, and the cores that this process may use within its container's limits."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[int, int]:
    """Cores that this process may use (affinity and container quota) and cores of the machine.

    proc, cgroups: where Linux describes processes and limits; elsewhere they do not exist.

    >>> usable, present = usable_cores()
    >>> 1 <= usable <= present
    True
    """
    present = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    quotas = []
    for folder in control_groups("cpu", proc, cgroups):
        text = read_system_file(folder / "cpu.max").split()  # version 2: quota and period, or "max"
        if len(text) != 2:  # version 1
            text = [read_system_file(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        with contextlib.suppress(ValueError):
            if int(text[0]) > 0:
                quotas.append(max(1, math.ceil(int(text[0]) / int(text[1]))))
    return min([allowed, *quotas]), present


def processor(proc: Path = PROC) -> tuple[str, set[str]]:
    """The processor's name ("" if unknown) and its instruction sets, as Linux names them."""
    name, flags = "", set()
    for line in read_system_file(proc / "cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    return name, flags


#: What people call instructions that change speed or digits -> how Linux names them.
_INSTRUCTIONS = {
    "AVX2": {"avx2"}, "AVX-512": {"avx512f"}, "VNNI": {"avx512_vnni", "avx_vnni"},
    "AMX": {"amx_tile"}, "bf16": {"avx512_bf16", "amx_bf16", "bf16"},
    "NEON": {"asimd"}, "dot products": {"asimddp"}, "int8 products": {"i8mm"}, "SVE": {"sve"},
}  # fmt: skip


def instructions(flags: Iterable[str]) -> tuple[str, ...]:
    """The instruction sets that change speed or digits, of Linux's names for all of them.

    >>> instructions({"fpu", "avx2", "avx512f", "avx512_vnni"})
    ('AVX2', 'AVX-512', 'VNNI')
    """
    there = set(flags)
    return tuple(name for name, any_of in _INSTRUCTIONS.items() if any_of & there)


def kinds_of_processor(flags: Iterable[str], machine: str = "") -> tuple[str, tuple[str, ...]]:
    """How this processor adds int8 products, and the other ways that there are.

    flags: as Linux names them; machine: of ``platform.machine()``, where there are none.

    >>> kinds_of_processor({"avx2"}, "x86_64")
    ('x86-64 without VNNI', ('x86-64 with VNNI', 'Arm'))
    """
    has = instructions(flags)
    arm = "NEON" in has or machine.lower() in ("arm64", "aarch64")
    one = "Arm" if arm else f"x86-64 {'with' if 'VNNI' in has else 'without'} VNNI"
    return one, tuple(each for each in _KINDS if each != one)


_KINDS = ("x86-64 with VNNI", "x86-64 without VNNI", "Arm")

#: What computes in bf16 on x86-64, and from which of oneDNN's limits on it may be used.
_BF16 = {"avx512_bf16": "AVX512_CORE_BF16", "amx_bf16": "AVX512_CORE_AMX"}
#: The limits that ``ONEDNN_MAX_CPU_ISA`` names, each with all before it.
_LIMITS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI",
           "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX")  # fmt: skip


def bf16_instructions(
    proc: Path = PROC, environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The instructions for bf16 that the processor has and oneDNN may use; empty where none.

    environment: its ``ONEDNN_MAX_CPU_ISA`` (or ``DNNL_MAX_CPU_ISA``) keeps oneDNN from newer
    instructions, and bf16 is then slow. Such a limit makes one processor stand for another.

    >>> bf16_instructions(environment={"ONEDNN_MAX_CPU_ISA": "AVX2"})
    ()
    """
    names = os.environ if environment is None else environment
    limit = (names.get("ONEDNN_MAX_CPU_ISA") or names.get("DNNL_MAX_CPU_ISA") or "").upper()
    allowed = _LIMITS.index(limit) if limit in _LIMITS else len(_LIMITS)
    there = processor(proc)[1]
    return tuple(
        flag for flag, need in _BF16.items() if flag in there and _LIMITS.index(need) <= allowed
    )


def control_groups(controller: str, proc: Path, cgroups: Path) -> Iterator[Path]:
    """The folders of this process's group and those above it, each of which may set a limit."""
    for line in read_system_file(proc / "self" / "cgroup").splitlines():
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


def read_system_file(path: Path) -> str:
    """The text of a small system file, or "" where there is none."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
