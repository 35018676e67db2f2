"""The checks of `eosin doctor`: each takes measured values and returns a result and a remedy."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eosin.cores import instructions as known_instructions
from eosin.cores import kinds_of_processor

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
#: An optional part that is not installed, or a question that does not arise.
NONE = "-"

GIB = 1 << 30
LEAST_MEMORY_BYTES = 4 * GIB
LEAST_DISK_BYTES = 10 * 10**9
_REINSTALL_TORCH = "reinstall it: pip install --force-reinstall torch"


@dataclass(frozen=True)
class Check:
    """One row: its name, PASS, WARN, FAIL or "-", the result, and what to do about it."""

    name: str
    status: str
    found: str
    remedy: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def _graded(name: str, result: str, remedy: str, details: Any = None, bad: str = WARN) -> Check:
    """A row that passes where there is nothing to do."""
    return Check(name, bad if remedy else PASS, result, remedy, details or {})


def python(version: Sequence[int] | None = None, least: tuple[int, int] = (3, 11)) -> Check:
    """Whether this Python is new enough.

    >>> python((3, 9, 2)).status, python((3, 12, 1)).found
    ('FAIL', '3.12.1')
    """
    version = version or tuple(sys.version_info[:3])
    old = tuple(version[:2]) < least
    remedy = "eosin needs Python {}.{} or newer".format(*least) if old else ""
    return _graded("Python", ".".join(str(part) for part in version[:3]), remedy, bad=FAIL)


def eosin() -> Check:
    """The version of this package."""
    from eosin import __version__

    return Check("eosin", PASS, __version__)


def torch(report: Mapping[str, Any]) -> Check:
    """Whether torch imports and computes; ``report`` comes from eosin.cli.trial."""
    if _absent(report):
        install = 'pip install "eosin[train]"'
        return Check("torch", NONE, f"not installed, so nothing can be trained: {install}")
    if report.get("error"):
        result = f"does not import: {report['error']}"
        return Check("torch", FAIL, result, _REINSTALL_TORCH)
    cuda, hip = report.get("cuda"), report.get("hip")
    build = f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else "CPU"
    result = f"{report['version']}, {build} build"
    if not report.get("computes", True):
        return Check("torch", FAIL, f"{result}, computes wrong results", _REINSTALL_TORCH)
    return Check("torch", PASS, result, details={"version": report["version"], "build": build})


def _absent(report: Mapping[str, Any]) -> bool:
    """Whether torch is not installed, which is no error: exported models do without it."""
    return "No module named 'torch'" in str(report.get("error"))


def threads(report: Mapping[str, Any], usable: int, present: int) -> Check:
    """Whether torch's threads fit the cores that this process may use."""
    result = f"{usable} cores" if usable == present else f"{usable} of the {present} cores usable"
    count = report.get("threads")
    problem = ""
    if count is not None:
        result += f", torch uses {count} thread{'s' if count != 1 else ''}"
        # torch takes one thread a physical core, which is half of the logical ones.
        idle = ": most cores idle" if count < usable / 2 else ""
        problem = ": they wait for each other" if count > usable else idle
    remedy = f"set OMP_NUM_THREADS={usable}" if problem else ""
    details = {"usable": usable, "present": present, "torch_threads": count}
    return _graded("cores", result + problem, remedy, details)


def instructions(name: str, flags: set[str]) -> Check:
    """Whether the processor has the vector instructions that make training fast."""
    has = list(known_instructions(flags))
    result = ", ".join([*([name] if name else []), *has]) or "unknown"
    details = {"name": name, "has": has}
    if not flags:
        return Check("processor", NONE, result, details=details)
    if {"avx2", "asimd"} & flags:
        return Check("processor", PASS, result, details=details)
    remedy = "use a machine from 2014 or later: without AVX2 training takes several times as long"
    return Check("processor", WARN, f"{result}; no AVX2", remedy, details)


def whole_numbers(flags: set[str], machine: str) -> Check:
    """What the processor means for int8 files: which it answers as they were checked."""
    kind, _ = kinds_of_processor(flags, machine)
    if kind == "x86-64 without VNNI":
        result = (
            "no VNNI: int8 files answer as they were checked; earlier ones, with 8-bit weights, "
            "would answer wrongly and are refused"
        )
    else:
        result = f"{kind}: int8 files answer as they were checked"
    return Check("int8", PASS, result, details={"kind": kind})


def precision(report: Mapping[str, Any]) -> Check:
    """What precision `auto` chooses here, and why."""
    if "precision" not in report:
        return Check("precision", NONE, _unknown(report))
    result = f"auto means {report['precision']}: {report['reason']}"
    if report["precision"] == "bf16":
        result += "; faster than fp32, and digits differ by rounding"
    return Check("precision", PASS, result, details={"auto": report["precision"]})


def devices(report: Mapping[str, Any], driver: Sequence[str], environ: Mapping[str, str]) -> Check:
    """The GPUs that torch can use; ``driver`` lists those that the NVIDIA driver sees."""
    if report.get("error"):
        return Check("devices", NONE, _unknown(report))
    gpus = report.get("devices", [])
    details = {"devices": gpus}
    if gpus:
        result = "; ".join(f"{gpu['name']}, {gpu['memory_bytes'] / GIB:.0f} GiB" for gpu in gpus)
        strange = [gpu["name"] for gpu in gpus if not _supported(gpu, report)]
        remedy = ""
        if strange:
            remedy = "install a torch build for this GPU (its CUDA version is too old or too new)"
            result += f"; this torch has no code for {', '.join(strange)}"
        return _graded("devices", result, remedy, details, bad=FAIL)
    if not driver:
        return Check("devices", PASS, "CPU only", details=details)
    if not report.get("cuda"):
        remedy = "this torch is built for the CPU; install a CUDA build of torch to use the GPU"
    elif "CUDA_VISIBLE_DEVICES" in environ:
        remedy = f"CUDA_VISIBLE_DEVICES is {environ['CUDA_VISIBLE_DEVICES']!r}; unset it"
    else:
        reasons = " ".join(report.get("warnings", []))[:300]
        remedy = (
            f"torch is built for CUDA {report['cuda']}: update the NVIDIA driver, or install a "
            f"torch build for an older CUDA{f' ({reasons})' if reasons else ''}"
        )
    result = f"the driver sees {'; '.join(driver)}, torch does not"
    return Check("devices", WARN, result, remedy, details)


def _unknown(report: Mapping[str, Any]) -> str:
    why = "is not installed" if _absent(report) else "does not import"
    return f"unknown, as torch {why}"


def _supported(device: Mapping[str, Any], report: Mapping[str, Any]) -> bool:
    # Code for sm_XY runs on every X.Z with Z >= Y; compute_XY is translated for all newer devices.
    own = tuple(device["capability"])
    architectures = report.get("architectures") or []
    if not architectures or report.get("hip"):
        return True
    for name in architectures:
        if match := re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", name):
            code = (int(match[2]), int(match[3]))
            if code <= own and (match[1] == "compute" or code[0] == own[0]):
                return True
    return False


def memory(total_available: tuple[int, int] | None) -> Check:
    """Whether there is enough memory; bytes, within the limits of a container."""
    if total_available is None:
        return Check("memory", NONE, "unknown")
    total, available = total_available
    result = f"{available / GIB:.1f} GiB available of {total / GIB:.1f} GiB"
    remedy = "training needs 4 GiB: close other programs, or lower batch_size in the recipe"
    details = {"total_bytes": total, "available_bytes": available}
    return _graded("memory", result, remedy if available < LEAST_MEMORY_BYTES else "", details)


def disk(folder: Path, free_bytes: int, *, writable: bool) -> Check:
    """Whether the current folder has room for the archive and its store."""
    result, remedy = f"{free_bytes / 10**9:.0f} GB free in {folder}", ""
    if not writable:
        result, remedy = f"{folder} cannot be written", "change to a folder of your own"
    elif free_bytes < LEAST_DISK_BYTES:
        remedy = "the archive and its store need about 6 GB: make room or work on another disk"
    details = {"folder": str(folder), "free_bytes": free_bytes, "writable": writable}
    return _graded("disk", result, remedy, details)


def temporary_folder() -> Check:
    """Whether temporary files can be written."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        remedy = "set TMPDIR to a folder that can be written"
        return Check("temporary files", FAIL, str(error), remedy)
    return Check("temporary files", PASS, tempfile.gettempdir())


#: Variable -> (a value that slows things down, or hides a device, as a pattern; why).
_SLOW_SETTINGS = {
    "ATEN_CPU_CAPABILITY": (r"default|avx2", "keeps torch from the faster instructions"),
    "ONEDNN_MAX_CPU_ISA": (r".*", "keeps torch from the faster instructions"),
    "DNNL_MAX_CPU_ISA": (r".*", "keeps torch from the faster instructions"),
    "OPENBLAS_CORETYPE": (r".*", "ties NumPy to one processor type"),
    "CUDA_LAUNCH_BLOCKING": (r"1", "makes the GPU wait after every operation"),
    "OMP_WAIT_POLICY": (r"(?i)active", "keeps waiting threads busy"),
}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def environment(environ: Mapping[str, str], usable: int) -> Check:
    """Settings in the environment that slow things down."""
    slow = {}
    for name in _THREADS:
        value = environ.get(name, "").strip()
        if value.isdigit() and int(value) != usable:
            slow[name] = f"{name}={value} with {usable} usable cores"
    for name, (pattern, why) in _SLOW_SETTINGS.items():
        value = environ.get(name, "")
        if value and re.fullmatch(pattern, value):
            slow[name] = f"{name}={value} {why}"
    result = "; ".join(slow.values()) or "nothing in it slows things down"
    return _graded("environment", result, f"unset {' '.join(slow)}" if slow else "")


def packages(requirements: Iterable[str], imports: Mapping[str, str | None]) -> Check:
    """Whether the packages that eosin cannot do without are installed, new enough, and import.

    requirements: as in Requires-Dist; imports: package -> why it does not import, or None.
    """
    versions, wrong = {}, []
    for name, version, problem in _installed(requirements, extra=""):
        versions[name] = version
        if problem:
            wrong.append(problem)
        elif imports.get(name):
            wrong.append(f"{name} {version} does not import: {imports[name]}")
    all_found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    remedy = "reinstall eosin: pip install --force-reinstall eosin" if wrong else ""
    return _graded("packages", "; ".join(wrong) or all_found, remedy, versions, bad=FAIL)


def extra(name: str, requirements: Iterable[str]) -> Check:
    """Whether an optional part is installed."""
    title, install = f"eosin[{name}]", f'pip install "eosin[{name}]"'
    rows = _installed(requirements, extra=name)
    versions = {package: version for package, version, _ in rows}
    if rows and all(version is None for version in versions.values()):
        return Check(title, NONE, f"not installed: {install}", details=versions)
    problems = "; ".join(problem for *_, problem in rows if problem)
    shown = ", ".join(f"{package} {version}" for package, version in versions.items())
    result = problems or shown or "needs no more packages"
    return _graded(title, result, install if problems else "", versions)


def _installed(requirements: Iterable[str], extra: str) -> list[tuple[str, str | None, str | None]]:
    """(package, version or None, problem or None) of what a part needs on this machine."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement  # comes with matplotlib

    rows: list[tuple[str, str | None, str | None]] = []
    for needed in map(Requirement, requirements):
        optional = needed.marker is not None and "extra" in str(needed.marker)
        if optional != bool(extra):
            continue
        if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
            continue
        try:
            installed = version(needed.name)
        except PackageNotFoundError:
            rows.append((needed.name, None, f"{needed.name} is not installed"))
            continue
        right = needed.specifier.contains(installed, prereleases=True)
        problem = None if right else f"{needed.name} {installed} is not {needed.specifier}"
        rows.append((needed.name, installed, problem))
    return rows


def kaggle_token(environ: Mapping[str, str] = os.environ) -> Check:
    """Whether `eosin fetch idc` would find a token; the token itself is never shown."""
    from eosin.errors import CredentialsError
    from eosin.fetching.kaggle import STEPS, find_credentials

    title = "Kaggle token"
    try:
        token = find_credentials(environ)
    except CredentialsError as error:
        problem, _, steps = str(error).partition("\n")
        return Check(title, WARN, problem, f"get a token:\n{steps}")
    if token is None:
        return Check(
            title,
            WARN,
            "none found",
            f"only the archives of `eosin fetch` from Kaggle need one:\n{STEPS}",
        )
    result, remedy = f"{token.kind} from {token.where}", ""
    if token.readable_by_others:
        result, remedy = f"{result}, readable by other users", f"chmod 600 {token.path}"
    return _graded(title, result, remedy, {"kind": token.kind, "where": token.where})
