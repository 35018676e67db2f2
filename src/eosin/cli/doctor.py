"""`eosin doctor`: is this machine ready, and what would make it so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output

if TYPE_CHECKING:
    from eosin.cli.checks import Check

#: Package -> the name it is imported by, where that is another.
_MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "scikit-learn": "sklearn"}

_PROBE_TIMEOUT_S = 180


def doctor(
    file: Annotated[Path | None, typer.Argument()] = None,
    json_: options.Json = False,
) -> None:
    """Check Python, torch, devices, memory, disk, packages and the Kaggle token.

    Each row is PASS, WARN or FAIL, or "-" for an optional part that is not installed; the remedies
    follow below. With a file, check instead whether an exported model answers on this computer as
    torch did where it was exported, in every runtime and precision. Exits with 1 if anything fails.

    Options:
        file: An exported file, or the folder of an export.

    Example: eosin doctor exported/model-int8.onnx
    """
    from dataclasses import asdict

    if file is not None:
        from eosin.cli.proving import prove_file, show_proof

        found = prove_file(file)
        output.result(found) if json_ else show_proof(found)
        if found["failed"]:
            raise typer.Exit(1)
        return
    rows = examine()
    counts = {status: sum(row.status == status for row in rows) for status in ("FAIL", "WARN")}
    if json_:
        checks = [asdict(row) for row in rows]
        output.result({"checks": checks, "failed": counts["FAIL"], "warned": counts["WARN"]})
    else:
        _show(rows, counts)
    if counts["FAIL"]:
        raise typer.Exit(1)


def _show(rows: list[Check], counts: dict[str, int]) -> None:
    output.table("", ["check", "", "found"], [(row.name, row.status, row.found) for row in rows])
    if remedies := [row for row in rows if row.remedy]:
        output.say("What to do")
    output.say(*(f"  {r.status} {r.name}: " + r.remedy.replace("\n", "\n    ") for r in remedies))
    output.say(f"{counts['FAIL']} failed, {counts['WARN']} with a warning")


def examine() -> list[Check]:
    """All checks of this machine, in the order they are shown."""
    import os
    import platform
    import shutil
    from importlib.metadata import metadata

    from eosin.cli import checks, hardware
    from eosin.cores import processor, usable_cores
    from eosin.memory import memory

    about = metadata("eosin")
    requirements = about.get_all("Requires-Dist") or []
    extras = sorted(name for name in about.get_all("Provides-Extra") or [] if name != "all")
    report, imports = _probe(requirements)
    usable, present = usable_cores()
    here = Path.cwd()
    return [
        checks.python(),
        checks.eosin(),
        checks.torch(report),
        checks.devices(report, hardware.nvidia_devices(), os.environ),
        checks.precision(report),
        checks.instructions(*processor()),
        checks.whole_numbers(processor()[1], platform.machine()),
        checks.threads(report, usable, present),
        checks.environment(os.environ, usable),
        checks.memory(memory()),
        checks.disk(here, shutil.disk_usage(here).free, writable=os.access(here, os.W_OK)),
        checks.temporary_folder(),
        checks.packages(requirements, imports),
        *[checks.extra(name, requirements) for name in extras],
        checks.kaggle_token(),
    ]


def _probe(requirements: list[str]) -> tuple[dict[str, Any], dict[str, str | None]]:
    """torch's report, and package -> why it does not import; from separate processes."""
    import re

    core = [re.split(r"[^\w.-]", text)[0] for text in requirements if "extra ==" not in text]
    modules = {name: _MODULES.get(name, name.replace("-", "_")) for name in core if name != "torch"}
    # Both at once: importing takes most of the time of this command.
    probes = [_start("torch"), _start("import", *modules.values())]
    torch_lines, import_lines = (_answers(process) for process in probes)
    return torch_lines["torch"], {
        name: import_lines.get(module, {}).get("error") for name, module in modules.items()
    }


def _start(*arguments: str) -> Any:
    import subprocess
    import sys

    # -P: a file torch.py in the current folder must not be taken for the package.
    command = [sys.executable, "-P", "-m", "eosin.cli.trial", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
    )


def _answers(process: Any) -> dict[str, dict[str, Any]]:
    """The probe's lines by name; where it ended or stalled, the last line has the reason."""
    import json
    import signal
    import subprocess

    reason = ""
    try:
        out, _ = process.communicate(timeout=_PROBE_TIMEOUT_S)
        if code := process.returncode:
            reason = f"the process ended with {signal.Signals(-code).name if code < 0 else code}"
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        reason = f"it did not finish in {_PROBE_TIMEOUT_S} s"
    lines: dict[str, dict[str, Any]] = {}
    for line in out.splitlines():
        try:
            message = json.loads(line)
        except ValueError:  # A package that prints when it is imported.
            continue
        if "importing" in message:
            lines[message["importing"]] = {"error": reason or "it ended the process"}
        elif "name" in message:
            lines[message["name"]] = message
    return lines or {"torch": {"error": reason or "the probe reported nothing"}}
