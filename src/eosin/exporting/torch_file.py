"""The torch program: a .pt2 file that torch opens without eosin."""

from __future__ import annotations

import io
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
    data = io.BytesIO()
    with quiet():
        # Into a file of its own torch ends the whole process where the disk is full.
        torch.export.save(
            program, data, extra_files={METADATA: json.dumps(facts, ensure_ascii=False)}
        )
    path.write_bytes(data.getbuffer())
