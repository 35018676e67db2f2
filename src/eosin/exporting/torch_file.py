"""The torch program: a .pt2 file that torch opens without eosin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from eosin.exporting.onnx_file import quiet
from eosin.inference.torch_program import METADATA


def save_program(
    program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, Any]
) -> None:
    """Write a traced graph to ``path`` (.pt2), with the facts as an extra file in the archive."""
    with quiet():
        torch.export.save(
            program, path, extra_files={METADATA: json.dumps(facts, ensure_ascii=False)}
        )
