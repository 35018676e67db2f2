"""`eosin doctor`: every verdict, with the machine's answers made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from eosin.cli import checks, doctor, hardware, output
from eosin.cli.checks import FAIL, NONE, PASS, WARN
from eosin.cores import bf16_instructions, processor, usable_cores
from eosin.memory import memory

GIB = 1 << 30
CPU = {
    "error": None,
    "version": "2.14.1",
    "cuda": None,
    "hip": None,
    "threads": 2,
    "computes": True,
    "devices": [],
    "architectures": [],
    "precision": "bf16",
    "reason": "the processor has avx512_bf16",
    "warnings": [],
}
GPU = CPU | {
    "cuda": "13.0",
    "devices": [{"name": "NVIDIA H100", "memory_bytes": 80 * GIB, "capability": [9, 0]}],
    "architectures": ["sm_80", "sm_90", "compute_120"],
}
BROKEN = {"error": "OSError: libtorch.so: cannot open shared object file"}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(output._state, "json", False)
    for name in list(os.environ):
        if name.startswith(("KAGGLE_", "XDG_CONFIG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


# The checks


def test_python() -> None:
    assert checks.python((3, 10, 4)).status == FAIL
    assert checks.python().status == PASS


def test_torch() -> None:
    assert checks.torch(CPU).found == "2.14.1, CPU build"
    assert checks.torch(GPU).found == "2.14.1, CUDA 13.0 build"
    broken = checks.torch(BROKEN)
    assert broken.status == FAIL
    assert "libtorch.so" in broken.found
    assert "pip install" in broken.remedy
    assert checks.torch(CPU | {"computes": False}).status == FAIL


@pytest.mark.parametrize(
    ("threads", "usable", "present", "status"),
    [
        (2, 2, 2, PASS),
        (8, 16, 16, PASS),  # one thread a physical core
        (16, 2, 16, WARN),  # a container's quota, which torch does not see
        (1, 8, 8, WARN),
        (None, 4, 4, PASS),
    ],
)
def test_threads(threads: int | None, usable: int, present: int, status: str) -> None:
    row = checks.threads({"threads": threads}, usable, present)
    assert row.status == status
    assert bool(row.remedy) == (status == WARN)
    if status == WARN:
        assert row.remedy == f"set OMP_NUM_THREADS={usable}"


def test_instructions() -> None:
    assert checks.instructions("Some CPU", {"avx2", "avx512_bf16"}).found == (
        "Some CPU, AVX2, bf16"
    )
    assert checks.instructions("", {"asimd", "bf16"}).status == PASS
    assert checks.instructions("Old", {"sse2"}).status == WARN
    assert checks.instructions("", set()).status == NONE


def test_int8_names_what_decides() -> None:
    with_it = checks.whole_numbers({"avx2", "avx512_vnni"}, "x86_64")
    assert with_it.found == "x86-64 with VNNI: int8 files answer as they were checked"
    without = checks.whole_numbers({"avx2"}, "x86_64")
    assert "no VNNI" in without.found
    assert "8-bit weights, would answer wrongly and are refused" in without.found
    assert checks.whole_numbers(set(), "arm64").found.startswith("Arm")


def test_precision() -> None:
    assert checks.precision(CPU).found == (
        "auto means bf16: the processor has avx512_bf16; faster than fp32, and digits differ by "
        "rounding"
    )
    assert checks.precision(BROKEN).status == NONE


def test_without_torch() -> None:
    facts = {"error": "ModuleNotFoundError: No module named 'torch'"}
    rows = [checks.torch(facts), checks.devices(facts, [], {}), checks.precision(facts)]
    assert {row.status for row in rows} == {checks.NONE}
    assert "eosin[train]" in rows[0].found
    assert "not installed" in rows[1].found
    assert checks.torch({"error": "ImportError: libtorch.so"}).status == checks.FAIL


def test_devices() -> None:
    assert checks.devices(CPU, [], {}).found == "CPU only"
    assert checks.devices(BROKEN, ["GPU"], {}).status == NONE
    row = checks.devices(GPU, ["NVIDIA H100, 580"], {})
    assert (row.status, row.found) == (PASS, "NVIDIA H100, 80 GiB")


def test_a_gpu_that_torch_does_not_use() -> None:
    driver = ["NVIDIA H100, 470.1"]
    build = checks.devices(CPU, driver, {})
    assert build.status == WARN
    assert "built for the CPU" in build.remedy
    old = CPU | {"cuda": "13.0", "warnings": ["The NVIDIA driver on your system is too old"]}
    mismatch = checks.devices(old, driver, {})
    assert mismatch.status == WARN
    assert "update the NVIDIA driver" in mismatch.remedy
    assert "too old" in mismatch.remedy
    hidden = checks.devices(old, driver, {"CUDA_VISIBLE_DEVICES": ""})
    assert "CUDA_VISIBLE_DEVICES is ''" in hidden.remedy


@pytest.mark.parametrize(
    ("capability", "architectures", "status"),
    [
        ([9, 0], ["sm_90"], PASS),
        ([8, 9], ["sm_80", "sm_90"], PASS),
        ([12, 0], ["sm_90", "compute_90"], PASS),
        ([12, 0], ["sm_90a"], FAIL),
        ([6, 1], ["sm_75", "sm_80", "compute_80"], FAIL),
        ([6, 1], [], PASS),
    ],
)
def test_a_gpu_that_torch_has_no_code_for(
    capability: list[int], architectures: list[str], status: str
) -> None:
    device = {"name": "G", "memory_bytes": GIB, "capability": capability}
    row = checks.devices(GPU | {"devices": [device], "architectures": architectures}, [], {})
    assert row.status == status


def test_memory_and_disk(tmp_path: Path) -> None:
    assert checks.memory((16 * GIB, 8 * GIB)).found == "8.0 GiB available of 16.0 GiB"
    assert checks.memory((16 * GIB, 3 * GIB)).status == WARN
    assert checks.memory(None).status == NONE
    assert checks.disk(tmp_path, 50 * 10**9, writable=True).status == PASS
    assert checks.disk(tmp_path, 9 * 10**9, writable=True).status == WARN
    assert "cannot be written" in checks.disk(tmp_path, 50 * 10**9, writable=False).found


def test_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert checks.temporary_folder().status == PASS
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    row = checks.temporary_folder()
    assert row.status == FAIL
    assert "TMPDIR" in row.remedy


def test_environment() -> None:
    assert checks.environment({"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive"}, 4).status == (
        PASS
    )
    row = checks.environment({"OMP_NUM_THREADS": "1", "ATEN_CPU_CAPABILITY": "default"}, 4)
    assert row.status == WARN
    assert "OMP_NUM_THREADS=1 with 4 usable cores" in row.found
    assert row.remedy == "unset OMP_NUM_THREADS ATEN_CPU_CAPABILITY"


def test_packages() -> None:
    needs = ["numpy>=1.26", "rich", "no-such-package>=1; extra == 'hdf5'"]
    assert checks.packages(needs, {}).status == PASS
    assert list(checks.packages(needs, {}).details) == ["numpy", "rich"]
    assert "numpy" in checks.packages(["numpy>=99"], {}).found
    assert checks.packages(["numpy>=99"], {}).status == FAIL
    assert checks.packages(["no-such-package"], {}).found == "no-such-package is not installed"
    row = checks.packages(needs, {"numpy": "ImportError: libGL.so.1"})
    assert row.status == FAIL
    assert "does not import: ImportError: libGL.so.1" in row.found


def test_extra() -> None:
    needs = ["numpy", "rich>=10; extra == 'a'", "gone; extra == 'b'", "rich>=99; extra == 'c'"]
    assert checks.extra("a", needs).status == PASS
    assert checks.extra("a", needs).found.startswith("rich ")
    gone = checks.extra("b", needs)
    assert (gone.status, gone.found) == (NONE, 'not installed: pip install "eosin[b]"')
    old = checks.extra("c", needs)
    assert (old.status, old.remedy) == (WARN, 'pip install "eosin[c]"')


def test_kaggle_token(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    none = checks.kaggle_token(home)
    assert (none.status, none.found) == (WARN, "none found")
    assert "1. Sign in" in none.remedy
    path = tmp_path / ".kaggle" / "kaggle.json"
    path.parent.mkdir()
    path.write_text('{"username": "ana", "key": "s3cret"}')
    path.chmod(0o600)
    found = checks.kaggle_token(home)
    assert (found.status, found.found) == (PASS, f"key from {path}")
    assert "s3cret" not in repr(found)
    path.chmod(0o644)
    shared = checks.kaggle_token(home)
    assert (shared.status, shared.remedy) == (WARN, f"chmod 600 {path}")
    path.write_text("{")
    damaged = checks.kaggle_token(home)
    assert damaged.status == WARN
    assert "is not JSON" in damaged.found
    token = checks.kaggle_token(home | {"KAGGLE_API_TOKEN": "KGAT_x"})
    assert token.found == "token from KAGGLE_API_TOKEN"


# The machine


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MEMINFO = "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:   8388608 kB\n"


def test_memory_of_the_machine(tmp_path: Path) -> None:
    write(tmp_path, {"meminfo": MEMINFO, "self/cgroup": "0::/\n"})
    assert memory(tmp_path, tmp_path / "none") == (16 * GIB, 8 * GIB)


def test_memory_of_a_container_version_2(tmp_path: Path) -> None:
    write(tmp_path, {"meminfo": MEMINFO, "self/cgroup": "0::/a/b\n"})
    write(
        tmp_path / "cg",
        {
            "a/memory.max": str(4 * GIB),
            "a/memory.current": str(3 * GIB),
            "a/memory.stat": f"anon 1\ninactive_file {GIB}\n",
            "a/b/memory.max": "max",
        },
    )
    assert memory(tmp_path, tmp_path / "cg") == (4 * GIB, 2 * GIB)


def test_memory_of_a_container_version_1(tmp_path: Path) -> None:
    write(tmp_path, {"meminfo": MEMINFO, "self/cgroup": "4:memory:/x\n1:cpu,cpuacct:/\n0::/\n"})
    write(
        tmp_path / "cg" / "memory",
        {
            "memory.limit_in_bytes": "9223372036854771712",
            "x/memory.limit_in_bytes": str(2 * GIB),
            "x/memory.usage_in_bytes": str(GIB),
        },
    )
    assert memory(tmp_path, tmp_path / "cg") == (2 * GIB, GIB)


@pytest.mark.parametrize(
    ("lines", "files", "usable"),
    [
        ("0::/a\n", {"a/cpu.max": "150000 100000"}, 2),
        ("0::/a\n", {"a/cpu.max": "max 100000"}, 8),
        ("0::/a\n", {"a/cpu.max": "1000 100000"}, 1),
        (
            "1:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "300000", "cpu,cpuacct/a/cpu.cfs_period_us": "1e5"},
            8,
        ),
        (
            "1:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("", {}, 8),
    ],
)
def test_cores_of_a_container(
    tmp_path: Path, monkeypatch: Any, lines: str, files: dict[str, str], usable: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    write(tmp_path, {"self/cgroup": lines})
    write(tmp_path / "cg", files)
    assert usable_cores(tmp_path, tmp_path / "cg") == (usable, 16)


def test_processor(tmp_path: Path) -> None:
    write(tmp_path, {"cpuinfo": "processor : 0\nmodel name\t: A CPU\nflags\t\t: fpu avx2\n\n"})
    assert processor(tmp_path) == ("A CPU", {"fpu", "avx2"})
    assert processor(tmp_path / "none") == ("", set())


def test_nvidia_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.nvidia_devices() == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 580.1'\n")
    program.chmod(0o755)
    assert hardware.nvidia_devices() == ["NVIDIA H100, 580.1"]
    program.write_text("#!/bin/sh\necho failed\nexit 9\n")
    assert hardware.nvidia_devices() == []


# The probe


def test_the_probe_survives_what_ends_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        {
            "fine_part.py": "print('hello from a talkative package')",
            "broken_part.py": "raise ImportError('libGL.so.1: no such file')",
            "deadly_part.py": "import os; os.abort()",
        },
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines = doctor._answers(doctor._start("import", "fine_part", "broken_part", "deadly_part"))
    assert lines["fine_part"]["error"] is None
    assert lines["broken_part"]["error"] == "ImportError: libGL.so.1: no such file"
    assert lines["deadly_part"]["error"] == "the process ended with SIGABRT"


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("raise OSError('libcudart.so: cannot open')", "OSError: libcudart.so: cannot open"),
        ("import os; os.abort()", "the process ended with SIGABRT"),
        ("__version__ = '0'", "AttributeError"),
        ("import sys; sys.exit(3)", "the process ended with 3"),
    ],
)
def test_a_broken_torch(tmp_path: Path, monkeypatch: Any, code: str, named: str) -> None:
    write(tmp_path, {"torch.py": code})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    facts = doctor._answers(doctor._start("torch"))["torch"]
    assert named in facts["error"]


def test_a_probe_that_stalls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, {"slow_part.py": "import time; time.sleep(60)"})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_PROBE_TIMEOUT_S", 1.0)
    lines = doctor._answers(doctor._start("import", "slow_part"))
    assert "did not finish" in lines["slow_part"]["error"]


# The command


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command("doctor")(doctor.doctor)
    return CliRunner().invoke(app, list(arguments))


def test_the_table_and_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda _: (dict(CPU, threads=None), {}))
    monkeypatch.setattr("eosin.memory.memory", lambda: (GIB, GIB))
    done = run()
    assert done.exit_code == 0
    assert "1.0 GiB available" in done.stdout
    assert "WARN memory: training needs 4 GiB" in done.stdout
    assert "0 failed" in done.stdout
    assert "eosin[kaggle]" in done.stdout


def test_a_failure_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda _: (BROKEN, {"numpy": "ImportError: no"}))
    done = run()
    assert done.exit_code == 1
    assert "FAIL torch: reinstall it" in done.stdout
    assert "2 failed" in done.stdout


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda _: (BROKEN, {}))
    done = run("--json")
    shown = json.loads(done.stdout)
    assert done.exit_code == 1
    assert shown["failed"] == 1
    rows = {row["name"]: row for row in shown["checks"]}
    assert rows["torch"]["status"] == "FAIL"
    assert set(rows["torch"]) == {"name", "status", "found", "remedy", "details"}
    assert rows["devices"]["status"] == "-"
    assert {"Python", "eosin", "memory", "disk", "packages", "Kaggle token"} <= set(rows)


@pytest.mark.slow
def test_this_machine() -> None:
    """The real probes, in a process as a person starts it."""
    code = "import typer; from eosin.cli.doctor import doctor; typer.run(doctor)"
    done = subprocess.run(
        [sys.executable, "-c", code, "--json"], capture_output=True, text=True, check=False
    )
    rows = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    assert rows["torch"]["status"] == "PASS", rows["torch"]
    assert rows["packages"]["status"] == "PASS", rows["packages"]
    assert rows["precision"]["details"]["auto"] in ("bf16", "fp32")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("limit", "instructions"),
    [
        ("", ("avx512_bf16", "amx_bf16")),
        ("DEFAULT", ("avx512_bf16", "amx_bf16")),
        ("avx512_core_bf16", ("avx512_bf16",)),
        ("AVX512_CORE_VNNI", ()),
        ("SSE41", ()),
    ],
)
def test_a_limit_of_onednn_takes_bf16_away(
    limit: str, instructions: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path, {"cpuinfo": "flags\t\t: avx2 avx512_bf16 amx_bf16\n\n"})
    assert bf16_instructions(tmp_path, {"ONEDNN_MAX_CPU_ISA": limit}) == instructions
