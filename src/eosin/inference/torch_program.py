"""An exported .pt2 file, answered by torch without eosin's own networks."""

from __future__ import annotations

import logging
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eosin.errors import RunError, UserError
from eosin.runtime.exported import DISTANCE, INPUT, PROBABILITIES, Port, line_of, read_exported
from eosin.runtime.predictor import FilePredictor, Floats, Opened, Patches
from eosin.training.machine import choose_machine

#: Name of the extra file in the archive that has the metadata.
METADATA = "eosin.json"
_OUTPUTS = (PROBABILITIES, "features", DISTANCE)


class ProgramPredictor(FilePredictor):
    """A predictor over a program that torch.export has written.

    path: a .pt2 file of ``eosin export --torch``; such a file may contain code, so open only one
    whose origin you know. precision: "fp32" or "auto", which is the same: a traced program has its
    types written down, and torch's autocast breaks it.
    Raises RunError where the file is missing, damaged, not eosin's or of a newer format; UserError
    for bf16.
    """

    def __init__(self, path: str | os.PathLike[str], *, precision: str = "fp32") -> None:
        if precision == "bf16":
            raise UserError(
                f"{path} is a torch program, which answers in fp32 only; for bf16 use the run "
                "itself, or an .xml file (eosin export RUN --openvino)"
            )
        super().__init__(path)

    def _open(self) -> Opened:
        file = self.path
        text = _metadata(file)
        ports = {INPUT: Port("uint8", (None, None, None, 3))}
        # What the program gives is seen when it answers; its facts are checked before it is read.
        answer = {PROBABILITIES: Port("float32", (None, None))}
        read_exported(file, text, ports, answer)
        try:
            # torch tells developers what it meets in a file; a user gets one sentence.
            with quiet_logs("torch.export"), warnings.catch_warnings(action="ignore"):
                program = torch.export.load(file)
        except Exception as error:  # an archive can be damaged in as many ways as it has parts
            why = line_of(error)
            raise RunError(f"{file} cannot be opened by torch ({why}); export it again") from None
        if len(program.graph_signature.user_outputs) > 2:
            answer[DISTANCE] = Port("float32", (None,))
        self.machine = choose_machine("fp32")
        self._program: Any = program.module().to(self.machine.device)
        return f"torch {torch.__version__}", text, ports, answer

    @torch.inference_mode()
    def _answers(self, patches: Patches, names: tuple[str, ...]) -> Sequence[Floats]:
        block = torch.from_numpy(np.array(patches)).to(self.machine.device)
        outputs = dict(zip(_OUTPUTS, self._program(block), strict=False))
        return [outputs[name].float().cpu().numpy() for name in names]


@contextmanager
def quiet_logs(*names: str) -> Iterator[None]:
    """These loggers write nothing; errors are raised as ever."""
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def _metadata(path: Path) -> str | None:
    """The facts in the archive, read without torch; None where there are none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.rpartition("/")[2] == METADATA]
            return archive.read(names[0]).decode("utf-8") if names else None
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise RunError(f"{path} is not a torch program, or was cut short ({error})") from None
