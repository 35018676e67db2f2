"""What the installed packages report about themselves, in a separate process.

A broken build may end the process that imports it (a missing library, an instruction that the
processor lacks), and `eosin doctor` has to survive that. Run as ``python -m eosin.cli.trial
torch`` or ``... import NAME NAME``; each line on stdout is a JSON object.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from typing import Any


def torch_report() -> dict[str, Any]:
    """Version, build, threads, devices (memory in bytes), and what precision `auto` means here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import torch

        report: dict[str, Any] = {
            "version": torch.__version__,
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
            "threads": torch.get_num_threads(),
            "vectors": torch.backends.cpu.get_cpu_capability(),
        }
        # A short product shows that the library not only loads but computes.
        report["computes"] = float(torch.ones(8, 8).matmul(torch.ones(8, 8)).sum()) == 512.0
        there = torch.cuda.is_available()
        gpus = range(torch.cuda.device_count() if there else 0)
        report["devices"] = [
            {"name": g.name, "memory_bytes": g.total_memory, "capability": [g.major, g.minor]}
            for g in map(torch.cuda.get_device_properties, gpus)
        ]
        report["architectures"] = torch.cuda.get_arch_list() if there else []
        from eosin.training.machine import choose_machine

        machine = choose_machine()
        report["precision"], report["reason"] = machine.precision, machine.reason
    report["warnings"] = [str(warning.message).strip() for warning in caught]
    return report


def _write(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def main(arguments: list[str]) -> None:
    """Write a line before and after each import, so that the last line shows what ended it."""
    what, names = arguments[0], arguments[1:] or arguments[:1]
    for name in names:
        _write(importing=name)
        try:
            report = torch_report() if what == "torch" else {}
            import_module(name)
        except Exception as error:
            _write(name=name, error=f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            _write(name=name, error=None, **report)


if __name__ == "__main__":
    main(sys.argv[1:])
