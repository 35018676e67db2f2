"""What the installed packages say of themselves, asked in a process of its own.

A broken build may end the process that imports it (a missing library, an instruction that the
processor lacks), and `eosin doctor` has to live to tell it. Run as ``python -m eosin.cli.trial
torch`` or ``... import NAME NAME``; each line on stdout is a JSON object.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from typing import Any


def torch_facts() -> dict[str, Any]:
    """Version, build, threads, devices (memory in bytes), and what precision `auto` means here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import torch

        facts: dict[str, Any] = {
            "version": torch.__version__,
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
            "threads": torch.get_num_threads(),
            "vectors": torch.backends.cpu.get_cpu_capability(),
            "devices": [],
            "architectures": [],
        }
        # A short product shows that the library not only loads but computes.
        facts["computes"] = float(torch.ones(8, 8).matmul(torch.ones(8, 8)).sum()) == 512.0
        if torch.cuda.is_available():
            facts["architectures"] = torch.cuda.get_arch_list()
            for index in range(torch.cuda.device_count()):
                found = torch.cuda.get_device_properties(index)
                facts["devices"].append(
                    {
                        "name": found.name,
                        "memory_bytes": found.total_memory,
                        "capability": [found.major, found.minor],
                    }
                )
        from eosin.training.machine import choose_machine

        machine = choose_machine()
        facts["precision"], facts["reason"] = machine.precision, machine.reason
    facts["warnings"] = [str(warning.message).strip() for warning in caught]
    return facts


def _say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def main(arguments: list[str]) -> None:
    """Write a line before and after each import, so that the last line names what ended us."""
    what, names = arguments[0], arguments[1:] or arguments[:1]
    for name in names:
        _say(importing=name)
        try:
            facts = torch_facts() if what == "torch" else {}
            import_module(name)
        except Exception as error:
            _say(name=name, error=f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            _say(name=name, error=None, **facts)


if __name__ == "__main__":
    main(sys.argv[1:])
