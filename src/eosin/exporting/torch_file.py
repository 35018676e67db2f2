"""The torch program: a .pt2 file that torch opens without eosin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from eosin.exporting.onnx_file import quiet

#: Name of the extra file in the archive that holds the facts.
FACTS = "eosin.json"


def save_program(
    program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, Any]
) -> None:
    """Write a traced graph to ``path`` (.pt2), with the facts as an extra file in the archive."""
    with quiet():
        torch.export.save(program, path, extra_files={FACTS: json.dumps(facts, ensure_ascii=False)})
