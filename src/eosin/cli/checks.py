"""The checks of `eosin doctor`: each takes facts and returns what was found and the remedy."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
#: An optional part that is not there, or a question that does not arise.
NONE = "-"

GIB = 1 << 30
LEAST_MEMORY_BYTES = 4 * GIB
LEAST_DISK_BYTES = 10 * 10**9


@dataclass(frozen=True)
class Check:
    """One row: its name, PASS, WARN, FAIL or "-", what was found, and what to do about it."""

    name: str
    status: str
    found: str
    remedy: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def python(version: Sequence[int] | None = None, least: tuple[int, int] = (3, 11)) -> Check:
    """Whether this Python is new enough.

    >>> python((3, 9, 2)).status, python((3, 12, 1)).found
    ('FAIL', '3.12.1')
    """
    version = version or tuple(sys.version_info[:3])
    found = ".".join(str(part) for part in version[:3])
    if tuple(version[:2]) >= least:
        return Check("Python", PASS, found)
    return Check("Python", FAIL, found, "eosin needs Python {}.{} or newer".format(*least))


def eosin() -> Check:
    """The version of this package."""
    from eosin import __version__

    return Check("eosin", PASS, __version__)


def torch(facts: Mapping[str, Any]) -> Check:
    """Whether torch imports and computes; ``facts`` come from eosin.cli.trial."""
    if _absent(facts):
        return Check(
            "torch", NONE, 'not installed, so nothing can be trained: pip install "eosin[train]"'
        )
    if facts.get("error"):
        return Check(
            "torch",
            FAIL,
            f"does not import: {facts['error']}",
            "install it again: pip install --force-reinstall torch",
        )
    cuda, hip = facts.get("cuda"), facts.get("hip")
    build = f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else "CPU"
    found = f"{facts['version']}, {build} build"
    if not facts.get("computes", True):
        remedy = "install it again: pip install --force-reinstall torch"
        return Check("torch", FAIL, f"{found}, computes wrongly", remedy)
    return Check("torch", PASS, found, details={"version": facts["version"], "build": build})


def _absent(facts: Mapping[str, Any]) -> bool:
    """Whether torch is not there at all, which is no fault: exported models do without."""
    return "No module named 'torch'" in str(facts.get("error"))


def threads(facts: Mapping[str, Any], usable: int, present: int) -> Check:
    """Whether torch's threads fit the cores that this process may use."""
    cores = f"{usable} cores" if usable == present else f"{usable} of the {present} cores usable"
    wanted = facts.get("threads")
    details = {"usable": usable, "present": present, "torch_threads": wanted}
    if wanted is None:
        return Check("cores", PASS, cores, details=details)
    found = f"{cores}, torch uses {wanted} thread{'s' if wanted != 1 else ''}"
    remedy = f"set OMP_NUM_THREADS={usable}"
    if wanted > usable:
        return Check("cores", WARN, f"{found}: they wait for each other", remedy, details)
    # torch takes one thread a physical core, which is half of the logical ones.
    if wanted < usable / 2:
        return Check("cores", WARN, f"{found}: most cores idle", remedy, details)
    return Check("cores", PASS, found, details=details)


def instructions(name: str, flags: set[str]) -> Check:
    """Whether the processor has the vector instructions that training is fast with."""
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
    has = [flag for flag in known if flag in flags]
    found = ", ".join([*([name] if name else []), *has]) or "unknown"
    details = {"name": name, "has": has}
    if not flags:
        return Check("processor", NONE, found, details=details)
    if "avx2" in flags or "asimd" in flags:
        return Check("processor", PASS, found, details=details)
    remedy = "use a machine from 2014 or later: without AVX2 training takes several times as long"
    return Check("processor", WARN, f"{found}; no AVX2", remedy, details)


def precision(facts: Mapping[str, Any]) -> Check:
    """What precision `auto` chooses here, and why."""
    if "precision" not in facts:
        return Check("precision", NONE, _unknown(facts))
    found = f"auto means {facts['precision']}: {facts['reason']}"
    return Check("precision", PASS, found, details={"auto": facts["precision"]})


def devices(facts: Mapping[str, Any], driver: Sequence[str], environ: Mapping[str, str]) -> Check:
    """The GPUs that torch can use; ``driver`` names those that the NVIDIA driver sees."""
    if facts.get("error"):
        return Check("devices", NONE, _unknown(facts))
    found, details = facts.get("devices", []), {"devices": facts.get("devices", [])}
    if found:
        text = "; ".join(f"{item['name']}, {item['memory_bytes'] / GIB:.0f} GiB" for item in found)
        strange = [item["name"] for item in found if not _supported(item, facts)]
        if strange:
            remedy = "install a torch build for this GPU (its CUDA version is too old or too new)"
            text += f"; this torch has no code for {', '.join(strange)}"
            return Check("devices", FAIL, text, remedy, details)
        return Check("devices", PASS, text, details=details)
    if not driver:
        return Check("devices", PASS, "CPU only", details=details)
    seen = f"the driver sees {'; '.join(driver)}, torch does not"
    if not facts.get("cuda"):
        remedy = "this torch is built for the CPU; install a CUDA build of torch to use the GPU"
    elif "CUDA_VISIBLE_DEVICES" in environ:
        remedy = f"CUDA_VISIBLE_DEVICES is {environ['CUDA_VISIBLE_DEVICES']!r}; unset it"
    else:
        reasons = " ".join(facts.get("warnings", []))[:300]
        remedy = (
            f"torch is built for CUDA {facts['cuda']}: update the NVIDIA driver, or install a "
            f"torch build for an older CUDA{f' ({reasons})' if reasons else ''}"
        )
    return Check("devices", WARN, seen, remedy, details)


def _unknown(facts: Mapping[str, Any]) -> str:
    why = "is not installed" if _absent(facts) else "does not import"
    return f"unknown, as torch {why}"


def _supported(device: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    # Code for sm_XY runs on every X.Z with Z >= Y; compute_XY is translated for all newer devices.
    wanted = tuple(device["capability"])
    architectures = facts.get("architectures") or []
    if not architectures or facts.get("hip"):
        return True
    for name in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", name)
        if not match:
            continue
        code = (int(match[2]), int(match[3]))
        if code <= wanted and (match[1] == "compute" or code[0] == wanted[0]):
            return True
    return False


def memory(total_available: tuple[int, int] | None) -> Check:
    """Whether there is enough memory; bytes, within the limits of a container."""
    if total_available is None:
        return Check("memory", NONE, "unknown")
    total, available = total_available
    found = f"{available / GIB:.1f} GiB available of {total / GIB:.1f} GiB"
    details = {"total_bytes": total, "available_bytes": available}
    if available >= LEAST_MEMORY_BYTES:
        return Check("memory", PASS, found, details=details)
    remedy = "training wants 4 GiB: close other programs, or lower batch_size in the recipe"
    return Check("memory", WARN, found, remedy, details)


def disk(folder: Path, free_bytes: int, *, writable: bool) -> Check:
    """Whether the current folder has room for the archive and its store."""
    found = f"{free_bytes / 10**9:.0f} GB free in {folder}"
    details = {"folder": str(folder), "free_bytes": free_bytes, "writable": writable}
    if not writable:
        remedy = "change to a folder of your own"
        return Check("disk", WARN, f"{folder} cannot be written", remedy, details)
    if free_bytes >= LEAST_DISK_BYTES:
        return Check("disk", PASS, found, details=details)
    remedy = "the archive and its store need about 6 GB: make room or work on another disk"
    return Check("disk", WARN, found, remedy, details)


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
    slow = []
    for name in _THREADS:
        value = environ.get(name, "").strip()
        if value.isdigit() and int(value) != usable:
            slow.append(f"{name}={value} with {usable} usable cores")
    for name, (pattern, why) in _SLOW_SETTINGS.items():
        value = environ.get(name, "")
        if value and re.fullmatch(pattern, value):
            slow.append(f"{name}={value} {why}")
    if not slow:
        return Check("environment", PASS, "nothing in it slows things down")
    names = " ".join(item.partition("=")[0] for item in slow)
    return Check("environment", WARN, "; ".join(slow), f"unset {names}")


def packages(requirements: Iterable[str], imports: Mapping[str, str | None]) -> Check:
    """Whether the packages that eosin cannot do without are there, new enough, and import.

    requirements: as in Requires-Dist; imports: package -> why it does not import, or None.
    """
    versions, wrong = {}, []
    for name, version, problem in _installed(requirements, extra=""):
        versions[name] = version
        if problem:
            wrong.append(problem)
        elif imports.get(name):
            wrong.append(f"{name} {version} does not import: {imports[name]}")
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if wrong:
        remedy = "install eosin again: pip install --force-reinstall eosin"
        return Check("packages", FAIL, "; ".join(wrong), remedy, versions)
    return Check("packages", PASS, found, details=versions)


def extra(name: str, requirements: Iterable[str]) -> Check:
    """Whether an optional part is installed."""
    title, line = f"eosin[{name}]", f'pip install "eosin[{name}]"'
    found = _installed(requirements, extra=name)
    versions = {package: version for package, version, _ in found}
    if found and all(version is None for version in versions.values()):
        return Check(title, NONE, f"not installed: {line}", details=versions)
    problems = [problem for *_, problem in found if problem]
    if problems:
        return Check(title, WARN, "; ".join(problems), line, versions)
    shown = ", ".join(f"{package} {version}" for package, version in versions.items())
    return Check(title, PASS, shown or "nothing more needed", details=versions)


def _installed(requirements: Iterable[str], extra: str) -> list[tuple[str, str | None, str | None]]:
    """(package, version or None, problem or None) of what a part needs on this machine."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement  # comes with matplotlib

    rows: list[tuple[str, str | None, str | None]] = []
    for text in requirements:
        needed = Requirement(text)
        optional = needed.marker is not None and "extra" in str(needed.marker)
        if optional != bool(extra):
            continue
        if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            rows.append((needed.name, None, f"{needed.name} is not installed"))
            continue
        right = needed.specifier.contains(found, prereleases=True)
        problem = None if right else f"{needed.name} {found} is not {needed.specifier}"
        rows.append((needed.name, found, problem))
    return rows


def kaggle_token(environ: Mapping[str, str] = os.environ) -> Check:
    """Whether `eosin fetch idc` would find a token; the token itself is never shown."""
    from eosin.errors import CredentialsError
    from eosin.fetching.kaggle import STEPS, find_credentials

    try:
        found = find_credentials(environ)
    except CredentialsError as error:
        what, _, steps = str(error).partition("\n")
        return Check("Kaggle token", WARN, what, f"get a token:\n{steps}")
    if found is None:
        return Check(
            "Kaggle token", WARN, "none found", f"only `eosin fetch idc` needs one:\n{STEPS}"
        )
    text = f"{found.kind} from {found.where}"
    details = {"kind": found.kind, "where": found.where}
    if found.readable_by_others:
        remedy = f"chmod 600 {found.path}"
        return Check("Kaggle token", WARN, f"{text}, readable by other users", remedy, details)
    return Check("Kaggle token", PASS, text, details=details)
